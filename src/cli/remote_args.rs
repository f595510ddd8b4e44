//! The arguments of the verbs that talk to a server.
//!
//! Verbs and short flags are those of Iorio's command line tool; what it did not have is a long flag.

use clap::Args;
use std::path::PathBuf;

/// Which server, as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct RemoteFlags {
    /// Host name or address of the server, or http://HOST:PORT, https://HOST:PORT [default: 127.0.0.1].
    #[arg(short = 'H', long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Its port [default: 8080, with TLS 8443].
    #[arg(short = 'P', long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// With TLS.
    #[arg(short, long)]
    pub(crate) secure: bool,
    /// With TLS: the certificates that the server is known by (PEM), in place of those of this machine.
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// With TLS: take any certificate. Whoever sits between can read and change everything.
    #[arg(long, conflicts_with = "cacert")]
    pub(crate) insecure: bool,
    /// Log in as this user. The session is kept for the next call; without a password, the kept one is used,
    /// or a terminal is asked.
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The user's password; other users of the machine can see it.
    #[arg(short, long, value_name = "PASSWORD")]
    pub(crate) password: Option<String>,
    /// A file whose first line is the user's password, or - for standard input.
    #[arg(long, value_name = "FILE|-", conflicts_with = "password")]
    pub(crate) password_file: Option<String>,
    /// Neither use nor keep sessions between calls.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// A session token, in place of user and password.
    #[arg(short, long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Say on stderr what is sent and answered.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Failures as one JSON object on stderr, and output as JSON lines where it is not JSON already.
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds to wait for a connection, and for an answer [default: 30].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

impl RemoteFlags {
    /// These flags where they are given, else those of `before`.
    pub(crate) fn over(&self, before: &RemoteFlags) -> RemoteFlags {
        let text = |mine: &Option<String>, theirs: &Option<String>| mine.clone().or_else(|| theirs.clone());
        RemoteFlags {
            host: text(&self.host, &before.host),
            port: self.port.or(before.port),
            secure: self.secure || before.secure,
            cacert: self.cacert.clone().or_else(|| before.cacert.clone()),
            insecure: self.insecure || before.insecure,
            user: text(&self.user, &before.user),
            password: text(&self.password, &before.password),
            password_file: text(&self.password_file, &before.password_file),
            no_cache: self.no_cache || before.no_cache,
            token: text(&self.token, &before.token),
            verbose: self.verbose || before.verbose,
            json: self.json || before.json,
            timeout: self.timeout.or(before.timeout),
        }
    }
}

/// A stream by bucket and name.
#[derive(Clone, Debug, Args)]
pub(crate) struct StreamArgs {
    /// The bucket.
    pub(crate) bucket: String,
    /// The stream; its name may hold slashes.
    pub(crate) stream: String,
}

/// `millrace post`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace post iot temp '{\"c\": 21.5}'
  millrace post iot photo @cat.jpg -c image/jpeg
  date +%s | millrace post iot clock -
  millrace post iot temp '{}' --if-match 41 --idempotency-key run-7
  journalctl -o json -f | millrace post logs host1 --lines --batch 100")]
pub(crate) struct PostArgs {
    /// The stream.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
    /// The event: text, @FILE, or - for stdin. With --lines: @FILE or - (the default).
    #[arg(value_name = "DATA|@FILE|-", allow_negative_numbers = true, required_unless_present = "lines")]
    pub(crate) payload: Option<String>,
    /// Its media type [default: application/json].
    #[arg(short, long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// Append only if this is the id of the stream's last event (0: only if it has none).
    #[arg(long, value_name = "ID", conflicts_with = "lines")]
    pub(crate) if_match: Option<u64>,
    /// A key that makes a retry safe. With --lines: the number of the line is added to it.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// The event that this one stems from, BUCKET/STREAM/ID.
    #[arg(long, value_name = "PARENT", conflicts_with = "lines")]
    pub(crate) parent: Option<String>,
    /// When to answer: once the event is on disk, or before (if the stream allows it).
    #[arg(long, value_name = "LEVEL", value_parser = ["fsync", "memory"])]
    pub(crate) ack: Option<String>,
    /// An event for each line that is not empty.
    #[arg(long)]
    pub(crate) lines: bool,
    /// Lines that are sent as one request and stored together or not at all.
    #[arg(long, value_name = "LINES", default_value_t = 1, requires = "lines",
          value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(crate) batch: u64,
    /// Requests sent before the first of them is answered.
    #[arg(long, value_name = "REQUESTS", default_value_t = 64, requires = "lines",
          value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) window: u64,
    /// No progress bar.
    #[arg(short, long, requires = "lines")]
    pub(crate) quiet: bool,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `millrace patch`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace patch iot state '[{\"op\": \"replace\", \"path\": \"/c\", \"value\": 22}]'
  millrace patch iot state '{\"c\": 22}' -c application/merge-patch+json")]
