//! What the connections of one core share: the broker, alarms, buffers, counters, blocking threads.
//!
//! Made once per core by [`HttpFace::open`]; used by this face's connections and by whatever they hand over.
//! Nothing in it is touched by two cores but the counters, which have one writer each.

use super::alarm::{Alarm, Alarms};
use super::cors::Cors;
use super::counters::{Counters, SharedCounters};
use super::handoff::LongTask;
use super::options::Options;
use super::report;
use super::stream_keys::StreamKeys;
use crate::broker::identity::Common;
use crate::broker::{self, Broker};
use crate::observe::access_log::AccessLog;
use crate::observe::activity::{Activity, ActivityOfCore};
use crate::shard::CoreLink;
use crate::sys::offload::Offload;
use bytes::BytesMut;
use http1::{Config, HTTP_DATE_BYTES};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use types::Limits;

/// Buffers that a core keeps for its next connections that have something to say.
const POOLED_BUFFERS_MAX: usize = 64;
/// A new buffer, and the least that a pooled one has to offer.
const POOLED_BYTES_MIN: usize = 2 * 1024;
/// A buffer that grew beyond this is given back to the system instead.
const POOLED_BYTES_MAX: usize = 64 * 1024;

/// The HTTP face before it is opened on each core. Clones share their counters.
#[derive(Clone)]
pub struct HttpFace {
    ports: Arc<Mutex<Vec<Option<broker::Port>>>>,
    counters: SharedCounters,
    offload: Offload,
    listen: LongTask,
    options: Arc<Options>,
    activity: Arc<OnceLock<Activity>>,
}

/// One core's share of the HTTP face.
pub struct Core {
    broker: Rc<Broker>,
    alarms: Rc<Alarms>,
    counters: SharedCounters,
    offload: Offload,
    listen: LongTask,
    options: Arc<Options>,
    activity: Activity,
    buffers: RefCell<Vec<BytesMut>>,
    stream_keys: StreamKeys,
    /// Bytes of all connections' requests.
    request_bytes: Cell<usize>,
}

impl HttpFace {
    /// A face for `core_count` cores. `offload` takes what would hold a core up (large JSON bodies and
    /// patches); `listen` serves the connections of `/listen` and the WebSocket of `/x/echo`;
    /// `common` knows the keys of sessions.
    pub fn new(core_count: u16, offload: Offload, listen: LongTask, common: &Arc<Common>) -> HttpFace {
        let ports = broker::ports(core_count, common).into_iter().map(Some).collect();
        HttpFace {
            ports: Arc::new(Mutex::new(ports)),
            counters: SharedCounters::new(usize::from(core_count)),
            offload,
            listen,
            options: Arc::default(),
            activity: Arc::default(),
        }
    }

    /// The same with what the configuration says.
    #[must_use]
    pub fn with(self, options: Arc<Options>) -> HttpFace {
        HttpFace { options, ..self }
    }

    /// The share of `link`'s core. Called once per core, on it, before its shard serves.
    ///
    /// # Panics
    /// If the core is not one of `core_count`, or opens twice.
    pub fn open(&self, link: Rc<CoreLink>) -> Rc<Core> {
        let core = usize::from(link.core().0);
        let port = self.ports.lock().unwrap_or_else(PoisonError::into_inner)[core].take();
        let port = port.expect("each core opens its face once");
        let alarms = Alarms::start(link.clone());
        // The link lives as long as the core; the figures are read by all.
        let _ = self.counters.of(link.core()).journal_times.set(link.journal_times().clone());
        let activity = || Activity::new(self.counters.core_count(), link.limits().activity_keys_max);
        let activity = self.activity.get_or_init(activity).clone();
        let core = Rc::new(Core {
            broker: Broker::open(link, port),
            alarms,
            counters: self.counters.clone(),
            offload: self.offload.clone(),
            listen: self.listen,
            options: self.options.clone(),
            activity,
            buffers: RefCell::default(),
            stream_keys: StreamKeys::default(),
            request_bytes: Cell::new(0),
        });
        if let Some(reports) = self.options.reports {
            report::start(&core, reports);
        }
        core
    }
}

