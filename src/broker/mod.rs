//! Between the faces and the shards: who may do what, and which shard does it.
//!
//! One [`Broker`] per core, shared as `Rc` by the faces' tasks of that core. It routes a stream to the shard
//! that owns its partition, scatters what concerns all shards, applies the settings of streams and buckets,
//! and hands deliveries to whoever watches. It stores nothing but settings, which are a copy of what the
//! `$meta` bucket says; every core has the same copy before a change is acknowledged.
//! Nothing here is kept per request, and every order of `CoreLink` is passed on unchanged.

mod admission;
mod awaiting;
pub mod event_json;
pub mod fanout;
mod listing;
mod requests;
mod settings;
mod settings_store;
mod watches;

pub use listing::{Listing, StreamListing};
pub use requests::{AppendRequest, Pending, ReadRequest};
pub use settings::{Effective, MemoryAck, Scope, Settings};
pub use settings_store::{Port, ports};
pub use watches::{Route, Watched};

use crate::shard::CoreLink;
use crate::sys::notify::Latch;
use settings::SettingsTable;
use settings_store::Peers;
use std::cell::RefCell;
use std::rc::Rc;
use types::Limits;
use watches::Watches;

/// A core's way to all streams.
pub struct Broker {
    link: Rc<CoreLink>,
    watches: Watches,
    settings: RefCell<SettingsTable>,
    peers: Peers,
    loaded: Latch,
    fanout: fanout::Fanout,
}

impl Broker {
    /// The broker of `link`'s core. Registers itself for the core's deliveries and begins to load the
    /// settings, which needs the shards to run; [`Broker::loaded`] tells when that is done.
    pub fn open(link: Rc<CoreLink>, port: Port) -> Rc<Broker> {
        let (inbox, peers) = port.split();
        let settings = RefCell::new(SettingsTable::new(link.limits()));
        let fanout = fanout::Fanout::new(link.shards().count());
        let (watches, loaded) = (Watches::default(), Latch::new());
        let broker = Rc::new(Broker { link, watches, settings, peers, loaded, fanout });
        // The link holds the broker weakly: no circle keeps either alive.
        let weak = Rc::downgrade(&broker);
        broker.link.on_delivery(move |delivery| {
            if let Some(broker) = weak.upgrade() {
                broker.watches.deliver(delivery);
            }
        });
        settings_store::start(&broker, inbox);
        broker
    }

    /// Waits until the settings are loaded: before that nothing of a client may be carried out.
    pub async fn loaded(&self) {
        self.loaded.wait().await;
    }

    /// Whether [`Broker::loaded`] would not wait.
    pub fn is_loaded(&self) -> bool {
        self.loaded.is_set()
    }

    /// The link to the shards.
    pub fn link(&self) -> &Rc<CoreLink> {
        &self.link
    }

    /// The bounds of the server.
    pub fn limits(&self) -> &Limits {
        self.link.limits()
    }
}
