//! SIGKILL at a random moment of a load from 32 connections, again and again.
//!
//! 40 rounds by default; `MILLRACE_KILL_ROUNDS` sets another number. The seed is printed and can be given as
//! `MILLRACE_KILL_SEED`; the moments depend on the machine's speed all the same.

use crate::history::{Writer, verify};
use crate::server::{Server, fresh_dir};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CONNECTIONS: usize = 32;

/// A small journal, so that rolls, checkpoints and merges happen in every run.
const SETTINGS: [(&str, &str); 5] = [
    ("MILLRACE_LIMITS__BODY_BYTES_MAX", "65536"),
    ("MILLRACE_LIMITS__APPEND_EVENTS_MAX", "64"),
    ("MILLRACE_LIMITS__JOURNAL_FILE_BYTES", "262144"),
    ("MILLRACE_LIMITS__JOURNAL_FILES_MAX", "4"),
    ("MILLRACE_LIMITS__SEGMENTS_MAX", "3"),
];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A number in `range` from a seed that moves on (xorshift).
fn random(seed: &mut u64, range: std::ops::Range<u64>) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    range.start + *seed % (range.end - range.start)
}

#[test]
fn what_was_acknowledged_survives_being_killed_at_any_moment() {
    let rounds = setting("MILLRACE_KILL_ROUNDS", 40);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let mut seed = setting("MILLRACE_KILL_SEED", u64::from(clock.subsec_nanos()) | 1);
    println!("MILLRACE_KILL_SEED={seed}");
    let data = fresh_dir("kill");
    let stream =
        |n: usize| if n.is_multiple_of(2) { format!("own-{n}") } else { format!("shared-{}", n % 8) };
    let mut writers: Vec<Writer> = (0..CONNECTIONS).map(|n| Writer::new(n, stream(n))).collect();
    for round in 0..rounds {
        let server = Server::start(&data, &SETTINGS);
        let addr = server.addr;
        if round % 4 == 3 {
            verify(addr, &writers);
        }
        let stop = AtomicBool::new(false);
        let wait = Duration::from_millis(random(&mut seed, 20..600));
        std::thread::scope(|scope| {
            for writer in &mut writers {
                let stop = &stop;
                scope.spawn(move || {
                    let cut = writer.write(addr, stop);
                    assert!(stop.load(Ordering::Relaxed) || cut.is_err());
                });
            }
            std::thread::sleep(wait);
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }
    let server = Server::start(&data, &SETTINGS);
    // Every unknown is settled by its retry.
    let mut client = crate::client::Client::connect(server.addr).expect("the server listens");
    for writer in &mut writers {
        writer.write_one(&mut client).expect("a retry succeeds");
    }
    let count = verify(server.addr, &writers);
    let acknowledged: usize = writers.iter().map(|writer| writer.acknowledged.len()).sum();
    assert_eq!(count, acknowledged as u64, "every event is stored once");
    println!("{rounds} kills, {count} events, 0 lost, 0 duplicated, 0 out of order");
    assert!(server.stop().success(), "a clean stop ends with 0");
    let server = Server::start(&data, &SETTINGS);
    assert_eq!(verify(server.addr, &writers), count);
}
