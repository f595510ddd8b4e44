//! What can go wrong with a client's request, and how every face says it.
//!
//! One table maps a failure to HTTP status, `type` and `reason` (`docs/api.md`, "Errors"); WebSocket and,
//! later, MQTT draw from the same one. A failure carries the data that its answer shows.

use crate::number::SeqNum;
use std::borrow::Cow;

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No such route.
    NoRoute,
    /// The route has no such method; `allow` lists those that it has, comma separated.
    MethodNotAllowed {
        /// Value of the `Allow` header.
        allow: &'static str,
    },
    /// The target or a header does not parse.
    BadRequest {
        /// What is wrong.
        detail: Cow<'static, str>,
    },
    /// The client took too long to send its request.
    RequestTimeout,
    /// The request target is over its limit.
    TargetTooLong,
    /// The header block, or the number of headers, is over its limit.
    HeadTooLarge,
    /// A version of the protocol that is not spoken here.
    VersionNotSupported,
    /// The session may not do this.
    NoPermission,
    /// The session's token or ticket is not taken.
    SessionRefused {
        /// Why, as the client is told.
        reason: &'static str,
    },
    /// The login failed.
    Unauthorized,
    /// Over a rate limit.
    RateLimited {
        /// When it is worth trying again, in seconds.
        retry_after_s: u32,
    },
    /// The name of a new user is taken.
    UserExists,
    /// The name of a user or a group cannot be.
    IllegalUsername,
    /// A user's name is missing.
    NoUser,
    /// A password is missing.
    NoPassword,
    /// Both are missing.
    NoUserAndPassword,
    /// No such user or group.
    UnknownUser,
    /// A grant to nobody (400, as Iorio answers).
    UnknownRole,
    /// A change of users or groups that cannot be.
    NotPossible {
        /// Why not.
        detail: Cow<'static, str>,
    },
    /// A WebSocket of a page that may not call from a browser.
    OriginNotAllowed,
    /// `Accept` names nothing that this route can send.
    NotAcceptable,
    /// The request's content type is not one that this route takes.
    UnsupportedMediaType,
    /// PATCH of a stream without events (400, as Iorio answers).
    NoEvents,
    /// Not JSON where JSON is required; a patch that does not parse or apply.
    InvalidBody {
        /// What is wrong, and where.
        detail: Cow<'static, str>,
    },
    /// A parameter or a setting has a value that it cannot have.
    InvalidField {
        /// Its name.
        field: Cow<'static, str>,
        /// The value that was given.
        value: String,
    },
    /// A setting that does not exist, or a value that it cannot have.
    InvalidSetting {
        /// Its name.
        field: String,
        /// The value that was given.
        value: String,
        /// What would be right.
        detail: Cow<'static, str>,
    },
    /// A body, an event or a count is over its limit.
    TooLarge {
        /// The limit that was passed.
        limit: u64,
    },
    /// A conditional write lost against another writer.
    Conflict {
        /// The last sequence number that the writer had seen.
        expected: SeqNum,
        /// The last sequence number of the stream.
        got: SeqNum,
    },
    /// `If-Match` did not hold.
    PreconditionFailed {
        /// The last sequence number of the stream.
        last: SeqNum,
    },
    /// The idempotency key was used for another body.
    IdempotencyMismatch {
        /// The first sequence number that the key stands for.
        seq: SeqNum,
    },
    /// The stream's settings do not allow the acknowledgement level that was asked for.
    AckNotAllowed,
    /// No room on disk; reads go on and writes resume by themselves.
    StorageFull,
    /// The events asked for are damaged on disk.
    Corrupt {
        /// First sequence number that cannot be read.
        from: SeqNum,
        /// Last sequence number that cannot be read.
        to: SeqNum,
    },
    /// The server cannot do this now.
    Unavailable(Unavailable),
    /// A handler that does not exist (501).
    NotImplemented,
    /// The server failed in a way that is not the client's fault.
    Internal {
        /// What happened, for the log and the answer.
        detail: Cow<'static, str>,
    },
}

