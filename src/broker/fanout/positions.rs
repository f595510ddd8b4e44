//! The positions of a listener's streams as one short text: the `id:` of an event stream, and back.
//!
//! `docs/api-listen.md` draws it: base64url (RFC 4648 §5, no padding) of a version byte, a tag of the
//! subscriptions that it belongs to, and epoch and next event of each, as variable-length numbers. A client
//! gives it back as it is; nothing in it is secret and nothing is trusted: any text decodes or is refused.

use super::subscription::Position;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crc32fast::Hasher;
use std::collections::BTreeMap;
use std::fmt;
use types::{Epoch, SeqNum, Timestamp};

const VERSION: u8 = 1;
/// Longest text: what a client can give back in a header beside all others.
const POSITIONS_TEXT_MAX: usize = 10 * 1024;

/// Where a listener stands in what one of its subscriptions names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a stream.
    Stream(Position),
    /// In the streams of a pattern.
    Pattern {
        /// When the listener began; streams that it got nothing of go on from here, unless a first sequence
        /// number was asked for.
        since: Timestamp,
        /// Streams that it got something of, by the hash of their names.
        seen: BTreeMap<u64, Position>,
    },
}

/// Why a text is no vector of positions for these subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionsError {
    /// Not base64url, too long, or cut.
    Malformed,
    /// Of another version.
    UnknownVersion(u8),
    /// Made for other subscriptions.
    OtherSubscriptions,
}

impl fmt::Display for PositionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PositionsError::Malformed => f.write_str("it is not a text that this server gave"),
            PositionsError::UnknownVersion(version) => write!(f, "it has the unknown version {version}"),
            PositionsError::OtherSubscriptions => f.write_str("it belongs to other subscriptions"),
        }
    }
}

/// The tag of a list of subscriptions, each as `bucket:stream` without a sequence number.
pub fn tag_of<'a>(subscriptions: impl IntoIterator<Item = &'a str>) -> u32 {
    let mut hasher = Hasher::new();
    for subscription in subscriptions {
        hasher.update(subscription.as_bytes());
        // No name holds a zero byte.
        hasher.update(&[0]);
    }
    hasher.finalize()
}

/// The text of the positions, in the order of the subscriptions; `None` when it would be too long.
pub fn encode<'a>(tag: u32, places: impl IntoIterator<Item = &'a Place>) -> Option<String> {
    let mut bytes = begin(tag);
    for place in places {
        match place {
            Place::Stream(position) => put_position(&mut bytes, *position),
            Place::Pattern { since, seen } => {
                put_number(&mut bytes, since.0);
                put_number(&mut bytes, seen.len() as u64);
                for (hash, position) in seen {
                    bytes.extend_from_slice(&hash.to_le_bytes());
                    put_position(&mut bytes, *position);
                }
            }
        }
        if bytes.len() > POSITIONS_TEXT_MAX / 4 * 3 {
            return None;
        }
    }
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// The text for a listener of one stream.
pub(super) fn encode_one(tag: u32, position: Position) -> String {
    let mut bytes = begin(tag);
    put_position(&mut bytes, position);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a text for subscriptions with this tag; `is_pattern` tells of each whether it is one.
///
/// # Errors
/// [`PositionsError`]; nothing is allocated by a claimed length.
pub fn decode(text: &str, tag: u32, is_pattern: &[bool]) -> Result<Vec<Place>, PositionsError> {
    if text.len() > POSITIONS_TEXT_MAX {
        return Err(PositionsError::Malformed);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| PositionsError::Malformed)?;
    let mut reader = Reader(&bytes);
    let [version] = reader.take::<1>()?;
    if version != VERSION {
        return Err(PositionsError::UnknownVersion(version));
    }
    if u32::from_le_bytes(reader.take()?) != tag {
        return Err(PositionsError::OtherSubscriptions);
    }
    let place =
        |is_pattern: &bool| if *is_pattern { reader.pattern() } else { reader.position().map(Place::Stream) };
    let places = is_pattern.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    if reader.0.is_empty() { Ok(places) } else { Err(PositionsError::Malformed) }
}

fn begin(tag: u32) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&tag.to_le_bytes());
    bytes
}

