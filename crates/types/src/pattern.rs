//! Globs over stream names: `*`, `?`, `[a-z]` inside one level, `**` for any number of whole levels.
//!
//! Used by `/listen?s=bucket:a/**` and, later, by grants. A pattern matches a whole stream name inside one
//! bucket. Matching is linear in the name for every pattern without `**` and never recurses deeper than
//! the pattern has levels.

use crate::name::{BucketName, StreamKey};
use std::fmt;

/// Most levels that a pattern may have.
const LEVELS_MAX: usize = 32;

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong, as a sentence without a full stop.
    pub reason: &'static str,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for PatternError {}

/// A glob over the streams of one bucket.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamPattern {
    /// The bucket whose streams are matched.
    pub bucket: BucketName,
    levels: Vec<Level>,
    text: String,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Level {
    AnyLevels,
    Glob(Vec<Piece>),
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Piece {
    Literal(char),
    One,
    Run,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl StreamPattern {
    /// Whether `text` needs a pattern at all: it holds `*`, `?` or `[`.
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Parses a glob over the streams of `bucket`.
    ///
    /// # Errors
    /// [`PatternError`] for an empty or too long text, too many levels, `**` beside other characters, or an
    /// unfinished class.
    pub fn parse(bucket: BucketName, text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.len() > crate::name::STREAM_NAME_MAX {
            return Err(PatternError { reason: "a pattern holds 1 to 512 bytes" });
        }
        let levels = text.split('/').map(parse_level).collect::<Result<Vec<_>, _>>()?;
        if levels.len() > LEVELS_MAX {
            return Err(PatternError { reason: "a pattern has at most 32 levels" });
        }
        Ok(StreamPattern { bucket, levels, text: text.to_owned() })
    }

    /// Whether the stream is one that this pattern names. Internal streams (`$…`) are matched only by a
    /// pattern that begins with `$` itself.
    pub fn matches(&self, key: &StreamKey) -> bool {
        self.bucket == key.bucket && self.matches_name(key.stream.as_str())
    }

    /// [`Self::matches`] for a stream of the pattern's own bucket.
    pub fn matches_name(&self, stream: &str) -> bool {
        if stream.starts_with('$') && !self.text.starts_with('$') {
            return false;
        }
        let names: Vec<&str> = stream.split('/').collect();
        levels_match(&self.levels, &names)
    }

    /// Whether this pattern surely matches every stream that `other` matches. A `false` may be wrong for
    /// patterns that only happen to match the same: a level covers another if it is `*`, or the same text.
    pub fn covers(&self, other: &StreamPattern) -> bool {
        let reaches_internal = |pattern: &StreamPattern| pattern.text.starts_with('$');
        self.bucket == other.bucket
            && (reaches_internal(self) || !reaches_internal(other))
            && levels_cover(&self.levels, &other.levels)
    }

    /// The text it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether every row of names that `narrow` matches is one that `wide` matches, by the set of positions in
/// `narrow` that a prefix of `wide` can have covered.
fn levels_cover(wide: &[Level], narrow: &[Level]) -> bool {
    let mut reachable = vec![false; narrow.len() + 1];
    reachable[0] = true;
    for level in wide {
        let mut next = vec![false; narrow.len() + 1];
        for at in 0..=narrow.len() {
            match level {
                Level::AnyLevels => next[at] = reachable[at] || (at > 0 && next[at - 1]),
                Level::Glob(pieces) if at > 0 && reachable[at - 1] => {
                    next[at] = match &narrow[at - 1] {
                        Level::AnyLevels => false,
                        Level::Glob(narrower) => pieces == narrower || *pieces == [Piece::Run],
                    };
                }
                Level::Glob(_) => {}
            }
        }
        reachable = next;
    }
    reachable[narrow.len()]
}

impl fmt::Debug for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bucket, self.text)
    }
}

fn parse_level(text: &str) -> Result<Level, PatternError> {
    if text == "**" {
        return Ok(Level::AnyLevels);
    }
    if text.contains("**") {
        return Err(PatternError { reason: "** must be a level by itself" });
    }
    let mut pieces = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        pieces.push(match c {
            '*' => Piece::Run,
            '?' => Piece::One,
            '[' => parse_class(&mut rest)?,
            c => Piece::Literal(c),
        });
    }
    Ok(Level::Glob(pieces))
}

