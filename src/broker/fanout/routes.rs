//! What a core watches, and for whom; what happens when a shard tells something of it.
//!
//! One route per stream or pattern, shared by all its listeners. The work of a delivery is one pass over the
//! members: encode once, ask each subscription, append shared bytes.

use super::item::{self, Array};
use super::listener::{ListenerState, Named, Turn};
use super::outbox::Fault;
use super::slab::{Key, Slab};
use super::subscription::{Answer, Offer, Position, Want};
use crate::broker::Route as Watch;
use crate::broker::event_json::names_of;
use crate::broker::watches::Watched;
use engine::{Change, Delivery, Gap, GapCause, WatchTarget};
use std::cell::OnceCell;
use std::collections::HashMap;
use types::{Epoch, Failure, Record, SeqNum, StreamKey, StreamPattern};

/// A subscription of a route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) listener: Key,
    /// Its place among the listener's.
    pub(super) subscription: usize,
}

#[derive(Debug)]
pub(super) struct Route {
    target: WatchTarget,
    pub(super) watch: Option<Watch>,
    pub(super) members: Vec<Member>,
    /// Shards that have not begun to deliver.
    opening: usize,
    /// The next delivery of a stream; unused for a pattern.
    present: Position,
}

/// All routes of a core.
pub(super) struct Routes {
    slab: Slab<Route>,
    streams: HashMap<StreamKey, Key>,
    patterns: HashMap<StreamPattern, Key>,
    /// Shards that a pattern is watched on.
    shard_count: usize,
}

impl Route {
    /// Where deliveries go on, once the watch has begun.
    pub(super) fn present(&self) -> Option<Position> {
        (self.opening == 0).then_some(self.present)
    }
}

impl Routes {
    pub(super) fn new(shard_count: usize) -> Routes {
        Routes { slab: Slab::default(), streams: HashMap::new(), patterns: HashMap::new(), shard_count }
    }

    pub(super) fn find(&self, target: &WatchTarget) -> Option<Key> {
        match target {
            WatchTarget::Stream(stream) => self.streams.get(stream).copied(),
            WatchTarget::Pattern(pattern) => self.patterns.get(pattern).copied(),
        }
    }

    /// The route of a target, and whether it is new.
    pub(super) fn find_or_add(&mut self, target: &WatchTarget) -> (Key, bool) {
        if let Some(route) = self.find(target) {
            return (route, false);
        }
        let opening = match target {
            WatchTarget::Stream(_) => 1,
            WatchTarget::Pattern(_) => self.shard_count,
        };
        let present = Position { epoch: Epoch(0), next: SeqNum::FIRST };
        let members = Vec::new();
        let key = self.slab.insert(Route { target: target.clone(), watch: None, members, opening, present });
        match target {
            WatchTarget::Stream(stream) => self.streams.insert(stream.clone(), key),
            WatchTarget::Pattern(pattern) => self.patterns.insert(pattern.clone(), key),
        };
        (key, true)
    }

    pub(super) fn get(&self, route: Key) -> Option<&Route> {
        self.slab.get(route)
    }

    pub(super) fn get_mut(&mut self, route: Key) -> Option<&mut Route> {
        self.slab.get_mut(route)
    }

    /// Forgets a route. Gives its watch.
    pub(super) fn remove(&mut self, route: Key) -> Option<Watch> {
        let route = self.slab.remove(route)?;
        match &route.target {
            WatchTarget::Stream(stream) => self.streams.remove(stream),
            WatchTarget::Pattern(pattern) => self.patterns.remove(pattern),
        };
        route.watch
    }
}

/// A shard told something of a route.
pub(super) fn handle(routes: &mut Routes, listeners: &mut Slab<ListenerState>, route: Key, what: Watched) {
    let Some(route) = routes.get_mut(route) else { return };
    match what {
        Watched::Began { next, epoch, .. } => {
            route.opening -= 1;
            if let WatchTarget::Stream(_) = route.target {
                // A stream that does not exist yet begins at 1.
                route.present = Position { epoch, next: next.max(SeqNum::FIRST) };
            }
            if route.opening == 0 {
                for member in &route.members {
                    listener_of(listeners, member).open(member.subscription, route.present);
                }
            }
        }
        Watched::Failed(_, failure) => fail_all(route, listeners, &failure),
        Watched::Delivery(Delivery { stream, epoch, change, .. }) => match change {
            Change::Records(records) => deliver(route, listeners, &stream, epoch, &records),
            Change::Deleted => handle_deleted(route, listeners, &stream, epoch),
            Change::Skipped { from, next } => handle_skipped(route, listeners, (&stream, epoch), from, next),
        },
    }
}

fn listener_of<'a>(listeners: &'a mut Slab<ListenerState>, member: &Member) -> &'a mut ListenerState {
    listeners.get_mut(member.listener).expect("a member is a listener")
}

fn fail_all(route: &Route, listeners: &mut Slab<ListenerState>, failure: &Failure) {
    for member in &route.members {
        listener_of(listeners, member).outbox.fail(Fault::Failed(failure.clone()));
    }
}

