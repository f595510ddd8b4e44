//! Passwords: argon2id (RFC 9106) in PHC strings, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
//!
//! The shell calls [`hash`] and [`verify`] off the cores, because each takes milliseconds and mebibytes on
//! purpose. Salts are arguments. A stored string says what its own check costs, so it is held to
//! [`PasswordBounds`] before anything is allocated: a hostile record cannot stall the server.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::fmt;

/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Longest stored string that is looked at, in bytes.
const PHC_BYTES_MAX: usize = 512;
/// Bytes of a new hash.
const HASH_BYTES: usize = 32;
/// Version 1.3 of Argon2, as it stands in a string.
const VERSION: u32 = 19;

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordParams {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes; they are computed one after the other.
    pub lanes: u32,
}

impl Default for PasswordParams {
    /// What OWASP recommends: 19 MiB, two passes, one lane.
    fn default() -> Self {
        PasswordParams { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

/// What the check of a stored hash may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordBounds {
    /// Memory, in KiB.
    pub memory_kib_max: u32,
    /// Memory times passes, in KiB: what the time goes with.
    pub work_kib_max: u64,
    /// Lanes.
    pub lanes_max: u32,
}

impl Default for PasswordBounds {
    /// 64 MiB, and eight times the work of the default parameters.
    fn default() -> Self {
        PasswordBounds { memory_kib_max: 65_536, work_kib_max: 311_296, lanes_max: 16 }
    }
}

impl PasswordBounds {
    fn allow(&self, params: &PasswordParams) -> bool {
        let work_kib = u64::from(params.memory_kib) * u64::from(params.passes);
        params.memory_kib <= self.memory_kib_max
            && work_kib <= self.work_kib_max
            && params.lanes <= self.lanes_max
    }
}

/// Checks that passwords can be hashed with `params`, and that the hashes would be checked again.
///
/// # Errors
/// [`PasswordError::Params`], [`PasswordError::TooCostly`].
pub fn check_params(params: &PasswordParams) -> Result<(), PasswordError> {
    let PasswordParams { memory_kib, passes, lanes } = *params;
    if !PasswordBounds::default().allow(params) {
        return Err(PasswordError::TooCostly { params: *params });
    }
    argon2::Params::new(memory_kib, passes, lanes, Some(HASH_BYTES))
        .map(drop)
        .map_err(|_| PasswordError::Params { params: *params })
}

/// The memory of one hash after the other. To get it from the system and give it back for each hash holds up
/// every thread of the process that touches new memory meanwhile.
#[derive(Debug, Default)]
pub struct HashMemory(Vec<Block>);

impl HashMemory {
    fn of(&mut self, blocks: usize) -> &mut [Block] {
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::default());
        }
        &mut self.0[..blocks]
    }
}

/// The PHC string of `password`.
///
/// # Errors
/// A password that is empty or too long, or parameters that argon2 does not take or the system has no
/// memory for.
pub fn hash(password: &[u8], salt: [u8; 16], params: &PasswordParams) -> Result<String, PasswordError> {
    hash_in(&mut HashMemory::default(), password, salt, params)
}

/// As [`hash`], in memory that was used before.
///
/// # Errors
/// As [`hash`].
pub fn hash_in(
    memory: &mut HashMemory,
    password: &[u8],
    salt: [u8; 16],
    params: &PasswordParams,
) -> Result<String, PasswordError> {
    check_length(password)?;
    let digest = digest(memory, password, &salt, params, HASH_BYTES)?;
    let PasswordParams { memory_kib, passes, lanes } = params;
    let (salt, digest) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(digest));
    Ok(format!("$argon2id$v={VERSION}$m={memory_kib},t={passes},p={lanes}${salt}${digest}"))
}

/// Whether `password` is the one that `phc` was made of.
///
/// A password of a length that none can have is simply wrong.
///
/// # Errors
/// A stored string that is no argon2id string, or whose check would cost more than `bounds`.
pub fn verify(password: &[u8], phc: &str, bounds: &PasswordBounds) -> Result<bool, PasswordError> {
    verify_in(&mut HashMemory::default(), password, phc, bounds)
}

/// As [`verify`], in memory that was used before.
///
/// # Errors
/// As [`verify`].
pub fn verify_in(
    memory: &mut HashMemory,
    password: &[u8],
    phc: &str,
    bounds: &PasswordBounds,
) -> Result<bool, PasswordError> {
    let stored = Stored::parse(phc)?;
    if !bounds.allow(&stored.params) {
        return Err(PasswordError::TooCostly { params: stored.params });
    }
    if check_length(password).is_err() {
        return Ok(false);
    }
    let digest = digest(memory, password, &stored.salt, &stored.params, stored.output.len())?;
    // Outputs are compared in constant time.
    Ok(Output::new(&digest).is_ok_and(|output| output == stored.output))
}

