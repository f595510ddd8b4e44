//! From flags to a connection: host, token, login.
//!
//! Every client verb starts here. Secrets come from flags, files, the environment or a person at the
//! terminal. The token of a login is kept for the next call ([`TokenCache`]); one from there is shown to the
//! server first, so that no verb begins with a session that is over. With `-t` nothing is kept or looked up.

use super::answer::failure_of;
use super::client::{Call, Client, Server};
use super::error::{CliError, Exit};
use super::password::{self, Ask};
use super::remote_args::RemoteFlags;
use super::token_cache::{Entry, TokenCache};
use crate::sys::clock;
use serde_json::{Value, json};

/// The variables in place of `-t` and `-p`.
const TOKEN_VARIABLE: &str = "MILLRACE_TOKEN";
const PASSWORD_VARIABLE: &str = "MILLRACE_PASSWORD";

/// Connects to the server that the flags name, logged in if they name a user.
///
/// # Errors
/// As [`Login::open`].
pub(crate) fn open(flags: &RemoteFlags) -> Result<(Server, Client), CliError> {
    Login::new(flags).open()
}

/// What a login may use beside its flags.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    /// `MILLRACE_TOKEN`.
    pub(crate) token: Option<String>,
    /// `MILLRACE_PASSWORD`.
    pub(crate) password: Option<String>,
    /// Where tokens are kept.
    pub(crate) cache: Option<TokenCache>,
    /// How a person is asked.
    pub(crate) ask: Ask,
}

impl Around {
    /// That of this process.
    pub(crate) fn of_process() -> Around {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        Around {
            token: variable(TOKEN_VARIABLE),
            password: variable(PASSWORD_VARIABLE),
            cache: TokenCache::of_environment(),
            ask: password::ask_at_terminal,
        }
    }
}

/// Who a verb is, over all its connections: a password is read once and a token used while it is taken.
pub(crate) struct Login {
    flags: RemoteFlags,
    around: Around,
    /// Of an earlier connection of this verb.
    token: Option<String>,
}

impl Login {
    /// By these flags and the environment of this process.
    pub(crate) fn new(flags: &RemoteFlags) -> Login {
        Login::within(flags, Around::of_process())
    }

    /// By these flags and nothing of the process itself.
    pub(crate) fn within(flags: &RemoteFlags, around: Around) -> Login {
        Login { flags: flags.clone(), around, token: None }
    }

    /// Connects; logs in first if a user is named and no token is known that the server takes.
    ///
    /// # Errors
    /// [`Exit::Unreachable`]; [`Exit::Refused`] when the login fails; [`Exit::Usage`] for a user without
    /// password; [`Exit::Io`] for a password that cannot be read.
    pub(crate) fn open(&mut self) -> Result<(Server, Client), CliError> {
        let mut server = Server::from_flags(&self.flags)?;
        let user = match (&self.flags.user, &self.flags.token) {
            (Some(user), None) => user.clone(),
            (None, None) => {
                server.token = self.around.token.clone();
                return Ok((server.clone(), Client::connect(&server)?));
            }
            (_, Some(_)) => return Ok((server.clone(), Client::connect(&server)?)),
        };
        let entry = self.entry(&server, &user);
        let known = self.known_token(entry.as_ref());
        if let Some(token) = &known {
            if let Some(opened) = reopen(&server, token)? {
                self.token = known;
                return Ok(opened);
            }
            entry.iter().for_each(Entry::forget);
        }
        let token = self.log_in(&server, &user, known.is_some())?;
        if let Some(Err(error)) = entry.as_ref().map(|entry| entry.store(&token)) {
            eprintln!("millrace: the session cannot be kept ({error}); --no-cache does not try");
        }
        self.token = Some(token.clone());
        server.token = Some(token);
        Ok((server.clone(), Client::connect(&server)?))
    }

    /// A new token, which is not kept.
    ///
    /// # Errors
    /// As [`Login::open`]; [`Exit::Usage`] without a user.
    pub(crate) fn issue(&mut self) -> Result<String, CliError> {
        let Some(user) = self.flags.user.clone() else {
            return Err(CliError::new(Exit::Usage, "a token is issued to a user").next("name one with -u"));
        };
        self.log_in(&Server::from_flags(&self.flags)?, &user, false)
    }

    /// Forgets the token that was kept for this user.
    pub(crate) fn forget(&mut self) {
        self.token = None;
        let entry = self.flags.user.as_deref();
        let server = Server::from_flags(&self.flags).ok();
        let entry = entry.zip(server).and_then(|(user, server)| self.entry(&server, user));
        entry.iter().for_each(Entry::forget);
    }

    fn entry(&self, server: &Server, user: &str) -> Option<Entry> {
        let cache = self.around.cache.as_ref().filter(|_| !self.flags.no_cache)?;
        // What was got over TLS is not sent in the clear to whoever answers at the same port.
        let scheme = if server.trust.is_some() { "https://" } else { "" };
        cache.entry(&format!("{scheme}{}", server.authority()), user)
    }

    /// The token of an earlier connection, or a kept one. Whoever says a password means it: then what was
    /// kept by another call does not count.
    fn known_token(&mut self, entry: Option<&Entry>) -> Option<String> {
        let is_said = self.flags.password.is_some() || self.flags.password_file.is_some();
        let kept = entry.filter(|_| !is_said).and_then(|entry| entry.load(clock::now().0 / 1000));
        self.token.take().or(kept)
    }

    fn log_in(&mut self, server: &Server, user: &str, was_known: bool) -> Result<String, CliError> {
        let password = self.password(server, user, was_known)?;
        let body = json!({"username": user, "password": password}).to_string();
        let call =
            Call::new("POST", "/sessions").header("Content-Type", "application/json").body(body.as_bytes());
        let response = Client::connect(server)?.ask(&call)?;
        let answer: Option<Value> = serde_json::from_slice(&response.body).ok();
        let token = answer.as_ref().and_then(|answer| answer["token"].as_str());
        let none = || CliError::new(Exit::Refused, "the server's answer to the login holds no token");
        token.map(str::to_owned).ok_or_else(none)
    }

    /// The user's password. It is read once: what was read from standard input does not come again.
    fn password(&mut self, server: &Server, user: &str, was_known: bool) -> Result<String, CliError> {
        let file = || self.flags.password_file.as_deref().map(password::first_line).transpose();
        let found = match self.flags.password.clone() {
            Some(password) => Some(password),
            None => file()?.or_else(|| self.around.password.clone()),
        };
        let found = match found {
            Some(password) => Some(password),
            None => (self.around.ask)(&format!("Password of {user} at {}: ", server.authority()))?,
        };
        self.flags.password.clone_from(&found);
        found.ok_or_else(|| {
            let message = if was_known {
                format!("the session that was kept for {user} is over, and -u needs a password")
            } else {
                "-u needs a password".to_owned()
            };
            CliError::new(Exit::Usage, message)
                .next("give --password-file FILE, set MILLRACE_PASSWORD, or call it at a terminal")
        })
    }
}

/// Connects with a token of before; `None` if the server does not take it any more.
fn reopen(server: &Server, token: &str) -> Result<Option<(Server, Client)>, CliError> {
    let server = Server { token: Some(token.to_owned()), ..server.clone() };
    let mut client = Client::connect(&server)?;
    let response = client.exchange(&Call::new("GET", "/sessions"))?;
    match response.head.status() {
        200 if response.head.keep_alive() => Ok(Some((server, client))),
        200 => Ok(Some((server.clone(), Client::connect(&server)?))),
        401 => Ok(None),
        _ => Err(failure_of(&response)),
    }
}

#[cfg(test)]
mod tests;
