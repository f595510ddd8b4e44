//! The protocols of Millrace and its peers, seen from a client, without I/O: bytes out and bytes in.
//!
//! An append wire writes requests and counts their answers; a listen wire says what to ask and gives what was
//! received. The drivers own the sockets. Never a length that a peer claims is allocated before its bytes are
//! there; whatever a peer sends is an answer, an event or a fault, never a panic.

pub(crate) mod append;
pub(crate) mod listen;
pub(crate) mod peer;
pub(crate) mod redis_listen;
pub(crate) mod resp;
pub(crate) mod sse;
pub(crate) mod token;
