//! What an acknowledgement is worth, tried on the real binary and the real kernel.
//!
//! `kill` ends the server with SIGKILL under load, again and again; `shutdown` switches the file system off
//! under it; `sick_disk` lets it fail or run full while the server lives; `signals` stops it politely. After
//! every restart all that was acknowledged is there, once, in order.

#[allow(dead_code, reason = "shared: nobody needs all of it")]
#[path = "binary/client.rs"]
mod client;
#[path = "durability/history.rs"]
mod history;
#[path = "durability/kill.rs"]
mod kill;
#[path = "durability/mount.rs"]
mod mount;
#[path = "binary/open.rs"]
mod open;
#[allow(dead_code, reason = "shared: nobody needs all of it")]
#[path = "binary/server.rs"]
mod server;
#[path = "durability/shutdown.rs"]
mod shutdown;
#[path = "durability/sick_disk.rs"]
mod sick_disk;
#[path = "durability/signals.rs"]
mod signals;
