//! SIGKILL in the middle of changes of grants, users and groups: what was acknowledged holds.
//!
//! Several clients change at once, each what nobody else touches. The one change that a client had under way
//! when the server was killed may have been made or not, and nothing between.

use crate::client::Client;
use crate::life::Home;
use crate::person::{Person, assert_401, login, password_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SETTINGS: [(&str, &str); 2] = [("MILLRACE_ADMIN_PASSWORD", "secret"), ("MILLRACE_SERVER__CORES", "2")];
const ROUNDS: usize = 5;
const CHANGES_PER_ROUND: usize = 200;
const PERMISSIONS: [&str; 3] = ["get", "put", "delete"];
const PLACES: [&str; 3] = ["", "/s", "/g/*"];

/// Numbers from a seed (xorshift).
fn random(seed: &mut u64, below: usize) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    usize::try_from(*seed % below as u64).expect("it is below a usize")
}

/// One request; `None` when the server went away.
fn ask(client: &mut Client, token: &str, method: &str, target: &str, body: &str) -> Option<u16> {
    let headers = [("content-type", "application/json"), ("x-session", token)];
    client.send(method, target, &headers, body.as_bytes()).ok().map(|reply| reply.head.status())
}

/// A client who grants to one user in one bucket, and what it knows.
struct Granter {
    user: String,
    bucket: String,
    held: BTreeSet<(usize, usize)>,
    under_way: Option<(usize, usize)>,
}

