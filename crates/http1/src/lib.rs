//! HTTP/1.1 decoding and encoding without I/O.
