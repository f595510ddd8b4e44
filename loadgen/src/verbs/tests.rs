//! Whole verbs over real sockets, against a server in this process whose faults are known.

use super::fake_server::{FakeServer, Faults, TOKEN, USER};
use super::*;
use crate::failure::Exit;
use crate::outcome::result::ResultFile;

/// Runs the arguments as `loadgen` would; gives the result that it would show.
fn run(server: &FakeServer, verb: &str, flags: &[&str]) -> Result<ResultFile, Failure> {
    let mut arguments = vec![verb.to_owned(), format!("--target={}", server.target())];
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    match parse(&arguments)?.verb {
        Verb::Append(args) => append::run(&args, &arguments, Clock::start()),
        Verb::Listen(args) => {
            let file = listen::run(&args, &arguments, Clock::start())?;
            listen::judge(&file).map(|()| file)
        }
        _ => panic!("{verb} has no result"),
    }
}

const SHORT: [&str; 2] = ["--warmup=0s", "--duration=300ms"];

#[test]
fn so_many_events_as_asked_for_are_appended_and_counted() {
    for flags in [["--pipeline=1", "--threads=1"], ["--pipeline=5", "--threads=3"]] {
        let server = FakeServer::start(Faults::default());
        let more = ["--connections=7", "--events=500", "--warmup=0s", "--duration=60s"];
        let file = run(&server, "append", &[&flags[..], &more].concat()).expect("the server is sound");
        let run = &file.runs[0];
        assert_eq!((run.events, run.latency.count, run.errors.len()), (500, 500, 0));
        assert_eq!((server.append_count(), server.event_count()), (500, 500));
        assert!(run.seconds < 60.0, "it ends with the last event");
    }
}

#[test]
fn a_connection_is_replaced_after_as_many_requests_as_asked_for() {
    for pipeline in ["--pipeline=1", "--pipeline=3"] {
        let server = FakeServer::start(Faults::default());
        let flags = ["--reconnect-after=5", "--events=40", "--connections=2", "--warmup=0s"];
        let file = run(&server, "append", &[&flags[..], &["--duration=60s", pipeline]].concat());
        let file = file.expect("the server is sound");
        assert_eq!((file.runs[0].events, file.runs[0].errors.len()), (40, 0), "{:?}", file.runs[0].errors);
        // One looks whether the server is there; eight carry five requests each, or nine, two of them fewer;
        // two may be made in vain.
        assert!((9..=12).contains(&server.connection_count()), "{}", server.connection_count());
    }
    let server = FakeServer::start(Faults::default());
    let refused = run(&server, "append", &["--reconnect-after=0"]).expect_err("nothing could be sent");
    assert!(refused.to_string().contains("--reconnect-after 0"), "{refused}");
}

#[test]
fn a_result_says_when_it_began_and_not_when_it_ended() {
    let server = FakeServer::start(Faults::default());
    let file = run(&server, "append", &SHORT).expect("the server is sound");
    assert!(file.started_unix_ms + 300 <= common::unix_ms(), "the run alone took 300 ms");
}

#[test]
fn in_turn_every_stream_gets_its_event_whichever_connection_is_quick() {
    for threads in ["--threads=1", "--threads=3"] {
        let server = FakeServer::start(Faults::default());
        let flags = ["--connections=7", "--pipeline=2", "--order=round", "--streams=500", "--events=500"];
        let flags = [&flags[..], &["--warmup=0s", "--duration=60s", threads]].concat();
        run(&server, "append", &flags).expect("the server is sound");
        assert_eq!((server.stream_count(), server.event_count()), (500, 500));
    }
}

#[test]
fn a_batch_is_one_request_of_many_events() {
    let server = FakeServer::start(Faults::default());
    let flags = ["--batch=10", "--events=200", "--streams=3", "--warmup=0s", "--duration=60s"];
    let file =
        run(&server, "append", &[&flags[..], &["--connections=2"]].concat()).expect("the server is sound");
    assert_eq!((file.runs[0].requests, file.runs[0].events, file.runs[0].bytes), (20, 200, 25_600));
    assert_eq!((server.append_count(), server.event_count()), (20, 200));
}

#[test]
fn refusals_are_counted_by_kind_and_are_no_events() {
    let server = FakeServer::start(Faults { refuse: 10, ..Faults::default() });
    let flags = ["--connections=4", "--events=400", "--warmup=0s", "--duration=60s"];
    let file = run(&server, "append", &flags).expect("refusals are no failure");
    assert_eq!((file.runs[0].events, file.runs[0].errors.get("status 503")), (360, Some(&40)));
}

