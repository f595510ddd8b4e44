//! The settings of streams and buckets as a value: parse, print, inherit.
//!
//! A member that is absent is inherited: system → bucket → stream. The text form is a JSON object and the
//! same on the wire and in the `$meta` bucket. Retention members are refused until they are enforced: what
//! is stored here holds.

use serde_json::{Map, Value};
use std::collections::HashMap;
use types::{BucketName, Epoch, Failure, Limits, SeqNum, StreamKey};

/// Members that a later version enforces.
const RETENTION: [&str; 3] = ["max_events", "max_bytes", "max_age"];

/// What settings belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All streams of a bucket.
    Bucket(BucketName),
    /// One stream.
    Stream(StreamKey),
}

/// Whether a request may ask to be answered before its events are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryAck {
    /// `"ack":"fsync"`: never.
    Refused,
    /// `"ack":"memory"`: with `?ack=memory`.
    Allowed,
}

impl MemoryAck {
    fn text(self) -> &'static str {
        match self {
            MemoryAck::Refused => "fsync",
            MemoryAck::Allowed => "memory",
        }
    }
}

/// What was set; `None` is inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `ack`.
    pub ack: Option<MemoryAck>,
    /// `tail_events`: newest events that stay in memory.
    pub tail_events: Option<u32>,
    /// `tail_bytes`: bytes of newest events that stay in memory.
    pub tail_bytes: Option<u32>,
}

/// What holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effective {
    /// See [`Settings::ack`].
    pub ack: MemoryAck,
    /// See [`Settings::tail_events`].
    pub tail_events: u32,
    /// See [`Settings::tail_bytes`].
    pub tail_bytes: u32,
}

impl Settings {
    /// Reads a JSON object. `null` is the same as absent.
    ///
    /// # Errors
    /// [`Failure::InvalidBody`] if it is no JSON object; [`Failure::InvalidSetting`] names the first member
    /// that is unknown, not yet enforced, or has a value that it cannot have.
    pub fn parse(text: &[u8]) -> Result<Settings, Failure> {
        let object: Map<String, Value> = serde_json::from_slice(text).map_err(|error| {
            Failure::InvalidBody { detail: format!("settings are a JSON object: {error}").into() }
        })?;
        let mut settings = Settings::default();
        for (field, value) in object {
            if RETENTION.contains(&field.as_str()) {
                return Err(invalid(&field, &value, "retention comes with a later version"));
            }
            match field.as_str() {
                "ack" => settings.ack = parse_ack(&field, &value)?,
                "tail_events" => settings.tail_events = parse_count(&field, &value)?,
                "tail_bytes" => settings.tail_bytes = parse_count(&field, &value)?,
                _ => return Err(invalid(&field, &value, "settings are ack, tail_events and tail_bytes")),
            }
        }
        Ok(settings)
    }

    /// The JSON object with what was set.
    pub fn to_json(self) -> Value {
        let mut object = Map::new();
        if let Some(ack) = self.ack {
            object.insert("ack".to_owned(), ack.text().into());
        }
        let counts = [("tail_events", self.tail_events), ("tail_bytes", self.tail_bytes)];
        for (field, count) in counts {
            if let Some(count) = count {
                object.insert(field.to_owned(), count.into());
            }
        }
        Value::Object(object)
    }

    fn over(self, inherited: Effective) -> Effective {
        Effective {
            ack: self.ack.unwrap_or(inherited.ack),
            tail_events: self.tail_events.unwrap_or(inherited.tail_events),
            tail_bytes: self.tail_bytes.unwrap_or(inherited.tail_bytes),
        }
    }
}

impl Effective {
    /// The JSON object with every member.
    pub fn to_json(self) -> Value {
        let Effective { ack, tail_events, tail_bytes } = self;
        Settings { ack: Some(ack), tail_events: Some(tail_events), tail_bytes: Some(tail_bytes) }.to_json()
    }
}

