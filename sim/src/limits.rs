//! Limits small enough that everything happens within a few dozen events.
//!
//! The journal has 48 blocks in 4 files, a chunk of a segment holds about three large records, a partition
//! keeps two segments, a stream a few events in memory: the ring turns, checkpoints and merges run, reads
//! go to the disk, appends are held back. The relations of `Limits::check` hold.

use crate::rng::Rng;
use commitlog::BLOCK_BYTES;
use types::Limits;

/// Largest payload of an append in the sim, in bytes.
pub const BODY_BYTES_MAX: usize = 1024;
/// Most events of one append in the sim.
pub const APPEND_EVENTS_MAX: usize = 8;

/// The sim's limits; `rng` varies those that have no fixed relation to others.
pub fn tiny_limits(rng: &mut Rng) -> Limits {
    let limits = Limits {
        body_bytes_max: BODY_BYTES_MAX,
        append_events_max: APPEND_EVENTS_MAX,
        idempotency_keys_max: 64,
        event_header_bytes_max: 128,
        read_events_max: 20,
        read_bytes_max: 4096,
        list_names_max: 16,
        journal_file_bytes: 12 * BLOCK_BYTES,
        journal_files_max: 4,
        group_bytes_target: *rng.pick(&[BLOCK_BYTES, 2 * BLOCK_BYTES, 4 * BLOCK_BYTES]),
        pending_bytes_max: *rng.pick(&[8, 24]) * 1024,
        memory_bytes_max: *rng.pick(&[16, 64]) * 1024,
        chunk_bytes_max: BLOCK_BYTES,
        segments_max: 2 + rng.index(2),
        footer_cache_bytes_max: *rng.pick(&[1, 8, 64]) * 1024,
        chunk_cache_bytes_max: *rng.pick(&[1, 8, 64, 512]) * 1024,
        tail_events: rng.index(4),
        tail_bytes: *rng.pick(&[256, 2048]),
        tail_bytes_max: *rng.pick(&[512, 8192]),
        streams_max: 64,
        reads_in_flight_max: 1 + rng.index(3),
        ..Limits::default()
    };
    limits.check().expect("the sim's limits hold their relations");
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_draw_holds_the_relations() {
        for seed in 0..100 {
            tiny_limits(&mut Rng::new(seed));
        }
    }
}
