//! A blocking HTTP client over TLS: `rustls` below, the project's codec above.

use bytes::BytesMut;
use http1::{Config, RequestWriter, Response, ResponseDecoder};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a client trusts, shows and speaks.
pub(crate) struct Speaks<'a> {
    /// Folder of the pair that it trusts.
    pub(crate) trusts: &'a Path,
    /// Folder of the pair that it shows.
    pub(crate) shows: Option<&'a Path>,
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
    pub(crate) alpn: &'a [&'a [u8]],
}

impl<'a> Speaks<'a> {
    /// Everything that `rustls` speaks.
    pub(crate) fn all(trusts: &'a Path) -> Speaks<'a> {
        Speaks { trusts, shows: None, versions: rustls::ALL_VERSIONS, alpn: &[] }
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(self.trusts)).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .expect("the provider has them")
            .with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(folder) => {
                let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).expect("PEM");
                builder.with_client_auth_cert(vec![certificate(folder)], key).expect("they belong together")
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.to_vec()).collect();
        config
    }
}

/// The certificate in a folder.
pub(crate) fn certificate(folder: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder.join("cert.pem")).expect("PEM")
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
    decoder: ResponseDecoder,
    input: BytesMut,
}

impl Client {
    /// Shakes hands.
    pub(crate) fn connect(addr: SocketAddr, speaks: &Speaks<'_>) -> io::Result<Client> {
        Client::connect_as(addr, Arc::new(speaks.config()))
    }

    pub(crate) fn connect_as(addr: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Client> {
        let mut socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let name = ServerName::try_from("localhost").expect("a name");
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let config = Config { body_bytes_max: 64 << 20, ..Config::default() };
        let stream = StreamOwned::new(tls, socket);
        Ok(Client { stream, decoder: ResponseDecoder::new(config), input: BytesMut::new() })
    }

    pub(crate) fn send(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<()> {
        let mut out = BytesMut::new();
        let mut writer = RequestWriter::begin(&mut out, method, target, "localhost");
        if method == "POST" {
            writer.header("Content-Type", "application/json");
            writer.finish_with_body(body).map_err(|error| io::Error::other(format!("{error:?}")))?;
        } else {
            writer.finish_empty().map_err(|error| io::Error::other(format!("{error:?}")))?;
        }
        self.stream.write_all(&out)?;
        self.stream.flush()
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> io::Result<Response> {
        loop {
            let decoded = self.decoder.decode_response(&mut self.input);
            if let Some(response) = decoded.map_err(|error| io::Error::other(format!("{error:?}")))? {
                return Ok(response);
            }
            let mut piece = [0; 64 << 10];
            let count = self.stream.read(&mut piece)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&piece[..count]);
        }
    }

    pub(crate) fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<Response> {
        self.send(method, target, body)?;
        self.answer()
    }

    /// POSTs a JSON event; gives its number.
    pub(crate) fn post(&mut self, stream: &str, body: &str) -> io::Result<u64> {
        let response = self.ask("POST", &format!("/streams/{stream}"), body.as_bytes())?;
        let reply: serde_json::Value = serde_json::from_slice(&response.body)?;
        reply["meta"]["id"].as_u64().ok_or_else(|| io::Error::other(format!("{reply}")))
    }

    /// The certificate that the server has shown.
    pub(crate) fn shown(&self) -> &CertificateDer<'static> {
        &self.stream.conn.peer_certificates().expect("the handshake is over")[0]
    }
}
