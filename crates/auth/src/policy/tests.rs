//! Laws of the policy: a table of who may do what, changes and their refusals, and records in any order.

use super::*;
use proptest::prelude::*;
use types::{BucketName, StreamKey, StreamPattern};

const LIMITS: PolicyLimits = PolicyLimits { roles_max: 100, grants_per_role_max: 10, groups_per_role_max: 4 };

fn name(text: &str) -> RoleName {
    RoleName::parse_with_everybody(text).expect(text)
}

fn bucket(text: &str) -> BucketName {
    BucketName::parse(text).expect(text)
}

fn account() -> Account {
    Account { password: Some("hash".to_owned()), ..Account::new(0) }
}

/// A policy and the sequence number of its last record.
struct World {
    policy: Policy,
    seq: u64,
}

impl World {
    /// As a first start leaves it, with `bob`, who owns the bucket `bob`, and `carol`, who owns none.
    fn new() -> World {
        let mut world = World { policy: Policy::default(), seq: 0 };
        let start = Bootstrap {
            admin: name("admin"),
            password: "hash".to_owned(),
            is_dev: false,
            resets_admin: false,
            bucket: Some(bucket("admin")),
            sessions_from_s: 0,
        };
        let updates = world.policy.bootstrap(&start);
        world.apply(updates);
        assert_eq!(world.policy.bootstrap(&start), []);
        world.create("bob", Some("bob"));
        world.create("carol", None);
        world
    }

    fn apply(&mut self, updates: Vec<Update>) {
        for Update { role, record } in updates {
            self.seq += 1;
            assert!(self.policy.apply(&role, (Epoch(1), SeqNum(self.seq)), record));
            self.policy.assert_invariants();
        }
    }

    fn change(&mut self, change: Change) -> Result<(), ChangeRefused> {
        let updates = self.policy.plan(change, &LIMITS)?;
        self.apply(updates);
        Ok(())
    }

    fn create(&mut self, user: &str, own: Option<&str>) {
        let groups = vec![name(AUTHENTICATED_GROUP)];
        let change =
            Change::CreateUser { name: name(user), account: account(), groups, bucket: own.map(bucket) };
        self.change(change).expect(user);
    }

    fn grant(&mut self, role: &str, bucket: &str, stream: Option<&str>, permission: Permission) {
        let resource = Resource::parse(bucket, stream).expect("a resource");
        self.change(Change::Grant(name(role), resource, permission, Granter::Administrator))
            .expect("a known role");
    }

    fn rights(&self, user: &str, groups: &[RoleName]) -> Rights {
        self.policy.rights_of(user, groups, |_, _, record| std::rc::Rc::new(RoleRights::of(record)))
    }

    fn may(&self, user: &str, permission: Permission, stream: &str) -> bool {
        let (bucket, stream) = stream.split_once('/').expect("bucket/stream");
        let stream = StreamKey::parse(bucket, stream).expect("a name");
        self.rights(user, &[]).allow_stream(permission, &stream)
    }
}

#[test]
fn after_a_first_start_each_may_do_what_the_bootstrap_says() {
    let world = World::new();
    use Permission::{AdminUsers, Delete, Get, Grant, List, Put};
    for (user, permission, stream, expected) in [
        ("admin", Get, "bob/s", true),
        ("admin", Put, "$sys/s", true),
        ("admin", Grant, "anything/s", true),
        ("bob", Get, "bob/s", true),
        ("bob", Put, "bob/s", true),
        ("bob", Delete, "bob/s", true),
        ("bob", Grant, "bob/s", true),
        ("bob", List, "bob/s", true),
        ("bob", AdminUsers, "bob/s", false),
        ("bob", Get, "public/s", true),
        ("bob", Put, "public/s", false),
        ("bob", Get, "admin/s", false),
        ("bob", Get, "$sys/metrics", false),
        ("carol", Get, "carol/s", false),
        ("carol", Get, "public/s", true),
        ("anonymous", Get, "public/s", false),
        ("anonymous", Put, "public/s", false),
        ("nobody", Get, "public/s", false),
    ] {
        assert_eq!(world.may(user, permission, stream), expected, "{user} {permission} {stream}");
    }
    let admin = world.rights("admin", &[]);
    assert!(admin.is_admin() && admin.allow_users() && admin.allow_any(Permission::List));
    assert!(!world.rights("bob", &[]).allow_users());
    assert!(!world.rights("bob", &[]).allow_any(Permission::List));
}

