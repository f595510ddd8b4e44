//! A WebSocket connection, server and client side: any split of the input gives the same result.
//!
//! The body is `websocket::fuzz_connection`, which the crate's own tests call too. It panics where a law
//! does not hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| websocket::fuzz_connection(input));
