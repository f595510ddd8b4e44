//! `token inspect`: what stands in a token, for people.
//!
//! No server and no key: that the signature is good is never said, that it was not checked always is.

use super::super::error::{CliError, Exit};
use super::super::jwt::{Jwt, rfc3339};
use super::super::password;
use super::args::InspectTokenArgs;
use super::write_line;
use crate::sys::clock;
use serde_json::{Value, json};
use std::io::Write;

/// The times of a token and what they are called.
const TIMES: [(&str, &str); 3] = [("iat", "issued"), ("nbf", "good from"), ("exp", "expires")];

/// `millrace token inspect`.
///
/// # Errors
/// [`Exit::Usage`]: it is no token; [`Exit::Io`].
pub(super) fn inspect(args: &InspectTokenArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let text = if args.token == "-" { password::first_line("-")? } else { args.token.clone() };
    let jwt = Jwt::read(text.trim()).ok_or_else(|| {
        CliError::new(Exit::Usage, "this is no token: three parts of base64url with dots between are one")
            .next("`millrace token issue` prints one")
    })?;
    let shown = show(&jwt, clock::now().0 / 1000, args.json);
    write_line(out, &shown)
}

/// The text at this time.
fn show(jwt: &Jwt, now_s: u64, is_json: bool) -> String {
    let is_over = jwt.is_over(now_s);
    if is_json {
        let time = |name: &str| jwt.time_s(name).map(rfc3339);
        let shown = json!({
            "header": jwt.header,
            "payload": jwt.payload,
            "issued": time("iat"),
            "expires": time("exp"),
            "expired": is_over,
            "signature_checked": false,
        });
        return shown.to_string();
    }
    let mut text = String::new();
    for (name, part) in [("header", &jwt.header), ("payload", &jwt.payload)] {
        text.push_str(&format!("{name:<10} {}\n", Value::Object(part.clone())));
    }
    for (name, words) in TIMES {
        let Some(time_s) = jwt.time_s(name) else { continue };
        let verdict = match (name, is_over) {
            ("exp", true) => "  EXPIRED",
            ("exp", false) => "  not yet",
            _ => "",
        };
        text.push_str(&format!("{words:<10} {}{verdict}\n", rfc3339(time_s)));
    }
    if jwt.time_s("exp").is_none() {
        text.push_str("expires    never\n");
    }
    text.push_str("The signature was not checked: only the server that has the secret can.");
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::jwt::tests::token;
    use super::*;

    fn shown(payload: &str, now_s: u64, is_json: bool) -> String {
        show(&Jwt::read(&token(payload)).expect("a token"), now_s, is_json)
    }

    #[test]
    fn everything_that_can_be_read_is_shown_with_times() {
        let text = shown(r#"{"u":"anna","iat":0,"exp":86400}"#, 5, false);
        let expected = "header     {\"alg\":\"HS512\",\"typ\":\"JWT\"}\n\
                        payload    {\"exp\":86400,\"iat\":0,\"u\":\"anna\"}\n\
                        issued     1970-01-01T00:00:00Z\n\
                        expires    1970-01-02T00:00:00Z  not yet\n\
                        The signature was not checked: only the server that has the secret can.";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_end_that_is_over_and_none_at_all_are_said() {
        assert!(shown(r#"{"exp":10}"#, 10, false).contains("1970-01-01T00:00:10Z  EXPIRED"));
        assert!(shown("{}", 10, false).contains("expires    never"));
        let json: Value = serde_json::from_str(&shown(r#"{"exp":10}"#, 11, true)).expect("JSON");
        assert_eq!((&json["expired"], &json["signature_checked"]), (&true.into(), &false.into()));
        assert_eq!((&json["expires"], &json["issued"]), (&"1970-01-01T00:00:10Z".into(), &Value::Null));
    }
}
