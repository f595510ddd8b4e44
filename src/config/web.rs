//! Settings of what browsers may do: the section `[cors]`, checked and taken apart.
//!
//! Called while the configuration is loaded. What is left after that is sound: origins in the form in which
//! browsers send them, names of headers that may stand in a header.

use super::keys::{Key, NumberField};
use super::value::{Kind, Value};

/// The section `[cors]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsSettings {
    /// `""` (off), `"*"`, or origins separated by commas.
    pub origins: String,
    /// Further request headers that pages may send.
    pub headers: String,
    /// Further reply headers that pages may read.
    pub expose: String,
    /// How long a browser may remember what it was allowed.
    pub max_age_s: u64,
    /// Whether pages may send what the browser knows of the user (cookies, client certificates).
    pub credentials: bool,
}

impl Default for CorsSettings {
    fn default() -> Self {
        CorsSettings {
            origins: String::new(),
            headers: String::new(),
            expose: String::new(),
            max_age_s: 60,
            credentials: false,
        }
    }
}

/// Pages of which origins may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Of no other than the server's own; nothing about it is said.
    #[default]
    Off,
    /// Of every one.
    Any,
    /// Of these, as browsers send them.
    List(Vec<String>),
}

impl CorsSettings {
    /// Checks the values and their relations.
    ///
    /// # Errors
    /// The first that does not hold, naming the key.
    pub fn check(&self) -> Result<(), String> {
        let origins = self.origins()?;
        if self.credentials && origins == Origins::Any {
            return Err("credentials = true needs a list of origins: browsers refuse it together with \
                        origins = \"*\""
                .to_owned());
        }
        header_names("headers", &self.headers)?;
        header_names("expose", &self.expose)?;
        Ok(())
    }

    /// The origins.
    ///
    /// # Errors
    /// The first that cannot be one.
    pub fn origins(&self) -> Result<Origins, String> {
        match self.origins.trim() {
            "" => Ok(Origins::Off),
            "*" => Ok(Origins::Any),
            list => {
                list.split(',').map(|text| origin(text.trim())).collect::<Result<_, _>>().map(Origins::List)
            }
        }
    }

    /// The further request headers.
    ///
    /// # Errors
    /// The first that is no name.
    pub fn headers(&self) -> Result<Vec<&str>, String> {
        header_names("headers", &self.headers)
    }

    /// The further reply headers.
    ///
    /// # Errors
    /// The first that is no name.
    pub fn expose(&self) -> Result<Vec<&str>, String> {
        header_names("expose", &self.expose)
    }
}

/// An origin as browsers send it (RFC 6454 §6.2): lower case, without the scheme's own port.
fn origin(text: &str) -> Result<String, String> {
    let wrong =
        |why: &str| Err(format!("origins: {text:?} {why}; write it as in \"https://app.example:8443\""));
    let lower = text.to_ascii_lowercase();
    let Some((scheme, host)) = lower.split_once("://") else {
        return wrong("is no origin: it has no scheme");
    };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return wrong("has no sound scheme");
    }
    if host.is_empty() || !host.chars().all(is_host) {
        return wrong("must end after host and port, and stand for one host");
    }
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = host.strip_suffix(own_port).unwrap_or(host);
    Ok(format!("{scheme}://{host}"))
}

/// Names separated by commas (RFC 9110 §5.1).
fn header_names<'a>(key: &str, text: &'a str) -> Result<Vec<&'a str>, String> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match name != "*" && name.chars().all(is_token) {
            true => Ok(name),
            false => Err(format!("{key}: {name:?} is no name of a header")),
        })
        .collect()
}

/// The keys of this section.
pub(super) static CORS_KEYS: &[Key] = &[
    Key {
        dotted: "cors.origins",
        kind: Kind::Text,
        summary: "Pages of which origins may call from a browser: none but our own (empty), `*`, or a list \
                  such as `https://a.example,https://b.example:8443`.",
        write: |config, value| config.cors.origins = value.into_text(),
        read: |config| Value::Text(config.cors.origins.clone()),
    },
    Key {
        dotted: "cors.headers",
        kind: Kind::Text,
        summary: "Request headers that pages may send beside those of the API, separated by commas.",
        write: |config, value| config.cors.headers = value.into_text(),
        read: |config| Value::Text(config.cors.headers.clone()),
    },
    Key {
        dotted: "cors.expose",
        kind: Kind::Text,
        summary: "Reply headers that pages may read beside those of the API, separated by commas.",
        write: |config, value| config.cors.expose = value.into_text(),
        read: |config| Value::Text(config.cors.expose.clone()),
    },
    Key {
        dotted: "cors.max_age_s",
        kind: Kind::DurationS,
        summary: "How long a browser may remember what it was allowed.",
        write: |config, value| config.cors.max_age_s.set_number(&value),
        read: |config| Value::Number(config.cors.max_age_s),
    },
    Key {
        dotted: "cors.credentials",
        kind: Kind::Flag,
        summary: "Pages may send cookies and client certificates; needs a list of origins.",
        write: |config, value| config.cors.credentials = value.into_flag(),
        read: |config| Value::Flag(config.cors.credentials),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(origins: &str) -> CorsSettings {
        CorsSettings { origins: origins.to_owned(), ..CorsSettings::default() }
    }

    #[test]
    fn origins_are_brought_to_the_form_in_which_browsers_send_them() {
        assert_eq!(settings("").origins(), Ok(Origins::Off));
        assert_eq!(settings(" * ").origins(), Ok(Origins::Any));
        let found = settings("HTTPS://App.Example:443, http://localhost:3000 ,http://[::1]:80");
        let expected = ["https://app.example", "http://localhost:3000", "http://[::1]"];
        assert_eq!(found.origins(), Ok(Origins::List(expected.map(str::to_owned).to_vec())));
        assert_eq!(found.check(), Ok(()));
    }

    #[test]
    fn what_is_no_origin_is_refused_and_named() {
        for (given, named) in [
            ("null", "no scheme"),
            ("https://a.example/", "must end after host"),
            ("https://*.example", "must end after host"),
            ("https://a b", "must end after host"),
            ("://a", "no sound scheme"),
            ("https://a.example,,", "no scheme"),
        ] {
            let error = settings(given).check().expect_err(given);
            assert!(error.starts_with("origins: ") && error.contains(named), "{error}");
        }
    }

    #[test]
    fn credentials_need_a_list_and_header_names_are_checked() {
        let any = CorsSettings { credentials: true, ..settings("*") };
        assert!(any.check().expect_err("a contradiction").contains("credentials = true needs a list"));
        let list = CorsSettings { credentials: true, ..settings("https://a") };
        assert_eq!(list.check(), Ok(()));
        let headers = CorsSettings { headers: "X-One, x-two".to_owned(), ..settings("https://a") };
        assert_eq!(headers.headers(), Ok(vec!["X-One", "x-two"]));
        for bad in ["X One", "*", "a\r\nb", "a:b"] {
            let expose = CorsSettings { expose: bad.to_owned(), ..settings("https://a") };
            assert!(expose.check().expect_err(bad).starts_with("expose: "), "{bad}");
        }
    }
}
