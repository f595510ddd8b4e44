//! Query parameters, by the letter of `docs/api.md`.
//!
//! Iorio's own parameters are forgiving (`limit` that is no integer is 1), ours are not: a value that cannot
//! be is `invalid-field`. Of a parameter that comes twice the first counts; unknown ones are ignored.

use super::rfc3339;
use super::route::bad_target;
use engine::ReadFrom;
use http1::RequestHead;
use http1::target::{QueryPair, query_pairs};
use std::time::Duration;
use types::{Failure, Limits, SeqNum, Timestamp};

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Parameters<'a>(Vec<QueryPair<'a>>);

impl<'a> Parameters<'a> {
    /// Decodes the query of `head`.
    ///
    /// # Errors
    /// [`Failure::BadRequest`] for an escape or bytes that do not decode.
    pub(super) fn of(head: &'a RequestHead) -> Result<Self, Failure> {
        let pairs = head.query().map(query_pairs).into_iter().flatten();
        pairs.map(|pair| pair.map_err(bad_target)).collect::<Result<_, _>>().map(Parameters)
    }

    /// The first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// All parameters, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// A parameter that is a flag: `name`, `name=true` or `name=false`.
    ///
    /// # Errors
    /// [`Failure::InvalidField`] for any other value.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Failure> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(value) => Err(invalid(name, value)),
        }
    }

    /// A parameter that is a whole number from 0.
    ///
    /// # Errors
    /// [`Failure::InvalidField`] for anything else.
    pub(super) fn count(&self, name: &'static str) -> Result<Option<u64>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match integer(text) {
            Some(value @ 0..) => Ok(Some(u64::try_from(value).unwrap_or(u64::MAX))),
            _ => Err(invalid(name, text)),
        }
    }
}

/// `invalid-field` of a parameter.
pub(super) fn invalid(field: &'static str, value: &str) -> Failure {
    Failure::InvalidField { field: field.into(), value: value.to_owned() }
}

/// What a GET of a stream asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadParameters {
    /// Where to start. `limit` is taken into account: without `from` it is the newest `limit`.
    pub from: ReadFrom,
    /// Most events; `None` asks for none at all.
    pub limit: Option<u64>,
    /// How long to wait for the first event.
    pub wait: Option<Duration>,
}

impl ReadParameters {
    /// Reads `limit`, `from`, `at` and `wait`. `is_bounded` tells that the reply is one array, which is never
    /// longer than `limits.read_events_max`.
    ///
    /// # Errors
    /// [`Failure::InvalidField`] for `at` and `wait`; the others have a meaning whatever they hold.
    pub(super) fn read(
        parameters: &Parameters<'_>,
        limits: &Limits,
        is_bounded: bool,
    ) -> Result<Self, Failure> {
        let limit = parameters.get("limit").and_then(integer).unwrap_or(1);
        let limit_max = if is_bounded { limits.read_events_max as u64 } else { u64::MAX };
        let limit = u64::try_from(limit).unwrap_or(if limit < 0 { 0 } else { u64::MAX }).min(limit_max);
        let from = parameters.get("from").and_then(integer);
        let at =
            parameters.get("at").map(|text| time(text).ok_or_else(|| invalid("at", text))).transpose()?;
        let from = match (from, at) {
            // Zero is not after the last and not before it: from the oldest.
            (Some(from @ 0..), _) => ReadFrom::Seq(SeqNum(u64::try_from(from).unwrap_or(u64::MAX).max(1))),
            (Some(back), _) => ReadFrom::BeforeLast(u64::try_from(back.unsigned_abs()).unwrap_or(u64::MAX)),
            (None, Some(at)) => ReadFrom::Time(at),
            // The newest `limit`: that many less one before the last.
            (None, None) => ReadFrom::BeforeLast(limit.saturating_sub(1)),
        };
        let wait_max = Duration::from_millis(limits.long_poll_ms_max);
        let wait = parameters.count("wait")?.map(|seconds| Duration::from_secs(seconds).min(wait_max));
        Ok(ReadParameters {
            from,
            limit: (limit > 0).then_some(limit),
            wait: wait.filter(|wait| !wait.is_zero()),
        })
    }
}