fn parse_ack(field: &str, value: &Value) -> Result<Option<MemoryAck>, Failure> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text == "fsync" => Ok(Some(MemoryAck::Refused)),
        Value::String(text) if text == "memory" => Ok(Some(MemoryAck::Allowed)),
        _ => Err(invalid(field, value, "ack is \"fsync\" or \"memory\"")),
    }
}

fn parse_count(field: &str, value: &Value) -> Result<Option<u32>, Failure> {
    if value.is_null() {
        return Ok(None);
    }
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    count.map(Some).ok_or_else(|| invalid(field, value, "a whole number from 0 to 4294967295"))
}

fn invalid(field: &str, value: &Value, detail: &'static str) -> Failure {
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Failure::InvalidSetting { field: field.to_owned(), value, detail: detail.into() }
}

/// Which of two states of one scope is newer: that of the greater event of its `$meta` stream.
pub(super) type Version = (Epoch, SeqNum);

/// All settings, as one core knows them.
pub(super) struct SettingsTable {
    system: Effective,
    set: HashMap<Scope, (Version, Settings)>,
}

impl SettingsTable {
    pub(super) fn new(limits: &Limits) -> Self {
        let clamp = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let (tail_events, tail_bytes) = (clamp(limits.tail_events), clamp(limits.tail_bytes));
        let system = Effective { ack: MemoryAck::Refused, tail_events, tail_bytes };
        SettingsTable { system, set: HashMap::new() }
    }

    /// Takes a state over unless a newer one is known.
    pub(super) fn apply(&mut self, scope: Scope, version: Version, settings: Settings) {
        let known = self.set.get(&scope).is_some_and(|(known, _)| *known >= version);
        if !known {
            self.set.insert(scope, (version, settings));
        }
    }

    /// What was set for a scope.
    pub(super) fn own(&self, scope: &Scope) -> Settings {
        self.set.get(scope).map(|(_, settings)| *settings).unwrap_or_default()
    }

    /// What holds for a scope.
    pub(super) fn effective(&self, scope: &Scope) -> Effective {
        match scope {
            Scope::Bucket(_) => self.own(scope).over(self.system),
            Scope::Stream(stream) => self.effective_of(stream),
        }
    }

    /// What holds for a stream. Costs nothing while nothing was ever set.
    pub(super) fn effective_of(&self, stream: &StreamKey) -> Effective {
        if self.set.is_empty() {
            return self.system;
        }
        let bucket = self.own(&Scope::Bucket(stream.bucket.clone())).over(self.system);
        self.own(&Scope::Stream(stream.clone())).over(bucket)
    }

    /// Events and bytes of a stream to keep in memory, where they were ever set for it or its bucket: also
    /// when that was taken back, since a shard may still hold what was said before.
    pub(super) fn tail_of(&self, stream: &StreamKey) -> Option<(u32, u32)> {
        let is_set = |scope| self.set.contains_key(&scope);
        let was_ever_set = !self.set.is_empty()
            && (is_set(Scope::Bucket(stream.bucket.clone())) || is_set(Scope::Stream(stream.clone())));
        was_ever_set.then(|| {
            let effective = self.effective_of(stream);
            (effective.tail_events, effective.tail_bytes)
        })
    }

