//! What one writer did, and the check that the server agrees.
//!
//! A writer numbers its events from 0 and posts them in order, each with an idempotency key; after an error
//! the outcome is unknown and the same event is posted again under the same key. So a sound server holds
//! every event of every writer exactly once, in the writer's order, up to one unknown at the end.

use crate::client::Client;
use std::collections::BTreeMap;
use std::io::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

/// A writer and what was acknowledged to it.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) name: usize,
    pub(crate) stream: String,
    /// Sequence numbers by event number.
    pub(crate) acknowledged: Vec<u64>,
}

impl Writer {
    pub(crate) fn new(name: usize, stream: String) -> Writer {
        Writer { name, stream, acknowledged: Vec::new() }
    }

    /// Posts until `stop` or the connection breaks; the first error is given back.
    pub(crate) fn write(&mut self, addr: SocketAddr, stop: &AtomicBool) -> Result<()> {
        let mut client = Client::connect(addr)?;
        while !stop.load(Ordering::Relaxed) {
            self.write_one(&mut client)?;
        }
        Ok(())
    }

    pub(crate) fn write_one(&mut self, client: &mut Client) -> Result<()> {
        let n = self.acknowledged.len();
        let (key, body) = (format!("{}-{n}", self.name), format!("{{\"w\":{},\"n\":{n}}}", self.name));
        let id = client.post(&self.stream, &key, &body)?;
        self.acknowledged.push(id);
        Ok(())
    }
}

/// Checks every stream of the writers against what was acknowledged.
pub(crate) fn verify(addr: SocketAddr, writers: &[Writer]) -> u64 {
    let mut client = Client::connect(addr).expect("the server listens");
    let mut streams: BTreeMap<&str, Vec<&Writer>> = BTreeMap::new();
    writers.iter().for_each(|writer| streams.entry(&writer.stream).or_default().push(writer));
    let mut count = 0;
    for (stream, writers) in streams {
        let events = client.events(stream).expect("every event can be read");
        count += events.len() as u64;
        verify_stream(stream, &events, &writers);
    }
    count
}

fn verify_stream(stream: &str, events: &[(u64, u64, serde_json::Value)], writers: &[&Writer]) {
    let mut next_of: BTreeMap<u64, u64> = BTreeMap::new();
    let mut last_time = 0;
    for (expected, (id, time, data)) in (1..).zip(events) {
        assert_eq!(*id, expected, "{stream}: sequence numbers have no holes");
        assert!(*time >= last_time, "{stream}: times never go back at {id}");
        last_time = *time;
        let number = |name: &str| data[name].as_u64().expect("the event is as it was sent");
        let (writer, n) = (number("w"), number("n"));
        let next = next_of.entry(writer).or_default();
        assert_eq!(n, *next, "{stream}: writer {writer}'s events come once and in order, at {id}");
        *next += 1;
    }
    for writer in writers {
        let stored = next_of.get(&(writer.name as u64)).copied().unwrap_or(0);
        let acknowledged = writer.acknowledged.len() as u64;
        assert!(
            stored >= acknowledged,
            "{stream}: writer {}: {acknowledged} acknowledged, {stored} stored",
            writer.name
        );
        assert!(stored <= acknowledged + 1, "{stream}: writer {}: more stored than sent", writer.name);
        for (n, id) in writer.acknowledged.iter().enumerate() {
            let data = &events[usize::try_from(*id).expect("small") - 1].2;
            assert_eq!(
                data["n"].as_u64(),
                Some(n as u64),
                "{stream}: event {id} is the one that was acknowledged"
            );
            assert_eq!(data["w"].as_u64(), Some(writer.name as u64), "{stream}: event {id}");
        }
    }
}
