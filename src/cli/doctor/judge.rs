//! A check and what was seen of the host, made into verdicts.
//!
//! Pure: `doctor` calls [`judge`] for every check of every knob, the tests call it with sample texts. What
//! cannot be looked at is `unknown` with the reason, never a failure and never a guess.

use super::interrupts;
use super::knob::{Amount, Applies, Check, Rule, Take};
use super::sight::{Place, Reading, Sight};

/// What came out of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// As it should be, or nothing is asked of it.
    Ok,
    /// Could be better.
    Tune,
    /// Could not be looked at.
    Unknown,
    /// Does not matter on this host, or for this configuration.
    Moot,
}

impl Status {
    /// The word in both forms of output.
    pub(super) fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Tune => "tune",
            Status::Unknown => "unknown",
            Status::Moot => "n/a",
        }
    }
}

/// A value of the host beside what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What came out.
    pub(super) status: Status,
    /// The devices or cores meant; empty when the host as a whole is.
    pub(super) subjects: Vec<String>,
    /// The value; empty when there is none.
    pub(super) found: String,
    /// What it should be; empty when anything will do.
    pub(super) wanted: String,
    /// What the value means, or why there is none; may be empty.
    pub(super) note: String,
    /// The command by which a person sees it.
    pub(super) look: String,
    /// The command that sets it.
    pub(super) set: String,
    /// What sets it for good.
    pub(super) persist: String,
}

impl Verdict {
    /// A value that was found.
    pub(super) fn found(check: &Check, sight: &Sight, status: Status, found: String) -> Verdict {
        Verdict {
            status,
            subjects: Vec::new(),
            found,
            wanted: wanted(check, sight),
            note: String::new(),
            look: fill(&check.look, check, sight),
            set: fill(&check.set, check, sight),
            persist: fill(&check.persist, check, sight),
        }
    }

    /// No value, for this reason.
    pub(super) fn unknown(check: &Check, sight: &Sight, why: impl Into<String>) -> Verdict {
        let nothing = Verdict::found(check, sight, Status::Unknown, String::new());
        Verdict { note: why.into(), ..nothing }
    }

    fn moot(check: &Check, sight: &Sight, why: impl Into<String>) -> Verdict {
        Verdict { status: Status::Moot, ..Verdict::unknown(check, sight, why) }
    }

    /// With `text` in the place of `slot` in every command.
    pub(super) fn with(mut self, slot: &str, text: &str) -> Verdict {
        for command in [&mut self.look, &mut self.set, &mut self.persist] {
            *command = command.replace(slot, text);
        }
        self
    }
}

/// The verdicts of a check: one, or one for each device and for each group of cores with the same value.
pub(super) fn judge(check: &Check, sight: &Sight) -> Vec<Verdict> {
    let verdicts = judge_all(check, sight);
    // What is not known stands there as a person would write it.
    let slots = [
        ("{disk}", "DISK"),
        ("{nic}", "DEVICE"),
        ("{irq}", "IRQ"),
        ("{cpu}", "CPU"),
        ("{instead}", "OPTION"),
    ];
    let name_rest =
        |verdict: Verdict| slots.iter().fold(verdict, |verdict, (slot, name)| verdict.with(slot, name));
    verdicts.into_iter().map(name_rest).collect()
}

fn judge_all(check: &Check, sight: &Sight) -> Vec<Verdict> {
    let moot = |why| vec![Verdict::moot(check, sight, why)];
    match check.applies {
        Applies::Network if !sight.plan.is_on_network => return moot("clients come over loopback alone"),
        Applies::Dedicated if !sight.plan.is_dedicated => {
            return moot("the cores are not the server's own (server.spin_us is 0)");
        }
        _ => {}
    }
    if check.take == Take::Interrupts {
        return interrupts::judge(check, sight);
    }
    let places = sight.places(check);
    if places.is_empty() {
        return match check.read.contains("{nic}") {
            true => moot("there are no network devices but virtual ones"),
            false => vec![Verdict::unknown(check, sight, sight.why_no_disk())],
        };
    }
    let mut verdicts: Vec<Verdict> = Vec::new();
    for place in places {
        let verdict = judge_place(check, sight, &place);
        let alike = verdicts.iter_mut().find(|known| is_alike(known, &verdict));
        match alike {
            Some(known) => known.subjects.extend(verdict.subjects),
            None => verdicts.push(verdict),
        }
    }
    verdicts
}

