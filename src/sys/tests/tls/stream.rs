//! Secure streams over the loopback interface: as plain ones, and what only they can meet.

use super::{client_config, new_client, pair_in, rsa_in};
use crate::sys::executor::{Queue, sleep, spawn, timeout};
use crate::sys::net::{Bound, READ_BYTES_MAX, Security, Stream};
use crate::sys::tests::{TempDir, on_a_core};
use crate::sys::tls::{ClientCerts, TlsAcceptor, TlsFiles};
use bytes::{Bytes, BytesMut};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

/// A client on a plain stream, with `rustls` beside it.
struct Client {
    socket: Stream,
    tls: ClientConnection,
    /// Decrypted and not yet asked for.
    heard: Vec<u8>,
    /// The server has said that nothing more comes.
    is_ended: bool,
}

impl Client {
    /// Sends what the client wants to, in pieces of `piece_bytes`.
    async fn flush(&mut self, piece_bytes: usize) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes)?;
        }
        for piece in bytes.chunks(piece_bytes) {
            self.socket.write_all(&[piece], LONG).await?;
        }
        Ok(())
    }

    /// Reads once; what is wrong with the server's bytes is an error.
    async fn read_once(&mut self) -> io::Result<usize> {
        let mut bytes = BytesMut::new();
        let count = self.socket.read(&mut bytes, READ_BYTES_MAX).await?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
            match self.tls.reader().read_to_end(&mut self.heard) {
                Ok(_) => self.is_ended = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    async fn shake_hands(&mut self, piece_bytes: usize) -> io::Result<()> {
        while self.tls.is_handshaking() {
            self.flush(piece_bytes).await?;
            if self.tls.is_handshaking() && self.read_once().await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        self.flush(piece_bytes).await
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).expect("memory");
        self.flush(READ_BYTES_MAX).await.expect("the server reads");
    }

    /// Exactly so many bytes.
    async fn hear(&mut self, count: usize) -> Vec<u8> {
        while self.heard.len() < count {
            assert_ne!(self.read_once().await.expect("the server answers"), 0, "{} bytes", self.heard.len());
        }
        self.heard.drain(..count).collect()
    }
}

/// A listener's core: connects a client and the server's end, neither of which has said a word.
async fn ends(config: &Arc<ClientConfig>) -> (Client, Stream) {
    let addr = "127.0.0.1:0".parse().expect("an address");
    let bound = Bound::bind_all(addr, 1).expect("a free port").remove(0);
    let addr = bound.addr();
    let listener = bound.listen().expect("listens");
    let socket = Stream::connect(addr).await.expect("connects");
    let client = Client { socket, tls: new_client(config), heard: Vec::new(), is_ended: false };
    (client, listener.accept().await.expect("accepts"))
}

/// Both ends after the handshake.
async fn connected(acceptor: &TlsAcceptor, config: &Arc<ClientConfig>) -> (Client, Stream) {
    let (mut client, server) = ends(config).await;
    let (server, shaken) =
        futures_lite::future::zip(acceptor.accept(server, LONG), client.shake_hands(READ_BYTES_MAX)).await;
    shaken.expect("the client is content");
    (client, server.expect("the server is content"))
}

fn acceptor(files: &TlsFiles) -> TlsAcceptor {
    TlsAcceptor::start(files.clone(), 1).expect("sound files").0
}

/// Runs a test on a core with a new pair's acceptor.
fn with_pair<F: Future<Output = ()> + 'static>(
    test: impl FnOnce(TlsAcceptor, TlsFiles) -> F + Send + 'static,
) {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    on_a_core(move || test(acceptor(&files), files));
}

