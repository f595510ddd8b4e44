//! A key pair and a certificate that it signs itself, for trying TLS out.
//!
//! `millrace dev-cert` writes them to files; tests use them. ECDSA over P-256. Not an authority: the
//! certificate is that of a server or a client, and whoever trusts it trusts it alone.

use crate::sys::random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKeyData, SerialNumber,
    SignatureAlgorithm, SigningKey,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use std::fmt;
use std::time::Duration;

/// How long it is valid; browsers refuse more than 398 days.
const VALID: Duration = Duration::from_secs(365 * 86_400);
/// It is valid since a day ago, for clocks that go after ours.
const VALID_BEFORE: Duration = Duration::from_secs(86_400);
/// Characters of a line of PEM (RFC 7468 §2).
const PEM_LINE: usize = 64;

/// A certificate and its key.
pub struct SelfSigned {
    /// The certificate, DER.
    pub certificate_der: Vec<u8>,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The key, PKCS#8 in PEM.
    pub key_pem: String,
}

/// A pair could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairError(String);

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PairError {}

/// Makes a pair: the first of `common_names` (or of `hosts`) names the subject; `hosts` are the DNS names and
/// addresses that it speaks for. `now_s` is the time since 1970 in seconds.
///
/// # Errors
/// A host that is neither an address nor a name in ASCII, or the system has no randomness.
pub fn pair(common_names: &[String], hosts: &[String], now_s: u64) -> Result<SelfSigned, PairError> {
    let failed = |what: &str| PairError(what.to_owned());
    let key_der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
        .map_err(|_| failed("the system gives no random bytes for a key"))?;
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key_der.as_ref(), &SystemRandom::new())
            .map_err(|_| failed("the new key is not sound"))?;
    let mut params =
        CertificateParams::new(hosts).map_err(|error| PairError(format!("a host's name: {error}")))?;
    let name = common_names.iter().chain(hosts).next().ok_or_else(|| failed("no name is given"))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name.as_str());
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now_s);
    (params.not_before, params.not_after) = (now - VALID_BEFORE, now + VALID);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    // A serial number is positive (RFC 5280 §4.1.2.2): its first bit is not set.
    let serial = (random::bits_128() >> 1).to_be_bytes();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let certificate =
        params.self_signed(&DevKey(key)).map_err(|error| PairError(format!("the certificate: {error}")))?;
    let certificate_der = certificate.der().to_vec();
    Ok(SelfSigned {
        certificate_pem: pem("CERTIFICATE", &certificate_der),
        key_pem: pem("PRIVATE KEY", key_der.as_ref()),
        certificate_der,
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(PEM_LINE));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The key as `rcgen` wants to use it.
struct DevKey(EcdsaKeyPair);

impl PublicKeyData for DevKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for DevKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