#[test]
fn a_grant_covers_what_it_names_and_nothing_beside() {
    use Permission::{Get, Put};
    for (granted_bucket, granted_stream, stream, expected) in [
        ("iot", None, "iot/s", true),
        ("iot", None, "iot/a/b", true),
        ("iot", None, "iot2/s", false),
        ("iot", Some("s"), "iot/s", true),
        ("iot", Some("s"), "iot/s2", false),
        ("iot", Some("sensors/*/temp"), "iot/sensors/1/temp", true),
        ("iot", Some("sensors/*/temp"), "iot/sensors/1/2/temp", false),
        ("iot", Some("sensors/*/temp"), "iot/sensors/1/hum", false),
        ("iot", Some("**"), "iot/a/b/c", true),
        ("iot", Some("**"), "iot/$x", false),
        ("any", None, "whatever/s", true),
        ("any", None, "$sys/metrics", false),
        ("$sys", None, "$sys/metrics", true),
    ] {
        for role in ["carol", AUTHENTICATED_GROUP, "*"] {
            let mut world = World::new();
            world.grant(role, granted_bucket, granted_stream, Get);
            let told = format!("{granted_bucket} {granted_stream:?} to {role}, asked for {stream}");
            assert_eq!(world.may("carol", Get, stream), expected, "{told}");
            assert_eq!(world.may("anonymous", Get, stream), expected && role == "*", "{told}");
            assert!(!world.may("carol", Put, stream), "{told}");
        }
    }
}

#[test]
fn a_pattern_is_allowed_only_where_all_that_it_can_match_is() {
    let mut world = World::new();
    world.grant("carol", "iot", Some("a/**"), Permission::Get);
    world.grant("carol", "iot", Some("b/*/c"), Permission::Get);
    world.grant("carol", "whole", None, Permission::Get);
    let rights = world.rights("carol", &[]);
    for (in_bucket, pattern, expected) in [
        ("iot", "a/**", true),
        ("iot", "a/*", true),
        ("iot", "a/b/?", true),
        ("iot", "*", false),
        ("iot", "**", false),
        ("iot", "b/*/c", true),
        ("iot", "b/x*/c", true),
        ("iot", "b/**/c", false),
        ("whole", "**", true),
        ("other", "**", false),
    ] {
        let pattern = StreamPattern::parse(bucket(in_bucket), pattern).expect("a pattern");
        assert_eq!(rights.allow_pattern(Permission::Get, &pattern), expected, "{pattern:?}");
    }
}

#[test]
fn groups_lend_their_grants_through_other_groups() {
    let mut world = World::new();
    for (group, groups) in [("outer", vec![]), ("inner", vec![name("outer")])] {
        world.change(Change::CreateGroup { name: name(group), groups }).expect("new");
    }
    world.grant("outer", "iot", None, Permission::Put);
    assert!(!world.may("bob", Permission::Put, "iot/s"));
    let groups = vec![name("inner")];
    world.change(Change::SetGroups { name: name("bob"), is_group: false, groups }).expect("known");
    assert!(world.may("bob", Permission::Put, "iot/s"));
    assert!(!world.rights("stranger", &[name("inner")]).allow_any(Permission::Put));
    let iot = StreamKey::parse("iot", "s").expect("a name");
    assert!(world.rights("stranger", &[name("inner")]).allow_stream(Permission::Put, &iot));
    world.change(Change::DeleteRole { name: name("outer"), is_group: true }).expect("known");
    assert!(!world.may("bob", Permission::Put, "iot/s"));
    world.change(Change::CreateGroup { name: name("outer"), groups: vec![] }).expect("new");
    world.grant("outer", "iot", None, Permission::Put);
    assert!(!world.may("bob", Permission::Put, "iot/s"), "nobody is in it any more");
}

