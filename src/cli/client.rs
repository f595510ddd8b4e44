//! A blocking HTTP/1.1 client over one connection.
//!
//! The verbs call it. It keeps the connection between requests, can send several before the first answer
//! (`post --lines`), and gives bodies piece by piece where they may be endless (`get`, `listen`). Bytes are
//! encoded and decoded by `http1`; nothing here retries, because only the caller knows what is safe.

use super::answer::failure_of;
use super::error::{CliError, Exit};
use super::remote_args::RemoteFlags;
use super::transport::{Transport, Trust, client_config};
use bytes::{Bytes, BytesMut};
use http1::{Config, Decoded, HttpError, RequestWriter, Response, ResponseDecoder, ResponseHead};
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Port and host of a server that nobody named.
const PORT_DEFAULT: u16 = 8080;
const PORT_DEFAULT_TLS: u16 = 8443;
const HOST_DEFAULT: &str = "127.0.0.1";
/// Seconds for a connection and for an answer when nobody said how many.
const TIMEOUT_DEFAULT_S: u64 = 30;
/// Bytes read from the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// What to do when there is no connection.
const NEXT_SERVER: &str =
    "start a server with `millrace serve`, or name another one with -H HOST and -P PORT";
const NEXT_TRUST: &str =
    "--cacert FILE names the certificate that the server, or its authority, is known by; check -H and -P";

/// Which server, as whom, and how patiently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// Host name or address.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// With TLS, and then what proves that it is the right one.
    pub(crate) trust: Option<Trust>,
    /// Session token, once there is one.
    pub(crate) token: Option<String>,
    /// Time for a connection, and without a byte of an answer.
    pub(crate) timeout: Duration,
    /// Tell on stderr what is sent and answered.
    pub(crate) verbose: bool,
}

impl Server {
    /// The server that the flags name; no login yet.
    ///
    /// # Errors
    /// [`Exit::Usage`]: they contradict each other.
    pub(crate) fn from_flags(flags: &RemoteFlags) -> Result<Server, CliError> {
        let (scheme, host, port) = take_apart(flags.host.as_deref().unwrap_or(HOST_DEFAULT))?;
        let usage = |message: &str| CliError::new(Exit::Usage, message);
        let is_secure = match scheme {
            Some(is_secure) if flags.secure && !is_secure => return Err(usage("-s contradicts http://")),
            scheme => flags.secure || scheme == Some(true),
        };
        if !is_secure && (flags.insecure || flags.cacert.is_some()) {
            return Err(usage("--cacert and --insecure are for TLS").next("add -s, or name https:// with -H"));
        }
        if port.is_some() && flags.port.is_some() && port != flags.port {
            return Err(usage("-H and -P name different ports"));
        }
        let trust = match &flags.cacert {
            _ if flags.insecure => Trust::Blind,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        };
        let port_default = if is_secure { PORT_DEFAULT_TLS } else { PORT_DEFAULT };
        Ok(Server {
            host: host.to_owned(),
            port: port.or(flags.port).unwrap_or(port_default),
            trust: is_secure.then_some(trust),
            token: flags.token.clone(),
            timeout: Duration::from_secs(flags.timeout.unwrap_or(TIMEOUT_DEFAULT_S).max(1)),
            verbose: flags.verbose,
        })
    }

    /// The host without the brackets of an address.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// `host:port`, as the `Host` header and messages show it.
    pub(crate) fn authority(&self) -> String {
        let host = self.bare_host();
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }
}

