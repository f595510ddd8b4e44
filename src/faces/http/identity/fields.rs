//! The parts of these routes' requests: what stands in a path, and the members of a JSON body.
//!
//! Pure. What a member means is the business of the route that asks for it; here is only of what kind it is.

use super::super::route::bad_target;
use http1::{RequestHead, target};
use serde_json::{Map, Value};
use types::Failure;

/// The decoded path behind its first `count` segments, slashes included.
///
/// # Errors
/// [`Failure::BadRequest`].
pub(super) fn rest(head: &RequestHead, count: usize) -> Result<String, Failure> {
    let path = head.path().trim_end_matches('/');
    let segments = target::path_segments(path).skip(count);
    let segments: Vec<_> = segments.collect::<Result<_, _>>().map_err(bad_target)?;
    Ok(segments.join("/"))
}

/// A body that is a JSON object.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Failure::InvalidBody`].
    pub(super) fn read(body: &[u8]) -> Result<Fields, Failure> {
        let object = serde_json::from_slice(body);
        object.map(Fields).map_err(|error| Failure::InvalidBody {
            detail: format!("a JSON object is needed: {error}").into(),
        })
    }

    /// A member that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A member as a client would see it in an error: a text without quotes, `nil` when it is not there.
    pub(super) fn shown(&self, name: &str) -> String {
        match self.0.get(name) {
            None | Some(Value::Null) => "nil".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// A member that is a switch; off when it is not there.
    ///
    /// # Errors
    /// [`Failure::InvalidField`] for anything else.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Failure> {
        match self.0.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(Failure::InvalidField { field: name.into(), value: other.to_string() }),
        }
    }

    /// A member that is a list of texts; nothing when it is not there.
    ///
    /// # Errors
    /// [`Failure::InvalidField`] for anything else.
    pub(super) fn texts(&self, name: &'static str) -> Result<Option<Vec<String>>, Failure> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let items = value.as_array().map(|items| {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        });
        let invalid = || Failure::InvalidField { field: name.into(), value: value.to_string() };
        items.flatten().ok_or_else(invalid).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::head;
    use super::*;

    #[test]
    fn the_rest_of_a_path_is_decoded_and_keeps_its_slashes() {
        let rest = |target: &str| rest(&head("GET", target, &[]), 1);
        assert_eq!(rest("/users/bob/"), Ok("bob".to_owned()));
        assert_eq!(rest("/users/a%20b"), Ok("a b".to_owned()));
        assert_eq!(rest("/users/a%2Fb"), Ok("a/b".to_owned()));
        assert_eq!(rest("/users/a/b"), Ok("a/b".to_owned()));
        assert!(rest("/users/%zz").is_err() && rest("/users/..").is_err());
    }

    #[test]
    fn members_are_read_by_kind() {
        let fields = Fields::read(br#"{"a":"x","b":1,"c":["y"],"d":[1],"e":null}"#).expect("an object");
        assert_eq!((fields.text("a"), fields.text("b"), fields.text("z")), (Some("x"), None, None));
        let shown = ["a", "b", "z", "e"].map(|name| fields.shown(name));
        assert_eq!(shown, ["x", "1", "nil", "nil"]);
        assert_eq!(fields.texts("c"), Ok(Some(vec!["y".to_owned()])));
        assert_eq!(fields.texts("z"), Ok(None));
        assert!(fields.texts("d").is_err() && fields.texts("a").is_err());
        for bad in ["", "[]", "1", "{"] {
            assert!(matches!(Fields::read(bad.as_bytes()), Err(Failure::InvalidBody { .. })), "{bad}");
        }
    }
}
