//! HTTP/1.1 (and 1.0) as values: bytes in, requests and replies out; no I/O, no clock, no allocation per
//! request on the fast path.
//!
//! The HTTP face (server side), the CLI and the load generator (client side) call it. It never reads a
//! socket, never trusts a length before the bytes are there, and never lets a malformed head through:
//! whatever two parsers could read differently (RFC 9112 §11.2) is an error that closes the connection.
//!
//! # Server side
//! One [`Decoder`] and one read buffer per connection. After each read, take requests until there is none;
//! after an error, answer its status and close.
//! ```
//! use bytes::BytesMut;
//! use http1::{Config, Decoder, Method, ResponseWriter};
//!
//! let mut decoder = Decoder::new(Config::default());
//! let mut input = BytesMut::from("GET /ping HTTP/1.1\r\nHost: a\r\n\r\n");
//! let mut output = BytesMut::new();
//! while let Some(request) = decoder.decode_request(&mut input)? {
//!     assert_eq!((request.head.method(), request.head.path()), (Method::Get, "/ping"));
//!     let mut reply = ResponseWriter::begin(&mut output, 200, request.head.reply_to());
//!     reply.header("Content-Type", "application/json");
//!     reply.finish_with_body(b"{\"pong\":\"0\"}")?;
//! }
//! assert!(output.starts_with(b"HTTP/1.1 200 OK\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! # Client side
//! ```
//! use bytes::BytesMut;
//! use http1::{Config, RequestWriter, ResponseDecoder};
//!
//! let mut output = BytesMut::new();
//! RequestWriter::begin(&mut output, "POST", "/streams/a/b", "localhost:8080").finish_with_body(b"1")?;
//! let mut decoder = ResponseDecoder::new(Config::default());
//! let mut input = BytesMut::from("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}");
//! let reply = decoder.decode_response(&mut input)?.expect("it is all there");
//! assert_eq!((reply.head.status(), &reply.body[..]), (201, &b"{}"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod accept;
mod body;
mod chunked;
mod config;
mod date;
mod decoder;
mod diagnose;
mod error;
mod fields;
mod head;
mod headers;
mod host;
mod memo;
mod reply;
mod request;
mod request_target;
mod response;
mod scan;
pub mod target;
mod token;
#[doc(hidden)]
pub mod trace;
mod writer;

pub use chunked::{write_chunk, write_last_chunk};
pub use config::{Config, HEAD_BYTES_CAP, HEADERS_CAP, METHOD_BYTES_MAX};
pub use date::{HTTP_DATE_BYTES, format_http_date};
pub use decoder::{Decoded, Decoder};
pub use error::{EncodeError, HttpError};
pub use head::{Method, ReplyTo, Request, RequestHead, Version};
pub use headers::Headers;
pub use reply::{Response, ResponseDecoder, ResponseHead};
pub use request::RequestWriter;
pub use response::{BodyForm, ResponseWriter, reason_phrase, write_continue};
#[doc(hidden)]
pub use trace::fuzz_decode;
