//! Between the faces and the shards: who may do what, and which shard does it.
//!
//! One [`Broker`] per core, shared as `Rc` by the faces' tasks of that core. It routes a stream to the shard
//! that owns its partition, scatters what concerns all shards, applies the settings of streams and buckets,
//! and hands deliveries to whoever watches. It stores nothing but settings, which are a copy of what the
//! `$meta` bucket says; every core has the same copy before a change is acknowledged.
//! Nothing here is kept per request, and every order of `CoreLink` is passed on unchanged.

mod awaiting;
pub mod event_json;
pub mod fanout;
pub mod identity;
mod listing;
mod requests;
mod settings;
mod settings_store;
mod watches;

pub use listing::{Listing, StreamListing};
pub use requests::{AppendRequest, Pending, ReadRequest};
pub use settings::{Effective, MemoryAck, Scope, Settings};
pub use watches::{Route, Watched};

use crate::shard::CoreLink;
use crate::sys::executor::{Queue, spawn};
use crate::sys::notify::Latch;
use identity::{Common, Identity};
use settings::SettingsTable;
use settings_store::Peers;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use types::Limits;
use watches::Watches;

/// One core's ends of what the brokers tell each other; may be sent to it.
pub struct Port {
    settings: settings_store::Port,
    identity: identity::Port,
}

/// The ports of all cores; core `n` takes the `n`th.
pub fn ports(core_count: u16, common: &Arc<Common>) -> Vec<Port> {
    let identities = identity::ports(core_count, common);
    let both = settings_store::ports(core_count).into_iter().zip(identities);
    both.map(|(settings, identity)| Port { settings, identity }).collect()
}

/// A core's way to all streams.
pub struct Broker {
    link: Rc<CoreLink>,
    watches: Watches,
    settings: RefCell<SettingsTable>,
    peers: Peers,
    identity: Identity,
    loaded: Latch,
    /// Why nothing can be carried out, or that all can be.
    outcome: OnceCell<Result<(), String>>,
    fanout: fanout::Fanout,
}

impl Broker {
    /// The broker of `link`'s core. Registers itself for the core's deliveries and begins to load settings
    /// and identities, which needs the shards to run; [`Broker::loaded`] tells when that is done.
    pub fn open(link: Rc<CoreLink>, port: Port) -> Rc<Broker> {
        let (inbox, peers) = port.settings.split();
        let (identity, inboxes) = Identity::new(port.identity);
        let settings = RefCell::new(SettingsTable::new(link.limits()));
        let fanout = fanout::Fanout::new(link.shards().count());
        let (watches, loaded, outcome) = (Watches::default(), Latch::new(), OnceCell::new());
        let broker = Rc::new(Broker { link, watches, settings, peers, identity, loaded, outcome, fanout });
        // The link holds the broker weakly: no circle keeps either alive.
        let weak = Rc::downgrade(&broker);
        broker.link.on_delivery(move |delivery| {
            if let Some(broker) = weak.upgrade() {
                broker.watches.deliver(delivery);
            }
        });
        settings_store::start(&broker, inbox);
        identity::start(&broker, inboxes);
        spawn(Queue::Net, {
            let broker = broker.clone();
            async move {
                broker.load_settings().await;
                let opened = identity::open(&broker).await;
                broker.outcome.set(opened).expect("a broker is opened once");
                broker.loaded.set();
            }
        });
        broker
    }

    /// Waits until settings and identities are loaded.
    ///
    /// # Errors
    /// Why nothing can be served, in a sentence.
    pub async fn opened(&self) -> Result<(), String> {
        self.loaded.wait().await;
        self.outcome.get().cloned().expect("set before the latch")
    }

    /// Waits until settings and identities are loaded: before that nothing of a client may be carried out.
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
