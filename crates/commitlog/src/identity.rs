//! The identity of a data directory: what it is, which format it has, who may open it.
//!
//! Written once when the directory is created, read first at every start. The file is the same block twice,
//! so that rot in either leaves the other. A directory of an unknown format or with unknown incompatible
//! features is refused, never guessed at. Drawn in `docs/formats/identity.md`.

use crate::BLOCK_BYTES;
use crate::format_error::{FilePart, FormatError, UnknownFeatures, UnknownVersion};
use crate::frame::{Fields, FrameKind};
use crate::wire::Put;
use bytes::{Bytes, BytesMut};
use types::Timestamp;

const KIND: FrameKind = FrameKind { part: FilePart::Identity, magic: *b"MR.IDENT", version: 1 };

/// The format of the whole directory that this build reads and writes.
pub const DIRECTORY_FORMAT: u32 = 1;
/// The incompatible features that this build knows: none yet.
pub const INCOMPATIBLE_FEATURES_KNOWN: u64 = 0;
/// Bytes of the file: two copies of one block.
pub const IDENTITY_BYTES: usize = 2 * BLOCK_BYTES;
/// Longest hash name and writer version, in bytes.
pub const IDENTITY_TEXT_BYTES_MAX: usize = 64;

/// What a data directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Format of the directory, [`DIRECTORY_FORMAT`].
    pub format: u32,
    /// Features that a build must know to open the directory, one bit each.
    pub incompatible_features: u64,
    /// Random; every file of the directory carries it.
    pub directory_id: u128,
    /// Random; the server's name in a cluster.
    pub node_id: u128,
    /// The cluster the server belongs to; 0 while it is alone.
    pub cluster_id: u128,
    /// Partitions of the directory, at least 1, never changed.
    pub partition_count: u16,
    /// Name of the hash that places streams in partitions, at most 64 bytes.
    pub hash_name: String,
    /// When the directory was created.
    pub created: Timestamp,
    /// Version of the build that created it, at most 64 bytes.
    pub writer_version: String,
}

/// An identity, and whether a copy must be rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFound {
    /// What the sound copies say.
    pub identity: Identity,
    /// The copy (0 or 1) that cannot be read, and why.
    pub damaged_copy: Option<(u8, FormatError)>,
}

impl Identity {
    /// The file: [`IDENTITY_BYTES`] bytes.
    ///
    /// # Panics
    /// When a text is longer than 64 bytes or there is no partition.
    pub fn encode(&self) -> Bytes {
        assert!(self.partition_count >= 1, "a directory has partitions");
        let mut out = KIND.begin();
        out.put_u32(self.format);
        out.put_u64(self.incompatible_features);
        out.put_u128(self.directory_id);
        out.put_u128(self.node_id);
        out.put_u128(self.cluster_id);
        out.put_u64(self.created.0);
        out.put_u16(self.partition_count);
        put_text(&mut out, &self.hash_name);
        put_text(&mut out, &self.writer_version);
        let (block, _) = KIND.seal_block(out);
        let mut file = BytesMut::with_capacity(IDENTITY_BYTES);
        file.extend_from_slice(&block);
        file.extend_from_slice(&block);
        file.freeze()
    }

    /// Reads the file from whichever copies are sound.
    ///
    /// # Errors
    /// The first copy's [`FormatError`] when neither is sound; [`FormatError::CopiesDiffer`];
    /// [`FormatError::Version`] or [`FormatError::Features`] when a sound copy asks for a newer build.
    pub fn decode(bytes: &[u8]) -> Result<IdentityFound, FormatError> {
        let second = bytes.get(BLOCK_BYTES..).unwrap_or(&[]);
        let (identity, damaged_copy) = match (decode_copy(bytes), decode_copy(second)) {
            (Ok(first), Ok(second)) if first == second => (first, None),
            (Ok(_), Ok(_)) => return Err(FormatError::CopiesDiffer),
            (Ok(first), Err(error)) => (first, Some((1, error))),
            (Err(error), Ok(second)) => (second, Some((0, error))),
            (Err(error), Err(other)) => {
                // A sound copy of a newer format says more than a rotten one.
                return Err(if matches!(other, FormatError::Version(_)) { other } else { error });
            }
        };
        if identity.format != DIRECTORY_FORMAT {
            let (part, known, found) = (FilePart::Identity, DIRECTORY_FORMAT, identity.format);
            return Err(FormatError::Version(UnknownVersion { part, known, found }));
        }
        let bits = identity.incompatible_features & !INCOMPATIBLE_FEATURES_KNOWN;
        if bits != 0 {
            let writer_version = identity.writer_version;
            return Err(FormatError::Features(UnknownFeatures { bits, writer_version }));
        }
        Ok(IdentityFound { identity, damaged_copy })
    }
}

