//! The paths that a source names: `use` trees spelt out, and paths written in place.
//!
//! `a::{b, c::d as e}` in a `use` gives `a::b` and `a::c::d`; `std::fs::read(…)` in code gives
//! `std::fs::read`. Each comes with the module it stands in, so that `super` and `self` can be resolved.
//! Single words are not paths. Read by the floors and by the purity rules.

use crate::lexer::Source;

/// A path that a source names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// From 1.
    pub(crate) line: usize,
    /// The path's place among the tokens.
    pub(crate) index: usize,
    /// As written.
    pub(crate) segments: Vec<String>,
    /// The module it stands in, below the crate's root.
    pub(crate) module: Vec<String>,
}

impl NamedPath {
    /// The path with `crate`, `self` and `super` replaced: `crate` first when it is inside this crate.
    pub(crate) fn resolved(&self) -> Vec<String> {
        let mut module = self.module.clone();
        let mut rest = self.segments.as_slice();
        match rest.first().map(String::as_str) {
            Some("crate") => module.clear(),
            Some("self") => {}
            Some("super") => {
                while rest.get(1).is_some_and(|next| next == "super") {
                    rest = &rest[1..];
                    module.pop();
                }
                module.pop();
            }
            _ => return self.segments.clone(),
        }
        let mut path = vec!["crate".to_owned()];
        path.extend(module);
        path.extend(rest[1..].iter().cloned());
        path
    }

    pub(crate) fn starts_with(&self, prefix: &[&str]) -> bool {
        self.segments.len() >= prefix.len() && self.segments.iter().zip(prefix).all(|(a, b)| a == b)
    }
}

/// The module that a file is, below the root of its crate: `src/a/b.rs` is `[a, b]`.
pub(crate) fn module_of_file(path: &str) -> Vec<String> {
    let below = path.split_once("src/").map_or(path, |(_, rest)| rest);
    let mut module: Vec<String> = below.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// Every path of the source, in order.
pub(crate) fn named_paths(source: &Source) -> Vec<NamedPath> {
    let mut found = Vec::new();
    let mut module = module_of_file(&source.path);
    let mut depth = 0_usize;
    let mut scopes: Vec<usize> = Vec::new();
    let mut index = 0;
    while index < source.tokens.len() {
        let next = source.text(index + 1);
        match source.text(index) {
            "mod" if source.text(index + 2) == "{" => {
                module.push(next.to_owned());
                scopes.push(depth);
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if scopes.last() == Some(&depth) {
                    scopes.pop();
                    module.pop();
                }
            }
            "use" if next != "<" => {
                index = use_tree(source, index + 1, &[], &module, &mut found);
                continue;
            }
            word if is_word(word) && next == "::" && source.text(index.wrapping_sub(1)) != "::" => {
                index = written_path(source, index, &module, &mut found);
                continue;
            }
            _ => {}
        }
        index += 1;
    }
    found
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn written_path(source: &Source, start: usize, module: &[String], found: &mut Vec<NamedPath>) -> usize {
    let mut segments = vec![source.text(start).to_owned()];
    let mut index = start + 1;
    while source.text(index) == "::" && is_word(source.text(index + 1)) {
        segments.push(source.text(index + 1).to_owned());
        index += 2;
    }
    if segments.len() > 1 {
        found.push(NamedPath {
            line: source.tokens[start].line,
            index: start,
            segments,
            module: module.to_vec(),
        });
    }
    index
}

/// One branch of a `use` from `start`; gives the index after it.
fn use_tree(
    source: &Source,
    start: usize,
    prefix: &[String],
    module: &[String],
    found: &mut Vec<NamedPath>,
) -> usize {
    let mut segments = prefix.to_vec();
    let mut index = start;
    let mut add = |index: usize, segments: Vec<String>| {
        let line = source.tokens.get(index).map_or(0, |token| token.line);
        found.push(NamedPath { line, index, segments, module: module.to_vec() });
    };
    while index < source.tokens.len() {
        match source.text(index) {
            "::" => index += 1,
            "as" => index += 2,
            "{" => {
                index += 1;
                while index < source.tokens.len() && source.text(index) != "}" {
                    index = use_tree(source, index, &segments, module, found);
                    if source.text(index) == "," {
                        index += 1;
                    }
                }
                return index + 1;
            }
            "," | "}" | ";" => {
                add(start, segments);
                return index;
            }
            word => {
                segments.push(word.to_owned());
                index += 1;
            }
        }
    }
    index
}