/// An integer in decimal digits with an optional sign, of any length: what does not fit saturates, because
/// "past the end" is a meaning too. `None` if it is no integer.
pub(super) fn integer(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let grow = |value: i128, digit: &u8| value.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
    let value = digits.iter().fold(0, grow);
    Some(if is_negative { -value } else { value })
}

/// A time: milliseconds since the epoch, or RFC 3339.
fn time(text: &str) -> Option<Timestamp> {
    match integer(text) {
        Some(ms @ 0..) => Some(Timestamp(u64::try_from(ms).unwrap_or(u64::MAX))),
        Some(_) => None,
        None => rfc3339::parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;
    use ReadFrom::{BeforeLast, Seq, Time};

    fn read(query: &str, is_bounded: bool) -> Result<ReadParameters, Failure> {
        let head = head("GET", &format!("/streams/b/s?{query}"), &[]);
        let parameters = Parameters::of(&head)?;
        ReadParameters::read(&parameters, &Limits::default(), is_bounded)
    }

    fn check(query: &str, from: ReadFrom, limit: u64) {
        let found = read(query, true).expect(query);
        assert_eq!((found.from, found.limit), (from, (limit > 0).then_some(limit)), "{query}");
    }

    #[test]
    fn a_limit_that_is_no_integer_is_one_and_one_below_one_is_none() {
        for (query, limit) in [
            ("", 1),
            ("limit=", 1),
            ("limit=x", 1),
            ("limit=1.5", 1),
            ("limit=7", 7),
            ("limit=%2B7", 7),
            ("limit=007", 7),
            ("limit=0", 0),
            ("limit=-3", 0),
            ("limit=10000", 10_000),
            ("limit=10001", 10_000),
            ("limit=99999999999999999999999999999999999999999999", 10_000),
            ("limit=2&limit=3", 2),
            ("Limit=3", 1),
        ] {
            let found = read(query, true).expect(query);
            assert_eq!(found.limit, (limit > 0).then_some(limit), "{query}");
        }
        assert_eq!(read("limit=10001", false).expect("valid").limit, Some(10_001));
    }

    #[test]
    fn from_counts_from_the_start_from_the_end_or_is_the_newest() {
        check("limit=3", BeforeLast(2), 3);
        check("limit=3&from=", BeforeLast(2), 3);
        check("limit=3&from=x", BeforeLast(2), 3);
        check("from=5", Seq(SeqNum(5)), 1);
        check("from=0", Seq(SeqNum(1)), 1);
        check("from=-1&limit=9", BeforeLast(1), 9);
        check("from=-99999999999999999999999", BeforeLast(u64::MAX), 1);
        check("from=99999999999999999999999", Seq(SeqNum(u64::MAX)), 1);
    }

    #[test]
    fn a_time_is_milliseconds_or_rfc_3339_and_from_wins_over_it() {
        check("at=1500", Time(Timestamp(1500)), 1);
        check("at=1970-01-01T00:00:01.5Z", Time(Timestamp(1500)), 1);
        check("at=1970-01-01T02:00:01%2B02:00", Time(Timestamp(1000)), 1);
        check("at=1970-01-01T02:00:01+02:00", Time(Timestamp(1000)), 1);
        check("at=1500&from=3", Seq(SeqNum(3)), 1);
        for bad in ["at=", "at=-5", "at=yesterday", "at=1970-13-01T00:00:00Z"] {
            assert!(matches!(read(bad, true), Err(Failure::InvalidField { .. })), "{bad}");
        }
    }

    #[test]
    fn a_wait_is_whole_seconds_up_to_the_limit() {
        let wait = |query: &str| read(query, true).map(|found| found.wait);
        assert_eq!(wait("wait=5"), Ok(Some(Duration::from_secs(5))));
        assert_eq!(wait("wait=0"), Ok(None));
        assert_eq!(wait("wait=99999999999"), Ok(Some(Duration::from_secs(300))));
        for bad in ["wait=-1", "wait=x", "wait=", "wait=1.5"] {
            assert!(wait(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_are_true_when_they_stand_there() {
        let flag = |query: &str| Parameters::of(&head("GET", &format!("/?{query}"), &[]))?.flag("details");
        assert_eq!(flag(""), Ok(false));
        assert_eq!(flag("details"), Ok(true));
        assert_eq!(flag("details=true"), Ok(true));
        assert_eq!(flag("details=false"), Ok(false));
        assert!(flag("details=1").is_err());
    }
}
