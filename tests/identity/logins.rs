//! How many logins may fail: counted for an address and a user, and never against who knows the password.

use crate::person::{Person, assert_401, assert_error, login};
use crate::server::Server;
use std::time::{Duration, Instant};

#[test]
fn failed_logins_are_limited_for_each_user_of_an_address() {
    let server = Server::start_closed(&[("MILLRACE_LIMITS__FAILED_LOGINS_MAX", "3")]);
    let mut admin = Person::admin(&server);
    admin.create("bob");
    let mut client = server.connect();
    for _ in 0..3 {
        assert_401(&login(&mut client, "eve", "wrong"), "unauthorized", "Unauthorized");
    }
    let limited = login(&mut client, "eve", "wrong");
    assert_error(&limited, 429, "rate-limited", "Too Many Requests");
    let wait: u64 = limited.header("Retry-After").expect("it says when").parse().expect("seconds");
    assert!((1..=20).contains(&wait), "3 a minute is one in 20 s: {wait}");
    let reply = login(&mut server.connect(), "eve", "wrong");
    assert_eq!(reply.status, 429, "another connection is the same address");
    assert_401(&login(&mut client, "bob", "wrong"), "unauthorized", "Unauthorized");
    assert_eq!(login(&mut client, "bob", "pass-bob").status, 201, "another user is not limited");
}

#[test]
fn a_password_that_was_right_before_still_is_under_the_limit() {
    let server = Server::start_closed(&[("MILLRACE_LIMITS__FAILED_LOGINS_MAX", "2")]);
    let mut admin = Person::admin(&server);
    admin.create("bob");
    let mut client = server.connect();
    while login(&mut client, "bob", "wrong").status == 401 {}
    assert_eq!(login(&mut client, "bob", "wrong").status, 429);
    for _ in 0..5 {
        assert_eq!(login(&mut client, "bob", "pass-bob").status, 201, "nobody is locked out by others");
    }
    assert_eq!(login(&mut client, "bob", "wrong").status, 429);
}

#[test]
fn a_login_that_was_not_tried_did_not_fail() {
    let limits = [
        ("MILLRACE_LIMITS__LOGINS_WAITING_PER_ADDRESS_MAX", "0"),
        ("MILLRACE_LIMITS__FAILED_LOGINS_MAX", "2"),
    ];
    let server = Server::start_closed(&limits);
    let mut client = server.connect();
    for _ in 0..6 {
        assert_eq!(login(&mut client, "admin", "secret").status, 503, "nobody may wait for a hash here");
    }
}

#[test]
fn logins_that_succeed_do_not_count() {
    let server = Server::start_closed(&[("MILLRACE_LIMITS__FAILED_LOGINS_MAX", "2")]);
    let mut client = server.connect();
    for _ in 0..20 {
        assert_eq!(login(&mut client, "admin", "secret").status, 201);
    }
    assert_eq!(login(&mut client, "admin", "wrong").status, 401);
    assert_eq!(login(&mut client, "admin", "wrong").status, 401);
    assert_eq!(login(&mut client, "admin", "wrong").status, 429);
}

#[test]
fn failed_logins_of_an_address_are_limited_whatever_the_users() {
    let server = Server::start_closed(&[("MILLRACE_LIMITS__FAILED_LOGINS_PER_ADDRESS_MAX", "5")]);
    let mut client = server.connect();
    let statuses: Vec<u16> = (0..8).map(|n| login(&mut client, &format!("eve{n}"), "x").status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
}

#[test]
fn who_waits_as_told_may_try_again() {
    let server = Server::start_closed(&[("MILLRACE_LIMITS__FAILED_LOGINS_MAX", "60")]);
    let mut admin = Person::admin(&server);
    admin.create("bob");
    let server = server.restart(&[("MILLRACE_LIMITS__FAILED_LOGINS_MAX", "60")]);
    let mut client = server.connect();
    let limited = loop {
        let reply = login(&mut client, "bob", "wrong");
        if reply.status != 401 {
            break reply;
        }
    };
    let wait: u64 = limited.header("Retry-After").expect("it says when").parse().expect("seconds");
    let begin = Instant::now();
    std::thread::sleep(Duration::from_secs(wait));
    assert_eq!(login(&mut client, "bob", "pass-bob").status, 201, "{:?}", begin.elapsed());
}
