//! Requests out of a connection's read buffer: whole ([`Decoder::decode_request`]) or in pieces
//! ([`Decoder::decode`]).
//!
//! The HTTP face calls it after each read until it gives `None`, handles what came, and sends once. One
//! decoder lives as long as its connection. It takes from the buffer what it has decoded and nothing more, so
//! that after an upgrade the rest belongs to the next protocol.
//!
//! What never happens: a result that depends on how the bytes were split; a buffer that must grow beyond the
//! limits; a request after an error.

use bytes::{Buf, Bytes, BytesMut};

use crate::body::{BodyDecoder, Gathered, Piece};
use crate::config::{Config, METHOD_BYTES_MAX};
use crate::error::HttpError;
use crate::head::{Request, RequestHead};
use crate::memo::Memo;
use crate::scan::LineScan;
use crate::token::is_token_byte;

/// The least that one read should have room for.
const READ_BYTES_MIN: usize = 4 * 1024;
/// The most that is asked for ahead of an announced body: a claimed length is not yet a reason to allocate
/// it.
const READ_BYTES_MAX: usize = 256 * 1024;

/// One step of a message with head type `H`.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a box would be an allocation per message")]
pub enum Decoded<H> {
    /// The head. Body pieces and `End` follow, `End` also where there is no body.
    Head(H),
    /// Some of the body; never empty.
    Body(Bytes),
    /// The message is complete.
    End,
}

#[derive(Debug)]
enum State {
    Head,
    Body(BodyDecoder),
    /// The body goes on, but nobody wants it.
    Skip(BodyDecoder),
    /// For good, except that a body that was too large may still be skipped.
    Failed(HttpError, Option<BodyDecoder>),
}

/// Decodes the requests of one connection.
#[derive(Debug)]
pub struct Decoder {
    config: Config,
    state: State,
    scan: LineScan,
    /// An empty line came before the request line; one is tolerated (RFC 9112 §2.2).
    seen_empty_line: bool,
    memo: Memo,
    /// Head of a request whose body is still arriving, for `decode_request`.
    pending: Option<RequestHead>,
    gathered: Gathered,
    continue_due: bool,
}

impl Decoder {
    /// A decoder for a new connection.
    pub fn new(config: Config) -> Self {
        Self {
            config: config.capped(),
            state: State::Head,
            scan: LineScan::default(),
            seen_empty_line: false,
            memo: Memo::default(),
            pending: None,
            gathered: Gathered::default(),
            continue_due: false,
        }
    }

    /// Takes the next request from `buf` once it is there with its whole body; `None` means: read more.
    ///
    /// A body that is complete in the buffer is not copied, nor is one with Content-Length that arrives in
    /// parts: it waits in the buffer. On an error, [`Decoder::pending_head`] tells whose body was at fault,
    /// if one was.
    ///
    /// # Panics
    /// If the body of the current request is being taken with [`Decoder::decode`].
    pub fn decode_request(&mut self, buf: &mut BytesMut) -> Result<Option<Request>, HttpError> {
        loop {
            if matches!(self.state, State::Head) {
                self.pending = self.take_head(buf)?;
                if self.pending.is_none() {
                    return Ok(None);
                }
            }
            let Some(body) = self.gather_body(buf)? else {
                return Ok(None);
            };
            if let Some(head) = self.pending.take() {
                return Ok(Some(Request { head, body }));
            }
        }
    }

