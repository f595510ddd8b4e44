//! `net` over the loopback interface.

use super::on_a_core;
use crate::sys::executor::{Queue, spawn, timeout};
use crate::sys::net::{Bound, Listener, READ_BYTES_MAX, Stream};
use bytes::{Bytes, BytesMut};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

const LOOPBACK: &str = "127.0.0.1:0";
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(30);

fn listen() -> (Listener, SocketAddr) {
    let mut bound = Bound::bind_all(LOOPBACK.parse().expect("an address"), 1).expect("a free port");
    let bound = bound.remove(0);
    let addr = bound.addr();
    (bound.listen().expect("listens"), addr)
}

async fn pair() -> (Stream, Stream) {
    let (listener, addr) = listen();
    let client = Stream::connect(addr).await.expect("connects");
    (client, listener.accept().await.expect("accepts"))
}

#[test]
fn all_cores_share_one_port_and_strangers_are_refused() {
    let bound = Bound::bind_all(LOOPBACK.parse().expect("an address"), 3).expect("a free port");
    let addr = bound[0].addr();
    assert!(addr.port() != 0 && bound.iter().all(|bound| bound.addr() == addr));
    on_a_core(move || async move {
        let _listeners: Vec<_> = bound.into_iter().map(|bound| bound.listen().expect("listens")).collect();
        let error = Bound::bind_all(addr, 1).expect_err("the port is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    });
}

#[test]
fn a_port_that_becomes_free_in_a_moment_is_waited_for() {
    let holder = std::net::TcpListener::bind(LOOPBACK).expect("a free port");
    let addr = holder.local_addr().expect("it has one");
    let leaving = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(holder);
    });
    assert_eq!(Bound::bind_all(addr, 2).map(|bound| bound.len()).ok(), Some(2));
    leaving.join().expect("it only sleeps");
}

#[test]
fn nothing_is_accepted_before_listen() {
    let bound = Bound::bind_all(LOOPBACK.parse().expect("an address"), 1).expect("a free port");
    let error = std::net::TcpStream::connect(bound[0].addr()).expect_err("nobody listens yet");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn megabytes_in_many_parts_arrive_in_order_in_both_directions() {
    const PARTS: usize = 500;
    on_a_core(|| async {
        let (mut client, mut server) = pair().await;
        let part = |n: usize| Bytes::from(vec![n as u8; n * 37 % 20_000]); // some are empty
        let parts: Vec<Bytes> = (0..PARTS).map(part).collect();
        let expected: Vec<u8> = parts.concat();
        let total = expected.len();
        spawn(Queue::Net, async move {
            let mut echo = BytesMut::new();
            while server.read(&mut echo, READ_BYTES_MAX).await.expect("reads") > 0 {
                server.write_all(&[echo.split().freeze()], LONG).await.expect("writes");
            }
        });
        let mut received = BytesMut::new();
        for chunk in parts.chunks(50) {
            client.write_all(chunk, LONG).await.expect("writes");
            let sent: usize = chunk.iter().map(Bytes::len).sum();
            let until = received.len() + sent;
            while received.len() < until {
                assert_ne!(client.read(&mut received, READ_BYTES_MAX).await.expect("reads"), 0);
            }
        }
        client.shutdown_write().expect("half closes");
        assert_eq!(client.read(&mut received, 1).await.expect("reads"), 0, "the echo ends too");
        assert_eq!(received.len(), total);
        assert!(received == expected);
    });
}

#[test]
fn a_read_that_was_given_up_loses_nothing_and_owns_nothing() {
    on_a_core(|| async {
        let (mut client, mut server) = pair().await;
        let mut buf = BytesMut::new();
        for _ in 0..3 {
            assert!(timeout(SHORT, server.read(&mut buf, READ_BYTES_MAX)).await.is_none());
            assert_eq!(buf.capacity(), 0, "an idle connection has no buffer");
        }
        client.write_all(&[b"abc"], LONG).await.expect("writes");
        assert_eq!(server.read(&mut buf, 2).await.expect("reads"), 2);
        assert!(timeout(LONG, server.read(&mut buf, 9)).await.is_some_and(|count| count.is_ok()));
        assert_eq!(&buf[..], b"abc");
    });
}

#[test]
fn a_reader_that_stands_still_is_given_up() {
    on_a_core(|| async {
        let (mut client, _server) = pair().await;
        let error = client.write_all(&[vec![0; 64 << 20]], SHORT).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn a_slow_reader_that_makes_progress_is_served() {
    on_a_core(|| async {
        const TOTAL: usize = 12 << 20;
        let (mut client, mut server) = pair().await;
        spawn(Queue::Net, async move {
            client.write_all(&[vec![0; TOTAL]], Duration::from_millis(500)).await.expect("progress is made");
        });
        let mut count = 0;
        while count < TOTAL {
            crate::sys::executor::sleep(Duration::from_millis(2)).await;
            count += server.read(&mut BytesMut::new(), READ_BYTES_MAX).await.expect("reads");
        }
        assert_eq!(count, TOTAL);
    });
}

#[test]
fn a_cut_connection_is_an_error_or_an_end_and_never_a_signal() {
    on_a_core(|| async {
        let (mut client, server) = pair().await;
        drop(server);
        let mut buf = BytesMut::new();
        assert!(matches!(client.read(&mut buf, 10).await, Ok(0) | Err(_)));
        let mut failed = false;
        for _ in 0..3 {
            failed |= client.write_all(&[b"x"], LONG).await.is_err();
            crate::sys::executor::sleep(Duration::from_millis(5)).await;
        }
        assert!(failed, "sending to a closed socket fails at last");
    });
}
