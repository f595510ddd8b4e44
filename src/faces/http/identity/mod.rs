//! `/sessions`, `/users`, `/access`, `/tickets` and `/admin`: who somebody is, and what they may do.
//!
//! A plan is made from the head: route, target and permission are checked before the body is there. What is
//! then done is the broker's affair; here stand the texts of requests and replies, those of Iorio to the
//! letter (`docs/api.md`).

mod admin;
mod admin_reply;
mod audit;
mod fields;
mod grants;
mod sessions;
mod users;
mod walk;

use super::access::Asker;
use super::core::Core;
use super::flight::{Answer, Flight};
use super::negotiate::{self, JSON};
use super::reply::Reply;
use super::route::Route;
use crate::broker::identity::Session;
use admin::AdminPlan;
use auth::policy::Resource;
use bytes::Bytes;
use http1::{Method, RequestHead};
use std::net::IpAddr;
use std::rc::Rc;
use types::Failure;

/// Largest body of these routes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What is asked for.
enum Wanted {
    Login,
    ShowSession,
    /// This one, or all of a user.
    EndSession(Option<String>),
    Ticket,
    ListUsers,
    CreateUser,
    /// Of the user in the body, or of this one.
    SetPassword(Option<String>),
    ShowUser(String),
    DeleteUser(String),
    ShowGrants(Resource),
    ChangeGrants(Resource),
    Admin(AdminPlan),
}

/// A request of one of these routes.
pub(in crate::faces::http) struct IdentityPlan {
    wanted: Wanted,
    session: Option<Rc<Session>>,
    peer: IpAddr,
}

impl IdentityPlan {
    /// Checks the head.
    ///
    /// # Errors
    /// In the order of `docs/api.md`: malformed target, permission, `Accept`, `Content-Type`.
    pub(in crate::faces::http) fn of(asker: &Asker<'_>, route: Route) -> Result<IdentityPlan, Failure> {
        let head = asker.head;
        let wanted = Wanted::of(head, route)?;
        // Whoever logs in may hold a token that is long over.
        let session = if wanted.is_login() { None } else { Some(asker.session()?) };
        if let Some(session) = &session {
            let permitted = wanted.check_permission(asker.core, session);
            permitted.inspect_err(|_| asker.tell_refusal(session.user()))?;
        }
        negotiate::choose(head, &[JSON])?;
        let has_body = matches!(head.method(), Method::Post | Method::Put);
        if has_body && !matches!(wanted, Wanted::Ticket) {
            negotiate::require_type(head, JSON)?;
        }
        Ok(IdentityPlan { wanted, session, peer: asker.peer })
    }

    /// Puts it under way.
    pub(in crate::faces::http) fn start(self, core: &Rc<Core>, body: Bytes) -> Flight {
        let core = core.clone();
        Flight::task(async move {
            let is_admin_face = matches!(self.wanted, Wanted::Admin(_));
            let event = audit::event_of(&self.wanted, self.session.as_deref(), self.peer, &body);
            let outcome = self.carry_out(&core, &body).await;
            if let Some(event) = event {
                core.broker().identity().audit(&audit::with_outcome(event, &outcome));
            }
            match outcome {
                Ok(reply) => Answer::Reply(reply.header("Cache-Control", "no-store")),
                Err(failure) if is_admin_face => admin_reply::failed(failure),
                Err(failure) => Answer::Failed(failure),
            }
        })
    }

    async fn carry_out(self, core: &Rc<Core>, body: &[u8]) -> Result<Reply, Failure> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Failure::TooLarge { limit: BODY_BYTES_MAX as u64 });
        }
        let identity = core.broker().identity();
        let session = || self.session.clone().expect("only a login is without one");
        match self.wanted {
            Wanted::Login => sessions::login(identity, body, self.peer).await,
            Wanted::ShowSession => Ok(sessions::show(&session())),
            Wanted::EndSession(None) => sessions::end(identity, &session()).await,
            Wanted::EndSession(Some(user)) => sessions::end_all(identity, &user).await,
            Wanted::Ticket => sessions::ticket(identity, &session()),
            Wanted::ListUsers => Ok(users::list(identity).await),
            Wanted::CreateUser => users::create(identity, body).await,
            Wanted::SetPassword(user) => users::set_password(core, &session(), user, body).await,
            Wanted::ShowUser(user) => users::show(identity, &user),
            Wanted::DeleteUser(user) => users::delete(identity, &user).await,
            Wanted::ShowGrants(resource) => Ok(grants::show(identity, &resource).await),
            Wanted::ChangeGrants(resource) => grants::change(core, &session(), resource, body).await,
            Wanted::Admin(plan) => plan.carry_out(core, self.session.as_deref(), body, self.peer).await,
        }
    }
}

impl Wanted {
    fn of(head: &RequestHead, route: Route) -> Result<Wanted, Failure> {
        let method = head.method();
        Ok(match (route, method) {
            (Route::Sessions, Method::Post) => Wanted::Login,
            (Route::Sessions, Method::Delete) => Wanted::EndSession(sessions::user_to_end(head)?),
            (Route::Sessions, _) => Wanted::ShowSession,
            (Route::Tickets, _) => Wanted::Ticket,
            (Route::Users, Method::Post) => Wanted::CreateUser,
            (Route::Users, Method::Put) => Wanted::SetPassword(None),
            (Route::Users, _) => Wanted::ListUsers,
            (Route::User, Method::Put) => Wanted::SetPassword(Some(fields::rest(head, 1)?)),
            (Route::User, Method::Delete) => Wanted::DeleteUser(fields::rest(head, 1)?),
            (Route::User, _) => Wanted::ShowUser(fields::rest(head, 1)?),
            (Route::Access, Method::Post) => Wanted::ChangeGrants(grants::resource(head)?),
            (Route::Access, _) => Wanted::ShowGrants(grants::resource(head)?),
            (Route::Admin(route), _) => Wanted::Admin(AdminPlan::of(head, route)?),
            _ => unreachable!("this face has no other route"),
        })
    }

    fn is_login(&self) -> bool {
        matches!(self, Wanted::Login) || matches!(self, Wanted::Admin(plan) if plan.is_login())
    }

    fn check_permission(&self, core: &Core, session: &Session) -> Result<(), Failure> {
        let broker = core.broker();
        match self {
            Wanted::Login => Ok(()),
            // A session that is alive is enough.
            Wanted::ShowSession => broker.rights(session).map(|_| ()),
            // One's own account may be changed, and whose it is stands in the body.
            Wanted::EndSession(Some(user)) if user != session.user() || !session.is_own() => {
                broker.may_admin_users(session)?;
                users::check_admins_matter(broker, session, broker.identity().is_administrator(user))
            }
            Wanted::EndSession(_) | Wanted::Ticket | Wanted::SetPassword(_) => {
                broker.rights(session)?;
                if session.is_anonymous() { Err(Failure::NoPermission) } else { Ok(()) }
            }
            Wanted::ShowUser(user) if user == session.user() && !session.is_anonymous() => {
                broker.rights(session).map(|_| ())
            }
            Wanted::ListUsers | Wanted::CreateUser | Wanted::ShowUser(_) | Wanted::DeleteUser(_) => {
                broker.may_admin_users(session)
            }
            Wanted::ShowGrants(resource) | Wanted::ChangeGrants(resource) => {
                broker.may_grant(session, resource)
            }
            Wanted::Admin(_) => broker.may_admin_users(session),
        }
    }
}
