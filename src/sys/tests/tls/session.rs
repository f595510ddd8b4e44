//! `Session` in memory: any split of the bytes gives the same, and what a hostile or odd client may send.

use super::{client_config, new_client, pair_in, rsa_in};
use crate::sys::net::READ_BYTES_MAX;
use crate::sys::tests::TempDir;
use crate::sys::tls::session::{SEND_BYTES_MAX, SEND_ROOM_BYTES, Session};
use crate::sys::tls::setup::Setup;
use bytes::BytesMut;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, ConnectionTrafficSecrets};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the law of the house allows one computation on a core.
const STEP_MAX: Duration = Duration::from_micros(500);

struct Pair {
    client: ClientConnection,
    server: Session,
    heard: BytesMut,
    /// Times of the server's steps.
    steps: Vec<Duration>,
}

impl Pair {
    fn new(setup: &Setup, client: ClientConnection) -> Pair {
        let server = Session::new(setup.config.clone()).expect("a sound configuration");
        Pair { client, server, heard: BytesMut::new(), steps: Vec::new() }
    }

    /// Everything that the client wants to send.
    fn client_says(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).expect("memory");
        }
        bytes
    }

    /// Gives the server bytes in two parts.
    fn give(&mut self, bytes: &[u8], split: usize) {
        let (first, second) = bytes.split_at(split.min(bytes.len()));
        for part in [first, second] {
            if !part.is_empty() {
                let mut input = [self.server.incoming(), part].concat();
                let begin = Instant::now();
                self.server.receive(&mut input, &mut self.heard, READ_BYTES_MAX);
                self.steps.push(begin.elapsed());
            }
        }
    }

    /// Gives the client what the server wants to send.
    fn answer(&mut self) {
        let bytes = self.server.take_outgoing();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            self.client.read_tls(&mut rest).expect("memory");
            self.client.process_new_packets().expect("the server is sound");
        }
    }

    /// Until the handshake is over; every flight of the client is split at `split`.
    fn shake_hands(&mut self, split: usize) {
        while self.client.is_handshaking() || self.server.is_handshaking() {
            let flight = self.client_says();
            self.give(&flight, split);
            assert!(self.server.end().is_none(), "{:?}", self.server.end());
            self.answer();
        }
    }
}

#[test]
fn every_split_of_a_handshake_and_of_what_follows_gives_the_same() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    for version in [&TLS12, &TLS13] {
        let config = client_config(&files, None, version);
        // Longer than any flight of this client.
        for split in 1..600 {
            let mut pair = Pair::new(&setup, new_client(&config));
            pair.shake_hands(split);
            pair.client.writer().write_all(b"one").expect("memory");
            pair.client.writer().write_all(&[b'2'; 500]).expect("memory");
            let bytes = pair.client_says();
            pair.give(&bytes, split);
            assert_eq!(pair.heard, [&b"one"[..], &[b'2'; 500]].concat(), "{split}");
            assert!(pair.server.incoming().is_empty());
        }
    }
}

#[test]
fn single_bytes_are_a_handshake_too() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    let mut pair = Pair::new(&setup, new_client(&client_config(&files, None, &TLS13)));
    pair.client.writer().write_all(b"hello").expect("memory");
    while pair.heard.len() < 5 {
        for byte in pair.client_says() {
            pair.give(&[byte], 1);
        }
        pair.answer();
    }
    assert_eq!(&pair.heard[..], b"hello");
}

#[test]
fn more_than_was_asked_for_waits_and_is_not_lost() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    let mut pair = Pair::new(&setup, new_client(&client_config(&files, None, &TLS13)));
    pair.shake_hands(9999);
    pair.client.writer().write_all(b"abcdef").expect("memory");
    pair.client.send_close_notify();
    let mut bytes = pair.client_says();
    pair.server.receive(&mut bytes, &mut pair.heard, 2);
    assert_eq!((&pair.heard[..], pair.server.end().is_none()), (&b"ab"[..], true));
    assert_eq!(pair.server.take_plaintext(&mut pair.heard, 3), 3);
    assert_eq!(pair.server.take_plaintext(&mut pair.heard, 3), 1);
    assert_eq!(&pair.heard[..], b"abcdef");
    assert!(matches!(pair.server.end(), Some(Ok(()))), "the end comes after what was before it");
}

