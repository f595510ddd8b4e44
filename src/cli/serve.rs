//! `serve`: configuration in, exit code out; the server itself is `crate::server`.

use super::args::ServeArgs;
use super::config;
use super::error::{CliError, Exit};

/// Runs the server until it is told to stop.
///
/// # Errors
/// [`Exit::Config`] for a configuration or host that the server refuses; [`Exit::Io`] when it cannot go on.
pub(crate) fn serve(args: &ServeArgs) -> Result<(), CliError> {
    let config = config::load(&args.settings)?;
    Err(CliError::new(Exit::Config, format!("no server to serve {}", config.server.data.display())))
}
