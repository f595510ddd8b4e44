//! Why a server does not run, in words for the person who started it, and the process's exit code.
//!
//! The codes follow sysexits(3) and, like the texts, are part of the interface.

use crate::sys::preflight::{Finding, Severity};
use crate::sys::tls::TlsError;
use engine::Refusal;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server does not run.
#[derive(Debug)]
pub enum ServeError {
    /// The configuration contradicts itself. Exit code 78.
    Config(String),
    /// The certificate or its key cannot be used. Exit code 78.
    Tls(TlsError),
    /// The address is reachable from other machines, and everybody knows the password. Exit code 78.
    NotLoopback(SocketAddr),
    /// The host lacks something; all findings, the worst first. Exit code 78.
    Host(Vec<Finding>),
    /// Another process serves the directory. Exit code 75.
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The other process, if its lock file tells.
        holder: Option<u32>,
    },
    /// The directory cannot be made or opened. Exit code 73.
    Directory {
        /// The directory.
        dir: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The address cannot be taken. Exit code 69.
    Address {
        /// The address.
        addr: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
    /// What is in the directory is not served. Exit code 65.
    Refused(Refusal),
    /// Users and grants, or what else a protocol needs, cannot be read. Exit code 65.
    NotOpened(String),
    /// The system refused a thread or a signal mask, or a core died. Exit code 71.
    System(io::Error),
    /// A stop was asked for before the server was ready. Exit code 0.
    StoppedEarly,
}

impl ServeError {
    /// The process's exit code.
    pub fn exit_code(&self) -> i32 {
        match self {
            ServeError::StoppedEarly => 0,
            ServeError::Refused(_) | ServeError::NotOpened(_) => 65,
            ServeError::Address { .. } => 69,
            ServeError::System(_) => 71,
            ServeError::Directory { .. } => 73,
            ServeError::Locked { .. } => 75,
            ServeError::Config(_) | ServeError::Tls(_) | ServeError::NotLoopback(_) | ServeError::Host(_) => {
                78
            }
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Config(reason) => f.write_str(reason),
            ServeError::Tls(error) => error.fmt(f),
            ServeError::NotLoopback(addr) => write!(
                f,
                "refusing to listen on {addr} in development mode: everybody knows the administrator's \
                 password; leave --dev out, or use 127.0.0.1 or [::1]"
            ),
            ServeError::Host(findings) => {
                f.write_str("this host is not ready for a server")?;
                for Finding { severity, what, mend } in findings {
                    let mark = if *severity == Severity::Refuse { "error" } else { "warning" };
                    write!(f, "\n  {mark}: {what}\n    mend: {mend}")?;
                }
                Ok(())
            }
            ServeError::Locked { dir, holder } => {
                write!(f, "{} is in use by another server", dir.display())?;
                match holder {
                    Some(pid) => {
                        write!(f, " (process {pid}); stop it, or name another directory with --data")
                    }
                    None => f.write_str("; stop it, or name another directory with --data"),
                }
            }
            ServeError::Directory { dir, error } => {
                write!(f, "the data directory {} cannot be opened: {error}", dir.display())
            }
            ServeError::Address { addr, error } => {
                write!(f, "cannot listen on {addr}: {error}")?;
                if error.kind() == io::ErrorKind::AddrInUse {
                    write!(f, "; `ss -ltnp 'sport = :{}'` shows who does", addr.port())?;
                }
                Ok(())
            }
            ServeError::Refused(refusal) => refusal.fmt(f),
            ServeError::NotOpened(reason) => f.write_str(reason),
            ServeError::System(error) => write!(f, "the system refused: {error}"),
            ServeError::StoppedEarly => f.write_str("stopped before it was ready"),
        }
    }
}

impl std::error::Error for ServeError {}
