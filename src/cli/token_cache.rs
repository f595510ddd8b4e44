//! Tokens between two calls of the command line: a file for each server and user.
//!
//! Written by `session` after a login, read by the next one that names the user and no password. A file is
//! readable by its owner alone and is replaced in one step; one that others could read, that is no token, or
//! whose time is over counts as absent. A cache that cannot be written costs a login and nothing else.

use super::jwt::Jwt;
use http1::target::percent_encode;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const FOLDER: &str = "millrace";
/// Longest name that every file system takes, less what is added while a file is written.
const NAME_BYTES_MAX: usize = 230;
/// Longest file that is looked at; a server takes no longer token.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// A token that ends within this is not begun with: the verb should get to its end.
const LEFT_S_MIN: u64 = 10;

/// The folder of the tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenCache(PathBuf);

impl TokenCache {
    /// The one of the environment: `$XDG_CACHE_HOME/millrace`, or `~/.cache/millrace`. A path that is not
    /// absolute does not count (XDG Base Directory Specification).
    pub(crate) fn of_environment() -> Option<TokenCache> {
        let path = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
        caches.map(|caches| TokenCache::within(&caches))
    }

    /// One in a folder of caches.
    pub(crate) fn within(caches: &Path) -> TokenCache {
        TokenCache(caches.join(FOLDER))
    }

    /// Where the token of a user of a server is kept; `None` if no file can have the name.
    pub(crate) fn entry(&self, server: &str, user: &str) -> Option<Entry> {
        let name = format!("{},{}", percent_encode(server), percent_encode(user));
        (name.len() <= NAME_BYTES_MAX).then(|| Entry { folder: self.0.clone(), name })
    }
}

/// The place of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    folder: PathBuf,
    name: String,
}

impl Entry {
    /// The token, if there is one that is not over at this time.
    pub(crate) fn load(&self, now_s: u64) -> Option<String> {
        let path = self.path();
        let metadata = std::fs::symlink_metadata(&path).ok()?;
        let is_ours = metadata.is_file() && metadata.mode() & 0o077 == 0 && metadata.len() <= FILE_BYTES_MAX;
        let text = is_ours.then(|| std::fs::read_to_string(&path).ok()).flatten()?;
        let token = text.trim_end();
        let is_over = Jwt::read(token)?.is_over(now_s.saturating_add(LEFT_S_MIN));
        (!is_over).then(|| token.to_owned())
    }

    /// Keeps a token.
    ///
    /// # Errors
    /// Folder or file cannot be written.
    pub(crate) fn store(&self, token: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        if std::fs::metadata(&self.folder)?.mode() & 0o077 != 0 {
            std::fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        }
        let being_written = self.folder.join(format!("{}.{}", self.name, std::process::id()));
        // One that a process of the same number left behind when it was killed.
        let _ = std::fs::remove_file(&being_written);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&being_written)?;
        let written = file.write_all(format!("{token}\n").as_bytes());
        written.and_then(|()| std::fs::rename(&being_written, self.path())).inspect_err(|_| {
            let _ = std::fs::remove_file(&being_written);
        })
    }

    /// Takes the token away, if there is one.
    pub(crate) fn forget(&self) {
        let _ = std::fs::remove_file(self.path());
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::jwt::tests::token;
    use super::*;
    use crate::sys::tests::TempDir;

    fn entry(dir: &TempDir) -> Entry {
        TokenCache::within(&dir.0).entry("127.0.0.1:8080", "anna/b").expect("a short name")
    }

    #[test]
    fn a_token_is_found_again_until_it_is_nearly_over() {
        let dir = TempDir::new();
        let entry = entry(&dir);
        assert_eq!(entry.load(0), None);
        let token = token(r#"{"u":"anna/b","exp":1000}"#);
        entry.store(&token).expect("it can be written");
        assert_eq!((entry.load(980), entry.load(990)), (Some(token), None));
        entry.forget();
        assert_eq!(entry.load(0), None);
    }

    #[test]
    fn nobody_else_can_read_it_and_what_others_could_read_is_not_used() {
        let dir = TempDir::new();
        let entry = entry(&dir);
        std::fs::create_dir(dir.0.join(FOLDER)).expect("a new folder");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").mode() & 0o777;
        let token = token(r#"{"u":"a"}"#);
        for round in ["new", "replaced"] {
            entry.store(&token).expect("it can be written");
            assert_eq!((mode(&dir.0.join(FOLDER)), mode(&entry.path())), (0o700, 0o600), "{round}");
        }
        assert_eq!(std::fs::read_dir(dir.0.join(FOLDER)).expect("there").count(), 1);
        assert_eq!(entry.load(0), Some(token));
        std::fs::set_permissions(entry.path(), Permissions::from_mode(0o640)).expect("ours");
        assert_eq!(entry.load(0), None);
    }

    #[test]
    fn servers_and_users_have_files_of_their_own_and_no_name_leaves_the_folder() {
        let cache = TokenCache::within(Path::new("/c"));
        let path = |server: &str, user: &str| cache.entry(server, user).map(|entry| entry.path());
        assert_eq!(path("h:1", "../x"), Some("/c/millrace/h%3A1,..%2Fx".into()));
        assert_ne!(path("h:1", "a"), path("h:2", "a"));
        assert_ne!(path("h:1", "a,b"), path("h:1,a", "b"));
        assert_eq!(path("h:1", &"u".repeat(300)), None);
    }

    #[test]
    fn what_is_no_token_counts_as_absent() {
        let dir = TempDir::new();
        let entry = entry(&dir);
        entry.store("rubbish").expect("it can be written");
        assert_eq!(entry.load(0), None);
    }
}
