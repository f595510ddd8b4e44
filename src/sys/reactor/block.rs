//! Memory for direct I/O: aligned to the log's blocks, reused within a core.
//!
//! A block is handed to the kernel and comes back with the completion; nothing frees it in between, since
//! the ring owns it for that time.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;

/// What O_DIRECT asks of an address; also the smallest size.
const ALIGNMENT: usize = commitlog::BLOCK_BYTES;
/// The largest block that is kept for reuse; a journal group is at most that long.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// What is kept in all, of all sizes.
const KEPT_TOTAL_BYTES_MAX: usize = 8 << 20;
/// One list per power of two from `ALIGNMENT` to `KEPT_BYTES_MAX`.
const CLASSES: usize = (KEPT_BYTES_MAX / ALIGNMENT).trailing_zeros() as usize + 1;

/// The free blocks of one core.
#[derive(Default)]
pub(in crate::sys) struct Blocks {
    free: RefCell<[Vec<Memory>; CLASSES]>,
    kept_bytes: Cell<usize>,
}

impl Blocks {
    /// A block of `len` bytes with any contents, old ones of this process or zeros.
    pub(in crate::sys) fn take(self: &Rc<Self>, len: usize) -> Block {
        assert!(len > 0, "an operation moves bytes");
        let capacity = len.next_multiple_of(ALIGNMENT);
        let kept = class(capacity).and_then(|class| self.free.borrow_mut()[class].pop());
        let memory = match kept {
            Some(memory) => {
                self.kept_bytes.set(self.kept_bytes.get() - memory.layout.size());
                memory
            }
            None if capacity <= KEPT_BYTES_MAX => Memory::new(capacity.next_power_of_two()),
            None => Memory::new(capacity),
        };
        Block { memory: Some(memory), len, home: self.clone() }
    }
}

/// Which list a capacity belongs to; `None` for what is never kept.
fn class(capacity: usize) -> Option<usize> {
    let class = (capacity.next_power_of_two() / ALIGNMENT).trailing_zeros() as usize;
    (capacity <= KEPT_BYTES_MAX).then_some(class)
}

/// Aligned bytes, all initialized.
struct Memory {
    address: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    fn new(bytes: usize) -> Memory {
        let layout = Layout::from_size_align(bytes, ALIGNMENT).expect("sizes of groups and reads are small");
        // SAFETY: the size is not zero.
        #[allow(unsafe_code)]
        let address = unsafe { alloc_zeroed(layout) };
        let Some(address) = NonNull::new(address) else { handle_alloc_error(layout) };
        Memory { address, layout }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it came from `alloc_zeroed` with this layout and is freed once.
        #[allow(unsafe_code)]
        unsafe {
            dealloc(self.address.as_ptr(), self.layout);
        }
    }
}

/// A piece of memory that direct I/O takes; goes back to its core's free ones when it is dropped.
pub(in crate::sys) struct Block {
    /// `None` only while it is dropped.
    memory: Option<Memory>,
    len: usize,
    home: Rc<Blocks>,
}

impl Block {
    fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("it is there until the drop")
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory has at least `len` initialized bytes and is borrowed as long as `self` is.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(self.memory().address.as_ptr(), self.len)
        }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; nobody else has the address.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts_mut(self.memory().address.as_ptr(), self.len)
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        let bytes = memory.layout.size();
        let Some(class) = class(bytes) else { return };
        if self.home.kept_bytes.get() + bytes <= KEPT_TOTAL_BYTES_MAX {
            self.home.kept_bytes.set(self.home.kept_bytes.get() + bytes);
            self.home.free.borrow_mut()[class].push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_aligned_as_long_as_asked_for_and_used_again() {
        let blocks = Rc::new(Blocks::default());
        for len in [1, ALIGNMENT, 3 * ALIGNMENT, KEPT_BYTES_MAX, KEPT_BYTES_MAX + 1] {
            let mut block = blocks.take(len);
            assert_eq!((block.len(), block.as_ptr() as usize % ALIGNMENT), (len, 0));
            block.fill(7);
            let address = block.as_ptr();
            drop(block);
            let again = blocks.take(len);
            if len <= KEPT_BYTES_MAX {
                assert_eq!(again.as_ptr(), address, "{len}");
            }
        }
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let blocks = Rc::new(Blocks::default());
        let all: Vec<Block> = (0..20).map(|_| blocks.take(KEPT_BYTES_MAX)).collect();
        drop(all);
        assert_eq!(blocks.kept_bytes.get(), KEPT_TOTAL_BYTES_MAX);
        let kept: usize = blocks.free.borrow().iter().map(Vec::len).sum();
        assert_eq!(kept, KEPT_TOTAL_BYTES_MAX / KEPT_BYTES_MAX);
    }
}
