//! The URLs of the API: names become path segments and query values.
//!
//! A stream's name may hold slashes and any UTF-8; its slashes separate path segments, everything else that
//! is not unreserved is percent-encoded. A name whose segment is empty, `.` or `..` would be read as another
//! path, so there the slash itself is encoded too.

use super::error::{CliError, Exit};
use http1::target::percent_encode;
use std::borrow::Cow;
use std::fmt::Display;
use types::{BucketName, NameError, StreamKey};

/// Path and query of a request, built piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    text: String,
    has_query: bool,
}

impl Target {
    /// A fixed path.
    pub(crate) fn path(path: &str) -> Target {
        Target { text: path.to_owned(), has_query: false }
    }

    /// `/streams/BUCKET/STREAM`.
    ///
    /// # Errors
    /// Usage: the names break the rules of names, or cannot stand in a path.
    pub(crate) fn stream(bucket: &str, stream: &str) -> Result<Target, CliError> {
        let key = StreamKey::parse(bucket, stream)
            .map_err(|error| no_name(&format!("{bucket:?} / {stream:?}"), &error))?;
        let bucket = segment(key.bucket.as_str())?;
        let text = format!("/streams/{bucket}/{}", stream_segments(key.stream.as_str())?);
        Ok(Target { text, has_query: false })
    }

    /// `/streams/BUCKET`.
    ///
    /// # Errors
    /// Usage: the name breaks the rules of names, or cannot stand in a path.
    pub(crate) fn bucket(bucket: &str) -> Result<Target, CliError> {
        let bucket = BucketName::parse(bucket).map_err(|error| no_name(&format!("{bucket:?}"), &error))?;
        Ok(Target { text: format!("/streams/{}", segment(bucket.as_str())?), has_query: false })
    }

    /// `ROUTE/NAME`.
    ///
    /// # Errors
    /// Usage: the name cannot stand in a path.
    pub(crate) fn below(route: &str, name: &str) -> Result<Target, CliError> {
        if name.is_empty() {
            return Err(CliError::new(Exit::Usage, "an empty name names nobody"));
        }
        Ok(Target { text: format!("{route}/{}", segment(name)?), has_query: false })
    }

    /// `/access/BUCKET` or `/access/BUCKET/STREAM`; the bucket may be `any`, the stream a glob, and the
    /// server says whether they are.
    ///
    /// # Errors
    /// As [`Target::below`].
    pub(crate) fn access(bucket: &str, stream: Option<&str>) -> Result<Target, CliError> {
        let mut target = Target::below("/access", bucket)?;
        if let Some(stream) = stream.filter(|stream| !stream.is_empty()) {
            target.text.push('/');
            target.text.push_str(&stream_segments(stream)?);
        }
        Ok(target)
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: impl Display) -> Target {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(name);
        self.text.push('=');
        self.text.push_str(&percent_encode(&value.to_string()));
        self
    }

    /// Adds a query parameter if there is a value.
    pub(crate) fn query_some(self, name: &str, value: Option<impl Display>) -> Target {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// The text for the request line.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

fn stream_segments(stream: &str) -> Result<String, CliError> {
    let ambiguous = stream.split('/').any(|segment| matches!(segment, "" | "." | ".."));
    if ambiguous {
        return segment(stream).map(Cow::into_owned);
    }
    Ok(stream.split('/').map(percent_encode).collect::<Vec<_>>().join("/"))
}

/// One segment of a path. A lone `.` or `..` means a place in every spelling, so no server takes it.
fn segment(name: &str) -> Result<Cow<'_, str>, CliError> {
    match name {
        "." | ".." => Err(CliError::new(
            Exit::Usage,
            format!("{name:?} cannot be named over HTTP: it means a directory"),
        )),
        name => Ok(percent_encode(name)),
    }
}

fn no_name(shown: &str, error: &NameError) -> CliError {
    CliError::new(Exit::Usage, format!("{shown} is no name: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http1::target::{path_segments, query_pairs};
    use proptest::prelude::*;

    fn stream(bucket: &str, name: &str) -> String {
        Target::stream(bucket, name).expect("a name").as_str().to_owned()
    }

    #[test]
    fn slashes_of_a_stream_separate_segments_and_the_rest_is_encoded() {
        assert_eq!(stream("iot", "house1/temp"), "/streams/iot/house1/temp");
        assert_eq!(stream("a b", "50%?x=\u{e9}"), "/streams/a%20b/50%25%3Fx%3D%C3%A9");
    }

    #[test]
    fn a_name_that_reads_as_another_path_keeps_its_slashes_encoded() {
        assert_eq!(stream("b", "a//c"), "/streams/b/a%2F%2Fc");
        assert_eq!(stream("b", "a/../c"), "/streams/b/a%2F..%2Fc");
        assert_eq!(stream("b", "/a"), "/streams/b/%2Fa");
        assert_eq!(stream("b", "a/"), "/streams/b/a%2F");
    }

    #[test]
    fn what_is_no_name_is_a_usage_error() {
        for (bucket, name) in
            [("", "s"), ("b", ""), ("a/b", "s"), ("b", "a#"), ("b", "a\n"), ("b", "."), ("..", "s")]
        {
            let error = Target::stream(bucket, name).expect_err("no name");
            assert_eq!(error.exit, Exit::Usage, "{bucket:?} {name:?}");
        }
    }

    #[test]
    fn roles_and_grants_have_paths_of_their_own() {
        let below = |name: &str| Target::below("/users", name).map(|target| target.as_str().to_owned());
        assert_eq!(below("a/b @c"), Ok("/users/a%2Fb%20%40c".to_owned()));
        assert!(below("").is_err() && below("..").is_err());
        let access = |bucket: &str, stream: Option<&str>| {
            Target::access(bucket, stream).expect("a place").as_str().to_owned()
        };
        assert_eq!(access("any", None), "/access/any");
        assert_eq!(access("*", None), "/access/%2A");
        assert_eq!(access("iot", Some("house1/*/t")), "/access/iot/house1/%2A/t");
    }

    #[test]
    fn parameters_are_added_in_order_and_encoded() {
        let target = Target::path("/listen").query("s", "b:a/\u{e9}&:1").query_some("from", Some(-2));
        assert_eq!(target.as_str(), "/listen?s=b%3Aa%2F%C3%A9%26%3A1&from=-2");
        let pairs: Vec<_> =
            query_pairs("s=b%3Aa%2F%C3%A9%26%3A1").map(|pair| pair.expect("sound").1.into_owned()).collect();
        assert_eq!(pairs, ["b:a/\u{e9}&:1"]);
        assert_eq!(Target::path("/x").query_some("n", None::<u64>).as_str(), "/x");
    }

    proptest! {
        #[test]
        fn a_decoder_of_paths_finds_the_name_again(name in "[^\\p{Cc}+#]{1,40}") {
            prop_assume!(name != "." && name != "..");
            let target = stream("b", &name);
            let segments: Vec<String> = path_segments(&target)
                .map(|segment| segment.expect("sound").into_owned())
                .collect();
            prop_assert_eq!(&segments[..3], &["streams", "b", &segments[2]][..]);
            prop_assert_eq!(segments[2..].join("/"), name);
        }
    }
}
