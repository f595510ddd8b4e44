//! A key document, a role's record, public keys in PEM, a file of secrets, a stored password.
//!
//! The body is `auth::fuzz_keys`, which the crate's own tests call too. It panics where a law does not
//! hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| auth::fuzz_keys(input));
