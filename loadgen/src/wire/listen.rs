//! A listener's side of each form: what to ask, and what was received.
//!
//! The driver sends `output`, feeds `input` and calls [`ListenWire::receive`]; everything that may hold
//! events is handed to a function as text. A wire lives as long as its connection; where it had come to is
//! kept by the listener's follower and by [`ListenWire::resume_id`].

use super::append::stream_name;
use super::peer::{Form, Peer};
use super::redis_listen::RedisListen;
use super::sse::SseLines;
use super::token::Token;
use bytes::BytesMut;
use http1::{Config, Decoded, EncodeError, RequestWriter, ResponseDecoder};
use websocket::{Connection, Event, Role};

/// A server may pack its whole outbox into one message.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Most bytes of a request target that servers take as they come.
const TARGET_BYTES_MAX: usize = 8 << 10;

/// What to listen to, and how.
#[derive(Clone, Debug)]
pub(crate) struct ListenForm {
    /// The kind of server.
    pub(crate) peer: Peer,
    /// How events come.
    pub(crate) form: Form,
    /// The `Host` header.
    pub(crate) host: String,
    /// The bucket.
    pub(crate) bucket: String,
    /// What a stream's name begins with.
    pub(crate) prefix: String,
    /// What Millrace does when the listener is slow, if not its default.
    pub(crate) slow: Option<String>,
    /// Who asks (Millrace).
    pub(crate) token: Token,
}

/// Where a connection begins.
#[derive(Clone, Debug)]
pub(crate) struct Resume<'a> {
    /// Streams, each with the number due next.
    pub(crate) streams: &'a [(u32, u64)],
    /// Whether to ask for the present instead of those numbers.
    pub(crate) is_live: bool,
    /// The last `id:` of an event stream; empty if none.
    pub(crate) last_id: &'a [u8],
}

/// What a step brought, besides texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The subscription stands: nothing that happens from now on is missed.
    pub(crate) is_open: bool,
    /// The server ends the connection.
    pub(crate) is_ended: bool,
}

/// One connection of a listener.
#[derive(Debug)]
pub(crate) enum ListenWire {
    /// Before the answer to the upgrade.
    Upgrade(Box<(ResponseDecoder, [u8; 24], [u8; 16])>),
    /// After it.
    WebSocket(Box<Connection>),
    /// An event stream: a body without end.
    Sse(Box<(ResponseDecoder, SseLines)>),
    /// Answers, after each of which the listener asks again.
    LongPoll(Box<ResponseDecoder>),
    /// XREAD.
    Redis(Box<RedisListen>),
}

impl ListenWire {
    /// Begins; appends the first request to `out`. `random` is fresh for each connection.
    ///
    /// # Errors
    /// What cannot be asked for.
    pub(crate) fn open(
        form: &ListenForm,
        resume: &Resume<'_>,
        random: [u8; 32],
        out: &mut BytesMut,
    ) -> Result<ListenWire, String> {
        let config = Config { body_bytes_max: u64::MAX, ..Config::default() };
        let decoder = ResponseDecoder::new(config);
        match form.form {
            Form::Websocket => {
                let (key_bytes, mask_seed) = halves(random);
                let key = websocket::client_key(key_bytes);
                let headers = [("Sec-WebSocket-Version", &b"13"[..]), ("Sec-WebSocket-Key", &key)];
                begin_get(form, resume, &headers, out, |writer| writer.finish_upgrade("websocket"))?;
                Ok(ListenWire::Upgrade(Box::new((decoder, key, mask_seed))))
            }
            Form::Sse => {
                let accept = ("Accept", &b"text/event-stream"[..]);
                match resume.last_id {
                    [] => get(form, resume, &[accept], out)?,
                    id => get(form, resume, &[accept, ("Last-Event-ID", id)], out)?,
                }
                Ok(ListenWire::Sse(Box::new((decoder, SseLines::default()))))
            }
            Form::Longpoll => Ok(ListenWire::LongPoll(Box::new(ResponseDecoder::new(Config {
                body_bytes_max: MESSAGE_BYTES_MAX as u64,
                ..config
            })))),
            Form::Xread => Ok(ListenWire::Redis(Box::new(RedisListen::open(form, resume, out)))),
        }
    }

