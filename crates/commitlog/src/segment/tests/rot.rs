//! Rot is noticed and so is a part in the wrong place; no bytes make a decoder panic.
//!
//! Covered is every byte before the zeros that fill a block; those are not looked at.

use super::*;

proptest! {
    #[test]
    fn one_flipped_bit_of_header_footer_or_trailer_before_the_padding_is_noticed(
        content in content(), at in any::<Index>(),
    ) {
        let built = build(&content, usize::MAX);
        let (footer_at, trailer_at) = (built.summary.footer_offset as usize, built.file.len() - BLOCK_BYTES);
        for start in [0, footer_at, trailer_at] {
            let mut file = built.file.to_vec();
            let covered_bits = covered_len(&file[start..]) * 8;
            flip(&mut file, start * 8 + at.index(covered_bits));
            let len = file.len() as u64;
            let noticed = match start {
                0 => decode_segment_header(&file).is_err(),
                start if start == footer_at => decode_footer(&file[start..], &built.trailer()).is_err(),
                start => decode_trailer(&file[start..], len).is_err(),
            };
            prop_assert!(noticed, "part at {start}");
        }
    }

    #[test]
    fn one_flipped_bit_of_a_chunk_is_noticed_before_its_padding_and_harmless_in_it(
        content in filled(), which in any::<Index>(), at in any::<Index>(),
    ) {
        let built = build(&content, usize::MAX);
        let (start, len) = *which.get(&built.chunks());
        let address = META.chunk_address(start as u64);
        let sound = decode_chunk(&built.file.slice(start..), &address).expect("sound");
        let mut chunk = built.file[start..start + len].to_vec();
        let bit = at.index(len * 8);
        flip(&mut chunk, bit);
        let chunk = Bytes::from(chunk);
        let (state, _) = &content.streams[0];
        let read = chunk_records(&chunk, &address, &state.key, state.epoch, SeqNum::ZERO, 1);
        if bit / 8 < built.content_len(start) {
            prop_assert!(decode_chunk(&chunk, &address).is_err() && read.is_err());
        } else {
            prop_assert_eq!(decode_chunk(&chunk, &address), Ok(sound));
            prop_assert!(read.is_ok());
        }
    }

    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..9000), file_len in any::<u64>()) {
        let trailer = build(&Content { streams: Vec::new(), chunk_bytes_max: 1 }, 0).trailer();
        prop_assert!(decode_segment_header(&bytes).is_err());
        prop_assert!(decode_trailer(&bytes, file_len).is_err());
        prop_assert!(decode_footer(&bytes, &trailer).is_err());
        let bytes = Bytes::from(bytes);
        prop_assert!(decode_chunk(&bytes, &META.chunk_address(0)).is_err());
        let (footer, _) = rebuild_footer(&bytes, META);
        prop_assert_eq!(footer.streams, Vec::new());
    }

    #[test]
    fn nothing_that_a_faulty_writer_seals_panics(
        content in filled(),
        which in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let built = build(&content, usize::MAX);
        let mut file = built.file.to_vec();
        let (footer_at, trailer_at) = (built.summary.footer_offset as usize, file.len() - BLOCK_BYTES);
        for start in [0, footer_at, trailer_at] {
            for (at, value) in &changes {
                let covered = covered_len(&built.file[start..]);
                file[start + 24 + at.index(covered - 24)] = *value;
            }
            reseal(&mut file[start..]);
        }
        let (start, len) = *which.get(&built.chunks());
        for (at, value) in &changes {
            let covered = built.content_len(start);
            file[start + CHUNK_HEADER_BYTES + at.index(covered - CHUNK_HEADER_BYTES)] = *value;
        }
        reseal_chunk(&mut file[start..start + len]);
        let _ = decode_segment_header(&file);
        let _ = decode_trailer(&file[trailer_at..], file.len() as u64);
        let sum = file[footer_at + 8..footer_at + 12].try_into().expect("four bytes");
        let footer_checksum = u32::from_le_bytes(sum);
        let _ = decode_footer(&file[footer_at..], &Trailer { footer_checksum, ..built.trailer() });
        let file = Bytes::from(file);
        let (state, _) = &content.streams[0];
        let address = META.chunk_address(start as u64);
        let _ = decode_chunk(&file.slice(start..), &address);
        let _ = chunk_records(&file.slice(start..), &address, &state.key, state.epoch, SeqNum(5), 9);
        let _ = rebuild_footer(&file, META);
    }
}