#[test]
fn a_cut_connection_is_counted_with_its_requests_and_the_load_goes_on() {
    let server = FakeServer::start(Faults { cut: 50, ..Faults::default() });
    let flags = ["--connections=4", "--events=400", "--warmup=0s", "--duration=60s"];
    let file = run(&server, "append", &flags).expect("cut connections are no failure");
    let run = &file.runs[0];
    let lost = run.errors.get("request lost with its connection").copied().unwrap_or(0);
    assert_eq!((run.events + lost, lost), (400, 8), "{:?}", run.errors);
}

#[test]
fn an_open_loop_counts_the_wait_that_a_stall_causes_for_every_request_due_in_it() {
    let stall = Some((100, std::time::Duration::from_millis(300)));
    let server = FakeServer::start(Faults { stall, ..Faults::default() });
    let flags = ["--connections=1", "--rate=1000", "--warmup=0s", "--duration=500ms"];
    let file = run(&server, "append", &flags).expect("a stall is no failure");
    let run = &file.runs[0];
    assert_eq!((run.latency.count, run.unsent), (500, 0), "nothing that was due is left out");
    // 300 requests were due in the stall; whatever the machine, the first third of them waited 200 ms.
    assert!(run.latency.p90_us > 150_000.0, "{:?}", run.latency);
}

#[test]
fn a_sweep_makes_a_run_for_each_rate() {
    let server = FakeServer::start(Faults::default());
    let file = run(&server, "append", &[&SHORT[..], &["--sweep=100,200", "--connections=2"]].concat());
    let file = file.expect("the server is sound");
    let offered: Vec<Option<f64>> = file.runs.iter().map(|run| run.offered_per_s).collect();
    assert_eq!(offered, [Some(100.0), Some(200.0)]);
    assert_eq!(file.runs.iter().map(|run| run.latency.count).collect::<Vec<_>>(), [30, 60]);
}

#[test]
fn listeners_hear_everything_once_and_in_order() {
    for flags in [["--rate=200", "--streams=1"], ["--window=8", "--streams=3"], ["--window=1", "--slow=4"]] {
        let server = FakeServer::start(Faults::default());
        let more =
            ["--form=sse", "--listeners=10", "--threads=2", "--history=20", "--from=start", "--writers=2"];
        let file =
            run(&server, "listen", &[&flags[..], &SHORT, &more].concat()).expect("the server is sound");
        assert_eq!((file.runs[0].unsent, file.runs[0].errors.len()), (0, 0));
        let found = file.runs[0].listen.expect("there were listeners");
        assert!(found.is_sound && found.listeners == 10 && found.published > 0, "{found:?}");
    }
}

#[test]
fn a_listener_notices_what_a_server_withholds() {
    let server = FakeServer::start(Faults { withhold: 20, ..Faults::default() });
    let flags = ["--form=sse", "--listeners=3", "--rate=300", "--drain=500ms"];
    let failure = run(&server, "listen", &[&flags[..], &SHORT].concat()).expect_err("events are missing");
    assert_eq!(failure.exit, Exit::CheckFailed);
}

/// The flags of a login with this password.
fn login_flags(name: &str, password: &str) -> [String; 2] {
    let path = std::env::temp_dir().join(format!("loadgen-{}-{name}", std::process::id()));
    std::fs::write(&path, password).expect("the temporary directory can be written");
    [format!("--user={}", USER.0), format!("--password-file={}", path.display())]
}

#[test]
fn one_login_is_enough_for_every_append_and_every_listener() {
    let server = FakeServer::start_with_users();
    let [user, file] = login_flags("load", USER.1);
    let appends = ["--events=300", "--connections=3", "--warmup=0s", "--duration=60s", &user, &file];
    let result = run(&server, "append", &appends).expect("the server is sound");
    assert_eq!((result.runs[0].events, result.runs[0].errors.len(), server.login_count()), (300, 0, 1));
    let listens = ["--form=sse", "--listeners=3", "--rate=100", "--history=5", &user, &file];
    run(&server, "listen", &[&listens[..], &SHORT].concat()).expect("every listener is let in");
    assert_eq!(server.login_count(), 2);
}

#[test]
fn a_token_of_the_command_line_is_used_as_it_is_and_stands_in_no_result() {
    let server = FakeServer::start_with_users();
    let token = format!("--token={TOKEN}");
    let flags = ["--events=20", "--connections=2", "--warmup=0s", "--duration=60s", &token];
    let result = run(&server, "append", &flags).expect("the server is sound");
    assert_eq!((result.runs[0].events, server.login_count()), (20, 0));
    let json = result.to_json();
    assert!(!json.contains(TOKEN) && json.contains("--token=..."), "{json}");
}

