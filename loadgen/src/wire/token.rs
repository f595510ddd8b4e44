//! The token of a session, as requests carry it.
//!
//! Got once by a login before the load, or from the command line; copied into every request to Millrace.
//! Never shown: a result, a printed command and a debug line hold no token.

use http1::RequestWriter;
use std::fmt;
use std::sync::Arc;

/// A token, or none for requests of `anonymous`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Token(Option<Arc<str>>);

impl Token {
    /// The token of a session.
    pub(crate) fn of(text: &str) -> Token {
        Token(Some(text.into()))
    }

    /// Whether there is none.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is one without any letter.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_deref().is_some_and(str::is_empty)
    }

    /// Adds the header that tells who asks.
    pub(crate) fn write(&self, request: &mut RequestWriter<'_>) {
        if let Some(token) = &self.0 {
            request.header("X-Session", &**token);
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_none() { "Token(none)" } else { "Token(hidden)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    fn head(token: &Token) -> String {
        let mut out = BytesMut::new();
        let mut request = RequestWriter::begin(&mut out, "GET", "/", "h");
        token.write(&mut request);
        request.finish_empty().expect("a sound request");
        String::from_utf8(out.to_vec()).expect("ASCII")
    }

    #[test]
    fn a_token_is_a_header_and_is_not_shown() {
        assert!(head(&Token::of("a.b.c")).contains("\r\nX-Session: a.b.c\r\n"));
        assert!(!head(&Token::default()).contains("X-Session"));
        assert!(!format!("{:?}", Token::of("a.b.c")).contains("a.b"));
    }
}
