//! `post --lines`: an event for each line of stdin or of a file, pipelined over one connection.
//!
//! One thread reads lines and sends requests, another one receives the answers; between them stands a queue
//! of what is under way, whose bound is the window. Every line ends in exactly one count: stored, refused,
//! unknown (sent, the connection broke before the answer) or unsent. Nothing is sent twice by itself.

use super::address::Target;
use super::answer::failure_of;
use super::client::{Call, Client, RequestSender};
use super::error::{CliError, Exit};
use super::payload;
use super::remote_args::{PostArgs, RemoteFlags};
use super::session;
use super::tally::{Span, Tally};
use bytes::BytesMut;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Encoded requests that are sent together.
const FLUSH_BYTES: usize = 64 * 1024;
/// Longest line: the largest body that a server can be configured to take.
const LINE_BYTES_MAX: u64 = 1 << 30;
const NDJSON: &str = "application/x-ndjson";

/// Posts every line and tells the counts.
///
/// # Errors
/// [`Exit::Refused`] when a line was refused, [`Exit::Unreachable`] when the connection broke; the message
/// has the counts. [`Exit::Usage`] and [`Exit::Io`] before anything was sent.
pub(crate) fn post_lines(args: &PostArgs, flags: &RemoteFlags, out: &mut dyn Write) -> Result<(), CliError> {
    if args.batch > 1 && args.content_type.is_some() {
        return Err(CliError::new(Exit::Usage, "--batch sends lines of JSON; it cannot go with -c"));
    }
    let target =
        Target::stream(&args.stream.bucket, &args.stream.stream)?.query_some("ack", args.ack.as_deref());
    let (reader, length) = payload::open_lines(args.payload.as_deref())?;
    let client = session::open(flags)?.1;
    let progress = progress_bar(length, args.quiet || flags.verbose);
    let tally = run(args, &target, reader, client, &progress)?;
    progress.finish_and_clear();
    let report = if flags.json { tally.to_json() } else { tally.to_text() };
    writeln!(out, "{report}").map_err(|error| CliError::output(&error))?;
    tally.verdict()
}

/// Runs both threads to their end.
fn run(
    args: &PostArgs,
    target: &Target,
    reader: BufReader<Box<dyn Read>>,
    client: Client,
    progress: &ProgressBar,
) -> Result<Tally, CliError> {
    let window = usize::try_from(args.window).expect("the argument is at most 1024");
    let (under_way, answered) = sync_channel(window);
    let hopeless = &AtomicBool::new(false);
    let mut sending = Sending {
        args,
        target,
        sender: client.another_sender(),
        under_way,
        buffer: BytesMut::new(),
        lines_read: 0,
        lines_sent: 0,
    };
    std::thread::scope(|scope| {
        let receiving = scope.spawn(move || receive_all(client, &answered, progress, hopeless));
        let sent = sending.send_all(reader, hopeless);
        let (lines_read, lines_sent) = (sending.lines_read, sending.lines_sent);
        // Hanging up the queue ends the other thread once everything that was sent is answered.
        drop(sending);
        let mut tally = receiving.join().expect("the receiving thread returns its errors");
        tally.close(lines_read, lines_sent, sent.err());
        Ok(tally)
    })
}

/// The sending thread's state.
struct Sending<'a> {
    args: &'a PostArgs,
    target: &'a Target,
    sender: RequestSender,
    under_way: SyncSender<Span>,
    buffer: BytesMut,
    lines_read: u64,
    lines_sent: u64,
}

