//! The section `[auth]` as the server takes it: files are read, names are checked.
//!
//! `serve` calls it once. What is wrong is told with its key; no secret is repeated.

use super::error::{CliError, Exit};
use crate::broker::identity::{IdentityConfig, RateLimits};
use crate::config::{AuthSettings, Config, RateSetting, RateSettings};
use crate::server::WebConfig;
use auth::limiter::Rate;
use auth::password::PasswordParams;
use auth::policy::{ADMIN_GROUP, ANONYMOUS, AUTHENTICATED_GROUP, RoleName};
use auth::token::{HmacAlgorithm, Issuer, Jwks, OwnConfig, PublicKey, parse_public_pem};
use std::path::{Path, PathBuf};

/// The variable in place of `auth.admin_password_file`.
const ADMIN_PASSWORD_VARIABLE: &str = "MILLRACE_ADMIN_PASSWORD";

/// What the faces are told about users and sessions.
///
/// # Errors
/// [`Exit::Config`].
pub(super) fn web_config(config: &Config) -> Result<WebConfig, CliError> {
    let from_environment = std::env::var(ADMIN_PASSWORD_VARIABLE).ok().filter(|text| !text.is_empty());
    let AuthSettings { secret_file, iorio_secret_file, .. } = &config.auth;
    Ok(WebConfig {
        identity: identity(config, from_environment)?,
        secret_file: path_of(secret_file),
        iorio_secret_file: path_of(iorio_secret_file),
    })
}

fn identity(config: &Config, password: Option<String>) -> Result<IdentityConfig, CliError> {
    let settings = &config.auth;
    let admin = RoleName::parse(&settings.admin)
        .map_err(|_| wrong("auth.admin", &format!("{:?} is no user's name", settings.admin)))?;
    if [ADMIN_GROUP, AUTHENTICATED_GROUP, ANONYMOUS].contains(&settings.admin.as_str()) {
        return Err(wrong("auth.admin", &format!("{} is somebody else", settings.admin)));
    }
    let admin_password = match path_of(&settings.admin_password_file) {
        Some(path) => Some(read_password(&path)?),
        None => password,
    };
    let number = |key, number: u64| u32::try_from(number).map_err(|_| wrong(key, "it is too large"));
    let hash_cost = PasswordParams {
        memory_kib: number("auth.argon2_memory_bytes", settings.argon2_memory_bytes / 1024)?,
        passes: number("auth.argon2_passes", settings.argon2_passes)?,
        lanes: 1,
    };
    // The cost is tried with the first hash that is needed; what no hash takes is told here.
    auth::password::check_params(&hash_cost)
        .map_err(|error| wrong("auth.argon2_memory_bytes", &error.to_string()))?;
    let algorithm = HmacAlgorithm::parse(&settings.algorithm);
    Ok(IdentityConfig {
        own: OwnConfig {
            algorithm: algorithm.ok_or_else(|| wrong("auth.algorithm", "it is not known"))?,
            allow_no_expiry: settings.allow_no_expiry,
            leeway_s: 0,
        },
        issuers: issuer(settings)?.into_iter().collect(),
        session_s: (settings.session_ms / 1000).max(1),
        ticket_s: (settings.ticket_ms / 1000).max(1),
        user_bucket_prefix: settings.user_bucket_prefix.clone(),
        admin,
        admin_password,
        is_dev: config.server.dev,
        resets_admin: false,
        hash_cost,
        rates: rates(&config.rates),
        audit_events_max: settings.audit_events_max,
        limits: config.limits.clone(),
    })
}

