//! The access log: lines of all cores into one file or stderr, written by one thread.
//!
//! Each core has a lane of its own, a buffer behind a lock that the writer holds for no longer than it takes
//! to swap it against an empty one. A lane that is full drops lines and counts them; a core never waits for
//! the disk. Several lines are written at once, at the latest after [`GATHER`].

use crate::observe::Counter;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;
use types::CoreId;

/// How long the writer lets lines gather once there is one.
const GATHER: Duration = Duration::from_millis(20);
/// What a lane keeps of its memory from one write to the next.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard error.
    Stderr,
    /// The end of this file, which is made where it is not there.
    File(PathBuf),
}

/// A handle; clones write to the same log.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lanes: Box<[Lane]>,
    lane_bytes_max: usize,
    is_closed: AtomicBool,
    wants_reopen: AtomicBool,
    /// Lines that could not be written.
    lost: AtomicU64,
    writer: Mutex<Option<JoinHandle<()>>>,
    writer_thread: Thread,
}

/// Lines of one core that wait. Counters are the core's own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane {
    waiting: Mutex<Batch>,
    lines: Counter,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    lines: u64,
}

impl AccessLog {
    /// Opens the log and starts its thread. `waiting_bytes_max` bounds what waits, of all cores together.
    ///
    /// # Errors
    /// The file cannot be opened, or the system gives no thread.
    pub fn open(target: Target, core_count: usize, waiting_bytes_max: usize) -> io::Result<AccessLog> {
        let out = Out::open(target)?;
        let (hand_over, handed) = std::sync::mpsc::channel::<Arc<Shared>>();
        let writer = thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            // Whoever could not hand it over has gone.
            if let Ok(shared) = handed.recv() {
                write_until_closed(&shared, out);
            }
        })?;
        let writer_thread = writer.thread().clone();
        let shared = Arc::new(Shared {
            lanes: (0..core_count).map(|_| Lane::default()).collect(),
            lane_bytes_max: waiting_bytes_max / core_count.max(1),
            is_closed: AtomicBool::new(false),
            wants_reopen: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            writer: Mutex::new(Some(writer)),
            writer_thread,
        });
        // The thread waits for nothing else.
        let _ = hand_over.send(shared.clone());
        Ok(AccessLog(shared))
    }

    /// Puts a line, with its end, into the lane of `core`; only on that core. Never waits for the disk.
    pub fn push(&self, core: CoreId, line: &str) {
        let shared = &*self.0;
        let lane = &shared.lanes[usize::from(core.0)];
        let mut waiting = lock(&lane.waiting);
        if waiting.text.len() + line.len() > shared.lane_bytes_max {
            drop(waiting);
            return lane.dropped.add(1);
        }
        let was_empty = waiting.text.is_empty();
        waiting.text.extend_from_slice(line.as_bytes());
        waiting.lines += 1;
        drop(waiting);
        lane.lines.add(1);
        if was_empty {
            shared.writer_thread.unpark();
        }
    }

    /// Opens the file anew before the next line is written: after it was moved away.
    pub fn reopen(&self) {
        self.0.wants_reopen.store(true, Ordering::Release);
        self.0.writer_thread.unpark();
    }

    /// Writes what waits and ends the thread. What is pushed later is lost.
    pub fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
        self.0.writer_thread.unpark();
        let writer = lock(&self.0.writer).take();
        // A writer that panicked has said so itself.
        writer.map(JoinHandle::join);
    }

    /// Lines that were taken, of all cores.
    pub fn lines(&self) -> u64 {
        self.sum(|lane| &lane.lines)
    }

    /// Lines that found no room or could not be written, of all cores.
    pub fn dropped(&self) -> u64 {
        self.sum(|lane| &lane.dropped) + self.0.lost.load(Ordering::Relaxed)
    }

    fn sum(&self, pick: impl Fn(&Lane) -> &Counter) -> u64 {
        self.0.lanes.iter().map(|lane| pick(lane).get()).sum()
    }
}

