//! Server-sent events: the form of `listen` that resumes everything, globs included.
//!
//! The server's `id:` stands for the positions of all streams and is sent back as `Last-Event-ID`. Comments
//! keep the connection alive; when none comes for [`PATIENCE`], the connection is taken for dead.

use super::super::answer::refusal;
use super::super::client::{Call, Client, Server, lost};
use super::super::error::{CliError, Exit};
use super::{Ended, Feed};
use std::time::Duration;

/// Silence after which a connection is dead: four heartbeats of the default.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest line taken: the largest event a server can be configured for, with room for its meta.
const LINE_BYTES_MAX: usize = (1 << 30) + (1 << 20);

/// Listens over one connection until it ends.
///
/// # Errors
/// As [`super::listen`].
pub(crate) fn run(server: &Server, mut client: Client, feed: &mut Feed) -> Result<Ended, CliError> {
    let target = feed.target();
    let call = Call::new("GET", target.as_str())
        .header("Accept", "text/event-stream")
        .header_some("Last-Event-ID", feed.last_event_id.clone());
    client.send(&call)?;
    let head = client.receive_head()?;
    let is_stream = head.header_str("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    if head.status() != 200 || !is_stream {
        let mut body = Vec::new();
        while let Some(piece) = client.receive_piece()? {
            body.extend_from_slice(&piece);
        }
        return Err(refusal(head.status(), &body, head.header_str("retry-after").map(str::to_owned)));
    }
    feed.connections += 1;
    client.set_patience(server.timeout.max(PATIENCE))?;
    let mut decoder = Decoder::default();
    while let Some(piece) = client.receive_piece()? {
        decoder.push(&piece)?;
        while let Some(message) = decoder.next_message() {
            let ended = if message.data.is_empty() { None } else { feed.take_array(&message.data)? };
            if let Some(id) = message.id {
                feed.last_event_id = Some(id);
            }
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }
    Err(lost(server, "the server ended the stream"))
}

/// One dispatched message. The name of the event is not looked at: gaps and resets say what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message {
    data: Vec<u8>,
    id: Option<String>,
}

/// The parser of the event stream format (HTML Living Standard, "Server-sent events").
#[derive(Debug, Default)]
struct Decoder {
    buffer: Vec<u8>,
    /// Start of what was not yet parsed.
    start: usize,
    /// Bytes behind `start` that hold no line end.
    searched: usize,
    message: Message,
    data_lines: usize,
}

impl Decoder {
    /// Takes bytes.
    fn push(&mut self, piece: &[u8]) -> Result<(), CliError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() + piece.len() > LINE_BYTES_MAX {
            return Err(CliError::new(Exit::Refused, "the server sent a line that is longer than any event"));
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    /// The next message that an empty line has ended. Messages without data are given too: their id counts.
    fn next_message(&mut self) -> Option<Message> {
        while let Some((from, to)) = self.next_line() {
            if from < to {
                self.handle_line(from, to);
            } else if self.data_lines > 0 || self.message.id.is_some() {
                self.data_lines = 0;
                return Some(std::mem::take(&mut self.message));
            }
        }
        None
    }

    /// The bounds of the next line. A line ends with LF or CR LF; a lone CR, which the format also allows, is
    /// not used by any of our servers and would need a look ahead.
    fn next_line(&mut self) -> Option<(usize, usize)> {
        let unsearched = self.start + self.searched;
        let Some(found) = self.buffer[unsearched..].iter().position(|&byte| byte == b'\n') else {
            self.searched = self.buffer.len() - self.start;
            return None;
        };
        let (from, end) = (self.start, unsearched + found);
        (self.start, self.searched) = (end + 1, 0);
        let has_cr = end > from && self.buffer[end - 1] == b'\r';
        Some((from, if has_cr { end - 1 } else { end }))
    }

    fn handle_line(&mut self, from: usize, to: usize) {
        let line = &self.buffer[from..to];
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (field, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.data_lines > 0 {
                    self.message.data.push(b'\n');
                }
                self.message.data.extend_from_slice(value);
                self.data_lines += 1;
            }
            b"id" if !value.contains(&0) => {
                self.message.id = Some(String::from_utf8_lossy(value).into_owned());
            }
            // A comment (no name), `event`, `retry`, and whatever comes later.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]]) -> Vec<Message> {
        let mut decoder = Decoder::default();
        let mut messages = Vec::new();
        for piece in pieces {
            decoder.push(piece).expect("short");
            messages.extend(std::iter::from_fn(|| decoder.next_message()));
        }
        messages
    }

    fn message(data: &str, id: Option<&str>) -> Message {
        Message { data: data.as_bytes().to_vec(), id: id.map(str::to_owned) }
    }

    #[test]
    fn data_ids_and_comments_are_told_apart() {
        let text = b": hello\n\nid: 7\ndata: [1]\n\nevent: gap\ndata:[2]\n\n\
            id: 8\n\ndata: a\r\ndata: b\r\n\r\ndata: cut";
        let expected =
            [message("[1]", Some("7")), message("[2]", None), message("", Some("8")), message("a\nb", None)];
        assert_eq!(decode(&[text]), expected);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_messages(
            text in "(id: [0-9]{1,3}\n|data: [a-c]{0,9}\r?\n|: c\n|\r?\n){0,20}",
            cut in 0_usize..200,
        ) {
            let cut = cut.min(text.len());
            let (left, right) = text.as_bytes().split_at(cut);
            prop_assert_eq!(decode(&[left, right]), decode(&[text.as_bytes()]));
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode(&[&bytes]);
        }
    }
}
