//! What the server wants to know of a certificate: when it is valid, and the common name of its subject.
//!
//! Called for our own certificate when it is loaded, and for that of a client after `rustls` has verified it.
//! A reader of just enough DER (X.690) for that walk of RFC 5280 §4.1; it trusts nothing and never panics,
//! and what it does not understand it leaves unknown. Nothing here decides whom to trust.

use std::ops::Range;

/// Universal tags of X.690.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
/// `[0] EXPLICIT`, the version of a certificate that is not of version 1.
const VERSION: u8 = 0xa0;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// Longest common name that is kept: ub-common-name is 64 characters, of up to 4 bytes.
const NAME_BYTES_MAX: usize = 256;

/// When a certificate is valid, in seconds since 1970.
pub fn validity(certificate: &[u8]) -> Option<Range<i64>> {
    let mut validity = Fields::of(certificate)?.validity;
    Some(validity.time()?..validity.time()?)
}

/// The common name of the subject; the last one, the most specific, if there are several.
pub fn common_name(certificate: &[u8]) -> Option<String> {
    let mut subject = Fields::of(certificate)?.subject;
    let mut found = None;
    while let Some(mut set) = subject.enter(SET) {
        while let Some(mut attribute) = set.enter(SEQUENCE) {
            let is_name = attribute.take(OBJECT_ID)? == COMMON_NAME;
            let (tag, value) = attribute.next()?;
            if is_name && matches!(tag, UTF8_STRING | PRINTABLE_STRING) && value.len() <= NAME_BYTES_MAX {
                found = std::str::from_utf8(value).ok().map(str::to_owned);
            }
        }
    }
    found
}

/// The parts of a TBSCertificate that are looked at.
struct Fields<'a> {
    validity: Reader<'a>,
    subject: Reader<'a>,
}

impl Fields<'_> {
    fn of(certificate: &[u8]) -> Option<Fields<'_>> {
        let mut body = Reader(certificate).enter(SEQUENCE)?.enter(SEQUENCE)?;
        let (first, _) = body.next()?;
        if first == VERSION {
            // The serial number, which otherwise was the first.
            body.next()?;
        }
        let (_algorithm, _issuer) = (body.enter(SEQUENCE)?, body.enter(SEQUENCE)?);
        Some(Fields { validity: body.enter(SEQUENCE)?, subject: body.enter(SEQUENCE)? })
    }
}

/// What is left of a run of DER values.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next value: its tag and its contents.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // A certificate is not longer than the 64 KiB of a handshake message.
            0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
            0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().and_then(|(tag, value)| (tag == wanted).then_some(value))
    }

    fn enter(&mut self, wanted: u8) -> Option<Reader<'a>> {
        self.take(wanted).map(Reader)
    }

    /// A time as RFC 5280 §4.1.2.5 wants it: in UTC, with seconds, without fractions.
    fn time(&mut self) -> Option<i64> {
        let (tag, text) = self.next()?;
        let (year, rest) = match tag {
            UTC_TIME => {
                let year = digits(text.get(..2)?)?;
                (if year >= 50 { 1900 + year } else { 2000 + year }, text.get(2..)?)
            }
            GENERALIZED_TIME => (digits(text.get(..4)?)?, text.get(4..)?),
            _ => return None,
        };
        if rest.len() != 11 || rest[10] != b'Z' {
            return None;
        }
        let mut pairs = rest[..10].chunks(2).map(digits);
        let mut pair = || pairs.next().flatten();
        let (month, day, hour, minute, second) = (pair()?, pair()?, pair()?, pair()?, pair()?);
        let is_sound = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
        is_sound.then(|| days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// Days of the Gregorian calendar; years begin in March, so that a leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tls::self_signed;
    use proptest::prelude::*;

    fn certificate() -> Vec<u8> {
        let names = ["ålice".to_owned(), "localhost".to_owned()];
        self_signed::pair(&names[..1], &names[1..], 1_000_000_000).expect("a pair").certificate_der
    }

    #[test]
    fn days_are_counted_across_leap_years_and_centuries() {
        for (date, days) in [
            ((1970, 1, 1), 0),
            ((1969, 12, 31), -1),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2100, 3, 1), 47_541),
            ((2026, 12, 31), 20_818),
        ] {
            assert_eq!(days_since_1970(date.0, date.1, date.2), days, "{date:?}");
        }
    }

    #[test]
    fn validity_and_name_of_a_certificate_are_found() {
        let certificate = certificate();
        let validity = validity(&certificate).expect("it says");
        assert!(validity.contains(&1_000_000_000) && !validity.contains(&2_000_000_000), "{validity:?}");
        assert_eq!(common_name(&certificate).as_deref(), Some("ålice"));
    }

    #[test]
    fn times_of_both_forms_are_read_and_others_are_not() {
        let time = |tag: u8, text: &str| {
            let length = u8::try_from(text.len()).expect("short");
            let der = [&[tag, length], text.as_bytes()].concat();
            Reader(&der).time()
        };
        assert_eq!(time(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        for bad in ["7001010000Z", "701301000001Z", "700101240001Z", "70010100000+0100", "", "x00101000001Z"]
        {
            assert_eq!(time(UTC_TIME, bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (validity(&bytes), common_name(&bytes));
        }

        #[test]
        fn a_damaged_certificate_does_not_panic(at in any::<prop::sample::Index>(), to in any::<u8>(),
            cut in any::<prop::sample::Index>()) {
            let mut bytes = certificate();
            let place = at.index(bytes.len());
            bytes[place] = to;
            let _ = (validity(&bytes), common_name(&bytes));
            bytes.truncate(cut.index(bytes.len()));
            let _ = (validity(&bytes), common_name(&bytes));
        }
    }
}
