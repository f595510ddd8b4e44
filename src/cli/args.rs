//! The command line: verbs, flags and their help.
//!
//! Only shapes and words; nothing here acts. The flags that name a server may stand before the verb, as
//! Iorio's tool wants them, or after it. Verbs that talk to a server are in `remote_args`.

use super::identity::args::IdentityVerb;
use super::remote_args::{
    DeleteArgs, GetArgs, ListBucketsArgs, ListStreamsArgs, ListenArgs, PatchArgs, PostArgs, RemoteFlags,
    TrimArgs,
};
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "millrace",
    version,
    about = "A durable stream store: events in over HTTP, out over WebSocket, SSE and long-poll.",
    after_help = AFTER_HELP,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = false
)]
pub(crate) struct Cli {
    /// Flags of the client verbs, given before the verb.
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  millrace serve --dev                          start a server on 127.0.0.1:8080
  millrace post iot temp '{\"c\": 21.5}' -u admin
                                                append an event
  millrace get iot temp -l 5 -u admin           the last five events
  millrace listen iot:temp:1 -u admin           all events from the first on, then live
  seq 1000 | millrace post iot n --lines -u admin
                                                an event for each line of stdin
  millrace users add anna -u admin              a user
  millrace grants add anna get iot -u admin     who may read a bucket

Requests without -u or -t are those of everybody: they may do what was granted to '*'. The session of -u is
kept in ~/.cache/millrace (or $XDG_CACHE_HOME), so that the password is asked for once; --no-cache does not.

Exit codes:
  0   done
  1   the server answered with a failure, part of the work was refused, or a check did not pass
  2   the command line is wrong
  69  the server cannot be reached, or went away
  74  a file or a standard stream failed
  78  the configuration is wrong

Environment:
  MILLRACE_SECTION__KEY   any setting of `serve` (see `millrace config keys`)
  MILLRACE_TOKEN, MILLRACE_PASSWORD   in place of -t and -p, which other users of the machine can see
  NO_COLOR                no colours, whatever its value";

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the server.
    Serve(ServeArgs),
    /// Append an event to a stream (or one for each line of stdin).
    Post(PostArgs),
    /// Append the newest event with a patch applied.
    Patch(PatchArgs),
    /// Read events of a stream.
    Get(GetArgs),
    /// List the buckets.
    ListBuckets(ListBucketsArgs),
    /// List the streams of a bucket.
    ListStreams(ListStreamsArgs),
    /// Print events as they arrive, from now or from a position on.
    Listen(ListenArgs),
    /// Delete a stream and all its events.
    Delete(DeleteArgs),
    /// Delete the oldest events of a stream.
    Trim(TrimArgs),
    /// Users, groups, grants, sessions and tokens.
    #[command(flatten)]
    Identity(IdentityVerb),
    /// Examine a data directory without a server; changes nothing.
    Inspect(InspectArgs),
    /// Show the configuration.
    Config(ConfigArgs),
    /// Check that this host can run the server, and say how to mend it.
    Doctor(DoctorArgs),
    /// Make a self-signed certificate and its key, for trying TLS out.
    DevCert(DevCertArgs),
    /// Print the completions for a shell.
    Completions(CompletionsArgs),
    /// Print the version.
    Version(VersionArgs),
}

impl Verb {
    /// The flags that name a server, given after the verb.
    pub(crate) fn remote(&self) -> Option<&RemoteFlags> {
        match self {
            Verb::Post(args) => Some(&args.remote),
            Verb::Patch(args) => Some(&args.remote),
            Verb::Get(args) => Some(&args.remote),
            Verb::ListBuckets(args) => Some(&args.remote),
            Verb::ListStreams(args) => Some(&args.remote),
            Verb::Listen(args) => Some(&args.remote),
            Verb::Delete(args) => Some(&args.remote),
            Verb::Trim(args) => Some(&args.remote),
            _ => None,
        }
    }
}

/// Flags that set a configuration key; shared by `serve` and `config print`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct SettingFlags {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory [default: ./millrace-data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Address and port of the HTTP face, or "off" [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// Serve HTTP over TLS too, there [default when no address is given: 127.0.0.1:8443].
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:8443")]
    pub(crate) https: Option<String>,
    /// Certificate of the server, and those between it and an authority (PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<String>,
    /// Key of the certificate (PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<String>,
    /// Cores to run on: "all", a number, or a list such as 0,2-3 [default: all].
    #[arg(long, value_name = "N|LIST")]
    pub(crate) cores: Option<String>,
    /// Partitions of a new data directory; fixed when it is created [default: 64].
    #[arg(long, value_name = "N")]
    pub(crate) partitions: Option<String>,
    /// Development mode: admin has the password secret; loopback only.
    #[arg(long)]
    pub(crate) dev: bool,
    /// A file whose first line is the administrator's password, for the first start [default: the variable
    /// MILLRACE_ADMIN_PASSWORD, else one is made up and printed].
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_password_file: Option<String>,
    /// Refuse to start when acknowledged events are damaged, instead of serving the rest.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// `millrace serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every setting can also stand in the configuration file and in the environment; flags win over the
environment, the environment over the file. See `millrace config keys`.

Examples:
  millrace serve --dev
  millrace dev-cert && millrace serve --https --tls-cert cert.pem --tls-key key.pem
  millrace serve --data /var/lib/millrace --admin-password-file /etc/millrace.password
  millrace serve --data /var/lib/millrace --reset-admin
  millrace serve --config /etc/millrace.toml --cores 0-3
  MILLRACE_LIMITS__BODY_BYTES_MAX=1MiB millrace serve --data /var/lib/millrace")]
