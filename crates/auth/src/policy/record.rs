//! What is kept of a role: one JSON text, the newest event of the role's stream.
//!
//! The whole record is written with every change of the role, so that a change is one event and a crash
//! leaves the old record or the new one. Unknown members are refused: a record of a later version must not
//! lose what it says by being read and written here.

use super::permission::{Permission, Permissions};
use super::resource::Resource;
use super::role_name::RoleName;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// A role's kind and what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody who can log in.
    User(Account),
    /// Who is in it has its grants.
    Group,
    /// Everybody, logged in or not.
    Everybody,
}

/// What only a user has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The password's hash as a PHC string; `None` for a user who cannot log in by password.
    pub password: Option<String>,
    /// Sessions that began before this second since 1970 are over.
    pub sessions_from_s: u64,
    /// Sessions of tokens that do not say when they were issued (those of an Iorio server) are over.
    pub undated_are_over: bool,
    /// The password is the well-known one of `serve --dev`.
    pub is_dev: bool,
}

impl Account {
    /// Somebody without a password, whose sessions count from this second on.
    pub fn new(sessions_from_s: u64) -> Account {
        Account { password: None, sessions_from_s, undated_are_over: false, is_dev: false }
    }

    /// Whether a session that began then (`None`: the token does not say) is over.
    pub fn is_over(&self, issued_s: Option<u64>) -> bool {
        issued_s.map_or(self.undated_are_over, |issued_s| issued_s < self.sessions_from_s)
    }
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: Kind,
    /// The groups that it is in, ascending, each once.
    pub groups: Vec<RoleName>,
    /// What was granted to it itself; no entry is empty.
    pub grants: BTreeMap<Resource, Permissions>,
}

/// Why a text is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError(String);

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RecordError {}

impl Record {
    /// A role without groups and grants.
    pub fn new(kind: Kind) -> Record {
        Record { kind, groups: Vec::new(), grants: BTreeMap::new() }
    }

    /// What only a user has.
    pub fn account(&self) -> Option<&Account> {
        match &self.kind {
            Kind::User(account) => Some(account),
            Kind::Group | Kind::Everybody => None,
        }
    }

    /// Whether it is a group.
    pub fn is_group(&self) -> bool {
        self.kind == Kind::Group
    }

    /// Adds a permission; `false` if it was there.
    pub fn grant(&mut self, resource: Resource, permission: Permission) -> bool {
        let held = self.grants.entry(resource).or_default();
        let is_new = !held.has(permission);
        *held = held.with(permission);
        is_new
    }

    /// Takes a permission away; `false` if it was not there.
    pub fn revoke(&mut self, resource: &Resource, permission: Permission) -> bool {
        let Some(held) = self.grants.get_mut(resource) else { return false };
        let was_there = held.has(permission);
        *held = held.without(permission);
        if held.is_empty() {
            self.grants.remove(resource);
        }
        was_there
    }

    /// Puts it into a group; `false` if it was in it.
    pub fn join(&mut self, group: RoleName) -> bool {
        match self.groups.binary_search(&group) {
            Ok(_) => false,
            Err(at) => {
                self.groups.insert(at, group);
                true
            }
        }
    }

    /// The text of the event. `None` stands for a role that is no more.
    pub fn encode(record: Option<&Record>) -> String {
        let Some(record) = record else { return json!({ "kind": "deleted" }).to_string() };
        let mut object = Map::new();
        object.insert("kind".to_owned(), record.kind_name().into());
        if let Kind::User(account) = &record.kind {
            object.insert("password".to_owned(), account.password.clone().into());
            object.insert("sessions_from_s".to_owned(), account.sessions_from_s.into());
            for (name, is_set) in [("dev", account.is_dev), ("undated_are_over", account.undated_are_over)] {
                if is_set {
                    object.insert(name.to_owned(), true.into());
                }
            }
        }
        let groups: Vec<&str> = record.groups.iter().map(RoleName::as_str).collect();
        object.insert("groups".to_owned(), groups.into());
        let grants: Vec<Value> = record.grants.iter().map(grant_value).collect();
        object.insert("grants".to_owned(), grants.into());
        Value::Object(object).to_string()
    }

    fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::User(_) => "user",
            Kind::Group => "group",
            Kind::Everybody => "everybody",
        }
    }

    /// Reads the text of an event; `None` for a role that is no more.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(text: &[u8]) -> Result<Option<Record>, RecordError> {
        let object: Map<String, Value> =
            serde_json::from_slice(text).map_err(|error| RecordError(format!("no JSON object: {error}")))?;
        let mut members = Members(object);
        let kind = match members.text("kind")?.as_str() {
            "deleted" => return members.end().map(|()| None),
            "user" => Kind::User(account(&mut members)?),
            "group" => Kind::Group,
            "everybody" => Kind::Everybody,
            other => return Err(RecordError(format!("a role of kind {other:?}"))),
        };
        let mut record = Record::new(kind);
        for group in members.array("groups")? {
            let name = group.as_str().and_then(|text| RoleName::parse(text).ok());
            record.join(name.ok_or_else(|| RecordError(format!("{group} is no group's name")))?);
        }
        for grant in members.array("grants")? {
            let (resource, permissions) = read_grant(grant)?;
            permissions.iter().for_each(|permission| {
                record.grant(resource.clone(), permission);
            });
        }
        members.end().map(|()| Some(record))
    }
}

fn grant_value((resource, permissions): (&Resource, &Permissions)) -> Value {
    let names: Vec<&str> = permissions.iter().map(Permission::name).collect();
    let mut object = Map::new();
    object.insert("bucket".to_owned(), resource.bucket().map_or("*", |bucket| bucket.as_str()).into());
    if let Some(stream) = resource.stream() {
        object.insert("stream".to_owned(), stream.as_str().into());
    }
    object.insert("permissions".to_owned(), names.into());
    Value::Object(object)
}

fn read_grant(value: Value) -> Result<(Resource, Permissions), RecordError> {
    let Value::Object(object) = value else { return Err(RecordError(format!("{value} is no grant"))) };
    let mut members = Members(object);
    let bucket = members.text("bucket")?;
    let stream = match members.0.remove("stream") {
        None => None,
        Some(Value::String(stream)) => Some(stream),
        Some(other) => return Err(RecordError(format!("{other} is no stream"))),
    };
    let resource = Resource::parse(&bucket, stream.as_deref())
        .map_err(|error| RecordError(format!("a grant on {bucket:?}, {stream:?}: {error}")))?;
    let mut permissions = Permissions::NONE;
    for name in members.array("permissions")? {
        let permission = name.as_str().and_then(Permission::parse);
        permissions =
            permissions.with(permission.ok_or_else(|| RecordError(format!("{name} is no permission")))?);
    }
    members.end().map(|()| (resource, permissions))
}

fn account(members: &mut Members) -> Result<Account, RecordError> {
    let password = match members.0.remove("password") {
        None | Some(Value::Null) => None,
        Some(Value::String(password)) => Some(password),
        Some(_) => return Err(RecordError("the password's hash is no text".to_owned())),
    };
    let sessions_from_s = match members.0.remove("sessions_from_s") {
        None => 0,
        Some(value) => value.as_u64().ok_or_else(|| RecordError(format!("{value} is no time")))?,
    };
    let (is_dev, undated_are_over) = (members.flag("dev"), members.flag("undated_are_over"));
    Ok(Account { password, sessions_from_s, undated_are_over, is_dev })
}

/// The members of an object that were not looked at yet.
struct Members(Map<String, Value>);

