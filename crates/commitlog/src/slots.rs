//! Which of two slots that are written in turn holds the truth: one table for manifests and epoch marks.
//!
//! Generation g stands in slot g mod 2, the first generation is 1, and a generation is written only after
//! the one before is durable. So a damaged slot beside a sound one is either a write that a crash tore
//! (nothing depended on it yet) or rot in the newest one: the table says which value is left and that a
//! newer one may be lost; the caller looks for evidence in the journals.

use crate::format_error::{FilePart, FormatError, PlaceField, check_place};

/// What was read from one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot<T> {
    /// No file, an empty one, or only zeros: never written.
    Missing,
    /// Something that cannot be used, and why.
    Damaged(FormatError),
    /// A sound value that belongs here.
    Sound(T),
}

/// A value that is written to two slots in turn.
pub trait Generations {
    /// Counts the writes, from 1.
    fn generation(&self) -> u64;
}

/// What two slots amount to. Exactly one row of the table in `docs/formats/README.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotChoice<T> {
    /// Neither slot was ever written: there is no value yet.
    Missing,
    /// The newest value, and nothing speaks against it.
    Newest(T),
    /// The only sound value; the other slot may have held a newer one.
    Survivor {
        /// What is left.
        value: T,
        /// What is wrong with the other slot; `None` when it is gone although it must have been written.
        lost: Option<FormatError>,
    },
    /// The very first write was torn: the slot of generation 1 is damaged and the other never written.
    /// Nothing depended on it.
    TornAtBirth(FormatError),
    /// No sound value is left, although there was one.
    Damaged {
        /// What is wrong with slot 0; `None` when it is missing.
        slot0: Option<FormatError>,
        /// What is wrong with slot 1; `None` when it is missing.
        slot1: Option<FormatError>,
    },
}

/// The slot that holds `generation`.
pub fn slot_of(generation: u64) -> u8 {
    u8::from(generation % 2 == 1)
}

/// Decides what two slots amount to. Both were checked to stand in their own slot ([`slot_of`]).
///
/// # Panics
/// When a sound value stands in the wrong slot.
pub fn choose_slot<T: Generations>(slot0: Slot<T>, slot1: Slot<T>) -> SlotChoice<T> {
    for (index, slot) in [(0, &slot0), (1, &slot1)] {
        if let Slot::Sound(value) = slot {
            assert_eq!(slot_of(value.generation()), index, "a slot is checked when it is read");
        }
    }
    match (slot0, slot1) {
        (Slot::Missing, Slot::Missing) => SlotChoice::Missing,
        (Slot::Sound(a), Slot::Sound(b)) => {
            SlotChoice::Newest(if a.generation() > b.generation() { a } else { b })
        }
        (Slot::Missing, Slot::Sound(value)) if value.generation() == 1 => SlotChoice::Newest(value),
        (Slot::Missing, Slot::Sound(value)) | (Slot::Sound(value), Slot::Missing) => {
            SlotChoice::Survivor { value, lost: None }
        }
        (Slot::Damaged(error), Slot::Sound(value)) | (Slot::Sound(value), Slot::Damaged(error)) => {
            SlotChoice::Survivor { value, lost: Some(error) }
        }
        (Slot::Missing, Slot::Damaged(error)) => SlotChoice::TornAtBirth(error),
        (Slot::Damaged(error), Slot::Missing) => SlotChoice::Damaged { slot0: Some(error), slot1: None },
        (Slot::Damaged(a), Slot::Damaged(b)) => SlotChoice::Damaged { slot0: Some(a), slot1: Some(b) },
    }
}

/// Reads one slot with `decode`, and checks that what it gives belongs to `slot` of `directory_id`.
pub(crate) fn read_slot<T: Generations>(
    part: FilePart,
    bytes: &[u8],
    slot: u8,
    decode: impl FnOnce(&[u8]) -> Result<T, FormatError>,
) -> Slot<T> {
    if bytes.iter().all(|&byte| byte == 0) {
        return Slot::Missing;
    }
    let checked = decode(bytes).and_then(|value| {
        check_place(part, PlaceField::Slot, slot, slot_of(value.generation()))?;
        Ok(value)
    });
    match checked {
        Ok(value) => Slot::Sound(value),
        Err(error) => Slot::Damaged(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Value(u64);

    impl Generations for Value {
        fn generation(&self) -> u64 {
            self.0
        }
    }

    /// `-` missing, `x` damaged, a number a sound generation.
    fn slot(text: &str, found: u64) -> Slot<Value> {
        match text {
            "-" => Slot::Missing,
            "x" => Slot::Damaged(error(found)),
            number => Slot::Sound(Value(number.parse().expect("a generation"))),
        }
    }

    fn error(found: u64) -> FormatError {
        FormatError::truncated(FilePart::Manifest, 24, found)
    }

    #[test]
    fn every_pair_of_slots_has_one_meaning() {
        use SlotChoice::{Damaged, Missing, Newest, Survivor, TornAtBirth};
        let (zero, one) = (error(0), error(1));
        let rows = [
            ("-", "-", Missing),
            ("-", "1", Newest(Value(1))),
            ("-", "3", Survivor { value: Value(3), lost: None }),
            ("2", "-", Survivor { value: Value(2), lost: None }),
            ("2", "1", Newest(Value(2))),
            ("2", "3", Newest(Value(3))),
            ("x", "1", Survivor { value: Value(1), lost: Some(zero.clone()) }),
            ("2", "x", Survivor { value: Value(2), lost: Some(one.clone()) }),
            ("-", "x", TornAtBirth(one.clone())),
            ("x", "-", Damaged { slot0: Some(zero.clone()), slot1: None }),
            ("x", "x", Damaged { slot0: Some(zero), slot1: Some(one) }),
        ];
        for (slot0, slot1, choice) in rows {
            assert_eq!(choose_slot(slot(slot0, 0), slot(slot1, 1)), choice, "{slot0} {slot1}");
        }
    }
}
