//! The shell's own work for an event: its wire forms for listeners, their outboxes, the way between cores.
//!
//! What a hop costs beyond this (a wake-up of a core that sleeps) is the kernel's, and is counted where the
//! whole server runs.

use super::repeat;
use crate::specimens::records;
use crate::{Case, Work};
use futures_lite::future::block_on;
use millrace::broker::fanout::{Entry, Outbox, arrays_of};
use millrace::sys::lane::{Receiver, Sender, lane};
use std::hint::black_box;
use types::{Epoch, Record};

/// Members that name the stream in each item.
const NAMES: &str = "\"bucket\":\"bench\",\"stream\":\"house/000007\"";
/// Listeners of a stream.
const LISTENERS: usize = 100;
/// Deliveries of one round.
const DELIVERIES: usize = 16;
/// Messages of one batch between cores.
const BATCH: u64 = 64;

pub(super) const CASES: &[Case] = &[
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
];

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
