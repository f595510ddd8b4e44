//! The compact form of a token: three parts of base64url with dots between (RFC 7515 §7.1).
//!
//! Read by the verifier and written by whoever issues. Strict: exactly three parts, no padding, no
//! whitespace, no bits behind the last byte; so a token has one spelling and a revoked one cannot come back
//! in another.

use super::TokenRefused;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The parts of a token, decoded, and what its signature is over.
pub(crate) struct Compact<'a> {
    pub(crate) signed: &'a [u8],
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Splits and decodes a token of at most `bytes_max` bytes.
    pub(crate) fn parse(token: &'a [u8], bytes_max: usize) -> Result<Compact<'a>, TokenRefused> {
        if token.len() > bytes_max {
            return Err(TokenRefused::TooLong);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenRefused::Malformed);
        };
        Ok(Compact {
            signed: &token[..header.len() + 1 + payload.len()],
            header: decode(header).ok_or(TokenRefused::Malformed)?,
            payload: decode(payload).ok_or(TokenRefused::Malformed)?,
            signature: decode(signature).ok_or(TokenRefused::Malformed)?,
        })
    }
}

/// Header and payload as they are signed.
pub(crate) fn signing_input(header: &[u8], payload: &[u8]) -> String {
    let mut text = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 96);
    URL_SAFE_NO_PAD.encode_string(header, &mut text);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    text
}

/// The token: what was signed, and the signature.
pub(crate) fn seal(mut signed: String, signature: &[u8]) -> String {
    signed.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut signed);
    signed
}

/// Bytes of strict base64url.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Strict base64url of bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_parts_are_split_and_what_is_signed_is_the_first_two() {
        let compact = Compact::parse(b"YQ.Yg.Yw", 8).expect("three parts");
        assert_eq!(compact.signed, b"YQ.Yg");
        assert_eq!((&compact.header[..], &compact.payload[..]), (&b"a"[..], &b"b"[..]));
        assert_eq!(compact.signature, b"c");
    }

    #[test]
    fn another_spelling_of_the_same_bytes_is_refused() {
        // Padding, bits behind the end, the other alphabet, whitespace, a part too much or too few.
        for token in [
            "YQ==.Yg.Yw",
            "YR.Yg.Yw",
            "YQ.Yg.Yx",
            "_-8.Y+8.Yw",
            "YQ.Yg.Yw\n",
            " YQ.Yg.Yw",
            "YQ.Yg",
            "YQ.Yg.Yw.",
            "YQ.Yg.Yw.ZA",
            "",
            ".",
            "Y.Yg.Yw",
        ] {
            assert_eq!(Compact::parse(token.as_bytes(), 64).err(), Some(TokenRefused::Malformed), "{token}");
        }
        assert_eq!(Compact::parse(b"YQ.Yg.Yw", 7).err(), Some(TokenRefused::TooLong));
    }
}
