//! Memory of the process as a whole.
//!
//! Called by the assembly where something large has ended, recovery above all: what an allocator keeps of it
//! would otherwise count for the rest of the server's life.

/// Gives memory that was freed back to the system. Takes milliseconds and holds other allocations up
/// meanwhile: never while clients are served.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: malloc_trim takes the allocator's own locks and touches freed memory alone.
        #[allow(unsafe_code)]
        let _is_any_released = unsafe { libc::malloc_trim(0) };
    }
}