impl Sending<'_> {
    /// Sends everything; returns early when the other side gave up.
    fn send_all(
        &mut self,
        mut reader: BufReader<Box<dyn Read>>,
        hopeless: &AtomicBool,
    ) -> Result<(), CliError> {
        let mut body = Vec::new();
        let mut span = Span { first_line: 1, count: 0, bytes: 0 };
        while !hopeless.load(Ordering::Relaxed) {
            // The next read may wait for somebody at a keyboard: nothing is held back meanwhile. With an
            // idempotency key the batches must be cut alike in every run, so a batch waits to be full.
            if !reader.buffer().contains(&b'\n') {
                if self.args.idempotency_key.is_none() && span.count > 0 {
                    self.submit(&mut body, &mut span)?;
                }
                self.flush()?;
            }
            let Some(line) = read_line(&mut reader)? else {
                break;
            };
            self.lines_read += 1;
            span.bytes += line.len() as u64 + 1;
            if line.is_empty() {
                continue;
            }
            if span.count == 0 {
                span.first_line = self.lines_read;
            }
            span.count += 1;
            body.extend_from_slice(&line);
            if self.args.batch > 1 {
                body.push(b'\n');
            }
            if span.count == self.args.batch {
                self.submit(&mut body, &mut span)?;
            }
        }
        if span.count > 0 && !hopeless.load(Ordering::Relaxed) {
            self.submit(&mut body, &mut span)?;
        }
        self.flush()
    }

    /// Encodes one request and puts it into the queue of what is under way.
    fn submit(&mut self, body: &mut Vec<u8>, span: &mut Span) -> Result<(), CliError> {
        let content_type = match &self.args.content_type {
            _ if self.args.batch > 1 => NDJSON,
            Some(content_type) => content_type,
            None => "application/json",
        };
        let key = self.args.idempotency_key.as_ref().map(|key| format!("{key}-{}", span.first_line));
        let call = Call::new("POST", self.target.as_str())
            .header("Content-Type", content_type)
            .header_some("Idempotency-Key", key)
            .body(body);
        self.sender.encode(&call, &mut self.buffer)?;
        self.lines_sent += span.count;
        let gone = CliError::new(Exit::Unreachable, "the connection broke");
        match self.under_way.try_send(*span) {
            Ok(()) => {}
            Err(TrySendError::Full(span)) => {
                // What fills the window must be on its way before this thread waits for room in it.
                self.flush()?;
                self.under_way.send(span).map_err(|_| gone)?;
            }
            Err(TrySendError::Disconnected(_)) => return Err(gone),
        }
        if self.buffer.len() >= FLUSH_BYTES {
            self.flush()?;
        }
        body.clear();
        *span = Span { first_line: 0, count: 0, bytes: 0 };
        Ok(())
    }

    fn flush(&mut self) -> Result<(), CliError> {
        if !self.buffer.is_empty() {
            let buffer = self.buffer.split();
            self.sender.write(&buffer)?;
        }
        Ok(())
    }
}

/// The receiving thread: one answer for each request under way, in their order.
fn receive_all(
    mut client: Client,
    answered: &Receiver<Span>,
    progress: &ProgressBar,
    hopeless: &AtomicBool,
) -> Tally {
    let mut tally = Tally::default();
    while let Ok(span) = answered.recv() {
        match client.receive() {
            Ok(response) if (200..=299).contains(&response.head.status()) => {
                tally.count_stored(span, &response);
            }
            Ok(response) => {
                if is_hopeless(response.head.status()) {
                    hopeless.store(true, Ordering::Relaxed);
                }
                let failure = failure_of(&response);
                progress.suspend(|| tally.count_refused(span, &failure));
            }
            Err(error) => {
                tally.lost = Some(error);
                // Returning hangs up the queue, so the sending thread stops too.
                return tally;
            }
        }
        progress.inc(if progress.length().is_some() { span.bytes } else { span.count });
    }
    tally
}

/// Answers that every further line would get as well.
fn is_hopeless(status: u16) -> bool {
    matches!(status, 401 | 403 | 404 | 405 | 415 | 503 | 507)
}

/// The next line without its end; `None` at the end of the input.
fn read_line(reader: &mut BufReader<Box<dyn Read>>) -> Result<Option<Vec<u8>>, CliError> {
    let mut line = Vec::new();
    let mut bounded = reader.take(LINE_BYTES_MAX + 1);
    let count = bounded
        .read_until(b'\n', &mut line)
        .map_err(|error| CliError::io("cannot read the lines", &error))?;
    if count as u64 > LINE_BYTES_MAX {
        return Err(CliError::new(Exit::Usage, "a line is longer than 1 GiB, which no server takes"));
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok((count > 0).then_some(line))
}

/// A bar on a terminal (bytes where the length is known, else a count of events), nothing elsewhere.
fn progress_bar(length: Option<u64>, is_quiet: bool) -> ProgressBar {
    if is_quiet {
        return ProgressBar::hidden();
    }
    let (bar, template) = match length {
        Some(length) => {
            (ProgressBar::new(length), "{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} events  {per_sec}  {elapsed}"),
    };
    let style = ProgressStyle::with_template(template).expect("the template is constant and sound");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
