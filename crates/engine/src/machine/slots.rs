//! Preparing the journal's next file: create, zero-fill piece by piece, flush, sync the directory.
//!
//! Part of [`Engine`], in the background, before the ring runs out: a commit never waits for zeros unless
//! the disk is slower than its clients. A file is ready only when every step is durable; one that exists
//! already, from a life that died here, is filled anew.

use super::{Engine, OpPurpose};
use crate::command::Effect;
use crate::disk::{DirId, DiskDone, DiskErrorKind, DiskOp, DiskResult, FileId, Urgency, WriteBody};
use crate::journal::SlotState;
use crate::sabotage::Sabotage;
use types::Timestamp;

/// Bytes that one write of zeros covers when a journal file is prepared.
const ZERO_PIECE_BYTES: u64 = 1 << 20;

impl Engine {
    /// Creates or zero-fills the next journal file when the ring would run out.
    pub(crate) fn prepare_slot(&mut self, out: &mut Vec<Effect>) {
        if self.slot_busy || self.full_retry_at.is_some() {
            return;
        }
        let Some(slot) = self.journal.slot_to_prepare() else { return };
        let index = usize::from(slot);
        if index == self.journal.slots.len() {
            self.journal.slots.push(SlotState::Preparing { exists: false, zeroed: 0 });
        }
        let SlotState::Preparing { exists, zeroed } = self.journal.slots[index] else { return };
        self.slot_busy = true;
        let file = FileId::Journal { shard: self.journal.shard, slot };
        if !exists {
            let work = DiskOp::Create { file };
            return self.disk(OpPurpose::SlotCreate(slot), Urgency::Background, work, out);
        }
        let len = (self.journal.file_bytes() - zeroed).min(ZERO_PIECE_BYTES);
        if len == 0 {
            let work = DiskOp::Flush { file };
            return self.disk(OpPurpose::SlotFlush(slot), Urgency::Background, work, out);
        }
        let body = WriteBody::zeros(usize::try_from(len).expect("a piece is small"));
        let work = DiskOp::Write { file, offset: zeroed, body };
        self.disk(OpPurpose::SlotZero(slot), Urgency::Background, work, out);
    }

    /// One step of preparing a journal file is done: create, zero piece by piece, flush, sync the directory.
    pub(super) fn handle_slot(
        &mut self,
        now: Timestamp,
        purpose: OpPurpose,
        slot: u16,
        result: DiskResult,
        out: &mut Vec<Effect>,
    ) {
        self.slot_busy = false;
        let state = &mut self.journal.slots[usize::from(slot)];
        let SlotState::Preparing { exists, zeroed } = state else { return };
        match (purpose, result) {
            (OpPurpose::SlotCreate(_), Ok(_)) => *exists = true,
            (OpPurpose::SlotCreate(_), Err(error)) if error.kind == DiskErrorKind::Exists => *exists = true,
            (OpPurpose::SlotZero(_), Ok(DiskDone::Written(count))) => {
                *zeroed += count as u64 / commitlog::BLOCK_BYTES as u64 * commitlog::BLOCK_BYTES as u64;
            }
            (OpPurpose::SlotFlush(_), Ok(_)) => {
                self.slot_busy = true;
                let work = DiskOp::SyncDir { dir: DirId::Journal(self.journal.shard) };
                if !self.planted.is(Sabotage::NoDirectorySync) {
                    return self.disk(OpPurpose::SlotSyncDir(slot), Urgency::Background, work, out);
                }
                self.slot_busy = false;
                *state = SlotState::Free;
            }
            (OpPurpose::SlotSyncDir(_), Ok(_)) => {
                *state = SlotState::Free;
                self.handle_background_success(out);
            }
            (_, Ok(_)) => {}
            (_, Err(error)) => {
                return self.handle_background_error(now, "preparing a journal file", error, out);
            }
        }
        self.step_fence(out);
        self.prepare_slot(out);
    }
}
