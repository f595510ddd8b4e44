//! A footer made anew from the chunks: what it knows, and what rot or a refusing disk costs it.
//!
//! The law: a chunk is found or lies in a damaged range, and nothing else is ever found.

use super::*;

proptest! {
    #[test]
    fn a_rebuilt_footer_knows_all_records_and_keys(content in content(), trailer_is_read in any::<bool>()) {
        let built = build(&content, usize::MAX);
        let mut file = built.file.to_vec();
        if !trailer_is_read {
            let len = file.len();
            file[len - BLOCK_BYTES..].fill(0);
        }
        let (footer, damaged) = rebuild_footer(&Bytes::from(file), META);
        let sound = built.footer();
        prop_assert_eq!(damaged, Vec::new());
        prop_assert_eq!(footer.idempotency, sound.idempotency);
        let with_runs = sound.streams.into_iter().filter(|stream| !stream.runs.is_empty());
        let (found, wanted): (Vec<_>, Vec<_>) = footer.streams.into_iter().zip(with_runs).unzip();
        for (found, wanted) in found.iter().zip(&wanted) {
            prop_assert_eq!(&found.runs, &wanted.runs);
            prop_assert_eq!(&found.state.key, &wanted.state.key);
            prop_assert_eq!(found.state.first, wanted.runs[0].first_seq);
            prop_assert_eq!(found.state.next, wanted.state.next);
            prop_assert_eq!(found.state.bytes, wanted.state.bytes);
        }
        let records: usize = content.streams.iter().filter(|(_, records)| !records.is_empty()).count();
        prop_assert_eq!(found.len(), records);
    }

    #[test]
    fn rot_costs_a_rebuilt_footer_the_chunks_it_touches_and_no_other(
        content in filled(), flips in proptest::collection::vec(any::<Index>(), 1..6), cut in any::<Index>(),
        is_cut in any::<bool>(),
    ) {
        let built = build(&content, usize::MAX);
        let mut file = built.file.to_vec();
        let mut touched: Vec<usize> = Vec::new();
        for at in flips {
            let bit = at.index(built.summary.footer_offset as usize * 8);
            flip(&mut file, bit);
            touched.push(bit / 8);
        }
        let kept_len = if is_cut { cut.index(file.len()) } else { file.len() };
        file.truncate(kept_len);
        let (footer, damaged) = rebuild_footer(&Bytes::from(file), META);
        let is_lost = |at: usize, len: usize| {
            let rotten = touched.iter().any(|byte| (at..at + built.content_len(at)).contains(byte));
            // Two flips of one bit heal; then the chunk is sound and found.
            rotten || at + len > kept_len - kept_len % BLOCK_BYTES
        };
        let healed = |at: usize| {
            let bytes = touched.iter().filter(|byte| (at..at + built.content_len(at)).contains(byte)).count();
            bytes >= 2
        };
        let mut wanted: Vec<Run> = Vec::new();
        let mut may_be_there: Vec<Run> = Vec::new();
        for stream in built.footer().streams {
            for run in stream.runs {
                let (at, len) = (run.chunk_offset as usize, run.chunk_len as usize);
                if !is_lost(at, len) { wanted.push(run) } else if healed(at) { may_be_there.push(run) }
            }
        }
        let found: Vec<Run> = footer.streams.into_iter().flat_map(|stream| stream.runs).collect();
        prop_assert!(wanted.iter().all(|run| found.contains(run)));
        prop_assert!(found.iter().all(|run| wanted.contains(run) || may_be_there.contains(run)));
        for (at, len) in built.chunks() {
            let is_found = found.iter().any(|run| run.chunk_offset as usize == at);
            let is_damaged = damaged.iter().any(|range| {
                range.offset < (at + len) as u64 && range.offset + range.len > at as u64
            });
            prop_assert!(is_found != is_damaged || at >= kept_len - kept_len % BLOCK_BYTES, "chunk at {at}");
        }
    }

    #[test]
    fn blocks_that_the_disk_refuses_cost_a_rebuilt_footer_their_chunks_only(
        content in filled(), refused in proptest::collection::vec(any::<Index>(), 0..4),
    ) {
        let built = build(&content, usize::MAX);
        let blocks = built.summary.footer_offset as usize / BLOCK_BYTES;
        let refused: Vec<usize> = refused.iter().map(|at| at.index(blocks) * BLOCK_BYTES).collect();
        let mut rebuild = FooterRebuild::new(META, built.summary.len, Some(&built.trailer()));
        let mut reads = 0;
        while let Some(ReadRange { offset, len }) = rebuild.wanted() {
            reads += 1;
            prop_assert!(reads <= 4 * blocks + 8, "a rebuild comes to an end");
            let range = offset as usize..offset as usize + len;
            if refused.iter().any(|at| range.start < at + BLOCK_BYTES && range.end > *at) {
                rebuild.handle_unreadable();
            } else {
                rebuild.handle_read(&built.file.slice(range));
            }
        }
        let (footer, _) = rebuild.finish();
        let found: Vec<Run> = footer.streams.into_iter().flat_map(|stream| stream.runs).collect();
        for stream in built.footer().streams {
            for run in stream.runs {
                let start = run.chunk_offset as usize;
                let end = start + run.chunk_len as usize;
                let lost = refused.iter().any(|at| (start..end).contains(at));
                prop_assert_eq!(found.contains(&run), !lost);
            }
        }
    }
}
