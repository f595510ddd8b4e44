//! What a token says once it is believed, and the members that say it (RFC 7519 §4).
//!
//! The verifier returns [`Claims`]. Times are whole seconds since the epoch; a fraction is cut to the side
//! that trusts less. A time that is negative, no number, or behind the year 9999 makes a token malformed.

use super::TokenRefused;
use serde_json::{Map, Value};
use std::fmt;

/// The last second of the year 9999: no sound issuer writes more, and milliseconds are found out.
const EPOCH_S_MAX: u64 = 253_402_300_799;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who it speaks for.
    pub user: String,
    /// The session, in our own tokens; Iorio's have none.
    pub sid: Option<SessionId>,
    /// When it was issued, in seconds since the epoch.
    pub issued_s: Option<u64>,
    /// The first second in which it is worth nothing: the earlier of payload and header.
    pub expires_s: Option<u64>,
    /// The groups that its issuer gives the user; none in our own tokens.
    pub groups: Vec<String>,
    /// Who signed it.
    pub kind: TokenKind,
}

/// Who signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// This server, or an Iorio server with the same secret.
    Own,
    /// The issuer with this index in the configuration.
    Foreign(usize),
}

/// A session of our own: random, so that it can be revoked and never guessed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A session with these random bytes.
    pub const fn new(bytes: [u8; 16]) -> SessionId {
        SessionId(bytes)
    }

    /// The session with this text: 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<SessionId> {
        let mut bytes = [0; 16];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(SessionId(bytes))
    }

    /// What stands for the session of a token that names none: a digest of its bytes.
    pub fn of_token(token: &[u8]) -> SessionId {
        let digest = ring::digest::digest(&ring::digest::SHA256, token);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        SessionId(bytes)
    }

    /// Its bytes.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// A time with a fraction, cut to either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumericDate {
    /// For what ends: never later than was meant.
    pub(crate) floor_s: u64,
    /// For what begins: never earlier than was meant.
    pub(crate) ceil_s: u64,
}

/// Reads a NumericDate (RFC 7519 §2).
pub(crate) fn numeric_date(value: &Value) -> Result<NumericDate, TokenRefused> {
    let Value::Number(number) = value else {
        return Err(TokenRefused::Malformed);
    };
    if let Some(whole) = number.as_u64() {
        let sound = whole <= EPOCH_S_MAX;
        return sound.then_some(NumericDate { floor_s: whole, ceil_s: whole }).ok_or(TokenRefused::Malformed);
    }
    let seconds = number.as_f64().ok_or(TokenRefused::Malformed)?;
    // A number below the bound is far within 2^53, so both sides are exact.
    if seconds.is_sign_positive() && seconds <= EPOCH_S_MAX as f64 {
        Ok(NumericDate { floor_s: seconds.floor() as u64, ceil_s: seconds.ceil() as u64 })
    } else {
        Err(TokenRefused::Malformed)
    }
}

/// The times of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) issued_s: Option<u64>,
    pub(crate) not_before_s: Option<u64>,
    pub(crate) expires_s: Option<u64>,
}

impl Times {
    /// The payload's times; the header's expiry holds as well, so the earlier one counts.
    pub(crate) fn read(
        members: &Map<String, Value>,
        header_expires_s: Option<u64>,
    ) -> Result<Times, TokenRefused> {
        let date = |name: &str| members.get(name).map(numeric_date).transpose();
        let expires_s = date("exp")?.map(|date| date.floor_s);
        Ok(Times {
            issued_s: date("iat")?.map(|date| date.floor_s),
            not_before_s: date("nbf")?.map(|date| date.ceil_s),
            expires_s: expires_s.into_iter().chain(header_expires_s).min(),
        })
    }

