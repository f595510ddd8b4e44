//! The configuration file: any text is a configuration or a list of problems with their places.
//!
//! The module is taken from the server's sources directly, so that no event loop has to be built. A
//! configuration that was accepted holds the relations of its limits.

#![no_main]

#[allow(dead_code, unused_imports, reason = "the server uses the rest")]
#[path = "../../src/config/mod.rs"]
mod config;

use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match config::Config::from_sources(Some((Path::new("fuzz.toml"), text)), [], &[]) {
        Ok(config) => assert_eq!(config.limits.check(), Ok(())),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
