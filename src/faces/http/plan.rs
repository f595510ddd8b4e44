//! From a request's head to what will be done: every check that needs no body, in the order of
//! `docs/api.md` (route, method, malformed, permission, `Accept`, `Content-Type`).
//!
//! A plan can be made before the body has arrived: a body that would only be refused is then not read. The
//! class of a plan says what else of the same connection may be under way with it.

use super::access::Asker;
use super::append::AppendPlan;
use super::core::Core;
use super::echo;
use super::flight::{Answer, Flight};
use super::handoff::{Purpose, Wanted};
use super::identity::IdentityPlan;
use super::lists::ListPlan;
use super::monitor;
use super::negotiate::{self, JSON};
use super::parameters::Parameters;
use super::patch::PatchPlan;
use super::read::ReadPlan;
use super::removal::RemovalPlan;
use super::reply::Reply;
use super::route::Route;
use super::settings::SettingsPlan;
use super::ui;
use crate::broker::identity::{Action, Session};
use bytes::Bytes;
use http1::{Method, RequestHead};
use std::rc::Rc;
use types::Failure;

/// What to do for a request.
pub(super) enum Plan {
    Append(AppendPlan),
    Read(Box<ReadPlan>),
    Patch(PatchPlan),
    Remove(RemovalPlan),
    Settings(SettingsPlan),
    List(ListPlan),
    Identity(Box<IdentityPlan>),
    Stats,
    Metrics,
    Echo,
    Handoff(Purpose, Option<Rc<Session>>),
    /// Nothing but to answer.
    Answer(Answer),
}

/// Which requests of one connection may be under way together: those of one class that is not `Alone`.
/// Appends reach their shards in order; reads change nothing; whatever else there is sees all that came
/// before it and nothing that comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Append,
    Read,
    Alone,
}

impl Plan {
    /// Makes the plan, or the answer that refuses.
    pub(super) fn of(asker: &Asker<'_>) -> Plan {
        Plan::checked(asker).unwrap_or_else(|failure| Plan::Answer(Answer::Failed(failure)))
    }

    fn checked(asker: &Asker<'_>) -> Result<Plan, Failure> {
        let Asker { core, head, .. } = *asker;
        let route = Route::find(head)?;
        route.check_method(head)?;
        if head.method() == Method::Options {
            let reply = Reply::empty(204).header("Allow", route.allow());
            // Before any permission: a browser asks without a token.
            let reply = match core.cors().allows_preflight(head) {
                true => reply.header("Access-Control-Allow-Methods", route.allow()),
                false => reply,
            };
            return Ok(Plan::Answer(Answer::Reply(reply)));
        }
        match route {
            Route::Stream => Plan::of_stream(asker),
            Route::StreamSettings | Route::BucketSettings => {
                SettingsPlan::of(asker, route).map(Plan::Settings)
            }
            Route::Streams => ListPlan::of_streams(asker).map(Plan::List),
            Route::Buckets => ListPlan::of_buckets(asker).map(Plan::List),
            Route::Listen => listen(asker),
            Route::Echo if head.upgrades_to("websocket") && head.method() == Method::Get => {
                echo_path(head).map(|()| Plan::Handoff(Purpose::Echo, None))
            }
            Route::Echo => echo::check(head).map(|()| Plan::Echo),
            Route::Stats => json_only(head).map(|()| Plan::Stats),
            Route::Metrics => Ok(Plan::Metrics),
            Route::Ping => json_only(head).map(|()| Plan::Answer(Answer::Reply(monitor::ping(core)))),
            Route::Live => Ok(Plan::Answer(Answer::Reply(monitor::live()))),
            Route::Ready => Ok(Plan::Answer(monitor::ready(core))),
            Route::Ui => Ok(Plan::Answer(Answer::Reply(ui::redirect()))),
            Route::UiPage => Ok(Plan::Answer(Answer::Reply(ui::page()))),
            Route::Sessions
            | Route::Users
            | Route::User
            | Route::Access
            | Route::Tickets
            | Route::Admin(_) => IdentityPlan::of(asker, route).map(|plan| Plan::Identity(Box::new(plan))),
            Route::Server => unreachable!("only OPTIONS has this route"),
        }
    }

    fn of_stream(asker: &Asker<'_>) -> Result<Plan, Failure> {
        match asker.head.method() {
            Method::Post => AppendPlan::of(asker).map(Plan::Append),
            Method::Patch => PatchPlan::of(asker).map(Plan::Patch),
            Method::Delete => RemovalPlan::of(asker).map(Plan::Remove),
            _ => ReadPlan::of(asker).map(|plan| Plan::Read(Box::new(plan))),
        }
    }

    /// What may be under way with it.
    pub(super) fn class(&self, body: &Bytes) -> Class {
        match self {
            Plan::Append(plan) if !plan.is_offloaded(body) => Class::Append,
            Plan::Read(_) => Class::Read,
            _ => Class::Alone,
        }
    }

    /// The failure that it is, if it is one.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Plan::Answer(Answer::Failed(failure)) => Some(failure),
            _ => None,
        }
    }

    /// Carries it out as far as that goes without waiting.
    pub(super) fn start(self, core: &Rc<Core>, head: RequestHead, body: Bytes) -> Flight {
        match self {
            Plan::Append(plan) => plan.start(core, &head, body),
            Plan::Read(plan) => plan.start(core),
            Plan::Patch(plan) => plan.start(core, body),
            Plan::Remove(plan) => plan.start(core),
            Plan::Settings(plan) => plan.start(core, &body),
            Plan::List(plan) => plan.start(core),
            Plan::Identity(plan) => plan.start(core, body),
            Plan::Stats => monitor::stats(core),
            Plan::Metrics => monitor::metrics(core),
            Plan::Echo => Flight::Done(Answer::from(echo::reply(&head, &body))),
            Plan::Handoff(purpose, session) => Flight::Handoff(Box::new(Wanted { purpose, head, session })),
            Plan::Answer(answer) => Flight::Done(answer),
        }
    }
}

fn json_only(head: &RequestHead) -> Result<(), Failure> {
    negotiate::choose(head, &[JSON]).map(|_| ())
}

/// A listener is served elsewhere; HEAD is answered here, with the head that a long-poll would have.
fn listen(asker: &Asker<'_>) -> Result<Plan, Failure> {
    let head = asker.head;
    Parameters::of(head)?;
    let session = asker.session()?;
    asker.core.broker().rights(&session)?;
    asker.count(Action::Listen, &session)?;
    if head.method() == Method::Head {
        return Ok(Plan::Answer(Answer::Reply(Reply::json(200, Bytes::new()))));
    }
    Ok(Plan::Handoff(Purpose::Listen, Some(session)))
}

fn echo_path(head: &RequestHead) -> Result<(), Failure> {
    super::route::echo_path(head)?;
    Parameters::of(head).map(|_| ())
}
