//! Which cores want deliveries of which streams.
//!
//! A core has one watch per stream or pattern, whatever the number of its subscribers: fan-out to
//! connections is the core's own work.

use crate::command::{Effect, Reply, ReplyTo, WatchTarget};
use crate::machine::Engine;
use crate::stream::{ACTIVE_COST_BYTES, StreamSlot};
use std::collections::BTreeMap;
use types::{CoreId, Epoch, SeqNum, StreamKey, StreamPattern};

#[derive(Debug, Default)]
pub(crate) struct Watches {
    /// Watches of one stream, to find them when they end.
    streams: BTreeMap<(CoreId, u64), StreamSlot>,
    pub(crate) patterns: Vec<(CoreId, u64, StreamPattern)>,
}

impl Watches {
    /// The pattern watches that name a stream.
    pub(crate) fn matching<'a>(&'a self, key: &'a StreamKey) -> impl Iterator<Item = (CoreId, u64)> + 'a {
        let matching = self.patterns.iter().filter(|(_, _, pattern)| pattern.matches(key));
        matching.map(|(core, route, _)| (*core, *route))
    }
}

impl Engine {
    pub(crate) fn watch(&mut self, to: ReplyTo, route: u64, target: WatchTarget, out: &mut Vec<Effect>) {
        let reply = match target {
            WatchTarget::Pattern(pattern) => {
                self.watches.patterns.push((to.core, route, pattern));
                Reply::Watching { next: SeqNum::ZERO, epoch: Epoch(0) }
            }
            WatchTarget::Stream(key) => {
                let slot = self.slot_for(&key);
                if self.catalog[slot].active.is_none() {
                    self.memory_bytes += ACTIVE_COST_BYTES;
                }
                let stream = &mut self.catalog[slot];
                stream.active_mut().watchers.push((to.core, route));
                let (next, epoch) = (stream.next, stream.epoch);
                self.watches.streams.insert((to.core, route), slot);
                Reply::Watching { next, epoch }
            }
        };
        out.push(Effect::Reply { to, reply });
    }

    pub(crate) fn unwatch(&mut self, core: CoreId, route: u64) {
        self.watches.patterns.retain(|(c, r, _)| (*c, *r) != (core, route));
        let Some(slot) = self.watches.streams.remove(&(core, route)) else { return };
        if let Some(active) = &mut self.catalog[slot].active {
            active.watchers.retain(|watcher| *watcher != (core, route));
        }
        self.drop_active_if_idle(slot);
    }

    /// Gives back what an idle stream does not need.
    pub(crate) fn drop_active_if_idle(&mut self, slot: StreamSlot) {
        let idle = self.catalog[slot].active.as_ref().is_some_and(|active| active.is_idle());
        if idle {
            self.catalog[slot].active = None;
            self.memory_bytes -= ACTIVE_COST_BYTES;
        }
        self.catalog.forget_if_unused(slot);
    }
}
