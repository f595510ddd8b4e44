//! Which of several media types a client wants (RFC 9110 §12.5.1), and what type a body says it has (§8.3).
//!
//! The faces call it with the Accept and Content-Type values as received. Parameters of media types are not
//! compared:
//! `application/json; charset=utf-8` is `application/json`. A malformed member of Accept is passed over.

use crate::token::{is_token, trim};

/// Weight of a range, in thousandths.
const QUALITY_MAX: u16 = 1_000;

/// The index of the type in `offered` that the Accept values want most; `None` means 406.
///
/// The most specific range that fits a type gives its weight. Equal weights go to the type that was named
/// more precisely, then to the one offered first. Without any well-formed range everything is welcome.
///
/// # Panics
/// If more than 8 types are offered.
pub fn best_match<'a>(accept: impl IntoIterator<Item = &'a [u8]>, offered: &[&str]) -> Option<usize> {
    // Per offered type: how specific the best range was (from 1), and its weight.
    let mut weights = [(0u8, 0u16); OFFERED_MAX];
    assert!(offered.len() <= OFFERED_MAX, "more types are offered than are compared");
    let mut has_range = false;
    for range in accept.into_iter().flat_map(|value| split_unquoted(value, b',')).filter_map(parse_range) {
        has_range = true;
        for (weight, offer) in weights.iter_mut().zip(offered) {
            let specificity = range.specificity_for(offer);
            // Of two equally specific ranges (parameters apart) the kinder one counts.
            if specificity > 0 {
                *weight = (*weight).max((specificity, range.quality));
            }
        }
    }
    if !has_range {
        return (!offered.is_empty()).then_some(0);
    }
    let candidates = weights.iter().enumerate().take(offered.len()).filter(|(_, weight)| weight.1 > 0);
    // The first of equals: `max_by_key` would give the last.
    candidates
        .rev()
        .max_by_key(|(_, (specificity, quality))| (*quality, *specificity))
        .map(|(index, _)| index)
}

/// Most types that one resource can be offered as.
const OFFERED_MAX: usize = 8;

/// The type of a Content-Type value without its parameters: `text/html` of `text/html; charset=utf-8`, in the
/// case it was sent. `None` if it is no media type.
pub fn essence(content_type: &[u8]) -> Option<&str> {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    let essence = trim(&content_type[..end]);
    let (main, sub) = split_type(essence)?;
    (is_token(main) && is_token(sub)).then(|| std::str::from_utf8(essence).unwrap_or_default())
}

/// Whether a Content-Type value is `media_type`, in any case and with any parameters.
pub fn is_media_type(content_type: &[u8], media_type: &str) -> bool {
    essence(content_type).is_some_and(|essence| essence.eq_ignore_ascii_case(media_type))
}

/// One member of Accept.
struct Range<'a> {
    main: &'a [u8],
    sub: &'a [u8],
    quality: u16,
}

impl Range<'_> {
    /// 0 = does not fit, 1 = `*/*`, 2 = `type/*`, 3 = the type itself.
    fn specificity_for(&self, offer: &str) -> u8 {
        let Some((main, sub)) = split_type(offer.as_bytes()) else {
            return 0;
        };
        match (self.main, self.sub) {
            (b"*", b"*") => 1,
            (range_main, b"*") if range_main.eq_ignore_ascii_case(main) => 2,
            (range_main, range_sub) => {
                let is_same = range_main.eq_ignore_ascii_case(main) && range_sub.eq_ignore_ascii_case(sub);
                if is_same { 3 } else { 0 }
            }
        }
    }
}

fn parse_range(member: &[u8]) -> Option<Range<'_>> {
    let mut parts = split_unquoted(member, b';');
    let (main, sub) = split_type(trim(parts.next()?))?;
    let is_sound = is_token(main) && is_token(sub) && (main != b"*" || sub == b"*");
    if !is_sound {
        return None;
    }
    let mut quality = QUALITY_MAX;
    for parameter in parts.map(trim) {
        if let [b'q' | b'Q', b'=', value @ ..] = parameter {
            quality = parse_quality(value)?;
        }
    }
    Some(Range { main, sub, quality })
}