#[test]
fn a_portion_of_any_size_fits_its_room_and_arrives() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::new(&setup, new_client(&client_config(&files, None, version)));
        pair.shake_hands(9999);
        let mut room = vec![0; SEND_ROOM_BYTES];
        for size in [1, 16_383, 16_384, 16_385, SEND_BYTES_MAX - 1, SEND_BYTES_MAX] {
            let plaintext: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let count = pair.server.encrypt(&plaintext, &mut room).expect("it fits");
            pair.server.keep_outgoing(&room[..count], size);
            pair.server.take_outgoing().chunks(5_000).for_each(|mut piece| {
                while !piece.is_empty() {
                    pair.client.read_tls(&mut piece).expect("memory");
                    pair.client.process_new_packets().expect("sound");
                    let mut heard = Vec::new();
                    let _ = pair.client.reader().read_to_end(&mut heard); // the end says WouldBlock
                    pair.heard.extend_from_slice(&heard);
                }
            });
            assert_eq!(pair.server.take_claimed(), size);
            assert_eq!(pair.heard.split(), plaintext, "{size}");
        }
    }
}

#[test]
fn keys_that_change_in_the_middle_are_followed_in_both_directions() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    let mut pair = Pair::new(&setup, new_client(&client_config(&files, None, &TLS13)));
    pair.shake_hands(9999);
    let mut room = vec![0; SEND_ROOM_BYTES];
    for round in 0..20_usize {
        pair.client.refresh_traffic_keys().expect("TLS 1.3 has it");
        pair.client.writer().write_all(b"x").expect("memory");
        let bytes = pair.client_says();
        pair.give(&bytes, round * 3);
        assert_eq!(&pair.heard.split()[..], b"x", "{round}");
        // The answer changes our keys too.
        let count = pair.server.encrypt(b"y", &mut room).expect("it fits");
        pair.server.keep_outgoing(&room[..count], 1);
        pair.answer();
        assert_eq!(pair.server.take_claimed(), 1);
        let mut heard = [0; 2];
        assert_eq!((pair.client.reader().read(&mut heard).expect("there"), heard[0]), (1, b'y'), "{round}");
    }
}

#[test]
fn a_write_between_the_halves_of_a_key_update_harms_nothing() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    let mut pair = Pair::new(&setup, new_client(&client_config(&files, None, &TLS13)));
    pair.shake_hands(9999);
    let mut room = vec![0; SEND_ROOM_BYTES];
    pair.client.refresh_traffic_keys().expect("TLS 1.3 has it");
    pair.client.writer().write_all(b"x").expect("memory");
    for byte in pair.client_says() {
        pair.give(&[byte], 1);
        let count = pair.server.encrypt(b"y", &mut room).expect("it fits");
        pair.server.keep_outgoing(&room[..count], 1);
        pair.answer();
        pair.server.take_claimed();
    }
    assert_eq!(&pair.heard[..], b"x");
}

#[test]
fn what_comes_behind_the_end_is_not_heard() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::new(&setup, new_client(&client_config(&files, None, version)));
        pair.shake_hands(9999);
        pair.client.writer().write_all(b"last").expect("memory");
        pair.client.send_close_notify();
        let mut bytes = pair.client_says();
        bytes.extend_from_slice(&[0x17, 3, 3, 0, 50]);
        bytes.extend_from_slice(&[7; 50]);
        pair.give(&bytes, 9999);
        assert_eq!(&pair.heard[..], b"last");
        assert!(matches!(pair.server.end(), Some(Ok(()))));
        // The other half still works: an answer to what was asked before the end.
        let mut room = vec![0; SEND_ROOM_BYTES];
        assert!(pair.server.encrypt(b"answer", &mut room).is_ok());
    }
}

