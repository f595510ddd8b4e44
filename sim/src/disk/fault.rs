//! Faults that a run plans: operation N fails, lies or goes astray; ranges that cannot be read; a full disk.
//!
//! A fault is planned by the number of the operation, counted over the disk's life, so that a failing case
//! is named by two numbers: the seed and N. The disk asks here when an operation is submitted and carries
//! the answer out when it completes.

use engine::{DiskError, DiskErrorKind, DiskOp, FileId};
use std::collections::BTreeMap;
use std::ops::Range;

/// What goes wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpFault {
    /// EIO. A write may have reached any of its sectors; a flush may have dropped any write it covered.
    Io,
    /// ENOSPC. A write may have reached its first sectors.
    NoSpace,
    /// EMFILE, for operations that open a file; others are done.
    TooManyFiles,
    /// A write that ends early and says so; other operations are done.
    Short,
    /// A write, flush or directory sync that says "done" and is not; other operations are done.
    Lie,
    /// A write that lands one block further on and says "done"; other operations are done.
    Misdirected,
}

impl OpFault {
    /// Every kind, for those who try all.
    pub const ALL: [OpFault; 6] = [
        OpFault::Io,
        OpFault::NoSpace,
        OpFault::TooManyFiles,
        OpFault::Short,
        OpFault::Lie,
        OpFault::Misdirected,
    ];

    /// Whether the disk tells the truth about it, so that nothing acknowledged may be lost.
    pub fn is_honest(self) -> bool {
        !matches!(self, OpFault::Lie | OpFault::Misdirected)
    }

    /// Whether the fault changes anything for this operation.
    pub fn applies_to(self, work: &DiskOp) -> bool {
        match self {
            OpFault::Io => true,
            OpFault::NoSpace => {
                matches!(work, DiskOp::Write { .. } | DiskOp::Create { .. } | DiskOp::MakeDir { .. })
            }
            OpFault::TooManyFiles => !matches!(work, DiskOp::Remove { .. }),
            OpFault::Short | OpFault::Misdirected => matches!(work, DiskOp::Write { .. }),
            OpFault::Lie => {
                matches!(work, DiskOp::Write { .. } | DiskOp::Flush { .. } | DiskOp::SyncDir { .. })
            }
        }
    }
}

/// What a run has planned for its disk.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    planned: BTreeMap<u64, OpFault>,
    unreadable: Vec<(FileId, Range<u64>)>,
    capacity_bytes: Option<u64>,
    fired: Vec<(u64, OpFault)>,
}

impl FaultPlan {
    /// Operation `number` (the first of the disk's life is 1) will go wrong.
    pub fn plan(&mut self, number: u64, fault: OpFault) {
        self.planned.insert(number, fault);
    }

    /// Forgets what was planned and has not happened.
    pub fn clear(&mut self) {
        self.planned.clear();
    }

    /// Reads that touch the range fail with EIO until it is written again.
    pub fn make_unreadable(&mut self, file: FileId, range: Range<u64>) {
        self.unreadable.push((file, range));
    }

    /// Writes that would make all files together longer than this fail with ENOSPC.
    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity_bytes = bytes;
    }

    /// The faults that have happened, with the number of their operation.
    pub fn fired(&self) -> &[(u64, OpFault)] {
        &self.fired
    }

    /// What could not be read can be read again.
    pub fn heal_all(&mut self) {
        self.unreadable.clear();
    }

    pub(super) fn take(&mut self, number: u64, work: &DiskOp) -> Option<OpFault> {
        let fault = self.planned.remove(&number)?;
        if !fault.applies_to(work) {
            return None;
        }
        self.fired.push((number, fault));
        Some(fault)
    }

    pub(super) fn fits(&self, used_bytes: u64, more_bytes: u64) -> bool {
        self.capacity_bytes.is_none_or(|capacity| used_bytes + more_bytes <= capacity)
    }

    pub(super) fn is_unreadable(&self, file: FileId, offset: u64, len: u64) -> bool {
        self.unreadable.iter().any(|(bad, range)| *bad == file && overlap(range, offset, len))
    }

    pub(super) fn heal(&mut self, file: FileId, offset: u64, len: u64) {
        self.unreadable.retain(|(bad, range)| *bad != file || !overlap(range, offset, len));
    }
}

fn overlap(range: &Range<u64>, offset: u64, len: u64) -> bool {
    range.start < offset.saturating_add(len) && offset < range.end
}

/// An error with the number that Linux gives it.
pub(super) fn error(kind: DiskErrorKind) -> DiskError {
    let errno = match kind {
        DiskErrorKind::Io => 5,
        DiskErrorKind::NoSpace => 28,
        DiskErrorKind::NotFound => 2,
        DiskErrorKind::Exists => 17,
        DiskErrorKind::TooManyFiles => 24,
        DiskErrorKind::ReadOnly => 30,
    };
    DiskError { kind, errno }
}
