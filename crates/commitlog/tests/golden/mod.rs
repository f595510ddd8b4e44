//! What every golden test does: compare what is built with the stored file, then read the stored file.
//!
//! A format that changes by accident fails here. After a change on purpose (a new format version), write the
//! files anew and look at the difference:
//! `MILLRACE_BLESS=1 cargo test -p commitlog --test golden_segments --test golden_marks`

use bytes::Bytes;
use commitlog::checksum;
use std::path::PathBuf;

/// Where every golden file says that it belongs.
pub(crate) const DIRECTORY_ID: u128 = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;

/// Compares with the golden file, or writes it when asked to; gives the golden bytes.
fn golden(name: &str, built: &[u8]) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("MILLRACE_BLESS").is_some() {
        std::fs::write(&path, built).expect("the golden folder can be written");
    }
    let stored = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let differs = built.iter().zip(&stored).position(|(a, b)| a != b);
    assert_eq!(differs, None, "{name}: first byte that differs");
    assert_eq!(built.len(), stored.len(), "{name}: length");
    Bytes::from(stored)
}

/// One case: the file's name says the fault, `found` what a reader finds.
pub(crate) fn check(name: &str, built: &[u8], read: impl Fn(&Bytes) -> String, found: &str) {
    assert_eq!(read(&golden(name, built)), found, "{name}");
}

pub(crate) fn changed(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    bytes
}

/// Makes the checksum of the frame at the start of `frame` hold again.
pub(crate) fn reseal(frame: &mut [u8]) {
    let len = u64::from_le_bytes(frame[16..24].try_into().expect("eight bytes")) as usize;
    let sum = checksum(&frame[12..len]);
    frame[8..12].copy_from_slice(&sum.to_le_bytes());
}