impl Core {
    /// The way to all streams.
    pub fn broker(&self) -> &Rc<Broker> {
        &self.broker
    }

    /// The bounds of the server.
    pub fn limits(&self) -> &Limits {
        self.broker.limits()
    }

    /// The bounds of what a connection decodes.
    pub(super) fn decoder_config(&self) -> Config {
        let limits = self.limits();
        Config {
            head_bytes_max: limits.head_bytes_max,
            headers_max: limits.headers_max,
            target_bytes_max: limits.target_bytes_max,
            body_bytes_max: limits.body_bytes_max as u64,
        }
    }

    /// Whether anybody reads who asks how often.
    pub(super) fn counts_activity(&self) -> bool {
        self.options.reports.is_some()
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.broker.link().is_draining()
    }

    /// The value of a `Date` header.
    pub fn date(&self) -> [u8; HTTP_DATE_BYTES] {
        self.alarms.date()
    }

    /// Threads for what takes longer than a core may be held up.
    pub fn offload(&self) -> &Offload {
        &self.offload
    }

    /// This core's counters.
    pub fn counters(&self) -> &Counters {
        self.counters.of(self.broker.link().core())
    }

    /// The counters of all cores.
    pub(super) fn all_counters(&self) -> &SharedCounters {
        &self.counters
    }

    /// Streams by their paths.
    pub(super) fn stream_keys(&self) -> &StreamKeys {
        &self.stream_keys
    }

    /// What pages of other origins may do.
    pub fn cors(&self) -> &Cors {
        &self.options.cors
    }

    /// Where lines of requests go, if anywhere.
    pub(super) fn access_log(&self) -> &Option<AccessLog> {
        &self.options.access_log
    }

    /// Who has used the server, of all cores.
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Where checks of sessions are counted: `count(user, host, ip)`, wherever a token is checked.
    pub fn activity_here(&self) -> ActivityOfCore<'_> {
        self.activity.of(self.broker.link().core())
    }

    pub(super) fn listen(&self) -> LongTask {
        self.listen
    }

    pub(super) fn new_alarm(&self) -> Alarm {
        self.alarms.new_alarm()
    }

    /// An empty buffer with some capacity.
    pub fn take_buffer(&self) -> BytesMut {
        let pooled = self.buffers.borrow_mut().pop();
        pooled.unwrap_or_else(|| BytesMut::with_capacity(POOLED_BYTES_MIN))
    }

    /// Gives a buffer back; what is in it is forgotten.
    pub fn give_buffer(&self, mut buffer: BytesMut) {
        buffer.clear();
        // What requests have taken off its front comes back, unless one of them is still looked at. Asking
        // for more than is kept tells whether a large one lies behind.
        let is_large = buffer.try_reclaim(POOLED_BYTES_MAX + 1);
        let fits = !is_large && buffer.try_reclaim(POOLED_BYTES_MIN);
        let mut buffers = self.buffers.borrow_mut();
        if fits && buffers.len() < POOLED_BUFFERS_MAX {
            buffers.push(buffer);
        }
    }
}

/// What one connection's requests take of `limits.request_bytes_max`. Small ones are not counted: their
/// number is bounded by the connections.
pub(super) struct Account {
    core: Rc<Core>,
    bytes: usize,
}

impl Account {
    /// Requests up to this size are free.
    const FREE_BYTES: usize = 64 * 1024;

    pub(super) fn new(core: Rc<Core>) -> Account {
        Account { core, bytes: 0 }
    }

    /// Notes that the connection's requests take `bytes` now; `false` if that is more than there is left.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        let bytes = if bytes > Account::FREE_BYTES { bytes } else { 0 };
        let total = self.core.request_bytes.get() - self.bytes + bytes;
        self.core.request_bytes.set(total);
        self.bytes = bytes;
        bytes == 0 || total <= self.core.limits().request_bytes_max
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
    }
}
