//! The command line as a client, tried with the real binary against the real binary.
//!
//! `identity` administers users and grants and keeps a session between calls; `rotation` changes the secret
//! that tokens are signed with. Each test has a server, a home and a cache of its own.

#[path = "cli/identity.rs"]
mod identity;
#[path = "binary/open.rs"]
mod open;
#[path = "cli/person.rs"]
mod person;
#[path = "cli/rotation.rs"]
mod rotation;
#[allow(dead_code, reason = "shared: nobody needs all of it")]
#[path = "binary/server.rs"]
mod server;
