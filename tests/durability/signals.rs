//! SIGTERM, SIGINT and the second signal, as docs/operations.md promises.

use crate::client::Client;
use crate::history::{Writer, verify};
use crate::server::{Server, fresh_dir};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

#[test]
fn either_signal_under_load_ends_with_0_and_loses_nothing() {
    let data = fresh_dir("signals");
    let mut writers: Vec<Writer> = (0..8).map(|n| Writer::new(n, format!("s{n}"))).collect();
    for name in ["TERM", "INT", "TERM"] {
        let server = Server::start(&data, &[]);
        let addr = server.addr;
        verify(addr, &writers);
        std::thread::scope(|scope| {
            for writer in &mut writers {
                let forever = AtomicBool::new(false);
                scope.spawn(move || assert!(writer.write(addr, &forever).is_err(), "the server went"));
            }
            std::thread::sleep(Duration::from_millis(300));
            server.signal(name);
            assert!(server.wait().success(), "SIG{name} is a clean stop");
        });
        assert!(writers.iter().all(|writer| !writer.acknowledged.is_empty()));
    }
    let server = Server::start(&data, &[]);
    verify(server.addr, &writers);
}

#[test]
fn a_second_signal_ends_a_stop_that_takes_too_long_and_loses_nothing() {
    let data = fresh_dir("second");
    let settings = [("MILLRACE_LIMITS__DRAIN_TIMEOUT_MS", "60000")];
    let server = Server::start(&data, &settings);
    let mut writers = [Writer::new(0, "s".to_owned())];
    let mut client = Client::connect(server.addr).expect("the server listens");
    for _ in 0..20 {
        writers[0].write_one(&mut client).expect("the server takes events");
    }
    // A request that is half there keeps the drain waiting.
    client.send_raw(b"POST /streams/b/s HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n1").expect("sent");
    std::thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    server.signal("TERM");
    let status = server.wait();
    assert!(begin.elapsed() < Duration::from_secs(10), "it does not wait for the drain");
    assert!(!status.success(), "a stop that was cut short says so");
    let server = Server::start(&data, &[]);
    assert_eq!(verify(server.addr, &writers), 20);
}
