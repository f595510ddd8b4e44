//! Laws of the hot paths: how many calls of the allocator an event costs, at most.
//!
//! Each runs a case in the binary `counted`, in whose one thread counts are exact. A change that breaks a
//! law says why in its message and moves the figure; a change that betters one moves it too. Where a
//! figure has a fraction, tables that double their size are in it, shared by all events.

use benches::counting::{Allocations, count_with};
use std::path::Path;

fn counted(name: &str) -> Allocations {
    let counts = count_with(Path::new(env!("CARGO_BIN_EXE_counted")), &[name]);
    counts.expect("the case is counted")[0].1
}

/// `calls_max` is what was measured, rounded up.
fn check(name: &str, calls_max: f64) {
    let calls = counted(name).calls_per_event();
    assert!(calls <= calls_max, "{name}: {calls:.3} calls of the allocator per event, {calls_max} allowed");
}

#[test]
fn a_request_of_up_to_14_lines_is_decoded_without_an_allocation() {
    check("http1/request", 0.0);
    check("http1/request/64-streams", 0.0);
    check("http1/request/browser", 0.0);
    check("http1/request/chunked", 0.0);
}

#[test]
fn a_request_of_more_lines_is_decoded_with_one_allocation() {
    check("http1/request/20-lines", 1.0);
}

#[test]
fn a_request_that_is_kept_costs_its_buffer_and_the_buffers_count() {
    check("http1/request/own-buffer", 2.0);
}

#[test]
fn a_reply_is_written_without_an_allocation() {
    check("http1/reply", 0.0);
    check("append/reply", 0.0);
    check("observe/time", 0.0);
}

#[test]
fn frames_are_received_and_encoded_without_an_allocation() {
    check("websocket/receive/128", 0.0);
    check("websocket/receive/64k", 0.0);
    check("websocket/header", 0.0);
    check("websocket/encode/128", 0.0);
}

#[test]
fn checksums_and_records_allocate_nothing() {
    check("checksum/64k", 0.0);
    check("record/draft", 0.0);
    check("record/encode", 0.0);
    check("record/decode", 0.0);
}

/// The batch and its count, the header, and the list of parts.
#[test]
fn a_journal_group_costs_four_allocations_whatever_it_holds() {
    check("journal/encode/1", 4.0);
    check("journal/encode/16", 0.38);
    check("journal/encode/64", 0.13);
}

/// The list of parts that goes to the disk; a quarter more is memory that eight batches share.
#[test]
fn an_append_costs_one_allocation_and_a_quarter_a_group_and_next_to_none_of_its_own() {
    check("engine/append/1", 1.3);
    check("engine/append/16", 0.09);
    check("engine/append/64", 0.03);
    check("engine/append/batch-64", 0.03);
}

#[test]
fn an_append_of_another_stream_costs_no_more_than_its_share_of_a_batchs_memory() {
    check("engine/append/64-streams", 0.25);
}

#[test]
fn a_watching_core_costs_one_allocation_a_group() {
    check("engine/append/watched", 0.15);
}

#[test]
fn a_read_allocates_by_the_reply_and_not_by_the_event() {
    check("engine/read/memory", 0.11);
    check("engine/read/segment", 0.05);
    check("segment/read/records", 0.08);
}

/// The array, its count and the list of arrays; a message of an event stream is a text of its own with an id.
#[test]
fn the_wire_forms_of_an_event_are_made_once_for_all_listeners() {
    check("fanout/encode/websocket", 3.0);
    check("fanout/encode/sse", 11.0);
    check("fanout/encode/batch-64", 0.05);
}

/// A queue that grows, and the list of what is taken from it; 16 messages share them.
#[test]
fn a_message_in_an_outbox_costs_a_share_of_its_queue() {
    check("fanout/outboxes/100", 0.38);
}

#[test]
fn a_message_between_cores_costs_no_allocation() {
    check("hop/batch-1", 0.0);
    check("hop/batch-64", 0.0);
}

#[test]
fn segments_are_written_without_an_allocation_for_an_event() {
    check("segment/write/1-stream", 0.021);
    check("segment/write/4096-streams", 0.12);
    check("engine/checkpoint/1-stream", 0.05);
    check("engine/merge", 0.05);
}
