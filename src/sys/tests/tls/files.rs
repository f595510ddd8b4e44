//! What a server is started with: every wrong file has its sentence, and a reload changes only what is right.

use super::{pair_in, rsa_in};
use crate::sys::tests::TempDir;
use crate::sys::tls::setup::Setup;
use crate::sys::tls::{ClientCerts, TlsFiles, self_signed};
use rustls::NamedGroup;

fn complaint(files: &TlsFiles) -> String {
    Setup::load(files).err().expect("these files are refused").to_string()
}

#[test]
fn every_wrong_file_is_named_with_what_it_lacks() {
    let dir = TempDir::new();
    let (one, other) = (pair_in(&dir.0, "one"), pair_in(&dir.0, "other"));
    let (cert, key) = (one.cert.display(), one.key.display());
    let with = |cert: &TlsFiles, key: &TlsFiles| TlsFiles { key: key.key.clone(), ..cert.clone() };
    let absent = TlsFiles { cert: dir.0.join("absent.pem"), ..one.clone() };
    let text = complaint(&absent);
    assert!(
        text.starts_with("the certificate file ") && text.contains("absent.pem cannot be read: "),
        "{text}"
    );
    let swapped = TlsFiles { cert: one.key.clone(), key: one.cert.clone(), ..one.clone() };
    let expected = format!(
        "the certificate file {key} holds no certificate: it should be PEM with a block `-----BEGIN \
         CERTIFICATE-----`"
    );
    assert_eq!(complaint(&swapped), expected);
    let no_key = TlsFiles { key: one.cert.clone(), ..one.clone() };
    let expected = format!(
        "the key file {cert} holds no key: it should be PEM with a block `-----BEGIN PRIVATE KEY-----`"
    );
    assert_eq!(complaint(&no_key), expected);
    let text = complaint(&with(&one, &other));
    let expected = format!("the key in {} does not belong to the certificate in {cert}", other.key.display());
    assert!(text.starts_with(&expected), "{text}");
    std::fs::write(&other.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("ours");
    let text = complaint(&with(&other, &one));
    assert!(text.contains("other.pem cannot be used: "), "{text}");
    let asking = TlsFiles { client_certs: ClientCerts::Required, ..one.clone() };
    assert!(complaint(&asking).contains("tls.client_ca"));
    assert!(Setup::load(&one).is_ok_and(|setup| setup.warnings.is_empty()));
}

#[test]
fn a_certificate_out_of_its_time_is_taken_with_a_warning() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "late");
    for (now_s, words) in [(1_000_000_000, "has expired"), (4_000_000_000, "is not valid yet")] {
        let pair = self_signed::pair(&[], &["localhost".to_owned()], now_s).expect("a pair");
        std::fs::write(&files.cert, pair.certificate_pem).expect("ours");
        std::fs::write(&files.key, pair.key_pem).expect("ours");
        let warnings = Setup::load(&files).expect("it is sound").warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{warnings:?}");
    }
}

#[test]
fn only_what_takes_long_leaves_the_core() {
    let dir = TempDir::new();
    let files = pair_in(&dir.0, "p256");
    let groups = |setup: &Setup| {
        let groups = &setup.config.crypto_provider().kx_groups;
        groups.iter().any(|group| group.name() == NamedGroup::secp384r1)
    };
    let fast = Setup::load(&files).expect("sound");
    assert!(!fast.is_slow && !groups(&fast), "nor does a client lead it there");
    let slow = Setup::load(&rsa_in(&dir)).expect("sound");
    assert!(slow.is_slow && groups(&slow));
    // A client's chain may hold any keys.
    let client_ca = Some(files.cert.clone());
    let asking = TlsFiles { client_ca, client_certs: ClientCerts::Optional, ..files };
    assert!(Setup::load(&asking).expect("sound").is_slow);
}
