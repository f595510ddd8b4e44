//! `token rotate`: a new secret in front of a server's file of secrets.
//!
//! The file is replaced in one step, durable before the old one is gone, with the owner of before and mode
//! 0600. A running server is not told: it reads the file on SIGHUP, or when it starts. The new file's name
//! while it is written is also the lock: two rotations never mix.

use super::super::error::{CliError, Exit};
use super::args::RotateArgs;
use super::write_line;
use crate::sys::random;
use auth::token::{Secret, SecretRing};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "secret";

/// `millrace token rotate`.
///
/// # Errors
/// [`Exit::Usage`]: there is no secret, or another rotation is under way; [`Exit::Io`].
pub(super) fn rotate(args: &RotateArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let path = match (&args.file, &args.data) {
        (Some(file), _) => file.clone(),
        (None, Some(data)) => data.join(FILE_NAME),
        (None, None) => return Err(CliError::new(Exit::Usage, "--data or --file is missing")),
    };
    let keep = usize::try_from(args.keep).expect("the argument is at most 15");
    let ring = replace(&path, keep)?;
    let kids: Vec<&str> = ring.secrets().map(Secret::kid).collect();
    if args.json {
        return write_line(out, &json!({"file": path, "signs": kids[0], "kept": kids[1..]}).to_string());
    }
    let kept = if kids.len() == 1 { "none".to_owned() } else { kids[1..].join(", ") };
    let text = format!(
        "{}: {} signs now; kept for tokens that there are: {kept}\n\
         The server takes it over on SIGHUP, or when it starts again.",
        path.display(),
        kids[0],
    );
    write_line(out, &text)
}

/// Writes the new file; gives what stands in it.
fn replace(path: &Path, keep: usize) -> Result<SecretRing, CliError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => CliError::new(Exit::Usage, format!("there is no secret {shown}"))
            .next("a server makes it when it first starts; name its data directory with --data"),
        _ => CliError::io(&format!("cannot read {shown}"), &error),
    })?;
    let old = SecretRing::parse(&text).map_err(|error| {
        CliError::new(Exit::Usage, format!("{shown}: {error}")).next("mend the line; nothing was changed")
    })?;
    let kept = old.secrets().take(keep).cloned().collect();
    let ring = SecretRing::new(Secret::from_random(&random::bytes()), kept)
        .expect("64 random bytes have a name of their own, and --keep leaves room for it");
    let being_written = beside(path);
    let written = write(path, &being_written, &ring.print());
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let message = format!("{} is there: another rotation is under way", being_written.display());
            CliError::new(Exit::Usage, message).next("if none is, one was cut short: remove that file")
        }
        _ => CliError::io(&format!("cannot replace {shown}"), &error),
    })?;
    Ok(ring)
}

/// The file's name while it is written.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn write(path: &Path, being_written: &Path, text: &str) -> io::Result<()> {
    let before = std::fs::metadata(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(being_written)?;
    let filled = file.write_all(text.as_bytes()).and_then(|()| {
        // An administrator rotates what belongs to the server's user, who must be able to read it.
        let mine = file.metadata()?;
        if (mine.uid(), mine.gid()) != (before.uid(), before.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        file.sync_all()?;
        std::fs::rename(being_written, path)
    });
    filled.inspect_err(|_| {
        let _ = std::fs::remove_file(being_written);
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::TempDir;

    fn kids(ring: &SecretRing) -> Vec<String> {
        ring.secrets().map(|secret| secret.kid().to_owned()).collect()
    }

    fn read(path: &Path) -> SecretRing {
        SecretRing::parse(&std::fs::read_to_string(path).expect("there")).expect("sound")
    }

    fn first(dir: &TempDir) -> (PathBuf, String) {
        let path = dir.0.join(FILE_NAME);
        let ring = SecretRing::new(Secret::from_random(&random::bytes()), Vec::new()).expect("one secret");
        std::fs::write(&path, ring.print()).expect("writes");
        (path, ring.signing().kid().to_owned())
    }

    #[test]
    fn the_new_one_signs_and_so_many_old_ones_are_kept() {
        let dir = TempDir::new();
        let (path, first) = first(&dir);
        let second = kids(&replace(&path, 1).expect("replaced"));
        assert_eq!((second.len(), &second[1]), (2, &first));
        let third = kids(&replace(&path, 1).expect("replaced"));
        assert_eq!((third.len(), &third[1], third.contains(&first)), (2, &second[0], false));
        let all = kids(&replace(&path, 15).expect("replaced"));
        assert_eq!(all[1..], third[..]);
        assert_eq!(kids(&read(&path)), all);
        assert_eq!(replace(&path, 0).expect("replaced").secrets().count(), 1);
        let mode = std::fs::metadata(&path).expect("there").mode();
        assert_eq!((mode & 0o777, std::fs::read_dir(&dir.0).expect("there").count()), (0o600, 1));
    }

    #[test]
    fn a_file_full_of_secrets_still_takes_a_new_one() {
        let dir = TempDir::new();
        let (path, _) = first(&dir);
        for _ in 0..20 {
            replace(&path, 15).expect("replaced");
        }
        assert_eq!(read(&path).secrets().count(), 16);
    }

    #[test]
    fn what_cannot_be_rotated_is_left_alone_and_says_why() {
        let dir = TempDir::new();
        let path = dir.0.join(FILE_NAME);
        let error = replace(&path, 1).expect_err("no secret");
        assert!(error.message.contains("there is no secret") && error.exit == Exit::Usage, "{error:?}");
        std::fs::write(&path, "no-colon\n").expect("writes");
        assert!(replace(&path, 1).expect_err("wrong").message.contains("line 1"));
        let (path, kid) = first(&dir);
        std::fs::write(beside(&path), "").expect("writes");
        assert!(replace(&path, 1).expect_err("locked").message.contains("secret.new is there"));
        assert_eq!(kids(&read(&path)), [kid]);
    }
}
