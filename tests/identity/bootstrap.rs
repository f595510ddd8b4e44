//! The first start and the ones after it: who is there, whose password is whose, and what `--dev` may not do.

use crate::life::Home;
use crate::person::{Person, assert_no_permission, login};
use crate::server::Server;
use crate::wire::Client;
use serde_json::json;
use std::net::SocketAddr;

const LOOPBACK: [&str; 2] = ["--http", "127.0.0.1:0"];

/// The password that a start has shown.
fn shown(said: &str) -> Option<&str> {
    said.split("password of admin is ").nth(1).and_then(|rest| rest.split_whitespace().next())
}

fn works(addr: SocketAddr, user: &str, password: &str) -> bool {
    let status = login(&mut Client::connect(addr), user, password).status;
    assert!(matches!(status, 201 | 401), "{status}");
    status == 201
}

#[test]
fn a_new_directory_has_two_groups_an_administrator_and_anonymous() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let users = json!({ "users": { "admin": { "groups": ["g-admin"] }, "anonymous": { "groups": [] } } });
    assert_eq!(admin.get("/admin/users").json(), users);
    let groups = json!({ "groups": {
        "g-admin": { "groups": ["g-authenticated"] },
        "g-authenticated": { "groups": [] },
    } });
    assert_eq!(admin.get("/admin/groups").json(), groups);
    let public = json!({ "users": [], "groups": [{ "name": "g-authenticated", "grants": ["get"] }] });
    assert_eq!(admin.get("/access/public").json(), public);
    assert_eq!(admin.get("/access/any").json(), json!({ "users": [], "groups": [] }));
}

#[test]
fn administrators_may_do_everything_everywhere() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    bob.post("/streams/bob/s", "1");
    for path in ["bob", "public", "nobodys"] {
        assert_eq!(admin.post(&format!("/streams/{path}/s"), "1").status, 201, "{path}");
        assert!(!admin.get(&format!("/streams/{path}/s?limit=9")).ids().is_empty());
        assert_eq!(admin.get(&format!("/access/{path}")).status, 200);
        assert_eq!(admin.delete(&format!("/streams/{path}/s")).status, 204);
    }
    assert_eq!(admin.get("/buckets").status, 200);
    assert_eq!(admin.get("/streams/$sys/metrics").status, 200);
    let made = r#"{"username":"root","password":"x","groups":["g-admin"]}"#;
    assert_eq!(admin.post("/admin/users", made).status, 201);
    let mut root = Person::log_in(server.addr, "root", "x");
    assert_eq!(root.get("/streams/bob/s").status, 200);
    assert_eq!(root.get("/users").status, 200);
    // The last one cannot go, the last but one can, and is not made anew.
    assert_eq!(root.delete("/users/admin").status, 204);
    assert_eq!(root.delete("/users/root").status, 409);
    let server = server.restart(&[]);
    assert!(!works(server.addr, "admin", "secret"));
    assert!(works(server.addr, "root", "x"));
}

#[test]
fn what_is_public_is_read_by_who_has_logged_in_and_written_by_administrators() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    assert_eq!(admin.post("/streams/public/s", "1").status, 201);
    assert_eq!(bob.get("/streams/public/s").ids(), [1]);
    for person in [&mut bob, &mut Person::anonymous(server.addr)] {
        assert_no_permission(&person.post("/streams/public/s", "1"));
        assert_no_permission(&person.delete("/streams/public/s"));
        assert_no_permission(&person.get("/streams/public"));
        assert_no_permission(&person.get("/access/public"));
    }
    assert_no_permission(&Person::anonymous(server.addr).get("/streams/public/s"));
}

#[test]
fn who_does_not_log_in_has_what_everybody_and_anonymous_were_granted() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    let mut bob = admin.create("bob");
    let mut nobody = Person::anonymous(server.addr);
    for target in [
        "/streams/b/s",
        "/streams/b",
        "/buckets",
        "/users",
        "/access/b",
        "/admin/users",
        "/streams/anonymous/s",
    ] {
        assert_no_permission(&nobody.get(target));
    }
    for target in ["/ping", "/livez", "/readyz", "/sessions"] {
        assert_eq!(nobody.get(target).status, 200, "{target}");
    }
    admin.grant("b", "*", "get");
    admin.grant("c", "anonymous", "get");
    assert_eq!((nobody.get("/streams/b/s").status, bob.get("/streams/b/s").status), (200, 200));
    assert_eq!((nobody.get("/streams/c/s").status, bob.get("/streams/c/s").status), (200, 401));
}

