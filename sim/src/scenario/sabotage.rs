//! A rule is left out of the engine: the other scenarios must notice.
//!
//! Which scenario notices depends on the rule, so all are tried in turn, seed by seed.

use super::{Broken, Outcome, crash, fail_nth, rot};
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
    // A few operations of each seed; another seed has others.
    let number = 1 + seed.wrapping_mul(7) % 200;
    let nth = |fault, with| fail_nth::run_one(seed / 16, fault, number, with, false);
    let scenarios: [(&str, &dyn Fn(Sabotage) -> Outcome); 4] = [
        ("crash", &|with| crash::run(seed, with, false)),
        ("rot", &|with| rot::run(seed, with, false)),
        ("fail-nth Io", &|with| nth(OpFault::Io, with)),
        ("fail-nth Short", &|with| nth(OpFault::Short, with)),
    ];
    let noticed = |(name, run): (&'static str, &dyn Fn(Sabotage) -> Outcome)| {
        let broken = run(sabotage).err()?;
        // Whatever a sound engine trips over as well proves nothing about the rule.
        run(Sabotage::None).ok().map(|_| (name, broken))
    };
    // A copy of the directory that went another way is the only thing that the chain alone keeps out.
    let chosen = if sabotage == Sabotage::NoChain { &scenarios[1..2] } else { &scenarios[..] };
    chosen.iter().copied().find_map(noticed)
}

/// Whether an engine without a planted fault lives through every scenario of a seed.
pub fn is_sound(seed: u64) -> bool {
    let number = 1 + seed.wrapping_mul(7) % 200;
    let nth = |fault| fail_nth::run_one(seed / 16, fault, number, Sabotage::None, false).is_ok();
    let all = || {
        crash::run(seed, Sabotage::None, false).is_ok()
            && rot::run(seed, Sabotage::None, false).is_ok()
            && nth(OpFault::Io)
            && nth(OpFault::Short)
    };
    std::panic::catch_unwind(all).unwrap_or(false)
}
