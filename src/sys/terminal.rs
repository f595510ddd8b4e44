//! A line that is typed at the terminal and not shown: a password.
//!
//! The terminal is asked for itself, so that standard input and output stay free for what they carry. While
//! the line is typed the terminal hands over single keys and makes no signals of them, so Ctrl-C is an
//! answer like any other and the old mode always comes back.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;

/// Longest line; nobody types a longer password.
const LINE_BYTES_MAX: usize = 4096;
/// Keys: end of text (Ctrl-C), end of transmission (Ctrl-D), erase, erase the line (Ctrl-U).
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: [u8; 2] = [0x08, 0x7f];
const CTRL_U: u8 = 0x15;

/// Asks at the terminal of this process; `None` where there is none.
///
/// # Errors
/// The terminal fails, or the person gives up.
pub fn ask_hidden(prompt: &str) -> io::Result<Option<String>> {
    // What has no terminal says so by one of several errors; whichever it is, nobody is there to be asked.
    let Ok(mut terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        return Ok(None);
    };
    ask_at(&mut terminal, prompt).map(Some)
}

/// Asks at this terminal.
fn ask_at(terminal: &mut File, prompt: &str) -> io::Result<String> {
    let quiet = Quiet::begin(terminal)?;
    terminal.write_all(prompt.as_bytes())?;
    let line = read_line(terminal);
    drop(quiet);
    terminal.write_all(b"\n")?;
    String::from_utf8(line?).map_err(|_| io::Error::new(ErrorKind::InvalidData, "what was typed is no UTF-8"))
}

/// Reads keys up to the end of the line.
fn read_line(terminal: &mut File) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let mut key = [0];
        if terminal.read(&mut key)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match key[0] {
            b'\n' | b'\r' => return Ok(line),
            CTRL_C => return Err(io::Error::other("given up with Ctrl-C")),
            CTRL_D if line.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
            CTRL_U => line.clear(),
            key if BACKSPACE.contains(&key) => erase_character(&mut line),
            key if line.len() < LINE_BYTES_MAX => line.push(key),
            _ => return Err(io::Error::new(ErrorKind::InvalidData, "the line is too long")),
        }
    }
}

/// Takes the last character away, whatever its bytes.
fn erase_character(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        if byte & 0xc0 != 0x80 {
            break;
        }
    }
}

/// A terminal that shows nothing of what is typed, until it is dropped.
struct Quiet {
    fd: i32,
    before: libc::termios,
}

impl Quiet {
    #[allow(unsafe_code)]
    fn begin(terminal: &File) -> io::Result<Quiet> {
        let fd = terminal.as_raw_fd();
        // SAFETY: a termios of zeros is plain memory that tcgetattr fills; the descriptor is open.
        let (code, before) = unsafe {
            let mut before = std::mem::zeroed::<libc::termios>();
            (libc::tcgetattr(fd, &mut before), before)
        };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut mode = before;
        mode.c_lflag &= !(libc::ECHO | libc::ICANON | libc::ISIG);
        mode.c_cc[libc::VMIN] = 1;
        mode.c_cc[libc::VTIME] = 0;
        set_mode(fd, &mode)?;
        Ok(Quiet { fd, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that went away needs no mode.
        let _ = set_mode(self.fd, &self.before);
    }
}

#[allow(unsafe_code)]
fn set_mode(fd: i32, mode: &libc::termios) -> io::Result<()> {
    // SAFETY: the mode is a live termios that tcgetattr made; a descriptor that is closed is an error.
    let code = unsafe { libc::tcsetattr(fd, libc::TCSAFLUSH, mode) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::FromRawFd;
    use std::ptr::null_mut;
    use std::thread;
    use std::time::Duration;

    /// Both ends of a new pseudo-terminal: the person's, and the program's.
    #[allow(unsafe_code)]
    fn pseudo_terminal() -> (File, File) {
        let (mut person, mut program) = (-1, -1);
        // SAFETY: both numbers are live locals; name, mode and size may be null.
        let code = unsafe { libc::openpty(&mut person, &mut program, null_mut(), null_mut(), null_mut()) };
        assert_eq!(code, 0, "{}", io::Error::last_os_error());
        // SAFETY: openpty gave both descriptors to us alone.
        unsafe { (File::from_raw_fd(person), File::from_raw_fd(program)) }
    }

    /// What the program gets when the person types this at the prompt, and what the person sees.
    fn typed(keys: &'static [u8]) -> (io::Result<String>, String) {
        let (mut person, mut program) = pseudo_terminal();
        let mut output = person.try_clone().expect("a descriptor is free");
        let typing = thread::spawn(move || {
            let mut seen = vec![0; 64];
            let count = output.read(&mut seen).expect("the prompt comes");
            seen.truncate(count);
            person.write_all(keys).expect("the program reads");
            (person, seen)
        });
        let answer = ask_at(&mut program, "Password: ");
        let (mut person, mut seen) = typing.join().expect("nobody panics");
        // The line end after the answer, and nothing of the answer itself.
        thread::sleep(Duration::from_millis(20));
        let mut rest = vec![0; 64];
        let count = person.read(&mut rest).expect("the line end comes");
        seen.extend_from_slice(&rest[..count]);
        (answer, String::from_utf8(seen).expect("text"))
    }

    #[test]
    fn what_is_typed_is_not_shown_and_can_be_corrected() {
        for (keys, expected) in [
            (&b"tea at five\n"[..], "tea at five"),
            (b"teb\x7fa\r", "tea"),
            (b"wrong\x15right\n", "right"),
            ("caf\u{e9}\x7fe\n".as_bytes(), "cafe"),
            (b"\x7f\x7fa\n", "a"),
            (b"\n", ""),
        ] {
            let (answer, seen) = typed(keys);
            assert_eq!(answer.expect("an answer"), expected);
            assert_eq!(seen, "Password: \r\n");
        }
    }

    #[test]
    fn whoever_gives_up_is_no_password() {
        for (keys, kind) in [
            (&b"secret\x03"[..], ErrorKind::Other),
            (b"\x04", ErrorKind::UnexpectedEof),
            (b"\xff\n", ErrorKind::InvalidData),
        ] {
            assert_eq!(typed(keys).0.expect_err("no answer").kind(), kind);
        }
    }

    #[test]
    fn the_mode_of_before_comes_back() {
        let (_person, program) = pseudo_terminal();
        let flags = |program: &File| {
            let quiet = Quiet::begin(program).expect("a terminal");
            quiet.before.c_lflag
        };
        let first = flags(&program);
        assert_eq!(flags(&program), first);
        assert_ne!(first & libc::ECHO, 0);
    }

    #[test]
    fn a_file_is_no_terminal() {
        assert!(ask_at(&mut File::open("/dev/null").expect("it is there"), "").is_err());
    }
}
