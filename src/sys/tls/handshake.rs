//! From an accepted connection to a secure one.
//!
//! `server` gives every core a clone of the acceptor. A handshake with an RSA key, or with certificates of
//! clients, computes for longer than a core has: its steps run in a pool of the acceptor's own, so that they
//! do not wait behind directory syncs, nor those behind them. Time and bytes of a handshake are bounded.

use super::session::Session;
use super::setup::{Setup, TlsError, TlsFiles};
use crate::sys::executor::timeout;
use crate::sys::net::{READ_BYTES_MAX, Stream};
use crate::sys::offload::Offload;
use bytes::BytesMut;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Steps that wait for the pool before their connections do.
const STEPS_WAITING_MAX: usize = 1024;
/// How long, and how much, a client may go on sending after it was told why there will be no connection: a
/// close with unread bytes would take the alert away from it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 64 * 1024;
/// A record's header: type, version, length (RFC 8446 §5.1).
const RECORD_HEADER_BYTES: usize = 5;
/// Types of records.
const RECORD_TYPES: std::ops::RangeInclusive<u8> = 20..=24;

/// Makes streams secure. Clones share certificate and pool.
#[derive(Clone)]
pub struct TlsAcceptor {
    files: Arc<TlsFiles>,
    /// What new connections get; those that are open hold their own.
    current: Arc<Mutex<Arc<Setup>>>,
    pool: Offload,
}

impl TlsAcceptor {
    /// Loads and checks the files and starts the pool. Gives also what should be known though it is no error.
    ///
    /// # Errors
    /// What cannot be served, with the file's name.
    pub fn start(files: TlsFiles, thread_count: usize) -> Result<(TlsAcceptor, Vec<String>), TlsError> {
        let setup = Arc::new(Setup::load(&files)?);
        let pool = Offload::start(thread_count, STEPS_WAITING_MAX)
            .map_err(|error| TlsError::System(error.to_string()))?;
        let warnings = setup.warnings.clone();
        let (files, current) = (Arc::new(files), Arc::new(Mutex::new(setup)));
        Ok((TlsAcceptor { files, current, pool }, warnings))
    }

    /// Loads the files again, for connections that come from now on. What is wrong leaves everything as it
    /// was. Not on a core: it reads files.
    ///
    /// # Errors
    /// As [`TlsAcceptor::start`].
    pub fn reload(&self) -> Result<Vec<String>, TlsError> {
        let setup = Arc::new(Setup::load(&self.files)?);
        let warnings = setup.warnings.clone();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = setup;
        Ok(warnings)
    }

    /// The files.
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    fn setup(&self) -> Arc<Setup> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shakes hands with a client, within `limit`.
    ///
    /// # Errors
    /// What the client did wrong, after it was told by an alert; `TimedOut`; or the system's error.
    pub async fn accept(&self, stream: Stream, limit: Duration) -> io::Result<Stream> {
        let shaken = timeout(limit, self.shake_hands(stream, limit)).await;
        shaken.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn shake_hands(&self, stream: Stream, limit: Duration) -> io::Result<Stream> {
        let setup = self.setup();
        let session =
            Session::new(setup.config.clone()).map_err(|error| io::Error::other(error.to_string()))?;
        let (mut stream, mut session) = (stream, Box::new(session));
        let mut input = BytesMut::new();
        while session.is_handshaking() {
            let held = session.incoming().len();
            if held + input.len() >= READ_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
            }
            let room = READ_BYTES_MAX - held - input.len();
            if stream.read(&mut input, room).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !is_worth_a_step(session.incoming(), &input) {
                continue;
            }
            let mut bytes = BytesMut::with_capacity(held + input.len());
            bytes.extend_from_slice(session.incoming());
            bytes.extend_from_slice(&input);
            input.clear();
            session = self.step(&setup, session, bytes).await;
            let outgoing = session.take_outgoing();
            if !outgoing.is_empty() {
                stream.write_all(&[outgoing], limit).await?;
            }
            if let Some(Err(error)) = session.end() {
                stream.linger(LINGER, LINGER_BYTES_MAX).await;
                return Err(error);
            }
        }
        stream.secure(session);
        Ok(stream)
    }

    async fn step(&self, setup: &Setup, mut session: Box<Session>, mut bytes: BytesMut) -> Box<Session> {
        let run = move || {
            // What comes behind the handshake waits in the session.
            session.receive(&mut bytes, &mut BytesMut::new(), 0);
            session
        };
        if setup.is_slow { self.pool.run(run).await } else { run() }
    }
}

/// Whether there may be a whole record: a client that sends single bytes costs no step for each.
fn is_worth_a_step(held: &[u8], input: &[u8]) -> bool {
    let mut bytes = held.iter().chain(input).copied();
    let Some(first) = bytes.next() else { return false };
    if !held.is_empty() || !RECORD_TYPES.contains(&first) {
        // Unfinished messages are judged by `rustls`; so is what is no TLS, at once.
        return true;
    }
    match (bytes.nth(2), bytes.next()) {
        (Some(high), Some(low)) => {
            let length = RECORD_HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
            input.len() >= length
        }
        _ => false,
    }
}
