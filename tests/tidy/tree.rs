//! The tree as values: paths with their texts in, violations out.
//!
//! [`read`] is the only function of this test that touches the disk; [`check`] runs every rule over what it
//! is given and nothing else. Paths are relative to the repository's root and use `/`. A file that is not
//! UTF-8 is not text and is left out.

use crate::lexer::Source;
use crate::{floors, purity, shape, unsafety};
use std::fmt;
use std::path::Path;

/// A path and the text of its file.
pub(crate) type File = (String, String);

/// A rule that a place of the tree does not keep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// Which file.
    pub(crate) path: String,
    /// Which line, from 1; 0 when the file as a whole is meant.
    pub(crate) line: usize,
    /// The rule's short name.
    pub(crate) rule: &'static str,
    /// What is wrong here.
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn new(path: &str, line: usize, rule: &'static str, what: impl Into<String>) -> Self {
        Violation { path: path.to_owned(), line, rule, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.what)
    }
}

/// All rules over all files, in the order of the files.
pub(crate) fn check(tree: &[File]) -> Vec<Violation> {
    let sources: Vec<Source> = tree
        .iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(path, text)| Source::parse(path, text))
        .collect();
    let test_modules = test_module_paths(&sources);
    let mut found = Vec::new();
    for source in &sources {
        let only_tests = is_test_file(&source.path, &test_modules);
        found.extend(shape::check_source(source));
        found.extend(unsafety::check(source));
        found.extend(purity::check_source(source, only_tests));
    }
    for (path, text) in tree {
        found.extend(shape::check_text(path, text));
        if path.ends_with("Cargo.toml") {
            found.extend(purity::check_manifest(path, text));
        }
        if path == "Cargo.lock" {
            found.extend(shape::check_lock(path, text));
        }
    }
    found.extend(floors::check(tree, &sources));
    found.sort();
    found
}

/// Where `#[cfg(test)] mod name;` sends a reader: the paths of such modules without `.rs`.
fn test_module_paths(sources: &[Source]) -> Vec<String> {
    let modules = |source: &Source| {
        let folder = source.module_folder();
        source.test_modules.iter().map(move |name| format!("{folder}/{name}")).collect::<Vec<_>>()
    };
    sources.iter().flat_map(modules).collect()
}

fn is_test_file(path: &str, test_modules: &[String]) -> bool {
    let folders = ["/tests/", "/benches/", "/examples/"];
    let inside = |folder: &&str| path.contains(*folder) || path.starts_with(&folder[1..]);
    folders.iter().any(|folder| !path.contains("/src/") && inside(folder))
        || test_modules.iter().any(|module| {
            let rest = path.strip_prefix(module.as_str()).unwrap_or("-");
            rest == ".rs" || rest.starts_with('/')
        })
}

/// The files under `root` that are ours: no build output, no corpus, nothing hidden but `.ci`.
pub(crate) fn read(root: &Path) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the tree can be listed") {
            let path = entry.expect("an entry can be read").path();
            let relative = path.strip_prefix(root).expect("inside the root").to_string_lossy().into_owned();
            if path.is_dir() {
                if is_ours(&relative) {
                    folders.push(path);
                }
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                found.push((relative, text));
            }
        }
    }
    found.sort();
    found
}

fn is_ours(folder: &str) -> bool {
    let name = folder.rsplit('/').next().unwrap_or(folder);
    let output = ["target", "corpus", "artifacts", "coverage", "millrace-data", "golden"];
    (!name.starts_with('.') || name == ".ci") && !output.contains(&name)
}
