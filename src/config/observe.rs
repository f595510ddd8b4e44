//! Settings of what the server tells about itself: the sections `[log]` and `[metrics]`.
//!
//! Called while the configuration is loaded; `serve` opens the log and starts the metrics with them.

use super::keys::{Key, NumberField};
use super::value::{Kind, Value};

/// The section `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `off`, `stderr`, or a path.
    pub access: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings { access: "off".to_owned() }
    }
}

/// The section `[metrics]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Time between two events of `$sys/metrics`; 0 for none.
    pub interval_s: u64,
    /// Events that each stream of `$sys` keeps.
    pub events_max: u64,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        // A week of minutes.
        MetricsSettings { interval_s: 60, events_max: 7 * 24 * 60 }
    }
}

impl MetricsSettings {
    /// Checks the relations between the values.
    ///
    /// # Errors
    /// The first that does not hold, naming the key.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.events_max {
            0 => Err("events_max must be at least 1; interval_s = 0 switches the events off".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The keys of these sections.
pub(super) static OBSERVE_KEYS: &[Key] = &[
    Key {
        dotted: "log.access",
        kind: Kind::Path,
        summary: "Where a line of JSON goes for each request: `off`, `stderr`, or the path of a file.",
        write: |config, value| config.log.access = value.into_text(),
        read: |config| Value::Text(config.log.access.clone()),
    },
    Key {
        dotted: "metrics.interval_s",
        kind: Kind::DurationS,
        summary: "Time between two events of the stream `metrics` in the bucket `$sys`; 0 for none.",
        write: |config, value| config.metrics.interval_s.set_number(&value),
        read: |config| Value::Number(config.metrics.interval_s),
    },
    Key {
        dotted: "metrics.events_max",
        kind: Kind::Count,
        summary: "Events that each stream of the bucket `$sys` keeps.",
        write: |config, value| config.metrics.events_max.set_number(&value),
        read: |config| Value::Number(config.metrics.events_max),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_keeps_nothing_is_refused() {
        assert_eq!(MetricsSettings::default().check(), Ok(()));
        let none = MetricsSettings { events_max: 0, ..MetricsSettings::default() };
        assert!(none.check().expect_err("nothing would be left").starts_with("events_max"));
    }
}
