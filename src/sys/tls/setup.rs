//! From files to what a handshake needs, or to a sentence that says which file is wrong.
//!
//! `TlsAcceptor` loads at start and again on a reload. Everything is checked here, so a handshake never meets
//! a key without its certificate. The outcome is immutable and shared by all cores.

use super::certificate;
use crate::config::ClientCerts;
use crate::sys::clock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    InconsistentKeys, NamedGroup, RootCertStore, ServerConfig, SignatureAlgorithm, SignatureScheme,
};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The only protocol that is spoken (RFC 7301); WebSockets begin as this one too.
const ALPN: &[u8] = b"http/1.1";
/// Tickets of a TLS 1.3 handshake: a client uses one for each further connection, and gets the next there.
const TICKETS: usize = 1;
/// Largest file that is read: chains and lists of authorities have a few hundred KiB at most.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where the certificate is, and what is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and the chain behind it, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Authorities of client certificates, PEM; needed unless `client_certs` is off.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show certificates.
    pub client_certs: ClientCerts,
}

/// Why TLS cannot be served with these files.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read.
    Unreadable {
        /// Whose file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A file holds nothing of what it should.
    Empty {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The first line of what was looked for.
        label: &'static str,
    },
    /// A file holds something that cannot be used.
    Unusable {
        /// What it holds.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key is that of another certificate.
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Client certificates are asked for, and nobody is there to have signed them.
    NoClientCa,
    /// The system refused random bytes or threads.
    System(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Unreadable { what, path, error } => {
                write!(f, "the {what} file {} cannot be read: {error}", path.display())
            }
            TlsError::Empty { what, path, label } => write!(
                f,
                "the {what} file {} holds no {what}: it should be PEM with a block `-----BEGIN {label}-----`",
                path.display()
            ),
            TlsError::Unusable { what, path, reason } => {
                write!(f, "the {what} file {} cannot be used: {reason}", path.display())
            }
            TlsError::Mismatch { cert, key } => write!(
                f,
                "the key in {} does not belong to the certificate in {}, of which the server's own stands \
                 first in the file",
                key.display(),
                cert.display()
            ),
            TlsError::NoClientCa => f.write_str(
                "client certificates are asked for, but tls.client_ca names no file of authorities",
            ),
            TlsError::System(reason) => write!(f, "the system refused TLS: {reason}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// What handshakes go by.
pub(in crate::sys) struct Setup {
    pub(in crate::sys) config: Arc<ServerConfig>,
    /// A step may take longer than a core has for it.
    pub(in crate::sys) is_slow: bool,
    /// What somebody should know though it is no error.
    pub(in crate::sys) warnings: Vec<String>,
}

impl Setup {
    pub(in crate::sys) fn load(files: &TlsFiles) -> Result<Setup, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certified = load_pair(files, &provider)?;
        let verifier = load_verifier(files, &provider)?;
        let is_slow = verifier.is_some() || !is_fast(&certified);
        let mut offered = (*provider).clone();
        if !is_slow {
            // An exchange over P-384 alone takes longer than a core has, and the client chooses.
            offered.kx_groups.retain(|group| group.name() != NamedGroup::secp384r1);
        }
        let warnings = expiry_warning(&files.cert, &certified).into_iter().collect();
        let system = |error: rustls::Error| TlsError::System(error.to_string());
        let builder = ServerConfig::builder_with_provider(Arc::new(offered))
            .with_safe_default_protocol_versions()
            .map_err(system)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Sessions lie sealed with the clients: a cache here would be a lock between cores. The keys are new
        // after a reload, so that nobody resumes what a new list of authorities would refuse.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(system)?;
        config.send_tls13_tickets = TICKETS;
        Ok(Setup { config: Arc::new(config), is_slow, warnings })
    }
}

fn load_pair(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = certificates("certificate", &files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read("key", &files.key)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            TlsError::Empty { what: "key", path: files.key.clone(), label: "PRIVATE KEY" }
        }
        error => unusable("key", &files.key, &error),
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch { cert: files.cert.clone(), key: files.key.clone() }
        }
        rustls::Error::InvalidCertificate(_) => unusable("certificate", &files.cert, &error),
        error => unusable("key", &files.key, &error),
    })
}

fn load_verifier(
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    const WHAT: &str = "authority";
    if files.client_certs == ClientCerts::Off {
        return Ok(None);
    }
    let path = files.client_ca.as_ref().ok_or(TlsError::NoClientCa)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(WHAT, path)? {
        roots.add(certificate).map_err(|error| unusable(WHAT, path, &error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if files.client_certs == ClientCerts::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(Some).map_err(|error| unusable(WHAT, path, &error))
}

/// Whether a core may sign with this key. The figures stand in `docs/decisions/0013-*`.
fn is_fast(certified: &CertifiedKey) -> bool {
    let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let is_p256 = certified.key.choose_scheme(&schemes).is_some();
    is_p256 || certified.key.algorithm() == SignatureAlgorithm::ED25519
}

fn expiry_warning(path: &Path, certified: &CertifiedKey) -> Option<String> {
    let validity = certificate::validity(certified.cert.first()?)?;
    let now_s = i64::try_from(clock::now().0 / 1000).ok()?;
    let words = match () {
        () if now_s >= validity.end => "has expired",
        () if now_s < validity.start => "is not valid yet",
        () => return None,
    };
    Some(format!("the certificate in {} {words}; clients will refuse it", path.display()))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(what, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| unusable(what, path, &error))?;
    if found.is_empty() {
        return Err(TlsError::Empty { what, path: path.to_owned(), label: "CERTIFICATE" });
    }
    Ok(found)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(TlsError::Unreadable { what, path: path.to_owned(), error }),
    }
}

fn unusable(what: &'static str, path: &Path, reason: &dyn fmt::Display) -> TlsError {
    TlsError::Unusable { what, path: path.to_owned(), reason: reason.to_string() }
}
