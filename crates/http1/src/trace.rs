//! Decodes bytes in two ways and demands the same result: the body of fuzz targets and of the split
//! properties.
//!
//! Called by `fuzz/` and by this crate's tests, never by the server. It panics where an invariant does not
//! hold.

use bytes::BytesMut;

use crate::config::Config;
use crate::decoder::{Decoded, Decoder};
use crate::error::HttpError;
use crate::head::RequestHead;
use crate::headers::Headers;
use crate::reply::{ResponseDecoder, ResponseHead};

/// What a decoder made of some bytes, in a form that can be compared: pieces of one body are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A head: what was derived from it, and its lines.
    Head(String),
    /// A body so far.
    Body(Vec<u8>),
    /// The end of a message.
    End,
    /// The error that stopped it.
    Failed(HttpError),
}

/// A way to decode: takes one step from the buffer.
trait Decode {
    fn step(&mut self, buf: &mut BytesMut) -> Result<Option<Step>, HttpError>;
    fn end_of_input(&mut self) {}
}

impl Decode for Decoder {
    fn step(&mut self, buf: &mut BytesMut) -> Result<Option<Step>, HttpError> {
        Ok(self.decode(buf)?.map(|decoded| step_of(decoded, request_text)))
    }
}

impl Decode for ResponseDecoder {
    fn step(&mut self, buf: &mut BytesMut) -> Result<Option<Step>, HttpError> {
        Ok(self.decode(buf)?.map(|decoded| step_of(decoded, response_text)))
    }

    fn end_of_input(&mut self) {
        self.handle_close();
    }
}

/// The server side in whole requests; each is shown as head, body (also an empty one) and end.
struct WholeRequests {
    decoder: Decoder,
    due: Vec<Step>,
}

impl Decode for WholeRequests {
    fn step(&mut self, buf: &mut BytesMut) -> Result<Option<Step>, HttpError> {
        if self.due.is_empty() {
            let Some(request) = self.decoder.decode_request(buf)? else {
                return Ok(None);
            };
            let head = request_text(&request.head);
            self.due = vec![Step::End, Step::Body(request.body.to_vec()), Step::Head(head)];
        }
        Ok(self.due.pop())
    }
}

fn step_of<H>(decoded: Decoded<H>, text_of: impl FnOnce(&H) -> String) -> Step {
    match decoded {
        Decoded::Head(head) => Step::Head(text_of(&head)),
        Decoded::Body(bytes) => Step::Body(bytes.to_vec()),
        Decoded::End => Step::End,
    }
}

fn request_text(head: &RequestHead) -> String {
    let line = format!("{} {} {:?}", head.method_name(), head.raw_target(), head.host());
    format!("{line}\n{head:?}\n{}", lines_text(head.headers()))
}

fn response_text(head: &ResponseHead) -> String {
    format!("{head:?}\n{}", lines_text(head.headers()))
}

fn lines_text(headers: &Headers) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {}\n", value.escape_ascii())).collect()
}

/// What the server side makes of `bytes` that arrive in parts of `splits` bytes (0 counts as 256), the rest
/// at once.
pub fn trace_requests(config: Config, bytes: &[u8], splits: &[u8]) -> Vec<Step> {
    trace(Decoder::new(config), bytes, splits)
}

/// The same in whole requests.
pub fn trace_whole_requests(config: Config, bytes: &[u8], splits: &[u8]) -> Vec<Step> {
    trace(WholeRequests { decoder: Decoder::new(config), due: Vec::new() }, bytes, splits)
}

/// What the client side makes of `bytes`, after which the connection ends.
pub fn trace_replies(config: Config, bytes: &[u8], splits: &[u8]) -> Vec<Step> {
    trace(ResponseDecoder::new(config), bytes, splits)
}

/// Decodes `bytes` at once and split, as requests and as replies, and compares.
///
/// # Panics
/// If the results differ, a head says something else than it says alone, or any decoder panics.
pub fn fuzz_decode(bytes: &[u8], splits: &[u8]) {
    // Small limits, so that short inputs reach them.
    let config = Config { head_bytes_max: 512, headers_max: 8, target_bytes_max: 64, body_bytes_max: 128 };
    for trace in [trace_requests, trace_whole_requests, trace_replies] {
        assert_eq!(trace(config, bytes, &[]), trace(config, bytes, splits));
    }
    check_heads_alone(config, bytes);
}

/// A decoder that has seen no other head can only parse: what is recognized must say what parsing says.
fn check_heads_alone(config: Config, bytes: &[u8]) {
    let mut decoder = Decoder::new(config);
    let mut buf = BytesMut::from(bytes);
    loop {
        let before = buf.clone();
        let head = match decoder.decode(&mut buf) {
            Ok(Some(Decoded::Head(head))) => head,
            Ok(Some(_)) => continue,
            Ok(None) | Err(_) => return,
        };
        let mut alone = BytesMut::from(&before[..before.len() - buf.len()]);
        match Decoder::new(config).decode(&mut alone) {
            Ok(Some(Decoded::Head(parsed))) => assert_eq!(request_text(&head), request_text(&parsed)),
            other => panic!("a head that is none alone: {other:?}"),
        }
    }
}

fn trace(mut decoder: impl Decode, bytes: &[u8], splits: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut buf = BytesMut::new();
    let mut rest = bytes;
    let mut sizes = splits.iter();
    loop {
        let part_bytes =
            sizes.next().map_or(rest.len(), |size| if *size == 0 { 256 } else { usize::from(*size) });
        let (part, tail) = rest.split_at(part_bytes.min(rest.len()));
        let is_last = tail.is_empty();
        rest = tail;
        buf.extend_from_slice(part);
        let is_going = drain(&mut decoder, &mut buf, &mut steps);
        if !is_going || is_last {
            break;
        }
    }
    decoder.end_of_input();
    drain(&mut decoder, &mut buf, &mut steps);
    steps
}

/// Takes all steps there are; `false` once the decoder failed.
fn drain(decoder: &mut impl Decode, buf: &mut BytesMut, steps: &mut Vec<Step>) -> bool {
    if matches!(steps.last(), Some(Step::Failed(_))) {
        return false;
    }
    loop {
        match decoder.step(buf) {
            Ok(Some(step)) => join(steps, step),
            Ok(None) => return true,
            Err(error) => {
                steps.push(Step::Failed(error));
                return false;
            }
        }
    }
}

fn join(steps: &mut Vec<Step>, step: Step) {
    match (steps.last_mut(), step) {
        (Some(Step::Body(so_far)), Step::Body(more)) => so_far.extend_from_slice(&more),
        (_, step) => steps.push(step),
    }
}
