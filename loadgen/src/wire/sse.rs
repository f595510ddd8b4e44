//! Server-sent events as lines: `data:` is handed on, `id:` is remembered, an `event: close` is an end.
//!
//! Used by the listen wire with the pieces of a body as they come. Law: any split of the body gives the same.
//! What waits for its line's end is bounded by [`LINE_BYTES_MAX`].

use bytes::{Buf, BytesMut};

/// Longest line. An array of a server's whole outbox fits.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 20;

/// The lines of one event stream.
#[derive(Debug, Default)]
pub(crate) struct SseLines {
    rest: BytesMut,
    last_id: Vec<u8>,
    is_closing: bool,
}

impl SseLines {
    /// Takes a piece of the body; `on_text` gets the value of each `data:` line that is complete.
    ///
    /// # Errors
    /// A line is longer than [`LINE_BYTES_MAX`].
    pub(crate) fn handle_piece(
        &mut self,
        piece: &[u8],
        on_text: &mut dyn FnMut(&[u8]),
    ) -> Result<(), String> {
        // Only the new piece can hold the end of the line that waits.
        let mut from = self.rest.len();
        self.rest.extend_from_slice(piece);
        while let Some(at) = memchr::memchr(b'\n', &self.rest[from..]) {
            let end = from + at;
            let (last_id, is_closing) = (&mut self.last_id, &mut self.is_closing);
            handle_line(&self.rest[..end], last_id, is_closing, on_text);
            self.rest.advance(end + 1);
            from = 0;
        }
        if self.rest.len() > LINE_BYTES_MAX {
            return Err(format!("a line of the event stream is over {LINE_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// The last `id:`, to come back with; empty if none came.
    pub(crate) fn last_id(&self) -> &[u8] {
        &self.last_id
    }

    /// Whether the server said that it ends the stream.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing
    }
}

fn handle_line(line: &[u8], last_id: &mut Vec<u8>, is_closing: &mut bool, on_text: &mut dyn FnMut(&[u8])) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some(colon) = memchr::memchr(b':', &line[..line.len().min(6)]) else { return };
    let value = line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..]);
    match &line[..colon] {
        b"data" => on_text(value),
        b"id" => {
            last_id.clear();
            last_id.extend_from_slice(value);
        }
        b"event" => *is_closing = value == b"close",
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(body: &[u8], piece: usize) -> (Vec<Vec<u8>>, Vec<u8>, bool) {
        let (mut lines, mut texts) = (SseLines::default(), Vec::new());
        for part in body.chunks(piece.max(1)) {
            lines.handle_piece(part, &mut |text| texts.push(text.to_vec())).expect("lines are short");
        }
        (texts, lines.last_id().to_vec(), lines.is_closing())
    }

    #[test]
    fn texts_and_the_last_id_are_taken_and_comments_passed_over() {
        let body =
            b"id: a\n\n: beat\nid: b\r\ndata: [1]\n\nevent: gap\ndata: {}\n\nevent: close\ndata: {}\n\nda";
        let (texts, id, closing) = heard(body, 1000);
        assert_eq!(texts, [&b"[1]"[..], b"{}", b"{}"]);
        assert_eq!((&id[..], closing), (&b"b"[..], true));
    }

    proptest! {
        #[test]
        fn any_split_of_the_body_gives_the_same(
            body in prop::collection::vec(prop::sample::select(b"data: idevent\r\n\n\n".to_vec()), 0..120),
            piece in 1..50usize,
        ) {
            prop_assert_eq!(heard(&body, piece), heard(&body, 1));
        }
    }
}