fn decode_copy(bytes: &[u8]) -> Result<Identity, FormatError> {
    let block = &bytes[..bytes.len().min(BLOCK_BYTES)];
    let (mut fields, _) = KIND.open(block)?;
    let identity = Identity {
        format: fields.u32("directory format")?,
        incompatible_features: fields.u64("incompatible features")?,
        directory_id: fields.u128("directory id")?,
        node_id: fields.u128("node id")?,
        cluster_id: fields.u128("cluster id")?,
        created: Timestamp(fields.u64("created")?),
        partition_count: fields.u16("partition count")?,
        hash_name: text(&mut fields, "hash name")?,
        writer_version: text(&mut fields, "writer version")?,
    };
    fields.require(identity.partition_count >= 1, "partition count", "must be at least 1", 0)?;
    fields.end()?;
    Ok(identity)
}

fn put_text(out: &mut BytesMut, text: &str) {
    assert!(text.len() <= IDENTITY_TEXT_BYTES_MAX, "{text:?} is longer than {IDENTITY_TEXT_BYTES_MAX} bytes");
    out.put_u16(u16::try_from(text.len()).expect("at most 64"));
    out.put(text.as_bytes());
}

fn text(fields: &mut Fields<'_>, field: &'static str) -> Result<String, FormatError> {
    let len = usize::from(fields.u16(field)?);
    fields.require(len <= IDENTITY_TEXT_BYTES_MAX, field, "must have at most 64 bytes", len as u64)?;
    let bytes = fields.take(field, len)?;
    let text = std::str::from_utf8(bytes).map_err(|_| fields.bad(field, "must be UTF-8", None))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::{covered_len, reseal};
    use proptest::prelude::*;

    fn identity() -> impl Strategy<Value = Identity> {
        (any::<(u128, u128, u128)>(), 1..u16::MAX, "[a-z0-9/,-]{0,64}", any::<u64>(), "\\PC{0,16}").prop_map(
            |((directory_id, node_id, cluster_id), partition_count, hash_name, created, writer_version)| {
                Identity {
                    format: DIRECTORY_FORMAT,
                    incompatible_features: 0,
                    directory_id,
                    node_id,
                    cluster_id,
                    partition_count,
                    hash_name,
                    created: Timestamp(created),
                    writer_version,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(identity in identity()) {
            let bytes = identity.encode();
            prop_assert_eq!(bytes.len(), IDENTITY_BYTES);
            prop_assert_eq!(Identity::decode(&bytes), Ok(IdentityFound { identity, damaged_copy: None }));
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Identity::decode(&bytes).is_err());
        }

        #[test]
        fn nothing_that_a_faulty_writer_seals_panics(
            identity in identity(),
            changes in proptest::collection::vec((24_usize..220, any::<u8>()), 1..4),
        ) {
            let mut bytes = identity.encode().to_vec();
            for (at, value) in changes {
                bytes[at] = value;
                bytes[BLOCK_BYTES + at] = value;
            }
            reseal(&mut bytes[..BLOCK_BYTES]);
            reseal(&mut bytes[BLOCK_BYTES..]);
            let _ = Identity::decode(&bytes);
        }

        #[test]
        fn rot_in_one_copy_is_noticed_and_survived(
            identity in identity(),
            copy in 0_u8..2,
            at in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = identity.encode().to_vec();
            let bit = at.index(covered_len(&bytes) * 8);
            bytes[usize::from(copy) * BLOCK_BYTES + bit / 8] ^= 1 << (bit % 8);
            let found = Identity::decode(&bytes).expect("the other copy is sound");
            prop_assert_eq!(found.identity, identity);
            prop_assert_eq!(found.damaged_copy.map(|(copy, _)| copy), Some(copy));
        }
    }

    fn sample() -> Identity {
        Identity {
            format: DIRECTORY_FORMAT,
            incompatible_features: 0,
            directory_id: 1,
            node_id: 2,
            cluster_id: 0,
            partition_count: 64,
            hash_name: "hash".to_owned(),
            created: Timestamp(3),
            writer_version: "9.9.9".to_owned(),
        }
    }

    #[test]
    fn an_unknown_feature_or_format_is_refused_by_name() {
        let newer = Identity { incompatible_features: 1 << 5, ..sample() };
        let error = Identity::decode(&newer.encode()).expect_err("an unknown feature");
        assert!(error.to_string().contains("version 9.9.9"), "{error}");
        assert!(error.to_string().contains("bit 5"), "{error}");
        let newer = Identity { format: 2, ..sample() };
        let error = Identity::decode(&newer.encode()).expect_err("an unknown format");
        assert!(error.to_string().contains("format version 2, this build knows version 1"), "{error}");
    }

    #[test]
    fn two_sound_copies_that_differ_are_refused() {
        let mut bytes = sample().encode().to_vec();
        let other = Identity { directory_id: 9, ..sample() }.encode();
        bytes[BLOCK_BYTES..].copy_from_slice(&other[..BLOCK_BYTES]);
        assert_eq!(Identity::decode(&bytes), Err(FormatError::CopiesDiffer));
    }

    #[test]
    fn a_file_cut_behind_its_first_copy_is_still_read() {
        let found = Identity::decode(&sample().encode()[..BLOCK_BYTES]).expect("the first copy is whole");
        assert_eq!(found.identity, sample());
        assert!(matches!(found.damaged_copy, Some((1, FormatError::Truncated(_)))));
    }
}
