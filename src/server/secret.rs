//! The file of the secrets that sign and verify sessions.
//!
//! `secret` in the data directory unless another is named: a line a secret, of which the first signs. The
//! first start makes it, readable by its owner alone; the server never changes it again. It is read at start
//! and when the server is told to read its files again.

use crate::sys::random;
use auth::token::{Secret, SecretRing};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the file in the data directory.
const FILE_NAME: &str = "secret";
/// The key id of an Iorio server's secret; its tokens name none.
const IORIO_KID: &str = "iorio";

/// Where the secrets are.
#[derive(Clone, Debug)]
pub(super) struct SecretFiles {
    /// Of our own.
    own: PathBuf,
    /// Whether a missing one is made.
    is_made: bool,
    /// Of an Iorio server.
    iorio: Option<PathBuf>,
}

impl SecretFiles {
    /// The files of a server with this data directory.
    pub(super) fn new(data_dir: &Path, own: Option<PathBuf>, iorio: Option<PathBuf>) -> SecretFiles {
        let is_made = own.is_none();
        SecretFiles { own: own.unwrap_or_else(|| data_dir.join(FILE_NAME)), is_made, iorio }
    }

    /// Reads the secrets; makes the file at the first start.
    ///
    /// # Errors
    /// What is wrong with which file, in a sentence.
    pub(super) fn load(&self) -> Result<SecretRing, String> {
        let shown = self.own.display();
        let text = match std::fs::read_to_string(&self.own) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            outcome => outcome.map_err(|error| format!("the secret {shown} cannot be read: {error}"))?,
        };
        // An empty one is what a crash in the first start leaves: nothing was signed with it.
        let text = match text.is_empty() && self.is_made {
            true => make(&self.own).map_err(|error| format!("the secret {shown} cannot be made: {error}"))?,
            false => text,
        };
        if let Ok(metadata) = std::fs::metadata(&self.own)
            && metadata.mode() & 0o077 != 0
        {
            eprintln!("millrace: {shown} can be read by others than its owner; `chmod 600 {shown}`");
        }
        let mut ring = SecretRing::parse(&text).map_err(|error| format!("{shown}: {error}"))?;
        if let Some(iorio) = &self.iorio {
            let shown = iorio.display();
            let text = std::fs::read_to_string(iorio)
                .map_err(|error| format!("the secret {shown} cannot be read: {error}"))?;
            let secret = Secret::from_configured_text(IORIO_KID, text.trim_end_matches(['\r', '\n']));
            let added = secret.and_then(|secret| ring.push(secret));
            added.map_err(|error| format!("{shown}: {error}"))?;
        }
        Ok(ring)
    }
}

/// Makes a file with one secret, durable before anything is signed with it.
fn make(path: &Path) -> std::io::Result<String> {
    let ring = SecretRing::new(Secret::from_random(&random::bytes()), Vec::new());
    let text = ring.expect("one secret has one name").print();
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::TempDir;

    #[test]
    fn the_first_start_makes_a_secret_that_only_its_owner_reads_and_the_next_one_finds_it() {
        let dir = TempDir::new();
        let files = SecretFiles::new(&dir.0, None, None);
        let made = files.load().expect("made");
        assert_eq!(files.load(), Ok(made));
        let mode = std::fs::metadata(dir.0.join(FILE_NAME)).expect("there").mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(dir.0.join(FILE_NAME), "").expect("writes");
        assert!(files.load().is_ok(), "what a crash left of the first start is made anew");
    }

    #[test]
    fn a_file_that_is_named_is_never_made_and_a_wrong_one_says_where() {
        let dir = TempDir::new();
        let named = dir.0.join("mine");
        let files = SecretFiles::new(&dir.0, Some(named.clone()), None);
        assert!(files.load().expect_err("not there").contains("mine"));
        std::fs::write(&named, "# a comment\nno-colon\n").expect("writes");
        let error = files.load().expect_err("wrong");
        assert!(error.contains("mine") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn the_secret_of_an_iorio_server_verifies_and_does_not_sign() {
        let dir = TempDir::new();
        let iorio = dir.0.join("iorio");
        std::fs::write(&iorio, "changeme\n").expect("writes");
        let ring = SecretFiles::new(&dir.0, None, Some(iorio)).load().expect("both");
        let kids: Vec<&str> = ring.secrets().map(Secret::kid).collect();
        assert!(kids.len() == 2 && kids[1] == IORIO_KID && ring.signing().kid() != IORIO_KID, "{kids:?}");
    }
}
