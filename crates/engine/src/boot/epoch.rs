//! Writing the EPOCH file: at the start of a life, before anything is served, and at its clean end.
//!
//! Part of [`Boot`]. Both slots are written, one after the other, each flushed before the next: rot in
//! either leaves the newest. A short write is done again as a whole; any error ends the start.

use super::{Boot, Stage};
use crate::command::Effect;
use crate::disk::{DirId, DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, WriteBody};
use crate::sabotage::Sabotage;
use commitlog::{EPOCH_SLOT_BYTES, EpochMark, ShardMark, slot_of};
use types::ServerEpoch;

impl Boot {
    /// Writes a mark into both slots, one after the other, so that rot in either leaves the newest.
    pub(super) fn write_epoch(
        &mut self,
        epoch: ServerEpoch,
        clean: bool,
        shards: Vec<ShardMark>,
        stop: bool,
        out: &mut Vec<Effect>,
    ) {
        let identity = self.identity.as_ref().expect("read or created before");
        let generation = self.epoch.as_ref().map_or(0, |mark| mark.generation);
        let shard_count = self.config.shard_count;
        let directory_id = identity.directory_id;
        let mark = |generation| EpochMark {
            directory_id,
            generation,
            epoch,
            shard_count,
            clean,
            shards: shards.clone(),
        };
        let marks = [mark(generation + 1), mark(generation + 2)];
        let write = |mark: &EpochMark| (u64::from(slot_of(mark.generation)), mark.encode());
        // Taken from the end.
        self.writes = marks.iter().rev().map(write).collect();
        self.epoch = Some(marks[1].clone());
        if self.epoch_file_exists {
            self.write_slot(stop, out);
        } else {
            self.ask(Stage::EpochCreate { stop }, DiskOp::Create { file: FileId::Epoch }, out);
        }
    }

    fn write_slot(&mut self, stop: bool, out: &mut Vec<Effect>) {
        let (slot, bytes) = self.writes.last().expect("a slot is left to write").clone();
        let offset = slot * EPOCH_SLOT_BYTES as u64;
        let body = WriteBody::new(vec![bytes]);
        self.ask(Stage::EpochWrite { stop }, DiskOp::Write { file: FileId::Epoch, offset, body }, out);
    }

    pub(super) fn epoch_step(&mut self, stop: bool, result: DiskResult, out: &mut Vec<Effect>) {
        let done = match result {
            Ok(done) => done,
            Err(error) if error.kind == DiskErrorKind::Exists => DiskDone::Done,
            Err(error) => return self.refuse_io(error),
        };
        match self.stage {
            Stage::EpochCreate { .. } => self.write_slot(stop, out),
            Stage::EpochWrite { .. } if done != DiskDone::Written(EPOCH_SLOT_BYTES) => {
                self.write_slot(stop, out)
            }
            Stage::EpochWrite { .. } => {
                self.ask(Stage::EpochFlush { stop }, DiskOp::Flush { file: FileId::Epoch }, out);
            }
            Stage::EpochFlush { .. } => {
                self.writes.pop();
                if !self.writes.is_empty() {
                    return self.write_slot(stop, out);
                }
                let skip = self.config.sabotage == Sabotage::NoDirectorySync;
                if self.epoch_file_exists || skip {
                    return self.epoch_written(stop);
                }
                self.ask(Stage::EpochSyncDir { stop }, DiskOp::SyncDir { dir: DirId::Root }, out);
            }
            _ => self.epoch_written(stop),
        }
    }

    fn epoch_written(&mut self, stop: bool) {
        self.epoch_file_exists = true;
        if stop {
            self.stage = Stage::Sealed;
        } else {
            self.stage = Stage::Armed;
            let epoch = self.epoch.as_ref().expect("just written").epoch;
            self.armed = Some(Ok(epoch));
        }
    }
}
