//! Records and batches, as they are and with their checksums made right.
//!
//! What decodes must be the bytes it came from: nothing is dropped, and lengths stay inside the input.

#![no_main]

use bytes::Bytes;
use commitlog::Batch;
use libfuzzer_sys::fuzz_target;
use millrace_fuzz::mend;
use types::Record;

fuzz_target!(|input: &[u8]| {
    let mut mended = input.to_vec();
    mend::record(&mut mended);
    for bytes in [Bytes::copy_from_slice(input), Bytes::from(mended)] {
        if let Ok(record) = Record::decode(&bytes) {
            assert_eq!(record.encoded()[..], bytes[..record.encoded().len()]);
            let _ =
                (record.seq(), record.time(), record.idempotency(), record.parent(), record.traceparent());
            assert_eq!(record.detached(), record);
        }
    }
    let mut mended = input.to_vec();
    mend::batch(&mut mended);
    for bytes in [Bytes::copy_from_slice(input), Bytes::from(mended)] {
        if let Ok((batch, len)) = Batch::decode(&bytes) {
            assert!(len <= bytes.len() && batch.header.last_index() >= batch.header.first_index);
        }
    }
});
