//! Rust text as tokens and lines, with comments and literals told apart from code.
//!
//! Not a parser: enough of the lexical grammar that a word in a string or a comment is never taken for
//! code, that braces match, and that code under `#[cfg(test)]` is known. Built for each `.rs` file by
//! `tree::check` and read by all rules. It never fails: a text that does not lex gives fewer tokens.

use std::ops::Range;

/// A word, a number, a literal's quote, `::` or one other character of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

/// A file, lexed.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) lines: Vec<String>,
    /// The lines with everything but comments left out.
    pub(crate) comments: Vec<String>,
    pub(crate) tokens: Vec<Token>,
    /// Ranges of tokens under `#[cfg(test)]`.
    pub(crate) test_ranges: Vec<Range<usize>>,
    /// Names in `#[cfg(test)] mod name;`.
    pub(crate) test_modules: Vec<String>,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Source {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, ..Lexer::default() };
        lexer.comments.resize(lines.len() + 2, String::new());
        lexer.run();
        let mut source = Source {
            path: path.to_owned(),
            lines,
            comments: lexer.comments,
            tokens: lexer.tokens,
            test_ranges: Vec::new(),
            test_modules: Vec::new(),
        };
        source.find_tests();
        source
    }

    /// Whether the token stands under `#[cfg(test)]`.
    pub(crate) fn is_test(&self, index: usize) -> bool {
        self.test_ranges.iter().any(|range| range.contains(&index))
    }

    /// The folder in which this file's child modules live.
    pub(crate) fn module_folder(&self) -> String {
        let (folder, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        match name {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
        }
    }

    pub(crate) fn text(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &token.text)
    }

    /// The index after the bracket that closes the one at `open`, or the end.
    pub(crate) fn after_closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate().skip(open) {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return index + 1;
            }
        }
        self.tokens.len()
    }

    /// The index of the first `{` or `;` outside of round and square brackets, from `start`.
    pub(crate) fn body_or_end(&self, start: usize) -> usize {
        let mut index = start;
        while index < self.tokens.len() && !matches!(self.text(index), "{" | ";") {
            index = match self.text(index) {
                "(" | "[" => self.after_closing(index),
                _ => index + 1,
            };
        }
        index
    }

    fn find_tests(&mut self) {
        let mut index = 0;
        while index < self.tokens.len() {
            let words: Vec<&str> = (index..index + 6).map(|at| self.text(at)).collect();
            let start = index;
            index += 1;
            match words.as_slice() {
                ["#", "!", "[", "cfg", "(", "test"] => self.test_ranges.push(start..self.tokens.len()),
                ["#", "[", "cfg", "(", "test", ")"] => index = self.skip_test_item(start),
                ["#", "[", "cfg", "(", "all", "("] if self.text(start + 6) == "test" => {
                    index = self.skip_test_item(start);
                }
                _ => {}
            }
        }
    }

    fn skip_test_item(&mut self, start: usize) -> usize {
        let mut item = start;
        while self.text(item) == "#" {
            item = self.after_closing(item + 1);
        }
        let body = self.body_or_end(item);
        let end = if self.text(body) == "{" { self.after_closing(body) } else { body + 1 };
        if self.text(body) == ";" && self.text(body.saturating_sub(2)) == "mod" {
            self.test_modules.push(self.text(body - 1).to_owned());
        }
        self.test_ranges.push(start..end);
        end
    }
}

#[derive(Default)]
struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<String>,
}

impl Lexer {
    fn run(&mut self) {
        while let Some(c) = self.peek(0) {
            match c {
                '/' if self.peek(1) == Some('/') => self.line_comment(),
                '/' if self.peek(1) == Some('*') => self.block_comment(),
                '"' => self.string(0, false),
                '\'' => self.quote(),
                _ if c.is_whitespace() => self.skip(1),
                _ if c.is_alphanumeric() || c == '_' => self.word(),
                ':' if self.peek(1) == Some(':') => self.push(2),
                _ => self.push(1),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            if self.peek(0) == Some('\n') {
                self.line += 1;
            }
            self.at += 1;
        }
    }

    fn push(&mut self, count: usize) {
        let end = (self.at + count).min(self.chars.len());
        let text = self.chars[self.at..end].iter().collect();
        self.tokens.push(Token { text, line: self.line });
        self.skip(count);
    }

    fn comment_char(&mut self) {
        if let (Some(c), Some(line)) = (self.peek(0), self.comments.get_mut(self.line - 1)) {
            line.push(c);
        }
        self.skip(1);
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.comment_char();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.peek(0).is_some() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                _ => {
                    self.comment_char();
                    continue;
                }
            }
            self.comment_char();
            self.comment_char();
            if depth == 0 {
                return;
            }
        }
    }

    /// A string from its opening quote; `hashes` is how many `#` close a raw one.
    fn string(&mut self, hashes: usize, raw: bool) {
        self.push(1);
        while let Some(c) = self.peek(0) {
            let closes = c == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if closes {
                self.skip(1 + hashes);
                return;
            }
            self.skip(if c == '\\' && !raw { 2 } else { 1 });
        }
    }

    /// A character literal or a lifetime.
    fn quote(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        if escaped || self.peek(2) == Some('\'') {
            self.push(1);
            self.skip(if escaped { 2 } else { 1 });
            while self.peek(0).is_some_and(|c| c != '\'') {
                self.skip(1);
            }
            self.skip(1);
        } else {
            self.push(1);
        }
    }

    fn word(&mut self) {
        let mut count = 1;
        while self.peek(count).is_some_and(|c| c.is_alphanumeric() || c == '_') {
            count += 1;
        }
        let text: String = self.chars[self.at..self.at + count].iter().collect();
        if !matches!(text.as_str(), "r" | "b" | "br" | "c" | "cr") {
            return self.push(count);
        }
        let raw = text.ends_with('r');
        let mut hashes = 0;
        while raw && self.peek(count + hashes) == Some('#') {
            hashes += 1;
        }
        match self.peek(count + hashes) {
            Some('"') => {
                self.skip(count + hashes);
                self.string(hashes, raw);
            }
            Some('\'') if text == "b" => {
                self.skip(count);
                self.quote();
            }
            _ => self.push(count),
        }
    }
}
