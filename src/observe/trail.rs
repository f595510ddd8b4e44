//! One request on its way to a line of the access log.
//!
//! A face makes a trail when it starts a request and writes into it what becomes known; dropped, it is a
//! line, whatever became of the request. What a line never holds: headers, bodies, and the values of
//! parameters that carry secrets.

use super::access_log::AccessLog;
use super::instant_text::Rfc3339;
use crate::sys::clock;
use http1::target::percent_decode;
use serde_json::Value;
use std::net::SocketAddr;
use types::CoreId;

/// Parameters whose values are secrets.
const SECRETS: [&str; 5] = ["jwt", "ticket", "access_token", "password", "token"];
/// What stands for them.
const REDACTED: &str = "***";

/// One request.
#[derive(Debug)]
pub struct Trail {
    log: AccessLog,
    core: CoreId,
    begin_ms: u64,
    begin_ns: u64,
    peer: SocketAddr,
    method: String,
    target: String,
    user: String,
    form: &'static str,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
}

impl Trail {
    /// A request that has just been decoded, with the size of its body. `target` is as it was received;
    /// secrets are taken out here. Bytes that were no request have neither method nor target.
    pub fn begin(
        log: &AccessLog,
        core: CoreId,
        peer: SocketAddr,
        (method, target): (&str, &str),
        body_bytes: usize,
    ) -> Box<Trail> {
        Box::new(Trail {
            log: log.clone(),
            core,
            begin_ms: clock::now().0,
            begin_ns: clock::monotonic_ns(),
            peer,
            method: method.to_owned(),
            target: redacted(target),
            user: String::new(),
            form: "",
            status: 0,
            bytes_in: body_bytes as u64,
            bytes_out: 0,
        })
    }

    /// Who asks. Nobody is known until this is called.
    pub fn set_user(&mut self, user: &str) {
        user.clone_into(&mut self.user);
    }

    /// The connection has become a listener of this form.
    pub fn set_form(&mut self, form: &'static str) {
        self.form = form;
    }

    /// The reply, or its head, was written.
    pub fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    /// So many bytes more came of the client, as a listener.
    pub fn add_bytes_in(&mut self, count: usize) {
        self.bytes_in += count as u64;
    }

    /// So many bytes more went to the client.
    pub fn add_bytes_out(&mut self, count: usize) {
        self.bytes_out += count as u64;
    }

    /// Written by hand, so that members stand in the order in which people read them.
    fn line(&self) -> String {
        let duration_us = clock::monotonic_ns().saturating_sub(self.begin_ns) / 1000;
        let (method, target, user) = (quoted(&self.method), quoted(&self.target), quoted(&self.user));
        let mut line = format!(
            "{{\"time\":\"{}\",\"method\":{method},\"path\":{target},\"status\":{},\"bytes_in\":{},\
             \"bytes_out\":{},\"duration_us\":{duration_us},\"peer\":\"{}\",\"user\":{user}",
            Rfc3339(self.begin_ms),
            self.status,
            self.bytes_in,
            self.bytes_out,
            self.peer,
        );
        if !self.form.is_empty() {
            line.push_str(&format!(",\"form\":{}", quoted(self.form)));
        }
        line.push_str("}\n");
        line
    }
}

/// A JSON string.
fn quoted(text: &str) -> Value {
    Value::from(text)
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.log.push(self.core, &self.line());
    }
}

/// A target without the values that are secrets. A name may be escaped: it is decoded before it is compared,
/// as whoever reads the parameter does.
fn redacted(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let parts = query.split('&').map(|part| {
        let name = part.split_once('=').map_or(part, |(name, _)| name);
        if is_secret(name) { format!("{name}={REDACTED}") } else { part.to_owned() }
    });
    format!("{path}?{}", parts.collect::<Vec<_>>().join("&"))
}

fn is_secret(name: &str) -> bool {
    // What does not decode is refused by the face and may be anything: its value is not shown either.
    let Ok(name) = percent_decode(name) else { return true };
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

#[cfg(test)]
mod tests {
    use super::super::access_log::Target;
    use super::*;

    #[test]
    fn a_line_is_one_json_object_in_the_order_in_which_it_is_read() {
        let log = AccessLog::open(Target::File("/dev/null".into()), 1, 1 << 20).expect("opened");
        let peer = SocketAddr::from(([127, 0, 0, 1], 7));
        let mut trail = Trail::begin(&log, CoreId(0), peer, ("GET", "/a\"\n?jwt=x"), 3);
        trail.set_user("ann\u{1}");
        trail.set_status(200);
        trail.add_bytes_out(5);
        trail.add_bytes_in(1);
        trail.set_form("sse");
        let line = trail.line();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let told: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&told["path"], &told["user"]), (&"/a\"\n?jwt=***".into(), &"ann\u{1}".into()));
        assert_eq!(
            (&told["bytes_in"], &told["bytes_out"], &told["form"]),
            (&4.into(), &5.into(), &"sse".into())
        );
        assert!(line.starts_with("{\"time\":\"2"), "{line}");
        drop(trail);
        log.close();
        assert_eq!(log.lines(), 1, "dropped, a trail is a line");
    }

    #[test]
    fn secrets_are_taken_out_of_a_target_however_their_names_are_written() {
        for (target, expected) in [
            ("/listen?s=b:s&jwt=abc.def&x=1", "/listen?s=b:s&jwt=***&x=1"),
            ("/listen?%6Awt=abc", "/listen?%6Awt=***"),
            ("/listen?JWT=abc&Ticket=1", "/listen?JWT=***&Ticket=***"),
            ("/a?access_token=1=2&password", "/a?access_token=***&password=***"),
            ("/a?%zz=secret", "/a?%zz=***"),
            ("/a?jwt=x?jwt=y", "/a?jwt=***"),
            ("/streams/b/jwt=1", "/streams/b/jwt=1"),
            ("/a?myjwt=1&s=jwt", "/a?myjwt=1&s=jwt"),
            ("", ""),
        ] {
            assert_eq!(redacted(target), expected);
        }
    }
}
