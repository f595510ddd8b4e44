//! Names of buckets and streams, valid by construction.
//!
//! Parsed once at the edge (`api.md`: 1–512 bytes of UTF-8 without control characters, `+` and `#`; a
//! bucket holds no `/`). Cloning is a reference count, so a key can travel between cores.
//! No name is ever part of a file path.

use std::fmt;
use std::sync::Arc;

/// Longest bucket name, in bytes.
pub const BUCKET_NAME_MAX: usize = 512;
/// Longest stream name, in bytes.
pub const STREAM_NAME_MAX: usize = 512;

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The text has no bytes.
    Empty,
    /// The text has more bytes than `max`.
    TooLong {
        /// The bound that was passed, in bytes.
        max: usize,
    },
    /// The text holds a character that no name may hold.
    Forbidden {
        /// The first such character.
        character: char,
    },
    /// The bytes are not UTF-8.
    NotUtf8,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => write!(f, "a name must not be empty"),
            NameError::TooLong { max } => write!(f, "a name holds at most {max} bytes"),
            NameError::Forbidden { character } => {
                write!(f, "a name must not hold {}", character.escape_default())
            }
            NameError::NotUtf8 => write!(f, "a name must be UTF-8"),
        }
    }
}

impl std::error::Error for NameError {}

fn check(text: &str, max: usize, slash_allowed: bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max {
        return Err(NameError::TooLong { max });
    }
    let forbidden = |c: char| c.is_control() || matches!(c, '+' | '#') || (c == '/' && !slash_allowed);
    match text.chars().find(|&c| forbidden(c)) {
        Some(character) => Err(NameError::Forbidden { character }),
        None => Ok(()),
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $max:expr, slash = $slash:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and keeps it.
            ///
            /// # Errors
            /// [`NameError`] says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text, $max, $slash)?;
                Ok(Self(Arc::from(text)))
            }
            /// As [`Self::parse`], from bytes that may not be UTF-8.
            ///
            /// # Errors
            /// [`NameError`] says which rule the bytes break.
            pub fn parse_bytes(bytes: &[u8]) -> Result<Self, NameError> {
                Self::parse(std::str::from_utf8(bytes).map_err(|_| NameError::NotUtf8)?)
            }
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// The same name in memory of its own. A clone shares its memory, and so keeps what was allocated
            /// around it from being given back to the system.
            #[must_use]
            pub fn detached(&self) -> Self {
                Self(Arc::from(&*self.0))
            }
            /// Whether the name is kept for the server's own use (it begins with `$`).
            pub fn is_internal(&self) -> bool {
                self.0.starts_with('$')
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name_type!(
    /// Name of a bucket: no slash.
    BucketName,
    BUCKET_NAME_MAX,
    slash = false
);
name_type!(
    /// Name of a stream inside its bucket: may hold slashes.
    StreamName,
    STREAM_NAME_MAX,
    slash = true
);

/// A stream's full name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// The bucket that holds the stream.
    pub bucket: BucketName,
    /// The stream's name in the bucket.
    pub stream: StreamName,
}

impl StreamKey {
    /// Parses both parts.
    ///
    /// # Errors
    /// The [`NameError`] of the first part that is no name.
    pub fn parse(bucket: &str, stream: &str) -> Result<Self, NameError> {
        Ok(StreamKey { bucket: BucketName::parse(bucket)?, stream: StreamName::parse(stream)? })
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.stream)
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_greatest_length_is_taken_and_one_byte_more_is_refused() {
        assert!(StreamName::parse(&"x".repeat(STREAM_NAME_MAX)).is_ok());
        let long = "x".repeat(STREAM_NAME_MAX + 1);
        assert_eq!(StreamName::parse(&long), Err(NameError::TooLong { max: STREAM_NAME_MAX }));
    }

    #[test]
    fn only_a_stream_may_hold_a_slash() {
        assert!(StreamName::parse("house1/temp").is_ok());
        assert_eq!(BucketName::parse("a/b"), Err(NameError::Forbidden { character: '/' }));
    }

    #[test]
    fn control_characters_and_wildcards_are_refused() {
        for bad in ["a\0", "a\n", "a+", "#", "\u{7f}", "\u{85}"] {
            assert!(matches!(StreamName::parse(bad), Err(NameError::Forbidden { .. })), "{bad:?}");
        }
        assert_eq!(StreamName::parse_bytes(b"\xff"), Err(NameError::NotUtf8));
        assert_eq!(StreamName::parse(""), Err(NameError::Empty));
    }
}
