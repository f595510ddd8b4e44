//! Where identities live: the `$meta` bucket.
//!
//! `roles/<name>` is a role's stream (`roles/*` that of everybody); its newest event is the record, older
//! ones are trimmed away now and then. `revoked` has an event for each session that was ended before its
//! time. Each core reads it all at start, many streams at once.

use super::ports::{Inboxes, News, Told};
use super::{KEEPER, audit, keeper, now_s};
use crate::broker::{AppendRequest, Broker, Pending, ReadRequest};
use crate::sys::executor::{Queue, spawn};
use auth::policy::{Record, RoleName, Version};
use auth::token::SessionId;
use bytes::Bytes;
use engine::{AckLevel, Appended, GapCause, ListPage, ReadFrom, ReadReply, StreamDescription};
use serde_json::{Value, json};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use types::{BucketName, Drafts, EventDraft, Failure, SeqNum, StreamKey};

/// The bucket that belongs to the server. No face reads or writes it.
pub(super) const META_BUCKET: &str = "$meta";
/// Before a role's name in that of its stream.
const OF_ROLE: &str = "roles/";
/// The stream of sessions that are over.
const REVOKED: &str = "revoked";
/// Names that one step of loading asks for, and reads that are under way at once.
const LOAD_NAMES: usize = 1000;
const LOAD_READS: usize = 64;
/// Records of a role after which the older ones are forgotten.
const RECORDS_KEPT: u64 = 16;
/// Events of one read of the sessions that are over.
const LOAD_EVENTS: usize = 1000;

/// Starts the task that takes news over, and the keeper where it is this core's.
pub(in crate::broker) fn start(broker: &Rc<Broker>, inboxes: Inboxes) {
    let Inboxes { mut news, keeping } = inboxes;
    let weak: Weak<Broker> = Rc::downgrade(broker);
    spawn(Queue::Net, {
        let weak = weak.clone();
        async move {
            while let Some(News { told, applied }) = news.recv().await {
                let Some(broker) = weak.upgrade() else { return };
                broker.identity().apply(told);
                applied.send(());
            }
        }
    });
    spawn(Queue::Net, audit::keep(weak.clone()));
    if let Some(keeping) = keeping {
        spawn(Queue::Net, keeper::keep(weak, keeping));
    }
}

/// Reads every role and every session that is over.
///
/// # Errors
/// What cannot be read, in a sentence: a server that does not know who may do what does not serve.
pub(in crate::broker) async fn load(broker: &Rc<Broker>) -> Result<(), String> {
    let bucket = BucketName::parse(META_BUCKET).expect("a valid name");
    let mut after = String::new();
    loop {
        let page = ListPage { prefix: OF_ROLE.to_owned(), after, limit: LOAD_NAMES };
        let listing = broker.list_streams(&bucket, page).await;
        if !listing.is_complete {
            return Err("not every shard tells its users and groups".to_owned());
        }
        let Some(last) = listing.items.last() else { break };
        after = last.key.stream.as_str().to_owned();
        for some in listing.items.chunks(LOAD_READS) {
            load_roles(broker, some).await?;
        }
    }
    load_revoked(broker).await
}

async fn load_roles(broker: &Rc<Broker>, streams: &[StreamDescription]) -> Result<(), String> {
    let mut reads: Vec<(RoleName, Pending<ReadReply>)> = Vec::with_capacity(streams.len());
    for StreamDescription { key, .. } in streams {
        let name = key.stream.as_str().strip_prefix(OF_ROLE).unwrap_or_default();
        let role = RoleName::parse_with_everybody(name).map_err(|_| format!("{key} is no role's stream"))?;
        broker.room(key).await;
        let (stream, from) = (key.clone(), ReadFrom::Newest);
        let request = ReadRequest { stream, from, limit: 1, bytes_max: usize::MAX };
        reads.push((role, broker.submit_read(request)));
    }
    for (role, read) in reads {
        let reply = read.await.map_err(|failure| format!("the record of {role}: {}", failure.reason()))?;
        let Some(record) = reply.records.first() else {
            // Deleted meanwhile, or damaged: then nobody may be taken for having fewer rights, or more.
            match reply.gaps.is_empty() {
                true => continue,
                false => return Err(format!("the record of {role} is damaged on disk")),
            }
        };
        let decoded = Record::decode(record.payload());
        let decoded = decoded.map_err(|error| format!("the record of {role} is not understood: {error}"))?;
        let version = (reply.epoch, record.seq());
        broker.identity().apply(Told::Role { role, version, record: decoded.map(Arc::new) });
    }
    Ok(())
}

