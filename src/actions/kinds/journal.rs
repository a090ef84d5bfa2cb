//! The kind `journal`: searches the journal and summarizes the matching lines.
//!
//! `journalctl` reads the files, so every version of the format can be read. Fields and levels are matched here, because
//! journalctl does not parse JSON messages.
//!
//! **Invariant:** memory is bounded: lines are counted and dropped, except the newest ones; see [`digest`].
//!
//! Not here: following a journal; use a step's `until`.

mod digest;
pub mod journalctl_exit;
mod parser;
pub mod query;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use self::digest::Digest;
use self::journalctl_exit::JournalctlExit;
use self::query::{JournalQuery, Scope};
use super::support::one_or_many::OneOrMany;
use super::support::program::argument_text;
use crate::actions::transport::process::Ending;
use crate::actions::{Context, Kind};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::text;
use crate::domain::core::time::Span;
use crate::domain::core::time_input::moment;
use crate::domain::incident::outcome::{Outcome, Verdict};
use crate::domain::incident::plan::PlannedChange;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::export::ExportRecord;
use crate::domain::journal::filter::{FieldValue, JournalFilter, TextPattern};
use crate::domain::journal::level::{LEVELS, Level};

/// Implements the kind `journal`.
#[derive(Debug)]
pub struct Journal;

/// The default of `since`.
const SINCE: &str = "10m";

/// The default of `limit`.
const DEFAULT_LINES: usize = 50;

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
            "Text that the message contains. Case matters only if the text has an upper-case letter.",
        ),
        Field::optional("regex", Shape::Text, "A regular expression that the message matches; for case, as `text`."),
        Field::optional(
            "field",
            Shape::MapOf(&Shape::Text),
            "Values of fields inside the message's JSON, such as `orderId`, or of the journal.",
        ),
        Field::optional(
            "level",
            Shape::OneOf(LEVELS),
            "The lowest level: that in the message's JSON, otherwise the journal's priority.",
        ),
        Field::optional(
            "limit",
            Shape::Integer { min: 0, max: 1000 },
            "How many of the newest lines to keep; 50 by default.",
        ),
        Field::optional(
            "directory",
            Shape::Text,
            "The directory with journal files; by default the environment's `journal`, or the host's own.",
        ),
        Field::optional(
            "scope",
            Shape::OneOf(&["system", "user"]),
            "Only the system's or the user's journal; both by default.",
        ),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        OutputField { name: "matched", help: "How many lines match." },
        OutputField { name: "scanned", help: "How many lines were examined." },
        OutputField { name: "oversized", help: "How many lines were too long to be examined." },
        OutputField { name: "by_level", help: "Matching lines by level: `by_level.error`." },
        OutputField { name: "by_service", help: "Matching lines by service." },
        OutputField { name: "first", help: "The instant of the oldest matching line; null without one." },
        OutputField { name: "last", help: "The instant of the newest matching line." },
        OutputField {
            name: "top",
            help: "The commonest messages: `count`, `level`, `message` without ids and numbers, `sample`.",
        },
        OutputField { name: "lines", help: "The newest matching lines, in the order of time." },
        OutputField { name: "truncated", help: "Whether more lines match than are in `lines`." },
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

struct Search {
    filter: JournalFilter,
    query: JournalQuery,
    limit: usize,
}

#[async_trait]
impl Kind for Journal {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let unit = spec.get("unit").map_or_else(|| "every unit".to_owned(), ToString::to_string);
        PlannedChange {
            what: format!("search the journal of {unit}"),
            place: "this host".to_owned(),
            ..PlannedChange::default()
        }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let checked = serde_json::from_value(spec.clone()).map_err(|error| error.to_string());
        match checked.and_then(|spec: Spec| Search::new(&spec, context)) {
            Ok(search) => perform(&search, context).await,
            Err(reason) => Outcome::failed(reason, Value::Null),
        }
    }
}

async fn perform(search: &Search, context: &Context) -> Outcome {
    let mut digest = Digest::new(search.limit);
    let mut take = |record: &ExportRecord<'_>| {
        if search.filter.may_match(record) {
            let entry = JournalEntry::of(record);
            if search.filter.matches(&entry) {
                digest.add(&entry, &context.redactor);
            }
        }
    };
    let exit = match search.query.read(context, &mut take).await {
        Ok(exit) => exit,
        Err(error) => return Outcome::failed(error.to_string(), Value::Null),
    };
    let outcome = outcome(search, &exit, &digest, context);
    match digest.transcript() {
        lines if lines.is_empty() => outcome,
        lines => outcome.with_transcript(lines),
    }
}

