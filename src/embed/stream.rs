//! One stream, as an embedding program uses it.
//!
//! A handle: cheap to clone, usable from any thread, and of any number per stream. It keeps nothing alive
//! but the way to the cores.

use super::builder::Shared;
use super::core_face::Call;
use super::event::{AppendOptions, Event, check, idempotency};
use super::pending::Pending;
use super::subscription::Subscription;
use crate::broker::{AppendRequest, ReadRequest};
use engine::{AckLevel, Appended, Expect, OnMismatch, ReadFrom, ReadReply};
use std::sync::Arc;
use types::{Drafts, SeqNum, StreamKey};

/// Payload bytes after which a page of a read ends.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;

/// A stream of an embedded server.
#[derive(Clone)]
pub struct Stream {
    shared: Arc<Shared>,
    key: StreamKey,
}

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, key: StreamKey) -> Stream {
        Stream { shared, key }
    }

    /// Its bucket.
    pub fn bucket(&self) -> &str {
        self.key.bucket.as_str()
    }

    /// Its name in the bucket.
    pub fn name(&self) -> &str {
        self.key.stream.as_str()
    }

    /// Appends one event; done when it is on disk. Calls of one thread are appended in their order.
    ///
    /// # Errors
    /// Through what it returns: the failures that HTTP answers.
    pub fn append(&self, event: Event) -> Pending<Appended> {
        self.append_all(vec![event], AppendOptions::default())
    }

    /// Appends several events, all or none and side by side; done when they are on disk.
    ///
    /// # Errors
    /// As [`Stream::append`]; `PreconditionFailed` and `IdempotencyMismatch` by the options.
    pub fn append_all(&self, events: Vec<Event>, options: AppendOptions) -> Pending<Appended> {
        let drafts: Drafts = events.into_iter().map(|event| event.0).collect();
        if let Err(failure) = check(&drafts, &options, self.shared.limits()) {
            return Pending::failed(failure);
        }
        let AppendOptions { expect_last, idempotency_key } = options;
        let request = AppendRequest {
            stream: self.key.clone(),
            expect: expect_last.map(|last| Expect { last, on_mismatch: OnMismatch::PreconditionFailed }),
            idempotency: idempotency_key.map(|key| idempotency(key, &drafts)),
            drafts,
            ack: AckLevel::Fsync,
        };
        self.shared.call(&self.key, |answer| Call::Append(request, answer))
    }

    /// Reads at most `limit` events, ascending, and at most about a mebibyte of them; the reply says where
    /// to go on.
    ///
    /// # Errors
    /// Through what it returns.
    pub fn read(&self, from: ReadFrom, limit: usize) -> Pending<ReadReply> {
        let request = ReadRequest { stream: self.key.clone(), from, limit, bytes_max: PAGE_BYTES };
        self.shared.call(&self.key, |answer| Call::Read(request, answer))
    }

    /// Follows the stream from an event on, through the past into the present.
    pub fn subscribe(&self, from: SeqNum) -> Subscription {
        Subscription::new(self.shared.clone(), self.key.clone(), from)
    }

    /// Forgets the events before `before`, durably; gives the oldest that is left.
    ///
    /// # Errors
    /// Through what it returns.
    pub fn trim(&self, before: SeqNum) -> Pending<SeqNum> {
        let stream = self.key.clone();
        self.shared.call(&self.key, |answer| Call::Trim(stream, before, answer))
    }

    /// Deletes the stream, durably; gives whether there was one. Its next event is number 1 of a new epoch.
    ///
    /// # Errors
    /// Through what it returns.
    pub fn delete(&self) -> Pending<bool> {
        let stream = self.key.clone();
        self.shared.call(&self.key, |answer| Call::Delete(stream, answer))
    }
}
