//! Colours, where a person reads and has not said no: a terminal, no `NO_COLOR`, not `TERM=dumb`.
//!
//! Used by `doctor` and `inspect` for one word a line; no meaning is ever carried by colour alone, and
//! nothing that another program reads is coloured.

use std::io::IsTerminal;

/// What a word means; decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Fine.
    Good,
    /// Worth knowing.
    Notice,
    /// Wrong.
    Bad,
}

/// Whether stdout takes colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    is_on: bool,
}

impl Paint {
    /// Looks at stdout and the environment. `NO_COLOR` counts when it is set to anything but nothing
    /// (no-color.org).
    pub(crate) fn for_stdout() -> Paint {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Paint { is_on: std::io::stdout().is_terminal() && !set("NO_COLOR") && !is_dumb }
    }

    /// Never a colour.
    #[cfg(test)]
    pub(crate) fn plain() -> Paint {
        Paint { is_on: false }
    }

    /// The text in the colour of its tone.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Notice => 33,
            Tone::Bad => 31,
        };
        if self.is_on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
