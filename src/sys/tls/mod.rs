//! TLS for accepted connections: `net::Stream` carries it, so the faces do not know.
//!
//! `server` loads a [`TlsAcceptor`] from files and gives it to the cores; a handshake makes a plain stream a
//! secure one ([`TlsAcceptor::accept`]). A reload swaps what new connections get; those that are open go on.
//! Only `rustls` with `ring` is used, without early data and without renegotiation. The cryptography of one
//! step never holds a core for longer than 500 µs: what may, runs in a pool
//! (`docs/decisions/0013-handshakes-that-take-long-leave-the-core.md`).

pub mod certificate;
mod handshake;
pub mod self_signed;
pub(in crate::sys) mod session;
pub(in crate::sys) mod setup;

pub use crate::config::ClientCerts;
pub use handshake::TlsAcceptor;
pub use setup::{TlsError, TlsFiles};
