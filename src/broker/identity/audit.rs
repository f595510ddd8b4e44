//! Who logged in, who changed what, and what was refused: events of `$sys/audit`.
//!
//! Faces tell; a task on each core appends what has gathered, some hundredths of a second later. Nobody waits
//! for it: what a crash loses of it is that last moment. Refusals can be made from outside, so what waits is
//! bounded, so many a second are kept, and the rest is told as a number. Old events are trimmed away.

use super::Identity;
use crate::broker::{AppendRequest, Broker};
use crate::sys::executor::sleep;
use crate::sys::notify::Notify;
use crate::sys::{clock, random};
use auth::limiter::{Limiter, Rate};
use bytes::Bytes;
use engine::AckLevel;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Weak;
use std::time::Duration;
use types::{Drafts, EventDraft, SeqNum, StreamKey};

/// Events that wait on one core.
const WAITING_MAX: usize = 1024;
/// Events that one core keeps in a second, and at once.
const KEPT_PER_SECOND: u32 = 100;
const KEPT_AT_ONCE: u32 = 500;
/// How long events gather.
const GATHER: Duration = Duration::from_millis(50);
/// Events after which old ones are trimmed away.
const TRIM_EVERY: u64 = 256;

/// One core's events that are not yet appended.
pub(super) struct Audit {
    waiting: RefCell<VecDeque<String>>,
    /// Since the last append.
    dropped: Cell<u64>,
    rate: RefCell<Limiter<()>>,
    changed: Notify,
}

impl Audit {
    pub(super) fn new() -> Audit {
        let rate = Rate { per_second: f64::from(KEPT_PER_SECOND), burst: KEPT_AT_ONCE };
        let rate = Limiter::new(rate, 1, random::bits_128()).expect("a sound rate");
        let (waiting, dropped) = (RefCell::default(), Cell::new(0));
        Audit { waiting, dropped, rate: RefCell::new(rate), changed: Notify::new() }
    }

    fn push(&self, event: &Value) {
        let mut waiting = self.waiting.borrow_mut();
        let has_room = waiting.len() < WAITING_MAX;
        if has_room && self.rate.borrow_mut().take(&(), clock::monotonic_ns(), 1).is_ok() {
            waiting.push_back(event.to_string());
        } else {
            self.dropped.set(self.dropped.get() + 1);
        }
        self.changed.notify();
    }

    fn take(&self) -> Drafts {
        let mut events: Drafts =
            self.waiting.borrow_mut().drain(..).map(|text| EventDraft::json(Bytes::from(text))).collect();
        let dropped = self.dropped.take();
        if dropped > 0 {
            let text = json!({ "what": "not-kept", "count": dropped }).to_string();
            events.push(EventDraft::json(Bytes::from(text)));
        }
        events
    }
}

impl Identity {
    /// Tells an event: an object with `what` it is. No secret may stand in it.
    pub fn audit(&self, event: &Value) {
        if self.config().audit_events_max > 0 {
            self.audit.push(event);
        }
    }
}

/// Appends what gathers on this core.
pub(super) async fn keep(broker: Weak<Broker>) {
    let stream = StreamKey::parse("$sys", "audit").expect("a valid name");
    let mut has_failed = false;
    loop {
        let Some(waiting) = broker.upgrade() else { return };
        waiting.identity().audit.changed.notified().await;
        drop(waiting);
        sleep(GATHER).await;
        let Some(broker) = broker.upgrade() else { return };
        let drafts = broker.identity().audit.take();
        if drafts.is_empty() {
            continue;
        }
        let count = drafts.len() as u64;
        let (expect, idempotency, ack) = (None, None, AckLevel::Fsync);
        let request = AppendRequest { stream: stream.clone(), drafts, expect, idempotency, ack };
        match broker.append(request).await {
            Ok(appended) => {
                has_failed = false;
                let last = appended.first.0 + count - 1;
                let kept = broker.identity().config().audit_events_max;
                if last / TRIM_EVERY != (last - count) / TRIM_EVERY && last > kept {
                    let _ = broker.trim(stream.clone(), SeqNum(last - kept + 1)).await;
                }
            }
            Err(failure) if !has_failed => {
                has_failed = true;
                eprintln!("millrace: {count} events are not in {stream}: {}", failure.reason());
            }
            Err(_) => {}
        }
    }
}
