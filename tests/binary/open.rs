//! Lets everybody do everything on a server under test, for tests that are not about users.
//!
//! Logs in as the administrator that the server was started with and grants each permission on every bucket
//! to everybody. Doing it again changes nothing.

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The administrator's password, and hashes that cost next to nothing.
pub(crate) const SETTINGS: [(&str, &str); 3] = [
    ("MILLRACE_ADMIN_PASSWORD", "secret"),
    ("MILLRACE_AUTH__ARGON2_MEMORY_BYTES", "64KiB"),
    ("MILLRACE_AUTH__ARGON2_PASSES", "1"),
];

/// Grants everybody everything.
pub(crate) fn open_to_everybody(addr: SocketAddr) -> Result<()> {
    let login = post(addr, "/sessions", "", r#"{"username":"admin","password":"secret"}"#)?;
    let token = login.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let token = token.ok_or_else(|| Error::other(format!("no token in {login:?}")))?;
    let everywhere = ["get", "put", "delete", "list", "grant"].map(|permission| ("*", permission));
    // Every bucket does not mean the server's own.
    for (bucket, permission) in everywhere.into_iter().chain([("$sys", "get"), ("$sys", "list")]) {
        let grant =
            format!(r#"{{"role":"*","bucket":"{bucket}","key":"*","permission":"iorio.{permission}"}}"#);
        let granted = post(addr, "/admin/grants", &format!("X-Session: {token}\r\n"), &grant)?;
        if !granted.starts_with("HTTP/1.1 200 ") {
            return Err(Error::other(granted));
        }
    }
    Ok(())
}

fn post(addr: SocketAddr, target: &str, lines: &str, body: &str) -> Result<String> {
    let mut socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let length = body.len();
    write!(
        socket,
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{lines}\r\n{body}"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}
