//! Quantities as people write them on a command line and in scenarios: durations, sizes, rates, cores.
//!
//! Called by the command line's parsers; pure. Never a default unit that is guessed: a bare number of a
//! duration is refused, because seconds and milliseconds are both plausible.

use std::time::Duration;

/// Processors, in the order in which threads take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoreList(pub(crate) Vec<usize>);

/// `250us`, `10ms`, `1.5s`, `10m`, `2h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" => return Err("a duration has a unit: us, ms, s, m or h, as in 10s".to_owned()),
        _ => return Err(format!("`{unit}` is no unit of time: us, ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{number}` is no number"))?;
    let total = number * seconds;
    if !(total.is_finite() && (0.0..=DURATION_S_MAX).contains(&total)) {
        return Err(format!("a duration is 0 to {DURATION_S_MAX} seconds"));
    }
    Ok(Duration::from_secs_f64(total))
}

/// A week: longer runs are taken for a slip of the finger.
const DURATION_S_MAX: f64 = 7.0 * 86_400.0;

/// `128`, `64KiB`, `1MB`.
pub(crate) fn parse_bytes(text: &str) -> Result<usize, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "B" => 1,
        "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(format!("`{unit}` is no unit of size: B, kB, KiB, MB, MiB, GB or GiB")),
    };
    let number: usize = number.parse().map_err(|_| format!("`{text}` is no size"))?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

/// Rates, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RateList(pub(crate) Vec<f64>);

/// `10k,20k,40k`.
pub(crate) fn parse_rates(text: &str) -> Result<RateList, String> {
    text.split(',').map(|rate| parse_rate(rate.trim())).collect::<Result<_, _>>().map(RateList)
}

/// A rate in events per second: `5000`, `20k`, `1.5M`.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.strip_suffix(['k', 'M']) {
        Some(number) if text.ends_with('k') => (number, 1e3),
        Some(number) => (number, 1e6),
        None => (text, 1.0),
    };
    let rate: f64 = number.parse().map_err(|_| format!("`{text}` is no rate, as in 5000, 20k or 1.5M"))?;
    let rate = rate * factor;
    if !(rate.is_finite() && rate > 0.0 && rate <= RATE_MAX) {
        return Err(format!("a rate is more than 0 and at most {RATE_MAX} a second"));
    }
    Ok(rate)
}

/// One event per nanosecond, the resolution of the schedule.
const RATE_MAX: f64 = 1e9;

/// `1`, `0,2`, `2-5`, and mixtures.
pub(crate) fn parse_cores(text: &str) -> Result<CoreList, String> {
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is no core"));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last > CORE_MAX {
            return Err(format!("`{part}` is no range of cores within 0-{CORE_MAX}"));
        }
        cores.extend(first..=last);
    }
    Ok(CoreList(cores))
}

/// The largest processor number that the kernel's affinity call takes with its usual set.
const CORE_MAX: usize = 1023;

/// Nanoseconds as a text of three figures with the unit that fits.
pub(crate) fn show_ns(ns: u64) -> String {
    let ns = ns as f64;
    let (value, unit) = match ns {
        _ if ns < 1e3 => (ns, "ns"),
        _ if ns < 1e6 => (ns / 1e3, "us"),
        _ if ns < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// A count with thousands set apart, as in `1,234,567`.
pub(crate) fn show_count(count: f64) -> String {
    let digits = format!("{:.0}", count.max(0.0));
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units_and_refused_without() {
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        for wrong in ["10", "s", "-1s", "10 s", "3d", "", "1e99s", "nans"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!((parse_bytes("128"), parse_bytes("64KiB")), (Ok(128), Ok(65_536)));
        for wrong in ["", "KiB", "1.5KiB", "-1", "99999999999GiB", "1k"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
        assert_eq!((parse_rate("20k"), parse_rate("1.5M"), parse_rate("3")), (Ok(2e4), Ok(1.5e6), Ok(3.0)));
        for wrong in ["0", "-1", "k", "inf", "nan", "2M2"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_rates("1k, 2"), Ok(RateList(vec![1e3, 2.0])));
        assert!(parse_rates("1k,").is_err());
        assert_eq!(parse_cores("1"), Ok(CoreList(vec![1])));
        assert_eq!(parse_cores("0,2-4"), Ok(CoreList(vec![0, 2, 3, 4])));
        for wrong in ["", "a", "3-1", "0,", "0-99999"] {
            assert!(parse_cores(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn figures_are_shown_with_the_unit_that_fits() {
        let shown = [7, 1_500, 23_400, 999_000, 1_000_000, 2_500_000_000].map(show_ns);
        assert_eq!(shown, ["7.00 ns", "1.50 us", "23.4 us", "999 us", "1.00 ms", "2.50 s"]);
        assert_eq!([0.0, 999.0, 1000.0, 1_234_567.2].map(show_count), ["0", "999", "1,000", "1,234,567"]);
    }
}
