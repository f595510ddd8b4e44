//! Group 9: large messages, many fragments, small chops, many messages.
//!
//! The suite measures time here; these rows ask for the right answer at its sizes, whatever the time.

use crate::{Frame, Reply, check_pieces, fragmented};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn message(opcode: u8, length: usize) -> (Vec<u8>, Reply) {
    if opcode == 1 {
        let payload = vec![b'*'; length];
        (payload.clone(), Reply::Text(payload))
    } else {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        (payload.clone(), Reply::Binary(payload))
    }
}

#[test]
fn case_9_1_and_9_2_messages_up_to_16_mib_come_back() {
    let sizes = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
    for opcode in [1, 2] {
        for (at, size) in sizes.into_iter().enumerate() {
            let (payload, expected) = message(opcode, size);
            let wire = Frame::new(opcode, payload).wire();
            let case = format!("9.{opcode}.{}", at + 1);
            check_pieces(&case, "in reads of 64 KiB", wire.chunks(64 * KIB), &[expected]);
        }
    }
}

#[test]
fn case_9_3_and_9_4_4_mib_in_fragments_of_each_size_come_back() {
    let sizes = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
    for opcode in [1, 2] {
        let (payload, expected) = message(opcode, 4 * MIB);
        for (at, size) in sizes.into_iter().enumerate() {
            let wire: Vec<u8> =
                fragmented(opcode, &payload, size).iter().flat_map(|frame| frame.wire()).collect();
            let case = format!("9.{}.{}", opcode + 2, at + 1);
            check_pieces(&case, "in reads of 16 KiB", wire.chunks(16 * KIB), std::slice::from_ref(&expected));
        }
    }
}

#[test]
fn case_9_5_and_9_6_1_mib_in_chops_of_each_size_come_back() {
    for opcode in [1, 2] {
        let (payload, expected) = message(opcode, MIB);
        let wire = Frame::new(opcode, payload).wire();
        for (at, chop_bytes) in [64, 128, 256, 512, KIB, 2 * KIB].into_iter().enumerate() {
            let case = format!("9.{}.{}", opcode + 4, at + 1);
            check_pieces(&case, "chopped", wire.chunks(chop_bytes), std::slice::from_ref(&expected));
        }
    }
}

#[test]
fn case_9_7_and_9_8_a_thousand_messages_of_each_size_come_back_in_order() {
    for opcode in [1, 2] {
        for (at, size) in [0, 16, 64, 256, KIB, 4 * KIB].into_iter().enumerate() {
            let (payload, expected) = message(opcode, size);
            let wire = Frame::new(opcode, payload).wire().repeat(1000);
            let case = format!("9.{}.{}", opcode + 6, at + 1);
            check_pieces(&case, "in reads of 16 KiB", wire.chunks(16 * KIB), &vec![expected; 1000]);
        }
    }
}
