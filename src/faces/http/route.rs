//! Which resource a path names, and which methods it has.
//!
//! The first two checks of a request (`docs/api.md`, "General rules"): route 404, then method 405. They look
//! at the raw path, so that a bad name behind a good route is the later failure that it has to be. A trailing
//! slash never matters.

use http1::{Method, RequestHead, target};
use std::borrow::Cow;
use types::{BucketName, Failure, StreamKey, StreamName};

/// A resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/streams/:bucket/:stream`
    Stream,
    /// `/streams/:bucket/:stream?settings`
    StreamSettings,
    /// `/streams/:bucket`
    Streams,
    /// `/buckets`
    Buckets,
    /// `/buckets/:bucket?settings`
    BucketSettings,
    /// `/listen`
    Listen,
    /// `/ping`
    Ping,
    /// `/livez`
    Live,
    /// `/readyz`
    Ready,
    /// `/stats`
    Stats,
    /// `/metrics`
    Metrics,
    /// `/x/echo/…`
    Echo,
    /// `/ui`
    Ui,
    /// `/ui/`
    UiPage,
    /// `OPTIONS *`
    Server,
    /// `/sessions`
    Sessions,
    /// `/users`
    Users,
    /// `/users/:user`
    User,
    /// `/access/:bucket` and `/access/:bucket/:stream`
    Access,
    /// `/tickets`
    Tickets,
    /// `/admin/…`
    Admin(AdminRoute),
}

/// A resource below `/admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdminRoute {
    /// `/admin/sessions`
    Sessions,
    /// `/admin/permissions`
    Permissions,
    /// `/admin/grants`
    Grants,
    /// `/admin/revokes`
    Revokes,
    /// `/admin/users` or `/admin/groups`
    Roles { is_group: bool },
    /// `/admin/users/:user` or `/admin/groups/:group`
    Role { is_group: bool },
}

impl AdminRoute {
    fn find(name: &str, count: usize) -> Option<AdminRoute> {
        match (name, count) {
            ("sessions", 1) => Some(AdminRoute::Sessions),
            ("permissions", 1) => Some(AdminRoute::Permissions),
            ("grants", 1) => Some(AdminRoute::Grants),
            ("revokes", 1) => Some(AdminRoute::Revokes),
            ("users", 1) => Some(AdminRoute::Roles { is_group: false }),
            ("groups", 1) => Some(AdminRoute::Roles { is_group: true }),
            ("users", 2..) => Some(AdminRoute::Role { is_group: false }),
            ("groups", 2..) => Some(AdminRoute::Role { is_group: true }),
            _ => None,
        }
    }

    fn allow(self) -> &'static str {
        match self {
            AdminRoute::Sessions | AdminRoute::Grants | AdminRoute::Revokes => "POST, OPTIONS",
            AdminRoute::Permissions => "GET, HEAD, OPTIONS",
            AdminRoute::Roles { .. } => "GET, HEAD, POST, PUT, OPTIONS",
            AdminRoute::Role { .. } => "GET, HEAD, PUT, DELETE, OPTIONS",
        }
    }
}

impl Route {
    /// The route of a request.
    ///
    /// # Errors
    /// [`Failure::NoRoute`]; [`Failure::NotImplemented`] for a handler that does not exist.
    pub(super) fn find(head: &RequestHead) -> Result<Route, Failure> {
        let path = head.path();
        if path == "*" {
            return Ok(Route::Server);
        }
        let mut parts = path.trim_end_matches('/').split('/').skip(1);
        let (first, count) = (parts.next().unwrap_or_default(), parts.clone().count());
        let has_settings = || head.query().is_some_and(asks_for_settings);
        match (first, count) {
            ("streams", 2..) if has_settings() => Ok(Route::StreamSettings),
            ("streams", 2..) => Ok(Route::Stream),
            ("streams", 1) => Ok(Route::Streams),
            ("buckets", 0) => Ok(Route::Buckets),
            ("buckets", 1) if has_settings() => Ok(Route::BucketSettings),
            ("listen", 0) => Ok(Route::Listen),
            ("ping", 0) => Ok(Route::Ping),
            ("livez", 0) => Ok(Route::Live),
            ("readyz", 0) => Ok(Route::Ready),
            ("stats", 0) => Ok(Route::Stats),
            ("metrics", 0) => Ok(Route::Metrics),
            ("sessions", 0) => Ok(Route::Sessions),
            ("users", 0) => Ok(Route::Users),
            ("users", 1..) => Ok(Route::User),
            ("access", 1..) => Ok(Route::Access),
            ("tickets", 0) => Ok(Route::Tickets),
            ("admin", 1..) => {
                let found = AdminRoute::find(parts.next().unwrap_or_default(), count);
                found.map(Route::Admin).ok_or(Failure::NoRoute)
            }
            ("ui", 0) if path.ends_with('/') => Ok(Route::UiPage),
            ("ui", 0) => Ok(Route::Ui),
            ("x", 1..) if parts.next() == Some("echo") => Ok(Route::Echo),
            ("x", 1..) => Err(Failure::NotImplemented),
            _ => Err(Failure::NoRoute),
        }
    }

