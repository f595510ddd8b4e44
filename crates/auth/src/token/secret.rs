//! The secrets that our own tokens are signed with, and the text that keeps them.
//!
//! The shell reads and writes the file; [`SecretRing::parse`] and [`SecretRing::print`] are its two ends.
//! One `kid:base64url` a line; the first signs, all verify: a secret is changed by writing a new line on top
//! and taking the old one away when its last token is expired. No secret appears in `Debug` or in an error.

use super::compact;
use ring::digest;
use std::fmt;

/// Most secrets of a ring: a token without a key id is tried against each.
pub const SECRETS_MAX: usize = 16;
/// Fewest bytes of a random secret.
pub const SECRET_BYTES_MIN: usize = 32;
/// Most bytes of a secret.
pub const SECRET_BYTES_MAX: usize = 1024;
/// Longest key id, in bytes.
pub const KID_BYTES_MAX: usize = 64;

const HEADING: &str = "# Secrets of tokens, one `kid:base64url` a line. The first signs, all verify.\n";

/// One shared secret with the id that tokens name it by.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    kid: String,
    bytes: Vec<u8>,
}

impl Secret {
    /// A secret of random bytes.
    ///
    /// # Errors
    /// A key id that cannot stand in a token, or bytes that are too few or too many.
    pub fn new(kid: &str, bytes: Vec<u8>) -> Result<Secret, SecretFault> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(SecretFault::TooShort { bytes: bytes.len() });
        }
        Secret::checked(kid, bytes)
    }

    /// The secret with these random bytes, named by a digest of them. 64 bytes are what HS512 asks for
    /// (RFC 7518 §3.2).
    pub fn from_random(bytes: &[u8; 64]) -> Secret {
        let digest = digest::digest(&digest::SHA256, bytes);
        let kid = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Secret { kid, bytes: bytes.to_vec() }
    }

    /// A secret that somebody chose as a text, as Iorio's configuration has it. It may be short, and a short
    /// one can be guessed from any token: use it only to take over an Iorio server's tokens.
    ///
    /// # Errors
    /// A key id that cannot stand in a token, or a text that is empty or too long.
    pub fn from_configured_text(kid: &str, text: &str) -> Result<Secret, SecretFault> {
        if text.is_empty() {
            return Err(SecretFault::Empty);
        }
        Secret::checked(kid, text.as_bytes().to_vec())
    }

    fn checked(kid: &str, bytes: Vec<u8>) -> Result<Secret, SecretFault> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if kid.is_empty() || kid.len() > KID_BYTES_MAX || !kid.bytes().all(allowed) {
            return Err(SecretFault::Kid);
        }
        if bytes.len() > SECRET_BYTES_MAX {
            return Err(SecretFault::TooLong { bytes: bytes.len() });
        }
        Ok(Secret { kid: kid.to_owned(), bytes })
    }

    /// The id that tokens name it by.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The secret itself.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, {} bytes)", self.kid, self.bytes.len())
    }
}

/// The secret that signs, and those that still verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRing {
    signing: Secret,
    also_valid: Vec<Secret>,
}

impl SecretRing {
    /// A ring of secrets with different key ids.
    ///
    /// # Errors
    /// A key id that stands twice, or more than [`SECRETS_MAX`] secrets.
    pub fn new(signing: Secret, also_valid: Vec<Secret>) -> Result<SecretRing, SecretFault> {
        let mut ring = SecretRing { signing, also_valid: Vec::new() };
        also_valid.into_iter().try_for_each(|secret| ring.push(secret))?;
        Ok(ring)
    }

    /// Reads the text of a secret file. `#` begins a comment line; empty lines are skipped.
    ///
    /// # Errors
    /// The first line that is wrong, and how; nothing of a secret is repeated.
    pub fn parse(text: &str) -> Result<SecretRing, SecretTextError> {
        let mut ring: Option<SecretRing> = None;
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            add_line(&mut ring, content).map_err(|fault| SecretTextError { line: Some(line), fault })?;
        }
        ring.ok_or(SecretTextError { line: None, fault: SecretFault::NoSecret })
    }

    /// The text that [`SecretRing::parse`] reads.
    pub fn print(&self) -> String {
        let mut text = HEADING.to_owned();
        for secret in self.secrets() {
            text.push_str(&secret.kid);
            text.push(':');
            text.push_str(&compact::encode(&secret.bytes));
            text.push('\n');
        }
        text
    }

    /// Lets one more secret verify.
    ///
    /// # Errors
    /// A key id that stands twice, or more than [`SECRETS_MAX`] secrets.
    pub fn push(&mut self, secret: Secret) -> Result<(), SecretFault> {
        if self.secrets().any(|other| other.kid == secret.kid) {
            return Err(SecretFault::KidTwice);
        }
        if self.secrets().count() == SECRETS_MAX {
            return Err(SecretFault::TooMany);
        }
        self.also_valid.push(secret);
        Ok(())
    }

    /// The secret that signs.
    pub fn signing(&self) -> &Secret {
        &self.signing
    }

    /// Every secret that verifies; the first signs.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.signing).chain(&self.also_valid)
    }
}

fn add_line(ring: &mut Option<SecretRing>, line: &str) -> Result<(), SecretFault> {
    let secret = parse_line(line)?;
    match ring {
        Some(ring) => ring.push(secret),
        None => {
            *ring = Some(SecretRing::new(secret, Vec::new())?);
            Ok(())
        }
    }
}

fn parse_line(line: &str) -> Result<Secret, SecretFault> {
    let (kid, encoded) = line.split_once(':').ok_or(SecretFault::NoColon)?;
    let bytes = compact::decode(encoded.trim().as_bytes()).ok_or(SecretFault::NotBase64Url)?;
    Secret::new(kid.trim(), bytes)
}

