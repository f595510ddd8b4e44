//! The ways between the cores' identities: wishes go to the keeper, what became of them to every core.
//!
//! Queues of their own, because changes are rare; how many wishes may wait is bounded by
//! `limits.identity_changes_max` before they are sent ([`super::keeper`]).

use super::common::Common;
use crate::sys::post;
use auth::policy::{Change, Record, RoleName, Update, Version};
use auth::token::SessionId;
use std::sync::Arc;
use types::Failure;

/// What somebody wants of the keeper.
pub(super) enum Wish {
    /// A change of users, groups or grants.
    Change(Change),
    /// Records that were planned elsewhere: those of a first start.
    Write(Vec<Update>),
    /// The end of one session.
    Revoke { sid: SessionId, expires_s: u64 },
}

/// A wish and who waits for it.
pub(super) struct Asked {
    pub(super) wish: Wish,
    pub(super) answer: post::Sender<Result<(), Failure>>,
}

/// What has become durable.
#[derive(Clone)]
pub(super) enum Told {
    /// A role's record; `None` when the role is no more.
    Role { role: RoleName, version: Version, record: Option<Arc<Record>> },
    /// A session is over.
    Revoked { sid: SessionId, expires_s: u64 },
}

/// What has become durable, on its way to a core.
pub(super) struct News {
    pub(super) told: Told,
    pub(super) applied: post::Sender<()>,
}

/// One core's end before the core runs.
pub(in crate::broker) struct Port {
    pub(super) common: Arc<Common>,
    pub(super) way: Way,
    pub(super) inboxes: Inboxes,
}

/// The way to the keeper.
pub(super) struct Way(pub(super) post::Sender<Asked>);

/// What comes to a core.
pub(in crate::broker) struct Inboxes {
    pub(super) news: post::Receiver<News>,
    /// On the keeper's core alone.
    pub(super) keeping: Option<Keeping>,
}

/// What the keeper works with.
pub(super) struct Keeping {
    pub(super) wishes: post::Receiver<Asked>,
    /// To every core, the keeper's own included.
    pub(super) cores: Vec<post::Sender<News>>,
}

/// The ports of all cores; core `n` takes the `n`th. The first core is the keeper's.
pub(in crate::broker) fn ports(core_count: u16, common: &Arc<Common>) -> Vec<Port> {
    let (wish, wishes) = post::channel();
    let (cores, news): (Vec<_>, Vec<_>) = (0..core_count).map(|_| post::channel()).unzip();
    let mut keeping = Some(Keeping { wishes, cores });
    let port = |news| Port {
        common: common.clone(),
        way: Way(wish.clone()),
        inboxes: Inboxes { news, keeping: keeping.take() },
    };
    news.into_iter().map(port).collect()
}
