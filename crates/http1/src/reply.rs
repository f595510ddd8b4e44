//! Replies out of a client connection's read buffer: whole ([`ResponseDecoder::decode_response`]) or in
//! pieces.
//!
//! The CLI and the load generator call it. Replies come in the order of the requests; the caller says which
//! of them answer a HEAD. Interim replies (1xx but 101) are passed over. It is as strict about framing as the
//! server side.
//!
//! What never happens: a result that depends on how the bytes were split; a reply cut short taken for a whole
//! one.

use std::collections::VecDeque;
use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};

use crate::body::{BodyDecoder, Gathered, Piece};
use crate::config::{Config, HEADERS_CAP};
use crate::decoder::Decoded;
use crate::diagnose;
use crate::error::HttpError;
use crate::fields::Fields;
use crate::head::Version;
use crate::headers::{Headers, Lines};
use crate::response;
use crate::scan::LineScan;

/// A reply's head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    status: u16,
    version: Version,
    fields: Fields,
    headers: Headers,
}

impl ResponseHead {
    fn parse(block: Bytes, config: &Config) -> Result<Self, HttpError> {
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_CAP];
        let slots = &mut slots[..config.headers_max.min(HEADERS_CAP)];
        let mut response = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        match parser.parse_response_with_uninit_headers(&mut response, &block, slots) {
            Ok(httparse::Status::Complete(len)) => assert_eq!(len, block.len(), "two ends of one head"),
            Ok(httparse::Status::Partial) => return Err(HttpError::StatusLineInvalid),
            Err(error) => return Err(diagnose::response_head(&block, error)),
        }
        let (Some(status), Some(minor)) = (response.code, response.version) else {
            return Err(HttpError::StatusLineInvalid);
        };
        if status < 100 {
            return Err(HttpError::StatusLineInvalid);
        }
        let fields = Fields::of_response(response.headers, &block)?;
        fields.check_framing(minor)?;
        let lines = Lines::locate(response.headers, &block);
        Ok(Self { status, version: Version::from_minor(minor), fields, headers: Headers::new(block, lines) })
    }

    /// The status, 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The header lines.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The value of the first header line called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name)
    }

    /// As [`ResponseHead::header`]; `None` also if the value is not UTF-8.
    pub fn header_str(&self, name: &str) -> Option<&str> {
        self.headers.get_str(name)
    }

    /// The announced length of the body, in bytes; in a reply to HEAD, what GET would have sent.
    pub fn content_length(&self) -> Option<u64> {
        self.fields.content_length
    }

    /// Whether the body comes in chunks.
    pub fn chunked(&self) -> bool {
        self.fields.chunked
    }

    /// Whether the server lets the connection go on. A body without length or chunks ends it all the same.
    pub fn keep_alive(&self) -> bool {
        self.fields.keep_alive(self.version as u8)
    }
}

/// A reply with its whole body.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status line and headers.
    pub head: ResponseHead,
    /// The body; a view into the read buffer if it came in one piece.
    pub body: Bytes,
}

#[derive(Debug)]
enum State {
    Head,
    Body(BodyDecoder),
    Failed(HttpError),
}

/// Decodes the replies of one connection.
#[derive(Debug)]
pub struct ResponseDecoder {
    config: Config,
    state: State,
    scan: LineScan,
    /// Final replies still to come, as far as told: whether each answers a HEAD. Beyond it: no.
    head_replies: VecDeque<bool>,
    pending: Option<ResponseHead>,
    gathered: Gathered,
    is_closed: bool,
}

impl ResponseDecoder {
    /// A decoder for a new connection. `config.target_bytes_max` means nothing here.
    pub fn new(config: Config) -> Self {
        Self {
            config: config.capped(),
            state: State::Head,
            scan: LineScan::default(),
            head_replies: VecDeque::new(),
            pending: None,
            gathered: Gathered::default(),
            is_closed: false,
        }
    }

    /// Tells that a request was sent, and whether it was HEAD. Needed only on connections that ever send a
    /// HEAD, there for every request.
    pub fn handle_request_sent(&mut self, is_head: bool) {
        self.head_replies.push_back(is_head);
    }

