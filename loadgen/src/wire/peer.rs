//! The servers that loadgen knows, and what each can be asked to do.
//!
//! Read by the options and the wires. A wish that a peer cannot meet is refused before anything is started,
//! with the reason.

use std::fmt;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// Millrace: HTTP append; WebSocket, SSE and long-poll listeners.
    Millrace,
    /// Redis Streams: XADD and XREAD.
    Redis,
    /// nginx with nchan: HTTP publish; WebSocket and SSE subscribers. Keeps events in memory.
    Nchan,
}

/// How a listener receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// WebSocket text messages.
    Websocket,
    /// Server-sent events.
    Sse,
    /// Repeated GETs that wait.
    Longpoll,
    /// XREAD BLOCK of Redis.
    Xread,
}

impl Peer {
    /// Where it listens when nothing else is said.
    pub(crate) fn default_target(self) -> &'static str {
        match self {
            Peer::Millrace => "127.0.0.1:8080",
            Peer::Redis => "127.0.0.1:6379",
            Peer::Nchan => "127.0.0.1:8081",
        }
    }

    /// The form in which its listeners receive when nothing else is said.
    pub(crate) fn default_form(self) -> Form {
        if self == Peer::Redis { Form::Xread } else { Form::Websocket }
    }

    /// Whether its listeners can receive in this form; the reason if not.
    pub(crate) fn check_form(self, form: Form) -> Result<(), String> {
        match (self, form) {
            (Peer::Redis, Form::Xread) | (Peer::Millrace, Form::Websocket | Form::Sse | Form::Longpoll) => {
                Ok(())
            }
            (Peer::Nchan, Form::Websocket | Form::Sse) => Ok(()),
            (Peer::Redis, _) => Err("redis delivers by xread only".to_owned()),
            (Peer::Millrace, _) => Err("millrace delivers by websocket, sse or longpoll".to_owned()),
            (Peer::Nchan, _) => Err("loadgen listens to nchan by websocket or sse".to_owned()),
        }
    }

    /// Whether events may be sent several at once.
    pub(crate) fn check_batch(self, batch: usize) -> Result<(), String> {
        if self == Peer::Nchan && batch > 1 {
            return Err("nchan takes one message per request; leave --batch at 1".to_owned());
        }
        Ok(())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Peer::Millrace => "millrace",
            Peer::Redis => "redis",
            Peer::Nchan => "nchan",
        })
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Form::Websocket => "websocket",
            Form::Sse => "sse",
            Form::Longpoll => "longpoll",
            Form::Xread => "xread",
        })
    }
}