fn is_alike(one: &Verdict, other: &Verdict) -> bool {
    Verdict { subjects: Vec::new(), ..one.clone() } == Verdict { subjects: Vec::new(), ..other.clone() }
}

fn judge_place(check: &Check, sight: &Sight, place: &Place) -> Verdict {
    // The path of one core would keep alike cores apart.
    let shown = if place.slot == "{cpu}" { &check.read } else { &place.path };
    let verdict = match sight.reading(&place.path) {
        Reading::Text(text) => match take(check, sight, text) {
            Ok(value) => apply(check, sight, place, &value),
            Err(why) => Verdict::unknown(check, sight, format!("{shown} {why}")),
        },
        Reading::Refused(why) => Verdict::unknown(check, sight, format!("{shown}: {why}")),
        Reading::Absent => match &check.absent {
            Some(why) if sight.can_tell_absence(&place.path) => Verdict::moot(check, sight, why),
            _ => Verdict::unknown(check, sight, format!("{shown} is not there")),
        },
    };
    let verdict = if place.slot.is_empty() { verdict } else { verdict.with(place.slot, &place.name) };
    let subjects = Some(place.subject()).filter(|subject| !subject.is_empty()).into_iter().collect();
    Verdict { subjects, ..verdict }
}

/// The value in a file's text.
fn take(check: &Check, sight: &Sight, text: &str) -> Result<String, String> {
    let word = |index: usize| {
        let word = text.split_whitespace().nth(index).map(str::to_owned);
        word.ok_or_else(|| "has too few words".to_owned())
    };
    match &check.take {
        Take::Text => Ok(text.trim().to_owned()),
        Take::Number => word(0),
        Take::Field(count) => word(count - 1),
        Take::Chosen => chosen(text).ok_or_else(|| "has no word in brackets".to_owned()),
        Take::Limit(name) => soft_limit(text, name).ok_or_else(|| format!("has no line `{name}`")),
        Take::Count(prefix) => Ok(text.lines().filter(|line| line.starts_with(prefix)).count().to_string()),
        Take::MountType | Take::MountOptions => {
            let mount = sight.mount().ok_or_else(|| "has no mount around the data directory".to_owned())?;
            Ok(if check.take == Take::MountType { mount.kind } else { mount.options.join("\n") })
        }
        Take::Interrupts => unreachable!("interrupts have a module of their own"),
    }
}

/// The word in brackets. A single word without brackets, as layers of devices have, is meant as well.
fn chosen(text: &str) -> Option<String> {
    let inner = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(word, _)| word);
    let mut words = text.split_whitespace();
    let single = words.next().filter(|_| words.next().is_none());
    inner.or(single).map(str::to_owned)
}

fn soft_limit(text: &str, name: &str) -> Option<String> {
    let row = text.lines().find_map(|line| line.strip_prefix(name))?;
    row.split_whitespace().next().map(str::to_owned)
}