    /// The streams that have settings of their own.
    pub(super) fn streams(&self) -> impl Iterator<Item = &StreamKey> {
        self.set.keys().filter_map(|scope| match scope {
            Scope::Stream(stream) => Some(stream),
            Scope::Bucket(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> (String, String) {
        match Settings::parse(text.as_bytes()) {
            Err(Failure::InvalidSetting { field, value, .. }) => (field, value),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn settings_are_read_as_they_are_printed() {
        let text = r#"{"ack":"memory","tail_bytes":0,"tail_events":7}"#;
        let settings = Settings::parse(text.as_bytes()).expect("valid");
        assert_eq!(settings.ack, Some(MemoryAck::Allowed));
        assert_eq!((settings.tail_events, settings.tail_bytes), (Some(7), Some(0)));
        assert_eq!(settings.to_json().to_string(), text);
        assert_eq!(Settings::parse(br#"{"ack":null}"#), Ok(Settings::default()));
    }

    #[test]
    fn what_cannot_be_set_is_refused_by_name_and_value() {
        for (text, field, value) in [
            (r#"{"max_age":"1d"}"#, "max_age", "1d"),
            (r#"{"max_events":10}"#, "max_events", "10"),
            (r#"{"max_bytes":null}"#, "max_bytes", "null"),
            (r#"{"ack":"disk"}"#, "ack", "disk"),
            (r#"{"ack":1}"#, "ack", "1"),
            (r#"{"tail_events":-1}"#, "tail_events", "-1"),
            (r#"{"tail_events":1.5}"#, "tail_events", "1.5"),
            (r#"{"tail_bytes":4294967296}"#, "tail_bytes", "4294967296"),
            (r#"{"colour":true}"#, "colour", "true"),
        ] {
            assert_eq!(refusal(text), (field.to_owned(), value.to_owned()), "{text}");
        }
        for text in ["", "[]", "1", "{", "\u{feff}{}"] {
            let parsed = Settings::parse(text.as_bytes());
            assert!(matches!(parsed, Err(Failure::InvalidBody { .. })), "{text}");
        }
    }

    #[test]
    fn a_stream_inherits_from_its_bucket_and_the_bucket_from_the_system() {
        let mut table = SettingsTable::new(&Limits::default());
        let stream = StreamKey::parse("b", "s").expect("a valid name");
        let of_bucket = Scope::Bucket(stream.bucket.clone());
        let of_stream = Scope::Stream(stream.clone());
        let version = |seq| (Epoch(1), SeqNum(seq));
        assert_eq!(table.effective_of(&stream), table.system);
        let allowed = Settings { ack: Some(MemoryAck::Allowed), tail_events: Some(5), tail_bytes: None };
        table.apply(of_bucket.clone(), version(1), allowed);
        assert_eq!(table.effective_of(&stream).ack, MemoryAck::Allowed);
        table.apply(of_stream, version(1), Settings { tail_events: Some(9), ..Settings::default() });
        let effective = table.effective_of(&stream);
        assert_eq!((effective.ack, effective.tail_events), (MemoryAck::Allowed, 9));
        assert_eq!(effective.tail_bytes, table.system.tail_bytes);
        assert_eq!(table.effective(&of_bucket).tail_events, 5);
        table.apply(of_bucket.clone(), version(2), Settings::default());
        assert_eq!(table.effective_of(&stream).ack, MemoryAck::Refused);
    }

    #[test]
    fn a_tail_that_was_taken_back_is_told_as_well() {
        let mut table = SettingsTable::new(&Limits::default());
        let stream = StreamKey::parse("b", "s").expect("a valid name");
        let (scope, version) = (Scope::Bucket(stream.bucket.clone()), |seq| (Epoch(1), SeqNum(seq)));
        assert_eq!(table.tail_of(&stream), None, "a shard knows the system's");
        let few = Settings { tail_events: Some(5), ..Settings::default() };
        table.apply(scope.clone(), version(1), few);
        let bytes = table.system.tail_bytes;
        assert_eq!(table.tail_of(&stream), Some((5, bytes)));
        table.apply(scope, version(2), Settings::default());
        assert_eq!(table.tail_of(&stream), Some((table.system.tail_events, bytes)));
        let other = StreamKey::parse("c", "s").expect("a valid name");
        assert_eq!(table.tail_of(&other), None);
    }

    #[test]
    fn an_older_state_never_replaces_a_newer_one() {
        let mut table = SettingsTable::new(&Limits::default());
        let scope = Scope::Bucket(BucketName::parse("b").expect("a valid name"));
        let events = |count| Settings { tail_events: Some(count), ..Settings::default() };
        table.apply(scope.clone(), (Epoch(3), SeqNum(1)), events(1));
        table.apply(scope.clone(), (Epoch(2), SeqNum(9)), events(2));
        assert_eq!(table.own(&scope), events(1));
    }
}
