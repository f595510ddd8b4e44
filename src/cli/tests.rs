//! Laws of the client verbs, against a scripted server.
//!
//! Words go in as a person types them and pass through the parser and the dispatch; what is checked is what
//! the server was sent, what was printed and how the verb ended.

use super::args::Cli;
use super::error::Exit;
use super::fake_server::{FakeServer, Peer, header, run_on};
use clap::Parser;
use http1::Request;
use std::net::TcpListener;

/// A server that answers one request on one connection.
fn one_answer(answer: impl FnOnce(&mut Peer) + Send + 'static) -> FakeServer<Request> {
    FakeServer::start(move |listener| {
        let mut peer = listener.accept();
        let request = peer.request();
        answer(&mut peer);
        request
    })
}

fn lines_file(name: &str, content: &str) -> String {
    let path = std::env::temp_dir().join(format!("millrace-cli-{}-{name}", std::process::id()));
    std::fs::write(&path, content).expect("the temporary directory can be written");
    format!("@{}", path.display())
}

#[test]
fn post_sends_the_payload_as_it_is_and_prints_the_answer() {
    let server = one_answer(|peer| peer.reply(201, r#"{"meta":{"id":1,"t":5}}"#));
    let words = ["post", "iot", "house 1/temp", "{ \"a\":1 }", "--if-match", "0", "--idempotency-key", "k"];
    let (out, result) = server.run(&words);
    assert_eq!((out.as_str(), result), ("{\"meta\":{\"id\":1,\"t\":5}}\n", Ok(())));
    let request = server.join();
    assert_eq!(
        (request.head.method_name(), request.head.raw_target()),
        ("POST", "/streams/iot/house%201/temp")
    );
    assert_eq!(&request.body[..], b"{ \"a\":1 }");
    assert_eq!(header(&request, "content-type"), "application/json");
    assert_eq!(
        (header(&request, "if-match"), header(&request, "idempotency-key")),
        ("\"0\"".into(), "k".into())
    );
}

#[test]
fn post_of_a_file_with_a_media_type_and_an_acknowledgement_level() {
    let file = lines_file("payload", "\u{1}\u{2}");
    let server = one_answer(|peer| peer.reply(201, "{}"));
    let words = ["post", "b", "s", &file, "-c", "image/png", "--ack", "memory"];
    assert_eq!(server.run(&words).1, Ok(()));
    let request = server.join();
    assert_eq!(request.head.raw_target(), "/streams/b/s?ack=memory");
    assert_eq!(
        (header(&request, "content-type"), &request.body[..]),
        ("image/png".to_owned(), &b"\x01\x02"[..])
    );
}

#[test]
fn patch_sends_a_json_patch_unless_told_otherwise() {
    let server = one_answer(|peer| peer.reply(200, "{}"));
    assert_eq!(server.run(&["patch", "b", "s", "[]"]).1, Ok(()));
    let request = server.join();
    assert_eq!(request.head.method_name(), "PATCH");
    assert_eq!(header(&request, "content-type"), "application/json-patch+json");
}

#[test]
fn a_failure_answer_is_exit_code_1_with_what_the_server_said() {
    let server =
        one_answer(|peer| peer.reply(400, r#"{"type":"invalid-body","reason":"Invalid Request Body"}"#));
    let (out, result) = server.run(&["post", "b", "s", "{"]);
    let error = result.expect_err("refused");
    assert_eq!((out.as_str(), error.exit), ("", Exit::Refused));
    assert_eq!(error.message, "the server answered 400 invalid-body: Invalid Request Body");
}

#[test]
fn a_server_that_is_not_there_or_goes_away_or_is_no_http_server_is_exit_code_69() {
    let free = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let error = run_on(port, &["get", "b", "s"]).1.expect_err("nobody listens");
    assert_eq!(error.exit, Exit::Unreachable);
    assert!(error.message.starts_with(&format!("cannot connect to 127.0.0.1:{port}: ")), "{}", error.message);
    assert!(error.next.is_some());
    let scripts: [fn(&mut Peer); 3] = [
        |_| {},
        |peer| peer.send("220 mail ready\r\n"),
        |peer| peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
    ];
    for script in scripts {
        let server = one_answer(script);
        assert_eq!(server.run(&["list-buckets"]).1.expect_err("no answer").exit, Exit::Unreachable);
        server.join();
    }
}

#[test]
fn get_prints_one_event_a_line_whatever_form_the_server_sends() {
    let array = "[{\"meta\":{\"id\":1},\"data\":{\"a\":\n1}},{\"meta\":{\"id\":2},\"data\":1.10}]";
    let lines = "{\"meta\":{\"id\":1},\"data\":{\"a\": 1}}\n{\"meta\":{\"id\":2},\"data\":1.10}\n";
    let server = one_answer(move |peer| peer.reply(200, array));
    assert_eq!(server.run(&["get", "b", "s", "-l", "2", "-f", "-1"]), (lines.to_owned(), Ok(())));
    let request = server.join();
    assert_eq!(request.head.raw_target(), "/streams/b/s?limit=2&from=-1");
    assert!(header(&request, "accept").starts_with("application/x-ndjson"));
    let server = one_answer(move |peer| {
        peer.send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        for half in [&lines[..20], &lines[20..]] {
            peer.send(format!("{:x}\r\n{half}\r\n", half.len()));
        }
        peer.send("0\r\n\r\n");
    });
    assert_eq!(server.run(&["get", "b", "s"]), (lines.to_owned(), Ok(())));
    assert_eq!(server.join().head.raw_target(), "/streams/b/s?limit=10");
}

#[test]
fn get_raw_prints_the_bytes_and_nothing_else() {
    let server = one_answer(|peer| peer.reply_with(200, "Content-Type: text/plain\r\n", "hello"));
    assert_eq!(server.run(&["get", "b", "s", "--raw"]), ("hello".to_owned(), Ok(())));
    let request = server.join();
    assert_eq!(header(&request, "accept"), "application/octet-stream");
    assert_eq!(request.head.raw_target(), "/streams/b/s?limit=1");
}

#[test]
fn lists_are_a_name_a_line_or_json() {
    let body = r#"{"status":"ok","data":["a b","c"]}"#;
    let server = one_answer(move |peer| peer.reply(200, body));
    assert_eq!(server.run(&["list-buckets", "--prefix", "a&"]), ("a b\nc\n".to_owned(), Ok(())));
    assert_eq!(server.join().head.raw_target(), "/buckets?prefix=a%26");
    let server = one_answer(move |peer| peer.reply(200, body));
    assert_eq!(
        server.run(&["--json", "list-streams", "x/y".split('/').next().expect("x")]).0,
        "\"a b\"\n\"c\"\n"
    );
    assert_eq!(server.join().head.raw_target(), "/streams/x");
    let server = one_answer(|peer| peer.reply(200, r#"{"status":"partial","data":[{"name":"s"}]}"#));
    let (out, result) = server.run(&["list-streams", "x", "--details"]);
    assert_eq!((out.as_str(), result.expect_err("partial").exit), ("{\"name\":\"s\"}\n", Exit::Refused));
    server.join();
}

#[test]
fn delete_and_trim_say_what_they_delete() {
    for (words, target) in
        [(&["delete", "b", "s"][..], "/streams/b/s"), (&["trim", "b", "s", "17"], "/streams/b/s?before=17")]
    {
        let server = one_answer(|peer| peer.send("HTTP/1.1 204 X\r\n\r\n"));
        assert_eq!(server.run(words), (String::new(), Ok(())));
        let request = server.join();
        assert_eq!((request.head.method_name(), request.head.raw_target()), ("DELETE", target));
    }
}

#[test]
fn a_user_logs_in_first_and_the_token_goes_with_the_request() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept();
        let login = peer.request();
        peer.reply(201, r#"{"ok":true,"token":"T.T","username":"u"}"#);
        let mut peer = listener.accept();
        let request = peer.request();
        peer.reply(200, r#"{"data":[]}"#);
        (login, request)
    });
    assert_eq!(server.run(&["list-buckets", "-u", "u", "-p", "p\"w"]).1, Ok(()));
    let (login, request) = server.join();
    assert_eq!(
        (login.head.raw_target(), &login.body[..]),
        ("/sessions", &br#"{"password":"p\"w","username":"u"}"#[..])
    );
    assert_eq!(header(&request, "x-session"), "T.T");
}

#[test]
fn a_wrong_password_is_a_failure_answer() {
    let server = one_answer(|peer| peer.reply(401, r#"{"type":"unauthorized","reason":"Unauthorized"}"#));
    let error = server.run(&["list-buckets", "-u", "u", "-p", "x"]).1.expect_err("wrong");
    assert_eq!(error.exit, Exit::Refused);
    assert!(error.next.is_some_and(|next| next.contains("users passwd")));
    server.join();
}

#[test]
fn lines_are_sent_before_the_first_of_them_is_answered() {
    let file = lines_file("pipelined", "{\"a\":1}\n\n2\r\n\"three\"");
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept();
        let requests: Vec<Request> = (0..3).map(|_| peer.request()).collect();
        for id in 4..7 {
            peer.reply(201, &format!("{{\"meta\":{{\"id\":{id}}}}}"));
        }
        requests
    });
    let (out, result) = server.run(&["post", "b", "s", &file, "--lines"]);
    assert_eq!((out.as_str(), result), ("stored 3 of 3 events, ids 4 to 6\n", Ok(())));
    let bodies: Vec<_> = server.join().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [&b"{\"a\":1}"[..], b"2", b"\"three\""]);
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let file = lines_file("window", &"1\n".repeat(20));
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept();
        // One is answered at a time: with more than the window under way, this would wait for ever.
        for id in 1..=20 {
            peer.request();
            peer.reply(201, &format!("{{\"meta\":{{\"id\":{id}}}}}"));
        }
    });
    let (out, result) = server.run(&["post", "b", "s", &file, "--lines", "--window", "1", "--json"]);
    assert_eq!(result, Ok(()));
    let counts: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&counts["stored"], &counts["first_id"], &counts["last_id"]),
        (&20.into(), &1.into(), &20.into())
    );
    server.join();
}

#[test]
fn a_refused_line_is_counted_and_the_rest_goes_on() {
    let file = lines_file("refused", "1\n{\n3\n");
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept();
        for answer in [(201, r#"{"meta":{"id":1}}"#), (400, "{}"), (201, r#"{"meta":{"id":2}}"#)] {
            peer.request();
            peer.reply(answer.0, answer.1);
        }
    });
    let (out, result) = server.run(&["post", "b", "s", &file, "--lines"]);
    assert_eq!(out, "stored 2 of 3 events, ids 1 to 2, 1 refused\n");
    assert_eq!(result.expect_err("one was refused").exit, Exit::Refused);
    server.join();
}