#[test]
fn megabytes_in_many_parts_go_both_ways_with_both_versions_and_both_keys() {
    const PARTS: usize = 400;
    let dir = TempDir::new();
    for files in [pair_in(&dir.0, "server"), rsa_in(&dir)] {
        for version in [&TLS12, &TLS13] {
            let files = files.clone();
            on_a_core(move || async move {
                let config = client_config(&files, None, version);
                let (mut client, mut server) = connected(&acceptor(&files), &config).await;
                assert_eq!(
                    server.security(),
                    Some(Security { is_tls13: version == &TLS13, client_name: None })
                );
                let part = |n: usize| Bytes::from(vec![n as u8; n * 37 % 20_000]); // some are empty
                let parts: Vec<Bytes> = (0..PARTS).map(part).collect();
                let expected = parts.concat();
                let total = expected.len();
                spawn(Queue::Net, async move {
                    server.write_all(&parts, LONG).await.expect("writes");
                    let mut heard = BytesMut::new();
                    loop {
                        let bytes_max = 1 + heard.len() % 70_000;
                        if server.read(&mut heard, bytes_max).await.expect("reads") == 0 {
                            break;
                        }
                    }
                    assert!(heard == parts.concat());
                    server.write_all(&[b"all"], LONG).await.expect("writes");
                    server.shutdown_write().expect("says the end");
                });
                assert!(client.hear(total).await == expected);
                for piece in expected.chunks(50_000) {
                    client.send(piece).await;
                }
                client.tls.send_close_notify();
                client.flush(READ_BYTES_MAX).await.expect("the server reads");
                assert_eq!(client.hear(3).await, b"all");
                while client.read_once().await.expect("an end, not a cut") > 0 {}
                assert!(client.is_ended && client.heard.is_empty());
            });
        }
    }
}

#[test]
fn a_handshake_in_single_bytes_is_a_handshake() {
    with_pair(|acceptor, files| async move {
        for version in [&TLS12, &TLS13] {
            let (mut client, server) = ends(&client_config(&files, None, version)).await;
            let both = futures_lite::future::zip(acceptor.accept(server, LONG), client.shake_hands(1));
            let (server, shaken) = both.await;
            shaken.expect("the client is content");
            client.send(b"x").await;
            let mut heard = BytesMut::new();
            server.expect("the server is content").read(&mut heard, 10).await.expect("reads");
            assert_eq!(&heard[..], b"x");
        }
    });
}

#[test]
fn a_handshake_that_stops_is_given_up_in_time() {
    with_pair(|acceptor, files| async move {
        let config = client_config(&files, None, &TLS13);
        for cut in [0, 1, 5, 100] {
            let (mut client, server) = ends(&config).await;
            let mut hello = Vec::new();
            client.tls.write_tls(&mut hello).expect("memory");
            if cut > 0 {
                client.socket.write_all(&[&hello[..cut]], LONG).await.expect("sends");
            }
            let error = acceptor.accept(server, SHORT).await.err().expect("nothing more comes");
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{cut}");
        }
        let (client, server) = ends(&config).await;
        drop(client);
        assert!(acceptor.accept(server, LONG).await.is_err(), "it went away");
    });
}

#[test]
fn what_is_no_tls_gets_an_alert_and_a_clean_end() {
    with_pair(|acceptor, files| async move {
        let (mut client, server) = ends(&client_config(&files, None, &TLS13)).await;
        client.socket.write_all(&[b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], LONG).await.expect("sends");
        let hear = async {
            let mut heard = BytesMut::new();
            while client.socket.read(&mut heard, 100).await.expect("no reset") > 0 {}
            drop(client);
            heard
        };
        let (accepted, heard) = futures_lite::future::zip(acceptor.accept(server, LONG), hear).await;
        assert_eq!(accepted.err().expect("no TLS").kind(), ErrorKind::InvalidData);
        // An alert: fatal, decode_error.
        assert_eq!(&heard[..], [0x15, 3, 3, 0, 2, 2, 50]);
    });
}

#[test]
fn a_client_that_stops_in_the_middle_of_a_record_is_waited_for_and_its_end_is_an_error() {
    with_pair(|acceptor, files| async move {
        let (mut client, mut server) = connected(&acceptor, &client_config(&files, None, &TLS13)).await;
        client.tls.writer().write_all(b"hello").expect("memory");
        let mut record = Vec::new();
        client.tls.write_tls(&mut record).expect("memory");
        client.socket.write_all(&[&record[..record.len() - 1]], LONG).await.expect("sends");
        let mut heard = BytesMut::new();
        assert!(timeout(SHORT, server.read(&mut heard, 100)).await.is_none());
        assert_eq!(heard.capacity(), 0, "a connection that waits has no buffer");
        client.socket.shutdown_write().expect("half closes");
        let error = server.read(&mut heard, 100).await.expect_err("it was cut");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(server.read(&mut heard, 100).await.is_err(), "and stays so");
    });
}

