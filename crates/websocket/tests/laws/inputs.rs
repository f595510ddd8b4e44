//! Strategies for what a peer may send: sound conversations, damaged ones, and frames of raw header bytes.
//!
//! Small lengths prevail, because headers are where the decisions are; lengths around the limits of the
//! three length forms and of `SMALL` come now and then.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use websocket::{CloseCode, MaskKey, Opcode, encode_close, encode_frame};

/// Bytes of a peer. A failed property shows them in hexadecimal, the first of them if they are many.
#[derive(Clone)]
pub(crate) struct Input(Vec<u8>);

impl std::ops::Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes: {:02x?}", self.0.len(), &self.0[..self.0.len().min(300)])
    }
}

/// A piece of a message and the control frame that follows it.
pub(crate) type Fragment = (Vec<u8>, Option<(Opcode, Vec<u8>)>);

/// Something whole that a peer says.
#[derive(Clone, Debug)]
pub(crate) enum Saying {
    Message { opcode: Opcode, fragments: Vec<Fragment> },
    Control { opcode: Opcode, payload: Vec<u8> },
    Close { code: Option<CloseCode>, reason: String },
}

impl Saying {
    /// Appends the frames, masked as a client's if `mask` is given.
    pub(crate) fn encode(&self, mask: Option<MaskKey>, out: &mut BytesMut) {
        match self {
            Saying::Message { opcode, fragments } => {
                for (at, (piece, control)) in fragments.iter().enumerate() {
                    let opcode = if at == 0 { *opcode } else { Opcode::Continuation };
                    let fin = at + 1 == fragments.len();
                    encode_frame(opcode, fin, piece, mask, out);
                    if let (Some((opcode, payload)), false) = (control, fin) {
                        encode_frame(*opcode, true, payload, mask, out);
                    }
                }
            }
            Saying::Control { opcode, payload } => encode_frame(*opcode, true, payload, mask, out),
            Saying::Close { code, reason } => encode_close(*code, reason, mask, out),
        }
    }
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0usize..12, 4 => 120usize..135, 1 => 65_530usize..65_540]
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    (length(), any::<[u8; 8]>()).prop_map(|(length, seed)| seed.into_iter().cycle().take(length).collect())
}

fn words() -> impl Strategy<Value = Vec<u8>> {
    let letters = prop_oneof![Just("a"), Just("\u{e4}"), Just("\u{20ac}"), Just("\u{1f600}"), Just("z")];
    (vec(letters, 1..6), length()).prop_map(|(letters, length)| {
        let text: String = letters.into_iter().cycle().take(length).collect();
        text.into_bytes()
    })
}

fn control() -> impl Strategy<Value = (Opcode, Vec<u8>)> {
    let payload = vec(any::<u8>(), 0..126);
    (prop_oneof![Just(Opcode::Ping), Just(Opcode::Pong)], prop_oneof![vec(any::<u8>(), 0..4), payload])
}

/// A payload cut at random places, with control frames between the pieces.
fn fragments(payload: Vec<u8>) -> impl Strategy<Value = Vec<Fragment>> {
    let cuts = vec((any::<Index>(), proptest::option::weighted(0.3, control())), 0..4);
    cuts.prop_map(move |cuts| {
        let mut places: Vec<(usize, _)> =
            cuts.into_iter().map(|(at, control)| (at.index(payload.len() + 1), control)).collect();
        places.sort_by_key(|(at, _)| *at);
        places.push((payload.len(), None));
        let mut start = 0;
        let mut fragments = Vec::new();
        for (end, control) in places {
            fragments.push((payload[start..end].to_vec(), control));
            start = end;
        }
        fragments
    })
}

pub(crate) fn message() -> impl Strategy<Value = Saying> {
    let text = words().prop_map(|payload| (Opcode::Text, payload));
    let binary = octets().prop_map(|payload| (Opcode::Binary, payload));
    prop_oneof![text, binary].prop_flat_map(|(opcode, payload)| {
        fragments(payload).prop_map(move |fragments| Saying::Message { opcode, fragments })
    })
}