/// Makes both checksums of a chunk hold again after its content was changed.
fn reseal_chunk(chunk: &mut [u8]) {
    let content_len = u32::from_le_bytes(chunk[52..56].try_into().expect("four bytes")) as usize;
    let sum = checksum(&chunk[CHUNK_HEADER_BYTES..CHUNK_HEADER_BYTES + content_len]);
    chunk[64..68].copy_from_slice(&sum.to_le_bytes());
    let sum = checksum(&chunk[12..CHUNK_HEADER_BYTES]);
    chunk[8..12].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn a_chunk_in_another_place_is_foreign() {
    let built = build(&one_stream((1, 1, 1), 100), usize::MAX);
    let (first, second) = (built.chunks()[0].0, built.chunks()[1].0);
    let sound = META.chunk_address(first as u64);
    let moved = decode_chunk(&built.file.slice(first..), &META.chunk_address(second as u64));
    assert!(matches!(moved, Err(FormatError::Foreign(_))), "{moved:?}");
    for wrong in [
        ChunkAddress { directory_id: 1, ..sound },
        ChunkAddress { partition: PartitionId(18), ..sound },
        ChunkAddress { ordinal: 43, ..sound },
    ] {
        let error = decode_chunk(&built.file.slice(first..), &wrong).expect_err("elsewhere");
        assert!(error.to_string().starts_with("segment chunk belongs elsewhere"), "{error}");
    }
}

#[test]
fn a_segment_cut_or_lengthened_is_noticed_by_its_trailer() {
    let built = build(&one_stream((1, 1, 1), 3), usize::MAX);
    let trailer = &built.file[built.file.len() - BLOCK_BYTES..];
    for len in [built.summary.len - BLOCK_BYTES as u64, built.summary.len + BLOCK_BYTES as u64] {
        let error = decode_trailer(trailer, len).expect_err("another length");
        assert!(error.to_string().contains("must be that of the file"), "{error}");
    }
}

#[test]
fn a_footer_of_another_segment_is_refused() {
    let (one, other) = (build(&one_stream((1, 1, 1), 3), 0), build(&one_stream((1, 2, 1), 3), 0));
    let footer = &other.file[other.summary.footer_offset as usize..];
    assert!(matches!(decode_footer(footer, &one.trailer()), Err(FormatError::Checksum(_))));
}

#[test]
fn a_count_or_a_number_that_cannot_be_is_refused_before_anything_is_allocated() {
    let built = build(&one_stream((1, 1, 1), 3), 0);
    // Of the run: two name lengths and five bytes of names, epoch; then first, count, length.
    let run = CHUNK_HEADER_BYTES + 4 + 5 + 8;
    for (at, len, rule) in [
        (run, 8, "does not fit its bytes"),
        (run + 8, 4, "does not fit its bytes"),
        (run + 12, 4, "is cut short"),
    ] {
        let mut chunk = built.file[BLOCK_BYTES..2 * BLOCK_BYTES].to_vec();
        chunk[at..at + len].fill(0xff);
        reseal_chunk(&mut chunk);
        let address = META.chunk_address(BLOCK_BYTES as u64);
        let error = decode_chunk(&Bytes::from(chunk), &address).expect_err("no chunk holds so much");
        assert!(error.to_string().contains(rule), "{error}");
    }
    // Stream count and idempotency count.
    for at in [107, 111] {
        let mut footer = built.file[built.summary.footer_offset as usize..].to_vec();
        footer[at..at + 4].fill(0xff);
        reseal(&mut footer);
        let footer_checksum = u32::from_le_bytes(footer[8..12].try_into().expect("four bytes"));
        let trailer = Trailer { footer_checksum, ..built.trailer() };
        let error = decode_footer(&footer, &trailer).expect_err("no footer holds so much");
        assert!(error.to_string().contains("claims more than the part holds"), "{error}");
    }
}