#[test]
fn what_administrators_changed_is_left_alone_by_the_next_start() {
    let server = Server::start_closed(&[]);
    let mut admin = Person::admin(&server);
    admin.revoke("public", "g-authenticated", "get");
    assert_eq!(admin.put("/users", r#"{"username":"admin","password":"second"}"#).status, 200);
    let server = server.restart(&[]);
    assert!(works(server.addr, "admin", "second") && !works(server.addr, "admin", "secret"));
    let mut admin = Person::log_in(server.addr, "admin", "second");
    assert_eq!(admin.get("/access/public").json(), json!({ "users": [], "groups": [] }));
}

#[test]
fn a_password_that_was_made_up_is_shown_once() {
    let home = Home::new();
    let said = home.start(&LOOPBACK, &[]).stop();
    let password = shown(&said).unwrap_or_else(|| panic!("no password in {said:?}")).to_owned();
    assert!(password.len() >= 20, "{password}");
    assert_eq!(said.matches(&password).count(), 1);
    let life = home.start(&LOOPBACK, &[]);
    assert!(works(life.addr, "admin", &password));
    assert!(!works(life.addr, "admin", "secret") && !works(life.addr, "admin", ""));
    let said = life.stop();
    assert!(shown(&said).is_none() && !said.contains(&password), "{said}");
    let other = Home::new().start(&LOOPBACK, &[]).stop();
    assert_ne!(shown(&other), Some(password.as_str()));
}

#[test]
fn a_password_that_is_given_is_taken_at_the_first_start_and_never_shown() {
    let home = Home::new();
    let life = home.start(&LOOPBACK, &[("MILLRACE_ADMIN_PASSWORD", "given at first")]);
    assert!(works(life.addr, "admin", "given at first"));
    let said = life.stop();
    assert!(shown(&said).is_none() && !said.contains("given at first"), "{said}");
    let life = home.start(&LOOPBACK, &[("MILLRACE_ADMIN_PASSWORD", "given later")]);
    assert!(works(life.addr, "admin", "given at first") && !works(life.addr, "admin", "given later"));
    // From a file, for an administrator of another name.
    let (home, file) = (Home::new(), Home::new());
    let path = file.file("password");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("it is writable");
    std::fs::write(&path, "of the file\nnot this\n").expect("it is writable");
    let path = path.to_str().expect("text");
    let settings = [
        ("MILLRACE_AUTH__ADMIN", "root"),
        ("MILLRACE_AUTH__ADMIN_PASSWORD_FILE", path),
        ("MILLRACE_ADMIN_PASSWORD", "of the environment"),
    ];
    let life = home.start(&LOOPBACK, &settings);
    assert!(works(life.addr, "root", "of the file"));
    assert!(!works(life.addr, "root", "of the environment") && !works(life.addr, "admin", "of the file"));
    let missing = [("MILLRACE_AUTH__ADMIN_PASSWORD_FILE", "/no/such")];
    let said = Home::new().try_start(&LOOPBACK, &missing).err().expect("it does not start");
    assert!(said.contains("/no/such"), "it says which file: {said}");
}

#[test]
fn nothing_in_the_directory_is_readable_by_others_or_holds_the_password() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.start(&LOOPBACK, &[("MILLRACE_ADMIN_PASSWORD", "a rare password")]).stop();
    let mode = std::fs::metadata(home.file("secret")).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut folders = vec![home.file("")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).expect("it is ours");
            assert!(!bytes.windows(15).any(|part| part == b"a rare password"), "{}", path.display());
        }
    }
    assert!(files > 3);
}

