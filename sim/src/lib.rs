//! A deterministic world around whole engines: disk faults, crashes, checkers.
