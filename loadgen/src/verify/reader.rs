//! Reading streams back: whole at the end, and here and there on the way.
//!
//! What is read on the way must still be there at the end: once seen, never unseen. The end is read in pages,
//! each behind the last.

use super::Stage;
use super::check::Held;
use super::client::Client;
use super::notes::{Notes, Seen, digest};
use crate::decide::choice::Mix;
use crate::wire::append::stream_name;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::thread;
use std::time::Duration;

/// Events of a page at the end, and of a look on the way.
const PAGE_EVENTS: u64 = 2000;
const LOOK_EVENTS: u64 = 40;
/// Most events noted on the way.
const SEEN_MAX: usize = 5_000_000;
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Deserialize)]
struct Item<'a> {
    meta: Meta,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Meta {
    id: u64,
    t: u64,
}

/// Looks at the newest events of streams by chance, until it is over.
pub(crate) fn observe(stage: &Stage, seed: u64) -> Notes {
    let (mut notes, mut mix, mut client) = (Notes::default(), Mix::new(!seed), None);
    while !stage.is_over() {
        thread::sleep(PAUSE);
        let stream = mix.below(u64::from(stage.streams)) as u32;
        let Some(mut open) = client.take().or_else(|| stage.connect().ok()) else { continue };
        // The server may be away; there is another time.
        let Ok(events) = page(stage, &mut open, stream, &format!("limit={LOOK_EVENTS}")) else { continue };
        client = Some(open);
        for event in events {
            if notes.seen.len() < SEEN_MAX {
                notes.seen.push(Seen { stream, number: event.number, digest: digest(&event.content) });
            }
        }
    }
    notes
}

/// Everything that a stream holds.
pub(crate) fn read_all(stage: &Stage, stream: u32) -> Result<Vec<Held>, String> {
    let mut client = stage.connect().map_err(|error| error.to_string())?;
    let (mut all, mut next) = (Vec::new(), 1);
    loop {
        let events = page(stage, &mut client, stream, &format!("from={next}&limit={PAGE_EVENTS}"))?;
        let Some(last) = events.last() else { return Ok(all) };
        if last.number < next {
            return Err(format!("a page from {next} ends with {}", last.number));
        }
        next = last.number + 1;
        all.extend(events);
    }
}

fn page(stage: &Stage, client: &mut Client, stream: u32, query: &str) -> Result<Vec<Held>, String> {
    let target = format!("/streams/{}/{}?{query}", stage.bucket, stream_name("v", stream));
    let reply = client.send("GET", &target, &[], b"").map_err(|error| error.to_string())?;
    if reply.head.status() != 200 {
        return Err(format!("status {}", reply.head.status()));
    }
    parse(&reply.body)
}

fn parse(body: &[u8]) -> Result<Vec<Held>, String> {
    let items: Vec<Item<'_>> = serde_json::from_slice(body).map_err(|error| format!("no events: {error}"))?;
    let held = |item: &Item<'_>| Held {
        number: item.meta.id,
        time_ms: item.meta.t,
        content: item.data.get().as_bytes().to_vec(),
    };
    Ok(items.iter().map(held).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_byte_for_byte() {
        let body = br#"[{"meta":{"id":3,"t":9,"b":"c"},"data":{"a" : 1.0e1}},
            {"data":"x","meta":{"id":4,"t":9}}]"#;
        let held = parse(body).expect("it is sound");
        assert_eq!(held[0], Held { number: 3, time_ms: 9, content: br#"{"a" : 1.0e1}"#.to_vec() });
        assert_eq!((held[1].number, &held[1].content[..]), (4, &b"\"x\""[..]));
        assert!(parse(b"{}").is_err() && parse(b"[{\"meta\":{}}]").is_err());
    }
}
