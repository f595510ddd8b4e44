//! From one delivery per core to all its listeners.
//!
//! One per core, part of its broker. However many listen to a stream or pattern, the core watches it once;
//! an event is encoded once per wire form and the bytes are shared by the outboxes. A listener that has no
//! room leaves live delivery and is served from the log until it has caught up: nobody waits for it and
//! nothing grows. What is decided about one listener's place in a stream stands in `subscription` (pure).
//! Nothing here waits; the connection's task calls [`Listener::pump`] whenever it has sent something.

mod glob;
mod item;
mod listener;
mod outbox;
mod positions;
mod routes;
mod slab;
mod subscription;

pub use item::{Array, Kind, SSE_END, arrays_of, one_line, sse_head};
pub use listener::SubscriptionId;
pub use outbox::{ArrayEntry, Entry, Fault, Outbox};
pub use positions::{Place, PositionsError, decode, encode, tag_of};
pub use subscription::{Position, Slow};

use super::Broker;
use super::requests::ReadRequest;
use super::watches::Watched;
use bytes::Bytes;
use engine::{ListPage, ReadReply, WatchTarget};
use glob::Glob;
use listener::{ListenerState, Named, Turn, WantedRead};
use routes::{Member, Routes};
use slab::{Key, Slab};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use subscription::{ReadTicket, Start, Subscription, Want};
use types::{Failure, SeqNum, StreamKey, Timestamp};

/// Streams of one page when a pattern's streams are listed.
const LIST_PAGE_STREAMS: usize = 512;

/// What the fan-out appends to a listener's outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// WebSocket text messages.
    WebSocket,
    /// Arrays; the first one is the answer.
    LongPoll,
    /// Chunks with messages of an event stream, for a listener of one stream with this tag.
    SseOfOne {
        /// See [`tag_of`].
        tag: u32,
    },
    /// Arrays; the face writes the messages, whose ids tell the places in all streams.
    Sse,
}

/// Where and how a subscription begins.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// With this event; `None` with what comes.
    pub from: Option<SeqNum>,
    /// Where an earlier listener stopped; wins over `from`.
    pub after: Option<Place>,
    /// What happens when the listener has no room.
    pub slow: Slow,
    /// Goes to the outbox when the subscription is live, before anything of it.
    pub welcome: Option<Bytes>,
}

/// The listener has this subscription already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadySubscribed;

/// The listeners of a core.
pub(super) struct Fanout(RefCell<State>);

struct State {
    listeners: Slab<ListenerState>,
    routes: Routes,
    /// Listeners whose reads wait until a shard has room; a task looks after them.
    without_room: Vec<Rc<Outbox>>,
}

/// One connection's subscriptions; they end when it is dropped.
pub struct Listener {
    broker: Rc<Broker>,
    key: Key,
    outbox: Rc<Outbox>,
}

impl Fanout {
    pub(super) fn new(shard_count: usize) -> Fanout {
        let (listeners, routes, without_room) = (Slab::default(), Routes::new(shard_count), Vec::new());
        Fanout(RefCell::new(State { listeners, routes, without_room }))
    }
}

impl Broker {
    /// A listener without subscriptions. `notices`: gaps and resets are wanted as items.
    pub fn listener(self: &Rc<Self>, form: Form, notices: bool) -> Listener {
        let outbox = Rc::new(Outbox::new(self.limits().outbox_bytes_max));
        let state = ListenerState::new(outbox.clone(), form, notices);
        let key = self.fanout.0.borrow_mut().listeners.insert(state);
        Listener { broker: self.clone(), key, outbox }
    }
}

impl Listener {
    /// What waits to be sent.
    pub fn outbox(&self) -> &Rc<Outbox> {
        &self.outbox
    }

    /// Subscribes. What comes goes to the outbox, from the time on when [`Listener::is_open`].
    ///
    /// # Errors
    /// [`AlreadySubscribed`]; nothing has changed then.
    pub fn subscribe(&self, target: WatchTarget, begin: Begin) -> Result<SubscriptionId, AlreadySubscribed> {
        let mut state = self.broker.fanout.0.borrow_mut();
        let State { listeners, routes, .. } = &mut *state;
        let listener = listeners.get_mut(self.key).expect("a listener is there until it is dropped");
        if find(listener, self.key, routes, &target).is_some() {
            return Err(AlreadySubscribed);
        }
        let named =
            named(&target, begin.clone(), self.broker.link().now(), self.broker.limits().subscriptions_max);
        let (route, is_new) = routes.find_or_add(&target);
        let entry = routes.get_mut(route).expect("it was just found");
        let id = listener.add(route, entry.members.len(), named, begin.welcome);
        entry.members.push(Member { listener: self.key, subscription: id.index });
        if let Some(present) = entry.present() {
            listener.open(id.index, present);
        }
        drop(state);
        if is_new {
            self.watch(route, target);
        }
        Ok(id)
    }

