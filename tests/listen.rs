//! `/listen` and the WebSocket of `/x/echo`, tried on the real binary over real sockets.
//!
//! The laws: whatever the form, the core or the moment, a listener gets every event once and in order, or is
//! told what it misses; nobody who is slow harms anybody else; every end has a reason.

#[allow(dead_code, reason = "shared: nobody needs all of it")]
#[path = "binary/client.rs"]
mod client;
#[path = "listen/commands.rs"]
mod commands;
#[path = "listen/course.rs"]
mod course;
#[path = "listen/drain.rs"]
mod drain;
#[path = "listen/echo.rs"]
mod echo;
#[path = "listen/forms.rs"]
mod forms;
#[path = "listen/heard.rs"]
mod heard;
#[path = "listen/hostile.rs"]
mod hostile;
#[path = "listen/long_stream.rs"]
mod long_stream;
#[path = "listen/notices.rs"]
mod notices;
#[path = "binary/open.rs"]
mod open;
#[path = "listen/patterns.rs"]
mod patterns;
#[path = "listen/requests.rs"]
mod requests;
#[path = "listen/resume.rs"]
mod resume;
#[allow(dead_code, reason = "shared: nobody needs all of it")]
#[path = "binary/server.rs"]
mod server;
#[path = "listen/slow.rs"]
mod slow;
#[path = "listen/stalled.rs"]
mod stalled;
