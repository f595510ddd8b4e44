//! The opening handshake (RFC 6455 §4): the rules for the request and the response, and the accept value.
//!
//! The face calls [`check_upgrade`] with the headers of a request and answers 101 or the refusal's status; a
//! client makes a key and checks the response. Headers are borrowed and never copied; authentication and
//! `Origin` are the face's. Nothing here is random: a client gives the 16 bytes of its key.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use bytes::BytesMut;
use sha1::{Digest, Sha1};
use std::fmt;

/// What a server appends to the key before hashing (§1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The only version of the protocol.
const VERSION: &[u8] = b"13";
const KEY_BYTES: usize = 16;

/// Reads keys. Unused bits of the last character may be set: only the length is a rule (§4.1), and the
/// accept value is made from the text.
const KEY_FORM: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` as it stood in the request (§4.2.2).
pub fn accept_key(sec_websocket_key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(sec_websocket_key).chain_update(ACCEPT_SUFFIX).finalize();
    let mut accept = [0u8; 28];
    let length = STANDARD.encode_slice(digest, &mut accept).expect("20 bytes are 28 characters of base64");
    assert_eq!(length, accept.len());
    accept
}

/// The value of `Sec-WebSocket-Key` from 16 random bytes.
pub fn client_key(random: [u8; 16]) -> [u8; 24] {
    let mut key = [0u8; 24];
    let length = STANDARD.encode_slice(random, &mut key).expect("16 bytes are 24 characters of base64");
    assert_eq!(length, key.len());
    key
}

/// A request that may become a WebSocket connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// Value of `Sec-WebSocket-Accept` in the answer.
    pub accept: [u8; 28],
    /// Subprotocols that the client offers, in its order.
    pub protocols: Vec<&'a str>,
}

impl Upgrade<'_> {
    /// Whether the client offers this subprotocol.
    pub fn offers_protocol(&self, name: &str) -> bool {
        self.protocols.contains(&name)
    }
}

/// Why a request cannot become a WebSocket connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeRefused {
    /// The method is not GET.
    MethodNotGet,
    /// The request is older than HTTP/1.1.
    HttpTooOld,
    /// The request has a body, whose bytes would be taken for frames.
    BodyPresent,
    /// `Upgrade` does not name `websocket`.
    UpgradeMissing,
    /// `Connection` does not name `upgrade`.
    ConnectionMissing,
    /// `Sec-WebSocket-Version` is missing, doubled or not 13.
    VersionUnsupported,
    /// `Sec-WebSocket-Key` is missing or doubled.
    KeyMissing,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64.
    KeyInvalid,
    /// `Sec-WebSocket-Protocol` is not a list of tokens.
    ProtocolInvalid,
}

impl UpgradeRefused {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            UpgradeRefused::MethodNotGet => 405,
            UpgradeRefused::VersionUnsupported => 426,
            _ => 400,
        }
    }

    /// Headers that the answer must have beside those of every answer: name and value.
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            UpgradeRefused::MethodNotGet => &[("Allow", "GET")],
            // RFC 6455 §4.2.2 asks for the version, RFC 9110 §15.5.22 for the rest.
            UpgradeRefused::VersionUnsupported => {
                &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
            }
            _ => &[],
        }
    }
}

impl fmt::Display for UpgradeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UpgradeRefused::MethodNotGet => "a WebSocket opens with GET",
            UpgradeRefused::HttpTooOld => "a WebSocket needs HTTP/1.1",
            UpgradeRefused::BodyPresent => "a WebSocket request has no body",
            UpgradeRefused::UpgradeMissing => "the Upgrade header does not name websocket",
            UpgradeRefused::ConnectionMissing => "the Connection header does not name upgrade",
            UpgradeRefused::VersionUnsupported => "Sec-WebSocket-Version must be 13",
            UpgradeRefused::KeyMissing => "exactly one Sec-WebSocket-Key is needed",
            UpgradeRefused::KeyInvalid => "Sec-WebSocket-Key must be 16 bytes in base64",
            UpgradeRefused::ProtocolInvalid => "Sec-WebSocket-Protocol must be a list of tokens",
        })
    }
}

impl std::error::Error for UpgradeRefused {}

/// Checks the request of a client (§4.2.1).
///
/// `minor_version` is the y of HTTP/1.y. `headers` are all headers of the request, names in any case,
/// values with or without blanks around them; doubled ones each come by themselves.
///
/// # Errors
/// The first rule that the request breaks, in the order of [`UpgradeRefused`].
pub fn check_upgrade<'a>(
    method: &str,
    minor_version: u8,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Upgrade<'a>, UpgradeRefused> {
    let request = Relevant::gather(headers);
    if method != "GET" {
        return Err(UpgradeRefused::MethodNotGet);
    }
    if minor_version < 1 {
        return Err(UpgradeRefused::HttpTooOld);
    }
    if request.has_body {
        return Err(UpgradeRefused::BodyPresent);
    }
    if !request.upgrade {
        return Err(UpgradeRefused::UpgradeMissing);
    }
    if !request.connection {
        return Err(UpgradeRefused::ConnectionMissing);
    }
    if request.version != Value::One(VERSION) {
        return Err(UpgradeRefused::VersionUnsupported);
    }
    let Value::One(key) = request.key else {
        return Err(UpgradeRefused::KeyMissing);
    };
    if !is_key(key) {
        return Err(UpgradeRefused::KeyInvalid);
    }
    let protocols = request.protocols.ok_or(UpgradeRefused::ProtocolInvalid)?;
    Ok(Upgrade { accept: accept_key(key), protocols })
}

/// Appends the answer 101 that accepts an upgrade, with one of the subprotocols that the client offered or
/// none. Frames follow it at once.
pub fn encode_switching_protocols(accept: &[u8; 28], protocol: Option<&str>, out: &mut BytesMut) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    out.extend_from_slice(b"Sec-WebSocket-Accept: ");
    out.extend_from_slice(accept);
    out.extend_from_slice(b"\r\n");
    if let Some(protocol) = protocol {
        assert!(is_token(protocol.as_bytes()), "a subprotocol is a token");
        out.extend_from_slice(b"Sec-WebSocket-Protocol: ");
        out.extend_from_slice(protocol.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Why a client cannot use a server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseRefused {
    /// The status is not 101.
    NotSwitching {
        /// The status.
        status: u16,
    },
    /// `Upgrade` does not name `websocket`.
    UpgradeMissing,
    /// `Connection` does not name `upgrade`.
    ConnectionMissing,
    /// `Sec-WebSocket-Accept` is missing, doubled or not the value for the key.
    AcceptWrong,
    /// The server uses an extension; none was offered.
    ExtensionUnasked,
    /// The server uses a subprotocol that was not offered.
    ProtocolUnasked,
}

impl fmt::Display for ResponseRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResponseRefused::NotSwitching { status } => {
                write!(f, "the server answered the upgrade with {status} instead of 101")
            }
            ResponseRefused::UpgradeMissing => f.write_str("the answer's Upgrade does not name websocket"),
            ResponseRefused::ConnectionMissing => {
                f.write_str("the answer's Connection does not name upgrade")
            }
            ResponseRefused::AcceptWrong => f.write_str("the answer's Sec-WebSocket-Accept is wrong"),
            ResponseRefused::ExtensionUnasked => f.write_str("the server uses an extension unasked"),
            ResponseRefused::ProtocolUnasked => f.write_str("the server uses a subprotocol unasked"),
        }
    }
}

impl std::error::Error for ResponseRefused {}

/// Checks the answer of a server to a request with this key and these subprotocols (§4.1). Returns the
/// subprotocol that the server chose.
///
/// # Errors
/// The first rule that the answer breaks, in the order of [`ResponseRefused`].
pub fn check_response<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    key: &[u8; 24],
    offered: &[&str],
) -> Result<Option<&'a str>, ResponseRefused> {
    let response = Relevant::gather(headers);
    if status != 101 {
        return Err(ResponseRefused::NotSwitching { status });
    }
    if !response.upgrade {
        return Err(ResponseRefused::UpgradeMissing);
    }
    if !response.connection {
        return Err(ResponseRefused::ConnectionMissing);
    }
    if response.accept != Value::One(&accept_key(key)) {
        return Err(ResponseRefused::AcceptWrong);
    }
    if response.has_extension {
        return Err(ResponseRefused::ExtensionUnasked);
    }
    match response.protocols.as_deref() {
        Some([]) => Ok(None),
        Some([chosen]) if offered.contains(chosen) => Ok(Some(chosen)),
        _ => Err(ResponseRefused::ProtocolUnasked),
    }
}

/// A header that may stand only once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Value<'a> {
    #[default]
    Missing,
    One(&'a [u8]),
    Doubled,
}

impl<'a> Value<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Value::Missing => Value::One(value),
            Value::One(_) | Value::Doubled => Value::Doubled,
        };
    }
}

/// The headers that the handshake looks at.
#[derive(Debug)]
struct Relevant<'a> {
    upgrade: bool,
    connection: bool,
    has_body: bool,
    has_extension: bool,
    version: Value<'a>,
    key: Value<'a>,
    accept: Value<'a>,
    /// `None` if a value is not a list of tokens.
    protocols: Option<Vec<&'a str>>,
}

impl<'a> Relevant<'a> {
    fn gather(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Relevant<'a> {
        let mut relevant = Relevant {
            upgrade: false,
            connection: false,
            has_body: false,
            has_extension: false,
            version: Value::Missing,
            key: Value::Missing,
            accept: Value::Missing,
            protocols: Some(Vec::new()),
        };
        for (name, value) in headers {
            relevant.add(name, value.trim_ascii());
        }
        relevant
    }

    fn add(&mut self, name: &str, value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("upgrade") {
            self.upgrade |= has_token(value, "websocket");
        } else if is("connection") {
            self.connection |= has_token(value, "upgrade");
        } else if is("sec-websocket-version") {
            self.version.add(value);
        } else if is("sec-websocket-key") {
            self.key.add(value);
        } else if is("sec-websocket-accept") {
            self.accept.add(value);
        } else if is("sec-websocket-extensions") {
            self.has_extension |= !value.is_empty();
        } else if is("sec-websocket-protocol") {
            self.add_protocols(value);
        } else if is("transfer-encoding") {
            self.has_body = true;
        } else if is("content-length") {
            self.has_body |= value != b"0";
        }
    }

    fn add_protocols(&mut self, value: &'a [u8]) {
        for name in list(value) {
            match (&mut self.protocols, std::str::from_utf8(name)) {
                (Some(protocols), Ok(name)) if is_token(name.as_bytes()) => protocols.push(name),
                _ => self.protocols = None,
            }
        }
    }
}

/// The elements of a comma-separated list; empty ones are skipped (RFC 9110 §5.6.1.2).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Whether a list names `token`, in any case.
fn has_token(value: &[u8], token: &str) -> bool {
    list(value).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether the text is a token (RFC 9110 §5.6.2).
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// Whether it decodes to 16 bytes; a longer one does not fit and fails.
fn is_key(key: &[u8]) -> bool {
    // A decoder may ask for room up to the next multiple of three.
    let mut decoded = [0u8; KEY_BYTES + 2];
    KEY_FORM.decode_slice(key, &mut decoded) == Ok(KEY_BYTES)
}
