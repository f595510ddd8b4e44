//! Everything that one run does, checked: the result of the options, the input of the workers.
//!
//! Built by the verbs, shared by all threads, never changed while a run goes on. One plan is one rate; a
//! sweep makes a plan for each.

use super::secure::Secure;
use crate::decide::schedule::Pace;
use crate::wire::append::AppendForm;
use crate::wire::listen::ListenForm;
use std::net::SocketAddr;
use std::time::Duration;

/// Which stream the next request goes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    /// By chance, with a Zipf exponent; 0 is even.
    Random {
        /// The exponent.
        skew: f64,
    },
    /// Each in turn.
    Round,
}

/// Where listeners begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum From {
    /// With the next event.
    Live,
    /// With the first event of the history.
    Start,
    /// Each somewhere in the history, by chance.
    Random,
}

/// Which streams a listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subscribe {
    /// One, in turn.
    One,
    /// All of them.
    All,
}

/// Listeners that are slow on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowPlan {
    /// How many of the listeners; the first ones.
    pub(crate) count: usize,
    /// What each reads in a second while the writer writes.
    pub(crate) bytes_per_s: usize,
}

/// The listeners of a run.
#[derive(Clone, Debug)]
pub(crate) struct ListenPlan {
    /// How they ask.
    pub(crate) form: ListenForm,
    /// How many.
    pub(crate) count: usize,
    /// Of which streams.
    pub(crate) subscribe: Subscribe,
    /// From where on.
    pub(crate) from: From,
    /// Each leaves and comes back this often.
    pub(crate) reconnect_every: Option<Duration>,
    /// The slow ones among them.
    pub(crate) slow: Option<SlowPlan>,
    /// Without a rate: events that may be sent and not yet delivered to everybody.
    pub(crate) window: u64,
}

/// A run.
#[derive(Clone, Debug)]
pub(crate) struct LoadPlan {
    /// The server's address.
    pub(crate) target: SocketAddr,
    /// With TLS, and how.
    pub(crate) secure: Option<Secure>,
    /// The requests.
    pub(crate) append: AppendForm,
    /// Streams written to.
    pub(crate) streams: usize,
    /// In which order.
    pub(crate) order: Order,
    /// Connections that append; 0 for none.
    pub(crate) connections: usize,
    /// Requests under way on each.
    pub(crate) pipeline: usize,
    /// Requests of a connection before a new one takes its place.
    pub(crate) reconnect_after: Option<u64>,
    /// How load is offered.
    pub(crate) pace: Pace,
    /// Most requests of the run.
    pub(crate) requests_max: u64,
    /// Not measured.
    pub(crate) warmup: Duration,
    /// Measured.
    pub(crate) duration: Duration,
    /// How long answers and deliveries are waited for at the end.
    pub(crate) drain: Duration,
    /// The length of one window of the time line.
    pub(crate) interval: Duration,
    /// Threads of the client.
    pub(crate) threads: usize,
    /// Their processors; empty for any.
    pub(crate) cores: Vec<usize>,
    /// The listeners, if any. Then each stream is written by one connection, in order.
    pub(crate) listen: Option<ListenPlan>,
    /// Per stream the number of its last event before the run; empty where numbers do not matter.
    pub(crate) history: Vec<u64>,
    /// Makes runs differ.
    pub(crate) seed: u64,
}

impl LoadPlan {
    /// Whether events are numbered, so that listeners can follow them.
    pub(crate) fn is_numbered(&self) -> bool {
        !self.history.is_empty()
    }

    /// Listeners of the run.
    pub(crate) fn listener_count(&self) -> usize {
        self.listen.as_ref().map_or(0, |listen| listen.count)
    }

    /// Connections of the run.
    pub(crate) fn connection_count(&self) -> usize {
        self.connections + self.listener_count()
    }

    /// Whether the run only reads what was written before, and ends when everybody has it.
    pub(crate) fn is_replay(&self) -> bool {
        let from = self.listen.as_ref().map(|listen| listen.from);
        let has_past = self.history.iter().any(|last| *last > 0);
        self.connections == 0 && has_past && from.is_some_and(|from| from != From::Live)
    }

    /// Connections of `worker` that append: all of the first worker where numbers matter, otherwise evenly.
    pub(crate) fn writers_of(&self, worker: usize) -> usize {
        match (self.is_numbered(), worker) {
            (true, 0) => self.connections,
            (true, _) => 0,
            (false, _) => share(self.connections, worker, self.threads),
        }
    }

    /// How many listeners get each event of each stream, those apart that are slow on purpose.
    pub(crate) fn copies(&self) -> Vec<u64> {
        let Some(listen) = &self.listen else { return Vec::new() };
        let mut copies = vec![0; self.streams];
        for index in listen.slow.map_or(0, |slow| slow.count)..listen.count {
            match listen.subscribe {
                Subscribe::One => copies[index % self.streams] += 1,
                Subscribe::All => copies.iter_mut().for_each(|count| *count += 1),
            }
        }
        copies
    }

    /// The streams of listener `index`.
    pub(crate) fn streams_of(&self, listen: &ListenPlan, index: usize) -> Vec<u32> {
        match listen.subscribe {
            Subscribe::One => vec![(index % self.streams) as u32],
            Subscribe::All => (0..self.streams as u32).collect(),
        }
    }
}

/// The part of `count` things that worker `index` of `of` has.
pub(crate) fn share(count: usize, index: usize, of: usize) -> usize {
    count / of + usize::from(index < count % of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_differ_by_at_most_one() {
        for (count, of) in [(0, 1), (7, 3), (64, 5), (2, 4)] {
            let shares: Vec<usize> = (0..of).map(|index| share(count, index, of)).collect();
            assert_eq!(shares.iter().sum::<usize>(), count);
            assert!(shares.iter().max() <= shares.iter().min().map(|min| min + 1).as_ref(), "{shares:?}");
        }
    }
}
