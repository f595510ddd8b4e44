//! The frame around every part of a file that is read as a whole: magic, checksum, version, length.
//!
//! Used by segment header, footer and trailer, manifest, identity copy and epoch slot (not by chunks, whose
//! header must be readable when their content is rotten). The first 24 bytes are the same in every format
//! and every version to come: `docs/formats/README.md`. The checksum covers all content; the zeros
//! that fill the last block are neither covered nor looked at.

use crate::BLOCK_BYTES;
use crate::checksum;
use crate::format_error::{BadField, FilePart, FormatError, UnknownVersion, WrongChecksum, WrongMagic};
use crate::wire::Reader;
use bytes::{Bytes, BytesMut};
use types::StreamKey;

/// Bytes before the content: magic (8), checksum (4), version (4), length (8).
pub(crate) const FRAME_HEADER_BYTES: usize = 24;
/// The checksum covers everything from here: version, length, content.
const COVERED_FROM: usize = 12;

/// What tells one kind of frame from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameKind {
    pub(crate) part: FilePart,
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
}

impl FrameKind {
    /// A buffer that starts with room for the frame's header; the content is appended to it.
    pub(crate) fn begin(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(BLOCK_BYTES);
        out.resize(FRAME_HEADER_BYTES, 0);
        out
    }

    /// Fills in the header, pads to whole blocks; gives the bytes and their checksum.
    pub(crate) fn seal(&self, mut out: BytesMut) -> (Bytes, u32) {
        let len = out.len();
        assert!(len >= FRAME_HEADER_BYTES, "a frame starts with begin()");
        out[..8].copy_from_slice(&self.magic);
        out[12..16].copy_from_slice(&self.version.to_le_bytes());
        out[16..24].copy_from_slice(&(len as u64).to_le_bytes());
        let sum = checksum(&out[COVERED_FROM..]);
        out[8..12].copy_from_slice(&sum.to_le_bytes());
        out.resize(len.next_multiple_of(BLOCK_BYTES), 0);
        (out.freeze(), sum)
    }

    /// As [`Self::seal`], for a frame that must be one block.
    pub(crate) fn seal_block(&self, out: BytesMut) -> (Bytes, u32) {
        let (bytes, sum) = self.seal(out);
        assert_eq!(bytes.len(), BLOCK_BYTES, "a {} is one block", self.part);
        (bytes, sum)
    }

    /// Checks the frame at the start of `bytes`; gives its fields and its checksum.
    pub(crate) fn open<'a>(&self, bytes: &'a [u8]) -> Result<(Fields<'a>, u32), FormatError> {
        let part = self.part;
        let found = bytes.len() as u64;
        let short = |needed: u64| FormatError::truncated(part, needed, found);
        let mut header = Reader::new(bytes);
        let magic = header.take(8).ok_or_else(|| short(FRAME_HEADER_BYTES as u64))?;
        if magic != self.magic {
            let found = magic.try_into().expect("eight bytes were taken");
            return Err(FormatError::Magic(WrongMagic { part, found }));
        }
        let fixed = (header.u32(), header.u32(), header.u64());
        let (Some(stored), Some(version), Some(len)) = fixed else {
            return Err(short(FRAME_HEADER_BYTES as u64));
        };
        if len > found || len < FRAME_HEADER_BYTES as u64 {
            return Err(short(len.max(FRAME_HEADER_BYTES as u64)));
        }
        let framed = &bytes[..usize::try_from(len).expect("no longer than a slice")];
        let computed = checksum(&framed[COVERED_FROM..]);
        if computed != stored {
            let covers = "its content";
            return Err(FormatError::Checksum(WrongChecksum { part, covers, stored, computed }));
        }
        if version != self.version {
            return Err(FormatError::Version(UnknownVersion { part, known: self.version, found: version }));
        }
        Ok((Fields::new(part, framed, FRAME_HEADER_BYTES), stored))
    }
}

/// Reads fields of a part whose checksum holds; every failure names the field.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    part: FilePart,
    reader: Reader<'a>,
}