    /// The methods it has, as `Allow` lists them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Route::Stream => "GET, HEAD, POST, PATCH, DELETE, OPTIONS",
            Route::StreamSettings | Route::BucketSettings => "GET, HEAD, PUT, OPTIONS",
            Route::Echo => "GET, HEAD, PUT, POST, DELETE, OPTIONS",
            Route::Server => "OPTIONS",
            Route::Sessions => "GET, HEAD, POST, DELETE, OPTIONS",
            Route::Users => "GET, HEAD, POST, PUT, OPTIONS",
            Route::User => "GET, HEAD, PUT, DELETE, OPTIONS",
            Route::Access => "GET, HEAD, POST, OPTIONS",
            Route::Tickets => "POST, OPTIONS",
            Route::Admin(route) => route.allow(),
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// Checks that it has the method.
    ///
    /// # Errors
    /// [`Failure::MethodNotAllowed`].
    pub(super) fn check_method(self, head: &RequestHead) -> Result<(), Failure> {
        let allow = self.allow();
        let is_it = |name: &[u8]| name.trim_ascii_start() == head.method_name().as_bytes();
        let known = head.method() != Method::Other && allow.as_bytes().split(|byte| *byte == b',').any(is_it);
        if known { Ok(()) } else { Err(Failure::MethodNotAllowed { allow }) }
    }
}

/// Whether a query has the parameter `settings`.
fn asks_for_settings(query: &str) -> bool {
    query.split('&').any(|part| part == "settings" || part.starts_with("settings="))
}

/// The stream that `/streams/:bucket/:stream` names.
///
/// # Errors
/// [`Failure::BadRequest`] if a part does not decode or is no name.
pub(super) fn stream_key(head: &RequestHead) -> Result<StreamKey, Failure> {
    let rest = after_first(head.path());
    // Each segment is checked by itself (`..` must not hide between slashes), the name is all of them.
    for segment in target::path_segments(rest) {
        segment.map_err(bad_target)?;
    }
    let (bucket, stream) = rest.split_once('/').unwrap_or((rest, ""));
    let stream = target::percent_decode(stream).map_err(bad_target)?;
    let stream = StreamName::parse(&stream).map_err(|error| bad_name("stream", error))?;
    Ok(StreamKey { bucket: bucket_of(bucket)?, stream })
}

/// The bucket that `/streams/:bucket` or `/buckets/:bucket` names.
///
/// # Errors
/// [`Failure::BadRequest`] if it does not decode or is no name.
pub(super) fn bucket_name(head: &RequestHead) -> Result<BucketName, Failure> {
    let rest = after_first(head.path());
    for segment in target::path_segments(rest) {
        segment.map_err(bad_target)?;
    }
    bucket_of(rest)
}

/// The decoded segments behind `/x/echo`.
///
/// # Errors
/// [`Failure::BadRequest`].
pub(super) fn echo_path(head: &RequestHead) -> Result<Vec<Cow<'_, str>>, Failure> {
    let segments = target::path_segments(head.path().trim_end_matches('/')).skip(2);
    segments.map(|segment| segment.map_err(bad_target)).collect()
}

/// The raw path without its first segment and without slashes at its end.
fn after_first(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.strip_prefix('/').and_then(|path| path.split_once('/')).map_or("", |(_, rest)| rest)
}

fn bucket_of(raw: &str) -> Result<BucketName, Failure> {
    let name = target::percent_decode(raw).map_err(bad_target)?;
    BucketName::parse(&name).map_err(|error| bad_name("bucket", error))
}

fn bad_name(what: &str, error: types::NameError) -> Failure {
    Failure::BadRequest { detail: format!("{what}: {error}").into() }
}

