//! Floors: imports go down, never up, and never in a circle.
//!
//! The table of `docs/architecture.md`. A *component* is a member crate or a top module of `src/`; what it
//! imports is read from the manifests and from the paths in its sources, tests included. A component that
//! the table does not name is itself a violation, so a new folder must first be given its floor.

use crate::lexer::Source;
use crate::paths::named_paths;
use crate::tree::{File, Violation};
use std::collections::{BTreeMap, BTreeSet};
use toml::de::{DeTable, DeValue};

const RULE: &str = "floors";

/// Member crates with their floors, in tenths: 10 is floor 1a, 11 is floor 1b.
const CRATES: [(&str, u32); 13] = [
    ("types", 0),
    ("commitlog", 10),
    ("topics", 10),
    ("http1", 10),
    ("websocket", 10),
    ("mqtt", 10),
    ("auth", 10),
    ("engine", 11),
    // The server package; its modules have floors of their own.
    ("millrace", 20),
    // Beside the shell: nothing imports them; `ALLOWED` says what they may import.
    ("sim", 90),
    ("loadgen", 90),
    ("benches", 90),
    ("millrace-fuzz", 95),
];

/// Top modules of `src/` with their floors. The root (`lib.rs`, `main.rs`) is above all.
const MODULES: [(&str, u32); 9] = [
    ("sys", 20),
    ("config", 20),
    ("observe", 20),
    ("shard", 30),
    ("broker", 40),
    ("faces", 50),
    ("server", 60),
    ("embed", 65),
    ("cli", 70),
];

/// What a member beside the shell may import; who is not named (`benches`) may import everything below it.
const ALLOWED: [(&str, &[&str]); 2] =
    [("sim", &["types", "commitlog", "engine"]), ("loadgen", &["types", "http1", "websocket", "mqtt"])];

/// An import of one component by another.
#[derive(Clone, Debug)]
struct Import {
    from: String,
    to: String,
    path: String,
    line: usize,
}

pub(crate) fn check(tree: &[File], sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut imports = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        match manifest_imports(path, text) {
            Ok(more) => imports.extend(more),
            Err(what) => found.push(Violation::new(path, 0, RULE, what)),
        }
    }
    for source in sources {
        imports.extend(source_imports(source, sources));
        found.extend(unknown_component(source));
    }
    found.extend(imports.iter().filter_map(judge));
    found.extend(circles(&imports));
    found
}

/// The component of a path, as `crate` or `crate::module`.
fn component_of(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["crates", name, ..] => Some((*name).to_owned()),
        [name @ ("sim" | "loadgen" | "benches"), ..] => Some((*name).to_owned()),
        ["fuzz", ..] => Some("millrace-fuzz".to_owned()),
        ["src", "lib.rs" | "main.rs"] => Some("millrace::".to_owned()),
        ["src", file] => Some(format!("millrace::{}", file.trim_end_matches(".rs"))),
        ["src", module, ..] => Some(format!("millrace::{module}")),
        _ => None,
    }
}

fn floor_of(component: &str) -> Option<u32> {
    let floor = |table: &[(&str, u32)], name: &str| table.iter().find(|(n, _)| *n == name).map(|(_, f)| *f);
    match component.strip_prefix("millrace::") {
        Some("") => Some(80),
        Some(module) => floor(&MODULES, module),
        None => floor(&CRATES, component),
    }
}

fn unknown_component(source: &Source) -> Option<Violation> {
    let component = component_of(&source.path)?;
    let what = format!("`{component}` has no floor: give it one in tests/tidy/floors.rs");
    floor_of(&component).is_none().then(|| Violation::new(&source.path, 0, RULE, what))
}

fn judge(import: &Import) -> Option<Violation> {
    let Import { from, to, path, line } = import;
    let violation = |what: String| Some(Violation::new(path, *line, RULE, what));
    let from_floor = floor_of(from)?;
    let Some(to_floor) = floor_of(to) else {
        return violation(format!("`{from}` imports `{to}`, which has no floor"));
    };
    if to_floor > from_floor {
        return violation(format!("`{from}` imports `{to}` from a floor above"));
    }
    if from_floor == to_floor && from_floor == 10 {
        return violation(format!("`{from}` imports `{to}`: cores of floor 1a never import each other"));
    }
    if from_floor == to_floor && from_floor == 90 {
        return violation(format!("`{from}` imports `{to}`: nothing imports `{to}`"));
    }
    match ALLOWED.iter().find(|(name, _)| name == from) {
        Some((_, allowed)) if !allowed.contains(&to.as_str()) => {
            violation(format!("`{from}` imports `{to}`; it may import {}", allowed.join(", ")))
        }
        _ => None,
    }
}

