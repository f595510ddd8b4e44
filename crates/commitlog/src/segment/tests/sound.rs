//! What goes into a segment comes out of it, in whatever pieces it was taken and however it is read.
//!
//! Also what the builder refuses: streams and records out of order.

use super::*;

proptest! {
    #[test]
    fn what_goes_into_a_segment_comes_out(content in content(), take_bytes in 0_usize..40_000) {
        let built = build(&content, take_bytes);
        let (footer, trailer) = (built.footer(), built.trailer());
        prop_assert_eq!(decode_segment_header(&built.file), Ok(META));
        prop_assert_eq!((trailer.meta, footer.meta, built.summary.meta), (META, META, META));
        prop_assert_eq!(trailer.checksum, built.summary.checksum);
        prop_assert_eq!(&footer.idempotency, &entries(&content));
        prop_assert_eq!(footer.streams.len(), content.streams.len());
        for (state, records) in &content.streams {
            let found = footer.stream(&state.key, state.epoch).expect("every stream is found");
            prop_assert_eq!(&found.state, state);
            let mut read = Vec::new();
            for run in &found.runs {
                let start = run.chunk_offset as usize;
                let chunk = built.file.slice(start..start + run.chunk_len as usize);
                let address = META.chunk_address(run.chunk_offset);
                let some = chunk_records(&chunk, &address, &state.key, state.epoch, run.first_seq, usize::MAX)
                    .expect("sound");
                let of_run: Vec<_> =
                    some.into_iter().take_while(|record| record.seq() <= run.last_seq).collect();
                let bytes: usize = of_run.iter().map(|record| record.encoded().len()).sum();
                prop_assert_eq!(bytes, run.bytes as usize);
                prop_assert_eq!(of_run[0].time(), run.first_time);
                prop_assert_eq!(of_run[of_run.len() - 1].time(), run.last_time);
                read.extend(of_run);
            }
            prop_assert_eq!(&read, records);
        }
    }

    #[test]
    fn a_segment_is_the_same_however_its_bytes_are_taken(
        content in content(), take_bytes in 0_usize..40_000,
    ) {
        prop_assert_eq!(build(&content, take_bytes).file, build(&content, usize::MAX).file);
    }

    #[test]
    fn only_a_single_record_makes_a_chunk_longer_than_its_bound(content in content()) {
        let built = build(&content, usize::MAX);
        for (at, len) in built.chunks() {
            let runs = decode_chunk(&built.file.slice(at..), &META.chunk_address(at as u64)).expect("sound");
            let records: usize = runs.iter().map(|run| run.records.len()).sum();
            prop_assert!(len <= content.chunk_bytes_max || records == 1, "{len} bytes, {records} records");
        }
    }

    #[test]
    fn a_read_of_one_stream_is_what_a_whole_decode_gives(
        content in filled(), from in 0_u64..1200, events_max in 0_usize..30,
    ) {
        let built = build(&content, usize::MAX);
        for (at, _) in built.chunks() {
            let (chunk, address) = (built.file.slice(at..), META.chunk_address(at as u64));
            let runs = decode_chunk(&chunk, &address).expect("sound");
            for (state, _) in &content.streams {
                let of_stream = runs.iter().filter(|run| run.key == state.key && run.epoch == state.epoch);
                let wanted: Vec<_> = of_stream
                    .flat_map(|run| &run.records)
                    .filter(|record| record.seq() >= SeqNum(from))
                    .take(events_max)
                    .cloned()
                    .collect();
                let read = chunk_records(&chunk, &address, &state.key, state.epoch, SeqNum(from), events_max);
                prop_assert_eq!(read, Ok(wanted));
            }
        }
    }

    #[test]
    fn the_runs_behind_a_sequence_number_hold_it_and_all_that_follows(
        content in filled(), from in 0_u64..1200,
    ) {
        for stream in build(&content, usize::MAX).footer().streams {
            let behind = stream.runs_from(SeqNum(from));
            let left_out = stream.runs.len() - behind.len();
            prop_assert!(behind.iter().all(|run| run.last_seq >= SeqNum(from)));
            prop_assert!(stream.runs[..left_out].iter().all(|run| run.last_seq < SeqNum(from)));
        }
    }
}

#[test]
#[should_panic(expected = "streams ascend")]
fn a_stream_that_comes_twice_stops_the_builder() {
    let (state, _) = stream((1, 1, 1), 1, Vec::new());
    let mut builder = SegmentBuilder::new(META, BLOCK_BYTES);
    builder.begin_stream(state.clone());
    builder.begin_stream(state);
}

#[test]
#[should_panic(expected = "out of order")]
fn a_record_that_comes_twice_stops_the_builder() {
    let (state, records) = stream((1, 1, 1), 1, vec![(1, 1, None), (1, 1, None)]);
    let mut builder = SegmentBuilder::new(META, BLOCK_BYTES);
    builder.begin_stream(state);
    builder.push_record(&records[0]);
    builder.push_record(&records[0]);
}
