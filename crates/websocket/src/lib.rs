//! RFC 6455 framing and connection state without I/O.
