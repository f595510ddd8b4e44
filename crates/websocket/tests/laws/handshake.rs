//! The opening handshake: the vectors of the RFC, and tables of requests and answers with one thing wrong.
//!
//! A row changes one header of a sound request (§4.2.1) or answer (§4.1) and names the verdict.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use websocket::{
    ResponseRefused, Upgrade, UpgradeRefused, accept_key, check_response, check_upgrade, client_key,
    encode_switching_protocols,
};

use UpgradeRefused::*;

type Headers<'a> = Vec<(&'a str, &'a [u8])>;

const KEY: &[u8; 24] = b"dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8; 28] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn request<'a>() -> Headers<'a> {
    vec![
        ("Host", b"server.example.com"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", b"13"),
    ]
}

fn answer<'a>() -> Headers<'a> {
    vec![("Upgrade", b"websocket"), ("Connection", b"Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)]
}

/// The headers with `name` replaced by the values, or removed if there are none.
fn with<'a>(mut headers: Headers<'a>, name: &'a str, values: &[&'a str]) -> Headers<'a> {
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    headers.extend(values.iter().map(|value| (name, value.as_bytes())));
    headers
}

#[test]
fn the_accept_value_of_the_rfc_comes_out() {
    // RFC 6455 §1.3.
    assert_eq!(&accept_key(KEY), ACCEPT);
    assert_eq!(&client_key(*b"the sample nonce"), KEY);
}

#[test]
fn a_sound_request_is_accepted() {
    let upgrade = Upgrade { accept: *ACCEPT, protocols: vec![] };
    assert_eq!(check_upgrade("GET", 1, request()), Ok(upgrade));
}