    fn watch(&self, route: Key, target: WatchTarget) {
        let weak = Rc::downgrade(&self.broker);
        let watch = self.broker.watch(target, move |what| {
            if let Some(broker) = weak.upgrade() {
                broker.fanout.0.borrow_mut().handle(route, what);
            }
        });
        let mut state = self.broker.fanout.0.borrow_mut();
        state.routes.get_mut(route).expect("its first member is there").watch = Some(watch);
    }

    /// Ends a subscription; tells whether there was one.
    pub fn unsubscribe(&self, target: &WatchTarget) -> bool {
        let mut state = self.broker.fanout.0.borrow_mut();
        let State { listeners, routes, .. } = &mut *state;
        let listener = listeners.get(self.key).expect("a listener is there until it is dropped");
        let Some(index) = find(listener, self.key, routes, target) else { return false };
        let ended = state.remove_subscription(self.key, index);
        drop(state);
        if let Some(watch) = ended {
            self.broker.unwatch(watch);
        }
        true
    }

    /// How many subscriptions there are.
    pub fn subscription_count(&self) -> usize {
        self.with(ListenerState::count)
    }

    /// Whether everything that happens from now on reaches the subscription; also when it has ended.
    pub fn is_open(&self, id: SubscriptionId) -> bool {
        self.with(|listener| listener.entrant(id).is_none_or(|entrant| entrant.is_open))
    }

    /// Whether all subscriptions are open.
    pub fn all_open(&self) -> bool {
        self.with(ListenerState::all_open)
    }

    /// Where the subscriptions begin, in their order; to be asked when all are open and before anything is
    /// taken from the outbox.
    pub fn places(&self) -> Vec<Place> {
        self.with(|listener| {
            let entrants = listener.entrants.iter().flatten();
            entrants
                .map(|entrant| match &entrant.named {
                    Named::Stream(_, subscription) => Place::Stream(subscription.position()),
                    Named::Pattern(glob) => glob.place(),
                })
                .collect()
        })
    }

    /// Whether a subscription that is to be closed when its listener is slow is behind.
    pub fn closes_when_slow(&self) -> bool {
        self.with(ListenerState::closes_when_slow)
    }

    /// Starts the reads that are wanted and that there is room for. To be called after something was sent
    /// and whenever the outbox has notified.
    pub fn pump(&self) {
        loop {
            let next = self.broker.fanout.0.borrow_mut().next_work(self.key, &self.broker);
            match next {
                Work::Done => return,
                Work::Read(read) => self.read(read),
                Work::List(id, pattern, after) => {
                    let broker = Rc::downgrade(&self.broker);
                    let job = list_streams(broker, self.key, id, pattern, after);
                    crate::sys::executor::spawn(crate::sys::executor::Queue::Net, job);
                }
                Work::Wait(stream) => return self.wait_for_room(stream),
            }
        }
    }

    fn read(&self, read: WantedRead) {
        let WantedRead { turn, from, ticket, limit, bytes_max } = read;
        let request = ReadRequest { stream: turn.stream.clone(), from, limit, bytes_max };
        let (weak, key) = (Rc::downgrade(&self.broker), self.key);
        self.broker.read_then(request, move |result| {
            if let Some(broker) = weak.upgrade() {
                broker.fanout.0.borrow_mut().handle_read(key, &turn, ticket, result);
            }
        });
    }

    /// Lets a task of its own wait for room, one per core however many listeners wait.
    fn wait_for_room(&self, stream: StreamKey) {
        let mut state = self.broker.fanout.0.borrow_mut();
        let is_first = state.without_room.is_empty();
        state.without_room.push(self.outbox.clone());
        if is_first {
            let broker = self.broker.clone();
            crate::sys::executor::spawn(crate::sys::executor::Queue::Net, async move {
                broker.room(&stream).await;
                let waiting = std::mem::take(&mut broker.fanout.0.borrow_mut().without_room);
                waiting.iter().for_each(|outbox| outbox.wake());
            });
        }
    }

    fn with<T>(&self, look: impl FnOnce(&ListenerState) -> T) -> T {
        let state = self.broker.fanout.0.borrow();
        look(state.listeners.get(self.key).expect("a listener is there until it is dropped"))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.broker.fanout.0.borrow_mut();
        let count = state.listeners.get(self.key).map_or(0, |listener| listener.entrants.len());
        let ended: Vec<_> =
            (0..count).filter_map(|index| state.remove_subscription(self.key, index)).collect();
        state.listeners.remove(self.key);
        drop(state);
        ended.into_iter().for_each(|watch| self.broker.unwatch(watch));
    }
}

/// What [`Listener::pump`] has to do next.
enum Work {
    Done,
    Read(WantedRead),
    List(SubscriptionId, types::StreamPattern, String),
    Wait(StreamKey),
}

