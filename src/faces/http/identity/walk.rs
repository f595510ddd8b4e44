//! Long lists of users and groups, a piece at a time: there may be a million, and others wait for the core.
//!
//! A role is shown as it is when its turn comes; one that is made or ends meanwhile may be there or not.

use crate::broker::identity::Identity;
use crate::sys::executor::yield_if_needed;
use auth::policy::{Record, Resource, RoleName};
use serde_json::Value;

/// Roles between two looks at the clock.
const PIECE: usize = 64;

/// Calls `take` for all roles, or for those that were granted something on a resource itself, ascending.
pub(super) async fn each_role(
    identity: &Identity,
    holders_of: Option<&Resource>,
    mut take: impl FnMut(&RoleName, &Record),
) {
    let mut last: Option<RoleName> = None;
    loop {
        last = {
            let policy = identity.policy();
            let see = |(name, record): (&RoleName, &Record)| {
                take(name, record);
                name.clone()
            };
            match holders_of {
                None => policy.roles_after(last.as_ref()).take(PIECE).map(see).last(),
                Some(resource) => policy.holders_after(resource, last.as_ref()).take(PIECE).map(see).last(),
            }
        };
        if last.is_none() {
            return;
        }
        yield_if_needed().await;
    }
}

/// The members of a JSON array or object, written one by one.
#[derive(Default)]
pub(super) struct Members(String);

impl Members {
    /// One more of an array.
    pub(super) fn push(&mut self, value: &Value) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&value.to_string());
    }

    /// One more of an object; keys come once.
    pub(super) fn insert(&mut self, key: &str, value: &Value) {
        self.push(&Value::from(key));
        self.0.push(':');
        self.0.push_str(&value.to_string());
    }

    /// Them with nothing around them.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_those_of_an_array_and_of_an_object() {
        let (mut items, mut map) = (Members::default(), Members::default());
        assert_eq!(items.as_str(), "");
        items.push(&json!(1));
        items.push(&json!({ "a": "\"" }));
        assert_eq!(items.as_str(), r#"1,{"a":"\""}"#);
        map.insert("a\"b", &json!([1]));
        map.insert("c", &json!(null));
        assert_eq!(map.as_str(), r#""a\"b":[1],"c":null"#);
    }
}