/// What the thread does.
fn write_until_closed(shared: &Shared, mut out: Out) {
    let mut batch = Batch::default();
    loop {
        let is_last = shared.is_closed.load(Ordering::Acquire);
        if shared.wants_reopen.swap(false, Ordering::AcqRel) {
            out.reopen();
        }
        let mut has_written = false;
        for lane in &shared.lanes {
            std::mem::swap(&mut *lock(&lane.waiting), &mut batch);
            if !batch.text.is_empty() {
                has_written = true;
                if !out.write(&batch.text) {
                    shared.lost.fetch_add(batch.lines, Ordering::Relaxed);
                }
            }
            batch.lines = 0;
            batch.text.clear();
            batch.text.shrink_to(KEPT_BYTES_MAX);
        }
        match (is_last, has_written) {
            (true, _) => return,
            (false, true) => thread::sleep(GATHER),
            (false, false) => {
                thread::park();
                if !shared.is_closed.load(Ordering::Acquire) {
                    thread::sleep(GATHER);
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section leaves the value whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file or the stream.
struct Out {
    target: Target,
    /// `None` for stderr, and after a file could not be opened again.
    file: Option<File>,
    has_complained: bool,
}

impl Out {
    fn open(target: Target) -> io::Result<Out> {
        let file = match &target {
            Target::Stderr => None,
            Target::File(path) => Some(open_file(path)?),
        };
        Ok(Out { target, file, has_complained: false })
    }

    fn reopen(&mut self) {
        if let Target::File(path) = &self.target {
            match open_file(path) {
                Ok(file) => self.file = Some(file),
                // The old one goes on being written.
                Err(error) => self.complain(&error),
            }
        }
    }

    /// Whether all was written.
    fn write(&mut self, text: &[u8]) -> bool {
        let written = match &mut self.file {
            Some(file) => file.write_all(text),
            None => io::stderr().write_all(text),
        };
        match written {
            Ok(()) => self.has_complained = false,
            Err(error) => {
                self.complain(&error);
                return false;
            }
        }
        true
    }

    /// Once, until it works again: whoever looks sees the counter.
    fn complain(&mut self, error: &io::Error) {
        if let (Target::File(path), false) = (&self.target, self.has_complained) {
            self.has_complained = true;
            let path = path.display();
            eprintln!(
                "millrace: the access log {path} cannot be written: {error}; lines are dropped and counted"
            );
        }
    }
}

fn open_file(path: &PathBuf) -> io::Result<File> {
    // Who may read addresses and names of streams is the operator's affair, not everybody's.
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("millrace-access-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the test");
        dir.join("access.log")
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).expect("it was written")
    }

    fn remove(path: &Path) {
        std::fs::remove_dir_all(path.parent().expect("a directory")).expect("it was made");
    }

    #[test]
    fn lines_of_all_cores_are_in_the_file_when_the_log_is_closed() {
        let path = scratch("lines");
        let log = AccessLog::open(Target::File(path.clone()), 2, 1 << 20).expect("opened");
        for number in 0..100_u16 {
            log.push(CoreId(number % 2), &format!("{number}\n"));
        }
        log.close();
        let text = text(&path);
        let of_core =
            |rest| text.lines().filter(|line| line.parse::<u16>().is_ok_and(|n| n % 2 == rest)).count();
        assert_eq!((of_core(0), of_core(1)), (50, 50));
        assert_eq!((log.lines(), log.dropped()), (100, 0));
        let zero: Vec<&str> =
            text.lines().filter(|line| line.parse::<u16>().is_ok_and(|n| n % 2 == 0)).collect();
        assert!(zero.windows(2).all(|two| two[0].parse::<u16>().ok() < two[1].parse().ok()), "in order");
        remove(&path);
    }

    #[test]
    fn a_full_lane_drops_and_counts_and_another_core_does_not_notice() {
        let path = scratch("full");
        let log = AccessLog::open(Target::File(path.clone()), 2, 2 * 100).expect("opened");
        let held = lock(&log.0.lanes[1].waiting);
        let long = format!("{}\n", "x".repeat(60));
        // The writer may take the first of them away in between; it cannot take all of them a line each.
        (0..1000).for_each(|_| log.push(CoreId(0), &long));
        assert!(log.dropped() > 0);
        assert_eq!(log.lines() + log.dropped(), 1000);
        drop(held);
        log.push(CoreId(1), "other\n");
        log.close();
        assert!(text(&path).lines().any(|line| line == "other"));
        assert_eq!(text(&path).lines().count() as u64, log.lines());
        remove(&path);
    }

    #[test]
    fn after_a_reopen_lines_go_to_a_new_file_of_the_same_name() {
        let path = scratch("reopen");
        let log = AccessLog::open(Target::File(path.clone()), 1, 1 << 20).expect("opened");
        log.push(CoreId(0), "before\n");
        while std::fs::metadata(&path).expect("there").len() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let moved = path.with_extension("1");
        std::fs::rename(&path, &moved).expect("renamed");
        log.reopen();
        log.push(CoreId(0), "after\n");
        log.close();
        assert_eq!((text(&moved), text(&path)), ("before\n".to_owned(), "after\n".to_owned()));
        remove(&path);
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let log = AccessLog::open(Target::File("/dev/full".into()), 1, 1 << 20).expect("opened");
        log.push(CoreId(0), "one\n");
        log.push(CoreId(0), "two\n");
        log.close();
        assert_eq!((log.lines(), log.dropped()), (2, 2));
        assert!(AccessLog::open(Target::File("/nowhere/at/all".into()), 1, 1).is_err());
    }
}
