//! UTF-8 checked while it arrives: a text message may be cut anywhere, also inside a character.
//!
//! The receiver gives every piece of a text message, in order, and fails the connection at the first byte
//! that no valid text can contain there (RFC 6455 §8.1; RFC 3629). At most three bytes are kept, an
//! unfinished character; no piece is looked at twice.

use std::fmt;

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not valid UTF-8")
    }
}

impl std::error::Error for InvalidUtf8 {}

/// The state between two pieces: the beginning of a character whose end has not arrived.
///
/// Invariant: `partial[..partial_bytes]` is a proper prefix of a valid character, `partial_bytes <= 3`.
#[derive(Clone, Debug, Default)]
pub struct Utf8Checker {
    partial: [u8; 3],
    partial_bytes: u8,
}

impl Utf8Checker {
    /// Checks the next piece.
    ///
    /// # Errors
    /// The piece contains a byte that cannot stand at its place. The checker is then of no more use.
    pub fn check(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let rest = self.complete_character(piece)?;
        match std::str::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => self.keep(&rest[error.valid_up_to()..]),
            Err(_) => Err(InvalidUtf8),
        }
    }

    /// Whether the text may end here: no character is unfinished.
    pub fn is_complete(&self) -> bool {
        self.partial_bytes == 0
    }

    /// Ends an unfinished character with the first bytes of `piece`; returns what comes after it.
    fn complete_character<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        let mut character = [0u8; 4];
        let mut length = usize::from(self.partial_bytes);
        character[..length].copy_from_slice(&self.partial[..length]);
        let mut rest = piece;
        while self.partial_bytes > 0 {
            let Some((&byte, after)) = rest.split_first() else {
                return Ok(rest);
            };
            // A prefix that is still unfinished has at most three bytes, so there is room for one more.
            character[length] = byte;
            length += 1;
            rest = after;
            match std::str::from_utf8(&character[..length]) {
                Ok(_) => self.partial_bytes = 0,
                Err(error) if error.error_len().is_none() => self.keep(&character[..length])?,
                Err(_) => return Err(InvalidUtf8),
            }
        }
        Ok(rest)
    }

    fn keep(&mut self, prefix: &[u8]) -> Result<(), InvalidUtf8> {
        assert!(prefix.len() <= 3, "a character of UTF-8 has at most four bytes");
        self.partial[..prefix.len()].copy_from_slice(prefix);
        self.partial_bytes = prefix.len() as u8;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The verdict on `text` cut at `cut`: the piece that failed, or whether it may end.
    fn verdict(text: &[u8], cut: usize) -> Option<bool> {
        let mut checker = Utf8Checker::default();
        let (left, right) = text.split_at(cut);
        checker.check(left).ok()?;
        checker.check(right).ok()?;
        Some(checker.is_complete())
    }

    fn text_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<char>().prop_map(|c| c.to_string().into_bytes()),
            proptest::collection::vec(0x80u8..=0xff, 1..3),
            any::<char>().prop_map(|c| {
                let mut bytes = c.to_string().into_bytes();
                bytes.pop();
                bytes
            }),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_cut_anywhere_gives_the_verdict_of_the_standard_library(text in text_like()) {
            let expected = match std::str::from_utf8(&text) {
                Ok(_) => Some(true),
                Err(error) if error.error_len().is_none() => Some(false),
                Err(_) => None,
            };
            for cut in 0..=text.len() {
                prop_assert_eq!(verdict(&text, cut), expected, "cut at {}", cut);
            }
        }

        #[test]
        fn byte_by_byte_fails_at_the_first_byte_that_no_text_can_have(text in text_like()) {
            let mut checker = Utf8Checker::default();
            for (at, byte) in text.iter().enumerate() {
                let possible = match std::str::from_utf8(&text[..=at]) {
                    Ok(_) => true,
                    Err(error) => error.error_len().is_none(),
                };
                prop_assert_eq!(checker.check(&[*byte]).is_ok(), possible, "byte {}", at);
                if !possible {
                    break;
                }
            }
        }
    }
}
