//! The access log: a line of JSON for each request, nothing secret in it, nothing lost at the end.
//!
//! Each test has a server and a file of its own; what is compared is read after the server has stopped, or
//! waited for.

use crate::server::Server;
use crate::wire::request;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A file that is removed with the test.
struct LogFile(PathBuf);

impl LogFile {
    fn new(name: &str) -> LogFile {
        let file = format!("access-{}-{name}.log", std::process::id());
        LogFile(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(file))
    }

    fn start(&self, more: &[(&str, &str)]) -> Server {
        let path = self.0.to_str().expect("a path of text");
        let mut settings = vec![("MILLRACE_SERVER__CORES", "1"), ("MILLRACE_LOG__ACCESS", path)];
        settings.extend(more);
        Server::start(&settings)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).expect("the log is there")
    }

    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// Waits until there are so many lines.
    fn wait_for(&self, count: usize) -> Vec<Value> {
        let begin = Instant::now();
        while self.text().lines().count() < count {
            assert!(begin.elapsed() < Duration::from_secs(20), "{count} lines did not come: {}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.lines()
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn each_request_is_a_line_in_the_order_of_the_answers() {
    let file = LogFile::new("order");
    let server = file.start(&[]);
    let mut client = server.connect();
    let body = "{\"a\":1}";
    let posted = client.post("/streams/b/s?ack=fsync", body);
    client.get("/streams/b/s?limit=1");
    client.get("/nowhere");
    client.send("GET /\x01 HTTP/1.1\r\n\r\n");
    client.reply();
    let lines = file.wait_for(4);
    let told = |line: &Value| format!("{} {} {}", line["method"], line["path"], line["status"]);
    assert_eq!(
        lines.iter().map(told).collect::<Vec<_>>(),
        [
            "\"POST\" \"/streams/b/s?ack=fsync\" 201",
            "\"GET\" \"/streams/b/s?limit=1\" 200",
            "\"GET\" \"/nowhere\" 404",
            "\"\" \"\" 400"
        ]
    );
    let first = &lines[0];
    let time = first["time"].as_str().expect("a time");
    assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert_eq!((&first["bytes_in"], &first["user"]), (&body.len().into(), &"".into()));
    let bytes_out = first["bytes_out"].as_u64().expect("a count");
    let head: usize = posted.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    assert_eq!(bytes_out as usize, "HTTP/1.1 201 Created\r\n\r\n".len() + head + posted.body.len());
    assert!(first["duration_us"].as_u64().is_some_and(|us| us > 0 && us < 30_000_000));
    assert!(first["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    assert_eq!(first.get("form"), None);
}

#[test]
fn no_secret_is_in_any_line() {
    let file = LogFile::new("secrets");
    let server = file.start(&[]);
    let mut client = server.connect();
    let headers = ["X-Session: head-SECRET", "Authorization: Bearer head-SECRET", "Cookie: a=head-SECRET"];
    for target in [
        "/streams/b/s?jwt=query-SECRET",
        "/streams/b/s?limit=1&ticket=query-SECRET&from=1",
        "/listen?s=b:s&timeout=0&access_token=query-SECRET",
        "/listen?s=b:s&timeout=0&%6aw%74=query-SECRET",
        "/nowhere?password=query-SECRET",
        "/streams/b/s?jwt=%zz-SECRET",
    ] {
        client.request("GET", target, &headers, b"");
    }
    client.request("POST", "/streams/b/s", &headers, b"body-SECRET");
    let lines = file.wait_for(7);
    assert!(!file.text().contains("SECRET"), "{}", file.text());
    assert_eq!(lines[0]["path"], "/streams/b/s?jwt=***");
    assert_eq!(lines[1]["path"], "/streams/b/s?limit=1&ticket=***&from=1");
}

#[test]
fn listeners_are_told_with_their_form_when_they_end() {
    let file = LogFile::new("listeners");
    let server = file.start(&[]);
    let mut client = server.connect();
    client.post("/streams/b/s", "1");
    let mut events = server.connect();
    events.send(request("GET", "/listen?s=b:s:1", &["Accept: text/event-stream"], b""));
    assert_eq!(events.reply_to("HEAD").status, 200);
    let mut socket = server.connect();
    let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    socket.send(request("GET", "/x/echo", &["Connection: Upgrade", "Upgrade: websocket", key], b""));
    assert_eq!(socket.reply_to("HEAD").status, 101);
    assert_eq!(client.get("/listen?s=b:s:1").status, 200);
    let before = file.wait_for(2);
    assert_eq!((before.len(), &before[1]["form"]), (2, &"long_poll".into()), "the others are open");
    drop(events);
    let lines = file.wait_for(3);
    assert_eq!((&lines[2]["form"], &lines[2]["status"]), (&"sse".into(), &200.into()));
    assert!(lines[2]["bytes_out"].as_u64().is_some_and(|bytes| bytes > 200), "{}", lines[2]);
    drop(socket);
    let lines = file.wait_for(4);
    assert_eq!((&lines[3]["form"], &lines[3]["status"]), (&"echo".into(), &101.into()));
}

#[test]
fn what_was_answered_before_the_end_of_the_server_is_in_the_log() {
    let file = LogFile::new("end");
    let server = file.start(&[]);
    let mut client = server.connect();
    (0..500).for_each(|_| client.send(request("GET", "/ping", &[], b"")));
    (0..500).for_each(|_| assert_eq!(client.reply().status, 200));
    server.terminate();
    drop(client);
    let server = server.restart(&[]);
    assert_eq!(file.lines().len(), 500);
    drop(server);
}

#[test]
fn lines_that_find_no_room_are_dropped_and_counted_and_nobody_waits() {
    let file = LogFile::new("full");
    let server = file.start(&[("MILLRACE_LIMITS__ACCESS_LOG_BYTES_MAX", "1KiB")]);
    let mut client = server.connect();
    let burst = request("GET", "/ping", &[], b"").repeat(100);
    client.send(&burst);
    (0..100).for_each(|_| assert_eq!(client.reply().status, 200));
    let stats = client.get("/stats").json()["access_log"].clone();
    let (lines, dropped) = (stats["lines"].as_u64().expect("told"), stats["dropped"].as_u64().expect("told"));
    assert_eq!(lines + dropped, 100);
    assert!(dropped > 0, "{stats}");
}

#[test]
fn a_log_that_cannot_be_written_stops_the_start_and_says_why() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["serve", "--http", "127.0.0.1:0", "--data", "/nowhere/data"])
        .env("MILLRACE_LOG__ACCESS", "/nowhere/access.log")
        .output()
        .expect("the binary was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("MILLRACE_LOG__ACCESS: log.access: cannot write /nowhere/access.log: "), "{said}");
}
