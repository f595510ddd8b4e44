//! Who somebody is and what they may do, as pure decisions.
//!
//! The broker holds these values on every core and asks them for each request; time and random bytes are
//! arguments. Nothing here waits, reads a file or keeps a secret longer than its owner does.
#![forbid(unsafe_code)]

pub mod policy;
