//! A blocking connection to a server, plain or with TLS.
//!
//! `client` reads and writes through it, from two threads at once where requests are pipelined: a reader that
//! waits for bytes never holds what a writer needs, and a writer that waits for room never holds what a
//! reader needs. The handshake is over before it is given out.

use super::error::{CliError, Exit};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// Bytes read from the socket at once.
const READ_BYTES: usize = 16 * 1024;

/// How the server proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// By a certificate of an authority that this machine trusts.
    System,
    /// By a certificate of an authority in this file, or by one that is itself in it.
    File(PathBuf),
    /// Not at all.
    Blind,
}

/// A connection. Clones share it.
#[derive(Clone)]
pub(crate) enum Transport {
    /// As it is.
    Plain(Arc<TcpStream>),
    /// With TLS.
    Secure(Arc<Secure>),
}

impl Transport {
    /// A plain connection.
    pub(crate) fn plain(socket: TcpStream) -> Transport {
        Transport::Plain(Arc::new(socket))
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// Why this is not the server that was meant, or no TLS at all.
    pub(crate) fn secure(
        mut socket: TcpStream,
        host: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Transport> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            io::Error::new(ErrorKind::InvalidInput, "no certificate can have this host's name")
        })?;
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let state = Mutex::new(State { tls, received: Vec::new() });
        Ok(Transport::Secure(Arc::new(Secure { socket, state, sending: Mutex::default() })))
    }

    /// Reads what is there, or waits for it; 0 at the end.
    ///
    /// # Errors
    /// As of a socket; `WouldBlock` or `TimedOut` after the read timeout.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.as_ref().read(buf),
            Transport::Secure(secure) => secure.read(buf),
        }
    }

    /// Writes all.
    ///
    /// # Errors
    /// As of a socket.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => socket.as_ref().write_all(bytes),
            Transport::Secure(secure) => secure.write_all(bytes),
        }
    }

    /// Sets how long a read may wait.
    ///
    /// # Errors
    /// As of a socket.
    pub(crate) fn set_read_timeout(&self, patience: Duration) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => socket.set_read_timeout(Some(patience)),
            Transport::Secure(secure) => secure.socket.set_read_timeout(Some(patience)),
        }
    }
}

/// A TLS connection.
pub(crate) struct Secure {
    socket: TcpStream,
    /// Never held while a call on the socket waits.
    state: Mutex<State>,
    /// Who has it sends; taken before `state`, so that ciphertext leaves in its order.
    sending: Mutex<()>,
}

struct State {
    tls: ClientConnection,
    /// Decrypted and not yet read.
    received: Vec<u8>,
}

impl Secure {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut piece = vec![0; READ_BYTES];
        loop {
            {
                let mut state = self.state();
                if !state.received.is_empty() {
                    let count = state.received.len().min(buf.len());
                    buf[..count].copy_from_slice(&state.received[..count]);
                    state.received.drain(..count);
                    return Ok(count);
                }
                match state.tls.reader().read(buf) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    outcome => return outcome,
                }
            }
            let count = (&self.socket).read(&mut piece)?;
            let taken = self.state().take_in(&piece[..count]);
            self.answer()?;
            taken?;
        }
    }

    /// Sends what the protocol itself wants to say, unless somebody is sending, who then says it.
    fn answer(&self) -> io::Result<()> {
        if !self.state().tls.wants_write() {
            return Ok(());
        }
        match self.sending.try_lock() {
            Ok(turn) => self.send(&turn, &[]),
            Err(TryLockError::Poisoned(turn)) => self.send(&turn.into_inner(), &[]),
            Err(TryLockError::WouldBlock) => Ok(()),
        }
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let turn = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.chunks(READ_BYTES) {
            self.send(&turn, piece)?;
        }
        Ok(())
    }

    fn send(&self, _turn: &MutexGuard<'_, ()>, plaintext: &[u8]) -> io::Result<()> {
        let mut ciphertext = Vec::new();
        {
            let mut state = self.state();
            state.tls.writer().write_all(plaintext)?;
            while state.tls.wants_write() {
                state.tls.write_tls(&mut ciphertext)?;
            }
        }
        (&self.socket).write_all(&ciphertext)
    }
}

impl State {
    /// Takes in bytes of the socket; none is its end.
    fn take_in(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            self.tls.read_tls(&mut bytes)?;
            self.tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            match self.tls.reader().read_to_end(&mut self.received) {
                // The end comes after what was received.
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::UnexpectedEof) => {}
                Err(error) => return Err(error),
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }
}

/// What connections to a server go by.
///
/// # Errors
/// [`Exit::Io`]: the file cannot be read or holds no certificate, or this machine trusts nobody.
pub(crate) fn client_config(trust: &Trust) -> Result<Arc<ClientConfig>, CliError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Blind => Arc::new(TakeAnybody(provider.clone())),
        Trust::File(path) => verifier(roots_of(path)?, &provider)?,
        Trust::System => verifier(roots_of_the_system()?, &provider)?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CliError::new(Exit::Io, format!("TLS cannot be used: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, CliError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| CliError::new(Exit::Io, format!("the authorities cannot be used: {error}")))
}

fn roots_of(path: &Path) -> Result<RootCertStore, CliError> {
    let failed = |reason: &str| CliError::new(Exit::Io, format!("--cacert {}: {reason}", path.display()));
    let text = std::fs::read(path).map_err(|error| failed(&error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| failed(&error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(&error.to_string()))?;
    }
    if roots.is_empty() { Err(failed("it holds no certificate (PEM)")) } else { Ok(roots) }
}

fn roots_of_the_system() -> Result<RootCertStore, CliError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(CliError::new(Exit::Io, "this machine has no list of authorities")
            .next("install the package ca-certificates, or name the server's authority with --cacert FILE"));
    }
    Ok(roots)
}

/// `--insecure`: any certificate will do. That the server has its key is checked all the same.
#[derive(Debug)]
struct TakeAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TakeAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
