//! `config print` and `config keys`, and the way from `serve`'s flags to a [`Config`].
//!
//! The only place of the command line that reads the environment for settings; `serve` and `doctor` come
//! through here, so all three see the same values. What is printed is the text of `crate::config`.

use super::args::{ConfigPrintArgs, SettingFlags};
use super::error::{CliError, Exit};
use crate::config::{
    Config, FlagValue, configured_json, configured_toml, effective_json, effective_toml, reference_markdown,
};
use std::io::Write;

/// Builds the configuration from the flags, the environment of this process and the file that they name.
///
/// # Errors
/// [`Exit::Config`] with every problem and its place.
pub(crate) fn load(flags: &SettingFlags) -> Result<Config, CliError> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    load_from(flags, environment)
}

fn load_from(
    flags: &SettingFlags,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, CliError> {
    Config::load(flags.config.as_deref(), environment, &flag_values(flags)).map_err(|error| {
        CliError::new(Exit::Config, error.to_string())
            .next("`millrace config keys` lists every key with its kind and default")
    })
}

/// The flags that were given, by their keys.
fn flag_values(flags: &SettingFlags) -> Vec<FlagValue> {
    let switch = |is_set: bool| is_set.then(|| "true".to_owned());
    let table = [
        ("server.data", "--data", flags.data.clone()),
        ("server.cores", "--cores", flags.cores.clone()),
        ("server.partitions", "--partitions", flags.partitions.clone()),
        ("server.dev", "--dev", switch(flags.dev)),
        ("server.strict", "--strict", switch(flags.strict)),
        ("auth.admin_password_file", "--admin-password-file", flags.admin_password_file.clone()),
        ("http.addr", "--http", flags.http.clone()),
        ("tls.addr", "--https", flags.https.clone()),
        ("tls.cert", "--tls-cert", flags.tls_cert.clone()),
        ("tls.key", "--tls-key", flags.tls_key.clone()),
    ];
    table
        .into_iter()
        .filter_map(|(dotted, flag, value)| Some(FlagValue { dotted, flag, value: value? }))
        .collect()
}

/// `config print`.
///
/// # Errors
/// [`Exit::Config`], [`Exit::Io`].
pub(crate) fn print(args: &ConfigPrintArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let config = load(&args.settings)?;
    let text = match (args.effective, args.json) {
        (true, false) => effective_toml(&config),
        (true, true) => effective_json(&config),
        (false, false) => configured_toml(&config),
        (false, true) => configured_json(&config),
    };
    out.write_all(text.as_bytes()).map_err(|error| CliError::output(&error))
}

/// `config keys`.
///
/// # Errors
/// [`Exit::Io`].
pub(crate) fn print_keys(out: &mut dyn Write) -> Result<(), CliError> {
    out.write_all(reference_markdown().as_bytes()).map_err(|error| CliError::output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_flag_reaches_its_key() {
        let text = |text: &str| Some(text.to_owned());
        let flags = SettingFlags {
            config: None,
            data: text("/d"),
            http: text("127.0.0.1:1"),
            https: text("127.0.0.1:2"),
            tls_cert: text("/c"),
            tls_key: text("/k"),
            cores: text("0,1"),
            partitions: text("8"),
            dev: true,
            strict: true,
            admin_password_file: text("/p"),
        };
        let config = load_from(&flags, []).expect("sound");
        let expected = Config::default();
        assert_eq!(config.server.data.to_str(), Some("/d"));
        assert_eq!((config.server.partitions, config.server.dev, config.server.strict), (8, true, true));
        let port = |addr: Option<std::net::SocketAddr>| addr.map(|addr| addr.port());
        assert_eq!((port(config.http.addr), port(config.tls.addr)), (Some(1), Some(2)));
        assert_eq!((config.tls.cert.to_str(), config.tls.key.to_str()), (Some("/c"), Some("/k")));
        assert_eq!(config.auth.admin_password_file, "/p");
        assert_ne!(config.server.cores, expected.server.cores);
        assert_eq!(config.origin("server.cores").to_string(), "flag --cores");
    }

    #[test]
    fn a_flag_that_is_not_given_leaves_the_environment_alone() {
        let environment = [("MILLRACE_SERVER__DEV".to_owned(), "true".to_owned())];
        assert!(load_from(&SettingFlags::default(), environment).expect("sound").server.dev);
    }

    #[test]
    fn a_wrong_flag_is_told_by_its_name_with_the_configuration_exit_code() {
        let flags = SettingFlags { cores: Some("many".to_owned()), ..SettingFlags::default() };
        let error = load_from(&flags, []).expect_err("no number of cores");
        assert_eq!(error.exit, Exit::Config);
        assert!(
            error.message.starts_with("flag --cores: server.cores was given \"many\""),
            "{}",
            error.message
        );
    }
}
