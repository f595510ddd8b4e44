//! `serve`: configuration in, exit code out; the server itself is `crate::server`.
//!
//! Nothing is decided here: the configuration becomes a [`ServerConfig`], and a server that does not run
//! says itself why and with which exit code.

use super::args::ServeArgs;
use super::config;
use super::error::{CliError, Exit};
use super::identity_settings::web_config;
use crate::config::{Config, Cores, Origin, TlsSettings};
use crate::faces::http::{Cors, Options, Reports};
use crate::observe::access_log::{AccessLog, Target};
use crate::server::{self, ServeError, ServerConfig, TlsConfig, Web};
use crate::sys::executor::Spin;
use crate::sys::preflight;
use crate::sys::signal::BlockedSignals;
use crate::sys::tls::TlsFiles;
use std::net::SocketAddr;
use std::time::Duration;

/// Runs the server until it is told to stop.
///
/// # Errors
/// [`Exit::Config`] for a wrong configuration, [`Exit::Serve`] with the server's own code.
pub(crate) fn serve(args: &ServeArgs) -> Result<(), CliError> {
    let settings = config::load(&args.settings)?;
    let mut web = web_config(&settings)?;
    web.identity.resets_admin = args.reset_admin;
    let config = server_config(&settings, &preflight::allowed_cpus())?;
    if config.is_dev {
        eprintln!("millrace: development mode: admin has the password secret, which everybody knows");
    }
    // The face's threads must not take the signals that the server waits for, so these are blocked before.
    let prepared = BlockedSignals::block_for_server().and_then(|_| Web::new(config.cores.len(), web));
    let options = face_options(&settings, config.cores.len())?;
    let access_log = options.access_log.clone();
    let outcome =
        prepared.map_err(ServeError::System).and_then(|face| server::run(config, face.with(options)));
    if let Some(access_log) = access_log {
        access_log.close();
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => {
            let code = u8::try_from(error.exit_code()).expect("exit codes are bytes");
            if code == 0 { Ok(()) } else { Err(CliError::new(Exit::Serve(code), error.to_string())) }
        }
    }
}

/// What the server needs to know; `allowed` are the processors that this process may use.
fn server_config(config: &Config, allowed: &[usize]) -> Result<ServerConfig, CliError> {
    let is_count_given = config.origin("server.partitions") != &Origin::Default;
    Ok(ServerConfig {
        data_dir: config.server.data.clone(),
        http_addr: config.http.addr,
        tls: config.tls.addr.map(|addr| tls_config(addr, &config.tls)),
        cores: processors(config, allowed)?,
        // 0: an existing directory keeps what it has.
        partition_count: if is_count_given { config.server.partitions } else { 0 },
        limits: config.limits.clone(),
        strict: config.server.strict,
        is_dev: config.server.dev,
        spin: Spin {
            always: Duration::from_micros(config.server.spin_us),
            adaptive_max: Duration::from_micros(config.server.spin_adaptive_us),
        },
    })
}

/// What the HTTP face is told.
fn face_options(config: &Config, core_count: usize) -> Result<Options, CliError> {
    let cors = Cors::new(&config.cors).map_err(|reason| CliError::new(Exit::Config, reason))?;
    let metrics = &config.metrics;
    let reports = (metrics.interval_s > 0).then(|| Reports {
        interval: Duration::from_secs(metrics.interval_s),
        events_max: metrics.events_max,
    });
    Ok(Options { cors, access_log: access_log(config, core_count)?, reports })
}

/// The access log, opened.
fn access_log(config: &Config, core_count: usize) -> Result<Option<AccessLog>, CliError> {
    let target = match config.log.access.as_str() {
        "off" => return Ok(None),
        "stderr" => Target::Stderr,
        path => Target::File(path.into()),
    };
    let opened = AccessLog::open(target, core_count, config.limits.access_log_bytes_max);
    opened.map(Some).map_err(|error| {
        let (origin, path) = (config.origin("log.access"), &config.log.access);
        let message = format!("{origin}: log.access: cannot write {path}: {error}");
        CliError::new(Exit::Config, message).next("name a file in a directory that this user may write")
    })
}

fn tls_config(addr: SocketAddr, settings: &TlsSettings) -> TlsConfig {
    let TlsSettings { cert, key, client_certs, client_ca, .. } = settings.clone();
    let client_ca = Some(client_ca).filter(|path| !path.as_os_str().is_empty());
    TlsConfig { addr, files: TlsFiles { cert, key, client_ca, client_certs } }
}

/// The processors to run on. Whether a list names real ones, the preflight checks.
///
/// # Errors
/// [`Exit::Config`] when more are asked for than there are.
pub(super) fn processors(config: &Config, allowed: &[usize]) -> Result<Vec<usize>, CliError> {
    match &config.server.cores {
        Cores::All => Ok(allowed.to_vec()),
        Cores::Count(count) if *count <= allowed.len() => Ok(allowed[..*count].to_vec()),
        Cores::Count(count) => {
            let origin = config.origin("server.cores");
            let message = format!(
                "{origin}: server.cores asks for {count} cores, this process may use {}",
                allowed.len()
            );
            Err(CliError::new(Exit::Config, message).next("ask for fewer, or widen its CPU affinity"))
        }
        Cores::List(list) => Ok(list.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FlagValue;

    fn configured(flags: &[(&'static str, &'static str)]) -> Config {
        let flag = |&(dotted, value): &(&'static str, &str)| FlagValue {
            dotted,
            flag: "--flag",
            value: value.to_owned(),
        };
        let flags: Vec<FlagValue> = flags.iter().map(flag).collect();
        Config::from_sources(None, [], &flags).expect("sound")
    }

    #[test]
    fn a_partition_count_is_asked_for_only_when_somebody_did() {
        let count = |config: &Config| server_config(config, &[0]).expect("sound").partition_count;
        assert_eq!(count(&configured(&[])), 0);
        assert_eq!(count(&configured(&[("server.partitions", "64")])), 64);
    }

    #[test]
    fn cores_are_chosen_among_those_that_are_allowed() {
        let chosen = |cores| processors(&configured(&[("server.cores", cores)]), &[2, 3, 5]);
        assert_eq!(chosen("all"), Ok(vec![2, 3, 5]));
        assert_eq!(chosen("2"), Ok(vec![2, 3]));
        assert_eq!(chosen("5,7"), Ok(vec![5, 7]));
        let error = chosen("4").expect_err("there are three");
        assert_eq!(error.exit, Exit::Config);
        assert_eq!(error.message, "flag --flag: server.cores asks for 4 cores, this process may use 3");
    }
}
