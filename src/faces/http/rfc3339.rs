//! Times as clients write them (RFC 3339 §5.6), into milliseconds since the epoch.
//!
//! Years 1970 to 9999; a leap second counts as the second before it; digits below the millisecond are
//! dropped. An offset's `+` may have become a space on its way through a query.

use types::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// The time that `text` names; `None` if it is none, or lies before 1970.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(10)?;
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    let (clock, rest) = rest.split_at_checked(9)?;
    let (hour, minute, second) = (number(&clock[1..3])?, number(&clock[4..6])?, number(&clock[7..])?);
    let separators = [date[4], date[7], clock[0].to_ascii_uppercase(), clock[3], clock[6]];
    if separators != *b"--T::" && separators != *b"-- ::" {
        return None;
    }
    if !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_ms, rest) = fraction(rest)?;
    let offset_min = offset(rest)?;
    let time_ms = ((hour * 60 + minute) * 60 + second.min(59)) * 1000 + fraction_ms;
    let ms = days_since_epoch(year, month, day) * DAY_MS + time_ms - offset_min * 60_000;
    u64::try_from(ms).ok().map(Timestamp)
}

fn number(digits: &[u8]) -> Option<i64> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all.then(|| digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// `.` and digits, in milliseconds, and what follows them.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(count);
    let known = number(&digits[..count.min(3)])?;
    let scale = [0, 100, 10, 1][count.min(3)];
    Some((known * scale, rest))
}

/// `Z` or `±HH:MM`, in minutes.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [b'Z' | b'z'] => return Some(0),
        [b'+' | b' ', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    if rest.len() != 5 || rest[2] != b':' {
        return None;
    }
    let (hours, minutes) = (number(&rest[..2])?, number(&rest[3..])?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, by the calendar that begins its year in March.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_read() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:00z", 0),
            ("1994-11-06T08:49:37Z", 784_111_777_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("2024-02-29T23:59:59.9999999Z", 1_709_251_199_999),
            ("2024-02-29T23:59:59.5Z", 1_709_251_199_500),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
            ("1985-04-12T23:20:50.52Z", 482_196_050_520),
            ("1996-12-19T16:39:57-08:00", 851_042_397_000),
            ("1970-01-01T05:30:00+05:30", 0),
            ("1970-01-01T05:30:00 05:30", 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ] {
            assert_eq!(parse(text), Some(Timestamp(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2024",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:61Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+2:00",
            "2024-01-01T00:00:00+24:00",
            "2024/01/01T00:00:00Z",
            "2024-01-01T00:00:00Zx",
            "1969-12-31T23:59:59Z",
            "\u{663}024-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn the_day_after_a_day_is_one_day_later(
            year in 1970_i64..9999,
            month in 1_i64..=12,
            day in 1_i64..=31,
        ) {
            proptest::prop_assume!(day < days_of(year, month));
            let next = days_since_epoch(year, month, day + 1);
            proptest::prop_assert_eq!(days_since_epoch(year, month, day) + 1, next);
        }
    }
}