fn rates(settings: &RateSettings) -> RateLimits {
    let rate = |setting: RateSetting| Rate {
        per_second: f64::from(setting.count) / f64::from(setting.seconds),
        burst: setting.burst,
    };
    let RateSettings { user_put, user_patch, user_get, user_delete, user_list, user_listen, .. } = *settings;
    let RateSettings { address_put, address_patch, address_get, .. } = *settings;
    let RateSettings { address_delete, address_list, address_listen, .. } = *settings;
    // In the order of `Action`.
    let by_user = [user_put, user_patch, user_get, user_delete, user_list, user_listen];
    let by_address = [address_put, address_patch, address_get, address_delete, address_list, address_listen];
    RateLimits { by_user: by_user.map(|one| one.map(rate)), by_address: by_address.map(|one| one.map(rate)) }
}

fn issuer(settings: &AuthSettings) -> Result<Option<Issuer>, CliError> {
    if settings.issuer.is_empty() {
        return Ok(None);
    }
    let path = path_of(&settings.issuer_keys_file)
        .ok_or_else(|| wrong("auth.issuer_keys_file", "an issuer needs the file of its public keys"))?;
    let audience: Vec<&str> =
        settings.audience.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    let issuer = Issuer {
        user_claim: settings.user_claim.clone(),
        groups_claim: Some(settings.groups_claim.clone()).filter(|claim| !claim.is_empty()),
        leeway_s: settings.leeway_ms / 1000,
        user_prefix: settings.user_prefix.clone(),
        group_prefix: settings.group_prefix.clone(),
        ..Issuer::new(&settings.issuer, &audience, public_keys(&path)?)
    };
    if issuer.groups_claim.is_some() && issuer.group_prefix.is_empty() {
        eprintln!(
            "millrace: auth.group_prefix is empty: whoever fills in groups at {} decides who is in the \
             groups of this server",
            issuer.iss
        );
    }
    issuer.check().map_err(|fault| wrong("auth.issuer", &fault.to_string()))?;
    Ok(Some(issuer))
}

/// Keys in a JWKS document, or in PEM.
fn public_keys(path: &Path) -> Result<Vec<PublicKey>, CliError> {
    let shown = |reason: String| wrong("auth.issuer_keys_file", &format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| shown(error.to_string()))?;
    if text.contains("-----BEGIN") {
        return parse_public_pem(&text).map_err(|error| shown(error.to_string()));
    }
    let document = Jwks::parse(text.as_bytes()).map_err(|error| shown(error.to_string()))?;
    document.notes.iter().for_each(|note| eprintln!("millrace: {}: {note}", path.display()));
    Ok(document.keys)
}

/// The first line of a file.
fn read_password(path: &Path) -> Result<String, CliError> {
    let wrong = |reason: String| wrong("auth.admin_password_file", &format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        Err(wrong("its first line is empty".to_owned()))
    } else {
        Ok(password.to_owned())
    }
}

fn path_of(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn wrong(key: &str, reason: &str) -> CliError {
    CliError::new(Exit::Config, format!("{key}: {reason}"))
        .next("`millrace config keys` lists every key with its kind and default")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(settings: AuthSettings) -> String {
        let mut config = Config::default();
        config.auth = settings;
        identity(&config, None).expect_err("wrong").message
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        let sound = AuthSettings::default;
        let text = |text: &str| text.to_owned();
        for (settings, expected) in [
            (AuthSettings { admin: text("a b"), ..sound() }, "auth.admin: \"a b\" is no user's name"),
            (AuthSettings { admin: text("anonymous"), ..sound() }, "auth.admin: anonymous is somebody else"),
            (AuthSettings { issuer: text("x"), ..sound() }, "auth.issuer_keys_file: an issuer needs"),
            (
                AuthSettings { admin_password_file: text("/no/such"), ..sound() },
                "auth.admin_password_file: /no/such",
            ),
            (AuthSettings { argon2_memory_bytes: 1, ..sound() }, "auth.argon2_memory_bytes: "),
        ] {
            let message = refused(settings);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn the_password_comes_from_its_file_or_from_the_environment() {
        let config = Config::default();
        let found = identity(&config, Some("secret".to_owned())).expect("sound");
        assert_eq!(
            (found.admin_password.as_deref(), found.session_s, found.ticket_s),
            (Some("secret"), 86_400, 30)
        );
    }
}