#[test]
fn a_change_that_cannot_be_is_refused_and_changes_nothing() {
    let mut world = World::new();
    world.change(Change::CreateGroup { name: name("g"), groups: vec![name(ADMIN_GROUP)] }).expect("new");
    let user = |user: &str, groups: Vec<RoleName>| Change::CreateUser {
        name: name(user),
        account: account(),
        groups,
        bucket: None,
    };
    let set = |role: &str, is_group, groups| Change::SetGroups { name: name(role), is_group, groups };
    let delete = |role: &str, is_group| Change::DeleteRole { name: name(role), is_group };
    let refused = |known: fn(RoleName) -> ChangeRefused, of: &str| known(name(of));
    for (change, expected) in [
        (user("bob", vec![]), refused(ChangeRefused::Exists, "bob")),
        (user("g-admin", vec![]), refused(ChangeRefused::Exists, "g-admin")),
        (user("x", vec![name("nope")]), refused(ChangeRefused::Unknown, "nope")),
        (user("x", vec![name("bob")]), refused(ChangeRefused::Unknown, "bob")),
        (Change::CreateGroup { name: name("bob"), groups: vec![] }, refused(ChangeRefused::Exists, "bob")),
        (set("g", true, vec![name("g")]), refused(ChangeRefused::Circle, "g")),
        (set(ADMIN_GROUP, true, vec![name("g")]), refused(ChangeRefused::Circle, ADMIN_GROUP)),
        (set("g", false, vec![]), refused(ChangeRefused::Unknown, "g")),
        (set("admin", false, vec![]), refused(ChangeRefused::Needed, "admin")),
        (delete("admin", false), refused(ChangeRefused::Needed, "admin")),
        (delete("anonymous", false), refused(ChangeRefused::Needed, "anonymous")),
        (delete(ADMIN_GROUP, true), refused(ChangeRefused::Needed, ADMIN_GROUP)),
        (delete("bob", true), refused(ChangeRefused::Unknown, "bob")),
        (
            Change::SetPassword { name: name("nope"), password: String::new(), end_before_s: None },
            refused(ChangeRefused::Unknown, "nope"),
        ),
        (
            Change::Grant(name("nope"), Resource::Any, Permission::Get, Granter::Owner),
            refused(ChangeRefused::Unknown, "nope"),
        ),
    ] {
        let told = format!("{change:?}");
        assert_eq!(world.policy.plan(change, &LIMITS), Err(expected), "{told}");
    }
}

#[test]
fn the_last_administrator_stays_until_there_is_another() {
    let mut world = World::new();
    let delete = || Change::DeleteRole { name: name("admin"), is_group: false };
    assert_eq!(world.change(delete()), Err(ChangeRefused::Needed(name("admin"))));
    world.change(Change::CreateGroup { name: name("ops"), groups: vec![name(ADMIN_GROUP)] }).expect("new");
    let groups = vec![name("ops")];
    world.change(Change::SetGroups { name: name("bob"), is_group: false, groups }).expect("known");
    assert!(world.rights("bob", &[]).is_admin());
    world.change(delete()).expect("bob is left");
    let end = Change::DeleteRole { name: name("ops"), is_group: true };
    assert_eq!(world.change(end), Err(ChangeRefused::Needed(name("ops"))));
}

#[test]
fn a_grant_that_is_there_already_writes_nothing() {
    let mut world = World::new();
    world.grant("bob", "iot", None, Permission::Get);
    let seq = world.seq;
    world.grant("bob", "iot", None, Permission::Get);
    let revoke = Change::Revoke(name("bob"), Resource::Any, Permission::Get);
    world.change(revoke).expect("what was never granted may be revoked");
    assert_eq!(world.seq, seq);
}

