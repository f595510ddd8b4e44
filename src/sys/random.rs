//! Randomness of the operating system: directory and node ids, boundaries, keys.
//!
//! Called by the shell alone; a core of logic takes randomness as an argument, so that a run can be repeated.
//! Never falls back to something weaker: without the kernel's generator the process ends.

/// 128 bits from the kernel's generator.
///
/// # Panics
/// As [`bytes`].
pub fn bits_128() -> u128 {
    u128::from_le_bytes(bytes())
}

/// So many bytes from the kernel's generator.
///
/// # Panics
/// If the kernel refuses, which it does for no documented reason once it has booted.
pub fn bytes<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0_u8; COUNT];
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the pointer and length are those of a live, writable slice.
        #[allow(unsafe_code)]
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(count) {
            Ok(count) => filled += count,
            Err(_) => {
                let error = std::io::Error::last_os_error();
                assert!(error.kind() == std::io::ErrorKind::Interrupted, "getrandom failed: {error}");
            }
        }
    }
    bytes
}
