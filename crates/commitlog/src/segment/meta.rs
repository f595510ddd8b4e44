//! What a segment is: its place, the log it covers, and the first and last block that say so.
//!
//! The same [`SegmentMeta`] stands in header, footer and trailer, so that a segment whose one end is rotten
//! can still be placed. The trailer also says where the footer is and how long the file must be.

use super::chunk::ChunkAddress;
use crate::BLOCK_BYTES;
use crate::format_error::{FilePart, FormatError, PlaceField, check_place};
use crate::frame::{Fields, FrameKind};
use crate::wire::Put;
use bytes::Bytes;
use types::{LogIndex, PartitionId, Term};

const HEADER: FrameKind = FrameKind { part: FilePart::SegmentHeader, magic: *b"MR.SEG.H", version: 1 };
const TRAILER: FrameKind = FrameKind { part: FilePart::SegmentTrailer, magic: *b"MR.SEG.T", version: 1 };

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    /// The data directory it belongs to.
    pub directory_id: u128,
    /// The partition it belongs to.
    pub partition: PartitionId,
    /// Its number in the partition, never used twice.
    pub ordinal: u64,
    /// Lowest log index whose effect it may hold.
    pub first_index: LogIndex,
    /// Highest log index whose effect it may hold.
    pub last_index: LogIndex,
    /// Lowest term of its records.
    pub term_first: Term,
    /// Highest term of its records.
    pub term_last: Term,
    /// A merge's output replaces the segments of these ordinals, both ends included.
    pub replaces: Option<(u64, u64)>,
}

impl SegmentMeta {
    /// The address of the segment's chunk at byte `offset`.
    pub fn chunk_address(&self, offset: u64) -> ChunkAddress {
        let SegmentMeta { directory_id, partition, ordinal, .. } = *self;
        ChunkAddress { directory_id, partition, ordinal, offset }
    }

    /// Checks that the segment is the one that was asked for.
    ///
    /// # Errors
    /// [`FormatError::Foreign`] with the first thing that differs.
    pub fn check_place(
        &self,
        directory_id: u128,
        partition: PartitionId,
        ordinal: u64,
    ) -> Result<(), FormatError> {
        let part = FilePart::SegmentHeader;
        check_place(part, PlaceField::DirectoryId, directory_id, self.directory_id)?;
        check_place(part, PlaceField::Partition, partition.0, self.partition.0)?;
        check_place(part, PlaceField::Ordinal, ordinal, self.ordinal)
    }

    pub(super) fn assert_invariants(&self) {
        assert_eq!(self.broken_rule(), None, "{self:?}");
    }

    pub(super) fn put(&self, out: &mut impl Put) {
        let (replaces_first, replaces_last) = self.replaces.unwrap_or((0, 0));
        out.put_u128(self.directory_id);
        out.put_u64(self.ordinal);
        out.put_u64(self.first_index.0);
        out.put_u64(self.last_index.0);
        out.put_u64(self.term_first.0);
        out.put_u64(self.term_last.0);
        out.put_u64(replaces_first);
        out.put_u64(replaces_last);
        out.put_u16(self.partition.0);
        out.put_u8(u8::from(self.replaces.is_some()));
    }

    pub(super) fn take(fields: &mut Fields<'_>) -> Result<SegmentMeta, FormatError> {
        let mut meta = SegmentMeta {
            directory_id: fields.u128("directory id")?,
            ordinal: fields.u64("ordinal")?,
            first_index: LogIndex(fields.u64("first index")?),
            last_index: LogIndex(fields.u64("last index")?),
            term_first: Term(fields.u64("first term")?),
            term_last: Term(fields.u64("last term")?),
            replaces: None,
            partition: PartitionId(0),
        };
        let replaces = (fields.u64("first replaced ordinal")?, fields.u64("last replaced ordinal")?);
        meta.partition = PartitionId(fields.u16("partition")?);
        meta.replaces = fields.flag("replaces")?.then_some(replaces);
        match meta.broken_rule() {
            None => Ok(meta),
            Some(rule) => Err(fields.bad("segment", rule, None)),
        }
    }