pub(crate) struct PatchArgs {
    /// The stream.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
    /// The patch: text, @FILE, or - for stdin.
    #[arg(value_name = "DATA|@FILE|-")]
    pub(crate) payload: String,
    /// application/json-patch+json (the default) or application/merge-patch+json.
    #[arg(short, long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// Patch only if this is the id of the stream's last event.
    #[arg(long, value_name = "ID")]
    pub(crate) if_match: Option<u64>,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `millrace get`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints one event a line: {\"meta\": {\"id\", \"t\"}, \"data\"}.

Examples:
  millrace get iot temp                 the last ten
  millrace get iot temp -f 1 -l 1000    the first thousand
  millrace get iot photo -l 1 --raw > cat.jpg")]
pub(crate) struct GetArgs {
    /// The stream.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
    /// How many events at most.
    #[arg(short, long, value_name = "EVENTS", default_value_t = 10)]
    pub(crate) limit: u64,
    /// The first id; a negative number counts back from the last. Without it: the last events.
    #[arg(short, long, value_name = "ID", allow_negative_numbers = true, conflicts_with = "at")]
    pub(crate) from: Option<i64>,
    /// The first time instead: RFC 3339, or milliseconds since 1970.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Wait so long for an event when there is none yet.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<u64>,
    /// The bytes of one event as they were stored, and nothing else.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `millrace list-buckets`.
#[derive(Debug, Args)]
pub(crate) struct ListBucketsArgs {
    /// Which names.
    #[command(flatten)]
    pub(crate) names: NamesArgs,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `millrace list-streams`.
#[derive(Debug, Args)]
pub(crate) struct ListStreamsArgs {
    /// The bucket.
    pub(crate) bucket: String,
    /// Print first and last id, events, bytes and last time of each as JSON.
    #[arg(long)]
    pub(crate) details: bool,
    /// Which names.
    #[command(flatten)]
    pub(crate) names: NamesArgs,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// Which part of a list of names.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct NamesArgs {
    /// Only names that begin with this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
    /// Only names that sort after this one.
    #[arg(long, value_name = "NAME")]
    pub(crate) after: Option<String>,
    /// How many names at most.
    #[arg(short, long, value_name = "NAMES")]
    pub(crate) limit: Option<u64>,
}

/// `millrace listen`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints one item a line: {\"meta\": {\"id\", \"t\", \"bucket\", \"stream\"}, \"data\"}. A range that can no
longer be delivered is an item with meta.gap. When the connection breaks, it is made anew and goes on
where it was. Ctrl-C ends with exit code 0.

Examples:
  millrace listen iot:temp                   from now on
  millrace listen iot:temp:1 iot:hum:1       everything, then live
  millrace listen 'iot:house1/**' -l 100     a hundred events of many streams")]
pub(crate) struct ListenArgs {
    /// The streams: bucket:stream, bucket:stream:from, or a glob such as bucket:a/**.
    #[arg(value_name = "BUCKET:STREAM[:FROM]", required = true)]
    pub(crate) streams: Vec<String>,
    /// End after so many events.
    #[arg(short, long, value_name = "EVENTS")]
    pub(crate) limit: Option<u64>,
    /// The first id of every stream that names none itself.
    #[arg(short, long, value_name = "ID")]
    pub(crate) from: Option<u64>,
    /// Over a WebSocket instead of server-sent events.
    #[arg(long)]
    pub(crate) websocket: bool,
    /// End with exit code 69 when the connection breaks.
    #[arg(long)]
    pub(crate) no_reconnect: bool,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `millrace delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The stream.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}

/// `millrace trim`.
#[derive(Debug, Args)]
pub(crate) struct TrimArgs {
    /// The stream.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
    /// Delete the events whose ids are smaller.
    #[arg(value_name = "ID")]
    pub(crate) before: u64,
    /// Which server.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
}