fn parse_class(rest: &mut std::str::Chars<'_>) -> Result<Piece, PatternError> {
    const UNFINISHED: PatternError = PatternError { reason: "a class [...] is not finished" };
    let mut ranges: Vec<(char, char)> = Vec::new();
    let mut c = rest.next().ok_or(UNFINISHED)?;
    let negated = c == '!';
    if negated {
        c = rest.next().ok_or(UNFINISHED)?;
    }
    loop {
        // The first character stands for itself even when it is a bracket.
        let mut next = rest.next().ok_or(UNFINISHED)?;
        let mut last = c;
        if next == '-' {
            let end = rest.next().ok_or(UNFINISHED)?;
            if end == ']' {
                ranges.push((c, c));
                ranges.push(('-', '-'));
                return Ok(Piece::Class { negated, ranges });
            }
            last = end;
            next = rest.next().ok_or(UNFINISHED)?;
        }
        ranges.push((c, last));
        if next == ']' {
            return Ok(Piece::Class { negated, ranges });
        }
        c = next;
    }
}

/// Matches levels by the set of reachable positions, so that several `**` stay polynomial.
fn levels_match(levels: &[Level], names: &[&str]) -> bool {
    let mut reachable = vec![false; names.len() + 1];
    reachable[0] = true;
    for level in levels {
        let mut next = vec![false; names.len() + 1];
        match level {
            Level::AnyLevels => {
                let mut open = false;
                for (at, slot) in next.iter_mut().enumerate() {
                    open |= reachable[at];
                    *slot = open;
                }
            }
            Level::Glob(pieces) => {
                for (at, name) in names.iter().enumerate() {
                    next[at + 1] = reachable[at] && glob_matches(pieces, name);
                }
            }
        }
        reachable = next;
    }
    reachable[names.len()]
}

/// The classic two-pointer glob: on a mismatch it goes back to the last `*` only.
fn glob_matches(pieces: &[Piece], name: &str) -> bool {
    let chars: Vec<char> = name.chars().collect();
    let (mut p, mut c) = (0, 0);
    let mut last_run: Option<(usize, usize)> = None;
    while c < chars.len() {
        if p < pieces.len() && pieces[p] == Piece::Run {
            last_run = Some((p, c));
            p += 1;
        } else if p < pieces.len() && piece_matches(&pieces[p], chars[c]) {
            p += 1;
            c += 1;
        } else if let Some((run, from)) = last_run {
            last_run = Some((run, from + 1));
            p = run + 1;
            c = from + 1;
        } else {
            return false;
        }
    }
    pieces[p..].iter().all(|piece| *piece == Piece::Run)
}

fn piece_matches(piece: &Piece, c: char) -> bool {
    match piece {
        Piece::Literal(literal) => *literal == c,
        Piece::One | Piece::Run => true,
        Piece::Class { negated, ranges } => {
            ranges.iter().any(|&(first, last)| first <= c && c <= last) != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, stream: &str, expected: bool) {
        let bucket = BucketName::parse("b").expect("a valid name");
        let parsed = StreamPattern::parse(bucket, pattern).expect("a valid pattern");
        let key = StreamKey::parse("b", stream).expect("a valid name");
        assert_eq!(parsed.matches(&key), expected, "{pattern} against {stream}");
    }

    #[test]
    fn a_pattern_matches_whole_names_level_by_level() {
        for (pattern, stream, expected) in [
            ("*", "temp", true),
            ("*", "a/temp", false),
            ("**", "a/temp", true),
            ("a/**", "a", true),
            ("a/**", "a/b/c", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("a/**/c", "a/b/b/d", false),
            ("a/*/temp", "a/x/temp", true),
            ("a/*/temp", "a/x/y/temp", false),
            ("t?mp", "temp", true),
            ("t?mp", "tmp", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[a-]x", "-x", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("**", "s-$patch", true),
            ("**", "$x", false),
            ("$*", "$x", true),
        ] {
            check(pattern, stream, expected);
        }
    }

    #[test]
    fn a_pattern_covers_another_only_if_it_matches_all_that_the_other_does() {
        let parse = |text: &str| {
            let bucket = BucketName::parse("b").expect("a valid name");
            StreamPattern::parse(bucket, text).expect("a valid pattern")
        };
        for (wide, narrow, expected) in [
            ("**", "a/*", true),
            ("**", "**", true),
            ("a/**", "a/b/**", true),
            ("a/**", "a/**/c", true),
            ("a/**", "**", false),
            ("*", "a?", true),
            ("*", "**", false),
            ("*/*", "a/[x]", true),
            ("a?", "a?", true),
            ("a?", "a*", false),
            ("a/**/c", "a/b/*/c", true),
            ("a/**/c", "a/b/*", false),
            ("**", "$x*", false),
            ("$*", "$*", true),
        ] {
            let wide = parse(wide);
            assert_eq!(wide.covers(&parse(narrow)), expected, "{wide:?} over {narrow}");
        }
    }

    #[test]
    fn a_malformed_pattern_is_refused() {
        let bucket = BucketName::parse("b").expect("a valid name");
        for bad in ["", "a**", "[a", "[", "[!", "[a-"] {
            assert!(StreamPattern::parse(bucket.clone(), bad).is_err(), "{bad}");
        }
    }
}
