//! The WebSocket of `/x/echo`: what comes goes back as it came.

use crate::heard::{Heard, Socket};
use crate::server::{Server, fresh_dir};
use std::io::Write;
use websocket::{CloseCode, Opcode, encode_frame};

#[test]
fn messages_of_every_length_go_back_as_they_came() {
    let server = Server::start(&fresh_dir("echo-lengths"), &[]);
    let mut socket = Socket::open(server.addr, "/x/echo/with/a/path?and=query");
    for length in [0, 1, 125, 126, 65_535, 65_536, 300_000, 1 << 20] {
        let text = "a".repeat(length);
        socket.send(&text);
        assert!(socket.next() == Heard::Text(text), "{length} characters");
        let bytes = vec![0xff; length];
        socket.connection.send_binary(&bytes).expect("open");
        socket.flush();
        assert!(socket.next() == Heard::Binary(bytes), "{length} bytes");
    }
}

#[test]
fn a_message_in_many_fragments_goes_back_whole_and_pings_between_are_answered() {
    let server = Server::start(&fresh_dir("echo-fragments"), &[]);
    let mut socket = Socket::open(server.addr, "/x/echo");
    let mut out = bytes::BytesMut::new();
    const FRAGMENTS: usize = 10_000;
    for n in 0..FRAGMENTS {
        let opcode = if n == 0 { Opcode::Text } else { Opcode::Continuation };
        encode_frame(opcode, n == FRAGMENTS - 1, b"0123456789", Some([1, 2, 3, 4]), &mut out);
        if n == FRAGMENTS / 2 {
            encode_frame(Opcode::Ping, true, b"p", Some([5, 6, 7, 8]), &mut out);
        }
    }
    socket.socket.write_all(&out).expect("it is sent");
    assert_eq!(socket.next(), Heard::Pong(b"p".to_vec()));
    assert!(socket.next() == Heard::Text("0123456789".repeat(FRAGMENTS)));
}

#[test]
fn a_close_is_answered_with_its_own_code() {
    let server = Server::start(&fresh_dir("echo-close"), &[]);
    let mut socket = Socket::open(server.addr, "/x/echo");
    socket.send("one");
    socket.connection.send_close(CloseCode::new(3333).expect("private"), "bye");
    socket.flush();
    let heard: Vec<Heard> = (0..3).map(|_| socket.next()).collect();
    // The close ends this side's reading of texts: only the answer to it comes.
    assert!(heard.contains(&Heard::Closed(Some(3333), String::new())), "{heard:?}");
    assert_eq!(heard[2], Heard::Cut);
}
