//! Whether clients of TLS show certificates: a word of the configuration.
//!
//! The key `tls.client_certs` reads and shows it, `sys::tls` does what it says.

/// Whether clients show certificates. One that is shown and does not verify ends the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCerts {
    /// They are not asked to.
    #[default]
    Off,
    /// They may.
    Optional,
    /// They must.
    Required,
}

impl ClientCerts {
    /// The words of the configuration, in the order of the variants.
    pub const WORDS: &[&str] = &["off", "optional", "required"];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<ClientCerts> {
        let all = [ClientCerts::Off, ClientCerts::Optional, ClientCerts::Required];
        all.into_iter().find(|one| one.word() == word)
    }
}