/// Whether a stored string was made with other parameters than `params`, so that it is to be made anew when
/// the password is next seen.
pub fn needs_rehash(phc: &str, params: &PasswordParams) -> bool {
    let current = |stored: Stored| stored.params == *params && stored.output.len() == HASH_BYTES;
    !Stored::parse(phc).is_ok_and(current)
}

fn check_length(password: &[u8]) -> Result<(), PasswordError> {
    match password.len() {
        0 => Err(PasswordError::Empty),
        1..=PASSWORD_BYTES_MAX => Ok(()),
        bytes => Err(PasswordError::TooLong { bytes }),
    }
}

fn digest(
    memory: &mut HashMemory,
    password: &[u8],
    salt: &[u8],
    params: &PasswordParams,
    bytes: usize,
) -> Result<Vec<u8>, PasswordError> {
    let PasswordParams { memory_kib, passes, lanes } = *params;
    let refused = |why| match why {
        argon2::Error::OutOfMemory => PasswordError::OutOfMemory,
        _ => PasswordError::Params { params: *params },
    };
    let params = argon2::Params::new(memory_kib, passes, lanes, Some(bytes)).map_err(refused)?;
    let blocks = params.block_count();
    let mut digest = vec![0; bytes];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, &mut digest, memory.of(blocks))
        .map_err(refused)?;
    Ok(digest)
}

/// A stored string, taken apart.
struct Stored {
    params: PasswordParams,
    salt: Salt,
    output: Output,
}

impl Stored {
    fn parse(phc: &str) -> Result<Stored, PasswordError> {
        if phc.len() > PHC_BYTES_MAX {
            return Err(PasswordError::NotArgon2id);
        }
        let parsed = PasswordHash::new(phc).map_err(|_| PasswordError::NotArgon2id)?;
        let number = |name: &str| parsed.params.get_decimal(name).ok_or(PasswordError::NotArgon2id);
        let params = PasswordParams { memory_kib: number("m")?, passes: number("t")?, lanes: number("p")? };
        // Exactly these three: a key id or associated data would change the digest.
        let sound = parsed.algorithm.as_str() == "argon2id"
            && parsed.version == Some(VERSION)
            && parsed.params.iter().count() == 3;
        match (parsed.salt, parsed.hash) {
            (Some(salt), Some(output)) if sound => Ok(Stored { params, salt, output }),
            _ => Err(PasswordError::NotArgon2id),
        }
    }
}

/// Why a password is not hashed or checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// A new password without a byte.
    Empty,
    /// A new password of more than [`PASSWORD_BYTES_MAX`] bytes.
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Parameters that argon2 does not take.
    Params {
        /// The parameters.
        params: PasswordParams,
    },
    /// A stored string that is not argon2id in PHC form.
    NotArgon2id,
    /// A stored string whose check would cost more than allowed.
    TooCostly {
        /// What it asks for.
        params: PasswordParams,
    },
    /// The system has no memory for the hash.
    OutOfMemory,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cost = |params: &PasswordParams| {
            format!("m={} KiB, t={}, p={}", params.memory_kib, params.passes, params.lanes)
        };
        match self {
            PasswordError::Empty => f.write_str("a password must not be empty"),
            PasswordError::TooLong { bytes } => {
                write!(f, "the password has {bytes} bytes, at most {PASSWORD_BYTES_MAX} are allowed")
            }
            PasswordError::Params { params } => write!(
                f,
                "argon2 does not take {}: at least one pass, one lane, and 8 KiB for each lane are needed",
                cost(params)
            ),
            PasswordError::NotArgon2id => {
                f.write_str("the stored password is not `$argon2id$v=19$m=…,t=…,p=…$salt$hash`: set it anew")
            }
            PasswordError::TooCostly { params } => write!(
                f,
                "the stored password asks for {}, more than is allowed: set it anew, or allow more",
                cost(params)
            ),
            PasswordError::OutOfMemory => f.write_str("there is no memory for hashing a password"),
        }
    }
}

