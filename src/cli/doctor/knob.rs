//! A knob of the host, as its file in `tuning/knobs` describes it: the types, and the text decoded.
//!
//! `table` decodes the files that are compiled in, `judge` walks the checks. A file that does not decode is a
//! programmer's error, found by the tests; an unknown key is one, so that a misspelt rule cannot be silent.

use toml::de::{DeTable, DeValue};

/// One thing of the host that can be set.
#[derive(Debug)]
pub(super) struct Knob {
    /// The name of its file, without the ending.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) title: String,
    /// Why it matters; lines.
    pub(super) reason: String,
    /// Its effect where it was measured, or that it was not.
    pub(super) measured: String,
    /// What is looked at.
    pub(super) checks: Vec<Check>,
}

/// A value of the host, what it should be, and how it becomes that.
#[derive(Debug)]
pub(super) struct Check {
    /// What the value is called.
    pub(super) what: String,
    /// When the value matters at all.
    pub(super) applies: Applies,
    /// The file with the value. May hold `{disk}`, `{nic}` or `{cpu}`, for each of which there is a value, or
    /// one `*`. Of a directory, its names are the text, one a line.
    pub(super) read: String,
    /// The command by which a person sees the value.
    pub(super) look: String,
    /// Where in the text it stands.
    pub(super) take: Take,
    /// Whether numbers are bytes.
    pub(super) is_bytes: bool,
    /// What it should be.
    pub(super) rule: Rule,
    /// What it means that the file is not there; `None`: nobody knows.
    pub(super) absent: Option<String>,
    /// Sentences about values that may be found.
    pub(super) say: Vec<(String, String)>,
    /// What takes the place of `{instead}` in [`Check::set`], by the value that was found.
    pub(super) instead: Vec<(String, String)>,
    /// The command that sets it until the machine restarts; empty where nothing is to be set.
    pub(super) set: String,
    /// What sets it for good; empty where nothing is to be set.
    pub(super) persist: String,
}

/// When a check matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applies {
    /// Always.
    Always,
    /// When clients come over a network device.
    Network,
    /// When the server's cores spin, and so belong to it alone.
    Dedicated,
}

/// Where in a file's text the value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// The text is the value.
    Text,
    /// The text is a number.
    Number,
    /// The word with this number, from 1, is a number.
    Field(usize),
    /// The word in square brackets.
    Chosen,
    /// The soft limit of this name in the form of `/proc/self/limits`.
    Limit(String),
    /// The number of lines that begin so.
    Count(String),
    /// The type of the data directory's file system.
    MountType,
    /// The options of the data directory's mount, one a line.
    MountOptions,
    /// The interrupts of the devices in use.
    Interrupts,
}

/// What a value should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A number that is large enough.
    AtLeast(Amount),
    /// One of these words; of the second list as well on a disk that spins.
    OneOf(Vec<String>, Vec<String>),
    /// No line is one of these words.
    Without(Vec<String>),
    /// For each of these words, some line begins with it.
    Has(Vec<String>),
    /// Interrupts of one device do not all arrive at one core.
    Spread,
    /// Anything: it is shown.
    Shown,
}

/// A number that grows with the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    /// Whatever the size of the server.
    pub(super) base: u64,
    /// For each core.
    pub(super) per_core: u64,
    /// For each connection that is allowed.
    pub(super) per_connection: u64,
}

/// Why a knob's file does not decode: which key, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KnobError {
    /// The key; empty for the file as a whole.
    pub(super) key: String,
    /// What is wrong.
    pub(super) what: String,
}

impl KnobError {
    fn new(key: &str, what: impl Into<String>) -> KnobError {
        KnobError { key: key.to_owned(), what: what.into() }
    }
}