    fn broken_rule(&self) -> Option<&'static str> {
        let rules = [
            (self.first_index <= self.last_index, "must have a first index that is not behind its last"),
            (self.term_first <= self.term_last, "must have a first term that is not behind its last"),
            (self.replaces.is_none_or(|(a, b)| a <= b), "must replace a range that is not turned round"),
            (
                self.replaces.is_none_or(|(a, b)| self.ordinal < a || self.ordinal > b),
                "must not replace itself",
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
    }
}

/// The header block.
pub(super) fn encode_header(meta: &SegmentMeta) -> Bytes {
    let mut out = HEADER.begin();
    meta.put(&mut out);
    HEADER.seal_block(out).0
}

/// Reads the first block of a segment.
///
/// # Errors
/// [`FormatError`]. Whether it is the segment that was asked for says [`SegmentMeta::check_place`].
pub fn decode_segment_header(bytes: &[u8]) -> Result<SegmentMeta, FormatError> {
    let block = &bytes[..bytes.len().min(BLOCK_BYTES)];
    let (mut fields, _) = HEADER.open(block)?;
    let meta = SegmentMeta::take(&mut fields)?;
    fields.end()?;
    Ok(meta)
}

/// What the last block of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// What the segment is.
    pub meta: SegmentMeta,
    /// Byte offset of the footer.
    pub footer_offset: u64,
    /// Bytes of the footer, padded to whole blocks.
    pub footer_len: u64,
    /// Checksum of the footer.
    pub footer_checksum: u32,
    /// Bytes of the whole file; the trailer is its last block.
    pub file_len: u64,
    /// The trailer's own checksum, which the manifest repeats.
    pub checksum: u32,
}

/// The trailer block and its checksum; `trailer.checksum` is not read.
pub(super) fn encode_trailer(trailer: &Trailer) -> (Bytes, u32) {
    let mut out = TRAILER.begin();
    trailer.meta.put(&mut out);
    out.put_u64(trailer.footer_offset);
    out.put_u64(trailer.footer_len);
    out.put_u64(trailer.file_len);
    out.put_u32(trailer.footer_checksum);
    TRAILER.seal_block(out)
}

/// Reads the last block of a segment whose file has `file_len` bytes.
///
/// # Errors
/// [`FormatError`]; also when the file is longer or shorter than the trailer says.
pub fn decode_trailer(bytes: &[u8], file_len: u64) -> Result<Trailer, FormatError> {
    let block = &bytes[..bytes.len().min(BLOCK_BYTES)];
    let (mut fields, checksum) = TRAILER.open(block)?;
    let trailer = Trailer {
        meta: SegmentMeta::take(&mut fields)?,
        footer_offset: fields.u64("footer offset")?,
        footer_len: fields.u64("footer length")?,
        file_len: fields.u64("file length")?,
        footer_checksum: fields.u32("footer checksum")?,
        checksum,
    };
    fields.end()?;
    check_shape(&fields, &trailer, file_len)?;
    Ok(trailer)
}

/// Header, chunks, footer and trailer must fill the file.
fn check_shape(fields: &Fields<'_>, trailer: &Trailer, file_len: u64) -> Result<(), FormatError> {
    let block = BLOCK_BYTES as u64;
    let Trailer { footer_offset, footer_len, .. } = *trailer;
    let aligned = footer_offset.is_multiple_of(block) && footer_len.is_multiple_of(block);
    let rule = "must be of whole blocks, like its length";
    fields.require(aligned, "footer offset", rule, footer_offset)?;
    let inside = footer_offset >= block && footer_len >= block;
    let rule = "must be a block or more behind the header";
    fields.require(inside, "footer length", rule, footer_len)?;
    let end = footer_offset.checked_add(footer_len).and_then(|end| end.checked_add(block));
    let rule = "must be that of header, chunks, footer, trailer";
    fields.require(end == Some(trailer.file_len), "file length", rule, trailer.file_len)?;
    let whole = trailer.file_len == file_len;
    fields.require(whole, "file length", "must be that of the file", trailer.file_len)
}
