//! What a merge has in memory of one of its inputs: a stretch of chunks, and one of them decoded.
//!
//! A merge goes through each input from its begin to its end, so it reads far more than the chunk it needs
//! (one read of 1 MiB costs hardly more than one of 64 KiB) and decodes a chunk once for all its streams.

use bytes::Bytes;
use commitlog::{ChunkAddress, ChunkRun, FormatError, Run, decode_chunk};
use std::ops::Range;
use types::{Epoch, Record, SeqNum, StreamKey};

/// Bytes that are read at once.
const READ_BYTES: u64 = 1 << 20;

/// One input of a merge.
#[derive(Debug, Default)]
pub(crate) struct MergeInput {
    /// Byte offset in the file, and what was read from there.
    stretch: Option<(u64, Bytes)>,
    /// Byte offset of the chunk that is decoded, and its runs, by stream.
    chunk: Option<(u64, Vec<ChunkRun>)>,
    /// A long read has failed: from now on only what is needed is read.
    short_reads: bool,
}

/// What a merge needs of an input.
pub(crate) enum Loaded {
    /// The chunk of the run is decoded; so many bytes were decoded for it now.
    Ready(usize),
    /// These bytes of the file have to be read first.
    Read(Range<u64>),
}

impl MergeInput {
    /// Makes the chunk of `run` ready, if it is in memory. `end` is where the chunks of the file end.
    ///
    /// # Errors
    /// [`FormatError`]: the chunk is damaged.
    pub(crate) fn load(
        &mut self,
        run: &Run,
        address: &ChunkAddress,
        end: u64,
    ) -> Result<Loaded, FormatError> {
        if self.chunk.as_ref().is_some_and(|(at, _)| *at == run.chunk_offset) {
            return Ok(Loaded::Ready(0));
        }
        let Some(bytes) = self.bytes_of(run) else {
            let needed = run.chunk_offset..run.chunk_offset + u64::from(run.chunk_len);
            let ahead = needed.start.saturating_add(READ_BYTES).min(end).max(needed.end);
            self.stretch = None;
            return Ok(Loaded::Read(needed.start..if self.short_reads { needed.end } else { ahead }));
        };
        let mut runs = decode_chunk(&bytes, address)?;
        // As they are written. They are looked up by stream.
        runs.sort_by(|a, b| a.key.cmp(&b.key));
        self.chunk = Some((run.chunk_offset, runs));
        Ok(Loaded::Ready(bytes.len()))
    }

    /// The bytes of the run's chunk; fewer, when the file ended before it did.
    fn bytes_of(&self, run: &Run) -> Option<Bytes> {
        let (at, bytes) = self.stretch.as_ref()?;
        let start = usize::try_from(run.chunk_offset.checked_sub(*at)?).ok()?;
        let end = start + run.chunk_len as usize;
        let is_whole = end <= bytes.len();
        (is_whole || start == 0).then(|| bytes.slice(start..end.min(bytes.len())))
    }

    /// What [`Self::load`] wanted from `offset` on was read.
    pub(crate) fn handle_read(&mut self, offset: u64, bytes: Bytes) {
        self.stretch = Some((offset, bytes));
    }

    /// A read failed; whether another one, of less, is worth a try.
    pub(crate) fn handle_failed_read(&mut self, len: u64, run_len: u64) -> bool {
        let was_long = len > run_len;
        self.short_reads |= was_long;
        was_long
    }

    /// The records of a stream in the decoded chunk.
    pub(crate) fn records(
        &self,
        key: &StreamKey,
        epoch: Epoch,
        from: SeqNum,
        to: SeqNum,
    ) -> impl Iterator<Item = &Record> {
        let runs = self.chunk.as_ref().map_or(&[][..], |(_, runs)| runs);
        let first = runs.partition_point(|run| run.key < *key);
        let of_stream = runs[first..].iter().take_while(move |run| run.key == *key);
        let records = of_stream.filter(move |run| run.epoch == epoch).flat_map(|run| &run.records);
        records.filter(move |record| (from..=to).contains(&record.seq()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Timestamp;

    fn run(chunk_offset: u64, chunk_len: u32) -> Run {
        let (first_seq, last_seq) = (SeqNum(1), SeqNum(1));
        let (first_time, last_time) = (Timestamp(0), Timestamp(0));
        Run { first_seq, last_seq, chunk_offset, chunk_len, bytes: 0, first_time, last_time }
    }

    fn wanted(input: &mut MergeInput, run: &Run, end: u64) -> Option<Range<u64>> {
        let address =
            ChunkAddress { directory_id: 1, partition: types::PartitionId(0), ordinal: 1, offset: 0 };
        match input.load(run, &address, end) {
            Ok(Loaded::Read(range)) => Some(range),
            Ok(Loaded::Ready(_)) | Err(_) => None,
        }
    }

    #[test]
    fn a_read_goes_ahead_of_the_chunk_but_not_into_the_footer() {
        let mut input = MergeInput::default();
        assert_eq!(wanted(&mut input, &run(4096, 8192), u64::MAX), Some(4096..4096 + READ_BYTES));
        assert_eq!(wanted(&mut input, &run(4096, 8192), 20_480), Some(4096..20_480));
        assert_eq!(wanted(&mut input, &run(4096, 8192), 4096), Some(4096..12_288), "at least the chunk");
    }

    #[test]
    fn after_a_failed_read_only_what_is_needed_is_read() {
        let mut input = MergeInput::default();
        assert!(!input.handle_failed_read(8192, 8192), "the chunk itself cannot be read");
        assert!(input.handle_failed_read(READ_BYTES, 8192));
        assert_eq!(wanted(&mut input, &run(4096, 8192), u64::MAX), Some(4096..12_288));
    }

    #[test]
    fn a_chunk_that_the_stretch_does_not_hold_whole_is_read_from_its_own_begin() {
        let mut input = MergeInput::default();
        input.handle_read(4096, Bytes::from(vec![0; 12_288]));
        assert_eq!(wanted(&mut input, &run(12_288, 8192), 20_480), Some(12_288..20_480));
        // The file has ended there: the decoder says what is missing, and nothing is read for ever.
        input.handle_read(12_288, Bytes::from(vec![0; 4096]));
        assert_eq!(wanted(&mut input, &run(12_288, 8192), 20_480), None);
    }
}