async fn load_revoked(broker: &Rc<Broker>) -> Result<(), String> {
    let wrong = |what: &str| format!("the list of ended sessions {what}");
    let stream = stream_of(REVOKED);
    let mut next = SeqNum::FIRST;
    loop {
        let (stream, from) = (stream.clone(), ReadFrom::Seq(next));
        let request = ReadRequest { stream, from, limit: LOAD_EVENTS, bytes_max: usize::MAX };
        let reply = broker.read(request).await.map_err(|failure| wrong(failure.reason()))?;
        // What was trimmed away has expired; what is damaged may be somebody's ended session.
        if reply.gaps.iter().any(|gap| gap.cause == GapCause::Damaged) {
            return Err(wrong("is damaged on disk"));
        }
        for record in &reply.records {
            let read: Option<(SessionId, u64)> =
                serde_json::from_slice(record.payload()).ok().and_then(|value: Value| {
                    Some((SessionId::parse(value["sid"].as_str()?)?, value["exp"].as_u64()?))
                });
            let (sid, expires_s) = read.ok_or_else(|| wrong("is not understood"))?;
            broker.identity().apply(Told::Revoked { sid, expires_s });
            // What may be forgotten is so with the next session that is ended.
            if broker.link().core() == KEEPER {
                broker.identity().revoked.borrow_mut().note(record.seq(), expires_s, 0);
            }
        }
        if reply.at_tail || reply.records.is_empty() {
            return Ok(());
        }
        next = reply.next;
    }
}

/// Makes a role's record durable; gives its place in the log.
pub(super) async fn write_role(
    broker: &Rc<Broker>,
    role: &RoleName,
    record: Option<&Record>,
) -> Result<Version, Failure> {
    let stream = stream_of(&format!("{OF_ROLE}{role}"));
    let appended = append(broker, &stream, Record::encode(record)).await?;
    let known = broker.identity().policy().version(role.as_str());
    let epoch = match known {
        Some((epoch, _)) => epoch,
        None => broker.describe(stream.clone()).await?.map(|found| found.epoch).unwrap_or_default(),
    };
    let seq = appended.first;
    if seq.0 % RECORDS_KEPT == 0 {
        // Only room is at stake: what fails now is done the next time.
        let _ = broker.trim(stream, seq).await;
    }
    Ok((epoch, seq))
}

/// Removes the stream of a role that is no more. Should it fail, the stream's newest event says the same.
pub(super) async fn forget_role(broker: &Rc<Broker>, role: &RoleName) {
    let _ = broker.delete(stream_of(&format!("{OF_ROLE}{role}"))).await;
}

/// Makes the end of a session durable, and forgets the first ones that would be over by now anyway.
pub(super) async fn write_revoked(
    broker: &Rc<Broker>,
    sid: SessionId,
    expires_s: u64,
) -> Result<(), Failure> {
    let stream = stream_of(REVOKED);
    let text = json!({ "sid": sid.to_string(), "exp": expires_s }).to_string();
    let appended = append(broker, &stream, text).await?;
    let before = broker.identity().revoked.borrow_mut().note(appended.first, expires_s, now_s());
    if let Some(before) = before {
        let _ = broker.trim(stream, before).await;
    }
    Ok(())
}

async fn append(broker: &Rc<Broker>, stream: &StreamKey, text: String) -> Result<Appended, Failure> {
    let request = AppendRequest {
        stream: stream.clone(),
        drafts: Drafts::from([EventDraft::json(Bytes::from(text))]),
        expect: None,
        idempotency: None,
        ack: AckLevel::Fsync,
    };
    broker.append(request).await
}

fn stream_of(name: &str) -> StreamKey {
    StreamKey::parse(META_BUCKET, name).expect("a role's name fits behind its prefix")
}