    /// Takes the next step of a request from `buf`; `None` means: read more.
    ///
    /// A body over the limit is reported after its head, so that a request may first be refused for better
    /// reasons. If `decode_request` left a pending head, the request goes on from there in pieces.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Decoded<RequestHead>>, HttpError> {
        if let Some(head) = self.pending.take() {
            return Ok(Some(Decoded::Head(head)));
        }
        if matches!(self.state, State::Head) {
            return Ok(self.take_head(buf)?.map(Decoded::Head));
        }
        let early = self.gathered.take();
        if !early.is_empty() {
            return Ok(Some(Decoded::Body(early)));
        }
        Ok(self.take_piece(buf)?.map(|piece| match piece {
            Piece::Bytes(bytes) => Decoded::Body(bytes),
            Piece::End => Decoded::End,
        }))
    }

    /// Throws the rest of the current body away, at most `bytes_max` of it; more is
    /// [`HttpError::BodyTooLarge`].
    ///
    /// For a reply that did not need the body, and after `BodyTooLarge` to let the client finish and read its
    /// 413. `decode` then gives `End` behind the body, `decode_request` the next request. Without a body in
    /// progress it does nothing.
    pub fn skip_body(&mut self, bytes_max: u64) {
        self.state = match std::mem::replace(&mut self.state, State::Head) {
            State::Body(mut body) | State::Skip(mut body) | State::Failed(_, Some(mut body)) => {
                body.refill(bytes_max);
                State::Skip(body)
            }
            other => other,
        };
        if matches!(self.state, State::Skip(_)) {
            self.pending = None;
            self.gathered.take();
            self.continue_due = false;
        }
    }

    /// Whether the client waits for `100 Continue` now: true once per request, and not if the body is
    /// arriving anyway.
    pub fn take_continue_due(&mut self) -> bool {
        std::mem::take(&mut self.continue_due)
    }

    /// The head of the request whose body `decode_request` is waiting for, also after the body was found too
    /// large.
    pub fn pending_head(&self) -> Option<&RequestHead> {
        self.pending.as_ref()
    }

    /// Whether the connection rests between two requests: closing it now cuts nothing. (`buf` must be empty
    /// too.)
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && !self.scan.is_begun()
    }

    /// How much room the next read into `buf` deserves, in bytes: what is announced and missing, within 4 to
    /// 256 KiB.
    pub fn read_bytes_wanted(&self, buf: &BytesMut) -> usize {
        let announced = match &self.state {
            State::Body(body) => body.announced_left().unwrap_or(0),
            State::Head | State::Skip(_) | State::Failed(..) => 0,
        };
        let missing = usize::try_from(announced).unwrap_or(usize::MAX).saturating_sub(buf.len());
        missing.clamp(READ_BYTES_MIN, READ_BYTES_MAX)
    }

    fn take_head(&mut self, buf: &mut BytesMut) -> Result<Option<RequestHead>, HttpError> {
        let head = self.find_head(buf);
        match &head {
            Ok(Some(head)) => {
                self.state = State::Body(self.body_of(head));
                self.continue_due = head.expect_continue() && head.has_body() && buf.is_empty();
            }
            Ok(None) => {}
            Err(error) => self.state = State::Failed(*error, None),
        }
        head
    }

    fn find_head(&mut self, buf: &mut BytesMut) -> Result<Option<RequestHead>, HttpError> {
        if !self.skip_empty_line(buf)? {
            return Ok(None);
        }
        if !self.scan.is_begun()
            && let Some(head) = self.memo.recall(buf, &self.config)
        {
            self.seen_empty_line = false;
            return Ok(Some(head));
        }
        let window = &buf[..buf.len().min(self.config.head_bytes_max)];
        if !self.scan.has_line() {
            check_request_line_start(window, self.config.target_bytes_max)?;
        }
        let Some(end) = self.scan.find_end(window)? else {
            return match window.len() == self.config.head_bytes_max {
                true if self.scan.has_line() => Err(HttpError::HeadTooLarge),
                true => Err(HttpError::TargetTooLong),
                false => Ok(None),
            };
        };
        self.scan = LineScan::default();
        self.seen_empty_line = false;
        let head = RequestHead::parse(buf.split_to(end).freeze(), &self.config)?;
        self.memo.note(&head);
        Ok(Some(head))
    }

    /// Takes an empty line in front of a request; `false` if more bytes must tell.
    fn skip_empty_line(&mut self, buf: &mut BytesMut) -> Result<bool, HttpError> {
        if self.scan.is_begun() {
            return Ok(true);
        }
        loop {
            match buf.as_ref() {
                [b'\r', b'\n', ..] if self.seen_empty_line => return Err(HttpError::EmptyLines),
                [b'\r', b'\n', ..] => {
                    self.seen_empty_line = true;
                    buf.advance(2);
                }
                [] | [b'\r'] => return Ok(false),
                [b'\r', ..] => return Err(HttpError::BareCr),
                [b'\n', ..] => return Err(HttpError::BareLf),
                _ => return Ok(true),
            }
        }
    }

    fn body_of(&self, head: &RequestHead) -> BodyDecoder {
        if head.chunked() {
            BodyDecoder::chunked(&self.config)
        } else {
            // Without either field a request has no body (RFC 9112 §6.3, rule 7).
            BodyDecoder::with_length(head.content_length().unwrap_or(0), &self.config)
        }
    }

    /// The next piece of the current body. Owns the change of state at its end and on an error.
    fn take_piece(&mut self, buf: &mut BytesMut) -> Result<Option<Piece>, HttpError> {
        let (body, is_wanted) = match &mut self.state {
            State::Body(body) => (body, true),
            State::Skip(body) => (body, false),
            State::Failed(error, _) => return Err(*error),
            State::Head => return Ok(None),
        };
        loop {
            return match body.next(buf) {
                Ok(Some(Piece::Bytes(_))) if !is_wanted => continue,
                Ok(Some(Piece::End)) => {
                    self.state = State::Head;
                    self.continue_due = false;
                    Ok(Some(Piece::End))
                }
                Ok(Some(piece)) => {
                    self.continue_due = false;
                    Ok(Some(piece))
                }
                Ok(None) => Ok(None),
                Err(error) => {
                    let drainable = (error == HttpError::BodyTooLarge).then(|| body.clone());
                    self.state = State::Failed(error, drainable);
                    Err(error)
                }
            };
        }
    }

    /// The whole body of the current request, once it is there.
    fn gather_body(&mut self, buf: &mut BytesMut) -> Result<Option<Bytes>, HttpError> {
        if let State::Body(body) = &self.state {
            assert!(self.pending.is_some(), "decode_request amid a body taken with decode");
            let is_allowed = |left: &u64| *left <= self.config.body_bytes_max;
            // Leave an announced body in the buffer until it is whole: then one view is all of it.
            if body.announced_left().is_some_and(|left| is_allowed(&left) && left > buf.len() as u64) {
                self.continue_due &= buf.is_empty();
                return Ok(None);
            }
        }
        loop {
            match self.take_piece(buf)? {
                Some(Piece::Bytes(bytes)) => self.gathered.push(bytes),
                Some(Piece::End) => return Ok(Some(self.gathered.take())),
                None => return Ok(None),
            }
        }
    }
}

/// Refuses early what cannot become a request line: other protocols, and targets over the limit. `window`
/// begins with the request line, which may be incomplete.
fn check_request_line_start(window: &[u8], target_bytes_max: usize) -> Result<(), HttpError> {
    let method_bytes =
        window.iter().take(METHOD_BYTES_MAX + 1).take_while(|byte| is_token_byte(**byte)).count();
    if method_bytes > METHOD_BYTES_MAX {
        return Err(HttpError::MethodTooLong);
    }
    let target = match window.get(method_bytes) {
        None => return Ok(()),
        Some(b' ') if method_bytes > 0 => &window[method_bytes + 1..],
        Some(_) => return Err(HttpError::MethodInvalid),
    };
    let target_bytes = memchr::memchr3(b' ', b'\r', b'\n', target).unwrap_or(target.len());
    if target_bytes > target_bytes_max {
        return Err(HttpError::TargetTooLong);
    }
    Ok(())
}