#[test]
fn without_a_login_everything_is_refused_and_a_wrong_one_starts_nothing() {
    let server = FakeServer::start_with_users();
    let flags = ["--events=20", "--connections=2", "--warmup=0s", "--duration=60s"];
    let result = run(&server, "append", &flags).expect("refusals are no failure");
    assert_eq!((result.runs[0].events, result.runs[0].errors.get("status 401")), (0, Some(&20)));
    let wrong = login_flags("wrong", "coffee");
    let failure = run(&server, "append", &wrong.each_ref().map(String::as_str)).expect_err("wrong");
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.to_string().contains("does not take this password"), "{failure}");
    assert_eq!((server.append_count(), server.login_count()), (0, 0));
}

#[test]
fn the_verifier_logs_in_once_for_its_writers_and_readers() {
    let server = FakeServer::start_with_users();
    let [user, file] = login_flags("verify", USER.1);
    let arguments = ["verify", "--for=300ms", "--connections=2", "--streams=2", "--rate=500", &user, &file];
    let mut arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    arguments.push(format!("--target={}", server.target()));
    let verdict = dispatch(&parse(&arguments).expect("it parses"), &arguments, Clock::start());
    assert_eq!((verdict, server.login_count()), (Ok(()), 1));
    assert!(server.event_count() > 0);
}

fn verified(faults: Faults) -> Result<(), Failure> {
    let server = FakeServer::start(faults);
    let arguments = ["verify", "--for=400ms", "--connections=4", "--streams=3", "--rate=2000"];
    let mut arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    arguments.push(format!("--target={}", server.target()));
    dispatch(&parse(&arguments)?, &arguments, Clock::start())
}

#[test]
fn a_sound_server_passes_the_check_also_when_it_cuts_connections() {
    assert_eq!(verified(Faults::default()), Ok(()));
    assert_eq!(verified(Faults { cut: 40, ..Faults::default() }), Ok(()));
}

#[test]
fn a_server_that_loses_what_it_acknowledged_fails_the_check() {
    let failure = verified(Faults { lose: 60, ..Faults::default() }).expect_err("events are lost");
    assert_eq!(failure.exit, Exit::CheckFailed);
}

#[test]
fn options_that_do_not_fit_are_refused_by_name_before_anything_is_started() {
    let server = FakeServer::start(Faults::default());
    for (verb, flags, said) in [
        ("append", &["--bytes=2"][..], "--bytes 2: it must be 3 to"),
        ("append", &["--peer=nchan", "--batch=2"], "nchan takes one message per request"),
        ("append", &["--connections=2", "--threads=3"], "--threads 3 for --connections 2"),
        ("append", &["--rate=1k", "--sweep=1k"], "cannot be used with"),
        ("append", &["--server-pid=4194999"], "there is no such process"),
        ("append", &["--bucket=a b"], "--bucket a b"),
        ("append", &["--shape=binary", "--batch=2"], "a batch is NDJSON"),
        ("listen", &["--bytes=53"], "a listener needs a stamp, so at least 54"),
        ("listen", &["--form=xread"], "millrace delivers by websocket, sse or longpoll"),
        ("listen", &["--peer=nchan", "--from=start"], "nchan is listened to live"),
        ("listen", &["--slow=2", "--listeners=1"], "--slow 2 of --listeners 1"),
        ("listen", &["--slow-mode=ignore"], "--slow-mode is wait, skip or close"),
        ("append", &["--lisseners=3"], "unexpected argument"),
        ("append", &["--tls"], "--tls needs to know the server"),
        ("append", &["--tls", "--cacert=/nowhere.pem"], "--tls: /nowhere.pem: "),
        ("append", &["--tls", "--tls-insecure", "--peer=redis"], "--tls is for millrace alone"),
        ("append", &["--tls", "--tls-insecure", "--ack=memory"], "--ack memory with --tls"),
        ("append", &["--tls", "--tls-insecure", "--user=ada"], "--user with --tls"),
        ("append", &["--cacert=x"], "required arguments were not provided"),
        ("append", &["--peer=redis", "--user=ada"], "redis has no sessions of Millrace"),
        ("listen", &["--peer=nchan", "--token=t"], "nchan has no sessions of Millrace"),
        ("append", &["--user=ada", "--token=t"], "cannot be used with"),
        ("append", &["--password-file=f"], "required arguments were not provided"),
        ("append", &["--token="], "--token is empty"),
    ] {
        let failure = run(&server, verb, flags).expect_err(said);
        assert!(failure.to_string().contains(said), "{failure}");
        assert_eq!(failure.exit, Exit::Usage);
    }
    assert_eq!(server.append_count(), 0);
}

#[test]
fn a_server_that_is_not_there_is_told_with_what_to_do() {
    let arguments = ["append".to_owned(), "--target=127.0.0.1:1".to_owned()];
    let failure = dispatch(&parse(&arguments).expect("it parses"), &arguments, Clock::start());
    let failure = failure.expect_err("nothing listens there");
    assert_eq!(failure.exit, Exit::Unreachable);
    assert!(
        failure.to_string().contains("start the server there, or name another with --target"),
        "{failure}"
    );
}
