//! Shape: heads, sizes and names of files, lines and functions; unfinished work; the lock's size.
//!
//! The limits are those of `docs/testing.md` and of the style that the code is written in. A long file is
//! listed before it is forbidden, so that it is split in time.

use crate::lexer::Source;
use crate::tree::{File, Violation};

/// What it is, who calls it, what never happens.
const HEAD_LINES: std::ops::RangeInclusive<usize> = 3..=12;
/// The front page of a crate may hold examples.
const FRONT_PAGE_LINES_MAX: usize = 60;
const FILE_LINES_MAX: usize = 500;
const FILE_LINES_LONG: usize = 450;
const LINE_CHARS_MAX: usize = 110;
const FUNCTION_LINES_MAX: usize = 70;
/// A test may be one long table.
const TABLE_LINES_MAX: usize = 120;
const LOCK_PACKAGES_MAX: usize = 150;
const NAMELESS: [&str; 7] = ["util", "utils", "helper", "helpers", "manager", "managers", "misc"];

/// Rust files that are longer than they should be, with their line counts.
pub(crate) fn long_files(tree: &[File]) -> Vec<(&str, usize)> {
    let rust = tree.iter().filter(|(path, _)| path.ends_with(".rs"));
    let counted = rust.map(|(path, text)| (path.as_str(), text.lines().count()));
    counted.filter(|(_, count)| *count > FILE_LINES_LONG).collect()
}

pub(crate) fn check_source(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut add = |line: usize, rule: &'static str, what: String| {
        found.push(Violation::new(&source.path, line, rule, what));
    };
    let head = source.lines.iter().take_while(|line| line.starts_with("//!")).count();
    let head_max = if source.path.ends_with("src/lib.rs") { FRONT_PAGE_LINES_MAX } else { *HEAD_LINES.end() };
    // The sentences of a test file are the names of its tests.
    let head_min = if is_test_file(&source.path) { 1 } else { *HEAD_LINES.start() };
    if head < head_min || head > head_max {
        let wanted = format!("{head_min} to {head_max}");
        add(1, "head", format!("opens with {head} lines of `//!`, not {wanted}"));
    }
    if source.lines.len() > FILE_LINES_MAX {
        add(0, "long file", format!("{} lines, more than {FILE_LINES_MAX}", source.lines.len()));
    }
    for (index, line) in source.lines.iter().enumerate() {
        let count = line.chars().count();
        // An address is not broken for width.
        if count > LINE_CHARS_MAX && !line.contains("://") {
            add(index + 1, "long line", format!("{count} characters, more than {LINE_CHARS_MAX}"));
        }
    }
    let lines_max = if source.path.starts_with("tests/") { TABLE_LINES_MAX } else { FUNCTION_LINES_MAX };
    for (line, name, count) in function_lengths(source) {
        if count > lines_max {
            add(line, "long function", format!("`{name}` has {count} lines, more than {lines_max}"));
        }
    }
    for (index, comment) in source.comments.iter().enumerate() {
        if let Some(word) = unfinished(comment) {
            add(index + 1, "unfinished", format!("{word} without an issue's number, as in {word}(#12)"));
        }
    }
    for (index, token) in source.tokens.iter().enumerate() {
        let macros = ["todo", "unimplemented", "dbg"];
        if macros.contains(&token.text.as_str()) && source.text(index + 1) == "!" {
            add(token.line, "unfinished", format!("{}! in the tree", token.text));
        }
    }
    found
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs")
}

/// Every function with its first line, its name and its count of lines.
fn function_lengths(source: &Source) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let name = source.text(index + 1);
        if token.text != "fn" || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            continue;
        }
        let body = source.body_or_end(index + 2);
        if source.text(body) == "{" {
            let end = source.after_closing(body) - 1;
            found.push((token.line, name.to_owned(), source.tokens[end].line - token.line + 1));
        }
    }
    found
}

fn unfinished(comment: &str) -> Option<&'static str> {
    ["TODO", "FIXME"].into_iter().find(|word| {
        let numbered = |rest: &str| {
            let digits = rest.strip_prefix("(#").map_or("", |rest| rest);
            digits.starts_with(|c: char| c.is_ascii_digit())
        };
        comment.match_indices(word).any(|(at, _)| !numbered(&comment[at + word.len()..]))
    })
}

/// What holds for every text, whatever its language.
pub(crate) fn check_text(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for part in path.split('/') {
        let stem = part.split('.').next().unwrap_or(part);
        if let Some(word) = stem.split(['_', '-']).find(|word| NAMELESS.contains(word)) {
            found.push(Violation::new(
                path,
                0,
                "name",
                format!("`{word}` says nothing about what is inside"),
            ));
        }
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(place) = workplaces().iter().find(|place| line.contains(place.as_str())) {
            let what = format!("{place} is a place on somebody's machine");
            found.push(Violation::new(path, index + 1, "workplace", what));
        }
    }
    found
}

/// Absolute paths of machines on which people work; put together here so that this file has none.
fn workplaces() -> [String; 4] {
    ["work/", "root/", "tmp/brief", "tmp/target"].map(|place| format!("/{place}"))
}

/// How many packages of others a build of everything takes.
pub(crate) fn check_lock(path: &str, text: &str) -> Vec<Violation> {
    let count = text.lines().filter(|line| line.starts_with("source = ")).count();
    let what = format!("{count} packages of others, more than {LOCK_PACKAGES_MAX}");
    (count > LOCK_PACKAGES_MAX).then(|| Violation::new(path, 0, "lock", what)).into_iter().collect()
}
