//! Tests of `sys` on real cores, sockets and files. Directories lie under the build's target directory.

mod cores;
mod disks;
mod network;
mod tls;

use super::executor::{CoreOptions, Spin, start_core};
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs a future on a core of its own and gives its result.
pub(crate) fn on_a_core<T, F>(main: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    start_core(options(0), main).expect("a core starts").join().expect("it does not panic")
}

/// Options of the `index`th core; those that the machine lacks share processors.
pub(crate) fn options(index: usize) -> CoreOptions {
    let cpus = super::preflight::allowed_cpus();
    CoreOptions { cpu: cpus[index % cpus.len()], name: format!("core-{index}"), spin: Spin::default() }
}

/// A new empty directory on the disk that the build uses.
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let binary = std::env::current_exe().expect("a test has a file");
        let parent = binary.parent().expect("it lies in a directory");
        let path = parent.join(format!("tmp-{}-{count}", std::process::id()));
        std::fs::create_dir(&path).expect("a new directory");
        TempDir(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // what is left is found by its name
    }
}
