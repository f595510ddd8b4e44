//! Operations on files through the core's ring: read, write, flush.
//!
//! Each is under way from the call on, not from the first poll. Dropping the future loses the outcome and
//! nothing else: the ring keeps file and memory until the kernel is done with them.

use super::block::Block;
use super::ring::{Held, Outcome};
use super::with_ring;
use io_uring::types::{Fd, FsyncFlags};
use io_uring::{opcode, squeue};
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Writes the block at an offset; gives the count, which may be short.
///
/// # Errors
/// The system's.
pub(in crate::sys) async fn write(file: &Rc<File>, block: Block, offset: u64) -> io::Result<usize> {
    let entry =
        opcode::Write::new(Fd(file.as_raw_fd()), block.as_ptr(), length(&block)).offset(offset).build();
    let (result, _) = Op::start(entry, Held { file: file.clone(), block: Some(block) }).await;
    count(result)
}

/// Reads into the block from an offset; gives the count, 0 at the end of the file, and the block.
///
/// # Errors
/// The system's.
pub(in crate::sys) async fn read(
    file: &Rc<File>,
    mut block: Block,
    offset: u64,
) -> io::Result<(usize, Block)> {
    let descriptor = Fd(file.as_raw_fd());
    let entry = opcode::Read::new(descriptor, block.as_mut_ptr(), length(&block)).offset(offset).build();
    let (result, block) = Op::start(entry, Held { file: file.clone(), block: Some(block) }).await;
    Ok((count(result)?, block.expect("the block comes back with the outcome")))
}

/// Makes what was written durable (fdatasync).
///
/// # Errors
/// The system's.
pub(in crate::sys) async fn sync_data(file: &Rc<File>) -> io::Result<()> {
    let entry = opcode::Fsync::new(Fd(file.as_raw_fd())).flags(FsyncFlags::DATASYNC).build();
    let (result, _) = Op::start(entry, Held { file: file.clone(), block: None }).await;
    count(result).map(|_| ())
}

fn length(block: &Block) -> u32 {
    u32::try_from(block.len()).expect("groups and reads are far below 4 GiB")
}

fn count(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// An operation under way.
struct Op {
    /// Its slot; `None` once the outcome was fetched, or if the core has ended.
    key: Option<usize>,
}

impl Op {
    fn start(entry: squeue::Entry, held: Held) -> Op {
        let key = with_ring(|ring| ring.start(entry, held));
        assert!(key.is_some(), "files are used on a core");
        Op { key }
    }
}

impl Future for Op {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let key = self.key.expect("not polled after its end");
        let polled = with_ring(|ring| ring.poll_op(key, cx)).expect("tasks run only while the ring is there");
        if polled.is_ready() {
            self.key = None;
        }
        polled
    }
}

impl Drop for Op {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            with_ring(|ring| ring.forget_op(key));
        }
    }
}
