//! Why bytes of a file are not what they should be: one error for every file format of this crate.
//!
//! Given by every decoder, shown by `inspect`, `doctor` and the log. Each variant carries what was expected
//! and what was found, so that its text can be acted on without the file at hand. Which file and which
//! offset in it is known to the caller, who read the bytes.

use std::fmt;
use types::RecordError;

/// The part of a file that a decoder was reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePart {
    /// First block of a segment.
    SegmentHeader,
    /// One chunk of records of a segment.
    SegmentChunk,
    /// The index of a segment.
    SegmentFooter,
    /// Last block of a segment.
    SegmentTrailer,
    /// One of the two manifest files of a partition.
    Manifest,
    /// One of the two copies in `IDENTITY`.
    Identity,
    /// One of the two slots of `EPOCH`.
    EpochSlot,
}

impl fmt::Display for FilePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FilePart::SegmentHeader => "segment header",
            FilePart::SegmentChunk => "segment chunk",
            FilePart::SegmentFooter => "segment footer",
            FilePart::SegmentTrailer => "segment trailer",
            FilePart::Manifest => "manifest",
            FilePart::Identity => "identity copy",
            FilePart::EpochSlot => "epoch slot",
        })
    }
}

/// Fewer bytes than the part says it has, or than its fixed fields take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncatedPart {
    /// Which part.
    pub part: FilePart,
    /// Bytes it needs.
    pub needed: u64,
    /// Bytes there are.
    pub found: u64,
}

/// The part does not begin with its magic bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongMagic {
    /// Which part.
    pub part: FilePart,
    /// What it begins with.
    pub found: [u8; 8],
}

/// A sound part of a format version that this build does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVersion {
    /// Which part.
    pub part: FilePart,
    /// The version that this build knows.
    pub known: u32,
    /// The version of the bytes.
    pub found: u32,
}

/// The stored checksum is not that of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongChecksum {
    /// Which part.
    pub part: FilePart,
    /// What the checksum covers.
    pub covers: &'static str,
    /// As stored.
    pub stored: u32,
    /// As computed.
    pub computed: u32,
}

/// What a part says about where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceField {
    /// The data directory.
    DirectoryId,
    /// The partition.
    Partition,
    /// The segment's ordinal.
    Ordinal,
    /// The byte offset in the file.
    Offset,
    /// The slot of a pair that is written in turn.
    Slot,
}

/// A sound part that belongs to another directory, partition, file or place in the file: a misdirected
/// write, or files that were mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignPart {
    /// Which part.
    pub part: FilePart,
    /// What differs.
    pub field: PlaceField,
    /// What the place needs.
    pub expected: u128,
    /// What the part says.
    pub found: u128,
}

/// A field that breaks a rule of its format although the checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadField {
    /// Which part.
    pub part: FilePart,
    /// The field, as the format's page names it.
    pub field: &'static str,
    /// Byte position in the part, just behind the field.
    pub at: u64,
    /// The rule, to be read after the field's name.
    pub rule: &'static str,
    /// The value, where it is a number.
    pub found: Option<u64>,
}

/// A chunk whose checksum holds has a record that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Byte position in the chunk.
    pub at: u64,
    /// Why it is no record.
    pub error: RecordError,
}

