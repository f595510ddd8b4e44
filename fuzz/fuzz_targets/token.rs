//! A token as a client sends it, and as header and payload behind a signature that holds.
//!
//! The body is `auth::fuzz_token`, which the crate's own tests call too. It panics where a law does not
//! hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| auth::fuzz_token(input));
