//! Accepting connections on one core, within the server's limits, until it drains.
//!
//! The counts are shared by all cores and touched once per connection and once at its end, never by a
//! message. A connection over a limit is closed at once; when descriptors run out, accepting pauses.

use super::face::{Arrival, Face};
use crate::shard::CoreLink;
use crate::sys::executor::{Either, Queue, race, sleep, spawn, timeout, yield_if_needed};
use crate::sys::net::{Listener, Stream};
use crate::sys::notify::Notify;
use crate::sys::tls::TlsAcceptor;
use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use types::Limits;

/// How long accepting pauses when the system refuses, usually for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The counts of all cores.
pub(super) struct Admission {
    counts: Mutex<Counts>,
    connections_max: usize,
    per_address_max: usize,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        Admission {
            counts: Mutex::default(),
            connections_max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
        }
    }

    /// Counts a connection in; `None` when it is over a limit.
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Ticket> {
        let mut counts = self.lock();
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.total >= self.connections_max || here >= self.per_address_max {
            return None;
        }
        counts.total += 1;
        counts.by_address.insert(address, here + 1);
        Some(Ticket { admission: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One counted connection.
struct Ticket {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.admission.lock();
        counts.total -= 1;
        let here = counts.by_address.get_mut(&self.address).expect("it was counted in");
        *here -= 1;
        if *here == 0 {
            counts.by_address.remove(&self.address);
        }
    }
}

/// One address of one core, opened, and what its connections need.
pub(super) struct Entrance<F: Face> {
    pub(super) listener: Listener,
    /// For secure connections: how, and how long a handshake may take.
    pub(super) tls: Option<(TlsAcceptor, Duration)>,
    pub(super) link: Rc<CoreLink>,
    pub(super) core: Rc<F::Core>,
    pub(super) admission: Arc<Admission>,
}

/// The connections of one core.
#[derive(Default)]
pub(super) struct Connections {
    open: Cell<usize>,
    ended: Notify,
}

/// One connection of this core.
struct Open(Rc<Connections>);

impl Open {
    fn new(connections: &Rc<Connections>) -> Open {
        connections.open.set(connections.open.get() + 1);
        Open(connections.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.ended.notify();
    }
}

impl Connections {
    /// Accepts and serves until the link drains.
    pub(super) async fn accept<F: Face>(self: Rc<Self>, entrance: Entrance<F>) {
        let Entrance { listener, tls, link, core, admission } = entrance;
        loop {
            // However many wait to be accepted, commits and timers have their turn.
            yield_if_needed().await;
            let accepted = match race(link.draining(), listener.accept()).await {
                Either::First(()) => return,
                Either::Second(accepted) => accepted,
            };
            match accepted {
                Ok(stream) => {
                    // Over a limit: the stream is dropped, which closes the connection.
                    let Some(ticket) = admission.admit(stream.peer_addr().ip()) else {
                        F::count_arrival(&core, Arrival::OverLimit);
                        continue;
                    };
                    let (counted, core) = ((ticket, Open::new(&self)), core.clone());
                    match &tls {
                        None => spawn(Queue::Net, async move {
                            F::serve(core, stream).await;
                            drop(counted);
                        }),
                        Some(tls) => {
                            let (tls, link) = (tls.clone(), link.clone());
                            spawn(Queue::Net, async move {
                                // Made here and in a box, so that a connection that is served holds nothing
                                // of its handshake: neither in its place nor as an argument.
                                let shaken = Box::pin(shake_hands(tls, stream, link)).await;
                                let arrival =
                                    if shaken.is_some() { Arrival::Shaken } else { Arrival::NotShaken };
                                F::count_arrival(&core, arrival);
                                if let Some(stream) = shaken {
                                    F::serve(core, stream).await;
                                }
                                drop(counted);
                            });
                        }
                    }
                }
                // The client went away before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    eprintln!("millrace: core {}: no connection can be accepted: {error}", link.core());
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits until every connection has ended, at most `limit`; gives how many are left.
    pub(super) async fn drained(&self, limit: Duration) -> usize {
        let all_ended = async {
            while self.open.get() > 0 {
                self.ended.notified().await;
            }
        };
        timeout(limit, all_ended).await;
        self.open.get()
    }
}

/// The secure stream, unless the client does not manage or the server stops before.
async fn shake_hands(
    (acceptor, limit): (TlsAcceptor, Duration),
    stream: Stream,
    link: Rc<CoreLink>,
) -> Option<Stream> {
    match race(acceptor.accept(stream, limit), link.draining()).await {
        Either::First(shaken) => shaken.ok(),
        Either::Second(()) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_in_all_and_by_address() {
        let limits = Limits { connections_max: 3, connections_per_address_max: 2, ..Limits::default() };
        let admission = Arc::new(Admission::new(&limits));
        let address = |last| IpAddr::from([127, 0, 0, last]);
        let first = admission.admit(address(1));
        let second = admission.admit(address(1));
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit(address(1)).is_none(), "two of one address");
        let third = admission.admit(address(2));
        assert!(third.is_some() && admission.admit(address(3)).is_none(), "three in all");
        drop(first);
        assert!(admission.admit(address(1)).is_some(), "one has ended");
        drop((second, third));
        assert_eq!(admission.lock().total, 0);
        assert!(admission.lock().by_address.is_empty());
    }
}
