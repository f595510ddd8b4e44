//! A small blocking HTTP client over the project's own codec: one connection, one request at a time.
//! Shared by the tests that run the whole program.

use bytes::{Bytes, BytesMut};
use http1::{Config, RequestWriter, Response, ResponseDecoder};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub(crate) struct Client {
    socket: TcpStream,
    decoder: ResponseDecoder,
    input: BytesMut,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Result<Client> {
        let socket = TcpStream::connect_timeout(&addr, Duration::from_secs(5))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        let config = Config { body_bytes_max: 64 << 20, ..Config::default() };
        Ok(Client { socket, decoder: ResponseDecoder::new(config), input: BytesMut::new() })
    }

    /// Connects until a core accepts that is not in `but`; gives also the core's name. A core is named by
    /// the partition that `/ping` tells.
    pub(crate) fn connect_to_a_core_but(addr: SocketAddr, but: &[String]) -> Result<(Client, String)> {
        const ATTEMPTS: usize = 200;
        for _ in 0..ATTEMPTS {
            let mut client = Client::connect(addr)?;
            let pong: serde_json::Value = serde_json::from_slice(&client.get("/ping")?)?;
            let core = pong["pong"].as_str().unwrap_or_default().to_owned();
            if !but.contains(&core) {
                return Ok((client, core));
            }
        }
        Err(Error::other(format!("{ATTEMPTS} connections were all accepted by {but:?}")))
    }

    /// The connection, when everything that was asked on it is answered.
    pub(crate) fn into_socket(self) -> TcpStream {
        assert!(self.input.is_empty(), "nothing was sent that was not asked for");
        self.socket
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response> {
        let mut out = BytesMut::new();
        let mut writer = RequestWriter::begin(&mut out, method, target, "localhost");
        for (name, value) in headers {
            writer.header(name, value);
        }
        writer.finish_with_body(body).map_err(|error| Error::other(format!("{error:?}")))?;
        self.socket.write_all(&out)?;
        self.decoder.handle_request_sent(method == "HEAD");
        loop {
            let decoded = self.decoder.decode_response(&mut self.input);
            if let Some(response) = decoded.map_err(|error| Error::other(format!("{error:?}")))? {
                return Ok(response);
            }
            let mut piece = [0; 64 << 10];
            let count = self.socket.read(&mut piece)?;
            if count == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, "the connection was cut"));
            }
            self.input.extend_from_slice(&piece[..count]);
        }
    }

    /// Sends bytes as they are and expects nothing.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes)
    }

    /// POSTs one JSON event with an idempotency key; gives the sequence number.
    pub(crate) fn post(&mut self, stream: &str, key: &str, body: &str) -> Result<u64> {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        let response = self.send("POST", &format!("/streams/b/{stream}"), &headers, body.as_bytes())?;
        let status = response.head.status();
        if !matches!(status, 200 | 201) {
            let text = String::from_utf8_lossy(&response.body).into_owned();
            return Err(Error::other(format!("POST answers {status}: {text}")));
        }
        let reply: serde_json::Value = serde_json::from_slice(&response.body).map_err(Error::other)?;
        reply["meta"]["id"].as_u64().ok_or_else(|| Error::other("no id in the reply"))
    }

    pub(crate) fn get(&mut self, target: &str) -> Result<Bytes> {
        let response = self.send("GET", target, &[], b"")?;
        assert_eq!(response.head.status(), 200, "GET {target}");
        Ok(response.body)
    }

    /// All events of a stream: sequence number, time, data.
    pub(crate) fn events(&mut self, stream: &str) -> Result<Vec<(u64, u64, serde_json::Value)>> {
        let mut events = Vec::new();
        let mut from = 1;
        loop {
            let page = self.get(&format!("/streams/b/{stream}?from={from}&limit=5000"))?;
            let page: Vec<serde_json::Value> = serde_json::from_slice(&page).map_err(Error::other)?;
            if page.is_empty() {
                return Ok(events);
            }
            for item in page {
                let number = |name: &str| item["meta"][name].as_u64().expect("meta has numbers");
                from = number("id") + 1;
                events.push((number("id"), number("t"), item["data"].clone()));
            }
        }
    }
}
