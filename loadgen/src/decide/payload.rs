//! The bytes of an event: a fixed size, JSON or binary, with a stamp that says when, which stream and which
//! number, so that a listener can check order and age without parsing JSON.
//!
//! Written by appenders, scanned by listeners of every wire. A stamp is
//! `"lg":"TTTTTTTTTTTTTTTT.SSSSSSSS.NNNNNNNNNNNN"` in hexadecimal; nothing in it needs an escape, so it
//! survives every JSON writer. Laws: an event has exactly the size asked for; scanning any text finds each
//! whole stamp once and never panics.

use super::choice::Mix;
use bytes::{BufMut, BytesMut};
use memchr::memmem;

/// What an event says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The intended send time, by the run's clock.
    pub(crate) intended_ns: u64,
    /// The stream's index.
    pub(crate) stream: u32,
    /// The event's number in its stream, from 1; 48 bits of it.
    pub(crate) number: u64,
}

const MARK: &[u8] = b"\"lg\":\"";
const STAMP_BYTES: usize = 16 + 1 + 8 + 1 + 12;
/// `{` mark stamp `","p":"` pad `"}`: the smallest event that has room for a stamp.
pub(crate) const STAMPED_BYTES_MIN: usize = 1 + MARK.len() + STAMP_BYTES + 7 + 2;
/// The smallest event at all: `"x"`.
pub(crate) const EVENT_BYTES_MIN: usize = 3;

/// The form of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// A JSON object with a stamp and padding (a JSON string, where it is too small for that).
    Json,
    /// Bytes that are no JSON.
    Binary,
}

/// A maker of events of one size and shape.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    template: Vec<u8>,
    stamp_at: Option<usize>,
}

impl Payload {
    /// Events of `event_bytes` (at least [`EVENT_BYTES_MIN`]).
    pub(crate) fn new(shape: Shape, event_bytes: usize) -> Payload {
        assert!(event_bytes >= EVENT_BYTES_MIN, "checked with the options");
        match shape {
            Shape::Binary => {
                // Not UTF-8: a server cannot take it for text.
                let mut template = padding(event_bytes);
                template[0] = 0xFF;
                Payload { template, stamp_at: None }
            }
            Shape::Json if event_bytes < STAMPED_BYTES_MIN => {
                let template = [b"\"", &padding(event_bytes - 2)[..], b"\""].concat();
                Payload { template, stamp_at: None }
            }
            Shape::Json => {
                let pad = padding(event_bytes - STAMPED_BYTES_MIN);
                let zeros = [b'0'; STAMP_BYTES];
                let template = [b"{", MARK, &zeros[..], b"\",\"p\":\"", &pad[..], b"\"}"].concat();
                Payload { template, stamp_at: Some(1 + MARK.len()) }
            }
        }
    }

    /// The size of every event.
    pub(crate) fn event_bytes(&self) -> usize {
        self.template.len()
    }

    /// Appends one event.
    pub(crate) fn write(&self, stamp: Stamp, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(&self.template);
        if let Some(at) = self.stamp_at {
            write_stamp(stamp, &mut out[start + at..][..STAMP_BYTES]);
        }
    }
}

fn write_stamp(stamp: Stamp, room: &mut [u8]) {
    write_hex(stamp.intended_ns, &mut room[..16]);
    room[16] = b'.';
    write_hex(u64::from(stamp.stream), &mut room[17..25]);
    room[25] = b'.';
    write_hex(stamp.number, &mut room[26..38]);
}

fn write_hex(mut value: u64, room: &mut [u8]) {
    for place in room.iter_mut().rev() {
        *place = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

/// Padding that does not compress to nothing and needs no escape in JSON.
fn padding(byte_count: usize) -> Vec<u8> {
    let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut mix = Mix::new(byte_count as u64);
    (0..byte_count).map(|_| alphabet[mix.below(64) as usize]).collect()
}

/// Finds stamps in what a listener received.
#[derive(Debug)]
pub(crate) struct Scanner {
    mark: memmem::Finder<'static>,
}

impl Scanner {
    /// A scanner; building it costs more than a scan.
    pub(crate) fn new() -> Scanner {
        Scanner { mark: memmem::Finder::new(MARK) }
    }

    /// Every whole stamp in `text`, in order.
    pub(crate) fn stamps<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Stamp> + 'a {
        let read = |at: usize| read_stamp(text.get(at + MARK.len()..)?.get(..STAMP_BYTES)?);
        self.mark.find_iter(text).filter_map(read)
    }
}

fn read_stamp(text: &[u8]) -> Option<Stamp> {
    if text[16] != b'.' || text[25] != b'.' {
        return None;
    }
    Some(Stamp {
        intended_ns: read_hex(&text[..16])?,
        stream: read_hex(&text[17..25])? as u32,
        number: read_hex(&text[26..38])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(payload: &Payload, stamp: Stamp) -> BytesMut {
        let mut out = BytesMut::new();
        payload.write(stamp, &mut out);
        out
    }

    proptest! {
        #[test]
        fn events_have_the_size_asked_for_and_json_is_json(event_bytes in EVENT_BYTES_MIN..5000) {
            let json = written(&Payload::new(Shape::Json, event_bytes), Stamp::default());
            prop_assert_eq!(json.len(), event_bytes);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
            let binary = written(&Payload::new(Shape::Binary, event_bytes), Stamp::default());
            prop_assert_eq!(binary.len(), event_bytes);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&binary).is_err());
        }

        #[test]
        fn stamps_are_found_in_order_wherever_events_stand(
            parts in prop::collection::vec((any::<u64>(), any::<u32>(), 0..1u64 << 48, ".{0,20}"), 0..10),
        ) {
            let payload = Payload::new(Shape::Json, 100);
            let mut text = BytesMut::new();
            let mut stamps = Vec::new();
            for (intended_ns, stream, number, between) in parts {
                text.put_slice(between.as_bytes());
                let stamp = Stamp { intended_ns, stream, number };
                payload.write(stamp, &mut text);
                stamps.push(stamp);
            }
            prop_assert_eq!(Scanner::new().stamps(&text).collect::<Vec<_>>(), stamps);
        }

        #[test]
        fn no_text_makes_the_scanner_panic(
            text in prop::collection::vec(any::<u8>(), 0..100), cut in 0..60usize,
        ) {
            let mut event = written(&Payload::new(Shape::Json, STAMPED_BYTES_MIN), Stamp::default());
            event.truncate(cut);
            event.extend_from_slice(&text);
            Scanner::new().stamps(&event).for_each(drop);
        }
    }
}