impl Knob {
    /// Decodes the text of a knob's file.
    ///
    /// # Errors
    /// A key that is missing, unknown, of the wrong type or without sense, or text that is no TOML.
    pub(super) fn decode(name: &'static str, text: &str) -> Result<Knob, KnobError> {
        let document = DeTable::parse(text).map_err(|error| KnobError::new("", error.message()))?;
        let mut keys = Keys::new(document.get_ref());
        let knob = Knob {
            name,
            title: keys.text("title")?,
            reason: keys.text("reason")?,
            measured: keys.text("measured")?,
            checks: keys.checks()?,
        };
        keys.end()?;
        Ok(knob)
    }
}

impl Check {
    fn decode(table: &DeTable<'_>) -> Result<Check, KnobError> {
        let mut keys = Keys::new(table);
        let read = keys.text("read")?;
        let check = Check {
            what: keys.text("what")?,
            applies: keys.applies()?,
            look: keys.text_or("look", &format!("cat {read}"))?,
            read,
            take: keys.take()?,
            is_bytes: keys.is_bytes()?,
            rule: keys.rule()?,
            absent: keys.optional_text("absent")?,
            say: keys.sentences("say")?,
            instead: keys.sentences("instead")?,
            set: keys.text_or("set", "")?,
            persist: keys.text_or("persist", "")?,
        };
        keys.end()?;
        let is_settable = !check.set.is_empty() && !check.persist.is_empty();
        if is_settable == (check.rule == Rule::Shown) {
            return Err(KnobError::new(
                "set",
                "stands, with `persist`, where there is a rule and only there",
            ));
        }
        if !check.rule.fits(&check.take) {
            return Err(KnobError::new("take", "gives nothing that the rule could judge"));
        }
        Ok(check)
    }
}

impl Rule {
    fn fits(&self, take: &Take) -> bool {
        let is_number = matches!(take, Take::Number | Take::Field(_) | Take::Limit(_) | Take::Count(_));
        match self {
            Rule::AtLeast(_) => is_number,
            Rule::OneOf(..) => matches!(take, Take::Text | Take::Chosen | Take::MountType),
            Rule::Without(_) | Rule::Has(_) => matches!(take, Take::Text | Take::MountOptions),
            Rule::Spread => *take == Take::Interrupts,
            Rule::Shown => *take != Take::Interrupts,
        }
    }
}

/// The keys of a table, each to be asked for once.
struct Keys<'a, 'i> {
    table: &'a DeTable<'i>,
    asked: Vec<&'static str>,
}

impl<'a, 'i> Keys<'a, 'i> {
    fn new(table: &'a DeTable<'i>) -> Keys<'a, 'i> {
        Keys { table, asked: Vec::new() }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a DeValue<'i>> {
        self.asked.push(key);
        self.table.get(key).map(|value| value.get_ref())
    }

