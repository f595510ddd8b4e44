//! HTTP/1.1: requests out of a read buffer, the reply to an append into an output buffer.
//!
//! The buffer is used again from round to round as long as nothing keeps it, like that of a connection
//! whose requests are answered before its next read. `own-buffer` is the other end: a request that came
//! alone, into memory that is kept until its answer.

use super::repeat;
use crate::specimens::post;
use crate::{Case, Work};
use bytes::{BufMut, Bytes, BytesMut};
use http1::{BodyForm, Config, Decoder, HTTP_DATE_BYTES, ReplyTo, ResponseWriter, Version};
use std::hint::black_box;

/// Requests that one read brings.
const PIPELINED: usize = 64;

/// As command-line programs and libraries send them.
const FEW_LINES: &[&str] = &["User-Agent: bench/1.0", "Accept: */*", "Content-Type: application/json"];

/// As a page in a browser sends them: with Host and Content-Length 14.
const BROWSER_LINES: &[&str] = &[
    "Connection: keep-alive",
    "sec-ch-ua-platform: \"Linux\"",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
    "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"",
    "Content-Type: application/json",
    "sec-ch-ua-mobile: ?0",
    "Accept: */*",
    "Origin: http://127.0.0.1:8080",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: cors",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.9",
];

/// Through a proxy or two: with Host and Content-Length 20.
const MANY_LINES: &[&str] = &[
    "A1: 1", "A2: 2", "A3: 3", "A4: 4", "A5: 5", "A6: 6", "A7: 7", "A8: 8", "A9: 9", "B1: 1", "B2: 2",
    "B3: 3", "B4: 4", "B5: 5", "B6: 6", "B7: 7", "B8: 8", "B9: 9",
];

/// Bytes of a chunk, and chunks of a body.
const CHUNK_BYTES: usize = 4096;
const CHUNK_COUNT: usize = 16;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "http1/request",
        event: "POST of 128 B, 5 header lines, 64 in a read",
        rounds: 64,
        prepare: || requests(FEW_LINES),
    },
    Case {
        name: "http1/request/64-streams",
        event: "the same to another stream each time",
        rounds: 64,
        prepare: to_streams,
    },
    Case {
        name: "http1/request/browser",
        event: "POST of 128 B, 14 header lines, 64 in a read",
        rounds: 64,
        prepare: || requests(BROWSER_LINES),
    },
    Case {
        name: "http1/request/20-lines",
        event: "POST of 128 B, 20 header lines, 64 in a read",
        rounds: 64,
        prepare: || requests(MANY_LINES),
    },
    Case {
        name: "http1/request/own-buffer",
        event: "POST of 128 B in memory of its own, the copy from the socket included",
        rounds: 64,
        prepare: own_buffer,
    },
    Case {
        name: "http1/request/chunked",
        event: "POST of 64 KiB in 16 chunks",
        rounds: 64,
        prepare: chunked,
    },
    Case { name: "http1/reply", event: "201 with 6 header lines", rounds: 64, prepare: replies },
];

struct Requests {
    one_read: Bytes,
    decoder: Decoder,
    input: BytesMut,
}

fn requests(lines: &[&str]) -> Box<dyn Work> {
    let one_read = Bytes::from(post(lines).repeat(PIPELINED));
    let state = Requests { one_read, decoder: Decoder::new(Config::default()), input: BytesMut::new() };
    repeat(state, |state| state.input.extend_from_slice(&state.one_read), decode_all)
}

fn to_streams() -> Box<dyn Work> {
    let request = String::from_utf8(post(FEW_LINES).to_vec()).expect("a request is text");
    let (method, after) = request.split_once(' ').expect("a method");
    let (target, after) = after.split_once(' ').expect("a target");
    let to_stream = |number: usize| format!("{method} {target}-{number} {after}");
    let one_read: String = (0..PIPELINED).map(to_stream).collect();
    let (one_read, decoder) = (Bytes::from(one_read), Decoder::new(Config::default()));
    let state = Requests { one_read, decoder, input: BytesMut::new() };
    repeat(state, |state| state.input.extend_from_slice(&state.one_read), decode_all)
}

fn decode_all(state: &mut Requests) -> u64 {
    let mut count = 0;
    while let Some(request) = state.decoder.decode_request(&mut state.input).expect("sound requests") {
        black_box(&request);
        count += 1;
    }
    assert!(state.input.is_empty(), "every request was whole");
    count
}

fn own_buffer() -> Box<dyn Work> {
    let state = (post(FEW_LINES), Decoder::new(Config::default()));
    repeat(
        state,
        |_| {},
        |(request, decoder)| {
            for _ in 0..PIPELINED {
                let mut input = BytesMut::new();
                input.extend_from_slice(request);
                black_box(decoder.decode_request(&mut input).expect("a sound request"));
            }
            PIPELINED as u64
        },
    )
}

fn chunked() -> Box<dyn Work> {
    let mut one = BytesMut::new();
    one.put_slice(b"POST /streams/bench/s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..CHUNK_COUNT {
        http1::write_chunk(&mut one, &[b'x'; CHUNK_BYTES]);
    }
    http1::write_last_chunk(&mut one);
    let decoder = Decoder::new(Config::default());
    let state = Requests { one_read: one.freeze(), decoder, input: BytesMut::new() };
    repeat(state, |state| state.input.extend_from_slice(&state.one_read), decode_all)
}

fn replies() -> Box<dyn Work> {
    repeat(
        BytesMut::with_capacity(PIPELINED * 512),
        |out| out.clear(),
        |out| {
            let to = ReplyTo { version: Version::Http11, head_only: false, keep_alive: true };
            for seq in 0..PIPELINED as u64 {
                write_reply(black_box(seq), to, out);
            }
            black_box(&out[..]);
            PIPELINED as u64
        },
    )
}

/// The lines of the answer to an append.
fn write_reply(seq: u64, to: ReplyTo, out: &mut BytesMut) {
    let date: &[u8; HTTP_DATE_BYTES] = b"Sun, 22 Nov 2026 05:00:00 GMT";
    let mut writer = ResponseWriter::begin(out, 201, to);
    writer.date(date);
    writer.header("Content-Type", "application/json");
    writer.header_fmt("Location", format_args!("/streams/bench/house/000007/?limit=1&from={seq}"));
    writer.header_fmt("ETag", format_args!("\"{seq}\""));
    writer.header("Millrace-Durability", "fsync");
    let body = b"{\"meta\":{\"id\":1234567,\"t\":1700000000000}}";
    assert_eq!(writer.finish_length(body.len() as u64), Ok(BodyForm::Plain));
    out.put_slice(body);
}
