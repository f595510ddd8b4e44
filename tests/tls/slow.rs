//! Handshakes that never end: they are cut in time, and nobody else notices.

use crate::client::{Client, Speaks};
use crate::server::{Dir, Server};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn a_slow_handshake_is_cut_while_others_are_served() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let settings = [("MILLRACE_LIMITS__TLS_HANDSHAKE_TIMEOUT_MS", "3000")];
    let server = Server::start_with(&dir, &pair, &["--cores", "1"], &settings);
    let begin = Instant::now();
    let mut silent: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect(server.https()).expect("connects")).collect();
    // The beginning of a record that says it has 512 bytes, then a byte now and then.
    for socket in &mut silent[..25] {
        socket.write_all(&[0x16, 3, 1, 2, 0]).expect("sends");
    }
    for _ in 0..5 {
        silent[..25].iter_mut().for_each(|socket| socket.write_all(&[1]).expect("sends"));
        let mut client = Client::connect(server.https(), &Speaks::all(&pair)).expect("connects");
        assert_eq!(client.ask("GET", "/ping", b"").expect("answers").head.status(), 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(begin.elapsed() < Duration::from_millis(3000), "others do not wait for them");
    for mut socket in silent {
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a TCP option");
        // Cut, with or without a reset.
        assert!(matches!(socket.read(&mut [0; 10]), Ok(0) | Err(_)));
    }
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(2900) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_stop_does_not_wait_for_handshakes() {
    let dir = Dir::new();
    let pair = dir.pair("server");
    let mut server = Server::start(&dir, &pair);
    let _silent = TcpStream::connect(server.https()).expect("connects");
    std::thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    server.signal("TERM");
    assert!(server.wait().0.success());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
