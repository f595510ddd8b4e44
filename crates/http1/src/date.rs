//! The date format of HTTP (RFC 9110 §5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`.
//!
//! The faces format the current second once and give the same 29 bytes to every reply of that second. No
//! clock here.

/// Bytes of a formatted date.
pub const HTTP_DATE_BYTES: usize = 29;

/// The last second that four digits of a year can show: 9999-12-31 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;
const DAY_SECONDS: u64 = 86_400;
/// Days from 0000-03-01, where the arithmetic starts so that a leap day ends its year, to 1970-01-01.
const DAYS_TO_EPOCH: u64 = 719_468;
const DAYS_PER_400_YEARS: u64 = 146_097;
const WEEKDAYS: &[u8; 21] = b"SunMonTueWedThuFriSat";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// `unix_seconds` (since 1970-01-01 00:00:00 UTC) as an HTTP date. Times after the year 9999 read as its last
/// second.
pub fn format_http_date(unix_seconds: u64) -> [u8; HTTP_DATE_BYTES] {
    let seconds = unix_seconds.min(LAST_SECOND);
    let (days, time) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
    let (year, month, day) = civil_from_days(days);
    // 1970-01-01 was a Thursday, number 4 of a week that begins on Sunday.
    let weekday = (days + 4) % 7;
    let mut date = *b"Sun, 00 Jan 0000 00:00:00 GMT";
    date[..3].copy_from_slice(&WEEKDAYS[weekday as usize * 3..][..3]);
    put_two_digits(&mut date, 5, day);
    date[8..11].copy_from_slice(&MONTHS[(month as usize - 1) * 3..][..3]);
    put_two_digits(&mut date, 12, year / 100);
    put_two_digits(&mut date, 14, year % 100);
    put_two_digits(&mut date, 17, time / 3_600);
    put_two_digits(&mut date, 20, time / 60 % 60);
    put_two_digits(&mut date, 23, time % 60);
    date
}

/// Year, month (from 1) and day (from 1) of the day `days` after 1970-01-01, in the Gregorian calendar.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_EPOCH;
    let (era, day_of_era) = (days / DAYS_PER_400_YEARS, days % DAYS_PER_400_YEARS);
    // Take the leap days out: one each 4 years (1,461 days), none each 100 (36,524), one each 400.
    let leap_days = day_of_era / 1_460 + day_of_era / 146_096;
    let year_of_era = (day_of_era + day_of_era / 36_524 - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 31, 30, 31, 30, 31 days over and over: 153 days per five of them.
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn put_two_digits(date: &mut [u8; HTTP_DATE_BYTES], at: usize, value: u64) {
    assert!(value < 100);
    date[at] = b'0' + (value / 10) as u8;
    date[at + 1] = b'0' + (value % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unix_seconds: u64, expected: &str) {
        assert_eq!(std::str::from_utf8(&format_http_date(unix_seconds)), Ok(expected));
    }

    #[test]
    fn known_moments_read_as_they_should() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
        check(1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT");
        check(4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT");
        check(LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT");
        check(u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    /// Counts the calendar forward day by day, by the rule of leap years alone.
    #[test]
    fn every_day_until_the_year_2500_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970u64, 1u64, 1u64);
        for days in 0.. {
            assert_eq!(civil_from_days(days), (year, month, day), "day {days}");
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let month_days = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > month_days {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
            if year == 2500 {
                return;
            }
        }
    }
}
