//! What the fuzz targets share: checksums made right, and a disk in memory with a server of one shard.
//!
//! Used by `fuzz_targets/` alone. `docs/testing.md` says how to run them and what each one demands.

pub mod disk;
pub mod mend;
