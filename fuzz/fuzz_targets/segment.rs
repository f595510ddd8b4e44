//! A segment's file that holds anything: header, trailer, footer, chunks, and the footer made anew.
//!
//! A footer that is rebuilt names only chunks that are inside the file, and every run that it names can be
//! read or is told as damaged.

#![no_main]

use bytes::Bytes;
use commitlog::{
    BLOCK_BYTES, decode_chunk, decode_chunk_header, decode_footer, decode_segment_header, decode_trailer,
    rebuild_footer,
};
use libfuzzer_sys::fuzz_target;
use millrace_fuzz::mend;

fuzz_target!(|input: &[u8]| {
    let mut mended = input.to_vec();
    mend::segment(&mut mended);
    for bytes in [Bytes::copy_from_slice(input), Bytes::from(mended)] {
        look(&bytes);
    }
});

fn look(file: &Bytes) {
    let header = decode_segment_header(file);
    let tail = file.slice(file.len().saturating_sub(BLOCK_BYTES)..);
    let trailer = decode_trailer(&tail, file.len() as u64);
    if let Ok(trailer) = &trailer
        && let Some(from) = usize::try_from(trailer.footer_offset).ok().filter(|&at| at <= file.len())
    {
        let _ = decode_footer(&file[from..], trailer);
    }
    let Some(meta) = header.ok().or(trailer.ok().map(|trailer| trailer.meta)) else { return };
    for at in (0..file.len()).step_by(BLOCK_BYTES) {
        let address = meta.chunk_address(at as u64);
        let bytes = file.slice(at..);
        if let (Ok(header), Ok(runs)) =
            (decode_chunk_header(&bytes, &address), decode_chunk(&bytes, &address))
        {
            let count: usize = runs.iter().map(|run| run.records.len()).sum();
            assert_eq!(count, header.record_count as usize, "a chunk holds the records that it says");
        }
    }
    let (footer, damaged) = rebuild_footer(file, meta);
    for run in footer.streams.iter().flat_map(|stream| &stream.runs) {
        assert!(run.first_seq <= run.last_seq, "a run is not turned round");
    }
    assert!(damaged.iter().all(|range| range.offset < file.len() as u64), "damage lies inside the file");
}