impl<'a> Fields<'a> {
    /// Fields of `bytes` from byte `start`, which the caller knows to lie inside.
    pub(crate) fn new(part: FilePart, bytes: &'a [u8], start: usize) -> Self {
        let mut reader = Reader::new(bytes);
        reader.take(start).expect("the caller has read that far");
        Fields { part, reader }
    }
    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, FormatError> {
        let value = self.reader.u8();
        self.found(field, value)
    }
    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, FormatError> {
        let value = self.reader.u16();
        self.found(field, value)
    }
    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, FormatError> {
        let value = self.reader.u32();
        self.found(field, value)
    }
    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let value = self.reader.u64();
        self.found(field, value)
    }
    pub(crate) fn u128(&mut self, field: &'static str) -> Result<u128, FormatError> {
        let value = self.reader.u128();
        self.found(field, value)
    }
    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, FormatError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.bad(field, "must be 0 or 1", Some(u64::from(other)))),
        }
    }
    /// A count (u32) of items that take at least `item_bytes_min` each: never more than can be there.
    pub(crate) fn count(&mut self, field: &'static str, item_bytes_min: usize) -> Result<usize, FormatError> {
        let count = self.u32(field)?;
        if count as usize > self.reader.remaining() / item_bytes_min {
            return Err(self.bad(field, "claims more than the part holds", Some(u64::from(count))));
        }
        Ok(count as usize)
    }
    pub(crate) fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], FormatError> {
        let value = self.reader.take(len);
        self.found(field, value)
    }
    pub(crate) fn stream_key(&mut self) -> Result<StreamKey, FormatError> {
        let value = self.reader.stream_key();
        value.ok_or_else(|| self.bad("stream name", "is no name or is cut short", None))
    }
    /// Nothing may follow the last field.
    pub(crate) fn end(&self) -> Result<(), FormatError> {
        match self.reader.remaining() {
            0 => Ok(()),
            left => Err(self.bad("content", "has bytes behind its last field", Some(left as u64))),
        }
    }
    pub(crate) fn position(&self) -> usize {
        self.reader.position()
    }
    /// `Ok` when `holds`, else that `field` breaks `rule`.
    pub(crate) fn require(
        &self,
        holds: bool,
        field: &'static str,
        rule: &'static str,
        found: u64,
    ) -> Result<(), FormatError> {
        if holds { Ok(()) } else { Err(self.bad(field, rule, Some(found))) }
    }
    pub(crate) fn bad(&self, field: &'static str, rule: &'static str, found: Option<u64>) -> FormatError {
        let at = self.reader.position() as u64;
        FormatError::Field(BadField { part: self.part, field, at, rule, found })
    }

    fn found<T>(&self, field: &'static str, value: Option<T>) -> Result<T, FormatError> {
        value.ok_or_else(|| self.bad(field, "is cut short", None))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Makes the checksum of a frame hold again after its content was changed; what a decoder must
    /// survive beyond rot: bytes that a faulty writer sealed.
    pub(crate) fn reseal(frame: &mut [u8]) {
        let len = u64::from_le_bytes(frame[16..24].try_into().expect("eight bytes"));
        let len = usize::try_from(len).unwrap_or(usize::MAX).clamp(FRAME_HEADER_BYTES, frame.len());
        let sum = checksum(&frame[COVERED_FROM..len]);
        frame[8..12].copy_from_slice(&sum.to_le_bytes());
    }

    /// How many bytes of a frame are covered; what follows is padding.
    pub(crate) fn covered_len(frame: &[u8]) -> usize {
        u64::from_le_bytes(frame[16..24].try_into().expect("eight bytes")) as usize
    }

    const KIND: FrameKind = FrameKind { part: FilePart::Manifest, magic: *b"MR.TESTS", version: 3 };

    proptest! {
        #[test]
        fn a_frame_gives_back_its_content(content in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            let mut out = KIND.begin();
            out.extend_from_slice(&content);
            let (bytes, sum) = KIND.seal(out);
            prop_assert!(bytes.len().is_multiple_of(BLOCK_BYTES));
            let (mut fields, stored) = KIND.open(&bytes).expect("sound");
            prop_assert_eq!(stored, sum);
            prop_assert_eq!(fields.take("content", content.len()).expect("all of it"), &content[..]);
            prop_assert_eq!(fields.end(), Ok(()));
        }

        #[test]
        fn one_flipped_bit_before_the_padding_is_noticed(
            content in proptest::collection::vec(any::<u8>(), 0..20_000),
            at in any::<proptest::sample::Index>(),
        ) {
            let mut out = KIND.begin();
            out.extend_from_slice(&content);
            let mut bytes = KIND.seal(out).0.to_vec();
            let bit = at.index(covered_len(&bytes) * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(KIND.open(&bytes).is_err());
        }
    }

    #[test]
    fn a_newer_version_is_told_from_rot() {
        let newer = FrameKind { version: 4, ..KIND };
        let (bytes, _) = newer.seal(newer.begin());
        let error = UnknownVersion { part: KIND.part, known: 3, found: 4 };
        assert_eq!(KIND.open(&bytes).err(), Some(FormatError::Version(error)));
    }

    #[test]
    fn a_frame_cut_anywhere_is_truncated() {
        let mut out = KIND.begin();
        out.extend_from_slice(b"content");
        let (bytes, _) = KIND.seal(out);
        for cut in 0..covered_len(&bytes) {
            let error = KIND.open(&bytes[..cut]).err();
            assert!(matches!(error, Some(FormatError::Truncated(_))), "cut at {cut}: {error:?}");
        }
    }
}
