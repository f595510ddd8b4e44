//! The embedded page at `/ui/`: what runs here and how to talk to it.
//!
//! It is part of the binary and needs nothing from elsewhere. Nothing else is served from there, and no part
//! of a path is ever looked up in a file system.

use super::reply::Reply;
use bytes::Bytes;

const PAGE: &str = concat!(
    r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Millrace</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }
pre, code { font: 14px/1.5 ui-monospace, monospace; }
pre { padding: .75rem; border: 1px solid #8888; overflow-x: auto; }
</style>
</head>
<body>
<h1>Millrace "#,
    env!("CARGO_PKG_VERSION"),
    r#"</h1>
<p>A server of durable streams runs at this address. Append an event, read the last ten, follow them:</p>
<pre>curl -d '{"a":1}' -H 'content-type: application/json' "$HOST/streams/demo/first"
curl "$HOST/streams/demo/first?limit=10"
curl -N -H 'accept: text/event-stream' "$HOST/listen?s=demo:first:1"</pre>
<p><a href="/buckets">Buckets</a> &middot; <a href="/stats">figures</a> &middot;
<a href="/metrics">metrics</a> &middot; <a href="/readyz">readiness</a></p>
</body>
</html>
"#
);

/// The page. It needs nothing from elsewhere, and the browser is told so.
pub(super) fn page() -> Reply {
    let content_type = Bytes::from_static(b"text/html; charset=utf-8");
    Reply::with_type(200, content_type, Bytes::from_static(PAGE.as_bytes()))
        .header(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
        )
        .header("X-Content-Type-Options", "nosniff")
        .header("X-Frame-Options", "DENY")
        .header("Referrer-Policy", "no-referrer")
        .header("Cache-Control", "no-cache")
}

/// To where the page is.
pub(super) fn redirect() -> Reply {
    Reply::empty(307).header("Location", "/ui/")
}
