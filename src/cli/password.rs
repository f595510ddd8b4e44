//! Passwords: from a file, from standard input, or typed at the terminal; never shown, never repeated.
//!
//! `session` asks for the one of a login, `identity` for a new one. A password as an argument would stand in
//! the list of processes, so new ones have no such flag.

use super::error::{CliError, Exit};
use crate::sys::terminal;
use std::io::BufRead;

/// Asks a person, with this prompt; `None` where nobody can be asked.
pub(crate) type Ask = fn(&str) -> Result<Option<String>, CliError>;

/// Asks at the terminal.
///
/// # Errors
/// [`Exit::Io`]: the terminal fails, or the person gives up.
pub(crate) fn ask_at_terminal(prompt: &str) -> Result<Option<String>, CliError> {
    terminal::ask_hidden(prompt).map_err(|error| CliError::io("no password was typed", &error))
}

/// The first line of a file, or of standard input for `-`.
///
/// # Errors
/// [`Exit::Io`]; [`Exit::Usage`] when the line is empty.
pub(crate) fn first_line(path: &str) -> Result<String, CliError> {
    let failed = |error| CliError::io(&format!("cannot read the password from {path}"), &error);
    let text = match path {
        "-" => {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
            line
        }
        path => std::fs::read_to_string(path).map_err(failed)?,
    };
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(CliError::new(Exit::Usage, format!("the first line of {path} is empty"))
            .next("write the password there")),
    }
}

/// A password that is to be set for a user: from the file, or typed twice.
///
/// # Errors
/// [`Exit::Usage`] where nobody can be asked, or the second one differs; as [`first_line`].
pub(crate) fn new_password(file: Option<&str>, user: &str, ask: Ask) -> Result<String, CliError> {
    if let Some(path) = file {
        return first_line(path);
    }
    let Some(first) = ask(&format!("New password of {user}: "))? else {
        return Err(CliError::new(Exit::Usage, "there is no terminal to ask for the new password at")
            .next("give --new-password-file FILE, or - for standard input"));
    };
    if first.is_empty() {
        return Err(CliError::new(Exit::Usage, "an empty password is none").next("type it again"));
    }
    if ask("The same again: ")?.as_ref() != Some(&first) {
        return Err(CliError::new(Exit::Usage, "the two passwords differ; nothing was changed"));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> String {
        let path = std::env::temp_dir().join(format!("millrace-password-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("the temporary directory can be written");
        path.display().to_string()
    }

    fn nobody(_: &str) -> Result<Option<String>, CliError> {
        Ok(None)
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        for (text, expected) in [("tea\nmore\n", Some("tea")), (" a b \r\n", Some(" a b ")), ("\nx", None)] {
            assert_eq!(first_line(&file("line", text)).ok().as_deref(), expected, "{text:?}");
        }
        assert_eq!(first_line("/no/such/file").expect_err("not there").exit, Exit::Io);
    }

    #[test]
    fn a_new_password_is_typed_twice_and_the_same() {
        let same: Ask = |_| Ok(Some("tea".to_owned()));
        assert_eq!(new_password(None, "anna", same), Ok("tea".to_owned()));
        let other: Ask = |prompt| Ok(Some(prompt.to_owned()));
        assert!(new_password(None, "anna", other).expect_err("they differ").message.contains("differ"));
        assert!(new_password(None, "anna", |_| Ok(Some(String::new()))).is_err());
        assert_eq!(new_password(None, "anna", nobody).expect_err("nobody").exit, Exit::Usage);
        let path = file("new", "from a file\n");
        assert_eq!(new_password(Some(&path), "anna", nobody), Ok("from a file".to_owned()));
    }
}
