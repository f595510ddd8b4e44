//! The addresses that a server listens on: plain HTTP, HTTP over TLS, or both.
//!
//! Taken before the cores start, so that a port in use is told before anything is recovered. Each core gets
//! its part of each.

use super::error::ServeError;
use super::reload::{Reloads, tell};
use super::{ServerConfig, TlsConfig};
use crate::sys::net::Bound;
use crate::sys::tls::TlsAcceptor;
use std::net::SocketAddr;

/// Cores for each thread that computes handshakes; a machine has at least [`HANDSHAKE_THREADS_MIN`].
const CORES_PER_HANDSHAKE_THREAD: usize = 4;
const HANDSHAKE_THREADS_MIN: usize = 2;

/// One address on one core.
pub(super) struct Door {
    pub(super) bound: Bound,
    /// What makes its connections secure.
    pub(super) tls: Option<TlsAcceptor>,
}

/// All addresses.
#[derive(Default)]
pub(super) struct Doors {
    pub(super) http_addr: Option<SocketAddr>,
    pub(super) https_addr: Option<SocketAddr>,
    /// By core.
    pub(super) by_core: Vec<Vec<Door>>,
}

impl Doors {
    /// Takes the addresses of `config`; its certificate is on the list of `reloads` then.
    pub(super) fn open(config: &ServerConfig, reloads: &Reloads) -> Result<Doors, ServeError> {
        let mut doors =
            Doors { by_core: config.cores.iter().map(|_| Vec::new()).collect(), ..Doors::default() };
        if let Some(addr) = config.http_addr {
            doors.http_addr = Some(doors.take(addr, None)?);
        }
        if let Some(tls) = &config.tls {
            let acceptor = load(tls, config.cores.len(), reloads)?;
            doors.https_addr = Some(doors.take(tls.addr, Some(acceptor))?);
        }
        Ok(doors)
    }

    fn take(&mut self, addr: SocketAddr, tls: Option<TlsAcceptor>) -> Result<SocketAddr, ServeError> {
        let bound = Bound::bind_all(addr, self.by_core.len());
        let bound = bound.map_err(|error| ServeError::Address { addr, error })?;
        let addr = bound[0].addr();
        for (doors, bound) in self.by_core.iter_mut().zip(bound) {
            doors.push(Door { bound, tls: tls.clone() });
        }
        Ok(addr)
    }
}

fn load(tls: &TlsConfig, core_count: usize, reloads: &Reloads) -> Result<TlsAcceptor, ServeError> {
    let thread_count = (core_count / CORES_PER_HANDSHAKE_THREAD).max(HANDSHAKE_THREADS_MIN);
    let started = TlsAcceptor::start(tls.files.clone(), thread_count);
    let (acceptor, warnings) = started.map_err(ServeError::Tls)?;
    warnings.iter().for_each(|warning| tell(&format!("warning: {warning}")));
    reloads.add({
        let acceptor = acceptor.clone();
        move || {
            let cert = acceptor.files().cert.display();
            match acceptor.reload() {
                Ok(warnings) if warnings.is_empty() => {
                    Ok(format!("new connections get the certificate in {cert} as it is now"))
                }
                Ok(warnings) => Ok(format!("warning: new certificate: {}", warnings.join("; "))),
                Err(error) => Err(format!("the old certificate stays in use: {error}")),
            }
        }
    });
    Ok(acceptor)
}