/// The directory uses features that this build does not have and must not ignore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFeatures {
    /// The unknown bits.
    pub bits: u64,
    /// Version of the build that wrote the directory.
    pub writer_version: String,
}

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// Bytes are missing.
    Truncated(TruncatedPart),
    /// Something else stands there.
    Magic(WrongMagic),
    /// Written by a newer build.
    Version(UnknownVersion),
    /// Rotten or torn.
    Checksum(WrongChecksum),
    /// Sound, and in the wrong place.
    Foreign(ForeignPart),
    /// Sound, and against the rules of the format.
    Field(BadField),
    /// As [`FormatError::Field`], for a record.
    Record(BadRecord),
    /// Written by a build with more features.
    Features(UnknownFeatures),
    /// The two sound copies of `IDENTITY` say different things.
    CopiesDiffer,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Truncated(TruncatedPart { part, needed, found }) => {
                write!(f, "{part} is cut short: it needs {needed} bytes and has {found}")
            }
            FormatError::Magic(WrongMagic { part, found }) => {
                write!(f, "no {part} here: it begins with \"{}\"", found.escape_ascii())
            }
            FormatError::Version(UnknownVersion { part, known, found }) => {
                write!(f, "{part} has format version {found}, this build knows version {known}")
            }
            FormatError::Checksum(WrongChecksum { part, covers, stored, computed }) => write!(
                f,
                "{part} fails its checksum: {covers} has {computed:08x}, the file says {stored:08x}"
            ),
            FormatError::Foreign(foreign) => foreign.fmt(f),
            FormatError::Field(BadField { part, field, at, rule, found: None }) => {
                write!(f, "{part}: {field} before byte {at} {rule}")
            }
            FormatError::Field(BadField { part, field, at, rule, found: Some(found) }) => {
                write!(f, "{part}: {field} before byte {at} {rule}, and is {found}")
            }
            FormatError::Record(BadRecord { at, error }) => {
                write!(f, "segment chunk: at byte {at}: {error}")
            }
            FormatError::Features(UnknownFeatures { bits, writer_version }) => {
                let names: Vec<String> =
                    (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| bit.to_string()).collect();
                write!(
                    f,
                    "the data directory was written by version {writer_version} and needs features that this \
                     build does not have: bit {}",
                    names.join(", bit ")
                )
            }
            FormatError::CopiesDiffer => write!(f, "the two copies of the identity are sound and differ"),
        }
    }
}

impl fmt::Display for ForeignPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ForeignPart { part, field, expected, found } = self;
        write!(f, "{part} belongs elsewhere: ")?;
        match field {
            PlaceField::DirectoryId => {
                write!(f, "it is of data directory {found:032x}, this one is {expected:032x}")
            }
            PlaceField::Partition => write!(f, "it is of partition {found}, expected {expected}"),
            PlaceField::Ordinal => write!(f, "it is of segment {found}, expected {expected}"),
            PlaceField::Offset => write!(f, "it was written for offset {found}, found at {expected}"),
            PlaceField::Slot => write!(f, "it was written for slot {found}, found in {expected}"),
        }
    }
}

impl std::error::Error for FormatError {}

impl FormatError {
    pub(crate) fn truncated(part: FilePart, needed: u64, found: u64) -> Self {
        FormatError::Truncated(TruncatedPart { part, needed, found })
    }
}

/// `Ok` when both are equal, else [`FormatError::Foreign`].
pub(crate) fn check_place(
    part: FilePart,
    field: PlaceField,
    expected: impl Into<u128>,
    found: impl Into<u128>,
) -> Result<(), FormatError> {
    let (expected, found) = (expected.into(), found.into());
    if expected == found {
        return Ok(());
    }
    Err(FormatError::Foreign(ForeignPart { part, field, expected, found }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_says_what_was_expected_and_what_was_found() {
        let part = FilePart::SegmentChunk;
        let rows: [(FormatError, &str); 8] = [
            (FormatError::truncated(part, 72, 9), "segment chunk is cut short: it needs 72 bytes and has 9"),
            (
                FormatError::Magic(WrongMagic { part, found: *b"\0abc\xff\"ab" }),
                "no segment chunk here: it begins with \"\\x00abc\\xff\\\"ab\"",
            ),
            (
                FormatError::Version(UnknownVersion { part, known: 1, found: 9 }),
                "segment chunk has format version 9, this build knows version 1",
            ),
            (
                FormatError::Checksum(WrongChecksum {
                    part,
                    covers: "its header",
                    stored: 1,
                    computed: 0xab,
                }),
                "segment chunk fails its checksum: its header has 000000ab, the file says 00000001",
            ),
            (
                FormatError::Foreign(ForeignPart {
                    part,
                    field: PlaceField::Offset,
                    expected: 4096,
                    found: 8192,
                }),
                "segment chunk belongs elsewhere: it was written for offset 8192, found at 4096",
            ),
            (
                FormatError::Field(BadField {
                    part,
                    field: "run count",
                    at: 8,
                    rule: "is odd",
                    found: Some(3),
                }),
                "segment chunk: run count before byte 8 is odd, and is 3",
            ),
            (
                FormatError::Record(BadRecord { at: 80, error: RecordError::Truncated }),
                "segment chunk: at byte 80: record is cut short",
            ),
            (
                FormatError::Features(UnknownFeatures { bits: 0b1010, writer_version: "9.1".to_owned() }),
                "the data directory was written by version 9.1 and needs features that this build does not \
                 have: bit 1, bit 3",
            ),
        ];
        for (error, text) in rows {
            assert_eq!(error.to_string(), text);
        }
    }
}