    fn optional_text(&mut self, key: &'static str) -> Result<Option<String>, KnobError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_str().map(str::trim) {
            Some(text) if !text.is_empty() => Ok(Some(text.to_owned())),
            _ => Err(KnobError::new(key, "is not a text")),
        }
    }

    fn text(&mut self, key: &'static str) -> Result<String, KnobError> {
        self.optional_text(key)?.ok_or_else(|| KnobError::new(key, "is missing"))
    }

    fn text_or(&mut self, key: &'static str, otherwise: &str) -> Result<String, KnobError> {
        Ok(self.optional_text(key)?.unwrap_or_else(|| otherwise.to_owned()))
    }

    fn number(&mut self, key: &'static str) -> Result<Option<u64>, KnobError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        number.map(Some).ok_or_else(|| KnobError::new(key, "is not a count"))
    }

    fn words(&mut self, key: &'static str) -> Result<Option<Vec<String>>, KnobError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let words = value.as_array().map(|items| items.iter().map(|item| item.get_ref().as_str()));
        let words: Option<Vec<&str>> = words.and_then(Iterator::collect);
        let words = words.filter(|words| !words.is_empty());
        let owned = words.map(|words| words.into_iter().map(str::to_owned).collect());
        owned.map(Some).ok_or_else(|| KnobError::new(key, "is not a list of words"))
    }

    fn sentences(&mut self, key: &'static str) -> Result<Vec<(String, String)>, KnobError> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let table = value.as_table().ok_or_else(|| KnobError::new(key, "is not a table"))?;
        let mut sentences = Vec::new();
        for (word, sentence) in table {
            let sentence = sentence.get_ref().as_str().ok_or_else(|| KnobError::new(key, "is not a text"))?;
            sentences.push((word.get_ref().to_string(), sentence.to_owned()));
        }
        Ok(sentences)
    }

    fn applies(&mut self) -> Result<Applies, KnobError> {
        match self.optional_text("applies")?.as_deref() {
            None => Ok(Applies::Always),
            Some("network") => Ok(Applies::Network),
            Some("dedicated") => Ok(Applies::Dedicated),
            Some(_) => Err(KnobError::new("applies", "is none of network, dedicated")),
        }
    }

    fn is_bytes(&mut self) -> Result<bool, KnobError> {
        match self.optional_text("unit")?.as_deref() {
            None => Ok(false),
            Some("bytes") => Ok(true),
            Some(_) => Err(KnobError::new("unit", "is not bytes")),
        }
    }

    fn take(&mut self) -> Result<Take, KnobError> {
        let text = self.text("take")?;
        let unknown = || KnobError::new("take", format!("`{text}` is unknown"));
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let take = match (word, rest) {
            ("field", rest) => Take::Field(rest.parse().ok().filter(|n| *n > 0).ok_or_else(unknown)?),
            ("limit", rest) if !rest.is_empty() => Take::Limit(rest.to_owned()),
            ("count", rest) if !rest.is_empty() => Take::Count(rest.to_owned()),
            ("text", "") => Take::Text,
            ("number", "") => Take::Number,
            ("chosen", "") => Take::Chosen,
            ("mount-type", "") => Take::MountType,
            ("mount-options", "") => Take::MountOptions,
            ("interrupts", "") => Take::Interrupts,
            _ => return Err(unknown()),
        };
        Ok(take)
    }

    /// The one rule of a check.
    fn rule(&mut self) -> Result<Rule, KnobError> {
        let mut rules = Vec::new();
        let (per_core, per_connection) = (self.number("per-core")?, self.number("per-connection")?);
        if let Some(base) = self.number("at-least")? {
            let (per_core, per_connection) = (per_core.unwrap_or(0), per_connection.unwrap_or(0));
            rules.push(Rule::AtLeast(Amount { base, per_core, per_connection }));
        } else if per_core.or(per_connection).is_some() {
            return Err(KnobError::new("at-least", "is missing"));
        }
        let spinning = self.words("spinning-one-of")?;
        match self.words("one-of")? {
            Some(words) => rules.push(Rule::OneOf(words, spinning.unwrap_or_default())),
            None if spinning.is_some() => return Err(KnobError::new("one-of", "is missing")),
            None => {}
        }
        rules.extend(self.words("without")?.map(Rule::Without));
        rules.extend(self.words("has")?.map(Rule::Has));
        rules.extend(self.value("spread").map(|_| Rule::Spread));
        if rules.len() > 1 {
            return Err(KnobError::new("", "has more than one rule"));
        }
        Ok(rules.pop().unwrap_or(Rule::Shown))
    }

    fn checks(&mut self) -> Result<Vec<Check>, KnobError> {
        let list = self.value("check").and_then(DeValue::as_array).map(|list| list.iter());
        let checks: Result<Vec<Check>, KnobError> = list
            .into_iter()
            .flatten()
            .map(|item| item.get_ref().as_table().ok_or_else(|| KnobError::new("check", "is not a table")))
            .map(|table| Check::decode(table?))
            .collect();
        checks.and_then(|checks| match checks.is_empty() {
            true => Err(KnobError::new("check", "is missing")),
            false => Ok(checks),
        })
    }

    /// Nobody asked for what is left.
    fn end(self) -> Result<(), KnobError> {
        let unknown = self.table.keys().find(|key| !self.asked.contains(&key.get_ref().as_ref()));
        unknown.map_or(Ok(()), |key| Err(KnobError::new(key.get_ref(), "is unknown")))
    }
}
