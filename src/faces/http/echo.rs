//! `/x/echo/…`: a request told back, for clients that try themselves out.
//!
//! `{"method","path":[…],"query":{…},"body"}`. A body that is not text is base64 and says so. Of a parameter
//! that comes twice the first is told.

use super::negotiate::{self, JSON};
use super::parameters::Parameters;
use super::reply::Reply;
use super::route;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http1::RequestHead;
use serde_json::{Map, Value, json};
use types::Failure;

/// Checks the head.
///
/// # Errors
/// In the order of `docs/api.md`: malformed target, then `Accept`.
pub(super) fn check(head: &RequestHead) -> Result<(), Failure> {
    route::echo_path(head)?;
    Parameters::of(head)?;
    negotiate::choose(head, &[JSON]).map(|_| ())
}

/// The reply.
///
/// # Errors
/// As [`check`].
pub(super) fn reply(head: &RequestHead, body: &[u8]) -> Result<Reply, Failure> {
    let mut query = Map::new();
    for (name, value) in Parameters::of(head)?.iter() {
        query.entry(name).or_insert_with(|| value.into());
    }
    let mut told = json!({ "method": head.method_name(), "path": route::echo_path(head)?, "query": query });
    match std::str::from_utf8(body) {
        Ok(text) => told["body"] = text.into(),
        Err(_) => {
            told["body"] = Value::String(STANDARD.encode(body));
            told["encoding"] = "base64".into();
        }
    }
    Ok(Reply::json(200, told.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;

    fn told(method: &str, target: &str, body: &[u8]) -> Value {
        let reply = reply(&head(method, target, &[]), body).expect("well formed");
        serde_json::from_slice(&reply.body).expect("JSON")
    }

    #[test]
    fn method_path_query_and_body_are_told_back() {
        assert_eq!(
            told("PUT", "/x/echo/a/b%20c/?x=1&y&x=2", b"text"),
            json!({ "method": "PUT", "path": ["a", "b c"], "query": { "x": "1", "y": "" }, "body": "text" })
        );
        assert_eq!(
            told("GET", "/x/echo", b""),
            json!({ "method": "GET", "path": [], "query": {}, "body": "" })
        );
        assert_eq!(told("POST", "/x/echo/", b"\xff")["body"], "/w==");
    }
}
