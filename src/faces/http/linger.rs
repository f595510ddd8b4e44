//! The end of a connection, so that its client can still read the last reply.
//!
//! A connection that is closed with unread bytes is reset, and what was sent may be lost with it (RFC 9112
//! §9.6): the client is told that nothing more comes, and heard out for a while.

use crate::sys::net::Stream;
use std::time::Duration;

/// How long, and how much, a client may go on sending after it was told that the connection ends.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Says that nothing more comes, and takes what the client still sends, unless it has ended (`is_eof`).
pub(super) async fn linger(stream: &mut Stream, is_eof: bool) {
    match is_eof {
        true => stream.say_end(),
        false => stream.linger(LINGER, LINGER_BYTES_MAX).await,
    }
}