pub(crate) struct ServeArgs {
    /// The settings.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    /// Give the administrator a new password: that of --admin-password-file or MILLRACE_ADMIN_PASSWORD, else
    /// one that is made up and shown once. Puts them into g-admin and ends their sessions.
    #[arg(long)]
    pub(crate) reset_admin: bool,
}

/// `millrace inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints files, segments, batches and damage. Exit code 1 when something is damaged.

Examples:
  millrace inspect ./millrace-data
  millrace inspect ./millrace-data --salvage ./rescued
  millrace inspect ./millrace-data --json | jq 'select(.damage)'")]
pub(crate) struct InspectArgs {
    /// The data directory of a server that is not running.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Copy every sound event into events.jsonl of this new directory, a JSON item a line.
    #[arg(long, value_name = "OUT")]
    pub(crate) salvage: Option<PathBuf>,
    /// Print every batch and chunk, not only files and damage.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `millrace config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// What to show.
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

/// The verbs of `millrace config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Print the configuration that `serve` would run with, as a TOML file.
    Print(Box<ConfigPrintArgs>),
    /// Print every key with its kind, default and meaning, as Markdown.
    Keys,
}

/// `millrace config print`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace config print --effective
  millrace config print --effective --config /etc/millrace.toml --json")]
pub(crate) struct ConfigPrintArgs {
    /// Every value, each with its origin (default, file, env or flag); without it, only those that are set.
    #[arg(long)]
    pub(crate) effective: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `millrace doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
What must be mended comes first, then the knobs of the host, each with one of these words:
  ok        as it should be
  tune      could be better; the command that sets it stands below
  unknown   could not be looked at, and why
  n/a       does not matter on this host, or for this configuration

Exit code 1 when something must be mended before the server can run; a knob never fails it.

Examples:
  millrace doctor --data /var/lib/millrace
  millrace doctor --explain disk
  millrace doctor --json | jq 'select(.status == \"tune\")'")]
pub(crate) struct DoctorArgs {
    /// The directory whose file system is checked [default: the configured data directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print all there is about a knob: why it matters, its value here, how to set it and how to keep it.
    #[arg(long, value_name = "KNOB", hide_possible_values = true, conflicts_with = "list",
          value_parser = PossibleValuesParser::new(super::doctor::knob_names()))]
    pub(crate) explain: Option<String>,
    /// List the knobs.
    #[arg(long)]
    pub(crate) list: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `millrace dev-cert`.
#[derive(Debug, Args)]
#[command(after_help = "\
Writes cert.pem and key.pem. For anything but trying out, get a certificate from an authority.

Examples:
  millrace dev-cert
  millrace dev-cert --out /tmp/pair --name store.example --name 10.0.0.7")]
pub(crate) struct DevCertArgs {
    /// The directory for the two files; created when absent.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// A host name or address of the server; may be given again [default: localhost, 127.0.0.1, ::1].
    #[arg(long = "name", value_name = "HOST")]
    pub(crate) names: Vec<String>,
    /// Overwrite a pair that is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// `millrace completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace completions bash > /etc/bash_completion.d/millrace
  millrace completions zsh > ~/.zfunc/_millrace")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `millrace version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"millrace").chain(words))
    }

    #[test]
    fn the_table_of_verbs_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_and_flag_has_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = Cli::command();
        command.build();
        command.get_subcommands().filter(|verb| verb.get_name() != "help").for_each(check);
    }

    #[test]
    fn the_flags_of_a_server_stand_before_or_after_the_verb() {
        for words in [
            ["-H", "example", "-P", "9", "-u", "admin", "-p", "secret", "-t", "T", "-v", "get", "b", "s"],
            ["get", "-H", "example", "-P", "9", "-u", "admin", "-p", "secret", "-t", "T", "-v", "b", "s"],
        ] {
            let cli = parse(&words).expect("sound");
            let Verb::Get(get) = cli.verb else { panic!("not a get") };
            let merged = get.remote.over(&cli.remote);
            assert_eq!((merged.host.as_deref(), merged.port), (Some("example"), Some(9)));
            assert_eq!((merged.user.as_deref(), merged.password.as_deref()), (Some("admin"), Some("secret")));
            assert_eq!((merged.token.as_deref(), merged.verbose), (Some("T"), true));
        }
    }

    #[test]
    fn positions_and_payloads_may_be_negative_numbers() {
        let Verb::Get(get) = parse(&["get", "b", "s", "-f", "-1"]).expect("sound").verb else { panic!() };
        assert_eq!(get.from, Some(-1));
        let Verb::Post(post) = parse(&["post", "b", "s", "-5"]).expect("sound").verb else { panic!() };
        assert_eq!(post.payload.as_deref(), Some("-5"));
        let Verb::Post(post) = parse(&["post", "b", "s", "-"]).expect("sound").verb else { panic!() };
        assert_eq!(post.payload.as_deref(), Some("-"));
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for words in [
            &["post", "b"][..],
            &["post", "b", "s"],
            &["listen"],
            &["get", "b", "s", "-l", "many"],
            &["serve", "--unknown"],
            &["completions", "cobol"],
            &["post", "b", "s", "{}", "--batch", "2"],
            &["post", "b", "s", "--lines", "--if-match", "2"],
            &[],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