fn outcome(search: &Search, exit: &JournalctlExit, digest: &Digest, context: &Context) -> Outcome {
    if exit.ending == Ending::Lost {
        return Outcome::lost("the connection was lost while the journal was read");
    }
    let (summary, output) = (search.summary(digest, context), digest.output(exit.records, exit.oversized));
    let Some(error) = exit.read_error(context) else {
        return Outcome::succeeded(summary, output);
    };
    let verdict = match exit.ending {
        Ending::TimedOut => Verdict::TimedOut,
        Ending::Cancelled => Verdict::Cancelled,
        Ending::Code(_) | Ending::Signal(_) | Ending::Lost => Verdict::Failed,
    };
    Outcome { verdict, ..Outcome::succeeded(format!("journalctl {error}; {summary}"), output) }
}

impl Search {
    fn new(spec: &Spec, context: &Context) -> Result<Self, String> {
        let now = context.clock.now();
        let since =
            moment(spec.since.as_deref().unwrap_or(SINCE), now).map_err(|error| format!("`since` is {error}"))?;
        let until = spec
            .until
            .as_deref()
            .map(|until| moment(until, now).map_err(|error| format!("`until` is {error}")))
            .transpose()?;
        if until.is_some_and(|until| until < since) {
            return Err("`until` is before `since`".to_owned());
        }
        let in_field = |field: &'static str| move |error: String| format!("`{field}`: {error}");
        let text = spec.text.as_deref().map(|text| TextPattern::text(text).map_err(in_field("text")));
        let regex = spec.regex.as_deref().map(|regex| TextPattern::regex(regex).map_err(in_field("regex")));
        let field = |(name, value): (&String, &Value)| match argument_text(value) {
            Ok(value) => Ok(FieldValue::new(name, &value)),
            Err(reason) => Err(format!("`field.{name}` {reason}")),
        };
        let level = |name: &String| Level::named(name).ok_or_else(|| format!("`{name}` is not a level"));
        let filter = JournalFilter {
            units: spec.unit.as_slice().iter().map(|unit| unit_of(unit, context)).collect(),
            since,
            until,
            patterns: text.into_iter().chain(regex).collect::<Result<_, _>>()?,
            fields: spec.field.iter().map(field).collect::<Result<_, _>>()?,
            level: spec.level.as_ref().map(level).transpose()?,
        };
        let directory = spec.directory.as_ref().or(context.environment.journal.as_ref());
        // Newest first, so that a search that ends early has read the newest lines.
        let query = JournalQuery {
            reverse: true,
            directory: directory.map(PathBuf::from),
            scope: spec.scope,
            // `scanned` counts every line, so journalctl must not filter by message.
            ..JournalQuery::of(&filter).of_every_line()
        };
        Ok(Self { filter, query, limit: spec.limit.unwrap_or(DEFAULT_LINES) })
    }

    /// The summary: `42 lines at error or above from shop-gateway in 5m; commonest: "connect ECONNREFUSED" ×31`.
    fn summary(&self, digest: &Digest, context: &Context) -> String {
        let count = match digest.summary.lines {
            0 => "no lines".to_owned(),
            1 => "1 line".to_owned(),
            many => format!("{} lines", text::grouped(many)),
        };
        let level = match self.filter.level {
            None => String::new(),
            Some(Level::Fatal) => " at fatal".to_owned(),
            Some(level) => format!(" at {} or above", level.name()),
        };
        let fields: String =
            self.filter.fields.iter().map(|field| format!(" with {} {}", field.name(), field.value())).collect();
        let from = if self.filter.units.is_empty() {
            String::new()
        } else {
            format!(" from {}", self.filter.units.join(", "))
        };
        let length = Span::between(self.filter.since, self.filter.until.unwrap_or_else(|| context.clock.now()));
        let seconds = (length.0.as_secs_f64()).round() as u64;
        let found = format!("{count}{level}{fields}{from} in {}", Span::seconds(seconds));
        let found = text::one_line(&context.redactor.mask_phones(&context.redactor.scrub(&found)), 240);
        match digest.commonest() {
            Some((message, count)) if count > 1 => {
                format!("{found}; commonest: \"{}\" ×{count}", text::one_line(&message, 80))
            }
            Some((message, _)) if digest.summary.lines == 1 => format!("{found}: \"{}\"", text::one_line(&message, 80)),
            _ => found,
        }
    }
}

/// The unit of a service or datastore of the estate. Otherwise the name itself, since a journal also has units that are
/// not in the estate.
fn unit_of(name: &str, context: &Context) -> String {
    let service = context.estate.services.get(name).map(|service| &service.unit);
    let unit = service.or_else(|| context.estate.datastores.get(name).and_then(|store| store.unit.as_ref()));
    unit.cloned().unwrap_or_else(|| name.to_owned())
}
