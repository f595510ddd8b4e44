//! What pages of other origins may do from a browser (Fetch Standard, "CORS protocol").
//!
//! Off unless configured. Header lines are put together once at start; a request is judged by its head when
//! it is started, and its reply gets the lines of that judgement, whatever the reply is: an event's, an
//! error's, a listener's. A preflight is answered before anybody looks at permissions, since a browser sends
//! none with it.

use crate::config::{CorsSettings, Origins};
use bytes::{BufMut, BytesMut};
use http1::{Method, RequestHead};

/// Request headers that this API reads.
const REQUEST_HEADERS: [&str; 10] = [
    "X-Session",
    "Authorization",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "Idempotency-Key",
    "Millrace-Parent",
    "traceparent",
    "Last-Event-ID",
    "Accept",
];
/// Reply headers of this API beside those that a page may always read.
const REPLY_HEADERS: [&str; 11] = [
    "ETag",
    "Location",
    "Date",
    "Millrace-Gap",
    "Millrace-Durability",
    "Millrace-Id",
    "Millrace-Time",
    "Idempotent-Replayed",
    "Retry-After",
    "WWW-Authenticate",
    "Content-Disposition",
];
const VARY_PREFLIGHT: &str =
    "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n";
const VARY: &str = "Vary: Origin\r\n";

/// Which header lines a reply gets. Costs nothing to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u32);

impl Stamp {
    /// None.
    pub const NONE: Stamp = Stamp(0);
    /// What a reply gets whose request has no origin, or cannot be read.
    const PLAIN: u32 = 1;
}

/// The rules, and the lines that follow from them.
#[derive(Debug, Default)]
pub struct Cors {
    origins: Origins,
    /// By stamp. Two for each origin, of a reply and of a preflight's, the first two for no origin.
    lines: Vec<Box<str>>,
}

impl Cors {
    /// The rules of a configuration.
    ///
    /// # Errors
    /// As [`CorsSettings::check`].
    pub fn new(settings: &CorsSettings) -> Result<Cors, String> {
        settings.check()?;
        let origins = settings.origins()?;
        let mut lines: Vec<Box<str>> = vec!["".into()];
        match &origins {
            Origins::Off => {}
            Origins::Any => lines.extend(both_lines(settings, "*", "")?),
            Origins::List(list) => {
                lines.extend([VARY.into(), VARY_PREFLIGHT.into()]);
                for origin in list {
                    lines.extend(both_lines(settings, origin, VARY)?);
                }
            }
        }
        Ok(Cors { origins, lines })
    }

    /// Which lines the reply to this request gets.
    pub fn judge(&self, head: &RequestHead) -> Stamp {
        let first = match &self.origins {
            Origins::Off => return Stamp::NONE,
            Origins::Any => Stamp::PLAIN,
            Origins::List(list) => {
                let place =
                    head.header_str("origin").and_then(|origin| list.iter().position(|o| o == origin));
                place.map_or(Stamp::PLAIN, |index| Stamp::PLAIN + 2 + 2 * index as u32)
            }
        };
        Stamp(first + u32::from(is_preflight(head)))
    }

    /// Of a reply to bytes that are no request.
    pub fn unread(&self) -> Stamp {
        if self.origins == Origins::Off { Stamp::NONE } else { Stamp(Stamp::PLAIN) }
    }

    /// Whether this is the question of a page that may call: its answer names the methods.
    pub fn allows_preflight(&self, head: &RequestHead) -> bool {
        let has_origin = head.header("origin").is_some();
        let is_known = self.origins == Origins::Any || self.judge(head).0 > Stamp::PLAIN + 1;
        is_preflight(head) && has_origin && is_known
    }

    /// Whether a browser's page may open a WebSocket, which no preflight asks for: one of the server's own
    /// origin always, another where the list has it. Without a list everyone may: what a WebSocket may do
    /// depends on a token that its page must have, never on what the browser adds by itself.
    pub fn allows_upgrade(&self, head: &RequestHead) -> bool {
        let (Origins::List(list), Some(origin)) = (&self.origins, head.header("origin")) else { return true };
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        let own = origin.split_once("://").zip(head.host());
        let is_own = own.is_some_and(|((_, host), own)| host.eq_ignore_ascii_case(own));
        is_own || list.iter().any(|known| known == origin)
    }

    /// Adds the lines to the reply, or to its head, that begins at `start` and ends `out`. Whatever wrote the
    /// reply need not know of them.
    pub fn stamp(&self, stamp: Stamp, out: &mut BytesMut, start: usize) {
        if stamp == Stamp::NONE {
            return;
        }
        let lines = self.lines[stamp.0 as usize].as_bytes();
        let Some(end) = memchr::memchr(b'\n', &out[start..]) else { return };
        let (behind_status, len) = (start + end + 1, out.len());
        out.put_bytes(0, lines.len());
        out.copy_within(behind_status..len, behind_status + lines.len());
        out[behind_status..behind_status + lines.len()].copy_from_slice(lines);
    }
}

/// A browser's question before a request (Fetch Standard, "CORS-preflight request").
fn is_preflight(head: &RequestHead) -> bool {
    head.method() == Method::Options && head.header("access-control-request-method").is_some()
}

