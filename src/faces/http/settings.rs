//! GET and PUT of the settings of a stream or a bucket.
//!
//! Both answer `{"settings":{…},"effective":{…}}`: what was set here, and what holds after inheritance. A PUT
//! replaces what was set; it answers when the change is durable and known to every core.

use super::access::Asker;
use super::append::check_json;
use super::core::Core;
use super::flight::{Answer, Flight};
use super::negotiate::{self, JSON};
use super::parameters::Parameters;
use super::reply::Reply;
use super::route::{self, Route};
use crate::broker::identity::Action;
use crate::broker::{Broker, Scope, Settings};
use auth::policy::Permission;
use bytes::Bytes;
use http1::Method;
use std::rc::Rc;
use types::Failure;

/// Largest text of settings.
const SETTINGS_BYTES_MAX: usize = 64 * 1024;

/// Whose settings, and whether they change.
pub(super) struct SettingsPlan {
    scope: Scope,
    is_put: bool,
}

impl SettingsPlan {
    /// Checks the head.
    ///
    /// # Errors
    /// In the order of `docs/api.md`: malformed target, permission, `Accept`, `Content-Type`.
    pub(super) fn of(asker: &Asker<'_>, route: Route) -> Result<SettingsPlan, Failure> {
        let head = asker.head;
        let scope = match route {
            Route::BucketSettings => Scope::Bucket(route::bucket_name(head)?),
            _ => Scope::Stream(route::stream_key(head)?),
        };
        Parameters::of(head)?;
        let is_put = head.method() == Method::Put;
        // Settings can make events go: who may change them could as well delete.
        let (action, needs) = match is_put {
            true => (Action::Delete, Permission::Delete),
            false => (Action::Get, Permission::Get),
        };
        match &scope {
            Scope::Stream(stream) => asker.admit(action, needs, stream).map(drop)?,
            Scope::Bucket(bucket) => asker.admit_in(action, needs, bucket)?,
        }
        negotiate::choose(head, &[JSON])?;
        if is_put {
            negotiate::require_type(head, JSON)?;
        }
        Ok(SettingsPlan { scope, is_put })
    }

    /// Puts it under way.
    pub(super) fn start(self, core: &Rc<Core>, body: &Bytes) -> Flight {
        let broker = core.broker().clone();
        if !self.is_put {
            return Flight::Done(Answer::Reply(reply(&broker, &self.scope)));
        }
        let settings = match parse(body) {
            Ok(settings) => settings,
            Err(failure) => return Flight::Done(Answer::Failed(failure)),
        };
        Flight::task(async move {
            let put = broker.put_settings(self.scope.clone(), settings).await;
            Answer::from(put.map(|()| reply(&broker, &self.scope)))
        })
    }
}

fn parse(body: &[u8]) -> Result<Settings, Failure> {
    if body.len() > SETTINGS_BYTES_MAX {
        return Err(Failure::TooLarge { limit: SETTINGS_BYTES_MAX as u64 });
    }
    check_json(body).map_err(|detail| Failure::InvalidBody { detail: detail.into() })?;
    Settings::parse(body)
}

fn reply(broker: &Broker, scope: &Scope) -> Reply {
    let (own, effective) = broker.settings(scope);
    let body = serde_json::json!({ "settings": own.to_json(), "effective": effective.to_json() });
    Reply::json(200, body.to_string())
}
