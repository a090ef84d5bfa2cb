//! The kind `journal`: searches the journal and says what it adds up to.
//!
//! `journalctl` reads the files, so that the same works wherever systemd does; what is asked of fields and levels
//! is decided here, since services write JSON that journalctl does not look into. Deliberately absent: following a
//! journal as it grows; `until` on a step asks again.
//!
//! **Invariant:** no line is held longer than it takes to count it; see [`tally`].

mod entry;
mod reader;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::TimeDelta;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;

use self::entry::{Entry, LEVELS, Level};
use self::reader::Reader;
use self::tally::Tally;
use super::host::report::word;
use super::process::{Ending, Job};
use super::{Context, Kind, host};
use crate::domain::effect::EffectClass;
use crate::domain::form::{Field, KindForm, Output, Shape};
use crate::domain::moment::moment;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::plan::Change;
use crate::domain::text;
use crate::domain::time::{Span, Timestamp};

/// The kind `journal`.
#[derive(Debug)]
pub struct Journal;

/// How far back is searched when a step does not say.
const SINCE: &str = "10m";

/// Lines that are kept when a step does not say.
const LINES: usize = 50;

/// The largest compiled pattern; the default of the library would take ten times as much.
const PATTERN: usize = 1024 * 1024;

static FORM: KindForm = KindForm {
    name: "journal",
    summary: "Searches the journal: counts, the commonest messages and the newest lines.",
    shorthand: Some("unit"),
    verbs: &[],
    fields: &[
        Field::optional(
            "unit",
            Shape::OneOrMany(&Shape::Unit),
            "Units or glob patterns over them; every unit by default.",
        ),
        Field::optional("since", Shape::Text, "How long ago, such as `5m`, or an instant in UTC; `10m` by default."),
        Field::optional("until", Shape::Text, "How long ago, or an instant in UTC; now by default."),
        Field::optional(
            "text",
            Shape::Text,
            "What the message contains; upper and lower case matter only if it has upper case.",
        ),
        Field::optional(
            "regex",
            Shape::Text,
            "A regular expression that the message matches, upper and lower case likewise.",
        ),
        Field::optional(
            "field",
            Shape::MapOf(&Shape::Text),
            "Values of fields inside the message's JSON, such as `orderId`, or of the journal.",
        ),
        Field::optional(
            "level",
            Shape::OneOf(LEVELS),
            "At least this level: the one inside the message's JSON, else the journal's priority.",
        ),
        Field::optional(
            "limit",
            Shape::Integer { min: 0, max: 1000 },
            "How many of the newest lines are kept; 50 by default.",
        ),
        Field::optional(
            "directory",
            Shape::Text,
            "The directory with journal files; the environment's `journal`, or the host's own, by default.",
        ),
        Field::optional(
            "scope",
            Shape::OneOf(&["system", "user"]),
            "Only the system's or the user's journal; both by default.",
        ),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        Output { name: "matched", help: "How many lines match." },
        Output { name: "scanned", help: "How many lines were looked at." },
        Output { name: "oversized", help: "How many lines were too long to be looked at." },
        Output { name: "by_level", help: "Matching lines by level: `by_level.error`." },
        Output { name: "by_service", help: "Matching lines by service." },
        Output { name: "first", help: "The instant of the oldest matching line; null without one." },
        Output { name: "last", help: "The instant of the newest." },
        Output {
            name: "top",
            help: "The commonest messages: `count`, `level`, `message` with ids and numbers left out, `sample`.",
        },
        Output { name: "lines", help: "The newest matching lines, the oldest of them first." },
        Output { name: "truncated", help: "Whether more lines match than are in `lines`." },
    ],
    example: "journal:\n  unit: \"shop-*\"\n  since: 1h\n  level: error\n  field: { orderId: A-17 }\n",
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Spec {
    unit: OneOrMany,
    since: Option<String>,
    until: Option<String>,
    text: Option<String>,
    regex: Option<String>,
    field: BTreeMap<String, Value>,
    level: Option<String>,
    limit: Option<usize>,
    directory: Option<String>,
    scope: Option<Scope>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scope {
    System,
    User,
}

/// What is searched for, checked.
struct Search {
    units: Vec<String>,
    since: Timestamp,
    until: Option<Timestamp>,
    pattern: Vec<Regex>,
    fields: Vec<(String, String)>,
    level: Option<Level>,
    limit: usize,
}

#[async_trait]
impl Kind for Journal {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> Change {
        let unit = spec.get("unit").map_or_else(|| "every unit".to_owned(), ToString::to_string);
        Change { what: format!("search the journal of {unit}"), place: "this host".to_owned(), ..Change::default() }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let checked = serde_json::from_value(spec.clone()).map_err(|error| error.to_string());
        match checked.and_then(|spec: Spec| Ok((Search::new(&spec, context)?, spec))) {
            Ok((search, spec)) => searched(&search, &search.job(&spec, context), context).await,
            Err(reason) => Outcome::failed(reason, Value::Null),
        }
    }
}

async fn searched(search: &Search, job: &Job, context: &Context) -> Outcome {
    let mut reader = Reader::new(search, context);
    let exit = match host::run_into(job, context, &mut reader).await {
        Ok(exit) => exit,
        Err(error) => return Outcome::failed(error.to_string(), Value::Null),
    };
    let complaint = String::from_utf8_lossy(&reader.complaint).into_owned();
    let output = reader.tally.output();
    let ended = |verdict, how: &str| {
        let summary = format!("journalctl {how}; {}", search.summary(&reader.tally, context));
        Outcome { verdict, ..Outcome::succeeded(summary, output.clone()) }
    };
    let outcome = match exit.ending {
        Ending::Code(0) => Outcome::succeeded(search.summary(&reader.tally, context), output),
        // This is how journalctl says that no unit in the journal matches a pattern.
        Ending::Code(1) if complaint.contains("No data available") => {
            Outcome::succeeded(search.summary(&reader.tally, context), output)
        }
        Ending::TimedOut => ended(Verdict::TimedOut, "had not read everything in time"),
        Ending::Cancelled => ended(Verdict::Cancelled, "was cancelled"),
        Ending::Code(code) => ended(Verdict::Failed, &format!("ended with code {code}{}", said(&complaint, context))),
        Ending::Signal(signal) => ended(Verdict::Failed, &format!("was ended by signal {signal}")),
        Ending::Lost => Outcome::lost("the connection was lost while the journal was read"),
    };
    match reader.tally.transcript() {
        lines if lines.is_empty() => outcome,
        lines => outcome.with_transcript(lines),
    }
}

fn said(complaint: &str, context: &Context) -> String {
    let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
    last.map(|line| format!(" ({})", text::one_line(&context.redactor.scrub(line), 160))).unwrap_or_default()
}

impl Search {
    fn new(spec: &Spec, context: &Context) -> Result<Self, String> {
        let now = context.clock.now();
        let since =
            moment(spec.since.as_deref().unwrap_or(SINCE), now).map_err(|wrong| format!("`since` is {wrong}"))?;
        let until = spec
            .until
            .as_deref()
            .map(|until| moment(until, now).map_err(|wrong| format!("`until` is {wrong}")))
            .transpose()?;
        if until.is_some_and(|until| until < since) {
            return Err("`until` is before `since`".to_owned());
        }
        let plain = spec.text.as_deref().map(|text| pattern("text", text, regex::escape));
        let regex = spec.regex.as_deref().map(|regex| pattern("regex", regex, str::to_owned));
        let field = |(name, value): (&String, &Value)| match word(value) {
            Ok(value) => Ok((name.clone(), value)),
            Err(reason) => Err(format!("`field.{name}` {reason}")),
        };
        let level = |name: &String| Level::named(name).ok_or_else(|| format!("`{name}` is no level"));
        Ok(Self {
            units: spec.unit.all().iter().map(|unit| unit_of(unit, context)).collect(),
            since,
            until,
            pattern: plain.into_iter().chain(regex).collect::<Result<_, _>>()?,
            fields: spec.field.iter().map(field).collect::<Result<_, _>>()?,
            level: spec.level.as_ref().map(level).transpose()?,
            limit: spec.limit.unwrap_or(LINES),
        })
    }

    /// Every value stands in one argument with its option, so that none can be an option itself.
    fn job(&self, spec: &Spec, context: &Context) -> Job {
        // Newest first: whatever ends the search early, the newest lines have been seen.
        let mut argv: Vec<String> =
            ["journalctl", "--output=json", "--all", "--no-pager", "--quiet", "--reverse"].map(str::to_owned).to_vec();
        argv.push(format!("--since=@{}", self.since.timestamp()));
        argv.extend(self.until.map(|until| format!("--until=@{}", (until + TimeDelta::seconds(1)).timestamp())));
        for unit in &self.units {
            argv.push(format!("--unit={unit}"));
            argv.push(format!("--user-unit={unit}"));
        }
        argv.push(format!("--output-fields={}", self.journal_fields().join(",")));
        argv.extend(spec.scope.as_ref().map(|scope| match scope {
            Scope::System => "--system".to_owned(),
            Scope::User => "--user".to_owned(),
        }));
        let directory = spec.directory.as_ref().or(context.environment.journal.as_ref());
        argv.extend(directory.map(|path| format!("--directory={}", context.there(path).display())));
        Job::new(argv, context).env("LC_ALL", "C")
    }

    /// Only what is looked at is asked for, since the journal keeps dozens of fields with every line.
    fn journal_fields(&self) -> Vec<&str> {
        let known = [
            "MESSAGE",
            "PRIORITY",
            "_SYSTEMD_UNIT",
            "_SYSTEMD_USER_UNIT",
            "UNIT",
            "USER_UNIT",
            "SYSLOG_IDENTIFIER",
            "_COMM",
        ];
        let is_field = |name: &&str| name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        known.into_iter().chain(self.fields.iter().map(|(name, _)| name.as_str()).filter(is_field)).collect()
    }

    fn matches(&self, entry: &Entry) -> bool {
        entry.at >= self.since
            && self.until.is_none_or(|until| entry.at <= until)
            && self.level.is_none_or(|level| entry.level >= level)
            && self.fields.iter().all(|(name, value)| entry.has(name, value))
            && self.pattern.iter().all(|pattern| pattern.is_match(&entry.raw) || pattern.is_match(&entry.message()))
    }

    /// `42 lines at error or above from shop-gateway in 5m; commonest: "connect ECONNREFUSED" ×31`.
    fn summary(&self, tally: &Tally, context: &Context) -> String {
        let count = match tally.matched {
            0 => "no lines".to_owned(),
            1 => "1 line".to_owned(),
            many => format!("{} lines", text::grouped(many)),
        };
        let level = match self.level {
            None => String::new(),
            Some(Level::Fatal) => " at fatal".to_owned(),
            Some(level) => format!(" at {} or above", level.name()),
        };
        let fields: String = self.fields.iter().map(|(name, value)| format!(" with {name} {value}")).collect();
        let from = if self.units.is_empty() { String::new() } else { format!(" from {}", self.units.join(", ")) };
        let length = Span::between(self.since, self.until.unwrap_or_else(|| context.clock.now()));
        let seconds = (length.0.as_secs_f64()).round() as u64;
        let found = format!("{count}{level}{fields}{from} in {}", Span::seconds(seconds));
        let found = text::one_line(&context.redactor.mask_phones(&context.redactor.scrub(&found)), 240);
        match tally.commonest() {
            Some((message, count)) if count > 1 => {
                format!("{found}; commonest: \"{}\" ×{count}", text::one_line(message, 80))
            }
            Some((message, _)) if tally.matched == 1 => format!("{found}: \"{}\"", text::one_line(message, 80)),
            _ => found,
        }
    }
}

/// The unit of a service or datastore of the estate; else the name as it is, since a journal also knows units that
/// are no part of the shop.
fn unit_of(name: &str, context: &Context) -> String {
    let service = context.estate.services.get(name).map(|service| &service.unit);
    let unit = service.or_else(|| context.estate.datastores.get(name).and_then(|store| store.unit.as_ref()));
    unit.cloned().unwrap_or_else(|| name.to_owned())
}

/// A pattern that tells upper from lower case only when it holds upper case, as journalctl's does.
fn pattern(field: &str, given: &str, regex: impl Fn(&str) -> String) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&regex(given));
    builder.case_insensitive(!given.chars().any(char::is_uppercase)).size_limit(PATTERN);
    builder.build().map_err(|error| format!("`{field}`: {}", text::one_line(&error.to_string(), 160)))
}
