//! A small model of who may do what, written from the plan alone: no code of the server is in it.
//!
//! Roles hold grants and are in groups; a question is answered by walking over all of them. Slow, and so
//! plain that it can be read in one go.

use std::collections::{BTreeMap, BTreeSet};

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A permission on a stream: bucket, stream.
    Stream(&'static str, String, String),
    /// A permission on a bucket as a whole.
    Bucket(&'static str, String),
    /// A permission on every bucket.
    Every(&'static str),
}

/// Where a grant holds.
#[derive(Clone, Debug)]
enum Place {
    Every,
    Bucket(String),
    Stream(String, String),
    /// A glob of whole components: `*` is any run within one component, `**` any number of them.
    Glob(String, String),
}

/// Who there is, and what they were granted.
#[derive(Debug, Default)]
pub(crate) struct Model {
    groups: BTreeMap<String, BTreeSet<String>>,
    grants: Vec<(String, Place, &'static str)>,
}

impl Model {
    /// `role` is in `group`.
    pub(crate) fn join(&mut self, role: &str, group: &str) {
        self.groups.entry(role.to_owned()).or_default().insert(group.to_owned());
    }

    /// `role` was granted `permission` at `path`, as it stands behind `/access/`.
    pub(crate) fn grant(&mut self, path: &str, role: &str, permission: &'static str) {
        let place = match path.split_once('/') {
            None if path == "any" => Place::Every,
            None => Place::Bucket(path.to_owned()),
            Some((bucket, glob)) if glob.contains('*') => Place::Glob(bucket.to_owned(), glob.to_owned()),
            Some((bucket, stream)) => Place::Stream(bucket.to_owned(), stream.to_owned()),
        };
        self.grants.push((role.to_owned(), place, permission));
    }

    /// Whether `role` may do what needs this.
    pub(crate) fn allows(&self, role: &str, need: &Need) -> bool {
        // The server alone writes its own names, and nobody sees the bucket of the users, whatever was
        // granted; grants themselves can be looked at and changed anywhere.
        let is_possible = |permission: &str, bucket: &str, stream: &str| match permission {
            "grant" => true,
            "get" | "list" => bucket != "$meta",
            _ => !bucket.starts_with('$') && !stream.starts_with('$'),
        };
        let (permission, is_possible) = match need {
            Need::Stream(permission, bucket, stream) => {
                (*permission, is_possible(permission, bucket, stream))
            }
            Need::Bucket(permission, bucket) => (*permission, is_possible(permission, bucket, "")),
            Need::Every(permission) => (*permission, true),
        };
        let roles = self.roles_of(role);
        let is_granted = || {
            let mut held = self.grants.iter();
            held.any(|(to, place, what)| roles.contains(to) && *what == permission && place.covers(need))
        };
        is_possible && (roles.contains("g-admin") || is_granted())
    }

    /// Oneself, all groups that one is in however indirectly, and everybody.
    fn roles_of(&self, role: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::from(["*".to_owned(), role.to_owned()]);
        loop {
            let more: Vec<String> =
                all.iter().filter_map(|role| self.groups.get(role)).flatten().cloned().collect();
            let count = all.len();
            all.extend(more);
            if all.len() == count {
                return all;
            }
        }
    }
}

impl Place {
    fn covers(&self, need: &Need) -> bool {
        match (self, need) {
            (Place::Every, Need::Every(_)) => true,
            (Place::Every, Need::Bucket(_, bucket) | Need::Stream(_, bucket, _)) => !bucket.starts_with('$'),
            (Place::Bucket(here), Need::Bucket(_, bucket) | Need::Stream(_, bucket, _)) => here == bucket,
            (Place::Stream(here, name), Need::Stream(_, bucket, stream)) => here == bucket && name == stream,
            (Place::Glob(here, glob), Need::Stream(_, bucket, stream)) => {
                let (glob, name): (Vec<&str>, Vec<&str>) =
                    (glob.split('/').collect(), stream.split('/').collect());
                here == bucket && matches_path(&glob, &name)
            }
            _ => false,
        }
    }
}

fn matches_path(glob: &[&str], name: &[&str]) -> bool {
    match (glob, name) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=name.len()).any(|skipped| matches_path(rest, &name[skipped..])),
        ([first, rest @ ..], [part, parts @ ..]) => matches_part(first, part) && matches_path(rest, parts),
        _ => false,
    }
}

fn matches_part(glob: &str, part: &str) -> bool {
    match glob.split_once('*') {
        None => glob == part,
        Some((head, tail)) => {
            let Some(rest) = part.strip_prefix(head) else { return false };
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches_part(tail, &rest[at..]))
        }
    }
}

#[test]
fn the_model_knows_the_plain_cases() {
    let mut model = Model::default();
    model.join("bob", "crew");
    model.join("crew", "g-admin");
    model.grant("iot/a/*/b", "eve", "get");
    model.grant("any", "*", "list");
    let stream = |stream: &str| Need::Stream("get", "iot".to_owned(), stream.to_owned());
    assert!(model.allows("bob", &stream("x")) && !model.allows("zoe", &stream("x")));
    assert!(model.allows("eve", &stream("a/1/b")) && !model.allows("eve", &stream("a/1/2/b")));
    assert!(model.allows("zoe", &Need::Every("list")));
    assert!(!model.allows("zoe", &Need::Bucket("list", "$sys".to_owned())));
    assert!(model.allows("bob", &Need::Bucket("list", "$sys".to_owned())));
    assert!(!model.allows("bob", &Need::Bucket("list", "$meta".to_owned())));
}
