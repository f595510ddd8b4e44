//! The command line: verbs, flags and their help.
//!
//! Only shapes and words; nothing here acts. The same flags, without their dashes, are the keys of a
//! scenario.

use crate::decide::payload::Shape;
use crate::drive::plan::{From, Subscribe};
use crate::quantity::{
    CoreList, RateList, parse_bytes, parse_cores, parse_duration, parse_rate, parse_rates,
};
use crate::wire::peer::{Form, Peer};
use crate::wire::token::Token;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "loadgen",
    version,
    about = "Loads a Millrace server (or a peer), listens to it, and checks that nothing is lost.",
    after_help = AFTER_HELP,
    subcommand_required = true,
    arg_required_else_help = true,
    args_override_self = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  export MILLRACE_PASSWORD=secret                      admin's at `millrace serve --dev`
  loadgen append --user admin --connections 64         closed loop: as fast as it goes
  loadgen append --user admin --rate 20k --server-pid 4711
                                                       open loop, with the server's cpu and memory
  loadgen append --user admin --sweep 10k,20k,40k --out sweep.json
                                                       several rates, one result
  loadgen listen --user admin --listeners 100 --rate 1000
                                                       fan-out, 1 to 100
  loadgen verify --server target/release/millrace --data ./verify --kill-every 5s --for 1m
  loadgen run post-128-c64 --user admin                a scenario from loadgen/scenarios
  loadgen report sweep.json -o report.html             plots and a table
  loadgen compare post-128-c64 --against redis         in turn with a peer

Latency is counted from the intended send time in an open loop: a request that had to wait for a slow
server carries its wait. Durations have a unit (us, ms, s, m, h), sizes may have one (KiB, MiB, kB, MB),
rates are events per second and may end with k or M.

Exit codes:
  0   done, or the check passed
  1   a check did not pass, or a server that was started ended or was never ready
  2   the command line or a scenario is wrong
  69  the server cannot be reached or executed
  74  a file or a socket of loadgen's own failed";

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Append events over many connections and measure.
    Append(AppendArgs),
    /// Listen over many connections while events are written, and measure.
    Listen(ListenArgs),
    /// Write, kill the server, start it again, and check that nothing acknowledged is lost.
    Verify(VerifyArgs),
    /// Run a scenario from a file.
    Run(RunArgs),
    /// List the scenarios.
    List(ListArgs),
    /// Make one HTML page and a table of results.
    Report(ReportArgs),
    /// Run a scenario against Millrace and a peer in turn.
    Compare(CompareArgs),
}

/// As whom requests are made; without a word of it, as `anonymous`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LoginArgs {
    /// Log in as this user of Millrace before the load.
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    pub(crate) user: Option<String>,
    /// The user's password: the first line of this file [default: MILLRACE_PASSWORD of the environment].
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// The token of a session, in place of a user.
    #[arg(long, value_name = "TOKEN", value_parser = any_token)]
    pub(crate) token: Option<Token>,
}

impl LoginArgs {
    /// Whether nobody is named.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.user.is_none() && self.token.is_none()
    }
}

/// Any text: a parser that refuses one would show it.
fn any_token(text: &str) -> Result<Token, std::convert::Infallible> {
    Ok(Token::of(text))
}