#[test]
fn damaged_bytes_end_it_with_an_alert_and_further_ones_change_nothing() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    for version in [&TLS12, &TLS13] {
        let config = client_config(&files, None, version);
        // The third byte is a version that nobody looks at (RFC 8446 §5.1).
        for at in (0..120).filter(|at| *at != 2) {
            let mut pair = Pair::new(&setup, new_client(&config));
            pair.shake_hands(9999);
            pair.client.writer().write_all(&[b'a'; 80]).expect("memory");
            let mut bytes = pair.client_says();
            let place = at.min(bytes.len() - 1);
            bytes[place] ^= 0x40;
            pair.give(&bytes, at);
            pair.give(&[0; 40_000], 7);
            assert!(pair.heard.is_empty() && matches!(pair.server.end(), Some(Err(_))), "{at}");
            let alert = pair.server.take_outgoing();
            // Encrypted: an application record in TLS 1.3, an alert's in TLS 1.2.
            assert!(matches!(alert.first(), Some(0x15 | 0x17)), "{at}: {alert:?}");
        }
    }
}

#[test]
fn an_end_of_the_socket_without_a_word_is_an_error() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    let mut pair = Pair::new(&setup, new_client(&client_config(&files, None, &TLS13)));
    pair.shake_hands(9999);
    pair.server.handle_eof();
    let error = pair.server.end().expect("it ended").expect_err("it was cut");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

/// A record of TLS 1.2 as the client would encrypt it (RFC 5288 §3).
fn record(key: &LessSafeKey, iv: &[u8], seq: u64, kind: u8, plaintext: &[u8]) -> Vec<u8> {
    let explicit = seq.to_be_bytes();
    let nonce: [u8; 12] = [&iv[..4], &explicit].concat().try_into().expect("4 and 8");
    let length = u16::try_from(plaintext.len()).expect("short").to_be_bytes();
    let aad = [&seq.to_be_bytes()[..], &[kind, 3, 3], &length].concat();
    let mut body = plaintext.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body)
        .expect("it encrypts");
    let length = u16::try_from(body.len() + 8).expect("short").to_be_bytes();
    [&[kind, 3, 3][..], &length, &explicit, &body].concat()
}

#[test]
fn a_renegotiation_is_refused_and_the_connection_goes_on() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "server");
    let setup = Setup::load(&files).expect("sound");
    let config = client_config(&files, None, &TLS12);
    let mut pair = Pair::new(&setup, new_client(&config));
    pair.shake_hands(9999);
    // A first message of another client, without its record's header, within this connection.
    let mut another = Pair::new(&setup, new_client(&config));
    let hello = another.client_says()[5..].to_vec();
    let Pair { client, mut server, mut heard, .. } = pair;
    let secrets = client.dangerous_extract_secrets().expect("it is allowed here");
    let (seq, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets.tx else { panic!("another cipher") };
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("32 bytes"));
    let (handshake, application) = (0x16, 0x17);
    let mut bytes = record(&key, iv.as_ref(), seq, handshake, &hello);
    bytes.extend(record(&key, iv.as_ref(), seq + 1, application, b"still here"));
    server.receive(&mut bytes, &mut heard, READ_BYTES_MAX);
    assert_eq!(
        (&heard[..], server.end().is_none(), server.is_handshaking()),
        (&b"still here"[..], true, false)
    );
    let alert = server.take_outgoing();
    assert_eq!(alert.first(), Some(&0x15), "a warning that there will be none: {alert:?}");
}

#[test]
fn a_step_that_is_taken_on_a_core_is_shorter_than_half_a_millisecond() {
    let dir = TempDir::new();
    for files in [pair_in(&dir.0, "server"), rsa_in(&dir)] {
        let setup = Arc::new(Setup::load(&files).expect("sound"));
        for version in [&TLS12, &TLS13] {
            let config = client_config(&files, None, version);
            let longest = |_| {
                let mut pair = Pair::new(&setup, new_client(&config));
                // A ticket of a former handshake would spare the signature.
                let mut fresh = (*config).clone();
                fresh.resumption = rustls::client::Resumption::disabled();
                pair.client = new_client(&Arc::new(fresh));
                pair.shake_hands(9999);
                pair.steps.into_iter().max().expect("there were some")
            };
            let mut longest: Vec<Duration> = (0..40).map(longest).collect();
            longest.sort_unstable();
            let (least, median) = (longest[0], longest[20]);
            let name = files.cert.file_name().unwrap_or_default().display();
            println!("{name} {:?}: longest step {median:?}, at best {least:?}", version.version);
            // At best, since others use the machine too.
            assert!(setup.is_slow || least < STEP_MAX, "{name}: {least:?}");
        }
    }
}
