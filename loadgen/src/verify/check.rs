//! The history check: from notes and what a stream holds at the end to breaches of what was promised.
//!
//! Pure, and linear in the number of events and requests of the stream. Every rule is one of `docs/api.md`:
//! numbers without holes, acknowledged events once at their number and byte for byte, refused ones absent,
//! unknown ones at most once, batches whole, conditions kept, real time respected, nothing unseen that was
//! seen.

use super::content::EventId;
use super::notes::{Notes, Outcome, Request, digest};
use std::collections::HashMap;
use std::fmt;

/// An event as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its number.
    pub(crate) number: u64,
    /// Its time, in milliseconds.
    pub(crate) time_ms: u64,
    /// Its bytes.
    pub(crate) content: Vec<u8>,
}

/// A promise that was not kept, with the stream and the number or the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    /// The stream.
    pub(crate) stream: u32,
    /// What is wrong.
    pub(crate) kind: BreachKind,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BreachKind {
    /// The numbers jump.
    Hole { after: u64, next: u64 },
    /// Times go back.
    TimeWentBack { number: u64 },
    /// Nobody sent such an event to this stream.
    Foreign { number: u64 },
    /// The bytes are not those that were sent.
    Changed { number: u64 },
    /// An event stands there twice.
    Repeated { number: u64, first: u64 },
    /// An acknowledged event is not there.
    Lost { writer: u32, request: u64, number: u64 },
    /// An acknowledged event stands at another number than the one that was told.
    Moved { number: u64, told: u64 },
    /// A refused event is there.
    RefusedStored { number: u64 },
    /// A batch is there in part, or not in one piece.
    BatchTorn { writer: u32, request: u64 },
    /// A conditional event stands behind another number than it asked for.
    ConditionBroken { number: u64, after: u64 },
    /// It was sent after an event with a larger number had been acknowledged.
    OutOfTime { number: u64, earlier: u64 },
    /// What was read on the way is not there any more, or is another event.
    Unseen { number: u64 },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}: ", self.stream)?;
        match &self.kind {
            BreachKind::Hole { after, next } => write!(f, "event {after} is followed by {next}"),
            BreachKind::TimeWentBack { number } => write!(f, "event {number} is older than the one before"),
            BreachKind::Foreign { number } => write!(f, "event {number} was never sent to this stream"),
            BreachKind::Changed { number } => write!(f, "event {number} has other bytes than were sent"),
            BreachKind::Repeated { number, first } => write!(f, "event {number} is event {first} again"),
            BreachKind::Lost { writer, request, number } => {
                write!(
                    f,
                    "event {number} (request {request} of writer {writer}) was acknowledged and is lost"
                )
            }
            BreachKind::Moved { number, told } => write!(f, "event {number} was acknowledged as {told}"),
            BreachKind::RefusedStored { number } => write!(f, "event {number} was refused and is stored"),
            BreachKind::BatchTorn { writer, request } => {
                write!(f, "the batch of request {request} of writer {writer} is not there in one piece")
            }
            BreachKind::ConditionBroken { number, after } => {
                write!(f, "event {number} was to be stored only behind {after}")
            }
            BreachKind::OutOfTime { number, earlier } => {
                write!(f, "event {number} was acknowledged before event {earlier} was sent")
            }
            BreachKind::Unseen { number } => {
                write!(f, "event {number} was read before and is not there as it was")
            }
        }
    }
}

/// Figures of a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All requests.
    pub(crate) requests: u64,
    /// Those acknowledged.
    pub(crate) acknowledged: u64,
    /// Those refused.
    pub(crate) refused: u64,
    /// Those of which nobody knows.
    pub(crate) unknown: u64,
    /// Of these, those that are there.
    pub(crate) unknown_stored: u64,
    /// Retries that were answered from memory.
    pub(crate) replayed: u64,
    /// Events at the end.
    pub(crate) events: u64,
    /// Events seen on the way.
    pub(crate) observed: u64,
}

/// What the check found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Figures.
    pub(crate) counts: Counts,
    /// Broken promises.
    pub(crate) breaches: Vec<Breach>,
}

/// Where a request's events were found.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// Number of the event at place 0, as told by the first one found.
    first: u64,
    /// How many were found.
    count: u32,
    is_torn: bool,
}

/// Checks one stream; adds to `verdict`.
pub(crate) fn check_stream(stream: u32, notes: &Notes, held: &[Held], verdict: &mut Verdict) {
    let mut checker = Checker { stream, found: HashMap::new(), breaches: &mut verdict.breaches };
    let requests: HashMap<(u32, u64), &Request> =
        notes.requests.iter().map(|request| ((request.writer, request.index), request)).collect();
    checker.check_numbers(held);
    for event in held {
        checker.check_event(event, &requests);
    }
    checker.check_real_time(held, &requests);
    for request in &notes.requests {
        checker.check_request(request, &mut verdict.counts);
    }
    checker.check_seen(notes, held);
    verdict.counts.events += held.len() as u64;
    verdict.counts.observed += notes.seen.len() as u64;
}

