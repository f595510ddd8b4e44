//! On-disk formats of the log and the pure decisions about them.
