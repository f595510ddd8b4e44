//! What all loads share: where they go, which options fit together, and how a result is shown.
//!
//! Called by `append`, `listen` and `compare`.

use crate::cli::CommonArgs;
use crate::decide::payload::EVENT_BYTES_MIN;
use crate::drive::processes;
use crate::drive::secure::Secure;
use crate::failure::{Exit, Failure};
use crate::outcome::result::{FORMAT, ResultFile, Run};
use crate::outcome::table;
use crate::verbs::login;
use crate::wire::peer::Peer;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Largest event: what Millrace takes at most.
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 30;
/// Most threads; more than any machine's processors is a slip.
const THREADS_MAX: usize = 1024;
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Most payload bytes of one request.
const REQUEST_BYTES_MAX: usize = 1 << 30;

/// The address of `text`, or of the peer's default.
pub(crate) fn resolve(text: Option<&str>, peer: Peer) -> Result<(SocketAddr, String), Failure> {
    let host = text.unwrap_or(peer.default_target()).trim_start_matches("http://").trim_end_matches('/');
    let wrong = |what: String| Failure::usage(format!("--target {host}: {what}")).next("give HOST:PORT");
    let mut found = host.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    let address = found.next().ok_or_else(|| wrong("no address".to_owned()))?;
    Ok((address, host.to_owned()))
}

/// A login goes over plain HTTP, where a password has no business when TLS is asked for.
///
/// # Errors
/// A user together with TLS.
pub(crate) fn check_login(args: &CommonArgs) -> Result<(), Failure> {
    if args.tls && args.login.user.is_some() {
        return Err(Failure::usage("--user with --tls: loadgen logs in over plain HTTP only")
            .next("log in with `millrace -s`, and give the token with --token"));
    }
    Ok(())
}

/// TLS, if it is asked for.
pub(crate) fn secure(common: &CommonArgs, host: &str) -> Result<Option<Secure>, Failure> {
    if !common.tls {
        return Ok(None);
    }
    if common.peer != Peer::Millrace {
        return Err(Failure::usage("--tls is for millrace alone"));
    }
    if common.cacert.is_none() && !common.tls_insecure {
        return Err(Failure::usage("--tls needs to know the server")
            .next("name its certificate with --cacert, or take any with --tls-insecure"));
    }
    Secure::new(host, common.cacert.as_deref())
        .map(Some)
        .map_err(|error| Failure::usage(format!("--tls: {error}")))
}

/// Checks what every load has.
pub(crate) fn check(common: &CommonArgs, batch: usize, connections: usize) -> Result<(), Failure> {
    within("--bytes", common.bytes as u64, EVENT_BYTES_MIN as u64, EVENT_BYTES_MAX as u64)?;
    within("--threads", common.threads as u64, 1, THREADS_MAX as u64)?;
    within("--batch", batch as u64, 1, 1 << 20)?;
    within("--connections", connections as u64, 1, 1 << 20)?;
    if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&common.interval) {
        return Err(Failure::usage("--interval: it must be 100ms to 1h"));
    }
    if common.duration == Duration::ZERO {
        return Err(Failure::usage("--duration 0s measures nothing").next("give a time above 0"));
    }
    if batch.saturating_mul(common.bytes) > REQUEST_BYTES_MAX {
        let message =
            format!("--batch {batch} of --bytes {} are over {REQUEST_BYTES_MAX} bytes", common.bytes);
        return Err(Failure::usage(message).next("use smaller ones"));
    }
    common.peer.check_batch(batch).map_err(Failure::usage)?;
    login::check(&common.login, common.peer)?;
    types::BucketName::parse(&common.bucket)
        .map_err(|error| Failure::usage(format!("--bucket {}: {error}", common.bucket)))?;
    let is_plain = common.bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_plain {
        let message = format!("--bucket {}: it stands in addresses of several kinds", common.bucket);
        return Err(Failure::usage(message).next("use letters, digits, - _ and ."));
    }
    match common.server_pid.iter().find(|pid| !processes::is_alive(**pid)) {
        Some(pid) => Err(Failure::usage(format!("--server-pid {pid}: there is no such process"))),
        None => Ok(()),
    }
}

/// Checks a number against its limits.
pub(crate) fn within(flag: &str, value: u64, low: u64, high: u64) -> Result<(), Failure> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Failure::usage(format!("{flag} {value}: it must be {low} to {high}")))
}

/// The document around some runs, the first of which began at `started_unix_ms`.
pub(crate) fn result_file(
    verb: &str,
    started_unix_ms: u64,
    common: &CommonArgs,
    target: SocketAddr,
    arguments: &[String],
    runs: Vec<Run>,
) -> ResultFile {
    ResultFile {
        format: FORMAT,
        loadgen: env!("CARGO_PKG_VERSION").to_owned(),
        verb: verb.to_owned(),
        name: common.name.clone().unwrap_or_else(|| verb.to_owned()),
        command: login::shown_command(arguments),
        peer: common.peer.to_string(),
        target: target.to_string(),
        started_unix_ms,
        machine: machine(),
        runs,
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_millis() as u64)
}

/// The machine in a few words.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    format!("{count} x {model}, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// Prints a result, and writes it to `--out`.
pub(crate) fn show(common: &CommonArgs, file: &ResultFile) -> Result<(), Failure> {
    if let Some(path) = &common.out {
        write_file(path, &file.to_json())?;
    }
    let text = if common.json {
        file.to_json()
    } else {
        table::table(std::slice::from_ref(file)) + &table::notes(file)
    };
    print(&text)
}

/// Writes to stdout; a reader that has gone is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::io("cannot write the output", &error))
        }
        _ => Ok(()),
    }
}

/// Writes a file.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::io(path.display(), &error))
}

/// Reads a file.
pub(crate) fn read_file(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Io, format!("{}: {error}", path.display())))
}