fn any_close() -> impl Strategy<Value = Saying> {
    let code = prop_oneof![Just(None), (1000u16..5000).prop_map(CloseCode::new)];
    (code, "[a-z\u{e4}\u{20ac}]{0,60}").prop_map(|(code, reason)| Saying::Close { code, reason })
}

pub(crate) fn saying() -> impl Strategy<Value = Saying> {
    let control = control().prop_map(|(opcode, payload)| Saying::Control { opcode, payload });
    prop_oneof![8 => message(), 3 => control, 1 => any_close()]
}

/// A sound conversation on the wire.
pub(crate) fn sound(masked: bool) -> impl Strategy<Value = Input> {
    conversation(masked).prop_map(Input)
}

fn conversation(masked: bool) -> impl Strategy<Value = Vec<u8>> {
    vec((saying(), any::<MaskKey>()), 0..6).prop_map(move |sayings| {
        let mut out = BytesMut::new();
        for (saying, key) in sayings {
            saying.encode(masked.then_some(key), &mut out);
        }
        out.to_vec()
    })
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(u8),
    Set(u8),
    Insert(u8),
    Delete,
    Truncate,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => (0u8..8).prop_map(Damage::Flip),
        2 => any::<u8>().prop_map(Damage::Set),
        2 => any::<u8>().prop_map(Damage::Insert),
        2 => Just(Damage::Delete),
        1 => Just(Damage::Truncate),
    ]
}

/// A sound conversation with one to three wounds.
fn damaged(masked: bool) -> impl Strategy<Value = Vec<u8>> {
    (conversation(masked), vec((any::<Index>(), damage()), 1..4)).prop_map(|(mut bytes, wounds)| {
        for (at, wound) in wounds {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match wound {
                Damage::Flip(bit) => bytes[at] ^= 1 << bit,
                Damage::Set(byte) => bytes[at] = byte,
                Damage::Insert(byte) => bytes.insert(at, byte),
                Damage::Delete => drop(bytes.remove(at)),
                Damage::Truncate => bytes.truncate(at),
            }
        }
        bytes
    })
}

/// A frame whose header bytes are drawn one by one, with a payload that fits mostly.
fn raw_frame(masked: bool) -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8a]),
        1 => any::<u8>(),
    ];
    let form = prop_oneof![8 => Just(0u8), 1 => Just(126), 1 => Just(127)];
    let mask = if masked { 15 } else { 1 };
    let masked = prop_oneof![mask => Just(true), (16 - mask) => Just(false)];
    let payload = prop_oneof![6 => words(), 3 => octets(), 1 => Just(vec![0x03, 0xe8, b'x'])];
    (first, form, masked, payload).prop_map(|(first, form, masked, payload)| {
        let mut bytes = vec![first];
        let mask_bit = if masked { 0x80 } else { 0 };
        match (form, payload.len()) {
            (0, length @ 0..=125) => bytes.push(mask_bit | length as u8),
            (0 | 126, length @ 0..=65_535) => {
                bytes.push(mask_bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            (_, length) => {
                bytes.push(mask_bit | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            // A key of zeros leaves the payload as it is, so that it stays text.
            bytes.extend([0; 4]);
        }
        bytes.extend(payload);
        bytes
    })
}

/// Anything that a peer may send.
pub(crate) fn any_input(masked: bool) -> impl Strategy<Value = Input> {
    let bytes = prop_oneof![
        2 => conversation(masked),
        4 => damaged(masked),
        4 => vec(raw_frame(masked), 1..5).prop_map(|frames| frames.concat()),
        1 => vec(any::<u8>(), 0..40),
    ];
    bytes.prop_map(Input)
}

/// Where to cut an input: into pieces of one byte, or at random places.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..8)
}

/// The pieces of an input between the cuts.
pub(crate) fn pieces<'a>(input: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    places.push(input.len());
    places.sort_unstable();
    let mut start = 0;
    let mut pieces = Vec::new();
    for end in places {
        pieces.push(&input[start..end]);
        start = end;
    }
    pieces
}
