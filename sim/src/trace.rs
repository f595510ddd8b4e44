//! What happened in a run, as one running hash, and as text when somebody wants to read it.
//!
//! Everything that the world does passes through here: operations, completions, crashes, commands,
//! replies, deliveries. Two runs of one seed must give the same hash; the meta test compares them.
//! The hash never feeds back into a decision.

use std::fmt::{self, Write};

/// The running hash of a run.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    count: u64,
    /// The lines so far, kept only when asked for.
    lines: Option<Vec<String>>,
}

impl Default for Trace {
    fn default() -> Self {
        Trace { hash: 0xcbf2_9ce4_8422_2325, count: 0, lines: None }
    }
}

impl Trace {
    /// A trace that also keeps every line as text.
    pub fn readable() -> Self {
        Trace { lines: Some(Vec::new()), ..Trace::default() }
    }

    /// Takes one thing that happened.
    pub fn note(&mut self, what: fmt::Arguments<'_>) {
        self.count += 1;
        if let Some(lines) = &mut self.lines {
            let line = format!("{:>6} {what}", self.count);
            lines.push(line);
        }
        let _ = self.write_fmt(what);
        self.bytes(b"\n");
    }

    /// Takes content that is too long for a line.
    pub fn bytes(&mut self, bytes: &[u8]) {
        // Eight bytes at a time: the content of every write passes here.
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let word = u64::from_le_bytes(chunk.try_into().expect("chunks have eight bytes"));
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        for &byte in chunks.remainder() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        crate::rng::mix(self.hash ^ self.count)
    }

    /// How many things happened.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The lines, when they are kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_content_and_order() {
        let trace = |lines: &[&str]| {
            let mut trace = Trace::default();
            lines.iter().for_each(|line| trace.note(format_args!("{line}")));
            trace.hash()
        };
        assert_eq!(trace(&["a", "b"]), trace(&["a", "b"]));
        assert_ne!(trace(&["a", "b"]), trace(&["b", "a"]));
        assert_ne!(trace(&["a", "b"]), trace(&["ab"]));
    }

    #[test]
    fn reading_along_does_not_change_the_hash() {
        let (mut plain, mut readable) = (Trace::default(), Trace::readable());
        for trace in [&mut plain, &mut readable] {
            trace.note(format_args!("write {}", 7));
            trace.bytes(&[1; 20]);
        }
        assert_eq!(plain.hash(), readable.hash());
        assert_eq!(readable.lines().len(), 1);
    }
}
