//! Who on this core gets the deliveries of what.
//!
//! A watch is one per stream or pattern and asker, marked with a route number that is never used twice on
//! this core. Its sink is called between tasks, in the order in which the shard spoke; it must not wait and
//! may call the broker. Several shards may speak to a pattern's sink; the order holds per shard.

use super::Broker;
use super::requests::failure_of;
use engine::{Command, Delivery, Reply, WatchTarget};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use types::{Epoch, Failure, SeqNum, ShardId};

/// The number of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route(u64);

/// What a watch is told.
#[derive(Debug)]
pub enum Watched {
    /// The shard delivers from here on. Comes once per shard that was asked: one for a stream, all for a
    /// pattern (both values are zero then).
    Began {
        /// Which shard.
        shard: ShardId,
        /// The sequence number of the first delivery.
        next: SeqNum,
        /// The stream's epoch now; zero when it does not exist.
        epoch: Epoch,
    },
    /// The shard refused.
    Failed(ShardId, Failure),
    /// Something happened.
    Delivery(Delivery),
}

type Sink = Rc<dyn Fn(Watched)>;

/// The watches of a core.
#[derive(Default)]
pub(super) struct Watches {
    next: Cell<u64>,
    open: RefCell<HashMap<u64, (WatchTarget, Sink)>>,
}

impl Watches {
    /// Hands a delivery to its watch; one that comes after the watch ended is dropped.
    pub(super) fn deliver(&self, delivery: Delivery) {
        self.tell(delivery.route, Watched::Delivery(delivery));
    }

    fn tell(&self, route: u64, what: Watched) {
        // Not called inside the borrow: a sink may watch and unwatch.
        let sink = self.open.borrow().get(&route).map(|(_, sink)| sink.clone());
        if let Some(sink) = sink {
            sink(what);
        }
    }
}

impl Broker {
    /// Begins to watch. `sink` hears of it until [`Broker::unwatch`]; whoever watches must end it.
    pub fn watch(self: &Rc<Self>, target: WatchTarget, sink: impl Fn(Watched) + 'static) -> Route {
        let route = self.watches.next.get();
        self.watches.next.set(route + 1);
        self.watches.open.borrow_mut().insert(route, (target.clone(), Rc::new(sink)));
        for shard in self.shards_of(&target) {
            let weak = Rc::downgrade(self);
            let to = self.link.request_then(move |reply| {
                if let Some(broker) = weak.upgrade() {
                    broker.watches.tell(route, began(shard, reply));
                }
            });
            self.link.submit(shard, Command::Watch { to, route, target: target.clone() });
        }
        Route(route)
    }

    /// Ends a watch: its sink is not called again.
    pub fn unwatch(&self, route: Route) {
        let removed = self.watches.open.borrow_mut().remove(&route.0);
        let Some((target, _sink)) = removed else { return };
        for shard in self.shards_of(&target) {
            self.link.submit(shard, Command::Unwatch { core: self.link.core(), route: route.0 });
        }
    }

    fn shards_of(&self, target: &WatchTarget) -> Vec<ShardId> {
        match target {
            WatchTarget::Stream(stream) => vec![self.link.shard_of(stream)],
            WatchTarget::Pattern(_) => self.link.shards().collect(),
        }
    }
}

fn began(shard: ShardId, reply: Reply) -> Watched {
    match reply {
        Reply::Watching { next, epoch } => Watched::Began { shard, next, epoch },
        other => Watched::Failed(shard, failure_of(other)),
    }
}