    /// Whether a token with these times holds at `now_s`, by clocks that differ by `leeway_s` at most.
    ///
    /// In the very second of its expiry a token is expired (RFC 7519 §4.1.4: "on or after").
    pub(crate) fn check(self, now_s: u64, leeway_s: u64) -> Result<(), TokenRefused> {
        if self.expires_s.is_some_and(|expires_s| now_s >= expires_s.saturating_add(leeway_s)) {
            return Err(TokenRefused::Expired);
        }
        if self.not_before_s.is_some_and(|begins_s| now_s.saturating_add(leeway_s) < begins_s) {
            return Err(TokenRefused::NotYetValid);
        }
        Ok(())
    }
}

/// A user or group as a token names it: `prefix` and a text that may be a name.
pub(crate) fn name(prefix: &str, value: &Value, bytes_max: usize) -> Option<String> {
    let Value::String(text) = value else { return None };
    let fits = prefix.len() + text.len() <= bytes_max;
    let sound = !text.is_empty() && fits && !text.chars().any(char::is_control);
    sound.then(|| format!("{prefix}{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(json: &str) -> Result<NumericDate, TokenRefused> {
        numeric_date(&serde_json::from_str(json).expect("JSON"))
    }

    #[test]
    fn times_are_cut_to_the_side_that_trusts_less() {
        let whole = |seconds| Ok(NumericDate { floor_s: seconds, ceil_s: seconds });
        assert_eq!(date("0"), whole(0));
        assert_eq!(date("1700000000"), whole(1_700_000_000));
        assert_eq!(date("1.7e9"), whole(1_700_000_000));
        assert_eq!(date("253402300799"), whole(EPOCH_S_MAX));
        assert_eq!(date("10.25"), Ok(NumericDate { floor_s: 10, ceil_s: 11 }));
    }

    #[test]
    fn a_time_that_is_no_time_is_malformed() {
        for json in [
            "-1",
            "-0.5",
            "-0",
            "253402300800",
            "1e300",
            "18446744073709551615",
            "18446744073709551616",
            "\"1\"",
            "null",
            "true",
            "[1]",
            "{}",
            "1700000000000",
        ] {
            assert_eq!(date(json), Err(TokenRefused::Malformed), "{json}");
        }
    }

    #[test]
    fn the_earlier_expiry_counts() {
        let members = |json: &str| serde_json::from_str::<Map<String, Value>>(json).expect("JSON");
        let expires = |json: &str, header| Times::read(&members(json), header).map(|times| times.expires_s);
        assert_eq!(expires("{}", None), Ok(None));
        assert_eq!(expires("{}", Some(5)), Ok(Some(5)));
        assert_eq!(expires(r#"{"exp":7}"#, None), Ok(Some(7)));
        assert_eq!(expires(r#"{"exp":7}"#, Some(5)), Ok(Some(5)));
        assert_eq!(expires(r#"{"exp":3}"#, Some(5)), Ok(Some(3)));
        assert_eq!(expires(r#"{"exp":"3"}"#, Some(5)), Err(TokenRefused::Malformed));
    }

    #[test]
    fn a_token_is_expired_in_the_very_second_of_its_expiry() {
        let times = Times { issued_s: None, not_before_s: Some(50), expires_s: Some(100) };
        for (now_s, leeway_s, expected) in [
            (49, 0, Err(TokenRefused::NotYetValid)),
            (50, 0, Ok(())),
            (99, 0, Ok(())),
            (100, 0, Err(TokenRefused::Expired)),
            (44, 5, Err(TokenRefused::NotYetValid)),
            (45, 5, Ok(())),
            (104, 5, Ok(())),
            (105, 5, Err(TokenRefused::Expired)),
            (u64::MAX - 1, u64::MAX, Ok(())),
        ] {
            assert_eq!(times.check(now_s, leeway_s), expected, "at {now_s} with {leeway_s}");
        }
    }

    #[test]
    fn a_session_is_read_back_and_has_one_spelling() {
        let session = SessionId::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff]);
        assert_eq!(session.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(SessionId::parse(&session.to_string()), Some(session));
        for text in
            ["", "00", "000102030405060708090A0B0C0D0EFF", "000102030405060708090a0b0c0d0eff0", "\u{e9}"]
        {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }
}
