//! What SIGHUP does: everything that may change while the server runs is read again.
//!
//! Whoever can read something again adds it to the list when it starts; the thread that waits for signals
//! goes through the list. What fails leaves things as they were. Each tells one line on stderr, and nobody
//! who listens to it is no reason to fail: the terminal may be what hung up.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads something again; the line to be told, either way.
pub type Reload = Box<dyn FnMut() -> Result<String, String> + Send>;

/// The list. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Reloads(Arc<Mutex<Vec<Reload>>>);

impl Reloads {
    /// Adds what is to be read again.
    pub(super) fn add(&self, reload: impl FnMut() -> Result<String, String> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(reload));
    }

    /// Adds several.
    pub(super) fn extend(&self, reloads: Vec<Reload>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(reloads);
    }

    /// Reads everything again and tells it.
    pub(super) fn run(&self) {
        self.lines().iter().for_each(|line| tell(line));
    }

    fn lines(&self) -> Vec<String> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.is_empty() {
            return vec!["SIGHUP: there is nothing to read again".to_owned()];
        }
        list.iter_mut().map(|reload| reload().unwrap_or_else(|failure| failure)).collect()
    }
}

/// A line on stderr, if it can be written.
pub(super) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "millrace: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_on_the_list_is_read_again_whatever_fails_before_it() {
        let reloads = Reloads::default();
        assert_eq!(reloads.lines(), ["SIGHUP: there is nothing to read again"]);
        let mut count = 0;
        reloads.add(|| Err("a stays as it is".to_owned()));
        reloads.add(move || {
            count += 1;
            Ok(format!("b read {count} times"))
        });
        assert_eq!(reloads.lines(), ["a stays as it is", "b read 1 times"]);
        assert_eq!(reloads.lines(), ["a stays as it is", "b read 2 times"]);
    }
}
