//! A server inside a program: append without waiting, follow the stream, stop cleanly.
//!
//! `cargo run --example embed [DATA]`; the data directory is `./millrace-embedded` unless it is given. What
//! an earlier run appended is still there.

use millrace::embed::{Builder, Event, Message, Pending, SeqNum};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let data = std::env::args_os().nth(1).unwrap_or_else(|| "millrace-embedded".into());
    let server = Builder::new(data).start()?;
    println!("also at http://{}/streams/iot/kitchen?limit=3", server.http_addr());
    let kitchen = server.stream("iot", "kitchen")?;

    // Under way together, they share the flushes of the disk.
    let mut under_way = Vec::new();
    for n in 0..1000 {
        under_way
            .push(kitchen.append(Event::json(format!("{{\"celsius\":{}}}", 20.0 + f64::from(n) / 100.0))?));
    }
    let stored: Vec<_> = under_way.into_iter().map(Pending::wait).collect::<Result<_, _>>()?;
    let (first, last) = (stored[0].first, stored[stored.len() - 1].first);
    println!("on disk: events {first} to {last}");

    let mut subscription = kitchen.subscribe(SeqNum(last.0 - 2));
    while let Some(message) = subscription.next(Duration::from_millis(100))? {
        if let Message::Event(event) = message {
            println!("{}: {}", event.seq(), String::from_utf8_lossy(event.payload()));
        }
    }
    server.shutdown()?;
    Ok(())
}