impl std::error::Error for PasswordError {}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: PasswordParams = PasswordParams { memory_kib: 8, passes: 1, lanes: 1 };

    fn check(password: &str, phc: &str) -> Result<bool, PasswordError> {
        verify(password.as_bytes(), phc, &PasswordBounds::default())
    }

    /// Made with argon2-cffi 25.1 (the reference implementation in C):
    /// `argon2.low_level.hash_secret(password, salt, t, m, p, 32, Type.ID)`.
    #[test]
    fn the_reference_implementation_makes_the_same_strings() {
        let salt = *b"somesalt01234567";
        let default = PasswordParams::default();
        let lanes = PasswordParams { memory_kib: 64, passes: 3, lanes: 4 };
        for (password, params, phc) in [
            ("password", default, GOLDEN[0]),
            ("p\u{e4}ssw\u{f6}rd \u{1f511}", QUICK, GOLDEN[1]),
            ("password", lanes, GOLDEN[2]),
        ] {
            assert_eq!(hash(password.as_bytes(), salt, &params).as_deref(), Ok(phc));
            assert_eq!(check(password, phc), Ok(true));
            assert_eq!(check("Password", phc), Ok(false));
        }
    }

    const GOLDEN: [&str; 3] = [
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQwMTIzNDU2Nw$R66indAPvvbGnyLR7rZk80UY+cWGifuktjTMSameUiA",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQwMTIzNDU2Nw$JHpZEnKqg8EbVjVp7EwJsS6o9WYsTJjO8h/hhrDgCAU",
        "$argon2id$v=19$m=64,t=3,p=4$c29tZXNhbHQwMTIzNDU2Nw$qKHHr5c4Mlhtdxbd9TqjlAZnLkHI5tHjzCDDGjkR2a0",
    ];

    #[test]
    fn a_hash_of_another_length_is_checked_in_full() {
        assert_eq!(
            check("password", "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQwMTIzNDU2Nw$6EMnxzHbB0QD0M9NLZMWCA"),
            Ok(true)
        );
        assert_eq!(
            check("passwore", "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQwMTIzNDU2Nw$6EMnxzHbB0QD0M9NLZMWCA"),
            Ok(false)
        );
    }

    #[test]
    fn a_password_has_1_to_1024_bytes() {
        assert_eq!(hash(b"", [0; 16], &QUICK), Err(PasswordError::Empty));
        assert_eq!(hash(&[b'a'; 1025], [0; 16], &QUICK), Err(PasswordError::TooLong { bytes: 1025 }));
        let longest = hash(&[b'a'; 1024], [0; 16], &QUICK).expect("1024 bytes");
        assert_eq!(check(&"a".repeat(1024), &longest), Ok(true));
        assert_eq!(check(&"a".repeat(1025), &longest), Ok(false));
        assert_eq!(check("", &longest), Ok(false));
    }

    #[test]
    fn a_hostile_record_cannot_stall() {
        let tail = "$c29tZXNhbHQwMTIzNDU2Nw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for params in [
            "m=4294967295,t=1,p=1",
            "m=65537,t=1,p=1",
            "m=65536,t=5,p=1",
            "m=8,t=4294967295,p=1",
            "m=256,t=1,p=17",
        ] {
            let refused = check("password", &format!("$argon2id$v=19${params}{tail}"));
            assert!(matches!(refused, Err(PasswordError::TooCostly { .. })), "{params}: {refused:?}");
        }
        for params in ["m=0,t=1,p=1", "m=8,t=0,p=1", "m=8,t=1,p=0", "m=15,t=1,p=2"] {
            let refused = check("password", &format!("$argon2id$v=19${params}{tail}"));
            assert!(matches!(refused, Err(PasswordError::Params { .. })), "{params}: {refused:?}");
        }
    }

    #[test]
    fn what_is_no_argon2id_string_is_refused() {
        let good = GOLDEN[1];
        assert_eq!(check("x", good), Ok(false));
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("argon2id", "argon2d"),
            ("argon2id", "scrypt"),
            ("$v=19", ""),
            ("v=19", "v=16"),
            ("m=8", "m=8,keyid=AAAA"),
            ("m=8,", ""),
            ("m=8", "m=-8"),
            ("m=8", "m=99999999999"),
            ("p=1", "p=1,p=1"),
            ("$c29tZXNhbHQwMTIzNDU2Nw", "$c29t"),
            ("$c29tZXNhbHQwMTIzNDU2Nw", ""),
            ("$argon2id", "argon2id"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from} stands in the string");
            assert_eq!(check("x", &bad), Err(PasswordError::NotArgon2id), "{bad}");
        }
        for bad in ["", "$", "secret", &format!("{good}$x"), &"$argon2id".repeat(100)] {
            assert_eq!(check("x", bad), Err(PasswordError::NotArgon2id), "{bad}");
        }
        for end in 0..good.len() {
            assert_ne!(check("p\u{e4}ssw\u{f6}rd \u{1f511}", &good[..end]), Ok(true), "{}", &good[..end]);
        }
    }

    #[test]
    fn other_parameters_ask_for_a_new_hash() {
        let stored = hash(b"password", [7; 16], &QUICK).expect("a hash");
        assert!(!needs_rehash(&stored, &QUICK));
        assert!(needs_rehash(&stored, &PasswordParams { passes: 2, ..QUICK }));
        assert!(needs_rehash(&stored, &PasswordParams::default()));
        assert!(needs_rehash(
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQwMTIzNDU2Nw$6EMnxzHbB0QD0M9NLZMWCA",
            &QUICK
        ));
        assert!(needs_rehash("plain", &QUICK));
    }
}
