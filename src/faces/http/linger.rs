//! The end of a connection, so that its client can still read the last reply.
//!
//! A connection that is closed with unread bytes is reset, and what was sent may be lost with it (RFC 9112
//! §9.6): the client is told that nothing more comes, and heard out for a while.

use crate::sys::executor::timeout;
use crate::sys::net::{READ_BYTES_MAX, Stream};
use bytes::BytesMut;
use std::time::Duration;

/// How long, and how much, a client may go on sending after it was told that the connection ends.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Says that nothing more comes, and takes what the client still sends.
pub(super) async fn linger(stream: &mut Stream) {
    if stream.shutdown_write().is_err() {
        return;
    }
    let mut left = LINGER_BYTES_MAX;
    let hear_out = async move {
        let mut rest = BytesMut::new();
        while let Ok(count @ 1..) = stream.read(&mut rest, READ_BYTES_MAX).await {
            rest.clear();
            left = left.saturating_sub(count);
            if left == 0 {
                return;
            }
        }
    };
    timeout(LINGER, hear_out).await;
}
