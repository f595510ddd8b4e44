//! A public key of a foreign issuer, pinned to the one algorithm that it verifies.
//!
//! Made from a key document ([`super::Jwks`]) or from PEM ([`super::parse_public_pem`]), both of which are
//! configuration. A key never verifies by an algorithm that a token asks for, so no public key can be taken
//! for an HMAC secret. The arithmetic is `ring`'s.

use super::header::Algorithm;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use std::fmt;

/// Shortest RSA modulus, in bits (RFC 7518 §3.3).
pub const RSA_BITS_MIN: usize = 2048;
/// Longest RSA modulus, in bits: what `ring` verifies; longer ones cost without end.
pub const RSA_BITS_MAX: usize = 8192;
/// Most bits of an RSA exponent that `ring` takes.
const EXPONENT_BITS_MAX: usize = 33;

/// A key that verifies signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kid: Option<String>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// Big-endian, without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// The uncompressed point: 4, x, y.
    P256([u8; 65]),
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// An RSA key of big-endian numbers, for RS256.
    ///
    /// # Errors
    /// A modulus that is even or not of 2048 to 8192 bits, or an exponent that is even, 1, or over 33 bits.
    pub fn rsa(kid: Option<String>, modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, KeyFault> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = bit_count(modulus);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(KeyFault::RsaBits { bits });
        }
        let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        if !odd(modulus) || !odd(exponent) || !(2..=EXPONENT_BITS_MAX).contains(&bit_count(exponent)) {
            return Err(KeyFault::RsaNumbers);
        }
        Ok(PublicKey {
            kid,
            material: Material::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() },
        })
    }

    /// A point on P-256 in its uncompressed form, for ES256.
    ///
    /// # Errors
    /// Not 65 bytes that begin with 4.
    pub fn p256(kid: Option<String>, point: &[u8]) -> Result<PublicKey, KeyFault> {
        match <[u8; 65]>::try_from(point) {
            Ok(point) if point[0] == 4 => Ok(PublicKey { kid, material: Material::P256(point) }),
            _ => Err(KeyFault::P256Point),
        }
    }

    /// An Ed25519 key, for EdDSA.
    ///
    /// # Errors
    /// Not 32 bytes.
    pub fn ed25519(kid: Option<String>, key: &[u8]) -> Result<PublicKey, KeyFault> {
        let key = key.try_into().map_err(|_| KeyFault::Ed25519Length)?;
        Ok(PublicKey { kid, material: Material::Ed25519(key) })
    }

    /// The id that its issuer's tokens name it by; one without is tried for every token.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm that it verifies.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match &self.material {
            Material::Rsa { modulus: n, exponent: e } => RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Material::P256(point) => by(&signature::ECDSA_P256_SHA256_FIXED, point),
            Material::Ed25519(key) => by(&signature::ED25519, key),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, kid {:?})", self.algorithm().name(), self.kid)
    }
}

/// Some writers put a zero before a number whose top bit is set, as DER does.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn bit_count(number: &[u8]) -> usize {
    let top = number.first().map_or(0, |first| first.leading_zeros() as usize);
    number.len() * 8 - top
}

/// Why numbers are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// A modulus that is too short or too long.
    RsaBits {
        /// How many bits it has.
        bits: usize,
    },
    /// An even modulus or exponent, or an exponent out of bounds.
    RsaNumbers,
    /// Not an uncompressed point of P-256.
    P256Point,
    /// Not 32 bytes.
    Ed25519Length,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFault::RsaBits { bits } => {
                write!(f, "the RSA key has {bits} bits, {RSA_BITS_MIN} to {RSA_BITS_MAX} are allowed")
            }
            KeyFault::RsaNumbers => f.write_str(
                "the RSA modulus must be odd, and the exponent odd, at least 3 and at most 33 bits long",
            ),
            KeyFault::P256Point => {
                f.write_str("the key is not an uncompressed point of P-256 (x and y of 32 bytes)")
            }
            KeyFault::Ed25519Length => f.write_str("an Ed25519 key has 32 bytes"),
        }
    }
}

impl std::error::Error for KeyFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(bits: usize) -> Vec<u8> {
        let mut number = vec![0xff; bits.div_ceil(8)];
        number[0] >>= number.len() * 8 - bits;
        number
    }

    #[test]
    fn an_rsa_key_is_within_what_is_safe_and_what_is_affordable() {
        let check = |modulus: &[u8], exponent: &[u8]| PublicKey::rsa(None, modulus, exponent).map(drop);
        for bits in [2048, 2049, 3072, 4096, 8192] {
            assert_eq!(check(&modulus(bits), &[1, 0, 1]), Ok(()), "{bits}");
        }
        for bits in [8, 1024, 2047, 8193, 16_384] {
            assert_eq!(check(&modulus(bits), &[1, 0, 1]), Err(KeyFault::RsaBits { bits }));
        }
        let mut even = modulus(2048);
        even[255] = 0xfe;
        assert_eq!(check(&even, &[3]), Err(KeyFault::RsaNumbers));
        assert_eq!(check(&[], &[3]), Err(KeyFault::RsaBits { bits: 0 }));
        for exponent in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[2, 0, 0, 0, 1], &[1, 0, 0, 0, 0, 1]] {
            assert_eq!(check(&modulus(2048), exponent), Err(KeyFault::RsaNumbers), "{exponent:?}");
        }
        assert_eq!(check(&modulus(2048), &[1, 0, 0, 0, 1]), Ok(()));
    }

    #[test]
    fn a_zero_before_a_number_makes_no_other_key() {
        let padded = [&[0], &modulus(2048)[..]].concat();
        assert_eq!(PublicKey::rsa(None, &padded, &[0, 3]), PublicKey::rsa(None, &modulus(2048), &[3]));
        let bits = 2040;
        assert_eq!(
            PublicKey::rsa(None, &[&[0], &modulus(bits)[..]].concat(), &[3]),
            Err(KeyFault::RsaBits { bits })
        );
    }

    #[test]
    fn a_point_is_uncompressed_and_a_key_has_its_length() {
        assert!(PublicKey::p256(None, &[4; 65]).is_ok());
        for point in [&[2; 33][..], &[3; 65], &[4; 64], &[4; 97], &[0], &[]] {
            assert_eq!(PublicKey::p256(None, point), Err(KeyFault::P256Point));
        }
        assert!(PublicKey::ed25519(None, &[0; 32]).is_ok());
        for bytes in [0, 31, 33, 57] {
            assert_eq!(PublicKey::ed25519(None, &vec![0; bytes]), Err(KeyFault::Ed25519Length));
        }
    }
}
