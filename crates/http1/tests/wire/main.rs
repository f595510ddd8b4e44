//! What this crate accepts and emits on the wire, from outside: tables of messages, limits, streaming,
//! properties.
//!
//! One binary, so that it links once.

mod bodies;
mod limits;
mod properties;
mod replies;
mod requests;
mod writers;

use bytes::BytesMut;
use http1::{Config, Decoder, HttpError, Request};

/// Decodes `bytes` with `config` as whole requests until they are used up or in error.
fn requests_of(config: Config, bytes: &[u8]) -> (Vec<Request>, Option<HttpError>) {
    let mut decoder = Decoder::new(config);
    let mut buf = BytesMut::from(bytes);
    let mut requests = Vec::new();
    loop {
        match decoder.decode_request(&mut buf) {
            Ok(Some(request)) => requests.push(request),
            Ok(None) => return (requests, None),
            Err(error) => return (requests, Some(error)),
        }
    }
}