struct Checker<'a> {
    stream: u32,
    found: HashMap<(u32, u64), Found>,
    breaches: &'a mut Vec<Breach>,
}

impl Checker<'_> {
    fn breach(&mut self, kind: BreachKind) {
        self.breaches.push(Breach { stream: self.stream, kind });
    }

    /// From 1 without holes; times never go back.
    fn check_numbers(&mut self, held: &[Held]) {
        let (mut last, mut time_ms) = (0, 0);
        for event in held {
            if event.number != last + 1 {
                self.breach(BreachKind::Hole { after: last, next: event.number });
            }
            if event.time_ms < time_ms {
                self.breach(BreachKind::TimeWentBack { number: event.number });
            }
            (last, time_ms) = (event.number, event.time_ms.max(time_ms));
        }
    }

    /// Known, unchanged, and not there before.
    fn check_event(&mut self, event: &Held, requests: &HashMap<(u32, u64), &Request>) {
        let number = event.number;
        let id = EventId::parse(&event.content);
        let request = id.and_then(|id| requests.get(&(id.writer, id.request)).map(|request| (id, *request)));
        let Some((id, request)) = request.filter(|(id, request)| id.place < request.events) else {
            // A changed identity is told by the event that is lost.
            return self.breach(BreachKind::Foreign { number });
        };
        if id.content() != event.content {
            self.breach(BreachKind::Changed { number });
        }
        if request.outcome == Outcome::Refused {
            self.breach(BreachKind::RefusedStored { number });
        }
        let found = self.found.entry((id.writer, id.request)).or_default();
        let first = number.wrapping_sub(u64::from(id.place));
        if found.count == 0 {
            found.first = first;
        }
        // In one piece and in order: place k stands k behind place 0, and comes as the k-th.
        let is_repeated = id.place < found.count;
        let is_expected = id.place == found.count && first == found.first;
        found.is_torn |= !is_expected && !is_repeated;
        found.count = found.count.max(id.place + 1);
        let repeated_of = found.first.wrapping_add(u64::from(id.place));
        if is_repeated {
            self.breach(BreachKind::Repeated { number, first: repeated_of });
        }
    }

    /// No event may stand before one that was acknowledged before it was sent.
    fn check_real_time(&mut self, held: &[Held], requests: &HashMap<(u32, u64), &Request>) {
        // The latest beginning among the events so far, and its number.
        let (mut latest_ns, mut latest_number) = (0, 0);
        for event in held {
            let id = EventId::parse(&event.content);
            let Some(request) = id.and_then(|id| requests.get(&(id.writer, id.request))) else { continue };
            if request.ended_ns < latest_ns {
                self.breach(BreachKind::OutOfTime { number: event.number, earlier: latest_number });
            }
            if request.begun_ns > latest_ns {
                (latest_ns, latest_number) = (request.begun_ns, event.number);
            }
        }
    }

    fn check_request(&mut self, request: &Request, counts: &mut Counts) {
        let found = self.found.get(&(request.writer, request.index)).copied().unwrap_or_default();
        let (writer, index) = (request.writer, request.index);
        counts.requests += 1;
        counts.replayed += u64::from(request.was_replayed);
        if found.count > 0 && (found.is_torn || found.count < request.events) {
            self.breach(BreachKind::BatchTorn { writer, request: index });
        }
        if let Some(after) =
            request.after.filter(|after| found.count > 0 && found.first != after.wrapping_add(1))
        {
            self.breach(BreachKind::ConditionBroken { number: found.first, after });
        }
        match request.outcome {
            Outcome::Refused => counts.refused += 1,
            Outcome::Unknown => {
                counts.unknown += 1;
                counts.unknown_stored += u64::from(found.count > 0);
            }
            Outcome::Stored { first } => {
                counts.acknowledged += 1;
                if found.count == 0 {
                    self.breach(BreachKind::Lost { writer, request: index, number: first });
                } else if found.first != first {
                    self.breach(BreachKind::Moved { number: found.first, told: first });
                }
            }
        }
    }

    /// What was read on the way stands where it stood.
    fn check_seen(&mut self, notes: &Notes, held: &[Held]) {
        let digests: HashMap<u64, u64> =
            held.iter().map(|event| (event.number, digest(&event.content))).collect();
        for seen in &notes.seen {
            if digests.get(&seen.number) != Some(&seen.digest) {
                self.breach(BreachKind::Unseen { number: seen.number });
            }
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
