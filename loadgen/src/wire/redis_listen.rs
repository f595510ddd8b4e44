//! A listener of Redis Streams: where a stream ends, then XREAD BLOCK from there, again and again.
//!
//! Part of the listen wire. Redis has no subscription that stands before its first answer, so the present is
//! asked for first (XREVRANGE), and reading begins behind it: nothing that comes later is missed.

use super::append::stream_name;
use super::listen::{ListenForm, Progress, Resume};
use super::resp::{self, Reply};
use bytes::{Bytes, BytesMut};

/// Most events of one answer.
const COUNT_MAX: &[u8] = b"1000";

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct RedisListen {
    keys: Vec<Vec<u8>>,
    /// The last id seen of each key.
    ids: Vec<Bytes>,
    /// Answers about the present that have not come.
    asked_count: usize,
}

impl RedisListen {
    /// Begins; appends the first commands.
    pub(crate) fn open(form: &ListenForm, resume: &Resume<'_>, out: &mut BytesMut) -> RedisListen {
        let key = |stream: u32| format!("{}:{}", form.bucket, stream_name(&form.prefix, stream)).into_bytes();
        let keys: Vec<Vec<u8>> = resume.streams.iter().map(|(stream, _)| key(*stream)).collect();
        let ids = vec![Bytes::from_static(b"0-0"); keys.len()];
        if !resume.is_live {
            let listen = RedisListen { keys, ids, asked_count: 0 };
            listen.read_on(out);
            return listen;
        }
        for key in &keys {
            resp::encode_command(&[b"XREVRANGE", key, b"+", b"-", b"COUNT", b"1"], out);
        }
        RedisListen { asked_count: keys.len(), keys, ids }
    }

    /// Takes replies; payloads go to `on_text`.
    pub(crate) fn receive(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        on_text: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, String> {
        while let Some(reply) = resp::decode_reply(input).map_err(|fault| fault.to_string())? {
            if let Reply::Error(text) = &reply {
                return Err(format!("redis {}", String::from_utf8_lossy(text)));
            }
            if self.asked_count > 0 {
                let index = self.keys.len() - self.asked_count;
                if let Some(id) = last_id(&reply) {
                    self.ids[index] = id;
                }
                self.asked_count -= 1;
                if self.asked_count > 0 {
                    continue;
                }
            } else {
                self.handle_read(&reply, on_text);
            }
            self.read_on(out);
        }
        Ok(Progress { is_open: self.asked_count == 0, is_ended: false })
    }

    fn read_on(&self, out: &mut BytesMut) {
        let mut parts: Vec<&[u8]> = vec![b"XREAD", b"COUNT", COUNT_MAX, b"BLOCK", b"0", b"STREAMS"];
        parts.extend(self.keys.iter().map(Vec::as_slice));
        parts.extend(self.ids.iter().map(|id| &id[..]));
        resp::encode_command(&parts, out);
    }

    /// An answer of XREAD: `[[key, [[id, [field, value, …]], …]], …]`.
    fn handle_read(&mut self, reply: &Reply, on_text: &mut dyn FnMut(&[u8])) {
        for of_key in parts(reply) {
            let [Reply::Bulk(Some(key)), events] = parts(of_key) else { continue };
            for event in parts(events) {
                let [_, fields] = parts(event) else { continue };
                for field in parts(fields) {
                    if let Reply::Bulk(Some(text)) = field {
                        on_text(text);
                    }
                }
            }
            let index = self.keys.iter().position(|own| own == key);
            if let (Some(index), Some(id)) = (index, last_id(events)) {
                self.ids[index] = id;
            }
        }
    }
}

fn parts(reply: &Reply) -> &[Reply] {
    match reply {
        Reply::Array(Some(parts)) => parts,
        _ => &[],
    }
}

/// The id of the last event in `[[id, …], …]`.
fn last_id(events: &Reply) -> Option<Bytes> {
    match parts(parts(events).last()?).first()? {
        // A copy, so that the read buffer is not kept for it.
        Reply::Bulk(Some(id)) => Some(Bytes::copy_from_slice(id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::peer::{Form, Peer};
    use crate::wire::token::Token;

    #[test]
    fn reading_begins_behind_the_present_and_goes_on_behind_what_came() {
        let text = |text: &str| text.to_owned();
        let form = ListenForm {
            peer: Peer::Redis,
            form: Form::Xread,
            host: text("h"),
            bucket: text("b"),
            prefix: text("s"),
            slow: None,
            token: Token::default(),
        };
        let mut out = BytesMut::new();
        let resume = Resume { streams: &[(1, 9)], is_live: true, last_id: b"" };
        let mut listen = RedisListen::open(&form, &resume, &mut out);
        assert!(out.ends_with(
            b"$9\r\nXREVRANGE\r\n$11\r\nb:s00000001\r\n$1\r\n+\r\n$1\r\n-\r\n$5\r\nCOUNT\r\n$1\r\n1\r\n"
        ));
        out.clear();
        let mut input = BytesMut::from("*1\r\n*2\r\n$3\r\n4-2\r\n*2\r\n$1\r\nd\r\n$1\r\nx\r\n");
        let mut heard = Vec::new();
        let mut step = |input: &mut BytesMut, out: &mut BytesMut, heard: &mut Vec<Vec<u8>>| {
            listen.receive(input, out, &mut |text| heard.push(text.to_vec())).expect("redis is sound")
        };
        assert!(step(&mut input, &mut out, &mut heard).is_open && heard.is_empty());
        assert!(out.ends_with(b"$3\r\n4-2\r\n"), "{out:?}");
        out.clear();
        let event = |id: &str, text: &str| format!("*2\r\n$3\r\n{id}\r\n*2\r\n$1\r\nd\r\n$1\r\n{text}\r\n");
        let events = format!("*2\r\n{}{}", event("5-1", "a"), event("5-2", "b"));
        let mut input = BytesMut::from(&*format!("*1\r\n*2\r\n$11\r\nb:s00000001\r\n{events}"));
        step(&mut input, &mut out, &mut heard);
        assert_eq!(heard, [&b"d"[..], b"a", b"d", b"b"]);
        assert!(out.ends_with(b"$3\r\n5-2\r\n"), "{out:?}");
    }
}
