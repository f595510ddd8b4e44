//! Who asks, and what they may do: users, groups, grants, sessions.
//!
//! Each core holds the whole policy and answers every request from its own memory. A change is planned and
//! made durable by one core ([`keeper`]), told to all, and acknowledged when all have it: from then on no
//! core decides by what was before. What is kept lies in the `$meta` bucket, a stream a role, whose newest
//! event is the role's record ([`store`]).
//!
//! Passwords are looked at on threads of their own ([`login`]); a request with a known session touches
//! nothing that cores share.

mod admission;
mod audit;
mod common;
mod keeper;
mod login;
mod people;
mod ports;
mod rates;
mod revoked;
mod session;
mod start;
mod store;
mod tickets;

pub use common::{Common, IdentityConfig};
pub use login::Login;
pub(super) use ports::{Port, ports};
pub use rates::{ACTION_COUNT, Action, RateLimits};
pub use session::{Credential, Session};
pub(super) use start::open;
pub(super) use store::start;

use super::Broker;
use crate::sys::clock;
use auth::policy::{Policy, Rights, RoleName, RoleRights, Version};
use ports::{Told, Way};
use revoked::Revoked;
use session::Sessions;
use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use types::CoreId;

/// The core that changes who may do what.
const KEEPER: CoreId = CoreId(0);

/// One core's share.
pub struct Identity {
    common: Arc<Common>,
    policy: RefCell<Policy>,
    revoked: RefCell<Revoked>,
    /// Grows with everything that is applied: what was concluded before has to be concluded again.
    generation: Cell<u64>,
    /// Rights of roles, by the version of the role that they were compiled from.
    compiled: RefCell<HashMap<RoleName, (Version, Rc<RoleRights>)>>,
    sessions: Sessions,
    audit: audit::Audit,
    way: Way,
}

impl Identity {
    /// A share that knows nobody yet.
    pub(super) fn new(port: Port) -> (Identity, ports::Inboxes) {
        let Port { common, way, inboxes } = port;
        let sessions = Sessions::new(common.config.limits.sessions_cached_max);
        let revoked_max = common.config.limits.revoked_sessions_max;
        let identity = Identity {
            common,
            policy: RefCell::default(),
            revoked: RefCell::new(Revoked::new(revoked_max)),
            generation: Cell::new(1),
            compiled: RefCell::default(),
            sessions,
            audit: audit::Audit::new(),
            way,
        };
        (identity, inboxes)
    }

    /// The roles, as this core knows them.
    pub fn policy(&self) -> Ref<'_, Policy> {
        self.policy.borrow()
    }

    /// What was configured.
    pub fn config(&self) -> &IdentityConfig {
        &self.common.config
    }

    /// A number that changes whenever somebody may have got or lost a right.
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Takes over what the keeper has made durable.
    fn apply(&self, told: Told) {
        let is_new = match told {
            Told::Role { role, version, record } => {
                self.compiled.borrow_mut().remove(&role);
                let record = record.map(Arc::unwrap_or_clone);
                self.policy.borrow_mut().apply(&role, version, record)
            }
            // Looked at with every request: nothing has to be concluded again.
            Told::Revoked { sid, expires_s } => {
                self.revoked.borrow_mut().add(sid, expires_s, now_s());
                false
            }
        };
        // Every core has loaded what there was before anything changes: no older record comes any more.
        self.policy.borrow_mut().forget_gone();
        if is_new {
            self.generation.set(self.generation.get() + 1);
        }
    }
}

/// Seconds since 1970.
fn now_s() -> u64 {
    clock::now().0 / 1000
}

impl Broker {
    /// Users, groups, grants, sessions.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What a session may do now.
    ///
    /// # Errors
    /// See [`Identity::rights`].
    pub fn rights(&self, session: &Session) -> Result<Rc<Rights>, types::Failure> {
        self.identity.rights(session)
    }
}
