//! Events as listeners get them: arrays of JSON items, encoded once for all listeners of a core.
//!
//! An array is built with room for a frame header in front, so that its WebSocket form is the same memory.
//! Pure: nothing here knows who listens.

use super::positions;
use super::subscription::Position;
use crate::broker::event_json::{blank_line_ends, write_event};
use bytes::{Bytes, BytesMut};
use engine::Gap;
use std::cell::OnceCell;
use std::fmt::Write as _;
use types::{Epoch, Record, SeqNum};
use websocket::{Opcode, frame_header};

/// Bytes of an array after which a new one is begun, so that a large append fits an outbox in parts.
const ARRAY_BYTES_TARGET: usize = 64 * 1024;
/// What an item takes beside names and payload: braces, keys, two numbers.
const ITEM_OVERHEAD_BYTES: usize = 80;
/// Longest header of a frame that is not masked (RFC 6455 §5.2).
const FRAME_HEADER_BYTES_MAX: usize = 10;

/// What an array tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Events.
    Events,
    /// Events that will not come.
    Gap,
    /// A stream that was made anew.
    Reset,
}

/// An array of items, in every wire form.
#[derive(Debug)]
pub struct Array {
    /// Room, a frame header that ends where the array begins, the array.
    memory: Bytes,
    frame_start: usize,
    sse: OnceCell<Bytes>,
    pub(super) kind: Kind,
    /// The first event; for a notice the same as `after.next`.
    pub(super) first: SeqNum,
    /// The place in the stream behind these items.
    pub(super) after: Position,
}

impl Array {
    /// The JSON text.
    pub fn json(&self) -> Bytes {
        self.memory.slice(FRAME_HEADER_BYTES_MAX..)
    }

    /// One WebSocket text message.
    pub fn websocket(&self) -> Bytes {
        self.memory.slice(self.frame_start..)
    }

    /// One message of an event stream in one chunk, as a listener of this stream alone gets it. `tag` is
    /// that listener's, see [`positions::tag_of`]; it is the same for all of them.
    pub fn sse(&self, tag: u32) -> Bytes {
        self.sse
            .get_or_init(|| sse_chunk(&self.json(), self.kind, &positions::encode_one(tag, self.after)))
            .clone()
    }

    /// Bytes of the JSON text.
    pub(super) fn len(&self) -> usize {
        self.memory.len() - FRAME_HEADER_BYTES_MAX
    }

    fn new(mut memory: BytesMut, kind: Kind, first: SeqNum, after: Position) -> Array {
        memory.extend_from_slice(b"]");
        let header = frame_header(Opcode::Text, true, memory.len() - FRAME_HEADER_BYTES_MAX);
        let frame_start = FRAME_HEADER_BYTES_MAX - header.len();
        memory[frame_start..FRAME_HEADER_BYTES_MAX].copy_from_slice(&header);
        Array { memory: memory.freeze(), frame_start, sse: OnceCell::new(), kind, first, after }
    }
}

/// Memory for an array of about so many bytes, with its opening bracket.
fn begin(json_bytes: usize) -> BytesMut {
    let mut memory = BytesMut::with_capacity(FRAME_HEADER_BYTES_MAX + json_bytes + 2);
    memory.extend_from_slice(&[0; FRAME_HEADER_BYTES_MAX]);
    memory.extend_from_slice(b"[");
    memory
}

/// The arrays of some contiguous events, each about 64 KiB long at most or of one event. `names` are the JSON
/// members that name the stream.
pub fn arrays_of(names: &str, epoch: Epoch, records: &[Record]) -> Vec<Array> {
    let size = |record: &Record| record.payload().len() + names.len() + ITEM_OVERHEAD_BYTES;
    let mut arrays = Vec::new();
    let mut rest = records;
    while let Some(first) = rest.first() {
        let mut bytes = size(first);
        let mut count = 1;
        while let Some(record) = rest.get(count) {
            if bytes + size(record) > ARRAY_BYTES_TARGET {
                break;
            }
            bytes += size(record);
            count += 1;
        }
        let (now, later) = rest.split_at(count);
        let mut memory = begin(bytes + count);
        for (index, record) in now.iter().enumerate() {
            if index > 0 {
                memory.extend_from_slice(b",");
            }
            write_event(&mut memory, record, Some(names));
        }
        let after = Position { epoch, next: now[count - 1].seq().next() };
        arrays.push(Array::new(memory, Kind::Events, first.seq(), after));
        rest = later;
    }
    arrays
}

/// The notice of a gap.
pub(super) fn gap_notice(names: &str, epoch: Epoch, gap: &Gap) -> Array {
    let text = format!("{{\"meta\":{{{names},\"gap\":{{\"from\":{},\"to\":{}}}}}}}", gap.from, gap.to);
    notice(&text, Kind::Gap, Position { epoch, next: gap.to.next() })
}

/// The notice that a stream was made anew.
pub(super) fn reset_notice(names: &str, epoch: Epoch) -> Array {
    let text = format!("{{\"meta\":{{{names},\"reset\":{{\"epoch\":{epoch}}}}}}}");
    notice(&text, Kind::Reset, Position { epoch, next: SeqNum::FIRST })
}

