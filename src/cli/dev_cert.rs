//! `dev-cert`: a self-signed certificate and its key, for trying TLS out.
//!
//! Writes `cert.pem` and `key.pem`; the key can be read by its owner alone. Never overwrites unless told to.

use super::args::DevCertArgs;
use super::error::{CliError, Exit};
use crate::sys::clock;
use crate::sys::tls::self_signed;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Names of the files.
const CERT_FILE: &str = "cert.pem";
const KEY_FILE: &str = "key.pem";
/// Whom the certificate speaks for when nobody says it.
const NAMES_DEFAULT: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes the pair.
///
/// # Errors
/// [`Exit::Io`] when a file is there already or cannot be written; [`Exit::Usage`] for a name that no
/// certificate can hold.
pub(crate) fn dev_cert(args: &DevCertArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let names = match args.names.as_slice() {
        [] => NAMES_DEFAULT.map(str::to_owned).to_vec(),
        names => names.to_vec(),
    };
    let now_s = clock::now().0 / 1000;
    let pair = self_signed::pair(&[], &names, now_s)
        .map_err(|error| CliError::new(Exit::Usage, format!("no certificate can be made: {error}")))?;
    std::fs::create_dir_all(&args.out)
        .map_err(|error| CliError::io(&format!("cannot make {}", args.out.display()), &error))?;
    let (cert, key) = (args.out.join(CERT_FILE), args.out.join(KEY_FILE));
    if !args.force
        && let Some(there) = [&cert, &key].into_iter().find(|path| path.exists())
    {
        return Err(CliError::new(Exit::Io, format!("{} is there already", there.display()))
            .next("--force overwrites it; --out names another directory"));
    }
    write(&key, &pair.key_pem, 0o600, args.force)?;
    write(&cert, &pair.certificate_pem, 0o644, args.force)?;
    let (cert, key) = (cert.display(), key.display());
    let text = format!(
        "{cert} and {key} are for {}, for a year\n\
         serve:   millrace serve --https --tls-cert {cert} --tls-key {key}\n\
         connect: millrace -s --cacert {cert} list-buckets\n",
        names.join(", ")
    );
    out.write_all(text.as_bytes()).map_err(|error| CliError::output(&error))
}

fn write(path: &Path, text: &str, mode: u32, force: bool) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    // `create_new` does not follow a link that somebody has laid there meanwhile.
    options.write(true).create_new(!force).create(force).truncate(force).mode(mode);
    let written = options.open(path).and_then(|mut file| {
        // A file that was there keeps its mode.
        file.set_permissions(PermissionsExt::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CliError::new(Exit::Io, format!("{} is there already", path.display())),
        _ => CliError::io(&format!("cannot write {}", path.display()), &error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn args(name: &str, force: bool) -> DevCertArgs {
        let out = std::env::temp_dir().join(format!("millrace-dev-cert-{}-{name}", std::process::id()));
        DevCertArgs { out, names: Vec::new(), force }
    }

    fn mode(path: &PathBuf) -> u32 {
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn the_key_is_its_owners_alone_and_nothing_is_overwritten_without_force() {
        let first = args("pair", false);
        dev_cert(&first, &mut Vec::new()).expect("a new directory");
        let key = first.out.join(KEY_FILE);
        let before = std::fs::read_to_string(&key).expect("written");
        assert_eq!((mode(&key), before.starts_with("-----BEGIN PRIVATE KEY-----\n")), (0o600, true));
        let error = dev_cert(&first, &mut Vec::new()).expect_err("they are there");
        assert_eq!(error.exit, Exit::Io);
        assert!(error.next.is_some_and(|next| next.contains("--force")));
        assert_eq!(std::fs::read_to_string(&key).expect("still there"), before);
        // A key that was readable by others is not afterwards.
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).expect("ours");
        dev_cert(&args("pair", true), &mut Vec::new()).expect("forced");
        assert_ne!(std::fs::read_to_string(&key).expect("written anew"), before);
        assert_eq!(mode(&key), 0o600);
        std::fs::remove_dir_all(&first.out).expect("ours");
    }

    #[test]
    fn a_name_that_no_certificate_can_hold_is_a_usage_error() {
        let args = DevCertArgs { names: vec!["ö".to_owned()], ..args("name", false) };
        let error = dev_cert(&args, &mut Vec::new()).expect_err("not ASCII");
        assert_eq!(error.exit, Exit::Usage);
        assert!(!args.out.exists());
    }
}