/// Host and, from a URL, whether it is `https` and its port.
fn take_apart(host: &str) -> Result<(Option<bool>, &str, Option<u16>), CliError> {
    let (is_secure, rest) = match (host.strip_prefix("https://"), host.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        // A name or an address, which may have colons of its own.
        (None, None) => return Ok((None, host, None)),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let no_server = || {
        CliError::new(Exit::Usage, format!("{host:?} names no server"))
            .next("write -H https://HOST:PORT, without a path")
    };
    let end_of_host = rest.rfind(']').map_or(0, |bracket| bracket + 1);
    let (name, port) = match rest[end_of_host..].split_once(':') {
        Some((more, port)) => {
            (&rest[..end_of_host + more.len()], Some(port.parse().map_err(|_| no_server())?))
        }
        None => (rest, None),
    };
    if name.is_empty() || name.contains(['/', '?', '#', '@']) {
        return Err(no_server());
    }
    Ok((Some(is_secure), name, port))
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    /// GET, POST, …
    pub(crate) method: &'a str,
    /// Path and query, encoded.
    pub(crate) target: &'a str,
    /// Headers beside `Host`, the token and the framing.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The protocol to go on in, if another one is asked for.
    pub(crate) upgrade: Option<&'a str>,
    /// The body, if there is one.
    pub(crate) body: Option<&'a [u8]>,
}

impl<'a> Call<'a> {
    /// A request without body.
    pub(crate) fn new(method: &'a str, target: &'a str) -> Call<'a> {
        Call { method, target, headers: Vec::new(), upgrade: None, body: None }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Call<'a> {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a header if there is a value.
    pub(crate) fn header_some(self, name: &'static str, value: Option<String>) -> Call<'a> {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Asks to go on in another protocol.
    pub(crate) fn upgrade(self, protocol: &'a str) -> Call<'a> {
        Call { upgrade: Some(protocol), ..self }
    }

    /// Sets the body.
    pub(crate) fn body(self, body: &'a [u8]) -> Call<'a> {
        Call { body: Some(body), ..self }
    }
}

/// The sending half of a connection.
pub(crate) struct RequestSender {
    server: Server,
    stream: Transport,
}

impl RequestSender {
    /// Appends a request to `out`, for several that go out together by [`RequestSender::write`].
    ///
    /// # Errors
    /// [`Exit::Usage`] when a value cannot stand in a header.
    pub(crate) fn encode(&self, call: &Call<'_>, out: &mut BytesMut) -> Result<(), CliError> {
        if self.server.verbose {
            eprintln!("> {} {}", call.method, call.target);
        }
        let mut request = RequestWriter::begin(out, call.method, call.target, &self.server.authority());
        request.header("User-Agent", concat!("millrace/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.server.token {
            request.header("X-Session", token);
        }
        for (name, value) in &call.headers {
            request.header(name, value);
        }
        let finished = match (call.upgrade, call.body) {
            (Some(protocol), _) => request.finish_upgrade(protocol),
            (None, Some(body)) => request.finish_with_body(body),
            (None, None) => request.finish_empty(),
        };
        finished.map_err(|error| CliError::new(Exit::Usage, format!("this request cannot be sent: {error}")))
    }

    /// Writes bytes that were encoded before.
    ///
    /// # Errors
    /// [`Exit::Unreachable`].
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.stream.write_all(bytes).map_err(|error| lost(&self.server, &error.to_string()))
    }
}

/// One connection to a server.
pub(crate) struct Client {
    sender: RequestSender,
    decoder: ResponseDecoder,
    input: BytesMut,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`Exit::Unreachable`].
    pub(crate) fn connect(server: &Server) -> Result<Client, CliError> {
        let config = server.trust.as_ref().map(client_config).transpose()?;
        let cannot = |reason: String, next: &str| {
            let message = format!("cannot connect to {}: {reason}", server.authority());
            CliError::new(Exit::Unreachable, message).next(next)
        };
        let socket = open(server).map_err(|reason| cannot(reason, NEXT_SERVER))?;
        let stream = match config {
            None => Transport::plain(socket),
            Some(config) => Transport::secure(socket, server.bare_host(), config)
                .map_err(|error| cannot(format!("TLS: {error}"), NEXT_TRUST))?,
        };
        // A body of any size may come: it is streamed, or it is what the person asked for.
        let config = Config { body_bytes_max: u64::MAX, ..Config::default() };
        let decoder = ResponseDecoder::new(config);
        let sender = RequestSender { server: server.clone(), stream };
        Ok(Client { sender, decoder, input: BytesMut::new() })
    }

    /// Another sending half of this connection, for a thread of its own.
    pub(crate) fn another_sender(&self) -> RequestSender {
        RequestSender { server: self.sender.server.clone(), stream: self.sender.stream.clone() }
    }

    /// Sends a request and waits for its whole answer, whatever its status.
    ///
    /// # Errors
    /// [`Exit::Unreachable`].
    pub(crate) fn exchange(&mut self, call: &Call<'_>) -> Result<Response, CliError> {
        self.send(call)?;
        self.receive()
    }

    /// As [`Client::exchange`]; an answer that is no success is an error.
    ///
    /// # Errors
    /// [`Exit::Unreachable`], or [`Exit::Refused`] with what the server said.
    pub(crate) fn ask(&mut self, call: &Call<'_>) -> Result<Response, CliError> {
        let response = self.exchange(call)?;
        match response.head.status() {
            200..=299 => Ok(response),
            _ => Err(failure_of(&response)),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`Exit::Unreachable`]; [`Exit::Usage`] when a value cannot stand in a header.
    pub(crate) fn send(&mut self, call: &Call<'_>) -> Result<(), CliError> {
        let mut out = BytesMut::new();
        self.sender.encode(call, &mut out)?;
        self.sender.write(&out)
    }

    /// Waits for the next answer, whole.
    ///
    /// # Errors
    /// [`Exit::Unreachable`].
    pub(crate) fn receive(&mut self) -> Result<Response, CliError> {
        loop {
            let step = self.decoder.decode_response(&mut self.input);
            match step.map_err(|error| self.broken(error))? {
                Some(response) => {
                    self.tell(&response.head);
                    return Ok(response);
                }
                None => self.read_or_lose()?,
            }
        }
    }

    /// Waits for the head of the next answer; the body follows by [`Client::receive_piece`].
    ///
    /// # Errors
    /// [`Exit::Unreachable`].
    pub(crate) fn receive_head(&mut self) -> Result<ResponseHead, CliError> {
        loop {
            let step = self.decoder.decode(&mut self.input);
            match step.map_err(|error| self.broken(error))? {
                Some(Decoded::Head(head)) => {
                    self.tell(&head);
                    return Ok(head);
                }
                Some(_) => return Err(self.garbled("a body without a head")),
                None => self.read_or_lose()?,
            }
        }
    }

    /// The next piece of the body whose head was received; `None` at its end.
    ///
    /// # Errors
    /// [`Exit::Unreachable`].
    pub(crate) fn receive_piece(&mut self) -> Result<Option<Bytes>, CliError> {
        loop {
            let step = self.decoder.decode(&mut self.input);
            match step.map_err(|error| self.broken(error))? {
                Some(Decoded::Body(piece)) => return Ok(Some(piece)),
                Some(Decoded::End) => return Ok(None),
                Some(Decoded::Head(_)) => return Err(self.garbled("a head inside a body")),
                None => self.read_or_lose()?,
            }
        }
    }

    /// Sets how long a read may wait for bytes.
    ///
    /// # Errors
    /// [`Exit::Unreachable`].
    pub(crate) fn set_patience(&mut self, patience: Duration) -> Result<(), CliError> {
        self.sender.stream.set_read_timeout(patience).map_err(|error| self.lost(&error.to_string()))
    }

    /// The connection, and what was read from it beyond the last answer, after an upgrade.
    pub(crate) fn into_parts(self) -> (Transport, BytesMut) {
        (self.sender.stream, self.input)
    }

    /// Reads once. The end of the stream is told to the decoder; an end between two answers is an error here,
    /// because every caller waits for one.
    fn read_or_lose(&mut self) -> Result<(), CliError> {
        let mut buffer = [0_u8; READ_BYTES];
        loop {
            match self.sender.stream.read(&mut buffer) {
                Ok(0) if self.decoder.is_idle() && self.input.is_empty() => {
                    return Err(self.lost("the server closed the connection"));
                }
                Ok(0) => {
                    self.decoder.handle_close();
                    return Ok(());
                }
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(self.lost("no answer in time"));
                }
                Err(error) => return Err(self.lost(&error.to_string())),
            }
        }
    }

    fn tell(&self, head: &ResponseHead) {
        if self.sender.server.verbose {
            eprintln!("< {}", head.status());
            for (name, value) in head.headers().iter() {
                eprintln!("< {name}: {}", String::from_utf8_lossy(value));
            }
        }
    }

    fn lost(&self, reason: &str) -> CliError {
        lost(&self.sender.server, reason)
    }

    fn broken(&self, error: HttpError) -> CliError {
        match error {
            HttpError::Truncated => self.lost("it hung up in the middle of an answer"),
            other => self.garbled(&other.to_string()),
        }
    }

    fn garbled(&self, reason: &str) -> CliError {
        let authority = self.sender.server.authority();
        let message = format!("{authority} does not answer as an HTTP server should: {reason}");
        CliError::new(Exit::Unreachable, message).next("check -H and -P")
    }
}

/// The connection broke.
pub(crate) fn lost(server: &Server, reason: &str) -> CliError {
    CliError::new(Exit::Unreachable, format!("lost {}: {reason}", server.authority()))
        .next("what was under way may have been done or not; an idempotency key makes a retry safe")
}

/// Connects to the first address of the host that answers.
fn open(server: &Server) -> Result<TcpStream, String> {
    let addresses = (server.bare_host(), server.port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut reason = "the name has no address".to_owned();
    for address in addresses {
        let stream = TcpStream::connect_timeout(&address, server.timeout).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(server.timeout))?;
            stream.set_write_timeout(Some(server.timeout))?;
            Ok(stream)
        });
        match stream {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: Option<u16>, secure: bool) -> Result<(String, bool), Exit> {
        let flags = RemoteFlags { host: Some(host.to_owned()), port, secure, ..RemoteFlags::default() };
        let server = Server::from_flags(&flags).map_err(|error| error.exit)?;
        Ok((server.authority(), server.trust.is_some()))
    }

    #[test]
    fn a_server_is_named_by_host_and_port_or_by_a_url() {
        for (host, port, secure, authority, is_secure) in [
            ("h", None, false, "h:8080", false),
            ("h", None, true, "h:8443", true),
            ("h", Some(9), true, "h:9", true),
            ("::1", None, false, "[::1]:8080", false),
            ("https://h", None, false, "h:8443", true),
            ("https://h/", Some(7), false, "h:7", true),
            ("https://h:1", Some(1), true, "h:1", true),
            ("https://[::1]:5", None, false, "[::1]:5", true),
            ("https://[::1]", None, false, "[::1]:8443", true),
            ("http://h:5/", None, false, "h:5", false),
        ] {
            assert_eq!(server(host, port, secure), Ok((authority.to_owned(), is_secure)), "{host}");
        }
        for bad in
            ["https://", "https://h:x", "https://h:99999", "https://h/path", "https://u@h", "https://:1"]
        {
            assert_eq!(server(bad, None, false), Err(Exit::Usage), "{bad}");
        }
        assert_eq!(server("http://h", None, true), Err(Exit::Usage), "-s contradicts it");
        assert_eq!(server("https://h:1", Some(2), false), Err(Exit::Usage), "two ports");
    }
}