    /// Tells that the server closed the connection: what is in the buffer is all there will be.
    pub fn handle_close(&mut self) {
        self.is_closed = true;
    }

    /// Takes the next reply from `buf` once it is there with its whole body; `None` means: read more, or,
    /// after [`ResponseDecoder::handle_close`], that the connection ended between two replies.
    ///
    /// # Panics
    /// If the current reply is being taken with [`ResponseDecoder::decode`].
    pub fn decode_response(&mut self, buf: &mut BytesMut) -> Result<Option<Response>, HttpError> {
        loop {
            match self.decode(buf)? {
                Some(Decoded::Head(head)) => self.pending = Some(head),
                Some(Decoded::Body(bytes)) => self.gathered.push(bytes),
                Some(Decoded::End) => {
                    let head = self.pending.take().expect("a whole reply is taken from its head on");
                    return Ok(Some(Response { head, body: self.gathered.take() }));
                }
                None => return Ok(None),
            }
        }
    }

    /// Takes the next step of a reply from `buf`; `None` as in [`ResponseDecoder::decode_response`].
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Decoded<ResponseHead>>, HttpError> {
        let step = self.take_step(buf);
        if let Err(error) = &step {
            self.state = State::Failed(*error);
        }
        step
    }

    /// Whether the connection rests between two replies. (`buf` must be empty too.)
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && !self.scan.is_begun()
    }

    fn take_step(&mut self, buf: &mut BytesMut) -> Result<Option<Decoded<ResponseHead>>, HttpError> {
        match &mut self.state {
            State::Failed(error) => Err(*error),
            State::Head => match self.take_final_head(buf)? {
                Some(head) => {
                    self.state = State::Body(self.body_of(&head));
                    Ok(Some(Decoded::Head(head)))
                }
                None if self.is_closed && !(self.is_idle() && buf.is_empty()) => Err(HttpError::Truncated),
                None => Ok(None),
            },
            State::Body(body) => match body.next(buf)? {
                Some(Piece::Bytes(bytes)) => Ok(Some(Decoded::Body(bytes))),
                None if !self.is_closed => Ok(None),
                None if !body.ends_with_connection() => Err(HttpError::Truncated),
                Some(Piece::End) | None => {
                    self.state = State::Head;
                    Ok(Some(Decoded::End))
                }
            },
        }
    }

    /// The next head that is not an interim reply's (RFC 9110 §15.2). 101 ends the talk in this protocol:
    /// final.
    fn take_final_head(&mut self, buf: &mut BytesMut) -> Result<Option<ResponseHead>, HttpError> {
        while let Some(head) = self.take_head(buf)? {
            if head.status >= 200 || head.status == 101 {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    fn take_head(&mut self, buf: &mut BytesMut) -> Result<Option<ResponseHead>, HttpError> {
        let window = &buf[..buf.len().min(self.config.head_bytes_max)];
        // Whatever else answers on this port is not waited for.
        let protocol = b"HTTP/";
        let begun = window.len().min(protocol.len());
        if window[..begun] != protocol[..begun] {
            return Err(HttpError::StatusLineInvalid);
        }
        let Some(end) = self.scan.find_end(window)? else {
            let is_full = window.len() == self.config.head_bytes_max;
            return if is_full { Err(HttpError::HeadTooLarge) } else { Ok(None) };
        };
        self.scan = LineScan::default();
        ResponseHead::parse(buf.split_to(end).freeze(), &self.config).map(Some)
    }

    /// How the body of a reply is framed (RFC 9112 §6.3).
    fn body_of(&mut self, head: &ResponseHead) -> BodyDecoder {
        let answers_head = self.head_replies.pop_front().unwrap_or(false);
        if answers_head || !response::has_body(head.status) {
            return BodyDecoder::with_length(0, &self.config);
        }
        match (head.chunked(), head.content_length()) {
            (true, _) => BodyDecoder::chunked(&self.config),
            (false, Some(length)) => BodyDecoder::with_length(length, &self.config),
            (false, None) => BodyDecoder::until_close(&self.config),
        }
    }
}
