//! Reading and writing little-endian fields; the one place that indexes raw bytes.
//!
//! [`Reader`] never panics: a read past the end is `None`, and a claimed length is checked against the
//! bytes that are there before anything is taken.

use types::{BucketName, StreamKey, StreamName};

/// A cursor over bytes that may be anything.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }
    /// How many bytes have been taken.
    pub(crate) fn position(&self) -> usize {
        self.at
    }
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }
    fn array<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        self.take(BYTES)?.try_into().ok()
    }
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    pub(crate) fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }
    /// A stream's full name: two lengths (u16), then both texts; checked as names.
    pub(crate) fn stream_key(&mut self) -> Option<StreamKey> {
        let bucket_len = self.u16()? as usize;
        let stream_len = self.u16()? as usize;
        let bucket = BucketName::parse_bytes(self.take(bucket_len)?).ok()?;
        let stream = StreamName::parse_bytes(self.take(stream_len)?).ok()?;
        Some(StreamKey { bucket, stream })
    }
}

/// Appends fields to a growing buffer, or to what is left of a header's bytes.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }
    fn put_u128(&mut self, value: u128) {
        self.put(&value.to_le_bytes());
    }
    fn put_stream_key(&mut self, key: &StreamKey) {
        let (bucket, stream) = (key.bucket.as_str().as_bytes(), key.stream.as_str().as_bytes());
        self.put_u16(u16::try_from(bucket.len()).expect("a name holds at most 512 bytes"));
        self.put_u16(u16::try_from(stream.len()).expect("a name holds at most 512 bytes"));
        self.put(bucket);
        self.put(stream);
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Put for bytes::BytesMut {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The rest of a header of fixed length.
impl Put for &mut [u8] {
    fn put(&mut self, bytes: &[u8]) {
        let (now, rest) = std::mem::take(self).split_at_mut(bytes.len());
        now.copy_from_slice(bytes);
        *self = rest;
    }
}
