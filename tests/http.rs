//! The HTTP face, tried over a socket on the real binary: each line of `docs/api.md` as a test.
//!
//! A test talks in bytes and reads bytes, so that what is compared is what a client sees. Most share one
//! running server and keep to a bucket of their own; a test that needs its own limits starts its own.

#[path = "http/access_log.rs"]
mod access_log;
#[path = "http/append.rs"]
mod append;
#[path = "http/audit.rs"]
mod audit;
#[path = "http/bad_requests.rs"]
mod bad_requests;
#[path = "http/browser.rs"]
mod browser;
#[path = "http/conditional.rs"]
mod conditional;
#[path = "http/connection.rs"]
mod connection;
#[path = "http/exposition.rs"]
mod exposition;
#[path = "http/lists.rs"]
mod lists;
#[path = "http/metrics.rs"]
mod metrics;
#[path = "binary/open.rs"]
mod open;
#[path = "http/patch.rs"]
mod patch;
#[path = "http/rates.rs"]
mod rates;
#[path = "http/read.rs"]
mod read;
#[path = "http/removal.rs"]
mod removal;
#[path = "http/reports.rs"]
mod reports;
#[path = "http/server.rs"]
mod server;
#[path = "http/service.rs"]
mod service;
#[path = "http/settings.rs"]
mod settings;
#[path = "http/wire.rs"]
mod wire;