/// What is wrong with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretFault {
    /// A line without `kid:`.
    NoColon,
    /// Not base64url without padding.
    NotBase64Url,
    /// Fewer bytes than [`SECRET_BYTES_MIN`].
    TooShort {
        /// How many there are.
        bytes: usize,
    },
    /// More bytes than [`SECRET_BYTES_MAX`].
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// A configured secret without a character.
    Empty,
    /// A key id that is empty, too long, or has a character that it may not have.
    Kid,
    /// A key id that another secret has.
    KidTwice,
    /// More secrets than [`SECRETS_MAX`].
    TooMany,
    /// A text without a secret.
    NoSecret,
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretFault::NoColon => f.write_str("write a secret as `kid:base64url`"),
            SecretFault::NotBase64Url => {
                f.write_str("what follows the colon is not base64url without padding (A-Z a-z 0-9 - _)")
            }
            SecretFault::TooShort { bytes } => write!(
                f,
                "the secret has {bytes} bytes, at least {SECRET_BYTES_MIN} are needed: take 64 random ones"
            ),
            SecretFault::TooLong { bytes } => {
                write!(f, "the secret has {bytes} bytes, at most {SECRET_BYTES_MAX} are allowed")
            }
            SecretFault::Empty => f.write_str("the configured secret is empty"),
            SecretFault::Kid => {
                write!(f, "a key id has 1 to {KID_BYTES_MAX} of the characters A-Z a-z 0-9 . _ -")
            }
            SecretFault::KidTwice => {
                f.write_str("another secret has the same key id: give each secret its own")
            }
            SecretFault::TooMany => {
                write!(f, "more than {SECRETS_MAX} secrets: take away those whose tokens are expired")
            }
            SecretFault::NoSecret => f.write_str("there is no secret: write at least one `kid:base64url`"),
        }
    }
}

impl std::error::Error for SecretFault {}

/// What is wrong with the text of a secret file, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretTextError {
    /// The line, from 1; none when the whole text is meant.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: SecretFault,
}

impl fmt::Display for SecretTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.fault),
            None => self.fault.fmt(f),
        }
    }
}

impl std::error::Error for SecretTextError {}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn fault(text: &str) -> String {
        SecretRing::parse(text).expect_err("a fault").to_string()
    }

    #[test]
    fn the_first_secret_signs_and_all_verify() {
        let text = format!("# heading\n\n new : {A}\r\nold:{A}\n  # behind\n");
        let ring = SecretRing::parse(&text).expect("two secrets");
        assert_eq!(ring.signing().kid(), "new");
        assert_eq!(ring.signing().bytes(), (0..32).collect::<Vec<u8>>());
        assert_eq!(ring.secrets().map(Secret::kid).collect::<Vec<_>>(), ["new", "old"]);
        assert_eq!(SecretRing::parse(&ring.print()), Ok(ring));
    }

    #[test]
    fn a_wrong_line_is_named_and_nothing_of_it_repeated() {
        let many: String = (0..=SECRETS_MAX).map(|n| format!("k{n}:{A}\n")).collect();
        let long = format!("a:{}", compact::encode(&[7; SECRET_BYTES_MAX + 1]));
        for (text, expected) in [
            ("", "there is no secret"),
            ("# only a comment\n", "there is no secret"),
            ("\nsecret\n", "line 2: write a secret as `kid:base64url`"),
            (&format!("a:{A}="), "line 1: what follows the colon is not base64url"),
            (&format!("a:{A}\nb:+{}", &A[1..]), "line 2: what follows the colon is not base64url"),
            ("a:AAEC", "line 1: the secret has 3 bytes, at least 32 are needed"),
            ("a:", "line 1: the secret has 0 bytes"),
            (&long, "line 1: the secret has 1025 bytes, at most 1024"),
            (&format!(":{A}"), "line 1: a key id has"),
            (&format!("a b:{A}"), "line 1: a key id has"),
            (&format!("{}:{A}", "k".repeat(65)), "line 1: a key id has"),
            (&format!("a:{A}\n#\na:{A}"), "line 3: another secret has the same key id"),
            (&many, "line 17: more than 16 secrets"),
        ] {
            let said = fault(text);
            assert!(said.starts_with(expected), "{text:?}: {said}");
            assert!(!said.contains(&A[1..20]), "{said}");
        }
    }

    #[test]
    fn a_secret_is_not_printed_by_debug() {
        let ring = SecretRing::parse(&format!("a:{A}")).expect("a secret");
        assert_eq!(format!("{:?}", ring.signing()), "Secret(a, 32 bytes)");
    }

    #[test]
    fn a_configured_text_may_be_short_and_not_empty() {
        let secret = Secret::from_configured_text("iorio", "changeme").expect("a text");
        assert_eq!((secret.kid(), secret.bytes()), ("iorio", &b"changeme"[..]));
        assert_eq!(Secret::from_configured_text("iorio", ""), Err(SecretFault::Empty));
        assert_eq!(Secret::new("iorio", b"changeme".to_vec()), Err(SecretFault::TooShort { bytes: 8 }));
    }

    #[test]
    fn a_random_secret_is_named_by_its_digest() {
        let secret = Secret::from_random(&[7; 64]);
        assert_eq!(secret.kid().len(), 16);
        assert_ne!(secret.kid(), Secret::from_random(&[8; 64]).kid());
        let ring = SecretRing::new(secret, Vec::new()).expect("one secret");
        assert_eq!(SecretRing::parse(&ring.print()), Ok(ring));
    }
}
