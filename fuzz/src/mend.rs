//! Makes checksums right, so that mutated bytes reach the checks behind them.
//!
//! Each function looks for the parts of one format and overwrites their checksum fields; whatever is not
//! recognized or does not fit is left alone. Layouts are those of `docs/formats/`.

use commitlog::{BLOCK_BYTES, checksum};

const RECORD_HEADER_BYTES: usize = 32;
const BATCH_HEADER_BYTES: usize = 40;
const GROUP_HEADER_BYTES: usize = 128;
const CHUNK_HEADER_BYTES: usize = 72;
const FRAME_BYTES: usize = 24;

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(field.try_into().ok()?) as usize)
}

fn put_checksum(bytes: &mut [u8], at: usize, covered: std::ops::Range<usize>) {
    if let (Some(sum), true) = (bytes.get(covered).map(checksum), bytes.len() >= at + 4) {
        bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A record at the start of `bytes`; gives its length.
pub fn record(bytes: &mut [u8]) -> Option<usize> {
    let len = u32_at(bytes, 0)?;
    let headers = bytes.get(28..30)?;
    let headers_end = RECORD_HEADER_BYTES + usize::from(u16::from_le_bytes([headers[0], headers[1]]));
    let payload = crc32fast_of(bytes.get(headers_end..len)?);
    bytes[24..28].copy_from_slice(&payload.to_le_bytes());
    let head = crc32fast_of(&bytes[8..headers_end]);
    bytes[4..8].copy_from_slice(&head.to_le_bytes());
    Some(len)
}

/// A plain CRC-32, whatever the length: the checksum of formats is one up to 8192 bytes.
fn crc32fast_of(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A batch at the start of `bytes`; gives its length.
pub fn batch(bytes: &mut [u8]) -> Option<usize> {
    let len = u32_at(bytes, 0).filter(|len| (BATCH_HEADER_BYTES..=bytes.len()).contains(len))?;
    put_checksum(bytes, 4, 8..len);
    Some(len)
}

/// Every group that starts at a block boundary, and its batches.
pub fn journal(bytes: &mut [u8]) {
    for at in (0..bytes.len()).step_by(BLOCK_BYTES) {
        let group = &mut bytes[at..];
        if !group.starts_with(b"MRGROUP1") || group.len() < GROUP_HEADER_BYTES {
            continue;
        }
        let end = GROUP_HEADER_BYTES + u32_at(group, 92).unwrap_or(0);
        if end <= group.len() {
            let mut from = GROUP_HEADER_BYTES;
            while let Some(len) = batch(&mut group[from..end]) {
                from += len;
            }
            put_checksum(group, 104, GROUP_HEADER_BYTES..end);
        }
        put_checksum(group, 124, 0..124);
    }
}

/// Every frame and chunk that starts at a block boundary.
pub fn segment(bytes: &mut [u8]) {
    for at in (0..bytes.len()).step_by(BLOCK_BYTES) {
        let part = &mut bytes[at..];
        if part.starts_with(b"MR.SEG.C") && part.len() >= CHUNK_HEADER_BYTES {
            let end = CHUNK_HEADER_BYTES.saturating_add(u32_at(part, 52).unwrap_or(0));
            put_checksum(part, 64, CHUNK_HEADER_BYTES..end);
            put_checksum(part, 8, 12..CHUNK_HEADER_BYTES);
        }
        frame(part);
    }
}

/// Every frame that starts at a block boundary.
pub fn frames(bytes: &mut [u8]) {
    for at in (0..bytes.len()).step_by(BLOCK_BYTES) {
        frame(&mut bytes[at..]);
    }
}

fn frame(bytes: &mut [u8]) {
    let known = [b"MR.SEG.H", b"MR.SEG.F", b"MR.SEG.T", b"MR.MANIF", b"MR.IDENT", b"MR.EPOCH"];
    if !known.iter().any(|magic| bytes.starts_with(*magic)) || bytes.len() < FRAME_BYTES {
        return;
    }
    let len = u32_at(bytes, 16).unwrap_or(0);
    put_checksum(bytes, 8, 12..len.max(12));
}
