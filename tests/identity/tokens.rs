//! Tokens made by hand: sound ones, and whatever somebody might try instead.
//!
//! The signatures are `ring`'s, the rest is put together here, so that nothing of the server's own code says
//! what a token is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::Value;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A secret as the file of the data directory has it.
pub(crate) struct Secret {
    pub(crate) kid: String,
    bytes: Vec<u8>,
}

impl Secret {
    /// The first secret of a file.
    pub(crate) fn read(file: &Path) -> Secret {
        let text = std::fs::read_to_string(file).expect("the server made it");
        let line = text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).expect("a secret");
        let (kid, encoded) = line.split_once(':').expect("a key id");
        Secret { kid: kid.to_owned(), bytes: URL_SAFE_NO_PAD.decode(encoded.trim()).expect("base64url") }
    }

    /// One that no server knows, or the text of an Iorio server's.
    pub(crate) fn of(kid: &str, bytes: &[u8]) -> Secret {
        Secret { kid: kid.to_owned(), bytes: bytes.to_vec() }
    }

    /// A token with this header and payload, signed as it should be.
    pub(crate) fn sign(&self, header: &Value, payload: &Value) -> String {
        self.sign_with(hmac::HMAC_SHA512, header, payload)
    }

    /// The same with another hash.
    pub(crate) fn sign_with(&self, hash: hmac::Algorithm, header: &Value, payload: &Value) -> String {
        self.sign_text(hash, &header.to_string(), &payload.to_string())
    }

    /// The same of texts that need not be JSON.
    pub(crate) fn sign_text(&self, hash: hmac::Algorithm, header: &str, payload: &str) -> String {
        let key = hmac::Key::new(hash, &self.bytes);
        seal(header, payload, |signed| hmac::sign(&key, signed).as_ref().to_vec())
    }
}

/// Header, payload and what `sign` makes of them.
pub(crate) fn seal(header: &str, payload: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", encode(&signature))
}

/// Base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