pub(super) fn bad_target(error: target::TargetError) -> Failure {
    Failure::BadRequest { detail: error.reason().into() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;

    fn found(target: &str) -> Result<Route, Failure> {
        Route::find(&head("GET", target, &[]))
    }

    #[test]
    fn a_trailing_slash_never_matters_but_for_the_page() {
        for (target, route) in [
            ("/streams/b/s", Route::Stream),
            ("/streams/b/s/t/u", Route::Stream),
            ("/streams/b", Route::Streams),
            ("/streams/b/s?settings", Route::StreamSettings),
            ("/streams/b/s?limit=1&settings=", Route::StreamSettings),
            ("/streams/b/s?settingsx", Route::Stream),
            ("/buckets", Route::Buckets),
            ("/buckets/b?settings", Route::BucketSettings),
            ("/listen", Route::Listen),
            ("/ping", Route::Ping),
            ("/livez", Route::Live),
            ("/readyz", Route::Ready),
            ("/stats", Route::Stats),
            ("/metrics", Route::Metrics),
            ("/x/echo", Route::Echo),
            ("/x/echo/a/b", Route::Echo),
            ("/sessions", Route::Sessions),
            ("/users", Route::Users),
            ("/users/bob", Route::User),
            ("/access/b", Route::Access),
            ("/access/b/s/t", Route::Access),
            ("/tickets", Route::Tickets),
            ("/admin/sessions", Route::Admin(AdminRoute::Sessions)),
            ("/admin/users", Route::Admin(AdminRoute::Roles { is_group: false })),
            ("/admin/groups/g", Route::Admin(AdminRoute::Role { is_group: true })),
        ] {
            assert_eq!(found(target), Ok(route), "{target}");
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let slashed = format!("{path}/{}{query}", if query.is_empty() { "" } else { "?" });
            assert_eq!(found(&slashed), Ok(route), "{slashed}");
        }
        assert_eq!((found("/ui"), found("/ui/")), (Ok(Route::Ui), Ok(Route::UiPage)));
    }

    #[test]
    fn what_is_no_route_is_not_found() {
        for target in [
            "/",
            "/x",
            "/streams",
            "/stream/b/s",
            "/buckets/b",
            "/ping/a",
            "/ui/a",
            "/ui/../a",
            "/Ping",
            "/access",
            "/admin",
            "/admin/x",
        ] {
            assert_eq!(found(target), Err(Failure::NoRoute), "{target}");
        }
        assert_eq!(found("/x/other/a"), Err(Failure::NotImplemented));
    }

    #[test]
    fn a_method_that_a_route_does_not_have_names_those_it_has() {
        for (method, target, allowed) in [
            ("PUT", "/streams/b/s", false),
            ("PUT", "/streams/b/s?settings", true),
            ("POST", "/streams/b", false),
            ("HEAD", "/buckets", true),
            ("get", "/buckets", false),
            ("BREW", "/ping", false),
            ("OPTIONS", "/ping", true),
            ("PATCH", "/x/echo", false),
        ] {
            let head = head(method, target, &[]);
            let route = Route::find(&head).expect("a route");
            let checked = route.check_method(&head);
            assert_eq!(checked.is_ok(), allowed, "{method} {target}");
            if let Err(failure) = checked {
                assert_eq!(failure, Failure::MethodNotAllowed { allow: route.allow() });
            }
        }
    }

    #[test]
    fn a_stream_s_name_may_hold_slashes_plain_or_escaped() {
        for (target, bucket, stream) in [
            ("/streams/iot/house1/temp", "iot", "house1/temp"),
            ("/streams/iot/house1%2Ftemp/", "iot", "house1/temp"),
            ("/streams/iot/%C3%B6%20x?limit=1", "iot", "\u{f6} x"),
            ("/streams/a%25b/c", "a%b", "c"),
            ("/streams/a/b//c", "a", "b//c"),
        ] {
            let key = stream_key(&head("GET", target, &[])).expect(target);
            assert_eq!((key.bucket.as_str(), key.stream.as_str()), (bucket, stream), "{target}");
        }
    }

    #[test]
    fn names_that_cannot_be_are_malformed_targets() {
        let long = format!("/streams/b/{}", "x".repeat(513));
        for target in [
            "/streams/b/%zz",
            "/streams/b/%00",
            "/streams/b/../s",
            "/streams/b/%2e%2e",
            "/streams/b/a%2Bb",
            "/streams/b/a+b",
            "/streams/b/%23",
            "/streams/b/%0a",
            "/streams/b/%ff",
            "/streams//s",
            "/streams/a%2Fb/s",
            &long,
        ] {
            let key = stream_key(&head("GET", target, &[]));
            assert!(matches!(key, Err(Failure::BadRequest { .. })), "{target}: {key:?}");
        }
    }
}
