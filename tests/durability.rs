//! What an acknowledgement is worth, tried on the real binary and the real kernel.
//!
//! `kill` ends the server with SIGKILL under load, again and again; `shutdown` switches the file system off
//! under it. After every restart all that was acknowledged is there, once, in order.

#[path = "durability/client.rs"]
mod client;
#[path = "durability/history.rs"]
mod history;
#[path = "durability/kill.rs"]
mod kill;
#[path = "durability/server.rs"]
mod server;
#[path = "durability/shutdown.rs"]
mod shutdown;