/// Why the server cannot serve now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Recovery has not finished.
    Starting,
    /// The server is stopping.
    Draining,
    /// A queue is at its limit.
    Overloaded,
    /// The shard stopped itself after a disk error.
    Stopped,
}

/// One more member of an error body beside `type` and `reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureMember {
    /// A number.
    Number(&'static str, u64),
    /// A text.
    Text(&'static str, String),
}

impl Failure {
    /// The HTTP status code.
    pub fn status(&self) -> u16 {
        match self {
            Failure::NoRoute | Failure::UnknownUser => 404,
            Failure::MethodNotAllowed { .. } => 405,
            Failure::NoPermission | Failure::SessionRefused { .. } | Failure::Unauthorized => 401,
            Failure::OriginNotAllowed => 403,
            Failure::NotAcceptable => 406,
            Failure::RequestTimeout => 408,
            Failure::Conflict { .. } | Failure::NotPossible { .. } => 409,
            Failure::PreconditionFailed { .. } => 412,
            Failure::TooLarge { .. } => 413,
            Failure::TargetTooLong => 414,
            Failure::UnsupportedMediaType => 415,
            Failure::HeadTooLarge => 431,
            Failure::VersionNotSupported => 505,
            Failure::IdempotencyMismatch { .. } => 422,
            Failure::RateLimited { .. } => 429,
            Failure::Corrupt { .. } | Failure::Internal { .. } => 500,
            Failure::NotImplemented => 501,
            Failure::Unavailable(_) => 503,
            Failure::StorageFull => 507,
            Failure::BadRequest { .. }
            | Failure::NoEvents
            | Failure::InvalidBody { .. }
            | Failure::InvalidField { .. }
            | Failure::InvalidSetting { .. }
            | Failure::UserExists
            | Failure::IllegalUsername
            | Failure::NoUser
            | Failure::NoPassword
            | Failure::NoUserAndPassword
            | Failure::UnknownRole
            | Failure::AckNotAllowed => 400,
        }
    }

    /// The member `type` of the error body.
    pub fn type_name(&self) -> &'static str {
        match self {
            Failure::NoRoute => "no-route",
            Failure::MethodNotAllowed { .. } => "method-not-allowed",
            Failure::BadRequest { .. } => "bad-request",
            Failure::RequestTimeout => "request-timeout",
            Failure::TargetTooLong => "target-too-long",
            Failure::HeadTooLarge => "head-too-large",
            Failure::VersionNotSupported => "version-not-supported",
            Failure::NoPermission | Failure::SessionRefused { .. } => "no-perm",
            Failure::Unauthorized => "unauthorized",
            Failure::RateLimited { .. } => "rate-limited",
            Failure::UserExists => "user-exists",
            Failure::IllegalUsername => "illegal-username",
            Failure::NoUser => "no-user",
            Failure::NoPassword => "no-pass",
            Failure::NoUserAndPassword => "no-user-and-pass",
            Failure::UnknownUser => "unknown-user",
            Failure::NotPossible { .. } => "not-possible",
            Failure::OriginNotAllowed => "origin-not-allowed",
            Failure::NotAcceptable => "not-acceptable",
            Failure::UnsupportedMediaType => "unsupported-media-type",
            Failure::NoEvents => "not-found",
            Failure::InvalidBody { .. } => "invalid-body",
            Failure::InvalidField { .. } | Failure::InvalidSetting { .. } | Failure::AckNotAllowed => {
                "invalid-field"
            }
            Failure::TooLarge { .. } => "too-large",
            Failure::Conflict { .. } | Failure::UnknownRole => "error",
            Failure::PreconditionFailed { .. } => "precondition-failed",
            Failure::IdempotencyMismatch { .. } => "idempotency-mismatch",
            Failure::StorageFull => "storage-full",
            Failure::Corrupt { .. } => "corrupt",
            Failure::Unavailable(_) => "unavailable",
            Failure::NotImplemented => "not-implemented",
            Failure::Internal { .. } => "internal",
        }
    }

    /// The member `reason` of the error body. A conflict's reason is an object that the face writes.
    pub fn reason(&self) -> &'static str {
        match self {
            Failure::NoRoute => "Not Found",
            Failure::MethodNotAllowed { .. } => "Method Not Allowed",
            Failure::BadRequest { .. } => "Bad Request",
            Failure::RequestTimeout => "Request Timeout",
            Failure::TargetTooLong => "Request Target Too Long",
            Failure::HeadTooLarge => "Header Block Too Large",
            Failure::VersionNotSupported => "HTTP Version Not Supported",
            Failure::NoPermission => "No Permission",
            Failure::SessionRefused { reason } => reason,
            Failure::Unauthorized => "Unauthorized",
            Failure::RateLimited { .. } => "Too Many Requests",
            Failure::UserExists => "User already exists",
            Failure::IllegalUsername => "Illegal Username",
            Failure::NoUser => "No username field",
            Failure::NoPassword => "No password field",
            Failure::NoUserAndPassword => "No username and password fields",
            Failure::UnknownUser => "Unknown User",
            Failure::UnknownRole => "error_processing_operation",
            Failure::NotPossible { .. } => "Not Possible",
            Failure::OriginNotAllowed => "Origin Not Allowed",
            Failure::NotAcceptable => "Not Acceptable",
            Failure::UnsupportedMediaType => "Unsupported Media Type",
            Failure::NoEvents => "Not Found",
            Failure::InvalidBody { .. } => "Invalid Request Body",
            Failure::InvalidField { .. } | Failure::InvalidSetting { .. } => "Invalid Field",
            Failure::AckNotAllowed => "Acknowledgement Level Not Allowed",
            Failure::TooLarge { .. } => "Request Body Too Large",
            Failure::Conflict { .. } => "confict",
            Failure::PreconditionFailed { .. } => "Precondition Failed",
            Failure::IdempotencyMismatch { .. } => "Idempotency Key Used For Another Body",
            Failure::StorageFull => "Storage Full",
            Failure::Corrupt { .. } => "Events Damaged On Disk",
            Failure::Unavailable(Unavailable::Starting) => "Starting",
            Failure::Unavailable(Unavailable::Draining) => "Draining",
            Failure::Unavailable(Unavailable::Overloaded) => "Overloaded",
            Failure::Unavailable(Unavailable::Stopped) => "Stopped After Disk Error",
            Failure::NotImplemented => "Not Implemented",
            Failure::Internal { .. } => "Internal Error",
        }
    }

    /// What the error body says beside `type` and `reason`.
    pub fn members(&self) -> Vec<FailureMember> {
        use FailureMember::{Number, Text};
        match self {
            Failure::BadRequest { detail }
            | Failure::InvalidBody { detail }
            | Failure::NotPossible { detail }
            | Failure::Internal { detail } => vec![Text("detail", detail.to_string())],
            Failure::InvalidField { field, value } => {
                vec![Text("field", field.to_string()), Text("value", value.clone())]
            }
            Failure::InvalidSetting { field, value, detail } => {
                vec![
                    Text("field", field.clone()),
                    Text("value", value.clone()),
                    Text("detail", detail.to_string()),
                ]
            }
            Failure::AckNotAllowed => {
                vec![Text("field", "ack".to_owned()), Text("value", "memory".to_owned())]
            }
            Failure::TooLarge { limit } => vec![Number("limit", *limit)],
            Failure::PreconditionFailed { last } => vec![Number("seq", last.0)],
            Failure::IdempotencyMismatch { seq } => vec![Number("seq", seq.0)],
            Failure::Corrupt { from, to } => vec![Number("from", from.0), Number("to", to.0)],
            _ => Vec::new(),
        }
    }

    /// Seconds that `Retry-After` advises, where it does.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            Failure::Unavailable(_) => Some(1),
            Failure::RateLimited { retry_after_s } => Some(*retry_after_s),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../../docs/api.md");

    fn every_failure() -> Vec<Failure> {
        let detail = || Cow::Borrowed("what is wrong");
        let (field, value) = (|| "limit".to_owned(), || "-1".to_owned());
        let seq = SeqNum(7);
        let mut all = vec![
            Failure::NoRoute,
            Failure::MethodNotAllowed { allow: "GET, HEAD" },
            Failure::BadRequest { detail: detail() },
            Failure::RequestTimeout,
            Failure::TargetTooLong,
            Failure::HeadTooLarge,
            Failure::VersionNotSupported,
            Failure::NoPermission,
            Failure::SessionRefused { reason: "Token Expired" },
            Failure::Unauthorized,
            Failure::RateLimited { retry_after_s: 1 },
            Failure::UserExists,
            Failure::IllegalUsername,
            Failure::NoUser,
            Failure::NoPassword,
            Failure::NoUserAndPassword,
            Failure::UnknownUser,
            Failure::UnknownRole,
            Failure::NotPossible { detail: detail() },
            Failure::OriginNotAllowed,
            Failure::NotAcceptable,
            Failure::UnsupportedMediaType,
            Failure::NoEvents,
            Failure::InvalidBody { detail: detail() },
            Failure::InvalidField { field: Cow::Borrowed("limit"), value: value() },
            Failure::InvalidSetting { field: field(), value: value(), detail: detail() },
            Failure::TooLarge { limit: 1 },
            Failure::Conflict { expected: seq, got: seq },
            Failure::PreconditionFailed { last: seq },
            Failure::IdempotencyMismatch { seq },
            Failure::AckNotAllowed,
            Failure::StorageFull,
            Failure::Corrupt { from: seq, to: seq },
            Failure::NotImplemented,
            Failure::Internal { detail: detail() },
        ];
        use Unavailable::{Draining, Overloaded, Starting, Stopped};
        all.extend([Starting, Draining, Overloaded, Stopped].map(Failure::Unavailable));
        all
    }

    /// The cells of a row of the documented table that belong to this failure.
    fn row_of(failure: &Failure) -> Option<Vec<&'static str>> {
        let rows = TABLE.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let quoted = |text: &str| format!("`{text}`");
        let (status, type_name) = (failure.status().to_string(), quoted(failure.type_name()));
        let is_member = |cell: &str| {
            let names: Vec<&str> = cell.split(", ").filter(|name| !name.is_empty()).collect();
            let wanted: Vec<String> = failure.members().iter().map(|m| quoted(name_of(m))).collect();
            names == wanted
        };
        // What a conflict's reason is stands with PATCH.
        let reason = match failure {
            Failure::Conflict { .. } => "an object".to_owned(),
            _ => quoted(failure.reason()),
        };
        rows.into_iter().find(|row| {
            matches!(row.as_slice(), ["", s, t, r, m, ..]
                if *s == status && *t == type_name && r.contains(&reason) && is_member(m))
        })
    }

    fn name_of(member: &FailureMember) -> &'static str {
        match member {
            FailureMember::Number(name, _) | FailureMember::Text(name, _) => name,
        }
    }

    #[test]
    fn every_failure_is_answered_as_the_documented_table_says() {
        for failure in every_failure() {
            assert!(row_of(&failure).is_some(), "docs/api.md has no such row: {failure:?}");
        }
    }

    #[test]
    fn every_row_of_the_documented_table_can_happen() {
        let is_row = |line: &&str| line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(['4', '5']));
        let table = TABLE.split("### Errors").nth(1).and_then(|rest| rest.split("\n## ").next());
        let rows: Vec<&str> = table.expect("the table is there").lines().filter(is_row).collect();
        let known: Vec<String> = every_failure()
            .iter()
            .map(|failure| format!("| {} | `{}` |", failure.status(), failure.type_name()))
            .collect();
        assert!(rows.len() >= 20, "{rows:?}");
        for row in rows {
            assert!(known.iter().any(|begin| row.starts_with(begin)), "nothing answers so: {row}");
        }
    }

    #[test]
    fn only_what_will_pass_by_itself_advises_when_to_come_again() {
        for failure in every_failure() {
            let passes = matches!(failure, Failure::Unavailable(_) | Failure::RateLimited { .. });
            assert_eq!(failure.retry_after_s().is_some(), passes, "{failure:?}");
        }
    }
}