#[test]
fn a_reader_that_stands_still_is_given_up_and_a_slow_one_is_served() {
    const TOTAL: usize = 8 << 20;
    with_pair(|acceptor, files| async move {
        let config = client_config(&files, None, &TLS13);
        let (_client, mut server) = connected(&acceptor, &config).await;
        let error = server.write_all(&[vec![0; 64 << 20]], SHORT).await.expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let (mut client, mut server) = connected(&acceptor, &config).await;
        let expected: Vec<u8> = (0..TOTAL).map(|n| (n / 1000) as u8).collect();
        let sent = expected.clone();
        spawn(Queue::Net, async move {
            server.write_all(&[sent], Duration::from_millis(800)).await.expect("progress is made");
            sleep(LONG).await;
        });
        let mut heard = Vec::new();
        while heard.len() < TOTAL {
            sleep(Duration::from_millis(2)).await;
            heard.extend(client.hear(64 * 1024).await);
        }
        assert!(heard == expected);
    });
}

#[test]
fn a_send_is_reported_when_its_ciphertext_has_left_and_nothing_stays_behind() {
    with_pair(|acceptor, files| async move {
        let (mut client, mut server) = connected(&acceptor, &client_config(&files, None, &TLS13)).await;
        // More than the sockets take, and dropped as soon as the last byte is reported.
        let sent: Vec<u8> = (0..20 << 20).map(|n: usize| (n / 777) as u8).collect();
        let expected = sent.clone();
        spawn(Queue::Net, async move {
            server.write_all(&[sent], LONG).await.expect("it is read");
            drop(server);
        });
        assert!(client.hear(expected.len()).await == expected);
    });
}

#[test]
fn a_reload_is_for_new_connections_and_a_bad_one_changes_nothing() {
    let dir = TempDir::new();
    let (files, other) = (pair_in(&dir.0, "server"), pair_in(&dir.0, "other"));
    on_a_core(move || async move {
        let acceptor = acceptor(&files);
        let (old, new) = (client_config(&files, None, &TLS13), client_config(&other, None, &TLS13));
        let (mut client, mut server) = connected(&acceptor, &old).await;
        std::fs::copy(&other.key, &files.key).expect("ours");
        assert!(acceptor.reload().is_err(), "the key is that of another certificate");
        drop(connected(&acceptor, &old).await);
        std::fs::copy(&other.cert, &files.cert).expect("ours");
        assert_eq!(acceptor.reload().expect("they belong together"), Vec::<String>::new());
        drop(connected(&acceptor, &new).await);
        let (mut refused, accepted) = ends(&old).await;
        let both =
            futures_lite::future::zip(acceptor.accept(accepted, SHORT), refused.shake_hands(READ_BYTES_MAX));
        assert!(both.await.1.is_err(), "the old certificate is not shown any more");
        client.send(b"still here").await;
        let mut heard = BytesMut::new();
        server.read(&mut heard, 100).await.expect("reads");
        assert_eq!(&heard[..], b"still here");
    });
}

#[test]
fn a_client_is_known_by_the_name_that_an_authority_has_signed() {
    let dir = TempDir::new();
    let (files, alice, mallory) =
        (pair_in(&dir.0, "server"), pair_in(&dir.0, "alice"), pair_in(&dir.0, "mallory"));
    on_a_core(move || async move {
        let trusted = Some(alice.cert.clone());
        for version in [&TLS12, &TLS13] {
            for (client_certs, shown, outcome) in [
                (ClientCerts::Off, Some(&alice), Ok(None)),
                (ClientCerts::Optional, None, Ok(None)),
                (ClientCerts::Optional, Some(&alice), Ok(Some("alice"))),
                (ClientCerts::Optional, Some(&mallory), Err(())),
                (ClientCerts::Required, None, Err(())),
                (ClientCerts::Required, Some(&alice), Ok(Some("alice"))),
                (ClientCerts::Required, Some(&mallory), Err(())),
            ] {
                let asking = TlsFiles { client_ca: trusted.clone(), client_certs, ..files.clone() };
                let (mut client, server) = ends(&client_config(&files, shown, version)).await;
                let acceptor = acceptor(&asking);
                // The client's opinion may come too early: with TLS 1.3 it is done before it is judged.
                let shake = async {
                    let _ = client.shake_hands(READ_BYTES_MAX).await;
                    client
                };
                let (server, client) = futures_lite::future::zip(acceptor.accept(server, LONG), shake).await;
                drop(client);
                let name = server.map(|server| server.security().expect("secure").client_name);
                let name = name.map_err(|_| ());
                assert_eq!(name, outcome.map(|name| name.map(str::to_owned)), "{client_certs:?} {version:?}");
            }
        }
    });
}