#[test]
fn every_table_has_its_bound() {
    let mut world = World::new();
    for n in 0..9 {
        world.grant("bob", &format!("b{n}"), None, Permission::Get);
    }
    let one_more = Change::Grant(name("bob"), Resource::Any, Permission::Get, Granter::Administrator);
    assert!(matches!(world.change(one_more), Err(ChangeRefused::TooMany { limit: 10, .. })));
    let groups: Vec<RoleName> = (0..5).map(|n| name(&format!("g{n}"))).collect();
    for group in &groups {
        world.change(Change::CreateGroup { name: group.clone(), groups: vec![] }).expect("new");
    }
    let all = Change::SetGroups { name: name("bob"), is_group: false, groups };
    assert!(matches!(world.change(all), Err(ChangeRefused::TooMany { limit: 4, .. })));
    let few = PolicyLimits { roles_max: world.policy.role_count(), ..LIMITS };
    let create = Change::CreateGroup { name: name("g9"), groups: vec![] };
    assert!(matches!(world.policy.plan(create, &few), Err(ChangeRefused::TooMany { .. })));
}

#[test]
fn the_well_known_password_is_replaced_by_a_start_that_is_not_for_development() {
    let admin = name("admin");
    let start = |is_dev, password: &str| {
        let (admin, password) = (admin.clone(), password.to_owned());
        Bootstrap { admin, password, is_dev, resets_admin: false, bucket: None, sessions_from_s: 9 }
    };
    let mut world = World { policy: Policy::default(), seq: 0 };
    let updates = world.policy.bootstrap(&start(true, "secret"));
    world.apply(updates);
    assert_eq!(world.policy.bootstrap(&start(true, "secret")), []);
    assert!(world.policy.wants_admin_password(&admin, false));
    let updates = world.policy.bootstrap(&start(false, "other"));
    world.apply(updates);
    let account = world.policy.account("admin").expect("a user");
    assert_eq!((account.password.as_deref(), account.is_dev), (Some("other"), false));
    assert!(account.is_over(Some(8)), "who logged in with it is out");
    assert!(world.rights("admin", &[]).is_admin(), "the groups stay");
    assert!(!world.policy.wants_admin_password(&admin, true), "and nothing makes it well known again");
}

#[test]
fn an_administrator_who_is_reset_gets_password_and_group_loses_sessions_and_keeps_the_rest() {
    let mut world = World::new();
    let set = Change::SetGroups { name: name("admin"), is_group: false, groups: vec![] };
    let start = |admin: &str, resets_admin| {
        let (admin, password) = (name(admin), "new".to_owned());
        Bootstrap { admin, password, is_dev: false, resets_admin, bucket: None, sessions_from_s: 9 }
    };
    world.create("root", None);
    let groups = vec![name(ADMIN_GROUP)];
    world.change(Change::SetGroups { name: name("root"), is_group: false, groups }).expect("known");
    world.change(set).expect("there is another administrator");
    assert_eq!(world.policy.bootstrap(&start("admin", false)), []);
    let updates = world.policy.bootstrap(&start("admin", true));
    assert_eq!(updates.len(), 1, "nobody else is touched");
    world.apply(updates);
    let account = world.policy.account("admin").expect("a user");
    assert_eq!((account.password.as_deref(), account.is_over(Some(8))), (Some("new"), true));
    assert!(world.rights("admin", &[]).is_admin());
    let owned = &world.policy.role("admin").expect("a user").grants;
    assert!(owned.contains_key(&Resource::Bucket(bucket("admin"))), "the grants stay");

    world.change(Change::CreateGroup { name: name("ops"), groups: vec![] }).expect("it is new");
    assert_eq!(world.policy.bootstrap(&start("ops", true)), [], "a group has no password");
    let updates = world.policy.bootstrap(&start("newcomer", true));
    world.apply(updates);
    assert!(world.rights("newcomer", &[]).is_admin(), "who is missing is created");
}