#[test]
fn development_mode_is_for_loopback_alone_and_warns() {
    for addr in ["0.0.0.0:0", "[::]:0"] {
        let refused = Home::new().try_start(&["--dev", "--http", addr], &[]);
        let said = refused.err().expect("it does not start");
        assert!(said.contains("development mode") && said.contains("refusing to listen"), "{said}");
    }
    let home = Home::new();
    let life = home.start(&["--dev", "--http", "127.0.0.1:0"], &[]);
    assert!(works(life.addr, "admin", "secret"));
    let said = life.stop();
    assert!(said.to_lowercase().contains("dev"), "it warns: {said}");
    assert!(shown(&said).is_none(), "{said}");
}

#[test]
fn the_well_known_password_does_not_outlive_development_mode() {
    let home = Home::new();
    let dev = [&LOOPBACK[..], &["--dev"]].concat();
    home.start(&dev, &[]).stop();
    let life = home.start(&LOOPBACK, &[]);
    assert!(!works(life.addr, "admin", "secret"));
    let said = life.stop();
    let password = shown(&said).unwrap_or_else(|| panic!("no password in {said:?}")).to_owned();
    let life = home.start(&LOOPBACK, &[]);
    assert!(works(life.addr, "admin", &password));
    assert!(shown(&life.stop()).is_none(), "once");
    let life = home.start(&dev, &[]);
    assert!(
        works(life.addr, "admin", &password) && !works(life.addr, "admin", "secret"),
        "nor does it come back"
    );
    // A given one takes its place, one that was changed stays.
    let (given, changed) = (Home::new(), Home::new());
    given.start(&dev, &[]).stop();
    let life = given.start(&LOOPBACK, &[("MILLRACE_ADMIN_PASSWORD", "given")]);
    assert!(works(life.addr, "admin", "given") && !works(life.addr, "admin", "secret"));
    let life = changed.start(&dev, &[]);
    let mut admin = Person::log_in(life.addr, "admin", "secret");
    assert_eq!(admin.put("/users", r#"{"username":"admin","password":"changed"}"#).status, 200);
    life.stop();
    let life = changed.start(&LOOPBACK, &[]);
    assert!(works(life.addr, "admin", "changed"));
    assert!(shown(&life.stop()).is_none());
}

#[test]
fn an_administrator_whose_password_is_lost_is_reset_by_a_start_that_is_told_to() {
    let (home, reset) = (Home::new(), [&LOOPBACK[..], &["--reset-admin"]].concat());
    let life = home.start(&LOOPBACK, &[("MILLRACE_ADMIN_PASSWORD", "lost")]);
    let mut admin = Person::log_in(life.addr, "admin", "lost");
    assert_eq!(admin.post("/users", r#"{"username":"anna","password":"tea"}"#).status, 201);
    let token = admin.token.clone();
    life.stop();

    let life = home.start(&reset, &[]);
    assert!(!works(life.addr, "admin", "lost") && works(life.addr, "anna", "tea"));
    let mut before = Person::with_token(life.addr, &token);
    assert_eq!(before.get("/users").status, 401, "the session of before is over");
    let said = life.stop();
    let password = shown(&said).unwrap_or_else(|| panic!("no password in {said:?}")).to_owned();
    assert!(said.contains("sessions of before are over"), "{said}");

    let life = home.start(&LOOPBACK, &[]);
    assert!(works(life.addr, "admin", &password), "it stays without the flag");
    assert!(shown(&life.stop()).is_none());
    let life = home.start(&reset, &[("MILLRACE_ADMIN_PASSWORD", "given")]);
    assert!(works(life.addr, "admin", "given"));
    assert!(shown(&life.stop()).is_none(), "who gives one knows it");
    let group = [("MILLRACE_AUTH__ADMIN", "anna"), ("MILLRACE_ADMIN_PASSWORD", "given")];
    let life = home.start(&reset, &group);
    assert_eq!(Person::log_in(life.addr, "anna", "given").get("/users").status, 200, "anna is one now");
}

#[test]
fn every_address_may_be_listened_on_without_development_mode() {
    let home = Home::new();
    let life = home.start(&["--http", "0.0.0.0:0"], &[]);
    assert!(life.addr.ip().is_unspecified());
    drop(life);
}