/// The lines of a reply to `origin`, and those of the answer to its preflight but for the methods.
fn both_lines(settings: &CorsSettings, origin: &str, vary: &str) -> Result<[Box<str>; 2], String> {
    let credentials = match settings.credentials {
        true => "Access-Control-Allow-Credentials: true\r\n",
        false => "",
    };
    let allow = format!("Access-Control-Allow-Origin: {origin}\r\n{credentials}");
    let join = |own: &[&str], more: Vec<&str>| own.iter().copied().chain(more).collect::<Vec<_>>().join(", ");
    let exposed = join(&REPLY_HEADERS, settings.expose()?);
    let accepted = join(&REQUEST_HEADERS, settings.headers()?);
    let max_age_s = settings.max_age_s;
    Ok([
        format!("{allow}Access-Control-Expose-Headers: {exposed}\r\n{vary}").into(),
        format!(
            "{allow}Access-Control-Allow-Headers: {accepted}\r\nAccess-Control-Max-Age: {max_age_s}\r\n\
             {VARY_PREFLIGHT}"
        )
        .into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;

    fn cors(origins: &str) -> Cors {
        Cors::new(&CorsSettings { origins: origins.to_owned(), ..CorsSettings::default() }).expect("sound")
    }

    fn get(lines: &[(&str, &str)]) -> RequestHead {
        head("GET", "/", lines)
    }

    fn stamped(cors: &Cors, head: &RequestHead) -> String {
        let mut out = BytesMut::from("before HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\n");
        cors.stamp(cors.judge(head), &mut out, 7);
        String::from_utf8(out.to_vec()).expect("text")
    }

    #[test]
    fn lines_go_behind_the_status_line_and_move_nothing_else() {
        let text = stamped(&cors("https://a"), &get(&[("Origin", "https://a")]));
        assert!(
            text.starts_with("before HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://a\r\n"),
            "{text}"
        );
        assert!(text.ends_with("\r\nVary: Origin\r\nA: b\r\n\r\nbody\n"), "{text}");
        let untouched = stamped(&cors(""), &get(&[("Origin", "https://a")]));
        assert_eq!(untouched, "before HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\n");
    }

    #[test]
    fn an_origin_gets_its_own_lines_and_another_none_but_vary() {
        let cors = cors("https://a,https://b");
        for (origin, expected) in
            [("https://b", true), ("https://c", false), ("HTTPS://B", false), ("null", false)]
        {
            let text = stamped(&cors, &get(&[("Origin", origin)]));
            assert_eq!(text.contains(&format!("Allow-Origin: {origin}\r\n")), expected, "{text}");
            assert_eq!(text.contains("Access-Control"), expected, "{text}");
            assert!(text.contains("\r\nVary: Origin\r\n"), "{text}");
        }
        assert!(!stamped(&cors, &get(&[])).contains("Access-Control"));
    }

    #[test]
    fn every_origin_gets_the_same_lines_where_all_may() {
        let cors = cors("*");
        for head in [get(&[]), get(&[("Origin", "https://x")]), get(&[("Origin", "null")])] {
            let text = stamped(&cors, &head);
            assert!(text.contains("Access-Control-Allow-Origin: *\r\n") && !text.contains("Vary"), "{text}");
        }
        assert_eq!(cors.unread(), cors.judge(&get(&[])));
    }

    #[test]
    fn a_preflight_needs_a_method_and_a_page_that_may_call() {
        let method = ("Access-Control-Request-Method", "PATCH");
        let (good, bad) = (("Origin", "https://a"), ("Origin", "https://b"));
        let cors = cors("https://a");
        assert!(cors.allows_preflight(&head("OPTIONS", "/", &[good, method])));
        assert!(!cors.allows_preflight(&head("OPTIONS", "/", &[bad, method])));
        assert!(!cors.allows_preflight(&head("OPTIONS", "/", &[method])));
        assert!(!cors.allows_preflight(&head("OPTIONS", "/", &[good])));
        assert!(!cors.allows_preflight(&head("GET", "/", &[good, method])));
        let text = stamped(&cors, &head("OPTIONS", "/", &[good, method]));
        assert!(text.contains("Access-Control-Max-Age: 60\r\n") && text.contains(VARY_PREFLIGHT), "{text}");
        assert!(!stamped(&cors, &head("OPTIONS", "/", &[bad, method])).contains("Access-Control-Allow"));
    }

    #[test]
    fn a_websocket_is_opened_by_pages_of_the_list_and_by_our_own() {
        let open = |origins: &str, origin: &str| cors(origins).allows_upgrade(&get(&[("Origin", origin)]));
        assert!(open("", "https://evil") && open("*", "https://evil"));
        assert!(open("https://a", "https://a") && open("https://a", "http://a"), "the test's host is a");
        assert!(!open("https://b", "https://evil") && !open("https://b", "null"));
        assert!(!open("https://b", "https://b.evil") && !open("https://b", "https://a.b"));
        assert!(cors("https://b").allows_upgrade(&get(&[])), "what is no browser says no origin");
    }

    #[test]
    fn configured_headers_and_credentials_are_in_the_lines() {
        let settings = CorsSettings {
            origins: "https://a".to_owned(),
            headers: "X-Mine".to_owned(),
            expose: "X-Yours".to_owned(),
            max_age_s: 7,
            credentials: true,
        };
        let cors = Cors::new(&settings).expect("sound");
        let reply = stamped(&cors, &get(&[("Origin", "https://a")]));
        assert!(
            reply.contains("Content-Disposition, X-Yours\r\n") && reply.contains("Credentials: true\r\n")
        );
        let lines = [("Origin", "https://a"), ("Access-Control-Request-Method", "PUT")];
        let answer = stamped(&cors, &head("OPTIONS", "/", &lines));
        assert!(answer.contains("Accept, X-Mine\r\n") && answer.contains("Max-Age: 7\r\n"), "{answer}");
    }
}
