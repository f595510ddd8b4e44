//! What a grant is about: every bucket, one bucket with its streams, one stream, or the streams of a glob.
//!
//! The text forms are those of the routes: a bucket's name, `any` or `*` for every bucket; a stream's name or
//! glob, `*` for the whole bucket on the routes of `/admin`.

use std::fmt;
use types::{BucketName, NameError, PatternError, StreamKey, StreamName, StreamPattern};

/// What a grant is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Every bucket but the server's own (their names begin with `$`).
    Any,
    /// A bucket and its streams.
    Bucket(BucketName),
    /// One stream.
    Stream(StreamKey),
    /// The streams of a bucket that a glob matches. The text was checked to be one.
    Glob(BucketName, StreamName),
}

/// Why a text names nothing that can be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceError {
    /// The bucket or the stream is no name.
    Name(NameError),
    /// The stream is a glob that does not parse.
    Pattern(PatternError),
    /// A stream of every bucket.
    StreamOfAny,
}

impl fmt::Display for ResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResourceError::Name(error) => error.fmt(f),
            ResourceError::Pattern(error) => error.fmt(f),
            ResourceError::StreamOfAny => f.write_str("a grant on every bucket names no stream"),
        }
    }
}

impl std::error::Error for ResourceError {}

impl Resource {
    /// The resource of a bucket's and, perhaps, a stream's text.
    ///
    /// # Errors
    /// [`ResourceError`].
    pub fn parse(bucket: &str, stream: Option<&str>) -> Result<Resource, ResourceError> {
        if matches!(bucket, "any" | "*") {
            return if stream.is_none() { Ok(Resource::Any) } else { Err(ResourceError::StreamOfAny) };
        }
        let bucket = BucketName::parse(bucket).map_err(ResourceError::Name)?;
        let Some(stream) = stream else { return Ok(Resource::Bucket(bucket)) };
        let name = StreamName::parse(stream).map_err(ResourceError::Name)?;
        if StreamPattern::is_pattern(stream) {
            StreamPattern::parse(bucket.clone(), stream).map_err(ResourceError::Pattern)?;
            return Ok(Resource::Glob(bucket, name));
        }
        Ok(Resource::Stream(StreamKey { bucket, stream: name }))
    }

    /// The bucket, if it is about one.
    pub fn bucket(&self) -> Option<&BucketName> {
        match self {
            Resource::Any => None,
            Resource::Bucket(bucket) | Resource::Glob(bucket, _) => Some(bucket),
            Resource::Stream(stream) => Some(&stream.bucket),
        }
    }

    /// The stream or the glob, if it is about less than a bucket.
    pub fn stream(&self) -> Option<&StreamName> {
        match self {
            Resource::Any | Resource::Bucket(_) => None,
            Resource::Stream(stream) => Some(&stream.stream),
            Resource::Glob(_, glob) => Some(glob),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_every_bucket_a_bucket_a_stream_or_a_glob() {
        let parse = |bucket: &str, stream: Option<&str>| Resource::parse(bucket, stream).expect(bucket);
        assert_eq!(parse("any", None), Resource::Any);
        assert_eq!(parse("*", None), Resource::Any);
        assert!(matches!(parse("iot", None), Resource::Bucket(_)));
        assert!(matches!(parse("iot", Some("a/b")), Resource::Stream(_)));
        assert!(matches!(parse("iot", Some("a/*/b")), Resource::Glob(..)));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        assert!(matches!(Resource::parse("", None), Err(ResourceError::Name(NameError::Empty))));
        assert!(matches!(Resource::parse("b", Some("a+")), Err(ResourceError::Name(_))));
        assert!(matches!(Resource::parse("b", Some("a**")), Err(ResourceError::Pattern(_))));
        assert!(matches!(Resource::parse("any", Some("s")), Err(ResourceError::StreamOfAny)));
    }
}