#[test]
fn lines_without_an_answer_are_unknown_when_the_connection_breaks() {
    let file = lines_file("broken", "1\n2\n3\n");
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept();
        (0..3).for_each(|_| drop(peer.request()));
        peer.reply(201, r#"{"meta":{"id":9}}"#);
    });
    let (out, result) = server.run(&["post", "b", "s", &file, "--lines"]);
    assert_eq!(out, "stored 1 of 3 events, ids 9 to 9, 2 unknown\n");
    let error = result.expect_err("the connection broke");
    assert_eq!(error.exit, Exit::Unreachable);
    server.join();
}

#[test]
fn an_answer_that_every_line_would_get_stops_the_sending() {
    let file = lines_file("hopeless", &"1\n".repeat(1000));
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept();
        peer.request();
        peer.reply(503, r#"{"type":"unavailable","reason":"draining"}"#);
        // Whatever else was sent by then hangs; the connection ends here.
    });
    let (_, result) = server.run(&["post", "b", "s", &file, "--lines", "--window", "1", "--json"]);
    assert!(result.is_err());
    server.join();
}

#[test]
fn a_batch_is_one_request_of_lines_with_one_key() {
    let file = lines_file("batch", "1\n2\n3\n4\n5\n");
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept();
        let first = [1, 3, 5];
        first.map(|id| {
            let request = peer.request();
            let headers = if id == 3 { "Idempotent-Replayed: true\r\n" } else { "" };
            peer.reply_with(200, headers, &format!("{{\"meta\":{{\"id\":{id}}}}}"));
            request
        })
    });
    let words = ["post", "b", "s", &file, "--lines", "--batch", "2", "--idempotency-key", "run"];
    assert_eq!(
        server.run(&words),
        ("stored 5 of 5 events, ids 1 to 5, 2 stored before\n".to_owned(), Ok(()))
    );
    let requests = server.join();
    let bodies = requests.each_ref().map(|request| request.body.as_ref());
    assert_eq!(bodies, [&b"1\n2\n"[..], b"3\n4\n", b"5\n"]);
    let keys = requests.each_ref().map(|request| header(request, "idempotency-key"));
    assert_eq!(keys, ["run-1", "run-3", "run-5"]);
    assert_eq!(header(&requests[0], "content-type"), "application/x-ndjson");
}

#[test]
fn the_flags_of_a_server_before_a_verb_that_has_none_are_a_usage_error() {
    let cli = Cli::try_parse_from(["millrace", "-P", "1", "version"]).expect("it parses");
    assert_eq!(super::dispatch(&cli, &mut Vec::new()).expect_err("no server").exit, Exit::Usage);
}
