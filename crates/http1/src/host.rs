//! Is this a host? `uri-host [ ":" port ]` of RFC 3986 §3.2.2, for the Host header and the authority of a
//! target.
//!
//! Stricter than the grammar in two places: the host must not be empty (RFC 9110 §4.2.1 for `http`), and
//! there is no userinfo (RFC 9110 §4.2.4). Nothing is resolved or normalised here.

/// Whether `authority` is a host with or without a port.
pub(crate) fn is_authority(authority: &[u8]) -> bool {
    let (host, port) = match authority {
        [b'[', ..] => match memchr::memchr(b']', authority) {
            Some(end) => (&authority[..=end], &authority[end + 1..]),
            None => return false,
        },
        _ => authority.split_at(memchr::memchr(b':', authority).unwrap_or(authority.len())),
    };
    is_host(host) && is_port_part(port)
}

fn is_host(host: &[u8]) -> bool {
    match host {
        [b'[', b'v' | b'V', future @ .., b']'] => is_ip_future(future),
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
        }
        name => !name.is_empty() && is_reg_name(name),
    }
}

/// `IPvFuture` behind its `v`: hex digits, a dot, and at least one character.
fn is_ip_future(text: &[u8]) -> bool {
    let dot = text.iter().position(|byte| *byte == b'.').unwrap_or(0);
    let (version, rest) = text.split_at(dot);
    !version.is_empty()
        && version.iter().all(u8::is_ascii_hexdigit)
        && rest.len() > 1
        && rest[1..].iter().all(|byte| is_name_byte(*byte) || *byte == b':')
}

fn is_reg_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            (byte, tail) if is_name_byte(*byte) => tail,
            _ => return false,
        };
    }
    true
}

/// `unreserved` or `sub-delims` (RFC 3986 §2).
const fn is_name_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// Nothing, or a colon and a port. The grammar allows a colon alone; a port above 65,535 is none.
fn is_port_part(part: &[u8]) -> bool {
    match part {
        [] | [b':'] => true,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(digits).is_ok_and(|text| text.parse::<u16>().is_ok())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_what_only_looks_like_one() {
        for good in [
            "a",
            "localhost",
            "example.org:8080",
            "127.0.0.1",
            "127.0.0.1:",
            "[::1]",
            "[::1]:9",
            "a_b",
            "a%20b",
            "[fe80::1]:65535",
            "[v1.a:b]",
            "xn--bcher-kva.example",
            "a,b;c=d",
        ] {
            assert!(is_authority(good.as_bytes()), "{good:?}");
        }
        for bad in [
            "",
            ":",
            ":80",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:+1",
            "a b",
            "a/b",
            "a@b",
            "user:pw@host",
            "[::1",
            "::1",
            "[]",
            "[::g]",
            "[::1]x",
            "[v.a]",
            "[v1]",
            "[v1.]",
            "[vg.a]",
            "a%2",
            "a%zz",
            "h\u{f6}st",
            "a\"",
            "a#",
            "a?",
            "a\\b",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad:?}");
        }
    }
}
