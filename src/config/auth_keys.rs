//! The section `[auth]`: users, sessions, passwords, and the issuers whose tokens are taken.
//!
//! No secret stands here: files are named, and `config print` shows no more than their names. An empty text
//! is "none".

use super::keys::{Key, NumberField};
use super::value::{Kind, Value};

/// The section `[auth]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    /// Algorithm of our own tokens.
    pub algorithm: String,
    /// The file of the secrets that sign and verify them; empty for `secret` in the data directory.
    pub secret_file: String,
    /// A file with the secret of an Iorio server whose tokens are still taken.
    pub iorio_secret_file: String,
    /// Whether a token without an expiry is taken.
    pub allow_no_expiry: bool,
    /// How long a session lives, in milliseconds.
    pub session_ms: u64,
    /// How long a ticket may wait to be used, in milliseconds.
    pub ticket_ms: u64,
    /// Before a user's name in that of their own bucket.
    pub user_bucket_prefix: String,
    /// The administrator that a first start creates.
    pub admin: String,
    /// A file with their password.
    pub admin_password_file: String,
    /// Memory of one password hash, in bytes.
    pub argon2_memory_bytes: u64,
    /// Passes of one password hash.
    pub argon2_passes: u64,
    /// The issuer whose tokens are taken beside our own.
    pub issuer: String,
    /// What its tokens must be meant for; several are separated by commas.
    pub audience: String,
    /// A file with its public keys: JWKS or PEM.
    pub issuer_keys_file: String,
    /// The claim that names the user.
    pub user_claim: String,
    /// The claim that lists the user's groups.
    pub groups_claim: String,
    /// Before the name of a user of the issuer.
    pub user_prefix: String,
    /// Before the name of a group of the issuer.
    pub group_prefix: String,
    /// How far the issuer's clock may differ, in milliseconds.
    pub leeway_ms: u64,
    /// Events that `$sys/audit` keeps.
    pub audit_events_max: u64,
}

impl Default for AuthSettings {
    fn default() -> Self {
        let (none, text) = (String::new, |text: &str| text.to_owned());
        AuthSettings {
            algorithm: text("HS512"),
            secret_file: none(),
            iorio_secret_file: none(),
            allow_no_expiry: false,
            session_ms: 24 * 3600 * 1000,
            ticket_ms: 30_000,
            user_bucket_prefix: none(),
            admin: text("admin"),
            admin_password_file: none(),
            argon2_memory_bytes: 19 << 20,
            argon2_passes: 2,
            issuer: none(),
            audience: none(),
            issuer_keys_file: none(),
            user_claim: text("sub"),
            groups_claim: none(),
            user_prefix: text("ext/"),
            group_prefix: text("ext/"),
            leeway_ms: 60_000,
            audit_events_max: 100_000,
        }
    }
}

macro_rules! auth_keys {
    ($($field:ident: $kind:ident $form:ident = $summary:literal;)*) => {
        /// The keys of the section `[auth]`, in the order of the fields.
        pub(super) static AUTH_KEYS: &[Key] = &[$(Key {
            dotted: concat!("auth.", stringify!($field)),
            kind: Kind::$kind,
            summary: $summary,
            write: |config, value| auth_keys!(@write $form, config.auth.$field, value),
            read: |config| auth_keys!(@read $form, config.auth.$field),
        }),*];

        /// Never called: refuses to compile when a field has no key above.
        const _: fn(&AuthSettings) = |settings| {
            let AuthSettings { $($field: _),* } = settings;
        };
    };
    (@write text, $place:expr, $value:ident) => { $place = $value.into_text() };
    (@write flag, $place:expr, $value:ident) => { $place = $value.into_flag() };
    (@write number, $place:expr, $value:ident) => { $place.set_number(&$value) };
    (@read text, $place:expr) => { Value::Text($place.clone()) };
    (@read flag, $place:expr) => { Value::Flag($place) };
    (@read number, $place:expr) => { Value::Number($place.number()) };
}

auth_keys! {
    algorithm: Hmac text = "Algorithm of the server's own tokens.";
    secret_file: Text text = "File of the secrets of own tokens; empty: `secret` in the data directory.";
    iorio_secret_file: Text text = "File with the secret of an Iorio server whose tokens are still taken.";
    allow_no_expiry: Flag flag = "Take own tokens that never expire, as Iorio could issue them.";
    session_ms: DurationMs number = "How long a session lives.";
    ticket_ms: DurationMs number = "How long a ticket may wait to be used.";
    user_bucket_prefix: Text text = "What stands before a user's name in that of their own bucket.";
    admin: Text text = "Name of the administrator that the first start creates.";
    admin_password_file: Text text = "File with their password; without it one is made up and shown once.";
    argon2_memory_bytes: Bytes number = "Memory that one password hash takes.";
    argon2_passes: Count number = "Passes of one password hash over its memory.";
    issuer: Text text = "Whose tokens are taken beside own ones (`iss`); empty: nobody's.";
    audience: Text text = "What the issuer's tokens must be meant for (`aud`); several with commas.";
    issuer_keys_file: Text text = "File with the issuer's public keys, JWKS or PEM.";
    user_claim: Text text = "The claim of the issuer's tokens that names the user.";
    groups_claim: Text text = "The claim that lists the user's groups; empty: groups are not taken.";
    user_prefix: Text text = "What stands before the name of a user of the issuer.";
    group_prefix: Text text = "What stands before the name of a group of the issuer.";
    leeway_ms: DurationMs number = "How far the issuer's clock may differ from this server's.";
    audit_events_max: Count number = "Logins, changes and refusals that `$sys/audit` keeps; 0: none.";
}
