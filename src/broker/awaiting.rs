//! A read that waits for what it asks for.
//!
//! The long-poll of one stream (`?wait=`) and the subscriptions of programs that embed the server. What
//! comes is always read from the log; the watch only says that it is worth reading again, so nothing that
//! happens between two reads is missed.

use super::{Broker, ReadRequest, Route, Watched};
use crate::sys::executor::{Either, race, timeout};
use crate::sys::notify::Notify;
use engine::{ReadReply, WatchTarget};
use std::rc::Rc;
use std::time::Duration;
use types::Failure;

/// Ends a watch when the wait ends, however it ends.
struct WatchGuard {
    broker: Rc<Broker>,
    route: Route,
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.broker.unwatch(self.route);
    }
}

impl Broker {
    /// Reads, and reads again with every news of the stream until `is_enough`, `wait` is over or the server
    /// drains; gives what was read last.
    ///
    /// # Errors
    /// The engine's failures.
    pub async fn read_until(
        self: &Rc<Self>,
        request: ReadRequest,
        wait: Duration,
        is_enough: impl Fn(&ReadReply) -> bool,
    ) -> Result<ReadReply, Failure> {
        let first = self.read(request.clone()).await?;
        if is_enough(&first) {
            return Ok(first);
        }
        let news = Rc::new(Notify::new());
        let heard = news.clone();
        let target = WatchTarget::Stream(request.stream.clone());
        let route = self.watch(target, move |watched| {
            // That the watch began is news too: something may have come between the read and it.
            if !matches!(watched, Watched::Failed(..)) {
                heard.notify();
            }
        });
        let _guard = WatchGuard { broker: self.clone(), route };
        let mut latest = first;
        let searching = async {
            loop {
                news.notified().await;
                latest = self.read(request.clone()).await?;
                if is_enough(&latest) {
                    return Ok(());
                }
            }
        };
        match timeout(wait, race(searching, self.link.draining())).await {
            Some(Either::First(Err(failure))) => Err(failure),
            _ => Ok(latest),
        }
    }
}
