//! A rule is left out of the engine: the other scenarios must notice.
//!
//! Which scenario notices depends on the rule, so all are tried in turn, seed by seed.

use super::{Broken, crash, fail_nth, rot};
use crate::disk::OpFault;
use engine::Sabotage;

/// Every rule that can be left out.
pub const ALL: [Sabotage; 10] = [
    Sabotage::AckBeforeFlush,
    Sabotage::NoFence,
    Sabotage::NoChain,
    Sabotage::NoDurableUpto,
    Sabotage::NoFlushInRecovery,
    Sabotage::NoDirectorySync,
    Sabotage::ShortWriteIgnored,
    Sabotage::SyncRetried,
    Sabotage::BlockReused,
    Sabotage::DeliveryAboveWatermark,
];

/// One seed of every scenario; what noticed, if anything did.
pub fn try_seed(sabotage: Sabotage, seed: u64) -> Option<(&'static str, Box<Broken>)> {
    if let Err(broken) = crash::run(seed, sabotage, false) {
        return Some(("crash", broken));
    }
    if let Err(broken) = rot::run(seed, sabotage, false) {
        return Some(("rot", broken));
    }
    for fault in [OpFault::Io, OpFault::Short] {
        // A few operations of each seed; another seed has others.
        let number = 1 + seed.wrapping_mul(7) % 200;
        if let Err(broken) = fail_nth::run_one(seed / 16, fault, number, sabotage, false) {
            return Some(("fail-nth", broken));
        }
    }
    None
}
