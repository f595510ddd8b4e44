//! The body of an event as the command line names it: text, `@FILE`, or `-` for stdin.
//!
//! `post` and `patch` read it whole, `post --lines` line by line. Bytes are passed on as they are: whether
//! they are JSON is the server's to say.

use super::error::{CliError, Exit};
use std::fs::File;
use std::io::{self, BufReader, Read};

/// Bytes of lines that are read at once.
const LINES_BUFFER_BYTES: usize = 64 * 1024;

/// Reads the whole payload.
///
/// # Errors
/// [`Exit::Io`] with the name of what cannot be read.
pub(crate) fn read(argument: &str) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    match argument.strip_prefix('@') {
        _ if argument == "-" => {
            io::stdin().read_to_end(&mut bytes).map_err(|error| CliError::io("cannot read stdin", &error))?;
        }
        Some(path) => {
            bytes =
                std::fs::read(path).map_err(|error| CliError::io(&format!("cannot read {path}"), &error))?;
        }
        None => bytes.extend_from_slice(argument.as_bytes()),
    }
    Ok(bytes)
}

/// Lines, and the length of all of them in bytes where it is known.
pub(crate) type Lines = (BufReader<Box<dyn Read>>, Option<u64>);

/// Opens the payload as lines. Plain text is refused: a line on the command
/// line is an event without `--lines`.
///
/// # Errors
/// [`Exit::Io`] or [`Exit::Usage`].
pub(crate) fn open_lines(argument: Option<&str>) -> Result<Lines, CliError> {
    let buffered = |input: Box<dyn Read>| BufReader::with_capacity(LINES_BUFFER_BYTES, input);
    match argument.map(|argument| (argument, argument.strip_prefix('@'))) {
        None | Some(("-", _)) => Ok((buffered(Box::new(io::stdin())), None)),
        Some((_, Some(path))) => {
            let failed = |error| CliError::io(&format!("cannot read {path}"), &error);
            let file = File::open(path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            let length = metadata.is_file().then_some(metadata.len());
            Ok((buffered(Box::new(file)), length))
        }
        Some((text, None)) => {
            let message = format!("--lines takes @FILE or -, not {text:?}");
            Err(CliError::new(Exit::Usage, message).next("leave --lines out to post one event"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;

    #[test]
    fn an_argument_is_text_or_the_content_of_a_file() {
        let path = std::env::temp_dir().join(format!("millrace-payload-{}", std::process::id()));
        std::fs::write(&path, b"{\"a\":1}").expect("the temporary directory can be written");
        let argument = format!("@{}", path.display());
        assert_eq!(read(&argument), Ok(b"{\"a\":1}".to_vec()));
        let (lines, length) = open_lines(Some(&argument)).expect("the file is there");
        assert_eq!((lines.lines().count(), length), (1, Some(7)));
        std::fs::remove_file(&path).expect("the file is ours");
        assert_eq!(read("[1]"), Ok(b"[1]".to_vec()));
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = read("@/nonexistent/x").expect_err("no such file");
        assert_eq!(error.exit, Exit::Io);
        assert!(error.message.starts_with("cannot read /nonexistent/x: "), "{}", error.message);
    }

    #[test]
    fn lines_do_not_come_from_the_command_line_itself() {
        assert_eq!(open_lines(Some("text")).map(|_| ()).expect_err("text").exit, Exit::Usage);
    }
}
