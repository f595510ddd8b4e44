//! The document of a result, as JSON: what was run, where, and what came of it.
//!
//! Written by `--json` and `--out`, read by `loadgen report` and `loadgen compare`. Times are microseconds,
//! sizes bytes, shares of a processor 1.0 for a whole one. Law: what is written is read back the same.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form of this document; another number is another form.
pub(crate) const FORMAT: u32 = 1;

/// One command's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ResultFile {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// The version of loadgen.
    pub(crate) loadgen: String,
    /// `append` or `listen`.
    pub(crate) verb: String,
    /// The scenario's name, or a name given to the run.
    pub(crate) name: String,
    /// The command line that repeats it.
    pub(crate) command: String,
    /// The kind of server.
    pub(crate) peer: String,
    /// Its address.
    pub(crate) target: String,
    /// When it was started, in milliseconds since 1970.
    pub(crate) started_unix_ms: u64,
    /// The machine.
    pub(crate) machine: String,
    /// One for each rate.
    pub(crate) runs: Vec<Run>,
}

/// One rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Offered events a second; none in a closed loop.
    pub(crate) offered_per_s: Option<f64>,
    /// Seconds measured.
    pub(crate) seconds: f64,
    /// Requests answered, or with listeners messages delivered.
    pub(crate) requests: u64,
    /// Events acknowledged, or with listeners delivered.
    pub(crate) events: u64,
    /// Their payload.
    pub(crate) bytes: u64,
    /// Events in a second.
    pub(crate) events_per_s: f64,
    /// Megabytes (10^6) of payload in a second.
    pub(crate) mb_per_s: f64,
    /// From the intended time to the answer or the delivery.
    pub(crate) latency: Percentiles,
    /// Percentile and microseconds.
    pub(crate) curve: Vec<(f64, f64)>,
    /// Failures by kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Requests that were due and never sent.
    pub(crate) unsent: u64,
    /// What the server used, if its process is known.
    pub(crate) server: Option<Side>,
    /// What loadgen used.
    pub(crate) client: Side,
    /// Processors' worth of time that all other processes used; with an unknown server, it is among them.
    pub(crate) others_cpu_share: f64,
    /// What listeners found.
    pub(crate) listen: Option<ListenFound>,
    /// The length of an interval of the time line.
    pub(crate) interval_s: f64,
    /// Interval by interval, without holes.
    pub(crate) timeline: Vec<Interval>,
}

/// A distribution of latencies, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    /// How many there were.
    pub(crate) count: u64,
    /// Half are at most this.
    pub(crate) p50_us: f64,
    /// Nine of ten.
    pub(crate) p90_us: f64,
    /// 99 of a hundred.
    pub(crate) p99_us: f64,
    /// 999 of a thousand.
    pub(crate) p99_9_us: f64,
    /// 9,999 of ten thousand.
    pub(crate) p99_99_us: f64,
    /// All.
    pub(crate) max_us: f64,
    /// The mean.
    pub(crate) mean_us: f64,
}

/// What one side used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Side {
    /// Processors' worth of time, 1.0 for a whole one, over the measured time.
    pub(crate) cpu_share: f64,
    /// Resident memory at the beginning.
    pub(crate) resident_bytes_begin: u64,
    /// The most of it.
    pub(crate) resident_bytes_max: u64,
}

/// What listeners found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ListenFound {
    /// How many there were.
    pub(crate) listeners: usize,
    /// Events that the writer had acknowledged in the measured time.
    pub(crate) published: u64,
    /// The writer's latency.
    pub(crate) publish_latency: Percentiles,
    /// Events that never came, though later ones did.
    pub(crate) missing: u64,
    /// Events that came again or late.
    pub(crate) repeated: u64,
    /// Events of other streams.
    pub(crate) foreign: u64,
    /// The same for listeners that were slow on purpose.
    pub(crate) slow_missing: u64,
    /// Acknowledged events that had not come when the run was given up.
    pub(crate) behind: u64,
    /// Listeners for whom that is so.
    pub(crate) behind_listeners: u64,
    /// Connections made anew.
    pub(crate) reconnects: u64,
    /// What the server's memory had grown by when all were connected, for each of them.
    pub(crate) server_bytes_per_listener: Option<f64>,
    /// Whether nothing was missing, repeated, foreign or behind.
    pub(crate) is_sound: bool,
}

/// One interval of the time line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    /// When it begins, in seconds since the warm-up.
    pub(crate) at_s: f64,
    /// Events in a second.
    pub(crate) events_per_s: f64,
    /// Megabytes (10^6) of payload in a second.
    pub(crate) mb_per_s: f64,
    /// Half of the latencies of this interval are at most this.
    pub(crate) p50_us: f64,
    /// 99 of a hundred.
    pub(crate) p99_us: f64,
    /// All.
    pub(crate) max_us: f64,
    /// Failures.
    pub(crate) errors: u64,
    /// The server's share of a processor, if it is known.
    pub(crate) server_cpu: Option<f64>,
    /// Ours.
    pub(crate) client_cpu: Option<f64>,
    /// The server's memory, if it is known.
    pub(crate) server_resident_bytes: Option<u64>,
}

impl ResultFile {
    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<ResultFile, String> {
        let file: ResultFile = serde_json::from_str(text).map_err(|error| format!("no result: {error}"))?;
        if file.format != FORMAT {
            return Err(format!("a result of format {}; this loadgen reads {FORMAT}", file.format));
        }
        Ok(file)
    }

    /// The document as text.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts, keys are texts") + "\n"
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A result with some of everything.
    pub(crate) fn example() -> ResultFile {
        let latency =
            Percentiles { count: 9, p50_us: 100.5, p99_us: 900.0, max_us: 1000.0, ..Percentiles::default() };
        let interval = |second: u32| Interval {
            at_s: f64::from(second),
            events_per_s: 100.0,
            p99_us: f64::from(second + 1) * 800.0,
            ..Interval::default()
        };
        let run = |offered: Option<f64>, rate: f64| Run {
            offered_per_s: offered,
            seconds: 3.0,
            events: 300,
            events_per_s: rate,
            latency,
            curve: vec![(50.0, 100.5), (99.0, 900.0), (100.0, 1000.0)],
            errors: BTreeMap::from([("status 503".to_owned(), 2)]),
            server: Some(Side { cpu_share: 0.5, resident_bytes_begin: 1, resident_bytes_max: 2 << 20 }),
            interval_s: 1.0,
            timeline: (0..3).map(interval).collect(),
            ..Run::default()
        };
        ResultFile {
            format: FORMAT,
            loadgen: "0.1.0".to_owned(),
            verb: "append".to_owned(),
            name: "a <name> & more".to_owned(),
            command: "loadgen append --sweep 100,200".to_owned(),
            peer: "millrace".to_owned(),
            target: "127.0.0.1:8080".to_owned(),
            started_unix_ms: 1_795_306_524_331,
            machine: "a machine".to_owned(),
            runs: vec![run(Some(100.0), 100.0), run(Some(200.0), 180.0)],
        }
    }

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let file = example();
        assert_eq!(ResultFile::parse(&file.to_json()), Ok(file));
    }

    #[test]
    fn another_format_and_another_document_are_refused_by_name() {
        let newer = ResultFile { format: 2, ..example() };
        let refused = ResultFile::parse(&newer.to_json());
        assert_eq!(refused, Err("a result of format 2; this loadgen reads 1".to_owned()));
        assert!(ResultFile::parse("{}").is_err_and(|error| error.starts_with("no result: missing field")));
    }
}
