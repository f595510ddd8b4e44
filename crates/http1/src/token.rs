//! The small grammar everything else is made of: token characters, header values, comma lists (RFC 9110
//! §5.6).
//!
//! Called by the parsers and the writers alike, so that what is refused on the way in cannot leave on the way
//! out.

/// Whether `byte` may stand in a token (RFC 9110 §5.6.2): methods, header names, media types.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether `bytes` is a token: not empty, only token characters.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN[*byte as usize])
}

/// Whether `bytes` may stand as a header's value: no control character but the tab (RFC 9110 §5.5).
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\t' | b' '..=0x7e | 0x80..))
}

/// `bytes` without the spaces and tabs around it (OWS).
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let is_visible = |byte: &u8| !matches!(byte, b' ' | b'\t');
    match (bytes.iter().position(is_visible), bytes.iter().rposition(is_visible)) {
        (Some(first), Some(last)) => &bytes[first..=last],
        _ => &[],
    }
}

/// The members of a comma-separated list, trimmed, empty ones left out (RFC 9110 §5.6.1.2).
pub(crate) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
            | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trim_takes_spaces_and_tabs_from_both_ends_only() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t"), b"");
        assert_eq!(trim(b""), b"");
    }

    #[test]
    fn list_members_leave_out_the_empty_ones() {
        let members: Vec<&[u8]> = list_members(b", a ,,b\t,").collect();
        assert_eq!(members, [b"a", b"b"]);
    }

    #[test]
    fn tokens_hold_no_separator_and_are_not_empty() {
        assert!(is_token(b"X-Session_1~"));
        for bad in [&b""[..], b"a b", b"a:b", b"a\"", b"a\0", b"a\x80", b"(a)", b"a/b"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }
}
