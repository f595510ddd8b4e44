//! TLS of the client's connections: whom they trust, and the way of the bytes through `rustls`.
//!
//! `socket` calls it where a plan asks for TLS. Sessions are not resumed: a connection costs the server a
//! whole handshake, as a new client's does.

use bytes::BytesMut;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// What connections go by.
#[derive(Clone, Debug)]
pub(crate) struct Secure {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Secure {
    /// TLS to the server of this name; without a file of certificates anybody is taken.
    ///
    /// # Errors
    /// A sentence: the name or the file will not do.
    pub(crate) fn new(host: &str, cacert: Option<&Path>) -> Result<Secure, String> {
        let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|error| format!("{host}: {error}"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match cacert {
            None => Arc::new(TakeAnybody(provider.clone())),
            Some(path) => {
                let failed = |error: String| format!("{}: {error}", path.display());
                let mut roots = RootCertStore::empty();
                let certificate =
                    CertificateDer::from_pem_file(path).map_err(|error| failed(error.to_string()))?;
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
                let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
                builder.build().map_err(|error| failed(error.to_string()))?
            }
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Secure { config: Arc::new(config), name })
    }

    /// A new connection's end.
    pub(crate) fn session(&self) -> io::Result<Box<Session>> {
        let tls = ClientConnection::new(self.config.clone(), self.name.clone()).map_err(io::Error::other)?;
        Ok(Box::new(Session(tls)))
    }
}

/// The client's end of a TLS connection.
#[derive(Debug)]
pub(crate) struct Session(ClientConnection);

impl Session {
    /// Whether nothing of the client's own can be sent yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Takes in what the socket has brought; plaintext goes to `input`.
    pub(crate) fn take_in(&mut self, mut bytes: &[u8], input: &mut BytesMut) -> io::Result<()> {
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            let state = self
                .0
                .process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            let begin = input.len();
            input.resize(begin + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut input[begin..])?;
        }
        Ok(())
    }

    /// Encrypts; the ciphertext waits here.
    pub(crate) fn put(&mut self, plaintext: &[u8]) -> io::Result<()> {
        self.0.set_buffer_limit(None);
        self.0.writer().write_all(plaintext)
    }

    /// Sends what waits here, as far as `socket` takes it.
    pub(crate) fn send(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Any certificate will do; that the server has its key is checked all the same.
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
