//! HTTP over TLS, tried on the real binary: what a client, an operator and somebody hostile meets.
//!
//! The client's end is `rustls`, or the binary itself where its verbs are meant. Pairs are made by
//! `millrace dev-cert`.

#[path = "tls/certificates.rs"]
mod certificates;
#[path = "tls/client.rs"]
mod client;
#[path = "tls/listening.rs"]
mod listening;
#[path = "binary/open.rs"]
mod open;
#[path = "tls/reload.rs"]
mod reload;
#[path = "tls/requests.rs"]
mod requests;
#[path = "tls/server.rs"]
mod server;
#[path = "tls/slow.rs"]
mod slow;
#[path = "tls/start.rs"]
mod start;
