//! Answers onto the socket: encoded into the connection's output, sent when there is enough or no more.
//!
//! A reply of many pages is sent page by page and nothing else of the connection moves meanwhile. A client
//! that does not read is given up after `limits.body_timeout_ms` without progress.

use super::appended::encode_appended;
use super::core::Core;
use super::cors::Stamp;
use super::flight::Answer;
use super::pages::PagedReply;
use super::reply::encode_failure;
use crate::sys::net::Stream;
use bytes::BytesMut;
use http1::{BodyForm, ReplyTo};
use std::time::Duration;

/// Output that is sent without waiting for more.
const SEND_BYTES: usize = 64 * 1024;
/// Capacity that is kept from one reply to the next.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// The connection can carry nothing more.
#[derive(Debug)]
pub(super) struct WriteFailed;

/// Where a connection's answers go.
pub(super) struct Outgoing<'a> {
    pub core: &'a Core,
    pub stream: &'a mut Stream,
    pub output: &'a mut BytesMut,
}

impl Outgoing<'_> {
    /// Encodes an answer, and sends if there is much to send. Gives its status and how many bytes it has.
    ///
    /// # Errors
    /// [`WriteFailed`] also when a body had to be cut short.
    pub(super) async fn write(
        &mut self,
        answer: Answer,
        to: ReplyTo,
        (as_problem, stamp): (bool, Stamp),
    ) -> Result<(u16, usize), WriteFailed> {
        let (date, start) = (self.core.date(), self.output.len());
        let status = match answer {
            Answer::Appended(stream, appended) => {
                encode_appended(&stream, &appended, self.output, to, &date);
                if appended.replayed { 200 } else { 201 }
            }
            Answer::Reply(reply) => {
                reply.encode(self.output, to, &date);
                reply.status
            }
            Answer::Failed(failure) => {
                encode_failure(&failure, as_problem, self.output, to, &date);
                failure.status()
            }
            Answer::Pages(paged) => {
                let status = paged.base.status;
                self.core.counters().count_reply(status);
                return Ok((status, self.write_pages(*paged, to, stamp).await?));
            }
        };
        self.core.cors().stamp(stamp, self.output, start);
        self.core.counters().count_reply(status);
        let encoded = self.output.len() - start;
        if self.output.len() >= SEND_BYTES {
            self.flush().await?;
        }
        Ok((status, encoded))
    }

    async fn write_pages(
        &mut self,
        paged: PagedReply,
        to: ReplyTo,
        stamp: Stamp,
    ) -> Result<usize, WriteFailed> {
        let PagedReply { base, first: mut page, mut pages } = paged;
        let start = self.output.len();
        let form = base.begin(self.output, to, &self.core.date()).ok_or(WriteFailed)?;
        self.core.cors().stamp(stamp, self.output, start);
        let mut encoded = self.output.len() - start;
        if form == BodyForm::None {
            return Ok(encoded);
        }
        loop {
            let before = self.output.len();
            if pages.is_over() {
                pages.write_end(&mut page);
            }
            match form {
                BodyForm::Chunks => http1::write_chunk(self.output, &page),
                _ => self.output.extend_from_slice(&page),
            }
            encoded += self.output.len() - before;
            if pages.is_over() {
                break;
            }
            self.flush().await?;
            page.clear();
            pages.write_next(&mut page).await.map_err(|_| WriteFailed)?;
        }
        if form == BodyForm::Chunks {
            let before = self.output.len();
            http1::write_last_chunk(self.output);
            encoded += self.output.len() - before;
        }
        self.flush().await?;
        Ok(encoded)
    }

    /// Sends what was encoded.
    ///
    /// # Errors
    /// [`WriteFailed`] if the client went away or does not read.
    pub(super) async fn flush(&mut self) -> Result<(), WriteFailed> {
        if self.output.is_empty() {
            return Ok(());
        }
        let stall_max = Duration::from_millis(self.core.limits().body_timeout_ms);
        let sent = self.stream.write_all(&[&self.output[..]], stall_max).await;
        self.core.counters().bytes_out.add(self.output.len() as u64);
        if self.output.capacity() > KEPT_BYTES_MAX {
            *self.output = BytesMut::new();
        } else {
            self.output.clear();
        }
        sent.map_err(|_| WriteFailed)
    }
}
