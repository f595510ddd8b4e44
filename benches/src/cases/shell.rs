//! The shell's own work for an event: the reply to its append, its wire forms for listeners, the way to them.
//!
//! What needs an event loop or a socket is counted where the whole server runs.

use super::repeat;
use crate::specimens::{key, records};
use crate::{Case, Work};
use bytes::BytesMut;
use engine::{AckLevel, Appended};
use futures_lite::future::block_on;
use http1::{ReplyTo, Version};
use millrace::broker::fanout::{Entry, Outbox, arrays_of};
use millrace::faces::http::appended::encode_appended;
use millrace::observe::Histogram;
use millrace::sys::lane::{Receiver, Sender, lane};
use std::hint::black_box;
use std::thread;
use types::{Epoch, Record, SeqNum, Timestamp};

/// Members that name the stream in each item.
const NAMES: &str = "\"bucket\":\"bench\",\"stream\":\"house/000007\"";
/// Listeners of a stream.
const LISTENERS: usize = 100;
/// Deliveries of one round.
const DELIVERIES: usize = 16;
/// Messages of one batch between cores.
const BATCH: u64 = 64;

pub(super) const CASES: &[Case] = &[
    Case { name: "append/reply", event: "usual reply to an append", rounds: 64, prepare: replies },
    Case { name: "observe/time", event: "time of a request into its histogram", rounds: 64, prepare: times },
    Case {
        name: "fanout/encode/websocket",
        event: "event of 128 B as a WebSocket message, a delivery each",
        rounds: 32,
        prepare: || encode(|record| arrays_of(NAMES, Epoch(1), record)[0].websocket().len()),
    },
    Case {
        name: "fanout/encode/sse",
        event: "event of 128 B as a message of an event stream, a delivery each",
        rounds: 32,
        prepare: || encode(|record| arrays_of(NAMES, Epoch(1), record)[0].sse(7).len()),
    },
    Case {
        name: "fanout/encode/batch-64",
        event: "event of 128 B, 64 in one WebSocket message",
        rounds: 32,
        prepare: encode_batch,
    },
    Case {
        name: "fanout/outboxes/100",
        event: "message into one of 100 outboxes and out again",
        rounds: 16,
        prepare: outboxes,
    },
    Case {
        name: "hop/batch-1",
        event: "message between two cores, one in a batch",
        rounds: 32,
        prepare: || hop(1),
    },
    Case {
        name: "hop/batch-64",
        event: "message between two cores, 64 in a batch",
        rounds: 32,
        prepare: || hop(BATCH),
    },
    Case {
        name: "hop/threads-64",
        event: "message to another thread and back, 64 in a batch",
        rounds: 16,
        prepare: threads,
    },
];

fn replies() -> Box<dyn Work> {
    let stream = key(7);
    repeat(
        (stream, BytesMut::with_capacity(64 << 10)),
        |(_, out)| out.clear(),
        |(stream, out)| {
            let to = ReplyTo { version: Version::Http11, head_only: false, keep_alive: true };
            for seq in 1..=BATCH {
                let (first, time) = (SeqNum(1_000_000 + seq), Timestamp(1_700_000_000_000));
                let appended = Appended { first, time, count: 1, replayed: false, ack: AckLevel::Fsync };
                encode_appended(stream, &appended, out, to, b"Thu, 01 Jan 1970 00:00:00 GMT");
            }
            assert!(black_box(&out).len() > 200 * 64);
            BATCH
        },
    )
}

fn times() -> Box<dyn Work> {
    repeat(
        Histogram::default(),
        |_| {},
        |histogram| {
            // A disk's times: two milliseconds, some of them a little more.
            (0..BATCH).for_each(|number| histogram.observe_ns(black_box(2_000_000 + number * 20_000)));
            assert!(histogram.read().count() >= BATCH);
            BATCH
        },
    )
}

fn encode(len_of: fn(&[Record]) -> usize) -> Box<dyn Work> {
    repeat(
        (records(BATCH), len_of),
        |_| {},
        |(records, len_of)| {
            let bytes: usize = records.chunks(1).map(|record| black_box(len_of(record))).sum();
            assert!(bytes > records.len() * 128);
            records.len() as u64
        },
    )
}

fn encode_batch() -> Box<dyn Work> {
    repeat(
        records(BATCH),
        |_| {},
        |records| {
            let arrays = black_box(arrays_of(NAMES, Epoch(1), records));
            assert_eq!(arrays.len(), 1);
            records.len() as u64
        },
    )
}

fn outboxes() -> Box<dyn Work> {
    let message = arrays_of(NAMES, Epoch(1), &records(1))[0].websocket();
    let all: Vec<Outbox> = (0..LISTENERS).map(|_| Outbox::new(1 << 20)).collect();
    repeat(
        (message, all),
        |_| {},
        |(message, all)| {
            for _ in 0..DELIVERIES {
                all.iter().for_each(|outbox| outbox.push(Entry::Wire(message.clone())));
            }
            for outbox in &*all {
                let (entries, cost) = outbox.take(usize::MAX, usize::MAX);
                assert_eq!(black_box(entries).len(), DELIVERIES);
                outbox.sent(cost);
            }
            (DELIVERIES * all.len()) as u64
        },
    )
}

/// Both ends on one thread: what the lane costs, without the kernel's part of a wake-up.
struct Hop {
    sender: Sender<u64>,
    receiver: Receiver<u64>,
    batch: u64,
    outgoing: Vec<u64>,
    incoming: Vec<u64>,
}

fn hop(batch: u64) -> Box<dyn Work> {
    let (sender, receiver) = lane(1024);
    repeat(
        Hop { sender, receiver, batch, outgoing: Vec::new(), incoming: Vec::new() },
        |_| {},
        |hop| {
            for _ in 0..DELIVERIES {
                hop.outgoing.extend(0..hop.batch);
                assert!(block_on(hop.sender.put_all(&mut hop.outgoing)), "the receiver is there");
                assert!(block_on(hop.receiver.take_all(&mut hop.incoming)), "the sender is there");
                assert_eq!(black_box(&hop.incoming).len() as u64, hop.batch);
                hop.incoming.clear();
            }
            DELIVERIES as u64 * hop.batch
        },
    )
}

/// A thread that sends everything back. It ends with the case: then its lane has no sender.
struct Echo {
    there: Sender<u64>,
    back: Receiver<u64>,
    outgoing: Vec<u64>,
    incoming: Vec<u64>,
}

fn threads() -> Box<dyn Work> {
    let ((there, mut arrives), (mut returns, back)) = (lane(1024), lane(1024));
    thread::spawn(move || {
        let mut batch = Vec::new();
        while block_on(arrives.take_all(&mut batch)) && block_on(returns.put_all(&mut batch)) {}
    });
    repeat(
        Echo { there, back, outgoing: Vec::new(), incoming: Vec::new() },
        |_| {},
        |echo| {
            for _ in 0..DELIVERIES {
                echo.outgoing.extend(0..BATCH);
                assert!(block_on(echo.there.put_all(&mut echo.outgoing)), "the thread is there");
                let mut count = 0;
                while count < BATCH {
                    assert!(block_on(echo.back.take_all(&mut echo.incoming)), "the thread is there");
                    count += echo.incoming.drain(..).len() as u64;
                }
            }
            DELIVERIES as u64 * BATCH
        },
    )
}
