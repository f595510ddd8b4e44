//! Header lines of one received head: the head's bytes, frozen, and where each name and value lies in them.
//!
//! Built by the request and response parsers from what `httparse` found; read by the faces. Nothing is
//! copied, and up to 14 lines need no allocation. Names and values hold no control character but the tab: the
//! parser refused them.
//!
//! Invariant: every span lies inside `block`, which is no longer than `HEAD_BYTES_CAP`, so that 16 bits are
//! enough.

use std::fmt;

use bytes::Bytes;

use crate::config::HEAD_BYTES_CAP;

/// Lines kept without an allocation. Browsers send 10 to 14, clients of the API 4 to 8.
const INLINE_LINES: usize = 14;

/// A piece of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u16,
    len: u16,
}

impl Span {
    /// The span of `part` inside `whole`; both must be slices of one head.
    pub(crate) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        Self::new(start, part.len())
    }

    /// The span of `len` bytes from `start`.
    pub(crate) fn new(start: usize, len: usize) -> Self {
        assert!(start + len <= HEAD_BYTES_CAP, "a head is longer than its cap");
        Self { start: start as u16, len: len as u16 }
    }

    /// The bytes meant, in the head this span was made for.
    pub(crate) fn of_block(self, block: &[u8]) -> &[u8] {
        &block[usize::from(self.start)..][..usize::from(self.len)]
    }

    /// The positions meant.
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        usize::from(self.start)..usize::from(self.start) + usize::from(self.len)
    }

    /// The same piece where everything stands `by` bytes further on.
    pub(crate) fn moved(self, by: isize) -> Self {
        let start = usize::from(self.start).checked_add_signed(by).expect("a head begins at 0");
        Self::new(start, usize::from(self.len))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    name: Span,
    value: Span,
}

/// Where the lines lie, before and after the head is frozen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    count: u16,
    inline: [Line; INLINE_LINES],
    /// All lines, if there are more than fit inline; otherwise empty.
    spilled: Box<[Line]>,
}

impl Lines {
    /// Notes where `parsed`, slices of `block`, lie in it.
    pub(crate) fn locate(parsed: &[httparse::Header<'_>], block: &[u8]) -> Self {
        let line_of = |header: &httparse::Header<'_>| Line {
            name: Span::of(header.name.as_bytes(), block),
            value: Span::of(header.value, block),
        };
        let mut lines = Self { count: parsed.len() as u16, ..Self::default() };
        if parsed.len() <= INLINE_LINES {
            for (line, header) in lines.inline.iter_mut().zip(parsed) {
                *line = line_of(header);
            }
        } else {
            lines.spilled = parsed.iter().map(line_of).collect();
        }
        lines
    }

    fn as_slice(&self) -> &[Line] {
        if self.spilled.is_empty() { &self.inline[..usize::from(self.count)] } else { &self.spilled }
    }

    /// The same lines `by` bytes further on.
    fn moved(&self, by: isize) -> Self {
        let mut lines = self.clone();
        let Self { count, inline, spilled } = &mut lines;
        let used = if spilled.is_empty() { &mut inline[..usize::from(*count)] } else { spilled };
        for Line { name, value } in used {
            (*name, *value) = (name.moved(by), value.moved(by));
        }
        lines
    }
}

/// The header lines of a request or response, in the order received.
#[derive(Clone)]
pub struct Headers {
    block: Bytes,
    lines: Lines,
}

/// Names only: values hold tokens and passwords, which no debug line may carry into a log.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl Headers {
    pub(crate) fn new(block: Bytes, lines: Lines) -> Self {
        Self { block, lines }
    }

    /// The same lines in another head of the same layout.
    pub(crate) fn with_block(&self, block: Bytes) -> Self {
        assert_eq!(block.len(), self.block.len(), "the layout has a length");
        Self { block, lines: self.lines.clone() }
    }

    /// The same lines in another head, whose lines stand `by` bytes further on.
    pub(crate) fn moved(&self, block: Bytes, by: isize) -> Self {
        assert_eq!(self.block.len().checked_add_signed(by), Some(block.len()), "the lines are the same");
        Self { block, lines: self.lines.moved(by) }
    }

    /// The value of the first line called `name` (in any case), without the spaces around it.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// As [`Headers::get`]; `None` also if the value is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// The values of all lines called `name` (in any case), in order.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.lines.as_slice().iter();
        lines
            .filter(move |line| line.name.of_block(&self.block).eq_ignore_ascii_case(name.as_bytes()))
            .map(|line| line.value.of_block(&self.block))
    }

    /// All lines as (name, value), in order; names as they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.as_slice().iter().map(|line| {
            let name = line.name.of_block(&self.block);
            // Names are tokens, so ASCII; the empty default is never reached.
            (std::str::from_utf8(name).unwrap_or_default(), line.value.of_block(&self.block))
        })
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        usize::from(self.lines.count)
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.count == 0
    }

    /// The whole head as received, for other spans of it.
    pub(crate) fn block(&self) -> &[u8] {
        &self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(count: usize) -> Headers {
        let text: String = (0..count).map(|index| format!("N{index}: v{index}\r\n")).collect();
        let block = Bytes::from(text + "\r\n");
        let mut parsed = [httparse::EMPTY_HEADER; 40];
        let lines = match httparse::parse_headers(&block, &mut parsed) {
            Ok(httparse::Status::Complete((_, parsed))) => Lines::locate(parsed, &block),
            other => panic!("{other:?}"),
        };
        Headers::new(block, lines)
    }

    #[test]
    fn every_line_is_found_whether_inline_or_spilled() {
        for count in [0, 1, INLINE_LINES, INLINE_LINES + 1, 40] {
            let headers = headers_of(count);
            assert_eq!(headers.len(), count);
            assert_eq!(headers.is_empty(), count == 0);
            for (index, (name, value)) in headers.iter().enumerate() {
                assert_eq!((name, value), (&*format!("N{index}"), format!("v{index}").as_bytes()));
                assert_eq!(headers.get(&format!("n{index}")), Some(value));
            }
            assert_eq!(headers.get("n"), None);
        }
    }

    #[test]
    fn debug_text_has_names_and_no_values() {
        assert_eq!(format!("{:?}", headers_of(2)), "[\"N0\", \"N1\"]");
    }

    #[test]
    fn up_to_fourteen_lines_need_no_allocation() {
        assert!(headers_of(INLINE_LINES).lines.spilled.is_empty());
        assert!(!headers_of(INLINE_LINES + 1).lines.spilled.is_empty());
    }
}
