//! The command line of the bench, as `cargo bench` and `cargo test` give it.
//!
//! Cargo says `--bench` when it measures; without that word every case runs once. `cargo test` passes its
//! own harness's words to every target, so in that mode what is not known is passed over.

use std::path::PathBuf;

/// How to call it.
pub const USAGE: &str = "cargo bench -p benches -- [--filter TEXT] [--json] [--no-instructions] \
                         [--against FILE] [--list]";

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Measure; otherwise run each case once.
    pub is_measuring: bool,
    /// Only cases whose names contain this.
    pub filter: Option<String>,
    /// A line of JSON for each case instead of a table.
    pub is_json: bool,
    /// Leave out callgrind.
    pub no_instructions: bool,
    /// Lines of an earlier `--json` to compare with.
    pub against: Option<PathBuf>,
    /// Only print the names.
    pub is_list: bool,
    /// Run the measured rounds of this case and print the count of events.
    pub under_callgrind: Option<String>,
}

impl Arguments {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// The word that is wrong, when measuring.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Arguments, String> {
        let mut arguments = Arguments::default();
        let (mut unknown, mut words) = (None, words.into_iter());
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--bench" => arguments.is_measuring = true,
                "--json" => arguments.is_json = true,
                "--no-instructions" => arguments.no_instructions = true,
                "--list" => arguments.is_list = true,
                "--filter" => arguments.filter = Some(value()?),
                "--against" => arguments.against = Some(value()?.into()),
                "--under-callgrind" => arguments.under_callgrind = Some(value()?),
                // As the usual harness reads it.
                text if !text.starts_with('-') => arguments.filter = Some(word),
                _ => unknown = Some(format!("{word} is not known; {USAGE}")),
            }
        }
        unknown.filter(|_| arguments.is_measuring).map_or(Ok(arguments), Err)
    }

    /// Whether the case of this name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn cargo_test_may_say_what_it_likes_and_cargo_bench_may_not() {
        assert_eq!(parse("--nocapture --quiet").map(|a| a.is_measuring), Ok(false));
        assert!(parse("--jsonn --bench").is_err_and(|why| why.starts_with("--jsonn")));
        assert!(parse("--bench --filter").is_err());
    }

    #[test]
    fn a_filter_is_part_of_a_name() {
        let arguments = parse("--bench --filter http1/").expect("a sound line");
        assert!(arguments.wants("http1/request") && !arguments.wants("engine/append/1"));
        assert_eq!(parse("http1/ --bench").map(|a| a.filter), Ok(Some("http1/".to_owned())));
    }
}