fn split_type(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = memchr::memchr(b'/', text)?;
    Some((&text[..slash], &text[slash + 1..]))
}

/// `0`, `1`, or one with a point and at most three digits, in thousandths (RFC 9110 §12.4.2).
fn parse_quality(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut quality = u16::from(whole - b'0') * QUALITY_MAX;
    for (decimal, unit) in decimals.iter().zip([100, 10, 1]) {
        quality += decimal.is_ascii_digit().then(|| u16::from(decimal - b'0') * unit)?;
    }
    (quality <= QUALITY_MAX).then_some(quality)
}

/// The parts of `text` between `separator`s that are not inside a quoted string.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |byte| {
        let ends_here = *byte == separator && !is_quoted;
        is_quoted ^= *byte == b'"' && !is_escaped;
        is_escaped = is_quoted && *byte == b'\\' && !is_escaped;
        ends_here
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: [&str; 3] = ["application/json", "application/x-ndjson", "text/event-stream"];

    fn chosen(accept: &str) -> Option<&'static str> {
        best_match([accept.as_bytes()], &OFFERED).map(|index| OFFERED[index])
    }

    #[test]
    fn the_heaviest_range_wins_then_the_more_precise_then_the_first_offered() {
        let (json, ndjson, sse) = (Some(OFFERED[0]), Some(OFFERED[1]), Some(OFFERED[2]));
        for (accept, expected) in [
            ("*/*", json),
            ("", json),
            ("nonsense", json),
            ("application/*", json),
            ("text/*", sse),
            ("TEXT/Event-Stream", sse),
            ("text/event-stream, */*", sse),
            ("*/*, text/event-stream", sse),
            ("text/event-stream;q=0.5, application/*", json),
            ("application/json;q=0.1, application/x-ndjson;q=0.2", ndjson),
            ("application/json;q=0, */*;q=0.1", ndjson),
            ("application/json; charset=utf-8", json),
            ("application/json;x=\"a,b;q=0\";q=1.000, text/event-stream;q=0.999", json),
            ("application/json;x=\"\\\",text/event-stream\"", json),
            ("*/*;q=0.001 ,\ttext/html", json),
            ("text/html, broken, application/x-ndjson ; Q=0.3", ndjson),
            ("application/json;q=0.2, application/json;level=1;q=0.9, text/event-stream;q=0.5", json),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
            ("text/html", None),
            ("*/json", json),
            ("*/json, text/html", None),
            ("application/json;q=2", json),
            ("application/json;q=1.001, text/html", None),
            ("application/json;q=0.1234, text/html", None),
            ("application/json;q=x, text/html", None),
            ("application/json;q=0.x, text/html", None),
        ] {
            assert_eq!(chosen(accept), expected, "{accept}");
        }
    }

    #[test]
    fn several_accept_lines_are_one_list_and_none_is_everything() {
        assert_eq!(best_match([&b"text/html"[..], b"text/event-stream"], &OFFERED), Some(2));
        assert_eq!(best_match([], &OFFERED), Some(0));
        assert_eq!(best_match([&b"*/*"[..]], &[]), None);
        assert_eq!(best_match([], &[]), None);
        assert_eq!(best_match([&b"application/*"[..]], &["no type"]), None);
    }

    #[test]
    fn the_essence_of_a_content_type_has_no_parameters() {
        for (value, expected) in [
            ("application/json", Some("application/json")),
            (" Application/JSON ; charset=utf-8", Some("Application/JSON")),
            ("application/json-patch+json;", Some("application/json-patch+json")),
            ("application", None),
            ("application/", None),
            ("/json", None),
            ("application/json, text/html", None),
            ("a b/c", None),
            ("", None),
        ] {
            assert_eq!(essence(value.as_bytes()), expected, "{value}");
        }
        assert!(is_media_type(b"Application/Json; a=b", "application/json"));
        assert!(!is_media_type(b"application/jsonx", "application/json"));
    }
}
