//! Who may do what, tried over sockets on the real binary: sessions, users, grants, `/admin`, open listens.
//!
//! The laws: nobody does what was not granted to them, whatever the route, the form, the core or the token;
//! what was taken back is gone when the answer says so; what was acknowledged holds after any end of the
//! server. Each test starts its own server, where only the administrator may do anything.

#[path = "identity/access.rs"]
mod access;
#[path = "identity/admin.rs"]
mod admin;
#[path = "identity/bad_tokens.rs"]
mod bad_tokens;
#[path = "identity/bootstrap.rs"]
mod bootstrap;
#[allow(dead_code, reason = "shared: nobody needs all of it")]
#[path = "binary/client.rs"]
mod client;
#[allow(dead_code, reason = "shared: nobody needs all of it")]
#[path = "listen/heard.rs"]
mod heard;
#[path = "identity/issuer.rs"]
mod issuer;
#[path = "identity/kill.rs"]
mod kill;
#[path = "identity/life.rs"]
mod life;
#[path = "identity/logins.rs"]
mod logins;
#[path = "identity/model.rs"]
mod model;
#[path = "binary/open.rs"]
mod open;
#[path = "identity/open_listens.rs"]
mod open_listens;
#[path = "identity/order.rs"]
mod order;
#[path = "identity/person.rs"]
mod person;
#[allow(dead_code, reason = "shared: nobody needs all of it")]
#[path = "http/server.rs"]
mod server;
#[path = "identity/sessions.rs"]
mod sessions;
#[path = "identity/table.rs"]
mod table;
#[path = "identity/tickets.rs"]
mod tickets;
#[path = "identity/tokens.rs"]
mod tokens;
#[path = "identity/users.rs"]
mod users;
#[allow(dead_code, reason = "shared: nobody needs all of it")]
#[path = "http/wire.rs"]
mod wire;
