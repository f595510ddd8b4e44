//! What can still be said of a group whose body is damaged.
//!
//! Called by `inspect` to name the damaged batch, its partition, its streams and the sequence numbers it
//! held. Recovery never uses this: a body that fails its checksum is lost as a whole, and what is read here
//! is told to people only. Every record named was found with a sound header of its own.

use crate::batch::{BATCH_HEADER_BYTES, Batch, BatchError, BatchHeader, INTRODUCES, decode_header};
use crate::group::{GROUP_HEADER_BYTES, GroupHeader};
use crate::wire::Reader;
use bytes::Bytes;
use types::{Record, SeqNum, StreamKey};

/// One batch of a damaged body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedBatch {
    /// Bytes from the start of the group.
    pub position: usize,
    /// The batch, or what is left to say of it.
    pub found: Result<Batch, DamagedBatch>,
}

/// A batch that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedBatch {
    /// What is wrong.
    pub error: BatchError,
    /// Its header as it stands there, when it makes sense; nothing vouches for it.
    pub claims: Option<BatchHeader>,
    /// Its events as far as their headers are sound, in order.
    pub events: Vec<(StreamKey, SeqNum)>,
}

/// Walks through the body of the group that starts at the start of `bytes`. Stops where a batch's length
/// cannot be believed; what lies behind is then part of the last damaged batch.
pub fn survey_body(header: &GroupHeader, bytes: &Bytes) -> Vec<SurveyedBatch> {
    let end = GROUP_HEADER_BYTES.saturating_add(header.body_len as usize).min(bytes.len());
    let mut position = GROUP_HEADER_BYTES.min(end);
    let mut found = Vec::new();
    while position < end {
        let rest = bytes.slice(position..end);
        match Batch::decode(&rest) {
            Ok((batch, len)) => {
                found.push(SurveyedBatch { position, found: Ok(batch) });
                position += len;
            }
            Err(error) => {
                let len = claimed_len(&rest);
                let damaged = survey_batch(&rest[..len.unwrap_or(rest.len())], error);
                found.push(SurveyedBatch { position, found: Err(damaged) });
                match len {
                    Some(len) => position += len,
                    None => break,
                }
            }
        }
    }
    found
}

fn claimed_len(rest: &[u8]) -> Option<usize> {
    let len = Reader::new(rest).u32()? as usize;
    (BATCH_HEADER_BYTES..=rest.len()).contains(&len).then_some(len)
}

fn survey_batch(batch: &[u8], error: BatchError) -> DamagedBatch {
    let header = batch.get(8..).and_then(|header| decode_header(&mut Reader::new(header)));
    let claims = header.and_then(Result::ok).map(|(header, _)| header);
    let events = survey_events(batch.get(BATCH_HEADER_BYTES..).unwrap_or_default());
    DamagedBatch { error, claims, events }
}

/// Reads events until one does not make sense.
fn survey_events(content: &[u8]) -> Vec<(StreamKey, SeqNum)> {
    let mut streams: Vec<StreamKey> = Vec::new();
    let mut events = Vec::new();
    let mut at = 0;
    while at < content.len() {
        let mut reader = Reader::new(&content[at..]);
        let Some(reference) = reader.u32() else {
            break;
        };
        if reference & INTRODUCES != 0 {
            let Some(key) = reader.u64().and_then(|_epoch| reader.stream_key()) else {
                break;
            };
            streams.push(key);
        }
        let Some(key) = streams.get((reference & !INTRODUCES) as usize) else {
            break;
        };
        at += reader.position();
        let Ok((len, seq)) = Record::survey(&content[at..]) else {
            break;
        };
        events.push((key.clone(), seq));
        at += len;
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;
    use crate::checksum;
    use crate::group::GroupKind;
    use bytes::BytesMut;
    use proptest::prelude::*;
    use types::{Epoch, EventDraft, LogIndex, PartitionId, ServerEpoch, ShardId, Term, Timestamp};

    fn key(stream: &str) -> StreamKey {
        StreamKey::parse("b", stream).expect("a name")
    }

    fn batch(partition: u16, stream: &str, first: u64) -> Bytes {
        let mut builder = BatchBuilder::new(PartitionId(partition), Term(1), LogIndex(first), Timestamp(9));
        let reference = builder.introduce();
        for seq in first..first + 2 {
            let draft = EventDraft::json(Bytes::from_static(b"{\"a\":123456}"));
            let introduced = (seq == first).then(|| (key(stream), Epoch(1)));
            let introduced = introduced.as_ref().map(|(key, epoch)| (key, *epoch));
            let encode = |out: &mut BytesMut| Record::encode(out, &draft, SeqNum(seq), Timestamp(9), None);
            builder.push(reference, introduced, encode);
        }
        builder.finish().1
    }

    fn group() -> (GroupHeader, Vec<u8>) {
        let body = [batch(3, "x", 1), batch(4, "y", 7)].concat();
        let header = GroupHeader {
            kind: GroupKind::Commit,
            shard: ShardId(0),
            slots: 4,
            directory_id: 5,
            generation: 1,
            offset: 0,
            epoch: ServerEpoch(1),
            number: 1,
            durable_upto: 0,
            replay_from: 1,
            records_before: 0,
            previous_checksum: 0,
            body_len: u32::try_from(body.len()).expect("small"),
            batch_count: 2,
            record_count: 4,
            body_checksum: checksum(&body),
        };
        let bytes = [header.encode().0.to_vec(), body].concat();
        (header, bytes)
    }

    #[test]
    fn a_flipped_payload_byte_leaves_every_name_and_number() {
        let (header, mut bytes) = group();
        let at = bytes.windows(6).position(|part| part == b"123456").expect("the first payload is there");
        bytes[at] ^= 1;
        let found = survey_body(&header, &Bytes::from(bytes));
        let damaged = found[0].found.as_ref().expect_err("the first batch is damaged");
        assert_eq!(damaged.claims.map(|claims| claims.partition), Some(PartitionId(3)));
        assert_eq!(damaged.events, [(key("x"), SeqNum(1)), (key("x"), SeqNum(2))]);
        let sound = found[1].found.as_ref().expect("the second batch is sound");
        assert_eq!((sound.header.partition, found.len()), (PartitionId(4), 2));
    }

    #[test]
    fn a_length_that_cannot_be_believed_ends_the_walk() {
        let (header, mut bytes) = group();
        bytes[GROUP_HEADER_BYTES + 3] = 0xff;
        let found = survey_body(&header, &Bytes::from(bytes));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].found.as_ref().map_err(|damaged| damaged.error), Err(BatchError::Truncated));
    }

    proptest! {
        #[test]
        fn no_body_panics(cut in 0_usize..600, at in 0_usize..600, value: u8) {
            let (header, mut bytes) = group();
            let length = bytes.len();
            bytes[at % length] = value;
            bytes.truncate(cut);
            let found = survey_body(&header, &Bytes::from(bytes));
            prop_assert!(found.len() <= 3);
        }
    }
}
