//! HTTP/1.1 (and 1.0) as values: bytes in, requests and replies out; no I/O, no clock, no allocation per request on the fast path.
//!
//! The HTTP face (server side), the CLI and the load generator (client side) call it. It never reads a socket, never
//! trusts a length before the bytes are there, and never lets a malformed head through: whatever two parsers could
//! read differently (RFC 9112 §11.2) is an error that closes the connection.
//!
//! # Server side
//! ```text
//! Config { head_bytes_max, headers_max, target_bytes_max, body_bytes_max }          (Default = the documented limits)
//! Decoder::new(Config)
//!   .decode_request(&mut BytesMut) -> Result<Option<Request>, HttpError>            whole requests; None = read more
//!   .decode(&mut BytesMut) -> Result<Option<Decoded<RequestHead>>, HttpError>       Head, Body(Bytes)…, End (streaming)
//!   .pending_head() -> Option<&RequestHead>      head is here, body still arriving (also after a 413)
//!   .take_continue_due() -> bool                 true once: client waits for `100 Continue`
//!   .skip_body(bytes_max: u64)                   throw the rest of the body away (early reply, or drain after 413)
//!   .bytes_wanted() -> usize                     read hint, bounded; never a claimed length
//!   .is_idle() -> bool                           between two requests and nothing begun
//! Request { head: RequestHead, body: Bytes }
//! RequestHead: method() method_name() path() query() raw_target() version() headers() header(name) header_str(name)
//!   content_length() chunked() keep_alive() expect_continue() upgrade() upgrades_to("websocket") host() reply_to()
//! Headers: get(name) get_str(name) get_all(name) iter() len()
//! HttpError: status() -> u16, reason() -> &'static str; every one closes the connection
//! target::{percent_decode, path_segments, query_pairs, percent_encode}
//! accept::{best_match, essence}
//! date::{format_http_date, parse_http_date}
//!
//! ResponseWriter::begin(&mut BytesMut, status: u16, ReplyTo)      ReplyTo { version, head_only, keep_alive } = head.reply_to()
//!   .date(&[u8; 29]) .header(name, value) .header_fmt(name, format_args!(…)) .header_u64(name, n)      (chain by &mut)
//!   .finish_with_body(&[u8]) .finish_length(u64) .finish_chunked() .finish_empty() .finish_upgrade("websocket")
//!   each -> Result<_, EncodeError>; on error nothing of this reply is left in the buffer
//! write_chunk(&mut BytesMut, &[u8]) write_last_chunk(&mut BytesMut) write_continue(&mut BytesMut)
//! ```
//! # Client side
//! ```text
//! RequestWriter::begin(&mut BytesMut, "POST", "/streams/a/b", "host:port") .header(…) .finish_with_body(&[u8]) …
//! ResponseDecoder::new(Config) .decode(…) .decode_response(…) .decode_eof() .expect_head_reply()
//! ```