/// The rule of a check on a value.
fn apply(check: &Check, sight: &Sight, place: &Place, value: &str) -> Verdict {
    let verdict = |is_met: bool, found: String| {
        let status = if is_met { Status::Ok } else { Status::Tune };
        Verdict::found(check, sight, status, found)
    };
    let lines: Vec<&str> = value.lines().map(str::trim).collect();
    match &check.rule {
        Rule::AtLeast(amount) => match number(value) {
            Some(found) => verdict(found >= amount.of(sight), show_number(found, check.is_bytes)),
            None => Verdict::unknown(check, sight, format!("{}: `{value}` is not a number", place.path)),
        },
        Rule::OneOf(words, when_spinning) => {
            let is_spinning = place.slot == "{disk}" && sight.spins(&place.name);
            let more = when_spinning.iter().filter(|_| is_spinning);
            let is_met = words.iter().chain(more).any(|word| word == value);
            Verdict { note: sentence(&check.say, value), ..verdict(is_met, value.to_owned()) }
        }
        Rule::Without(words) => {
            let there: Vec<&str> = words.iter().map(String::as_str).filter(|w| lines.contains(w)).collect();
            let Some(first) = there.first() else { return verdict(true, wanted(check, sight)) };
            let told = verdict(false, there.join(", "));
            Verdict {
                note: sentence(&check.say, first),
                ..told.with("{instead}", &sentence(&check.instead, first))
            }
        }
        Rule::Has(words) => {
            let has = |word: &&String| lines.iter().any(|line| line.starts_with(word.as_str()));
            let missing: Vec<&str> = words.iter().filter(|w| !has(w)).map(String::as_str).collect();
            match missing.is_empty() {
                true => verdict(true, wanted(check, sight)),
                false => verdict(false, format!("no {}", missing.join(", "))),
            }
        }
        Rule::Shown => {
            let found = match number(value).filter(|_| check.is_bytes) {
                Some(number) => show_number(number, true),
                None => value.to_owned(),
            };
            Verdict { note: sentence(&check.say, value), ..verdict(true, found) }
        }
        Rule::Spread => unreachable!("a rule of interrupts alone"),
    }
}

fn sentence(sentences: &[(String, String)], value: &str) -> String {
    sentences.iter().find(|(word, _)| word == value).map_or_else(String::new, |(_, text)| text.clone())
}

fn number(value: &str) -> Option<u64> {
    if value == "unlimited" { Some(u64::MAX) } else { value.parse().ok() }
}

impl Amount {
    /// The number for this server.
    fn of(self, sight: &Sight) -> u64 {
        let (cores, connections) = (sight.plan.cores.len() as u64, sight.plan.connections_max as u64);
        let grown = (self.per_core.saturating_mul(cores), self.per_connection.saturating_mul(connections));
        self.base.saturating_add(grown.0).saturating_add(grown.1)
    }
}

/// What a check wants, for people.
fn wanted(check: &Check, sight: &Sight) -> String {
    match &check.rule {
        Rule::AtLeast(amount) => format!("at least {}", show_number(amount.of(sight), check.is_bytes)),
        Rule::OneOf(words, _) => words.join(" or "),
        Rule::Without(words) => format!("none of {}", words.join(", ")),
        Rule::Has(words) => format!("lines with {}", words.join(", ")),
        Rule::Spread => "not all queues of a device at one of the server's cores".to_owned(),
        Rule::Shown => String::new(),
    }
}

/// A command with everything in its place that is the same for all devices.
fn fill(command: &str, check: &Check, sight: &Sight) -> String {
    let wanted = match &check.rule {
        Rule::AtLeast(amount) => amount.of(sight).to_string(),
        _ => String::new(),
    };
    let point = sight.mount().map_or_else(|| "MOUNT".to_owned(), |mount| mount.point.display().to_string());
    let command = command.replace("{wanted}", &wanted).replace("{mount}", &point);
    command.replace("{dir}", &sight.plan.data_dir.display().to_string())
}

fn show_number(number: u64, is_bytes: bool) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    if number == u64::MAX {
        return "unlimited".to_owned();
    }
    let whole = |shift: &u32| number > 0 && number.is_multiple_of(1 << shift);
    let unit = UNITS.iter().find(|(shift, _)| is_bytes && whole(shift));
    match unit {
        Some((shift, unit)) => format!("{} {unit}", number >> shift),
        None if is_bytes => format!("{number} bytes"),
        None => number.to_string(),
    }
}
