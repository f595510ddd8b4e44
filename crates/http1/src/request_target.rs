//! The forms a request target may have (RFC 9112 §3.2): `/path?query`, `http://host/path?query`, and `*` for
//! OPTIONS.
//!
//! Called by the request parser with the target as sent. It finds the parts and decodes nothing (`target`
//! does); the authority form belongs to CONNECT, which this server does not have.

use crate::error::HttpError;
use crate::headers::Span;
use crate::host::is_authority;

/// Where the parts of a target lie in the head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TargetParts {
    pub(crate) whole: Span,
    /// Empty where an absolute target has none: it means `/`.
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
    pub(crate) authority: Option<Span>,
}

impl TargetParts {
    /// Splits `target`, a slice of the head `block`; `is_options` allows `*`.
    pub(crate) fn split(target: &str, block: &[u8], is_options: bool) -> Result<Self, HttpError> {
        if !target.is_ascii() {
            return Err(HttpError::TargetNotAscii);
        }
        // A fragment is never sent (RFC 9110 §4.2.5); intermediaries disagree on what it would mean.
        if memchr::memchr(b'#', target.as_bytes()).is_some() {
            return Err(HttpError::TargetInvalid);
        }
        let mut parts = Self { whole: Span::of(target.as_bytes(), block), ..Self::default() };
        let path_and_query = if target.starts_with('/') {
            target
        } else if target == "*" && is_options {
            parts.path = parts.whole;
            return Ok(parts);
        } else {
            let (authority, rest) = split_absolute(target).ok_or(HttpError::TargetInvalid)?;
            if !is_authority(authority.as_bytes()) {
                return Err(HttpError::HostInvalid);
            }
            parts.authority = Some(Span::of(authority.as_bytes(), block));
            rest
        };
        let question_mark = memchr::memchr(b'?', path_and_query.as_bytes());
        let path = &path_and_query[..question_mark.unwrap_or(path_and_query.len())];
        parts.path = Span::of(path.as_bytes(), block);
        parts.query = question_mark.map(|at| Span::of(&path_and_query.as_bytes()[at + 1..], block));
        Ok(parts)
    }
}

/// The authority of `http://authority/rest`, and what follows it.
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}
