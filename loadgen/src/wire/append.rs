//! Appends in the words of each peer: a request of one or several events, and its answer.
//!
//! One [`AppendTemplate`] is shared by all connections of a worker, so that a request is two copies and the
//! digits of a stream's number; each connection has an [`AppendWire`] that reads answers. Invariant: answers
//! come in the order of the requests, one [`Answer`] for each request, whatever the number of its events.

use super::peer::Peer;
use super::resp::{self, Reply};
use super::token::Token;
use crate::decide::payload::{Payload, Shape, Stamp};
use bytes::{BufMut, BytesMut};
use http1::{Config, RequestWriter, ResponseDecoder};

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The events are stored, as durably as the peer is set.
    Stored,
    /// They are not, or nobody knows; the kind is counted.
    Refused(String),
}

/// Digits of a stream's index in its name.
const STREAM_DIGITS: usize = 8;
/// Most streams: what the digits can say.
pub(crate) const STREAMS_MAX: usize = 100_000_000;

/// A stream's name: the prefix and the index.
pub(crate) fn stream_name(prefix: &str, index: u32) -> String {
    format!("{prefix}{index:0width$}", width = STREAM_DIGITS)
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct AppendForm {
    /// The kind of server.
    pub(crate) peer: Peer,
    /// The `Host` header.
    pub(crate) host: String,
    /// The bucket, for Redis a prefix of the key, for nchan of the channel.
    pub(crate) bucket: String,
    /// What a stream's name begins with.
    pub(crate) prefix: String,
    /// Events of one request.
    pub(crate) batch: usize,
    /// Bytes of one event.
    pub(crate) event_bytes: usize,
    /// JSON or not.
    pub(crate) shape: Shape,
    /// `?ack=memory` (Millrace).
    pub(crate) is_ack_memory: bool,
    /// Who asks (Millrace).
    pub(crate) token: Token,
}

/// Requests, ready but for the stream and the stamps.
#[derive(Clone, Debug)]
pub(crate) struct AppendTemplate {
    peer: Peer,
    /// What comes before the stream's digits: of the request (HTTP) or of each event (Redis).
    before: Vec<u8>,
    /// What comes between the digits and the body or the payload.
    after: Vec<u8>,
    batch: usize,
    payload: Payload,
}

impl AppendTemplate {
    /// Prepares requests of this form.
    ///
    /// # Errors
    /// A host or a name that cannot stand in a request.
    pub(crate) fn new(form: &AppendForm) -> Result<AppendTemplate, String> {
        let payload = Payload::new(form.shape, form.event_bytes);
        let placeholder = "0".repeat(STREAM_DIGITS);
        let head = match form.peer {
            Peer::Redis => redis_head(form, &placeholder),
            Peer::Millrace | Peer::Nchan => http_head(form, &placeholder)?,
        };
        let at = memchr::memmem::find(&head, format!("{}{placeholder}", form.prefix).as_bytes());
        let at = at.expect("the name was written into the head") + form.prefix.len();
        let (before, after) = (head[..at].to_vec(), head[at + STREAM_DIGITS..].to_vec());
        Ok(AppendTemplate { peer: form.peer, before, after, batch: form.batch, payload })
    }

    /// Events of one request.
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// Payload bytes of one request.
    pub(crate) fn request_payload_bytes(&self) -> usize {
        self.batch * self.payload.event_bytes()
    }

    /// Appends a request; the first event has the stamp's number, the next ones the numbers after it.
    pub(crate) fn encode(&self, stamp: Stamp, out: &mut BytesMut) {
        match self.peer {
            Peer::Redis => {
                for index in 0..self.batch as u64 {
                    self.encode_head(stamp.stream, out);
                    self.payload.write(Stamp { number: stamp.number + index, ..stamp }, out);
                    out.put_slice(b"\r\n");
                }
            }
            Peer::Millrace | Peer::Nchan => {
                self.encode_head(stamp.stream, out);
                for index in 0..self.batch as u64 {
                    self.payload.write(Stamp { number: stamp.number + index, ..stamp }, out);
                    if self.batch > 1 {
                        out.put_u8(b'\n');
                    }
                }
            }
        }
    }

    fn encode_head(&self, stream: u32, out: &mut BytesMut) {
        let mut digits = [b'0'; STREAM_DIGITS];
        let mut rest = stream;
        for place in digits.iter_mut().rev() {
            *place += (rest % 10) as u8;
            rest /= 10;
        }
        out.put_slice(&self.before);
        out.put_slice(&digits);
        out.put_slice(&self.after);
    }
}

/// The head of an HTTP request, with its length but without a body.
fn http_head(form: &AppendForm, digits: &str) -> Result<Vec<u8>, String> {
    let (bucket, prefix) = (&form.bucket, &form.prefix);
    let target = match form.peer {
        Peer::Nchan => format!("/pub?id={bucket}.{prefix}{digits}"),
        _ if form.is_ack_memory => format!("/streams/{bucket}/{prefix}{digits}?ack=memory"),
        _ => format!("/streams/{bucket}/{prefix}{digits}"),
    };
    let content_type = match form.shape {
        _ if form.batch > 1 => "application/x-ndjson",
        Shape::Json => "application/json",
        Shape::Binary => "application/octet-stream",
    };
    let newline = usize::from(form.batch > 1);
    let body = vec![0; form.batch * (form.event_bytes + newline)];
    let mut out = BytesMut::new();
    let mut writer = RequestWriter::begin(&mut out, "POST", &target, &form.host);
    writer.header("Content-Type", content_type);
    form.token.write(&mut writer);
    writer
        .finish_with_body(&body)
        .map_err(|error| format!("the request cannot be written: {}", error.reason()))?;
    out.truncate(out.len() - body.len());
    Ok(out.to_vec())
}

/// An XADD up to its payload.
fn redis_head(form: &AppendForm, digits: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    let key = format!("{}:{}{digits}", form.bucket, form.prefix);
    resp::encode_command(&[b"XADD", key.as_bytes(), b"*", b"d", b""], &mut out);
    // The empty payload makes way for the length of the real one.
    out.truncate(out.len() - b"$0\r\n\r\n".len());
    resp::write_length(b'$', form.event_bytes, &mut out);
    out.to_vec()
}

/// Reads the answers of one connection.
#[derive(Debug)]
pub(crate) enum AppendWire {
    /// HTTP replies, one for a request.
    Http(Box<ResponseDecoder>),
    /// RESP replies, one for an event.
    Redis {
        /// Replies that make an answer.
        batch: usize,
        /// Replies of the current answer so far.
        seen: usize,
        /// The first error among them.
        refused: Option<String>,
    },
}

impl AppendWire {
    /// For a new connection.
    pub(crate) fn new(peer: Peer, batch: usize) -> AppendWire {
        match peer {
            Peer::Redis => AppendWire::Redis { batch, seen: 0, refused: None },
            Peer::Millrace | Peer::Nchan => {
                AppendWire::Http(Box::new(ResponseDecoder::new(Config::default())))
            }
        }
    }

    /// The next answer in `input`.
    ///
    /// # Errors
    /// What is wrong with the bytes; the connection is of no more use.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Answer>, String> {
        match self {
            AppendWire::Http(decoder) => {
                let reply = decoder.decode_response(input).map_err(|error| error.reason().to_owned())?;
                Ok(reply.map(|reply| match reply.head.status() {
                    200..=299 => Answer::Stored,
                    status => Answer::Refused(format!("status {status}")),
                }))
            }
            AppendWire::Redis { batch, seen, refused } => {
                while let Some(reply) = resp::decode_reply(input).map_err(|fault| fault.to_string())? {
                    if let Reply::Error(text) = reply {
                        let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
                        refused.get_or_insert_with(|| format!("redis {}", String::from_utf8_lossy(word)));
                    }
                    *seen += 1;
                    if *seen == *batch {
                        *seen = 0;
                        return Ok(Some(refused.take().map_or(Answer::Stored, Answer::Refused)));
                    }
                }
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::payload::Scanner;
    use http1::Decoder;

    fn form(peer: Peer, batch: usize) -> AppendForm {
        AppendForm {
            peer,
            host: "127.0.0.1:8080".to_owned(),
            bucket: "load".to_owned(),
            prefix: "s".to_owned(),
            batch,
            event_bytes: 128,
            shape: Shape::Json,
            is_ack_memory: false,
            token: Token::default(),
        }
    }

    fn encoded(form: &AppendForm, stamp: Stamp) -> BytesMut {
        let mut out = BytesMut::new();
        AppendTemplate::new(form).expect("the form is sound").encode(stamp, &mut out);
        out
    }

    const STAMP: Stamp = Stamp { intended_ns: 77, stream: 42, number: 5 };

    #[test]
    fn an_http_append_is_a_request_that_a_server_reads() {
        for (peer, batch, path) in [
            (Peer::Millrace, 1, "/streams/load/s00000042"),
            (Peer::Millrace, 3, "/streams/load/s00000042"),
            (Peer::Nchan, 1, "/pub"),
        ] {
            let mut out = encoded(&form(peer, batch), STAMP);
            let request = Decoder::new(Config::default()).decode_request(&mut out);
            let request = request.expect("it is sound").expect("it is whole");
            assert_eq!((request.head.path(), out.len()), (path, 0));
            let lines: Vec<&[u8]> =
                request.body.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()).collect();
            assert_eq!((lines.len(), lines[0].len()), (batch, 128));
            let numbers: Vec<u64> = Scanner::new().stamps(&request.body).map(|stamp| stamp.number).collect();
            assert_eq!(numbers, (5..5 + batch as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_redis_append_is_one_command_for_each_event() {
        let mut out = encoded(&form(Peer::Redis, 2), STAMP);
        for number in [5, 6] {
            let Ok(Some(Reply::Array(Some(parts)))) = resp::decode_reply(&mut out) else {
                panic!("a command")
            };
            assert_eq!(parts[1], Reply::Bulk(Some("load:s00000042".into())));
            let Reply::Bulk(Some(payload)) = &parts[4] else { panic!("a payload") };
            assert_eq!(
                (payload.len(), Scanner::new().stamps(payload).next().map(|s| s.number)),
                (128, Some(number))
            );
        }
        assert!(out.is_empty());
    }

    #[test]
    fn answers_are_counted_by_request_and_refusals_by_kind() {
        let mut wire = AppendWire::new(Peer::Millrace, 1);
        let mut input = BytesMut::from(
            "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        );
        assert_eq!(wire.decode(&mut input), Ok(Some(Answer::Stored)));
        assert_eq!(wire.decode(&mut input), Ok(Some(Answer::Refused("status 503".to_owned()))));
        assert_eq!(wire.decode(&mut input), Ok(None));
        let mut wire = AppendWire::new(Peer::Redis, 2);
        let mut input = BytesMut::from("$3\r\n1-1\r\n$3\r\n1-2\r\n-OOM used memory\r\n");
        assert_eq!(wire.decode(&mut input), Ok(Some(Answer::Stored)));
        assert_eq!(wire.decode(&mut input), Ok(None), "half an answer");
        input.extend_from_slice(b"$3\r\n1-3\r\n");
        assert_eq!(wire.decode(&mut input), Ok(Some(Answer::Refused("redis OOM".to_owned()))));
        assert!(AppendWire::new(Peer::Redis, 1).decode(&mut BytesMut::from("HTTP")).is_err());
    }
}