fn notice(text: &str, kind: Kind, after: Position) -> Array {
    let mut memory = begin(text.len());
    memory.extend_from_slice(text.as_bytes());
    Array::new(memory, kind, after.next, after)
}

/// One message of an event stream, in one chunk.
fn sse_chunk(json: &[u8], kind: Kind, id: &str) -> Bytes {
    let head = sse_head(kind, id);
    let mut out = BytesMut::with_capacity(head.len() + json.len() + 32);
    let _ = write!(out, "{:x}\r\n", head.len() + json.len() + SSE_END.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&one_line(json));
    out.extend_from_slice(SSE_END.as_bytes());
    out.extend_from_slice(b"\r\n");
    out.freeze()
}

/// What ends a message of an event stream.
pub const SSE_END: &str = "\n\n";

/// What stands before the array in a message of an event stream.
pub fn sse_head(kind: Kind, id: &str) -> String {
    let event = match kind {
        Kind::Events => "",
        Kind::Gap => "event: gap\n",
        Kind::Reset => "event: reset\n",
    };
    format!("{event}id: {id}\ndata: ")
}

/// The same JSON in one line: a line end can stand in it only between two tokens, where a space is as good.
pub fn one_line(json: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let Some(first) = memchr::memchr2(b'\n', b'\r', json) else { return json.into() };
    let mut line = json.to_vec();
    blank_line_ends(&mut line[first..]);
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use types::{EventDraft, Timestamp};

    fn record(seq: u64, draft: &EventDraft) -> Record {
        let mut out = BytesMut::new();
        Record::encode(&mut out, draft, SeqNum(seq), Timestamp(1000 + seq), None);
        Record::from_encoded(out.freeze())
    }

    fn json(text: &'static str) -> EventDraft {
        EventDraft::json(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn items_name_their_stream() {
        let records = [record(1, &json("{ \"a\" : 1.0 }")), record(2, &json("null"))];
        let expected = "[{\"meta\":{\"id\":1,\"t\":1001,\"stream\":\"s\"},\"data\":{ \"a\" : 1.0 }},\
                        {\"meta\":{\"id\":2,\"t\":1002,\"stream\":\"s\"},\"data\":null}]";
        let arrays = arrays_of("\"stream\":\"s\"", Epoch(7), &records);
        assert_eq!(arrays.iter().map(Array::json).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn many_events_come_in_several_arrays_and_a_large_one_alone() {
        let large = EventDraft::json(Bytes::from(format!("\"{}\"", "x".repeat(2 * ARRAY_BYTES_TARGET))));
        let mut records: Vec<Record> = (1..=2000).map(|seq| record(seq, &json("1"))).collect();
        records.push(record(2001, &large));
        records.push(record(2002, &json("1")));
        let arrays = arrays_of("\"stream\":\"s\"", Epoch(7), &records);
        let mut next = SeqNum(1);
        for array in &arrays {
            assert_eq!(array.first, next);
            assert!(array.len() <= ARRAY_BYTES_TARGET || array.after.next == array.first.next());
            let items: Vec<serde_json::Value> = serde_json::from_slice(&array.json()).expect("an array");
            assert_eq!(items.len() as u64, array.after.next.since(array.first));
            next = array.after.next;
        }
        assert_eq!((next, arrays.len()), (SeqNum(2003), 5));
    }

    #[test]
    fn the_websocket_form_is_one_text_frame() {
        let arrays = arrays_of("\"stream\":\"s\"", Epoch(7), &[record(1, &json("1"))]);
        let (frame, json) = (arrays[0].websocket(), arrays[0].json());
        assert_eq!(frame[..2], [0x81, u8::try_from(json.len()).expect("short")]);
        assert_eq!(frame[2..], json);
    }

    #[test]
    fn notices_say_the_range_or_the_epoch() {
        let gap = Gap { from: SeqNum(3), to: SeqNum(5), cause: engine::GapCause::Trimmed };
        let array = gap_notice("\"bucket\":\"b\",\"stream\":\"s\"", Epoch(7), &gap);
        assert_eq!(array.json(), r#"[{"meta":{"bucket":"b","stream":"s","gap":{"from":3,"to":5}}}]"#);
        assert_eq!(array.after, Position { epoch: Epoch(7), next: SeqNum(6) });
        let array = reset_notice("\"bucket\":\"b\",\"stream\":\"s\"", Epoch(9));
        assert_eq!(array.json(), r#"[{"meta":{"bucket":"b","stream":"s","reset":{"epoch":9}}}]"#);
    }

    #[test]
    fn an_event_stream_has_one_data_line_whatever_the_payload() {
        let chunk = sse_chunk(b"[{\n\"a\":\r\n1}]", Kind::Events, "x");
        assert_eq!(chunk, &b"1a\r\nid: x\ndata: [{ \"a\":  1}]\n\n\r\n"[..]);
        let chunk = sse_chunk(b"[]", Kind::Gap, "x");
        assert_eq!(chunk, &b"1b\r\nevent: gap\nid: x\ndata: []\n\n\r\n"[..]);
    }
}
