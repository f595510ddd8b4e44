//! One writer of the verifier: request after request, each with a note of its outcome.
//!
//! A request with an idempotency key is sent again until it is answered; one without is left unknown when its
//! connection is cut. What certainly was not sent is not noted. A writer never waits for others.

use super::Stage;
use super::client::{Client, NoAnswer};
use super::content::EventId;
use super::notes::{Notes, Outcome, Request};
use crate::decide::choice::Mix;
use crate::wire::append::stream_name;
use http1::Response;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait before a server that is away is tried again.
const RETRY: Duration = Duration::from_millis(20);
/// Most requests of all writers; their notes are kept in memory, about 90 bytes each.
const REQUESTS_MAX: u64 = 30_000_000;
const BATCH_MAX: u64 = 12;

/// What kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// With an idempotency key.
    Keyed,
    /// A batch, with a key.
    KeyedBatch,
    /// Without anything: unknown when cut.
    Plain,
    /// A batch without a key.
    Batch,
    /// Only behind the last number known.
    Conditional,
}

/// Writes until the stage says that it is over.
pub(crate) fn write(stage: &Stage, writer: u32, seed: u64) -> Notes {
    let mut state = Writer {
        stage,
        writer,
        mix: Mix::new(seed ^ (u64::from(writer) << 32)),
        client: None,
        last_numbers: HashMap::new(),
        notes: Notes::default(),
    };
    let (begun, mut index) = (Instant::now(), 0);
    while !stage.is_over() && stage.request_count.fetch_add(1, Ordering::Relaxed) < REQUESTS_MAX {
        state.write_one(index);
        index += 1;
        let due = stage.pause.saturating_mul(u32::try_from(index).unwrap_or(u32::MAX));
        thread::sleep(due.saturating_sub(begun.elapsed()).min(Duration::from_secs(1)));
    }
    state.notes
}

struct Writer<'a> {
    stage: &'a Stage,
    writer: u32,
    mix: Mix,
    client: Option<Client>,
    /// The last number known of each stream.
    last_numbers: HashMap<u32, u64>,
    notes: Notes,
}

impl Writer<'_> {
    fn write_one(&mut self, index: u64) {
        let stream = self.mix.below(u64::from(self.stage.streams)) as u32;
        let kind = match self.mix.below(10) {
            0..=3 => Kind::Keyed,
            4 => Kind::KeyedBatch,
            5 | 6 => Kind::Plain,
            7 => Kind::Batch,
            _ => Kind::Conditional,
        };
        let is_batch = matches!(kind, Kind::Batch | Kind::KeyedBatch);
        let events = if is_batch { 2 + self.mix.below(BATCH_MAX - 1) as u32 } else { 1 };
        let last = self.last_numbers.get(&stream).copied().unwrap_or(0);
        let mut request = Request {
            writer: self.writer,
            index,
            stream,
            events,
            after: (kind == Kind::Conditional).then_some(last),
            begun_ns: 0,
            ended_ns: u64::MAX,
            outcome: Outcome::Unknown,
            was_replayed: false,
        };
        let is_keyed = matches!(kind, Kind::Keyed | Kind::KeyedBatch);
        if self.perform(&mut request, is_keyed) {
            self.notes.requests.push(request);
        }
    }

    /// Sends until the outcome is known or cannot be; whether anything was sent at all.
    fn perform(&mut self, request: &mut Request, is_keyed: bool) -> bool {
        loop {
            let Some(mut client) = self.connected() else { return request.begun_ns > 0 };
            if request.begun_ns == 0 {
                request.begun_ns = self.stage.now_ns();
            }
            match send(self.stage, &mut client, request, is_keyed) {
                Ok(reply) => {
                    self.client = Some(client).filter(|_| reply.head.keep_alive());
                    if self.take_answer(request, &reply) || !is_keyed {
                        return true;
                    }
                }
                Err(NoAnswer::NotSent(_)) if !is_keyed => return false,
                Err(_) if !is_keyed => return true,
                Err(_) => {}
            }
            thread::sleep(RETRY);
        }
    }

    /// The connection, made anew if need be; `None` when it is over before one could be made.
    fn connected(&mut self) -> Option<Client> {
        if let Some(client) = self.client.take().filter(|_| !self.stage.is_over()) {
            return Some(client);
        }
        while !self.stage.is_over() {
            match self.stage.connect() {
                Ok(client) => return Some(client),
                Err(_) => thread::sleep(RETRY),
            }
        }
        None
    }

    /// Notes the outcome; whether it is known.
    fn take_answer(&mut self, request: &mut Request, reply: &Response) -> bool {
        let number = |names: [&str; 2]| {
            let body: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
            names
                .iter()
                .filter(|name| !name.is_empty())
                .try_fold(&body, |value, name| value.get(*name))?
                .as_u64()
        };
        match reply.head.status() {
            200 | 201 => {
                let Some(first) = number(["meta", "id"]) else { return false };
                request.outcome = Outcome::Stored { first };
                request.was_replayed = reply.head.header("idempotent-replayed").is_some();
                request.ended_ns = self.stage.now_ns();
                self.last_numbers.insert(request.stream, first + u64::from(request.events) - 1);
                true
            }
            412 => {
                request.outcome = Outcome::Refused;
                request.ended_ns = self.stage.now_ns();
                if let Some(last) = number(["seq", ""]) {
                    self.last_numbers.insert(request.stream, last);
                }
                true
            }
            // Every other error leaves it open whether something is stored (docs/api.md).
            _ => false,
        }
    }
}

fn send(stage: &Stage, client: &mut Client, request: &Request, is_keyed: bool) -> Result<Response, NoAnswer> {
    let query = if stage.is_ack_memory { "?ack=memory" } else { "" };
    let target = format!("/streams/{}/{}{query}", stage.bucket, stream_name("v", request.stream));
    let mut body = Vec::new();
    for place in 0..request.events {
        let id = EventId { writer: request.writer, request: request.index, place };
        body.extend_from_slice(&id.content());
        if request.events > 1 {
            body.push(b'\n');
        }
    }
    let content_type = if request.events > 1 { "application/x-ndjson" } else { "application/json" };
    let key = format!("{}-{}", request.writer, request.index);
    let condition = request.after.map(|after| format!("\"{after}\"")).unwrap_or_default();
    let mut headers = vec![("Content-Type", content_type)];
    if is_keyed {
        headers.push(("Idempotency-Key", &key));
    }
    if request.after.is_some() {
        headers.push(("If-Match", &condition));
    }
    client.send("POST", &target, &headers, &body)
}