impl Granter {
    fn work(&mut self, addr: SocketAddr, token: &str, seed: &mut u64, made: &AtomicUsize) {
        let Ok(mut client) = Client::connect(addr) else { return };
        loop {
            let change = (random(seed, PLACES.len()), random(seed, PERMISSIONS.len()));
            let action = if self.held.contains(&change) { "revoke" } else { "grant" };
            let body = json!({ "action": action, "role": self.user, "permission": PERMISSIONS[change.1] });
            let target = format!("/access/{}{}", self.bucket, PLACES[change.0]);
            self.under_way = Some(change);
            let Some(status) = ask(&mut client, token, "POST", &target, &body.to_string()) else { return };
            assert_eq!(status, 200);
            self.toggle(change);
            self.under_way = None;
            made.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn toggle(&mut self, change: (usize, usize)) {
        if !self.held.remove(&change) {
            self.held.insert(change);
        }
    }

    /// What `/access` tells, and what trying tells, is what was acknowledged.
    fn verify(&mut self, admin: &mut Person) {
        let shown = self.shown(admin);
        if shown != self.held {
            let change = self.under_way.expect("nothing else was under way");
            self.toggle(change);
        }
        assert_eq!(shown, self.held, "{}: one change under way was made or not", self.user);
        self.under_way = None;
        let mut user = Person::log_in(admin.addr, &self.user, &password_of(&self.user));
        for (stream, places) in [("x", &[0][..]), ("s", &[0, 1]), ("g/1", &[0, 2])] {
            let target = format!("/streams/{}/{stream}", self.bucket);
            for (permission, name) in PERMISSIONS.iter().enumerate() {
                let may = places.iter().any(|place| self.held.contains(&(*place, permission)));
                let status = match *name {
                    "get" => user.get(&target).status,
                    "put" => user.post(&target, "1").status,
                    _ => user.delete(&format!("{target}?before=1")).status,
                };
                assert_eq!(status != 401, may, "{name} {target} by {}", self.user);
            }
        }
    }

    fn shown(&self, admin: &mut Person) -> BTreeSet<(usize, usize)> {
        let mut shown = BTreeSet::new();
        for (index, place) in PLACES.iter().enumerate() {
            let access = admin.get(&format!("/access/{}{place}", self.bucket)).json();
            let users = access["users"].as_array().expect("a list");
            let mine = users.iter().filter(|user| user["name"] == self.user.as_str());
            for name in mine.flat_map(|user| user["grants"].as_array().expect("a list")) {
                let at = PERMISSIONS.iter().position(|permission| name == *permission);
                shown.insert((index, at.expect("nothing else was granted")));
            }
        }
        shown
    }
}

/// A client who makes and deletes users and groups that have members.
#[derive(Default)]
struct Registrar {
    count: usize,
    there: Vec<String>,
    gone: Vec<(String, String)>,
}

impl Registrar {
    /// Each round of the loop makes a group and two members, and deletes all or leaves them.
    fn work(&mut self, addr: SocketAddr, token: &str, made: &AtomicUsize) {
        let Ok(mut client) = Client::connect(addr) else { return };
        loop {
            self.count += 1;
            let (group, users) =
                (format!("group-{}", self.count), [0, 1].map(|n| format!("user-{}-{n}", self.count)));
            let mut change = |method: &str, target: &str, body: Value| {
                let status = ask(&mut client, token, method, target, &body.to_string())?;
                assert!(matches!(status, 200 | 201 | 204), "{method} {target}: {status}");
                made.fetch_add(1, Ordering::Relaxed);
                Some(())
            };
            let mut all = || {
                change("POST", "/admin/groups", json!({ "groupname": group, "groups": [] }))?;
                for user in &users {
                    change("POST", "/users", json!({ "username": user, "password": password_of(user) }))?;
                    self.there.push(user.clone());
                    change(
                        "PUT",
                        &format!("/admin/users/{user}"),
                        json!({ "groups": [group, "g-authenticated"] }),
                    )?;
                }
                change("DELETE", &format!("/admin/groups/{group}"), json!({}))?;
                let end = users[1].clone();
                let kept = self.there.len() - 1;
                self.there.truncate(kept);
                change("DELETE", &format!("/users/{end}"), json!({}))?;
                self.gone.push((group.clone(), end));
                Some(())
            };
            if all().is_none() {
                return;
            }
        }
    }

    fn verify(&self, admin: &mut Person) {
        let users = admin.get("/admin/users").json()["users"].clone();
        let groups = admin.get("/admin/groups").json()["groups"].clone();
        for user in &self.there {
            assert!(users[user].is_object(), "{user} was acknowledged");
        }
        for (group, user) in &self.gone {
            assert!(groups[group].is_null() && users[user].is_null(), "{group} and {user} were deleted");
            let reply = login(&mut crate::wire::Client::connect(admin.addr), user, &password_of(user));
            assert_401(&reply, "unauthorized", "Unauthorized");
        }
        for (name, user) in
            users.as_object().expect("an object").iter().filter(|(name, _)| name.starts_with("user-"))
        {
            let groups_of: Vec<&str> =
                user["groups"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
            assert!(groups_of.contains(&"g-authenticated"), "{name} is there wholly: {groups_of:?}");
            assert!(
                groups_of.iter().all(|group| groups[*group].is_object()),
                "{name} in no group that is gone"
            );
            let mut user = Person::log_in(admin.addr, name, &password_of(name));
            assert_eq!(user.get(&format!("/streams/{name}/s")).status, 200, "{name} owns their bucket");
            assert_eq!(user.get(&format!("/access/{name}")).status, 200, "{name} owns their bucket");
        }
    }
}

#[test]
fn what_was_acknowledged_holds_after_a_kill_and_nothing_is_half_there() {
    let home = Home::new();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let mut seed = u64::from(clock.subsec_nanos()) | 1;
    println!("seed {seed}");
    let arguments = ["--http", "127.0.0.1:0"];
    let life = home.start(&arguments, &SETTINGS);
    let mut admin = Person::log_in(life.addr, "admin", "secret");
    let mut granters: Vec<Granter> = (0..4)
        .map(|n| {
            let (user, bucket) = (format!("granted-{n}"), format!("bucket-{n}"));
            admin.create(&user);
            Granter { user, bucket, held: BTreeSet::new(), under_way: None }
        })
        .collect();
    let mut registrar = Registrar::default();
    let (mut life, mut total) = (Some(life), 0);
    for _ in 0..ROUNDS {
        let running = life.take().expect("it was started");
        let (addr, token, made) = (running.addr, admin.token.clone(), AtomicUsize::new(0));
        let goal = CHANGES_PER_ROUND + random(&mut seed, 50);
        std::thread::scope(|scope| {
            for granter in &mut granters {
                let (token, made, mut seed) = (&token, &made, random(&mut seed, 1 << 30) as u64 | 1);
                scope.spawn(move || granter.work(addr, token, &mut seed, made));
            }
            scope.spawn(|| registrar.work(addr, &token, &made));
            while made.load(Ordering::Relaxed) < goal {
                std::thread::sleep(Duration::from_micros(200));
            }
            running.kill();
        });
        total += made.into_inner();
        let started = home.start(&arguments, &SETTINGS);
        admin = Person::with_token(started.addr, &token);
        granters.iter_mut().for_each(|granter| granter.verify(&mut admin));
        registrar.verify(&mut admin);
        life = Some(started);
    }
    println!("{total} changes, {ROUNDS} kills, {} users", registrar.there.len());
    assert!(total >= 1000);
}
