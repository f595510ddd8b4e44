//! A request between its decoding and its answer.
//!
//! The connection keeps its flights in the order of their requests and answers them in that order. An append
//! is a flight without a box, because there are many; everything else that waits is a boxed future.

use super::handoff::Wanted;
use super::pages::PagedReply;
use super::reply::Reply;
use crate::broker::Pending;
use engine::Appended;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use types::{Failure, StreamKey};

/// How a request is answered.
pub(super) enum Answer {
    /// With this reply.
    Reply(Reply),
    /// Events were appended to the stream.
    Appended(StreamKey, Appended),
    /// With more events than one page.
    Pages(Box<PagedReply>),
    /// Not as it was meant.
    Failed(Failure),
}

impl From<Result<Reply, Failure>> for Answer {
    fn from(result: Result<Reply, Failure>) -> Answer {
        result.map_or_else(Answer::Failed, Answer::Reply)
    }
}

/// A request that is under way.
pub(super) enum Flight {
    /// Answered already.
    Done(Answer),
    /// An append that the shard has.
    Append {
        /// To which stream.
        stream: StreamKey,
        /// Its outcome.
        outcome: Pending<Appended>,
    },
    /// Anything else that takes time.
    Task {
        /// Its answer.
        future: Pin<Box<dyn Future<Output = Answer>>>,
        /// It only waits: nobody needs it when the client has gone.
        ends_with_client: bool,
    },
    /// The connection is wanted for something long.
    Handoff(Box<Wanted>),
    /// The answer was taken.
    Taken,
}

impl Flight {
    /// A flight that is this future.
    pub(super) fn task(future: impl Future<Output = Answer> + 'static) -> Flight {
        Flight::Task { future: Box::pin(future), ends_with_client: false }
    }

    /// The answer, once it is there; then never again. A handoff has none.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = match self {
            Flight::Done(_) => match std::mem::replace(self, Flight::Taken) {
                Flight::Done(answer) => Poll::Ready(answer),
                _ => unreachable!("it was just seen"),
            },
            Flight::Append { stream, outcome } => Pin::new(outcome).poll(cx).map(|outcome| match outcome {
                Ok(appended) => Answer::Appended(stream.clone(), appended),
                Err(failure) => Answer::Failed(failure),
            }),
            Flight::Task { future, .. } => future.as_mut().poll(cx),
            Flight::Handoff(..) | Flight::Taken => Poll::Pending,
        };
        if answer.is_ready() {
            *self = Flight::Taken;
        }
        answer
    }
}
