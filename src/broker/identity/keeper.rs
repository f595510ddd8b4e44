//! The one task that changes who may do what: plan, make durable, tell every core, answer.
//!
//! It runs on the first core. One change after the other: each is planned by what all before it have made, so
//! nothing is lost between two that come together, and no condition has to be written into the log. A change
//! is answered when every core has applied it.

use super::ports::{Asked, Keeping, News, Told, Wish};
use super::{Identity, now_s, store};
use crate::broker::Broker;
use crate::sys::post;
use auth::policy::{Change, ChangeRefused, Update};
use std::rc::{Rc, Weak};
use types::{Failure, Unavailable};

impl Identity {
    /// Makes a change; durable and known to every core when it returns.
    ///
    /// # Errors
    /// Why it cannot be, [`Failure::Unavailable`] when too many wait already, and the engine's failures.
    pub async fn change(&self, change: Change) -> Result<(), Failure> {
        self.wish(Wish::Change(change)).await
    }

    pub(super) async fn wish(&self, wish: Wish) -> Result<(), Failure> {
        let Some(_place) = self.common.changes.take(self.config().limits.identity_changes_max) else {
            return Err(Failure::Unavailable(Unavailable::Overloaded));
        };
        let (answer, mut answered) = post::channel();
        self.way.0.send(Asked { wish, answer });
        // The keeper's core has stopped: so does everything else.
        answered.recv().await.unwrap_or(Err(Failure::Unavailable(Unavailable::Draining)))
    }
}

/// Grants wishes until no core is left to ask.
pub(super) async fn keep(broker: Weak<Broker>, keeping: Keeping) {
    let Keeping { mut wishes, cores } = keeping;
    // Who may have come to an end right before this start is not known any more.
    let mut ended_s = now_s();
    while let Some(Asked { wish, answer }) = wishes.recv().await {
        let Some(broker) = broker.upgrade() else { return };
        if matches!(wish, Wish::Write(_)) && broker.identity().policy().role_count() == 0 {
            // A first start: nobody was there before.
            ended_s = 0;
        }
        let ends_user = matches!(wish, Wish::Change(Change::DeleteRole { is_group: false, .. }));
        let granted = grant_wish(&broker, &cores, wish, ended_s).await;
        if ends_user {
            ended_s = now_s();
        }
        answer.send(granted);
    }
}

/// `ended_s` is the second in which a user came to an end last.
async fn grant_wish(
    broker: &Rc<Broker>,
    cores: &[post::Sender<News>],
    wish: Wish,
    ended_s: u64,
) -> Result<(), Failure> {
    let identity = broker.identity();
    let updates = match wish {
        Wish::Write(updates) => updates,
        Wish::Change(mut change) => {
            if let Change::CreateUser { account, .. } = &mut change {
                // Tokens tell whole seconds: one of an earlier user of this name may be of the second in
                // which they came to an end, so sessions of the new one begin after it.
                account.sessions_from_s = now_s().max(ended_s + 1);
            }
            let is_new = matches!(change, Change::CreateUser { .. } | Change::CreateGroup { .. });
            let is_grant = matches!(change, Change::Grant(..) | Change::Revoke(..));
            let planned = identity.policy().plan(change, &identity.config().policy_limits());
            planned.map_err(|refused| failure_of(refused, is_new, is_grant))?
        }
        Wish::Revoke { sid, expires_s } => {
            identity.revoked.borrow_mut().check_room(now_s())?;
            store::write_revoked(broker, sid, expires_s).await?;
            tell(cores, &Told::Revoked { sid, expires_s }).await;
            return Ok(());
        }
    };
    for Update { role, record } in updates {
        let version = store::write_role(broker, &role, record.as_ref()).await?;
        let is_end = record.is_none();
        tell(cores, &Told::Role { role: role.clone(), version, record }).await;
        if is_end {
            store::forget_role(broker, &role).await;
        }
    }
    Ok(())
}

/// Waits until every core has it.
async fn tell(cores: &[post::Sender<News>], told: &Told) {
    let (applied, mut all_applied) = post::channel();
    for core in cores {
        core.send(News { told: told.clone(), applied: applied.clone() });
    }
    drop(applied);
    // A core that has stopped answers nothing and decides nothing.
    for _ in cores {
        if all_applied.recv().await.is_none() {
            break;
        }
    }
}

/// How a client is told.
fn failure_of(refused: ChangeRefused, is_new: bool, is_grant: bool) -> Failure {
    match refused {
        ChangeRefused::Exists(_) => Failure::UserExists,
        ChangeRefused::Unknown(_) if is_grant => Failure::UnknownRole,
        ChangeRefused::Unknown(_) if !is_new => Failure::UnknownUser,
        other => Failure::NotPossible { detail: other.to_string().into() },
    }
}
