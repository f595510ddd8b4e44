//! The HTTP/1.1 decoders, server and client side: any split of the input gives the same result.
//!
//! The body is `http1::fuzz_decode`, which the crate's own tests call too. It panics where a law does not
//! hold. The last bytes of the input also say where it is cut, so that a seed is simply a message.

#![no_main]

/// How many cuts the end of the input describes.
const SPLITS: usize = 8;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    http1::fuzz_decode(input, &input[input.len().saturating_sub(SPLITS)..]);
});
