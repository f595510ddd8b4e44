//! Names of users and groups, valid by construction.
//!
//! Users and groups share one space of names, so that a grant's role means one thing. The rule is Iorio's
//! (`docs/api.md`, "Users"): no code point of 0–44, 58–63, 127–191, and none of the reserved words.
//! Cloning is a reference count.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Longest name, in bytes: it stands in the name of a stream, in tokens and in buckets.
pub const ROLE_NAME_BYTES_MAX: usize = 255;

/// Names that mean something else where a role is written.
const RESERVED: [&str; 5] = ["all", "on", "to", "from", "any"];

/// The name of a user, of a group, or `*`: everybody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(Arc<str>);

/// The text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalName;

impl RoleName {
    /// The name of a user or a group.
    ///
    /// # Errors
    /// [`IllegalName`].
    pub fn parse(text: &str) -> Result<RoleName, IllegalName> {
        let is_sound = !text.is_empty()
            && text.len() <= ROLE_NAME_BYTES_MAX
            && !RESERVED.contains(&text)
            // A path cannot name these, however they are escaped.
            && !text.split('/').any(|part| matches!(part, "." | ".."))
            && !text.chars().any(|c| matches!(u32::from(c), 0..=44 | 58..=63 | 127..=191));
        if is_sound { Ok(RoleName(Arc::from(text))) } else { Err(IllegalName) }
    }

    /// A name, or `*` for everybody.
    ///
    /// # Errors
    /// [`IllegalName`].
    pub fn parse_with_everybody(text: &str) -> Result<RoleName, IllegalName> {
        if text == "*" { Ok(RoleName::everybody()) } else { RoleName::parse(text) }
    }

    /// `*`.
    pub fn everybody() -> RoleName {
        RoleName(Arc::from("*"))
    }

    /// Whether it is `*`.
    pub fn is_everybody(&self) -> bool {
        &*self.0 == "*"
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for RoleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_letters_digits_and_some_signs() {
        for good in ["a", "bob", "g-admin", "a.b/c@d", "A_Z^`{|}~", "\u{e9}l\u{e8}ve", "0", "alls", "\u{c0}"]
        {
            assert_eq!(RoleName::parse(good).map(|name| name.to_string()), Ok(good.to_owned()), "{good}");
        }
    }

    #[test]
    fn reserved_words_and_forbidden_characters_are_refused() {
        let long = "x".repeat(ROLE_NAME_BYTES_MAX + 1);
        for bad in [
            "", "all", "on", "to", "from", "any", "*", "$sys", "a b", "a:b", "a;b", "a=b", "a?", ".", "..",
            "a/../b", &long,
        ] {
            assert_eq!(RoleName::parse(bad), Err(IllegalName), "{bad}");
        }
        for code in (0..=44).chain(58..=63).chain(127..=191) {
            let text = format!("a{}", char::from_u32(code).expect("a character"));
            assert_eq!(RoleName::parse(&text), Err(IllegalName), "{code}");
        }
        for code in [45, 46, 47, 57, 64, 126, 192] {
            let text = format!("a{}", char::from_u32(code).expect("a character"));
            assert!(RoleName::parse(&text).is_ok(), "{code}");
        }
    }

    #[test]
    fn everybody_is_a_role_but_no_user() {
        let everybody = RoleName::parse_with_everybody("*").expect("a role");
        assert!(everybody.is_everybody() && !RoleName::parse("bob").expect("a name").is_everybody());
    }
}
