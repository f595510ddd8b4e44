//! Somebody with a token and a connection, and what the tests of this folder ask of them.
//!
//! A person's requests bring the token in `X-Session`; `stranger` has none.

use crate::server::Server;
use crate::wire::{Client, Reply};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Somebody who asks.
pub(crate) struct Person {
    client: Client,
    pub(crate) addr: SocketAddr,
    pub(crate) token: String,
}

impl Person {
    /// Somebody with a token, on a new connection; an empty one is none.
    pub(crate) fn with_token(addr: SocketAddr, token: &str) -> Person {
        Person { client: Client::connect(addr), addr, token: token.to_owned() }
    }

    /// Nobody in particular.
    pub(crate) fn anonymous(addr: SocketAddr) -> Person {
        Person::with_token(addr, "")
    }

    /// Logs in.
    pub(crate) fn log_in(addr: SocketAddr, user: &str, password: &str) -> Person {
        let reply = login(&mut Client::connect(addr), user, password);
        assert_eq!(reply.status, 201, "{user}: {}", reply.text());
        Person::with_token(addr, reply.json()["token"].as_str().expect("a token"))
    }

    /// The administrator of a server under test.
    pub(crate) fn admin(server: &Server) -> Person {
        Person::log_in(server.addr, "admin", "secret")
    }

    /// Has an administrator create a user with the password `pass-NAME`, who logs in.
    pub(crate) fn create(&mut self, user: &str) -> Person {
        let password = password_of(user);
        let body = json!({ "username": user, "password": password }).to_string();
        let created = self.post("/users", &body);
        assert_eq!(created.status, 201, "{user}: {}", created.text());
        Person::log_in(self.addr, user, &password)
    }

    /// Grants at `path` (a bucket, or a bucket and a stream), which must succeed.
    pub(crate) fn grant(&mut self, path: &str, role: &str, permission: &str) {
        self.change_access("grant", path, role, permission);
    }

    /// Takes back at `path`, which must succeed.
    pub(crate) fn revoke(&mut self, path: &str, role: &str, permission: &str) {
        self.change_access("revoke", path, role, permission);
    }

    fn change_access(&mut self, action: &str, path: &str, role: &str, permission: &str) {
        let body = json!({ "action": action, "role": role, "permission": permission }).to_string();
        let reply = self.post(&format!("/access/{path}"), &body);
        assert_eq!(
            (reply.status, reply.text()),
            (200, r#"{"ok":true}"#),
            "{action} {path} {role} {permission}"
        );
    }

    /// One request with the person's token.
    pub(crate) fn request(&mut self, method: &str, target: &str, lines: &[&str], body: &[u8]) -> Reply {
        let session = format!("X-Session: {}", self.token);
        let mut all = lines.to_vec();
        if !self.token.is_empty() {
            all.push(&session);
        }
        self.client.request(method, target, &all, body)
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.request("GET", target, &[], b"")
    }

    pub(crate) fn delete(&mut self, target: &str) -> Reply {
        self.request("DELETE", target, &[], b"")
    }

    pub(crate) fn post(&mut self, target: &str, body: &str) -> Reply {
        self.request("POST", target, &["Content-Type: application/json"], body.as_bytes())
    }

    pub(crate) fn put(&mut self, target: &str, body: &str) -> Reply {
        self.request("PUT", target, &["Content-Type: application/json"], body.as_bytes())
    }

    /// The same person on a new connection that another core than those in `cores` accepted; notes the core.
    pub(crate) fn on_another_core(&self, cores: &mut Vec<String>) -> Option<Person> {
        for _ in 0..200 {
            let mut person = Person::with_token(self.addr, &self.token);
            let core = person.get("/ping").json()["pong"].as_str().expect("a text").to_owned();
            if !cores.contains(&core) {
                cores.push(core);
                return Some(person);
            }
        }
        None
    }

    /// The same person on a connection to each core.
    pub(crate) fn on_every_core(&self, core_count: usize) -> Vec<Person> {
        let mut cores = Vec::new();
        let person = |_| self.on_another_core(&mut cores).expect("every core accepts connections");
        (0..core_count).map(person).collect()
    }
}

/// The password that [`Person::create`] gives.
pub(crate) fn password_of(user: &str) -> String {
    format!("pass-{user}")
}

/// A login and its reply.
pub(crate) fn login(client: &mut Client, user: &str, password: &str) -> Reply {
    client.post("/sessions", &json!({ "username": user, "password": password }).to_string())
}

/// Fails unless the reply is 401 with this type and reason, and says how one is recognized.
pub(crate) fn assert_401(reply: &Reply, kind: &str, reason: &str) {
    assert_eq!(reply.status, 401, "{}", reply.text());
    assert_eq!(reply.header("WWW-Authenticate"), Some("jwt"));
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    let body = reply.json();
    assert_eq!((&body["type"], &body["reason"]), (&Value::from(kind), &Value::from(reason)), "{body}");
}

/// Fails unless the reply says that a permission is missing.
pub(crate) fn assert_no_permission(reply: &Reply) {
    assert_401(reply, "no-perm", "No Permission");
}

/// Fails unless the reply has this status, type and reason.
pub(crate) fn assert_error(reply: &Reply, status: u16, kind: &str, reason: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body = reply.json();
    assert_eq!((&body["type"], &body["reason"]), (&Value::from(kind), &Value::from(reason)), "{body}");
}