fn deliver(
    route: &mut Route,
    listeners: &mut Slab<ListenerState>,
    stream: &StreamKey,
    epoch: Epoch,
    records: &[Record],
) {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
    route.present = Position { epoch, next: last.seq().next() };
    if !route.members.iter().any(|member| is_live(listeners, member)) {
        let offer = Offer { epoch, first: first.seq(), next: last.seq().next() };
        return route
            .members
            .iter()
            .for_each(|member| pass_by(listener_of(listeners, member), member, offer));
    }
    let names = names_of(stream);
    let arrays = item::arrays_of(&names, epoch, records);
    let reset = OnceCell::new();
    for member in &route.members {
        let listener = listener_of(listeners, member);
        for array in &arrays {
            let reset = || reset.get_or_init(|| item::reset_notice(&names, epoch));
            offer(listener, member.subscription, stream, array, reset);
        }
    }
}

/// Whether events may be for a member. Those of a pattern that has not begun on every shard are not: what
/// begins with the present begins with all of it, and what begins in the past lists the streams after that.
fn is_live(listeners: &Slab<ListenerState>, member: &Member) -> bool {
    let listener = listeners.get(member.listener).expect("a member is a listener");
    let entrant = listener.entrants[member.subscription].as_ref().expect("a member is a subscription");
    match &entrant.named {
        Named::Stream(_, subscription) => subscription.is_live(),
        Named::Pattern(_) => entrant.is_open,
    }
}

/// Lets a subscription that is not live see events go by.
fn pass_by(listener: &mut ListenerState, member: &Member, offer: Offer) {
    let entrant = listener.entrants[member.subscription].as_mut().expect("a member is a subscription");
    if let Named::Stream(_, subscription) = &mut entrant.named {
        let answer = subscription.offer(offer, false);
        assert_eq!(answer, Answer::Leave, "it is not live");
    }
}

/// Offers an array to a subscription, and appends it if it is taken.
fn offer<'a>(
    listener: &mut ListenerState,
    subscription: usize,
    stream: &StreamKey,
    array: &Array,
    reset: impl FnOnce() -> &'a Array,
) {
    let has_room = listener.has_room(array.len());
    let offer = Offer { epoch: array.after.epoch, first: array.first, next: array.after.next };
    let entrant = listener.entrants[subscription].as_mut().expect("a member is a subscription");
    let id = entrant.id;
    let answer = match &mut entrant.named {
        Named::Stream(_, subscription) => {
            let was_live = subscription.is_live();
            let answer = subscription.offer(offer, has_room);
            (Ok(answer), was_live && subscription.want() != Want::Nothing)
        }
        Named::Pattern(_) if !entrant.is_open => return,
        Named::Pattern(glob) => {
            let was_idle = glob.want(&stream.stream) == Want::Nothing;
            let answer = glob.offer(stream, offer, has_room);
            (answer, was_idle && glob.want(&stream.stream) != Want::Nothing)
        }
    };
    match answer {
        (Ok(Answer::Take(is_reset)), _) => {
            if is_reset.is_some() {
                listener.push(id, stream, reset());
            }
            listener.push(id, stream, array);
        }
        (Ok(Answer::Leave), true) => listener.push_turn(id, stream),
        (Ok(Answer::Leave), false) => {}
        (Err(_), _) => listener.outbox.fail(Fault::TooManyBehind),
    }
}

fn handle_deleted(route: &mut Route, listeners: &mut Slab<ListenerState>, stream: &StreamKey, epoch: Epoch) {
    route.present = Position { epoch: Epoch(0), next: SeqNum::FIRST };
    for member in &route.members {
        let listener = listener_of(listeners, member);
        let entrant = listener.entrants[member.subscription].as_mut().expect("a member is a subscription");
        match &mut entrant.named {
            Named::Stream(_, subscription) => subscription.handle_deleted(),
            Named::Pattern(glob) if entrant.is_open => glob.handle_deleted(stream, epoch),
            Named::Pattern(_) => {}
        }
    }
}

fn handle_skipped(
    route: &mut Route,
    listeners: &mut Slab<ListenerState>,
    (stream, epoch): (&StreamKey, Epoch),
    from: SeqNum,
    next: SeqNum,
) {
    route.present = Position { epoch, next };
    let gap = Gap { from, to: next.previous(), cause: GapCause::Damaged };
    let notice = item::gap_notice(&names_of(stream), epoch, &gap);
    for member in &route.members {
        let listener = listener_of(listeners, member);
        let entrant = listener.entrants[member.subscription].as_mut().expect("a member is a subscription");
        let turn = Turn { id: entrant.id, stream: stream.clone() };
        let told = match &mut entrant.named {
            Named::Stream(_, subscription) => subscription.handle_skipped(from, next),
            Named::Pattern(glob) if entrant.is_open => glob.handle_skipped(stream, from, next),
            Named::Pattern(_) => None,
        };
        match told {
            Some(_) => listener.push(turn.id, stream, &notice),
            // Where it was live and could not follow, it reads; a turn too many changes nothing.
            None if listener.want(&turn) == Want::Read => listener.push_turn(turn.id, stream),
            None => {}
        }
    }
}