/// What every load has.
#[derive(Clone, Debug, Args)]
pub(crate) struct CommonArgs {
    /// The server's address [default: 127.0.0.1:8080, redis 6379, nchan 8081].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) target: Option<String>,
    /// Over TLS, with a full handshake for each connection.
    #[arg(long)]
    pub(crate) tls: bool,
    /// With --tls: the certificate that the server is known by (PEM).
    #[arg(long, value_name = "FILE", requires = "tls", conflicts_with = "tls_insecure")]
    pub(crate) cacert: Option<PathBuf>,
    /// With --tls: take any certificate.
    #[arg(long, requires = "tls")]
    pub(crate) tls_insecure: bool,
    /// The kind of server.
    #[arg(long, value_enum, default_value = "millrace")]
    pub(crate) peer: Peer,
    /// As whom.
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// The bucket; for redis the beginning of the key, for nchan of the channel.
    #[arg(long, default_value = "load")]
    pub(crate) bucket: String,
    /// Bytes of an event, at least 3.
    #[arg(long, value_name = "SIZE", default_value = "128", value_parser = parse_bytes)]
    pub(crate) bytes: usize,
    /// Measure for so long.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
    /// Run so long before measuring.
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    pub(crate) warmup: Duration,
    /// Wait so long for the last answers and deliveries.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub(crate) drain: Duration,
    /// The length of one window of the time line.
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub(crate) interval: Duration,
    /// Threads of the client.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threads: usize,
    /// Processors of these threads, as 1 or 0,2-3.
    #[arg(long, value_name = "CORES", value_parser = parse_cores)]
    pub(crate) pin: Option<CoreList>,
    /// A process of the server, for its cpu and memory; may be repeated.
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Vec<u32>,
    /// Makes choices repeatable.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// A name for the result [default: the scenario's, or the verb].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Print the result as JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the result as JSON to a file, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `loadgen append`.
#[derive(Clone, Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct AppendArgs {
    /// What every load has.
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Connections.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) connections: usize,
    /// Requests under way on each connection.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) pipeline: usize,
    /// Requests of a connection before a new one takes its place; without it a connection stays. With --tls
    /// each costs a whole handshake.
    #[arg(long, value_name = "N")]
    pub(crate) reconnect_after: Option<u64>,
    /// Events of one request (NDJSON); 1 for plain ones.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) batch: usize,
    /// JSON events, or bytes that are none.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) shape: Shape,
    /// Streams written to.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) streams: usize,
    /// Zipf exponent of the streams' popularity; 0 for none.
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub(crate) skew: f64,
    /// By chance, or each stream in turn.
    #[arg(long, value_enum, default_value = "random")]
    pub(crate) order: OrderArg,
    /// Offer so many events a second, whatever the answers do; without it, a closed loop.
    #[arg(long, value_name = "RATE", value_parser = parse_rate, conflicts_with = "sweep")]
    pub(crate) rate: Option<f64>,
    /// Offer one rate after the other, each for the whole duration.
    #[arg(long, value_name = "RATES", value_parser = parse_rates)]
    pub(crate) sweep: Option<RateList>,
    /// Stop after so many events.
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<u64>,
    /// Ask for the acknowledgement before the disk (`?ack=memory`), where the bucket's settings allow it.
    #[arg(long, value_enum, default_value = "fsync")]
    pub(crate) ack: Ack,
}

/// The order of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrderArg {
    /// By chance.
    Random,
    /// Each in turn.
    Round,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ack {
    /// On disk.
    Fsync,
    /// In memory; a crash may lose it.
    Memory,
}

/// `loadgen listen`.
#[derive(Clone, Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct ListenArgs {
    /// What every load has.
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// How listeners receive [default: websocket, redis xread].
    #[arg(long, value_enum)]
    pub(crate) form: Option<Form>,
    /// Listeners.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) listeners: usize,
    /// Streams, made anew for the run; each is written by one connection.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) streams: usize,
    /// Whether each listener has one of the streams, in turn, or all.
    #[arg(long, value_enum, default_value = "one")]
    pub(crate) subscribe: Subscribe,
    /// Events written a second; without it, as many as --window lets through.
    #[arg(long, value_name = "RATE", value_parser = parse_rate, conflicts_with = "no_writer")]
    pub(crate) rate: Option<f64>,
    /// Without a rate: events that may be sent and not yet delivered to everybody.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) window: u64,
    /// Connections that write; at most one for each stream.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) writers: usize,
    /// Write nothing: what idle listeners cost.
    #[arg(long)]
    pub(crate) no_writer: bool,
    /// Events of one request of the writer.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) batch: usize,
    /// Events written to each stream before anybody listens.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) history: u64,
    /// Where listeners begin.
    #[arg(long, value_enum, default_value = "live")]
    pub(crate) from: From,
    /// Each listener leaves about this often and comes back where it was.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) reconnect_every: Option<Duration>,
    /// So many of the listeners are slow readers.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) slow: usize,
    /// What a slow reader reads in a second.
    #[arg(long, value_name = "SIZE", default_value = "4KiB", value_parser = parse_bytes)]
    pub(crate) slow_bytes: usize,
    /// What Millrace is asked to do with slow listeners: wait, skip or close [default: the server's].
    #[arg(long, value_name = "HOW")]
    pub(crate) slow_mode: Option<String>,
}

/// `loadgen verify`.
#[derive(Clone, Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Writes events with and without idempotency keys, conditional ones and batches, over connections that are cut
with the server; every answer and every unknown outcome is noted. At the end every stream is read and checked
against these notes, in time proportional to their number: what was acknowledged is there once, at its number,
byte for byte; what was refused is not there; what is unknown is there at most once; batches are whole; an
event that was acknowledged before another was sent has the smaller number; what was once read stays.

Exit code 0 if all holds, 1 if not; then every breach is printed with its stream and number.