impl Members {
    fn text(&mut self, name: &str) -> Result<String, RecordError> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(RecordError(format!("no text {name:?}"))),
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some_and(|value| value == Value::Bool(true))
    }

    fn array(&mut self, name: &str) -> Result<Vec<Value>, RecordError> {
        match self.0.remove(name) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(RecordError(format!("no array {name:?}"))),
        }
    }

    fn end(self) -> Result<(), RecordError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(RecordError(format!("an unknown member {name:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> RoleName {
        RoleName::parse(text).expect("a name")
    }

    #[test]
    fn a_user_s_record_is_this_to_the_byte() {
        let account = Account { password: Some("$argon2id$x".to_owned()), ..Account::new(7) };
        let mut record = Record::new(Kind::User(account));
        record.join(name("g-b"));
        record.join(name("g-a"));
        record.grant(Resource::parse("iot", Some("a/*")).expect("a glob"), Permission::Put);
        record.grant(Resource::parse("iot", None).expect("a bucket"), Permission::Get);
        record.grant(Resource::Any, Permission::List);
        let text = concat!(
            r#"{"grants":[{"bucket":"*","permissions":["list"]},{"bucket":"iot","permissions":["get"]},"#,
            r#"{"bucket":"iot","permissions":["put"],"stream":"a/*"}],"groups":["g-a","g-b"],"kind":"user","#,
            r#""password":"$argon2id$x","sessions_from_s":7}"#
        );
        assert_eq!(Record::encode(Some(&record)), text);
        assert_eq!(Record::decode(text.as_bytes()), Ok(Some(record)));
    }

    #[test]
    fn a_role_that_is_no_more_leaves_a_word() {
        assert_eq!(Record::encode(None), r#"{"kind":"deleted"}"#);
        assert_eq!(Record::decode(br#"{"kind":"deleted"}"#), Ok(None));
    }

    #[test]
    fn what_is_no_record_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "no JSON object"),
            ("[]", "no JSON object"),
            ("{}", "no text \"kind\""),
            (r#"{"kind":"god"}"#, "a role of kind \"god\""),
            (r#"{"kind":"group","grants":[]}"#, "no array \"groups\""),
            (r#"{"kind":"group","groups":[1],"grants":[]}"#, "1 is no group's name"),
            (r#"{"kind":"group","groups":[],"grants":[1]}"#, "1 is no grant"),
            (r#"{"kind":"group","groups":[],"grants":[],"x":1}"#, "an unknown member \"x\""),
            (r#"{"kind":"user","password":1,"groups":[],"grants":[]}"#, "the password's hash is no text"),
            (r#"{"kind":"deleted","groups":[]}"#, "an unknown member \"groups\""),
            (
                r#"{"kind":"group","groups":[],"grants":[{"bucket":"b","permissions":["fly"]}]}"#,
                "\"fly\" is no permission",
            ),
            (r#"{"kind":"group","groups":[],"grants":[{"bucket":"a/b","permissions":[]}]}"#, "a grant on"),
        ] {
            let error = Record::decode(text.as_bytes()).expect_err(text).to_string();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }

    #[test]
    fn what_was_revoked_leaves_no_trace() {
        let mut record = Record::new(Kind::Group);
        assert!(record.grant(Resource::Any, Permission::Get));
        assert!(!record.grant(Resource::Any, Permission::Get));
        assert!(record.revoke(&Resource::Any, Permission::Get));
        assert!(!record.revoke(&Resource::Any, Permission::Get));
        assert_eq!(record, Record::new(Kind::Group));
    }

    fn a_grant() -> impl Strategy<Value = (String, Option<String>, usize)> {
        ("[a-z*]{1,4}", proptest::option::of("[a-z/*?]{1,6}"), 0..Permission::ALL.len())
    }

    proptest! {
        #[test]
        fn every_record_is_read_again_as_it_was_written(
            is_user: bool,
            password in proptest::option::of("[!-~]{0,20}"),
            sessions_from_s: u64,
            is_dev: bool,
            undated_are_over: bool,
            groups in proptest::collection::vec("[a-z-]{3,8}", 0..5),
            grants in proptest::collection::vec(a_grant(), 0..8),
        ) {
            let account = Account { password, sessions_from_s, undated_are_over, is_dev };
            let mut record = Record::new(if is_user { Kind::User(account) } else { Kind::Group });
            for group in groups.iter().filter_map(|group| RoleName::parse(group).ok()) {
                record.join(group);
            }
            for (bucket, stream, permission) in grants {
                if let Ok(resource) = Resource::parse(&bucket, stream.as_deref()) {
                    record.grant(resource, Permission::ALL[permission]);
                }
            }
            prop_assert_eq!(Record::decode(Record::encode(Some(&record)).as_bytes()), Ok(Some(record)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = Record::decode(text.as_bytes());
        }
    }
}
