//! The faces that share the HTTP port: HTTP itself, and `/listen`, which it hands connections over to.
//!
//! The one place that knows both; `serve` and programs that embed the server start with it.

use super::Face;
use crate::faces::http::{self, HttpFace, Options};
use crate::faces::listen;
use crate::shard::CoreLink;
use crate::sys::net::Stream;
use crate::sys::offload::Offload;
use std::io;
use std::rc::Rc;

/// Threads for what would hold a core up in the HTTP face, and how many such tasks wait.
const OFFLOAD_THREADS: usize = 2;
const OFFLOAD_QUEUE_MAX: usize = 256;

/// HTTP and everything that begins with it. Clones share their counters.
#[derive(Clone)]
pub struct Web(HttpFace);

impl Web {
    /// The face for so many cores, with threads of its own. A program that waits for signals blocks them
    /// before, since threads inherit what is blocked.
    ///
    /// # Errors
    /// When the system refuses a thread, or for more than 65,535 cores.
    pub fn new(core_count: usize) -> io::Result<Web> {
        let core_count = u16::try_from(core_count)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "more than 65,535 cores"))?;
        let offload = Offload::start(OFFLOAD_THREADS, OFFLOAD_QUEUE_MAX)?;
        Ok(Web(HttpFace::new(core_count, offload, listen::serve)))
    }
}

impl Web {
    /// The same with what the configuration says.
    #[must_use]
    pub fn with(self, options: Options) -> Web {
        Web(self.0.with(options))
    }
}

impl Face for Web {
    type Core = http::Core;

    fn open(&self, link: Rc<CoreLink>) -> Rc<http::Core> {
        self.0.open(link)
    }

    fn serve(core: Rc<http::Core>, stream: Stream) -> impl Future<Output = ()> + 'static {
        http::serve(core, stream)
    }
}
