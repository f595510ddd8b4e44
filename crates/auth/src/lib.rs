//! Who is asking, what they may do, and how often: tokens, users, passwords, tickets and rates, without I/O.
//!
//! The shell hands over bytes, the time and random bytes, and gets a decision back. Nothing here reads a
//! clock, draws a random number, or waits; hashing a password takes milliseconds, so the shell calls it
//! off the cores.
//!
//! ```
//! use auth::token::{NewToken, OwnConfig, OwnTokens, Secret, SecretRing, SessionId, TokenBounds, Verifier};
//!
//! let secrets = SecretRing::new(Secret::from_random(&[7; 64]), Vec::new())?;
//! let own = OwnTokens::new(OwnConfig::default(), &secrets);
//! let sid = SessionId::new([1; 16]);
//! let token = own.issue(&NewToken { user: "ada", sid, issued_s: 1_000, expires_s: 4_600 });
//!
//! let verifier = Verifier::new(own, Vec::new(), TokenBounds::default()).expect("no issuers");
//! assert_eq!(verifier.verify(token.as_bytes(), 1_001)?.user, "ada");
//! let refused = verifier.verify(token.as_bytes(), 4_600).expect_err("expired");
//! assert_eq!(refused.reason(), "Token Expired");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod fuzz;
pub mod limiter;
pub mod password;
pub mod policy;
mod slots;
pub mod ticket;
pub mod token;
mod verified;

#[doc(hidden)]
pub use fuzz::{fuzz_keys, fuzz_token};
pub use verified::VerifiedPasswords;
