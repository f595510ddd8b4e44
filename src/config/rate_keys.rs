//! The section `[rates]`: how often a user, and an address, may do what. All off unless set.
//!
//! A rate is a number a second or a minute, and how many may come at once: `"100/s"`, `"5/m"`,
//! `"100/s burst 500"`. Without a burst it is the number itself.

use super::keys::Key;
use super::value::{Kind, Value};

/// A rate; what is written is kept, so that it is shown as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSetting {
    /// How many.
    pub count: u32,
    /// In so many seconds: 1 or 60.
    pub seconds: u32,
    /// How many at once.
    pub burst: u32,
}

impl RateSetting {
    /// Reads `N/s`, `N/m`, with ` burst B` behind it or not.
    pub fn parse(text: &str) -> Option<RateSetting> {
        let (rate, burst) = match text.trim().split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(burst.trim().parse().ok()?)),
            None => (text.trim(), None),
        };
        let (count, unit) = rate.split_once('/')?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            _ => return None,
        };
        let count: u32 = count.trim().parse().ok()?;
        let burst = burst.unwrap_or(count);
        (count > 0 && burst > 0).then_some(RateSetting { count, seconds, burst })
    }

    /// The text that [`RateSetting::parse`] reads.
    pub fn show(self) -> String {
        let RateSetting { count, seconds, burst } = self;
        let unit = if seconds == 1 { 's' } else { 'm' };
        if burst == count { format!("{count}/{unit}") } else { format!("{count}/{unit} burst {burst}") }
    }
}

macro_rules! rate_keys {
    ($($field:ident = $summary:literal;)*) => {
        /// The section `[rates]`; `None` is no limit.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the summaries of the keys are the documentation")]
        pub struct RateSettings {
            $(pub $field: Option<RateSetting>,)*
        }

        /// The keys of the section `[rates]`.
        pub(super) static RATE_KEYS: &[Key] = &[$(Key {
            dotted: concat!("rates.", stringify!($field)),
            kind: Kind::Rate,
            summary: $summary,
            write: |config, value| config.rates.$field = value.into_rate(),
            read: |config| Value::Rate(config.rates.$field),
        }),*];
    };
}

rate_keys! {
    user_put = "Appends of one user.";
    user_patch = "Patches of one user.";
    user_get = "Reads of one user.";
    user_delete = "Deletes and trims of one user.";
    user_list = "Listings of one user.";
    user_listen = "Listens and subscriptions of one user.";
    address_put = "Appends of one address.";
    address_patch = "Patches of one address.";
    address_get = "Reads of one address.";
    address_delete = "Deletes and trims of one address.";
    address_list = "Listings of one address.";
    address_listen = "Listens and subscriptions of one address.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_a_unit_and_perhaps_a_burst() {
        let rate = |count, seconds, burst| Some(RateSetting { count, seconds, burst });
        for (text, expected) in [
            ("5/m", rate(5, 60, 5)),
            ("100/s", rate(100, 1, 100)),
            (" 100/s burst 500 ", rate(100, 1, 500)),
            ("0/s", None),
            ("5/s burst 0", None),
            ("5", None),
            ("5/h", None),
            ("-5/s", None),
            ("5/s burst", None),
            ("", None),
        ] {
            assert_eq!(RateSetting::parse(text), expected, "{text}");
        }
        for shown in ["5/m", "100/s burst 500"] {
            assert_eq!(RateSetting::parse(shown).expect("sound").show(), shown);
        }
    }
}
