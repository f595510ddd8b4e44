//! PATCH of a stream: the newest event, changed, becomes the next one.
//!
//! Conditional on the event that it read: when another write comes between, it is tried again up to
//! `limits.patch_retries` times, and never when the client said `If-Match` itself. The patch is appended to
//! `S-$patch` after its result is durable.

use super::access::Asker;
use super::append::INLINE_BYTES_MAX;
use super::core::Core;
use super::flight::{Answer, Flight};
use super::headers;
use super::json_patching::{PatchKind, PatchRefused, patched};
use super::negotiate::{self, JSON, JSON_PATCH, MERGE_PATCH};
use super::reply::Reply;
use super::route;
use crate::broker::identity::Action;
use crate::broker::{AppendRequest, ReadRequest};
use auth::policy::Permission;
use bytes::Bytes;
use engine::{AckLevel, Appended, Expect, OnMismatch, ReadFrom};
use std::rc::Rc;
use types::{Drafts, EventDraft, Failure, Record, SeqNum, StreamKey, StreamName};

/// Ends the name of the stream that keeps a stream's patches.
const PATCH_LOG_SUFFIX: &str = "-$patch";

/// What the head of a PATCH says.
pub(super) struct PatchPlan {
    stream: StreamKey,
    patch_log: StreamKey,
    kind: PatchKind,
    if_match: Option<SeqNum>,
}

impl PatchPlan {
    /// Checks the head.
    ///
    /// # Errors
    /// In the order of `docs/api.md`: malformed target or header, permission, `Accept`, `Content-Type`.
    pub(super) fn of(asker: &Asker<'_>) -> Result<PatchPlan, Failure> {
        let head = asker.head;
        let stream = route::stream_key(head)?;
        let patch_log = patch_log_of(&stream)?;
        let if_match = headers::if_match(head)?;
        asker.admit(Action::Patch, Permission::Put, &stream)?;
        negotiate::choose(head, &[JSON])?;
        let kind = match negotiate::require_type(head, JSON_PATCH) {
            Ok(()) => PatchKind::Operations,
            Err(_) => {
                negotiate::require_type(head, MERGE_PATCH)?;
                PatchKind::Merge
            }
        };
        Ok(PatchPlan { stream, patch_log, kind, if_match })
    }

    /// Puts the patch under way.
    pub(super) fn start(self, core: &Rc<Core>, patch: Bytes) -> Flight {
        let core = core.clone();
        Flight::task(async move {
            match self.carry_out(&core, patch).await {
                Ok(appended) => {
                    let Appended { first, time, .. } = appended;
                    let body = format!("{{\"meta\":{{\"id\":{first},\"t\":{time}}}}}");
                    let reply = Reply::json(200, body).header("ETag", format!("\"{first}\""));
                    Answer::Reply(reply.header("Millrace-Durability", "fsync"))
                }
                Err(failure) => Answer::Failed(failure),
            }
        })
    }

    async fn carry_out(&self, core: &Rc<Core>, patch: Bytes) -> Result<Appended, Failure> {
        let retries = if self.if_match.is_some() { 0 } else { core.limits().patch_retries };
        let mut attempt = 0;
        let appended = loop {
            match self.attempt(core, &patch).await {
                Err(Failure::Conflict { .. }) if attempt < retries => attempt += 1,
                outcome => break outcome?,
            }
        };
        let logged = append(core, &self.patch_log, patch, None).await;
        if let Err(failure) = logged {
            // The result is durable and has been promised by nobody but its own reply: that reply stands.
            eprintln!(
                "millrace: a patch of {} is not in {}: {}",
                self.stream,
                self.patch_log,
                failure.reason()
            );
        }
        Ok(appended)
    }

    /// Reads the newest event, changes it and appends the result if nothing came between.
    async fn attempt(&self, core: &Rc<Core>, patch: &Bytes) -> Result<Appended, Failure> {
        let newest = self.newest(core).await?;
        if self.if_match.is_some_and(|last| last != newest.seq()) {
            return Err(Failure::PreconditionFailed { last: newest.seq() });
        }
        if !newest.is_json() {
            return Err(Failure::InvalidBody { detail: "the newest event is not JSON".into() });
        }
        let (kind, patch, bytes_max) = (self.kind, patch.clone(), core.limits().body_bytes_max);
        let document = newest.payload_bytes();
        let is_small = document.len() + patch.len() <= INLINE_BYTES_MAX / 8;
        let apply = move || patched(kind, &document, &patch, bytes_max);
        let result = if is_small { apply() } else { core.offload().run(apply).await };
        let payload = result.map_err(|refused| match refused {
            PatchRefused::Invalid(detail) => Failure::InvalidBody { detail: detail.into() },
            PatchRefused::TooLarge => Failure::TooLarge { limit: bytes_max as u64 },
        })?;
        append(core, &self.stream, payload.into(), Some(newest.seq())).await
    }

    async fn newest(&self, core: &Rc<Core>) -> Result<Record, Failure> {
        let (stream, from) = (self.stream.clone(), ReadFrom::Newest);
        let request = ReadRequest { stream, from, limit: 1, bytes_max: usize::MAX };
        let reply = core.broker().read(request).await?;
        if let Some(record) = reply.records.into_iter().next() {
            return Ok(record);
        }
        match reply.gaps.first() {
            Some(gap) => Err(Failure::Corrupt { from: gap.from, to: gap.to }),
            None => Err(Failure::NoEvents),
        }
    }
}

async fn append(
    core: &Rc<Core>,
    stream: &StreamKey,
    payload: Bytes,
    last: Option<SeqNum>,
) -> Result<Appended, Failure> {
    let request = AppendRequest {
        stream: stream.clone(),
        drafts: Drafts::from([EventDraft::json(payload)]),
        expect: last.map(|last| Expect { last, on_mismatch: OnMismatch::Conflict }),
        idempotency: None,
        ack: AckLevel::Fsync,
    };
    core.broker().append(request).await
}

fn patch_log_of(stream: &StreamKey) -> Result<StreamKey, Failure> {
    let name = format!("{}{PATCH_LOG_SUFFIX}", stream.stream);
    let log = StreamName::parse(&name).map_err(|error| Failure::BadRequest {
        detail: format!("the name of the stream of patches, {name}, is not possible: {error}").into(),
    })?;
    Ok(StreamKey { bucket: stream.bucket.clone(), stream: log })
}