fn put_position(bytes: &mut Vec<u8>, position: Position) {
    put_number(bytes, position.epoch.0);
    put_number(bytes, position.next.0);
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PositionsError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(PositionsError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, PositionsError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take::<1>()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(PositionsError::Malformed)
    }

    fn position(&mut self) -> Result<Position, PositionsError> {
        let (epoch, next) = (Epoch(self.number()?), SeqNum(self.number()?));
        if next < SeqNum::FIRST { Err(PositionsError::Malformed) } else { Ok(Position { epoch, next }) }
    }

    fn pattern(&mut self) -> Result<Place, PositionsError> {
        let since = Timestamp(self.number()?);
        let count = self.number()?;
        let mut seen = BTreeMap::new();
        for _ in 0..count {
            let hash = u64::from_le_bytes(self.take()?);
            seen.insert(hash, self.position()?);
        }
        Ok(Place::Pattern { since, seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position() -> impl Strategy<Value = Position> {
        (any::<u64>(), 1..u64::MAX)
            .prop_map(|(epoch, next)| Position { epoch: Epoch(epoch), next: SeqNum(next) })
    }

    fn place() -> impl Strategy<Value = Place> {
        prop_oneof![
            position().prop_map(Place::Stream),
            (any::<u64>(), proptest::collection::btree_map(any::<u64>(), position(), 0..9))
                .prop_map(|(since, seen)| Place::Pattern { since: Timestamp(since), seen }),
        ]
    }

    fn shape(places: &[Place]) -> Vec<bool> {
        places.iter().map(|place| matches!(place, Place::Pattern { .. })).collect()
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            places in proptest::collection::vec(place(), 0..20),
            tag in any::<u32>(),
        ) {
            let text = encode(tag, &places).expect("short");
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(decode(&text, tag, &shape(&places)), Ok(places));
        }

        #[test]
        fn no_input_panics(
            text in "[A-Za-z0-9_-]{0,80}",
            shape in proptest::collection::vec(any::<bool>(), 0..4),
        ) {
            let tag = tag_of(["b:s"]);
            let _ = decode(&text, tag, &shape);
            let one = encode_one(tag, Position { epoch: Epoch(1), next: SeqNum(1) });
            let _ = decode(&format!("{one}{text}"), tag, &shape);
        }
    }

    #[test]
    fn the_text_for_one_stream_is_the_general_one() {
        let position = Position { epoch: Epoch(300), next: SeqNum(70_000) };
        let tag = tag_of(["b:s"]);
        assert_eq!(Some(encode_one(tag, position)), encode(tag, &[Place::Stream(position)]));
    }

    #[test]
    fn a_text_of_other_subscriptions_is_refused() {
        let text = encode_one(tag_of(["b:s"]), Position { epoch: Epoch(1), next: SeqNum(1) });
        assert_eq!(decode(&text, tag_of(["b:t"]), &[false]), Err(PositionsError::OtherSubscriptions));
        assert_eq!(decode("AQAAAAA", 0, &[false]), Err(PositionsError::Malformed));
        assert_eq!(decode("AgAAAAA", 0, &[]), Err(PositionsError::UnknownVersion(2)));
        assert_eq!(decode("!", 0, &[]), Err(PositionsError::Malformed));
        assert_ne!(tag_of(["ab", "c"]), tag_of(["a", "bc"]));
    }

    #[test]
    fn a_vector_that_is_too_long_has_no_text() {
        let seen =
            (0..POSITIONS_TEXT_MAX as u64).map(|hash| (hash, Position { epoch: Epoch(1), next: SeqNum(1) }));
        let place = Place::Pattern { since: Timestamp(1), seen: seen.collect() };
        assert_eq!(encode(1, &[place]), None);
    }
}
