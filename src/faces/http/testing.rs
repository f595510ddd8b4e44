//! Request heads for this face's unit tests, decoded as from a connection.
//!
//! Only tests are built with it. A head that would not pass the decoder fails the test that asks for it.

use bytes::BytesMut;
use http1::{Config, Decoder, RequestHead};

/// The head of `method target` with these header lines.
pub(super) fn head(method: &str, target: &str, lines: &[(&str, &str)]) -> RequestHead {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
    for (name, value) in lines {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut input = BytesMut::from(text.as_str());
    let request = Decoder::new(Config::default()).decode_request(&mut input);
    request.expect("a sound head").expect("a whole request").head
}