#[test]
fn the_well_known_administrator_of_another_name_loses_the_password() {
    let start = |admin: &str, is_dev, password: &str| {
        let (admin, password) = (name(admin), password.to_owned());
        Bootstrap { admin, password, is_dev, resets_admin: false, bucket: None, sessions_from_s: 9 }
    };
    let mut world = World { policy: Policy::default(), seq: 0 };
    let updates = world.policy.bootstrap(&start("admin", true, "secret"));
    world.apply(updates);
    assert!(world.policy.wants_admin_password(&name("root"), false));
    let updates = world.policy.bootstrap(&start("root", false, "other"));
    world.apply(updates);
    let admin = world.policy.account("admin").expect("a user");
    assert_eq!((admin.password.as_deref(), admin.is_over(Some(8))), (None, true));
    assert_eq!(world.policy.administrators(None).into_iter().collect::<Vec<_>>(), [name("root")]);
    assert_eq!(world.policy.bootstrap(&start("root", false, "other")), []);
}

#[test]
fn sessions_that_are_ended_take_those_without_a_date_with_them() {
    let mut world = World::new();
    let is_over = |world: &World, issued_s| world.policy.account("bob").expect("a user").is_over(issued_s);
    assert!(!is_over(&world, None) && !is_over(&world, Some(5)));
    world.change(Change::EndSessions { name: name("bob"), before_s: 7 }).expect("known");
    assert!(is_over(&world, None) && is_over(&world, Some(6)) && !is_over(&world, Some(7)));
    let hash = || "hash2".to_owned();
    let change = Change::SetPassword { name: name("bob"), password: hash(), end_before_s: None };
    world.change(change).expect("known");
    assert!(!is_over(&world, Some(7)), "another password alone ends nothing");
    let change = Change::SetPassword { name: name("bob"), password: hash(), end_before_s: Some(9) };
    world.change(change).expect("known");
    assert!(is_over(&world, Some(8)));
}

#[test]
fn who_is_no_administrator_cannot_fill_a_role_up() {
    let mut world = World::new();
    let grant = |n: u64, granter| {
        let resource = Resource::parse(&format!("b{n}"), None).expect("a bucket");
        Change::Grant(name("*"), resource, Permission::Get, granter)
    };
    for n in 0..5 {
        world.change(grant(n, Granter::Owner)).expect("half of the limit");
    }
    assert!(matches!(world.change(grant(5, Granter::Owner)), Err(ChangeRefused::TooMany { limit: 5, .. })));
    world.change(grant(5, Granter::Administrator)).expect("there is room for administrators");
}

proptest! {
    #[test]
    fn records_in_any_order_make_the_same_policy(
        writes in proptest::collection::vec((0..4_usize, proptest::option::of(0..4_usize)), 1..12),
        keys in proptest::collection::vec(any::<u32>(), 12),
    ) {
        let names = ["a", "b", "c", "d"];
        let versioned: Vec<_> = writes.iter().enumerate().map(|(at, (role, group))| {
            let record = group.map(|group| {
                let mut record = Record::new(Kind::Group);
                record.join(name(names[group]));
                record
            });
            (name(names[*role]), (Epoch(1), SeqNum(at as u64 + 1)), record)
        }).collect();
        let mut shuffled: Vec<_> = versioned.iter().zip(&keys).collect();
        shuffled.sort_by_key(|(_, key)| **key);
        let (mut in_order, mut out_of_order) = (Policy::default(), Policy::default());
        for (role, version, record) in &versioned {
            prop_assert!(in_order.apply(role, *version, record.clone()));
        }
        for ((role, version, record), _) in shuffled {
            out_of_order.apply(role, *version, record.clone());
            out_of_order.assert_invariants();
        }
        prop_assert_eq!(format!("{in_order:?}"), format!("{out_of_order:?}"));
    }
}
