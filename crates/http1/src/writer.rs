//! Header lines into an output buffer: what the response and the request writer have in common.
//!
//! Everything is checked before it is appended. The first fault is remembered, and the end of the head then
//! takes everything since `begin` back: a head is written whole and sound, or not at all. No allocation of
//! its own.

use std::fmt::{self, Write as _};

use bytes::{BufMut, BytesMut};

use crate::error::EncodeError;
use crate::token::{is_field_value, is_token};

/// Room made at the start of a head, so that a usual one grows the buffer at most once.
const HEAD_BYTES_USUAL: usize = 256;

/// A head under construction at the end of `out`.
#[derive(Debug)]
pub(crate) struct HeadWriter<'a> {
    pub(crate) out: &'a mut BytesMut,
    start: usize,
    fault: Option<EncodeError>,
    is_whole: bool,
}

/// A head that was not finished, for a fault or because its writer was dropped on the way, is taken back.
impl Drop for HeadWriter<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            self.out.truncate(self.start);
        }
    }
}

impl<'a> HeadWriter<'a> {
    pub(crate) fn begin(out: &'a mut BytesMut) -> Self {
        out.reserve(HEAD_BYTES_USUAL);
        let start = out.len();
        Self { out, start, fault: None, is_whole: false }
    }

    /// Remembers `fault`, if it is the first.
    pub(crate) fn fail(&mut self, fault: EncodeError) {
        self.fault = self.fault.or(Some(fault));
    }

    /// Appends a line of the caller's.
    pub(crate) fn header(&mut self, name: &str, value: &[u8]) {
        match check_name(name) {
            Err(fault) => self.fail(fault),
            Ok(()) if !is_field_value(value) => self.fail(EncodeError::HeaderValueInvalid),
            Ok(()) => self.line(name, value),
        }
    }

    /// Appends a line of the caller's whose value is formatted in place.
    pub(crate) fn header_fmt(&mut self, name: &str, value: fmt::Arguments<'_>) {
        if let Err(fault) = check_name(name) {
            return self.fail(fault);
        }
        self.out.put_slice(name.as_bytes());
        self.out.put_slice(b": ");
        let value_start = self.out.len();
        let is_written = self.out.write_fmt(value).is_ok();
        if !is_written || !is_field_value(&self.out[value_start..]) {
            self.fail(EncodeError::HeaderValueInvalid);
        }
        self.out.put_slice(b"\r\n");
    }

    /// Appends a line that is known to be sound.
    pub(crate) fn line(&mut self, name: &str, value: &[u8]) {
        self.out.put_slice(name.as_bytes());
        self.out.put_slice(b": ");
        self.out.put_slice(value);
        self.out.put_slice(b"\r\n");
    }

    /// Appends `Content-Length`.
    pub(crate) fn content_length(&mut self, length: u64) {
        self.out.put_slice(b"Content-Length: ");
        put_decimal(self.out, length);
        self.out.put_slice(b"\r\n");
    }

    /// Ends the head with its empty line, or reports the first fault.
    pub(crate) fn finish(&mut self) -> Result<(), EncodeError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.out.put_slice(b"\r\n");
        self.is_whole = true;
        Ok(())
    }
}

/// Names that decide framing are the writers' own: twice the same length, or two different ones, would be two
/// messages.
fn check_name(name: &str) -> Result<(), EncodeError> {
    if !is_token(name.as_bytes()) {
        return Err(EncodeError::HeaderNameInvalid);
    }
    let is_reserved = match name.len() {
        10 => name.eq_ignore_ascii_case("connection"),
        14 => name.eq_ignore_ascii_case("content-length"),
        17 => name.eq_ignore_ascii_case("transfer-encoding"),
        _ => false,
    };
    if is_reserved { Err(EncodeError::HeaderReserved) } else { Ok(()) }
}

/// Appends `value` in decimal digits.
pub(crate) fn put_decimal(out: &mut BytesMut, value: u64) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}