fn is_member(name: &str) -> bool {
    CRATES.iter().any(|(member, _)| *member == name)
}

/// The members that a manifest depends on, by any kind of dependency.
fn manifest_imports(path: &str, text: &str) -> Result<Vec<Import>, String> {
    let table = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let from = match component_of(path) {
        Some(component) => component,
        None if path == "Cargo.toml" => "millrace".to_owned(),
        None => return Ok(Vec::new()),
    };
    let names = dependency_names(table.get_ref());
    let import = |to: String| Import { from: from.clone(), to, path: path.to_owned(), line: 0 };
    Ok(names.into_iter().filter(|name| is_member(name)).map(import).collect())
}

/// Packages in every table of dependencies but `[workspace.dependencies]`, under their own names.
pub(crate) fn dependency_names(manifest: &DeTable<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, value) in manifest {
        let DeValue::Table(table) = value.get_ref() else { continue };
        match key.get_ref().as_ref() {
            "dependencies" | "dev-dependencies" | "build-dependencies" => {
                names.extend(table.iter().map(|(name, value)| package_name(name.get_ref(), value.get_ref())));
            }
            "target" => {
                let tables = table.values().filter_map(|value| match value.get_ref() {
                    DeValue::Table(table) => Some(table),
                    _ => None,
                });
                names.extend(tables.flat_map(dependency_names));
            }
            _ => {}
        }
    }
    names
}

fn package_name(key: &str, value: &DeValue<'_>) -> String {
    let renamed = value.get("package").and_then(|package| package.get_ref().as_str());
    renamed.unwrap_or(key).to_owned()
}

/// The components that a source names by a path.
fn source_imports(source: &Source, sources: &[Source]) -> Vec<Import> {
    let Some(from) = component_of(&source.path) else { return Vec::new() };
    let mut found = Vec::new();
    for path in named_paths(source) {
        let resolved = path.resolved();
        let second = resolved.get(1).map_or("", String::as_str);
        let to = match resolved[0].as_str() {
            "crate" | "millrace" if from.starts_with("millrace::") => inside_the_shell(&from, second),
            name if is_member(name) && !has_module(sources, &from, name) => Some(name.to_owned()),
            _ => None,
        };
        if let Some(to) = to.filter(|to| *to != from) {
            found.push(Import { from: from.clone(), to, path: source.path.clone(), line: path.line });
        }
    }
    found
}

/// `crate::second` as a component; what the root itself defines counts as the root.
fn inside_the_shell(from: &str, second: &str) -> Option<String> {
    if from == "millrace::" && floor_of(&format!("millrace::{second}")).is_none() {
        return None;
    }
    let is_module = MODULES.iter().any(|(module, _)| *module == second);
    Some(format!("millrace::{}", if is_module { second } else { "" }))
}

/// Whether a component has a module of its own with a crate's name, which then is what a path means.
fn has_module(sources: &[Source], component: &str, name: &str) -> bool {
    let is_it = |path: &str| path.ends_with(&format!("/{name}.rs")) || path.contains(&format!("/{name}/"));
    let own = |source: &&Source| component_of(&source.path).as_deref() == Some(component);
    sources.iter().filter(own).any(|source| {
        let below = source.path.split_once("src/").map_or("", |(_, below)| below);
        is_it(&format!("/{below}"))
    })
}

/// Components that import each other, directly or around, without any import of a floor above.
fn circles(imports: &[Import]) -> Vec<Violation> {
    let imports: Vec<&Import> = imports.iter().filter(|import| judge(import).is_none()).collect();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in &imports {
        edges.entry(&import.from).or_default().insert(&import.to);
    }
    let mut found = Vec::new();
    for import in imports {
        if reaches(&edges, &import.to, &import.from) {
            let what = format!("`{}` and `{}` import each other, in a circle", import.from, import.to);
            found.push(Violation::new(&import.path, import.line, RULE, what));
        }
    }
    found
}

fn reaches(edges: &BTreeMap<&str, BTreeSet<&str>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(component) = open.pop() {
        if component == to {
            return true;
        }
        if seen.insert(component) {
            open.extend(edges.get(component).into_iter().flatten());
        }
    }
    false
}
