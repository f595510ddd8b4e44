//! `unsafe` stands in `src/sys` only, each time below a `// SAFETY:` comment; cores forbid it.
//!
//! The workspace's lints already deny `unsafe_code` where it is not allowed item by item; this says where
//! it may be allowed, and that the reason stands beside it. Between the comment and the word there may be
//! attributes, further comments and the statement's own first lines, nothing else.

use crate::lexer::Source;
use crate::tree::Violation;

const RULE: &str = "unsafe";

pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let root_of_core = source.path.starts_with("crates/") && source.path.ends_with("/src/lib.rs");
    if root_of_core && !forbids_unsafe(source) {
        found.push(Violation::new(&source.path, 0, RULE, "a core opens with #![forbid(unsafe_code)]"));
    }
    for token in source.tokens.iter().filter(|token| token.text == "unsafe") {
        if !source.path.starts_with("src/sys/") {
            let what = "`unsafe` outside src/sys";
            found.push(Violation::new(&source.path, token.line, RULE, what));
        } else if !has_safety_above(source, token.line) {
            let what = "`unsafe` without a `// SAFETY:` comment above";
            found.push(Violation::new(&source.path, token.line, RULE, what));
        }
    }
    found
}

fn forbids_unsafe(source: &Source) -> bool {
    let wanted = ["#", "!", "[", "forbid", "(", "unsafe_code", ")", "]"];
    source.tokens.windows(wanted.len()).any(|window| window.iter().map(|token| &token.text).eq(wanted))
}

/// Walks up from the line of `unsafe` to the beginning of its statement, then over attributes and comments.
fn has_safety_above(source: &Source, line: usize) -> bool {
    if source.comments[line - 1].contains("SAFETY:") {
        return true;
    }
    for at in (0..line - 1).rev() {
        let text = source.lines[at].trim();
        if source.comments[at].contains("SAFETY:") {
            return true;
        }
        let ends_before = text.is_empty() || text.ends_with([';', '{', '}', ',']);
        if ends_before && !text.starts_with("//") && !text.starts_with("#[") {
            return false;
        }
    }
    false
}