impl State {
    fn next_work(&mut self, key: Key, broker: &Broker) -> Work {
        let Some(listener) = self.listeners.get_mut(key) else { return Work::Done };
        while let Some(turn) = listener.take_turn() {
            match listener.want(&turn) {
                Want::Nothing => {}
                Want::Jump => listener.jump(&turn),
                Want::Read if broker.has_room(&turn.stream) => return Work::Read(listener.begin_read(turn)),
                Want::Read => {
                    let stream = turn.stream.clone();
                    listener.give_turn_back(turn);
                    return Work::Wait(stream);
                }
            }
        }
        if listener.has_turns() {
            return Work::Done;
        }
        for entrant in listener.entrants.iter_mut().flatten() {
            if let (true, Named::Pattern(glob)) = (entrant.is_open, &mut entrant.named)
                && let Some(after) = glob.begin_listing()
            {
                return Work::List(entrant.id, glob.pattern().clone(), after);
            }
        }
        Work::Done
    }

    fn handle_read(&mut self, key: Key, turn: &Turn, ticket: ReadTicket, result: Result<ReadReply, Failure>) {
        let Some(listener) = self.listeners.get_mut(key) else { return };
        match result {
            Ok(reply) => listener.handle_read(turn, ticket, reply),
            Err(failure) => {
                listener.end_read();
                listener.outbox.fail(Fault::Failed(failure));
            }
        }
    }

    fn handle_listing(&mut self, key: Key, id: SubscriptionId, listing: &super::StreamListing, limit: usize) {
        let Some(listener) = self.listeners.get_mut(key) else { return };
        if !listing.is_complete {
            let unavailable = types::Unavailable::Overloaded;
            return listener.outbox.fail(Fault::Failed(Failure::Unavailable(unavailable)));
        }
        let streams: Vec<(StreamKey, Position)> = listing
            .items
            .iter()
            .map(|stream| (stream.key.clone(), Position { epoch: stream.epoch, next: stream.last.next() }))
            .collect();
        let Some(entrant) = listener.entrant_mut(id) else { return };
        let Named::Pattern(glob) = &mut entrant.named else { unreachable!("only patterns list") };
        match glob.handle_listing(&streams, streams.len() < limit) {
            Ok(behind) => behind.iter().for_each(|stream| listener.push_turn(id, stream)),
            Err(glob::TooManyBehind) => listener.outbox.fail(Fault::TooManyBehind),
        }
        listener.outbox.wake();
    }

    /// Takes a subscription out. Gives the watch that nobody needs any more.
    fn remove_subscription(&mut self, key: Key, index: usize) -> Option<super::Route> {
        let entrant = self.listeners.get_mut(key)?.remove(index)?;
        let route = self.routes.get_mut(entrant.route).expect("a subscription has a route");
        route.members.swap_remove(entrant.member);
        if let Some(moved) = route.members.get(entrant.member) {
            let listener = self.listeners.get_mut(moved.listener).expect("a member is a listener");
            let moved = listener.entrants[moved.subscription].as_mut().expect("a member is a subscription");
            moved.member = entrant.member;
        }
        if self.routes.get_mut(entrant.route).is_some_and(|route| route.members.is_empty()) {
            return self.routes.remove(entrant.route);
        }
        None
    }

    fn handle(&mut self, route: Key, what: Watched) {
        routes::handle(&mut self.routes, &mut self.listeners, route, what);
    }
}

/// The place of a subscription among a listener's: by the shorter way, the listener's subscriptions or the
/// route's members.
fn find(listener: &ListenerState, key: Key, routes: &Routes, target: &WatchTarget) -> Option<usize> {
    let route = routes.find(target)?;
    let members = &routes.get(route)?.members;
    if members.len() < listener.entrants.len() {
        return members.iter().find(|member| member.listener == key).map(|member| member.subscription);
    }
    let has_route = |entrant: &Option<listener::Entrant>| entrant.as_ref().is_some_and(|e| e.route == route);
    listener.entrants.iter().position(has_route)
}

fn named(target: &WatchTarget, begin: Begin, now: Timestamp, children_max: usize) -> Named {
    let Begin { from, after, slow, .. } = begin;
    match target {
        WatchTarget::Stream(stream) => {
            let start = match (after, from) {
                (Some(Place::Stream(position)), _) => Start::After(position),
                (_, Some(from)) => Start::From(from),
                (_, None) => Start::Now,
            };
            Named::Stream(stream.clone(), Subscription::new(start, slow))
        }
        WatchTarget::Pattern(pattern) => {
            Named::Pattern(Box::new(Glob::new(pattern.clone(), from, after, slow, now, children_max)))
        }
    }
}

/// Lists one page of a pattern's streams.
async fn list_streams(
    broker: Weak<Broker>,
    key: Key,
    id: SubscriptionId,
    pattern: types::StreamPattern,
    after: String,
) {
    let Some(broker) = broker.upgrade() else { return };
    // What stands before the first wildcard begins every name that matches.
    let text = pattern.as_str();
    let prefix = text[..text.find(['*', '?', '[']).unwrap_or(text.len())].to_owned();
    let page = ListPage { prefix, after, limit: LIST_PAGE_STREAMS };
    let listing = broker.list_streams(&pattern.bucket, page).await;
    broker.fanout.0.borrow_mut().handle_listing(key, id, &listing, LIST_PAGE_STREAMS);
}
