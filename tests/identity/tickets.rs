//! `/tickets`: a session for one use, for browsers that cannot set a header.

use crate::person::{Person, assert_401, assert_no_permission};
use crate::server::Server;
use crate::sessions::TWO_CORES;
use crate::wire::Client;
use std::time::Duration;

fn ticket(person: &mut Person) -> String {
    let reply = person.request("POST", "/tickets", &[], b"");
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["ticket"].as_str().expect("a ticket").to_owned()
}

#[test]
fn a_ticket_says_for_how_long_it_may_wait() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let reply = admin.request("POST", "/tickets", &[], b"");
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("Content-Type"), Some("application/json"));
    assert_eq!(reply.header("Cache-Control"), Some("no-store"));
    let body = reply.json();
    assert_eq!(body["expires_in"], 30);
    assert!(body["ticket"].as_str().is_some_and(|ticket| ticket.len() >= 20), "{body}");
    assert_ne!(ticket(&mut admin), ticket(&mut admin));
    assert_eq!(admin.post("/tickets", "{}").status, 201, "a body does no harm");
    assert_eq!(admin.get("/tickets").status, 405);
}

#[test]
fn nobody_can_have_all_the_tickets_there_are() {
    let server = Server::start_closed(&[
        ("MILLRACE_LIMITS__USER_TICKETS_MAX", "2"),
        ("MILLRACE_LIMITS__TICKETS_MAX", "3"),
    ]);
    let mut admin = Person::admin(&server);
    let mut eve = admin.create("eve");
    let first = ticket(&mut eve);
    ticket(&mut eve);
    let refused = eve.post("/tickets", "");
    assert_eq!((refused.status, refused.header("Retry-After")), (429, Some("1")), "{}", refused.text());
    ticket(&mut admin);
    assert_eq!(Person::anonymous(server.addr).get(&format!("/sessions?ticket={first}")).status, 200);
    ticket(&mut eve);
    let refused = admin.post("/tickets", "");
    assert_eq!(refused.status, 503, "now the table is full: {}", refused.text());
}

#[test]
fn a_ticket_is_taken_once_on_whichever_core() {
    let server = Server::start_closed(&TWO_CORES);
    let admin = Person::admin(&server);
    let mut cores = admin.on_every_core(2);
    for round in 0..10 {
        let ticket = ticket(&mut cores[round % 2]);
        let mut clients = Person::anonymous(server.addr).on_every_core(2);
        let first = clients[round / 2 % 2].get(&format!("/sessions?ticket={ticket}"));
        assert_eq!(first.text(), r#"{"username":"admin"}"#);
        for client in &mut clients {
            assert_401(&client.get(&format!("/sessions?ticket={ticket}")), "no-perm", "Bad Ticket");
        }
    }
}

#[test]
fn of_many_who_come_with_one_ticket_one_is_let_in() {
    let server = Server::start_closed(&TWO_CORES);
    let mut admin = Person::admin(&server);
    let target = format!("/users?ticket={}", ticket(&mut admin));
    let barrier = std::sync::Barrier::new(8);
    let let_in: usize = std::thread::scope(|scope| {
        let enter = || {
            let mut client = Client::connect(server.addr);
            barrier.wait();
            usize::from(client.get(&target).status == 200)
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(enter)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(let_in, 1);
}

#[test]
fn a_ticket_that_waited_too_long_is_worth_nothing() {
    let server = Server::start_closed(&[("MILLRACE_AUTH__TICKET_MS", "1s")]);
    let mut admin = Person::admin(&server);
    let reply = admin.request("POST", "/tickets", &[], b"").json();
    assert_eq!(reply["expires_in"], 1);
    std::thread::sleep(Duration::from_millis(1100));
    let target = format!("/sessions?ticket={}", reply["ticket"].as_str().expect("a ticket"));
    assert_401(&server.connect().get(&target), "no-perm", "Bad Ticket");
}

#[test]
fn a_ticket_that_was_never_given_out_is_refused() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let sound = ticket(&mut admin);
    let other = format!("{}{}", if sound.starts_with('A') { "B" } else { "A" }, &sound[1..]);
    for bad in ["x", &other, &sound[1..], &format!("{sound}x"), &admin.token.clone()] {
        let reply = server.connect().get(&format!("/sessions?ticket={bad}"));
        assert_401(&reply, "no-perm", "Bad Ticket");
    }
    assert_eq!(server.connect().get(&format!("/sessions?ticket={sound}")).status, 200, "it is still good");
}

#[test]
fn nobody_gets_a_ticket_without_a_session() {
    let server = Server::start_closed(&[]);
    assert_no_permission(&Person::anonymous(server.addr).request("POST", "/tickets", &[], b""));
    let mut bad = Person::with_token(server.addr, "a.b.c");
    assert_401(&bad.request("POST", "/tickets", &[], b""), "no-perm", "Bad Token");
}

#[test]
fn a_ticket_is_worth_what_its_session_may_do_when_it_is_used() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let with =
        |ticket: String, target: &str| server.connect().get(&format!("{target}?ticket={ticket}")).status;
    assert_eq!(with(ticket(&mut bob), "/streams/bob/s"), 200);
    assert_eq!(with(ticket(&mut bob), "/streams/eve/s"), 401);
    let early = ticket(&mut bob);
    admin.grant("eve/s", "bob", "get");
    assert_eq!(with(early, "/streams/eve/s"), 200);
    let early = ticket(&mut bob);
    admin.revoke("eve/s", "bob", "get");
    assert_eq!(with(early, "/streams/eve/s"), 401);
    let early = ticket(&mut bob);
    assert_eq!(bob.delete("/sessions").status, 204);
    let reply = server.connect().get(&format!("/streams/bob/s?ticket={early}"));
    assert_401(&reply, "no-perm", "Token Revoked");
}

#[test]
fn a_ticket_does_not_outlive_its_session() {
    let server = Server::start_closed(&[("MILLRACE_AUTH__SESSION_MS", "2s")]);
    let mut admin = Person::admin(&server);
    let ticket = ticket(&mut admin);
    std::thread::sleep(Duration::from_millis(2100));
    let reply = server.connect().get(&format!("/sessions?ticket={ticket}"));
    assert_401(&reply, "no-perm", "Token Expired");
}
