//! One folder per protocol: owns a connection, translates, never stores.
//!
//! `server` starts them; they call the broker. No face knows another: what begins in one and goes on in
//! another (`/listen`) is handed over by a function that the assembly registers.

pub mod http;
pub mod listen;