Examples:
  loadgen verify --server target/release/millrace --data ./verify --kill-every 5s --for 10m
  loadgen verify --target 127.0.0.1:8080 --user admin --for 30s     a running server, without kills"
)]
pub(crate) struct VerifyArgs {
    /// The program to start, kill and start again.
    #[arg(long, value_name = "PATH", conflicts_with = "target")]
    pub(crate) server: Option<PathBuf>,
    /// More arguments of the server, separated by blanks.
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) server_args: String,
    /// The server's data directory; must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A running server instead; it is not killed.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) target: Option<String>,
    /// As whom; at a server that is started here, its administrator if nobody is named.
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// How long to write.
    #[arg(long = "for", value_name = "DURATION", default_value = "1m", value_parser = parse_duration)]
    pub(crate) length: Duration,
    /// Kill the server about this often (SIGKILL); without it, never.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) kill_every: Option<Duration>,
    /// Connections that write.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) connections: usize,
    /// Streams that they share.
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub(crate) streams: usize,
    /// Requests of all connections together, a second; without it, as fast as they go.
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// What is asked for; with memory, a kill loses events and the check must say so.
    #[arg(long, value_enum, default_value = "fsync")]
    pub(crate) ack: Ack,
    /// How long the server may take to start.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub(crate) start_timeout: Duration,
    /// Makes choices repeatable.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print the verdict as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `loadgen run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A scenario is a TOML file: `verb`, `about`, and the verb's flags without their dashes. Flags that follow the
scenario's name are added and win.

Examples:
  loadgen run post-128-c64 --user admin --password-file ./admin --duration 30s
  loadgen run ./mine.toml --peer redis --server-pid 4711")]
pub(crate) struct RunArgs {
    /// Where scenarios are found by name.
    #[arg(long, value_name = "DIR", default_value = "loadgen/scenarios")]
    pub(crate) scenarios: PathBuf,
    /// A scenario's name, or a file that ends with .toml.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: String,
    /// Flags of the scenario's verb.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    pub(crate) flags: Vec<String>,
}

/// `loadgen list`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ListArgs {
    /// Where scenarios are found.
    #[arg(long, value_name = "DIR", default_value = "loadgen/scenarios")]
    pub(crate) scenarios: PathBuf,
}

/// `loadgen report`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// Results, as written by --json or --out.
    #[arg(required = true, value_name = "RESULT")]
    pub(crate) results: Vec<PathBuf>,
    /// The page to write; without it, only the table is printed.
    #[arg(short, long, value_name = "HTML")]
    pub(crate) output: Option<PathBuf>,
}

/// `loadgen compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Each round starts Millrace on a new data directory, runs the scenario, stops it, and does the same with the
peer. Peers are started by scripts (`redis.sh start PORT`, `redis.sh stop PORT`) that say which processes they
started and how durable they are.

Examples:
  loadgen compare post-128-c64 --against redis --server-cores 0 --client-cores 1
  loadgen compare fanout-100 --against nchan --rounds 5 --out nchan.json")]
pub(crate) struct CompareArgs {
    /// A scenario's name, or a file that ends with .toml.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: String,
    /// The peer.
    #[arg(long, value_enum)]
    pub(crate) against: Peer,
    /// Rounds; each runs both.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: usize,
    /// The Millrace binary.
    #[arg(long, value_name = "PATH", default_value = "target/release/millrace")]
    pub(crate) server: PathBuf,
    /// More arguments of Millrace, separated by blanks.
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) server_args: String,
    /// A directory for Millrace's data; a new one is made in it for each round and removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "target/loadgen-compare")]
    pub(crate) data: PathBuf,
    /// Processors of the server and the peer, as 0 or 0-1.
    #[arg(long, value_name = "CORES", value_parser = parse_cores)]
    pub(crate) server_cores: Option<CoreList>,
    /// Processors of the client.
    #[arg(long, value_name = "CORES", value_parser = parse_cores)]
    pub(crate) client_cores: Option<CoreList>,
    /// Where the peers' scripts are.
    #[arg(long, value_name = "DIR", default_value = "tuning/peers")]
    pub(crate) peers: PathBuf,
    /// Where scenarios are found by name.
    #[arg(long, value_name = "DIR", default_value = "loadgen/scenarios")]
    pub(crate) scenarios: PathBuf,
    /// Write all results to a file that `report` reads.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Flags of the scenario's verb, after `--`.
    #[arg(last = true, value_name = "FLAGS")]
    pub(crate) flags: Vec<String>,
}
