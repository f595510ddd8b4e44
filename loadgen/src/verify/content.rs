//! The bytes of an event of the verifier, made from its identity alone.
//!
//! Writers send them, the check makes them again and compares. Law: the identity can be read from the bytes,
//! and two identities never have the same bytes.

use crate::decide::choice::Mix;

/// Which event it is: the n-th request of a writer, and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EventId {
    /// The writer.
    pub(crate) writer: u32,
    /// Its request, from 0.
    pub(crate) request: u64,
    /// The place in the request, from 0.
    pub(crate) place: u32,
}

/// Now and then an event is large, so that it spans blocks.
const LARGE_BYTES: u64 = 20_000;
const USUAL_BYTES: u64 = 400;

impl EventId {
    /// The event's bytes: a JSON object with the identity and padding of a length that differs.
    pub(crate) fn content(self) -> Vec<u8> {
        let EventId { writer, request, place } = self;
        let mut mix = Mix::new((u64::from(writer) << 44) ^ (request << 12) ^ u64::from(place));
        let bound = if mix.below(50) == 0 { LARGE_BYTES } else { USUAL_BYTES };
        let length = mix.below(bound) as usize;
        let mut text = format!("{{\"w\":{writer},\"r\":{request},\"i\":{place},\"p\":\"").into_bytes();
        while text.len() < length {
            text.extend_from_slice(format!("{:016x}", mix.next_u64()).as_bytes());
        }
        text.extend_from_slice(b"\"}");
        text
    }

    /// The identity in an event's bytes, if there is one.
    pub(crate) fn parse(content: &[u8]) -> Option<EventId> {
        #[derive(serde::Deserialize)]
        struct Form {
            w: u32,
            r: u64,
            i: u32,
        }
        let Form { w, r, i } = serde_json::from_slice(content).ok()?;
        Some(EventId { writer: w, request: r, place: i })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_identity_is_read_back_from_its_bytes(
            writer in any::<u32>(), request in any::<u64>(), place in any::<u32>(),
        ) {
            let id = EventId { writer, request, place };
            prop_assert_eq!(EventId::parse(&id.content()), Some(id));
            prop_assert_eq!(id.content(), id.content());
        }
    }
}
