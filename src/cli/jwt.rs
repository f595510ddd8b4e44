//! What stands in a token, read without a key: when it ends, and for `token inspect` all of it.
//!
//! Nothing here says that a token is good; only the server that knows the secret can. Times are in the
//! payload, in those of an Iorio server in the header.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The two readable parts of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jwt {
    pub(crate) header: Map<String, Value>,
    pub(crate) payload: Map<String, Value>,
}

impl Jwt {
    /// Reads a token; `None` for what is none.
    pub(crate) fn read(token: &str) -> Option<Jwt> {
        let mut parts = token.split('.');
        let (header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        let is_whole = parts.next().is_none();
        let object = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let (header, payload) = (object(header)?, object(payload)?);
        is_whole.then_some(Jwt { header, payload })
    }

    /// A time of it, in seconds since 1970.
    pub(crate) fn time_s(&self, name: &str) -> Option<u64> {
        let of = |part: &Map<String, Value>| {
            let value = part.get(name)?;
            // Other issuers write fractions.
            value.as_u64().or_else(|| value.as_f64().filter(|time| *time >= 0.0).map(|time| time as u64))
        };
        of(&self.payload).or_else(|| of(&self.header))
    }

    /// Whether it is over at this time; one without an end never is.
    pub(crate) fn is_over(&self, now_s: u64) -> bool {
        self.time_s("exp").is_some_and(|expires_s| expires_s <= now_s)
    }
}

/// A time as RFC 3339 writes it, in UTC.
pub(crate) fn rfc3339(time_s: u64) -> String {
    let (days, second) = (time_s / 86_400, time_s % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day since 1970, by years that begin in March, so that a leap day is the last of its year
/// (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A token with this payload; its signature is none.
    pub(crate) fn token(payload: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"HS512","typ":"JWT"}"#), part(payload), part("signed"))
    }

    #[test]
    fn a_token_is_read_without_its_key() {
        let jwt = Jwt::read(&token(r#"{"u":"anna","iat":5,"exp":1000}"#)).expect("a token");
        assert_eq!(
            (&jwt.payload["u"], jwt.time_s("iat"), jwt.time_s("nbf")),
            (&"anna".into(), Some(5), None)
        );
        assert_eq!((jwt.is_over(999), jwt.is_over(1000)), (false, true));
        let endless = Jwt::read(&token(r#"{"u":"anna"}"#)).expect("a token");
        assert!(!endless.is_over(u64::MAX));
        let fraction = Jwt::read(&token(r#"{"exp":7.9}"#)).expect("a token");
        assert_eq!(fraction.time_s("exp"), Some(7));
    }

    #[test]
    fn an_end_in_the_header_counts_too() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let text = format!("{}.{}.x", part(r#"{"alg":"HS512","exp":9}"#), part(r#"{"u":"a"}"#));
        assert_eq!(Jwt::read(&text).expect("a token").time_s("exp"), Some(9));
    }

    #[test]
    fn what_is_no_token_is_none() {
        for text in ["", "a.b", "a.b.c", "e30.e30", "e30.e30.x.y", "W10.e30.x", "e30.MQ.x"] {
            assert_eq!(Jwt::read(text), None, "{text}");
        }
        assert!(Jwt::read("e30.e30.x").is_some());
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (time_s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(time_s), text);
        }
    }
}
