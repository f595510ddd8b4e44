//! What a server's failure answer says, turned into our own failure.
//!
//! The error body is `{"type", "reason", …}`; a body of any other shape is shown as it is, cut short.

use super::error::{CliError, Exit};
use http1::Response;
use serde_json::{Map, Value};

/// Bytes of a foreign error body that are shown.
const FOREIGN_BODY_BYTES_MAX: usize = 300;

/// The failure that a response with an error status stands for.
pub(crate) fn failure_of(response: &Response) -> CliError {
    let status = response.head.status();
    let retry_after = response.head.header_str("retry-after").map(str::to_owned);
    refusal(status, &response.body, retry_after)
}

/// As [`failure_of`], from the parts.
pub(crate) fn refusal(status: u16, body: &[u8], retry_after: Option<String>) -> CliError {
    let members = match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let said = match (members.get("type"), members.get("reason")) {
        (Some(kind), Some(reason)) => format!("{}: {}", plain(kind), plain(reason)),
        _ => foreign(body),
    };
    let more: Vec<String> = members
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "type" | "reason"))
        .map(|(name, value)| format!("{name} {}", plain(value)))
        .collect();
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
    let mut error = CliError::new(Exit::Refused, format!("the server answered {status} {said}{more}"));
    let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
    error.next = next_step(status, kind, members.get("reason"), retry_after);
    error.members.insert("status".to_owned(), Value::from(status));
    error.members.extend(members);
    error
}

fn next_step(status: u16, kind: &str, reason: Option<&Value>, retry_after: Option<String>) -> Option<String> {
    let is_lacking = reason.is_none_or(|reason| reason == "No Permission");
    let next = match status {
        401 if kind == "unauthorized" => {
            "name or password is wrong; an administrator sets another with `millrace users passwd`".to_owned()
        }
        401 if kind == "no-perm" && !is_lacking => {
            "the token is not taken any more: log in again with -u USER, without -t".to_owned()
        }
        401 | 403 => {
            "log in with -u USER as somebody who may, or let one grant it: `millrace grants add`".to_owned()
        }
        409 | 412 => "another write came first: read the stream again and decide anew".to_owned(),
        413 => "the limit is limits.body_bytes_max of the server".to_owned(),
        429 | 503 => format!("try again in {} s", retry_after.unwrap_or_else(|| "a few".to_owned())),
        507 => "free room on the server's disk; writes resume by themselves".to_owned(),
        _ => return None,
    };
    Some(next)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn foreign(body: &[u8]) -> String {
    let cut = &body[..body.len().min(FOREIGN_BODY_BYTES_MAX)];
    let text = String::from_utf8_lossy(cut);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_is_told_with_all_its_members() {
        let body = br#"{"type":"precondition-failed","reason":"Precondition Failed","seq":7}"#;
        let error = refusal(412, body, None);
        assert_eq!(
            error.to_text(),
            "millrace: the server answered 412 precondition-failed: Precondition Failed (seq 7)\n  \
             another write came first: read the stream again and decide anew\n"
        );
        let json: Value = serde_json::from_str(&error.to_json()).expect("JSON");
        assert_eq!((&json["status"], &json["seq"], &json["exit"]), (&412.into(), &7.into(), &1.into()));
    }

    #[test]
    fn a_body_that_is_not_ours_is_shown_without_control_characters() {
        let error = refusal(502, b"<h1>Bad\x1b[31m\nGateway</h1>", None);
        assert_eq!(error.message, "the server answered 502 <h1>Bad [31m Gateway</h1>");
    }

    #[test]
    fn who_is_refused_is_told_whether_to_log_in_again_or_to_ask_for_a_grant() {
        for (kind, reason, said) in [
            ("no-perm", "No Permission", "millrace grants add"),
            ("no-perm", "Token Expired", "log in again with -u"),
            ("unauthorized", "Unauthorized", "name or password is wrong"),
        ] {
            let body = format!(r#"{{"type":"{kind}","reason":"{reason}"}}"#);
            let next = refusal(401, body.as_bytes(), None).next.expect("a next step");
            assert!(next.contains(said), "{next}");
        }
    }

    #[test]
    fn an_overloaded_server_says_when_to_come_back() {
        let error = refusal(503, br#"{"type":"unavailable","reason":"starting"}"#, Some("2".to_owned()));
        assert_eq!(error.next.as_deref(), Some("try again in 2 s"));
    }
}