    /// Whether the subscription stands as soon as the connection does, because each request says where it
    /// begins.
    pub(crate) fn is_open_at_once(&self) -> bool {
        matches!(self, ListenWire::LongPoll(_))
    }

    /// Asks for what comes next, where each answer needs a question of its own.
    pub(crate) fn ask(
        &self,
        form: &ListenForm,
        resume: &Resume<'_>,
        out: &mut BytesMut,
    ) -> Result<(), String> {
        match self {
            ListenWire::LongPoll(_) => get(form, resume, &[], out),
            _ => Ok(()),
        }
    }

    /// Takes what is in `input`; texts that may hold events go to `on_text`, answers of ours to `out`.
    /// A long-poll answer ends the step, so that the next question can name what it brought.
    ///
    /// # Errors
    /// Why the connection is of no more use.
    pub(crate) fn receive(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        on_text: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, String> {
        if let ListenWire::Upgrade(upgrade) = self {
            let (decoder, key, mask_seed) = &mut **upgrade;
            let Some(step) = decoder.decode(input).map_err(|error| error.reason().to_owned())? else {
                return Ok(Progress::default());
            };
            let Decoded::Head(head) = step else {
                return Err("the upgrade was answered with a body".to_owned());
            };
            websocket::check_response(head.status(), head.headers().iter(), key, &[])
                .map_err(|refused| refused.to_string())?;
            let config =
                websocket::Config { message_bytes_max: MESSAGE_BYTES_MAX, ..websocket::Config::default() };
            let connection = Connection::new(Role::Client { mask_seed: *mask_seed }, config);
            *self = ListenWire::WebSocket(Box::new(connection));
        }
        match self {
            ListenWire::Upgrade(_) => unreachable!("it became a WebSocket above"),
            ListenWire::WebSocket(connection) => receive_messages(connection, input, out, on_text),
            ListenWire::Sse(sse) => receive_events(&mut sse.0, &mut sse.1, input, on_text),
            ListenWire::LongPoll(decoder) => receive_answer(decoder, input, on_text),
            ListenWire::Redis(redis) => redis.receive(input, out, on_text),
        }
    }

    /// What an event stream is resumed with; empty for the other forms.
    pub(crate) fn resume_id(&self) -> &[u8] {
        match self {
            ListenWire::Sse(sse) => sse.1.last_id(),
            _ => b"",
        }
    }

    /// Keeps a connection alive on which nothing is sent otherwise.
    pub(crate) fn ping(&mut self, out: &mut BytesMut) {
        if let ListenWire::WebSocket(connection) = self {
            // A connection that is closing needs no ping.
            let _ = connection.send_ping(b"");
            out.extend_from_slice(&connection.take_output());
        }
    }
}

fn halves(random: [u8; 32]) -> ([u8; 16], [u8; 16]) {
    let (mut left, mut right) = ([0; 16], [0; 16]);
    left.copy_from_slice(&random[..16]);
    right.copy_from_slice(&random[16..]);
    (left, right)
}

fn get(
    form: &ListenForm,
    resume: &Resume<'_>,
    headers: &[(&str, &[u8])],
    out: &mut BytesMut,
) -> Result<(), String> {
    begin_get(form, resume, headers, out, |writer| writer.finish_empty())
}

fn begin_get(
    form: &ListenForm,
    resume: &Resume<'_>,
    headers: &[(&str, &[u8])],
    out: &mut BytesMut,
    finish: impl FnOnce(RequestWriter<'_>) -> Result<(), EncodeError>,
) -> Result<(), String> {
    let target = target(form, resume)?;
    let mut writer = RequestWriter::begin(out, "GET", &target, &form.host);
    form.token.write(&mut writer);
    for (name, value) in headers {
        writer.header(name, value);
    }
    finish(writer).map_err(|error| format!("the request cannot be written: {}", error.reason()))
}

/// The path and query that name the streams.
fn target(form: &ListenForm, resume: &Resume<'_>) -> Result<String, String> {
    let name = |stream: u32| stream_name(&form.prefix, stream);
    if form.peer == Peer::Nchan {
        return match resume.streams {
            [(stream, _)] => Ok(format!("/sub?id={}.{}", form.bucket, name(*stream))),
            _ => Err("a subscriber of nchan has one stream; use --subscribe one".to_owned()),
        };
    }
    let mut target = String::from("/listen?");
    for (stream, next) in resume.streams {
        target.push_str(&format!("s={}:{}", form.bucket, name(*stream)));
        if !resume.is_live {
            target.push_str(&format!(":{next}"));
        }
        target.push('&');
    }
    if let Some(slow) = &form.slow {
        target.push_str(&format!("slow={slow}&"));
    }
    target.pop();
    if target.len() > TARGET_BYTES_MAX {
        let count = resume.streams.len();
        return Err(format!(
            "{count} streams do not fit into a target of {TARGET_BYTES_MAX} bytes; use fewer"
        ));
    }
    Ok(target)
}

fn receive_messages(
    connection: &mut Connection,
    input: &mut BytesMut,
    out: &mut BytesMut,
    on_text: &mut dyn FnMut(&[u8]),
) -> Result<Progress, String> {
    connection.handle_bytes(input);
    let mut progress = Progress { is_open: true, is_ended: false };
    while let Some(event) = connection.poll_event() {
        match event.map_err(|violation| violation.to_string())? {
            Event::Text(text) | Event::Binary(text) => on_text(&text),
            Event::Close { .. } => progress.is_ended = true,
            Event::Ping(_) | Event::Pong(_) => {}
        }
    }
    if connection.has_output() {
        out.extend_from_slice(&connection.take_output());
    }
    Ok(progress)
}

fn receive_events(
    decoder: &mut ResponseDecoder,
    lines: &mut SseLines,
    input: &mut BytesMut,
    on_text: &mut dyn FnMut(&[u8]),
) -> Result<Progress, String> {
    let mut progress = Progress::default();
    while let Some(step) = decoder.decode(input).map_err(|error| error.reason().to_owned())? {
        match step {
            Decoded::Head(head) if head.status() == 200 => progress.is_open = true,
            Decoded::Head(head) => return Err(format!("status {}", head.status())),
            Decoded::Body(piece) => lines.handle_piece(&piece, on_text)?,
            Decoded::End => progress.is_ended = true,
        }
    }
    progress.is_ended |= lines.is_closing();
    Ok(progress)
}

fn receive_answer(
    decoder: &mut ResponseDecoder,
    input: &mut BytesMut,
    on_text: &mut dyn FnMut(&[u8]),
) -> Result<Progress, String> {
    let Some(reply) = decoder.decode_response(input).map_err(|error| error.reason().to_owned())? else {
        return Ok(Progress::default());
    };
    match reply.head.status() {
        200 => on_text(&reply.body),
        204 => {}
        status => return Err(format!("status {status}")),
    }
    Ok(Progress { is_open: true, is_ended: !reply.head.keep_alive() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;
    use http1::Decoder;

    fn form(peer: Peer, form: Form) -> ListenForm {
        let text = |text: &str| text.to_owned();
        let token = Token::of("a.b.c");
        ListenForm { peer, form, host: text("h:1"), bucket: text("b"), prefix: text("s"), slow: None, token }
    }

    fn open(form: &ListenForm, resume: &Resume<'_>) -> (ListenWire, BytesMut) {
        let mut out = BytesMut::new();
        let wire = ListenWire::open(form, resume, [7; 32], &mut out).expect("it can be asked for");
        (wire, out)
    }

    fn texts(wire: &mut ListenWire, bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, Progress) {
        let (mut input, mut out, mut texts) = (BytesMut::new(), BytesMut::new(), Vec::new());
        let mut all = Progress::default();
        for part in bytes.chunks(piece) {
            input.put_slice(part);
            let step = wire.receive(&mut input, &mut out, &mut |text| texts.push(text.to_vec()));
            let step = step.expect("the server is sound");
            all = Progress { is_open: all.is_open || step.is_open, is_ended: all.is_ended || step.is_ended };
        }
        (texts, all)
    }

    const FROM_FIVE: Resume<'_> = Resume { streams: &[(3, 5)], is_live: false, last_id: b"" };

    #[test]
    fn a_websocket_upgrade_is_one_that_a_server_accepts_and_texts_come_out_in_any_split() {
        for piece in [1, 3, 1000] {
            let (mut wire, mut out) = open(&form(Peer::Millrace, Form::Websocket), &FROM_FIVE);
            let request =
                Decoder::new(Config::default()).decode_request(&mut out).expect("sound").expect("whole");
            assert_eq!((request.head.path(), request.head.query()), ("/listen", Some("s=b:s00000003:5")));
            let upgrade =
                websocket::check_upgrade("GET", 1, request.head.headers().iter()).expect("an upgrade");
            let mut answer = BytesMut::new();
            websocket::encode_switching_protocols(&upgrade.accept, None, &mut answer);
            websocket::encode_text("[1]", None, &mut answer);
            websocket::encode_text("[2]", None, &mut answer);
            let (texts, progress) = texts(&mut wire, &answer, piece);
            assert_eq!(texts, [b"[1]", b"[2]"]);
            assert_eq!(progress, Progress { is_open: true, is_ended: false });
        }
    }

    #[test]
    fn an_event_stream_is_resumed_with_its_last_id() {
        let form = form(Peer::Millrace, Form::Sse);
        let (mut wire, _) = open(&form, &FROM_FIVE);
        let body = "id: abc\ndata: [1]\n\n";
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{body}\r\n");
        assert_eq!(texts(&mut wire, answer.as_bytes(), 4).0, [b"[1]"]);
        let (_, mut out) = open(&form, &Resume { last_id: wire.resume_id(), ..FROM_FIVE });
        let request =
            Decoder::new(Config::default()).decode_request(&mut out).expect("sound").expect("whole");
        assert_eq!(request.head.header_str("last-event-id"), Some("abc"));
    }

    #[test]
    fn a_long_poll_asks_again_after_every_answer() {
        let form = form(Peer::Millrace, Form::Longpoll);
        let (mut wire, mut out) = open(&form, &FROM_FIVE);
        assert!(out.is_empty() && wire.is_open_at_once());
        wire.ask(&form, &FROM_FIVE, &mut out).expect("it can be asked for");
        assert!(out.starts_with(b"GET /listen?s=b:s00000003:5 HTTP/1.1\r\n"));
        let answers = b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]";
        let mut input = BytesMut::from(&answers[..]);
        let mut heard = Vec::new();
        for expected in [0, 1] {
            let step = wire.receive(&mut input, &mut out, &mut |text| heard.push(text.to_vec()));
            assert_eq!(step, Ok(Progress { is_open: true, is_ended: false }));
            assert_eq!(heard.len(), expected);
        }
    }

    #[test]
    fn every_request_of_a_listener_carries_the_token() {
        for kind in [Form::Websocket, Form::Sse, Form::Longpoll] {
            let form = form(Peer::Millrace, kind);
            let (wire, mut out) = open(&form, &FROM_FIVE);
            wire.ask(&form, &FROM_FIVE, &mut out).expect("it can be asked for");
            let request = String::from_utf8(out.to_vec()).expect("a head is ASCII here");
            assert_eq!(request.matches("X-Session: a.b.c\r\n").count(), 1, "{request}");
        }
    }

    #[test]
    fn a_refusal_and_too_many_streams_are_said() {
        let (mut wire, _) = open(&form(Peer::Nchan, Form::Sse), &FROM_FIVE);
        let mut refusal = BytesMut::from("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        let step = wire.receive(&mut refusal, &mut BytesMut::new(), &mut |_| {});
        assert_eq!(step, Err("status 403".to_owned()));
        let many: Vec<(u32, u64)> = (0..2000).map(|stream| (stream, 1)).collect();
        let resume = Resume { streams: &many, is_live: true, last_id: b"" };
        for peer in [Peer::Millrace, Peer::Nchan] {
            let opened =
                ListenWire::open(&form(peer, Form::Websocket), &resume, [0; 32], &mut BytesMut::new());
            assert!(opened.is_err());
        }
    }
}