/// A header, the values that replace it in a sound request, and the verdict.
type RequestRow = (&'static str, &'static [&'static str], Option<UpgradeRefused>);

const REQUESTS: &[RequestRow] = &[
    ("Upgrade", &["WebSocket"], None),
    ("upgrade", &["h2c, websocket"], None),
    ("Upgrade", &["h2c", " websocket "], None),
    ("Upgrade", &[], Some(UpgradeMissing)),
    ("Upgrade", &["h2c"], Some(UpgradeMissing)),
    ("Upgrade", &["websockets"], Some(UpgradeMissing)),
    ("Upgrade", &["web socket"], Some(UpgradeMissing)),
    ("Connection", &["keep-alive, Upgrade"], None),
    ("CONNECTION", &["keep-alive", ",,UPGRADE,"], None),
    ("Connection", &[], Some(ConnectionMissing)),
    ("Connection", &["keep-alive"], Some(ConnectionMissing)),
    ("Connection", &["upgraded"], Some(ConnectionMissing)),
    ("Sec-WebSocket-Version", &[" 13 "], None),
    ("Sec-WebSocket-Version", &[], Some(VersionUnsupported)),
    ("Sec-WebSocket-Version", &["8"], Some(VersionUnsupported)),
    ("Sec-WebSocket-Version", &["013"], Some(VersionUnsupported)),
    ("Sec-WebSocket-Version", &["13, 8"], Some(VersionUnsupported)),
    ("Sec-WebSocket-Version", &["13", "13"], Some(VersionUnsupported)),
    ("Sec-WebSocket-Key", &[], Some(KeyMissing)),
    ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="], Some(KeyMissing)),
    ("Sec-WebSocket-Key", &[""], Some(KeyInvalid)),
    ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQ"], Some(KeyInvalid)),
    ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZTEx"], Some(KeyInvalid)),
    ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25j*Q=="], Some(KeyInvalid)),
    ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQ=a"], Some(KeyInvalid)),
    ("Sec-WebSocket-Key", &["SGVsbG8sIHdvcmxkIQ=="], Some(KeyInvalid)),
    ("Sec-WebSocket-Protocol", &["mqtt, mqttv3.1", "x"], None),
    ("Sec-WebSocket-Protocol", &["mq tt"], Some(ProtocolInvalid)),
    ("Sec-WebSocket-Protocol", &["mqtt", "\u{e9}"], Some(ProtocolInvalid)),
    ("Sec-WebSocket-Extensions", &["permessage-deflate; client_max_window_bits"], None),
    ("Content-Length", &["0"], None),
    ("Content-Length", &["5"], Some(BodyPresent)),
    ("Transfer-Encoding", &["chunked"], Some(BodyPresent)),
];

#[test]
fn a_request_is_refused_by_the_rule_that_it_breaks() {
    for (name, values, refused) in REQUESTS {
        let verdict = check_upgrade("GET", 1, with(request(), name, values));
        assert_eq!(verdict.err(), *refused, "{name}: {values:?}");
    }
    assert_eq!(check_upgrade("POST", 1, request()), Err(MethodNotGet));
    assert_eq!(check_upgrade("get", 1, request()), Err(MethodNotGet));
    assert_eq!(check_upgrade("GET", 0, request()), Err(HttpTooOld));
}

#[test]
fn a_refusal_says_what_the_client_can_do() {
    let version = UpgradeRefused::VersionUnsupported;
    assert_eq!(version.status(), 426);
    assert!(version.headers().contains(&("Sec-WebSocket-Version", "13")));
    assert_eq!(UpgradeRefused::MethodNotGet.status(), 405);
    assert_eq!(UpgradeRefused::MethodNotGet.headers(), [("Allow", "GET")]);
    assert_eq!(UpgradeRefused::KeyInvalid.status(), 400);
    assert!(UpgradeRefused::KeyInvalid.headers().is_empty());
}

#[test]
fn unused_bits_of_a_key_do_not_matter() {
    let headers = with(request(), "Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZR=="]);
    let accept = accept_key(b"dGhlIHNhbXBsZSBub25jZR==");
    assert_eq!(check_upgrade("GET", 1, headers).map(|upgrade| upgrade.accept), Ok(accept));
}

#[test]
fn subprotocols_are_offered_in_the_order_of_the_client() {
    let headers = with(request(), "Sec-WebSocket-Protocol", &["mqtt,mqttv3.1", " x "]);
    let upgrade = check_upgrade("GET", 1, headers).expect("a sound request");
    assert_eq!(upgrade.protocols, ["mqtt", "mqttv3.1", "x"]);
    assert!(upgrade.offers_protocol("mqtt") && !upgrade.offers_protocol("MQTT"));
}

#[test]
fn the_answer_101_is_exact() {
    let mut out = BytesMut::new();
    encode_switching_protocols(ACCEPT, None, &mut out);
    let plain = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(std::str::from_utf8(&out), Ok(plain));
    out.clear();
    encode_switching_protocols(ACCEPT, Some("mqtt"), &mut out);
    assert!(out.ends_with(b"=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"));
}

type AnswerRow = (&'static str, &'static [&'static str], Result<Option<&'static str>, ResponseRefused>);

#[test]
fn an_answer_is_refused_by_the_rule_that_it_breaks() {
    use ResponseRefused as R;
    let rows: &[AnswerRow] = &[
        ("Upgrade", &["WebSocket"], Ok(None)),
        ("Upgrade", &["h2c"], Err(R::UpgradeMissing)),
        ("Connection", &["upgrade, x"], Ok(None)),
        ("Connection", &["close"], Err(R::ConnectionMissing)),
        ("Sec-WebSocket-Accept", &[], Err(R::AcceptWrong)),
        ("Sec-WebSocket-Accept", &["s3pPLMBiTxaQ9kYGzzhZRbK+xOO="], Err(R::AcceptWrong)),
        ("Sec-WebSocket-Accept", &["S3pPLMBiTxaQ9kYGzzhZRbK+xOo="], Err(R::AcceptWrong)),
        ("Sec-WebSocket-Extensions", &["permessage-deflate"], Err(R::ExtensionUnasked)),
        ("Sec-WebSocket-Protocol", &["mqtt"], Ok(Some("mqtt"))),
        ("Sec-WebSocket-Protocol", &["chat"], Err(R::ProtocolUnasked)),
        ("Sec-WebSocket-Protocol", &["mqtt", "mqtt"], Err(R::ProtocolUnasked)),
    ];
    for (name, values, verdict) in rows {
        let headers = with(answer(), name, values);
        assert_eq!(check_response(101, headers, KEY, &["mqtt"]), *verdict, "{name}: {values:?}");
    }
    assert_eq!(check_response(200, answer(), KEY, &[]), Err(R::NotSwitching { status: 200 }));
}

proptest! {
    #[test]
    fn the_key_of_a_client_is_accepted_and_its_accept_value_checked(random: [u8; 16], other: [u8; 16]) {
        let key = client_key(random);
        let key_text = std::str::from_utf8(&key).expect("base64 is ASCII");
        let headers = with(request(), "Sec-WebSocket-Key", &[key_text]);
        let upgrade = check_upgrade("GET", 1, headers).expect("a sound request");
        let accept = std::str::from_utf8(&upgrade.accept).expect("base64 is ASCII");
        let answer = with(answer(), "Sec-WebSocket-Accept", &[accept]);
        prop_assert_eq!(check_response(101, answer.clone(), &key, &[]), Ok(None));
        let verdict = check_response(101, answer, &client_key(other), &[]);
        prop_assert_eq!(verdict.is_ok(), random == other);
    }

    #[test]
    fn any_headers_get_a_verdict(
        headers in vec((0usize..9, vec(any::<u8>(), 0..30)), 0..12),
        minor_version: u8,
    ) {
        let names = [
            "Upgrade",
            "Connection",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Accept",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions",
            "Content-Length",
            "Other",
        ];
        let headers: Headers<'_> = headers.iter().map(|(at, value)| (names[*at], &value[..])).collect();
        prop_assert!(check_upgrade("GET", minor_version, headers.clone()).is_err());
        prop_assert!(check_response(101, headers, KEY, &[]).is_err());
    }
}
