//! TLS: the session as a value, streams over loopback, and the files that a server is started with.
//!
//! The other end is `rustls`'s own client with its buffers. Pairs are made anew for each test; the RSA key
//! lies beside, since nothing here can make one, and is of no use to anybody.

mod files;
mod session;
mod stream;

use super::TempDir;
use crate::sys::clock;
use crate::sys::tls::{ClientCerts, TlsFiles, self_signed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use std::path::Path;
use std::sync::Arc;

pub(super) const RSA_2048: &str = include_str!("rsa-2048.pem");

/// A pair for localhost, in two files of a directory; `subject` is its common name.
pub(super) fn pair_in(dir: &Path, subject: &str) -> TlsFiles {
    let now_s = clock::now().0 / 1000;
    let pair = self_signed::pair(&[subject.to_owned()], &["localhost".to_owned()], now_s).expect("a pair");
    let (cert, key) = (dir.join(format!("{subject}.pem")), dir.join(format!("{subject}.key.pem")));
    std::fs::write(&cert, pair.certificate_pem).expect("a new file");
    std::fs::write(&key, pair.key_pem).expect("a new file");
    TlsFiles { cert, key, client_ca: None, client_certs: ClientCerts::Off }
}

/// What a client goes by: it trusts the certificate of `trusted`, and shows that of `shown`.
pub(super) fn client_config(
    trusted: &TlsFiles,
    shown: Option<&TlsFiles>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&trusted.cert).expect("PEM")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("the provider has it")
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(files) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(&files.cert).expect("PEM")],
                PrivateKeyDer::from_pem_file(&files.key).expect("PEM"),
            )
            .expect("they belong together"),
    };
    config.enable_secret_extraction = true;
    Arc::new(config)
}

pub(super) fn new_client(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(config.clone(), name).expect("a sound configuration")
}

/// The RSA pair in files.
pub(super) fn rsa_in(dir: &TempDir) -> TlsFiles {
    let path = dir.0.join("rsa.pem");
    std::fs::write(&path, RSA_2048).expect("a new file");
    TlsFiles { cert: path.clone(), key: path, client_ca: None, client_certs: ClientCerts::Off }
}
