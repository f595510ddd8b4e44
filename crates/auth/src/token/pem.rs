//! Public keys in PEM (RFC 7468): `-----BEGIN PUBLIC KEY-----`, a SubjectPublicKeyInfo (RFC 5280 §4.1).
//!
//! The other form of a foreign issuer's keys, read once from configuration. The armour is read by
//! `pem-rfc7468`, the DER inside by `spki`. A key in PEM has no id, so it is tried for every token of its
//! algorithm. Anything that is not a public key is refused with what to do about it.

use super::issuer::ISSUER_KEYS_MAX;
use super::key::{KeyFault, PublicKey};
use spki::der::asn1::UintRef;
use spki::der::{Decode, Reader, SliceReader};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use std::fmt;

/// Longest PEM text, in bytes.
const PEM_BYTES_MAX: usize = 64 * 1024;
const LABEL: &str = "PUBLIC KEY";
const BEGIN: &str = "-----BEGIN ";

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The public keys of a PEM text, one block each.
///
/// # Errors
/// The first block, from 1, that is not a usable public key, or a text without any.
pub fn parse_public_pem(text: &str) -> Result<Vec<PublicKey>, PemError> {
    if text.len() > PEM_BYTES_MAX {
        return Err(PemError { block: None, fault: PemFault::TooLarge { bytes: text.len() } });
    }
    let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    let fault = match starts.len() {
        0 => Some(PemFault::NoBlock),
        1..=ISSUER_KEYS_MAX => None,
        keys => Some(PemFault::TooManyKeys { keys }),
    };
    if let Some(fault) = fault {
        return Err(PemError { block: None, fault });
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let blocks = starts.iter().zip(ends).map(|(start, end)| &text[*start..end]);
    let key = |(block, text)| parse_block(text).map_err(|fault| PemError { block: Some(block), fault });
    (1..).zip(blocks).map(key).collect()
}

fn parse_block(text: &str) -> Result<PublicKey, PemFault> {
    let label = text[BEGIN.len()..].split("-----").next().unwrap_or("");
    match label {
        LABEL => {}
        label if label.contains("PRIVATE KEY") => return Err(PemFault::Private),
        "RSA PUBLIC KEY" => return Err(PemFault::Pkcs1),
        "CERTIFICATE" => return Err(PemFault::Certificate),
        _ => return Err(PemFault::OtherLabel),
    }
    // What stands between two blocks belongs to no block.
    let end =
        text.find("-----END ").and_then(|end| text[end + 9..].find("-----").map(|rest| end + 9 + rest + 5));
    let block = &text[..end.ok_or(PemFault::Armour)?];
    let (_, der) = pem_rfc7468::decode_vec(block.as_bytes()).map_err(|_| PemFault::Armour)?;
    parse_der(&der)
}

fn parse_der(der: &[u8]) -> Result<PublicKey, PemFault> {
    let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| PemFault::Der)?;
    let bits = spki.subject_public_key.as_bytes().ok_or(PemFault::Der)?;
    let key = match spki.algorithm.oid {
        RSA_ENCRYPTION => {
            let (modulus, exponent) = rsa_numbers(bits).map_err(|_| PemFault::Der)?;
            PublicKey::rsa(None, modulus, exponent)
        }
        EC_PUBLIC_KEY if spki.algorithm.parameters_oid() == Ok(P_256) => PublicKey::p256(None, bits),
        ED25519 => PublicKey::ed25519(None, bits),
        _ => return Err(PemFault::OtherKind),
    };
    key.map_err(PemFault::Key)
}

/// RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 appendix A.1.1).
fn rsa_numbers(der: &[u8]) -> spki::der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der)?;
    let numbers = reader.sequence(|reader| {
        let modulus: UintRef<'_> = reader.decode()?;
        let exponent: UintRef<'_> = reader.decode()?;
        Ok::<_, spki::der::Error>((modulus.as_bytes(), exponent.as_bytes()))
    })?;
    reader.finish()?;
    Ok(numbers)
}

/// What is wrong with a PEM text, and in which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PemError {
    /// The block, from 1; none when the whole text is meant.
    pub block: Option<usize>,
    fault: PemFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PemFault {
    TooLarge { bytes: usize },
    TooManyKeys { keys: usize },
    NoBlock,
    Private,
    Pkcs1,
    Certificate,
    OtherLabel,
    Armour,
    Der,
    OtherKind,
    Key(KeyFault),
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(block) = self.block {
            write!(f, "PEM block {block}: ")?;
        }
        match self.fault {
            PemFault::TooLarge { bytes } => {
                write!(f, "the text has {bytes} bytes, at most {PEM_BYTES_MAX} are allowed")
            }
            PemFault::TooManyKeys { keys } => {
                write!(f, "the text has {keys} blocks, at most {ISSUER_KEYS_MAX} are allowed")
            }
            PemFault::NoBlock => f.write_str("the text has no line `-----BEGIN PUBLIC KEY-----`"),
            PemFault::Private => f.write_str(
                "this is a private key, which must stay with its issuer: write its public half with `openssl \
                 pkey -in KEY -pubout`, and replace the key if others could read it here",
            ),
            PemFault::Pkcs1 => f.write_str(
                "this is a public key of PKCS #1: write it anew with `openssl rsa -RSAPublicKey_in \
                 -in KEY -pubout`",
            ),
            PemFault::Certificate => f.write_str(
                "this is a certificate: write its key with `openssl x509 -in CERTIFICATE -noout -pubkey`",
            ),
            PemFault::OtherLabel => f.write_str("this is not a `PUBLIC KEY`"),
            PemFault::Armour => f.write_str(
                "this is not PEM of lines of 64 characters: write it anew with `openssl pkey -pubin -in KEY`",
            ),
            PemFault::Der => f.write_str("what is inside is not a SubjectPublicKeyInfo in DER"),
            PemFault::OtherKind => f.write_str("the key is not RSA, EC on P-256, or Ed25519"),
            PemFault::Key(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for PemError {}
