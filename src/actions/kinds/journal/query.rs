//! What journalctl is asked for: the one place that knows its arguments, and starts it.
//!
//! Whatever its indexes and its own search can rule out is never printed, and of what is left only the fields that are
//! looked at. Deliberately absent: what is made of the records; whoever asks says so.
//!
//! **Invariant:** every value stands in one argument with its option, so that none can be an option itself.

use std::path::PathBuf;

use serde::Deserialize;

use super::parser::JournalParser;
use crate::actions::Context;
use crate::actions::transport::host;
use crate::actions::transport::process::{Ending, Job, NotStarted};
use crate::domain::core::glob_name::is_unit_pattern;
use crate::domain::core::text;
use crate::domain::core::time::Timestamp;
use crate::domain::journal::entry::UNIT_FIELDS;
use crate::domain::journal::export::ExportRecord;
use crate::domain::journal::filter::{JournalFilter, Prefilter, is_of_journal};

/// Units that are looked up in the journal's index. Each costs a quarter of reading all lines of a busy journal,
/// because journalctl merges the matches line by line. With more units, reading everything is faster.
const INDEXED: usize = 3;

/// The fields that every search needs, besides those that name units.
const FIELDS: [&str; 4] = ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_COMM"];

/// The journal to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    System,
    User,
}

/// A query for journalctl.
#[derive(Debug, Clone)]
pub struct JournalQuery {
    pub since: Timestamp,
    /// The newest instant, inclusive.
    pub until: Option<Timestamp>,
    /// Prints the newest line first.
    pub reverse: bool,
    /// Waits for new lines at the end, until the caller cancels.
    pub follow: bool,
    /// The directory with journal files, instead of the host's own.
    pub directory: Option<PathBuf>,
    /// The journal to read; both if `None`.
    pub scope: Option<Scope>,
    /// What journalctl excludes, and what it prints of the rest.
    pub narrowing: Narrowing,
}

/// What journalctl excludes, and what it prints of the rest. Derived only from a search, so that it never excludes a
/// match.
#[derive(Debug, Clone)]
pub struct Narrowing {
    units: Vec<String>,
    fields: Vec<String>,
    prefilter: Option<Prefilter>,
}

/// The result of a journalctl run.
#[derive(Debug)]
pub struct JournalctlExit {
    pub ending: Ending,
    /// What it printed on standard error.
    pub complaint: String,
    /// The number of records read.
    pub records: u64,
    /// Records that were too long to be examined.
    pub oversized: u64,
}

impl JournalQuery {
    /// The query for a search. journalctl may print more than the matches, never less.
    pub fn of(filter: &JournalFilter) -> Self {
        let names = filter.fields.iter().map(|field| field.name()).filter(|name| is_of_journal(name));
        let fields = FIELDS.into_iter().chain(UNIT_FIELDS).chain(names).map(str::to_owned).collect();
        let is_plain = |unit: &String| !is_unit_pattern(unit);
        let indexed = filter.units.len() <= INDEXED && filter.units.iter().all(is_plain);
        Self {
            since: filter.since,
            until: filter.until,
            reverse: false,
            follow: false,
            directory: None,
            scope: None,
            narrowing: Narrowing {
                units: if indexed { filter.units.clone() } else { Vec::new() },
                fields,
                prefilter: filter.prefilter(),
            },
        }
    }

    /// Disables journalctl's filter by message.
    #[must_use]
    pub fn of_every_line(mut self) -> Self {
        self.narrowing.prefilter = None;
        self
    }

    /// Prints only the instant of each line, for every unit.
    #[must_use]
    pub fn of_instants(self) -> Self {
        let narrowing = Narrowing { units: Vec::new(), fields: vec!["PRIORITY".to_owned()], prefilter: None };
        Self { narrowing, ..self }
    }

    /// Whether the index excludes most lines.
    pub fn is_indexed(&self) -> bool {
        !self.narrowing.units.is_empty()
    }

    /// Whether journalctl's filter by message excludes most lines.
    pub fn is_prefiltered(&self) -> bool {
        self.narrowing.prefilter.is_some()
    }

    /// The command to run.
    pub fn job(&self, context: &Context) -> Job {
        let mut argv: Vec<String> =
            ["journalctl", "--output=export", "--no-pager", "--quiet"].map(str::to_owned).to_vec();
        argv.push(format!("--since=@{}", instant(self.since)));
        argv.extend(self.until.map(|until| format!("--until=@{}", instant(until))));
        argv.extend(self.reverse.then(|| "--reverse".to_owned()));
        // Without `--no-tail` it would begin with the last ten lines, whatever their age.
        argv.extend(self.follow.then_some(["--follow", "--no-tail"]).into_iter().flatten().map(str::to_owned));
        argv.extend(
            self.narrowing.units.iter().flat_map(|unit| [format!("--unit={unit}"), format!("--user-unit={unit}")]),
        );
        argv.push(format!("--output-fields={}", self.narrowing.fields.join(",")));
        if let Some(Prefilter { pattern, case_sensitive }) = &self.narrowing.prefilter {
            argv.push(format!("--grep={pattern}"));
            argv.push(format!("--case-sensitive={case_sensitive}"));
        }
        argv.extend(self.scope.map(|scope| match scope {
            Scope::System => "--system".to_owned(),
            Scope::User => "--user".to_owned(),
        }));
        let directory = self.directory.as_ref();
        argv.extend(directory.map(|path| format!("--directory={}", context.there(path).display())));
        Job::new(argv, context).env("LC_ALL", "C")
    }

    /// Runs the query until it ends or the context's deadline passes, and passes on every record. If journalctl cannot
    /// filter by message, runs it again without that filter.
    ///
    /// # Errors
    ///
    /// If journalctl cannot be started. Later errors are in the result.
    pub async fn read(
        &self,
        context: &Context,
        take: &mut (dyn FnMut(&ExportRecord<'_>) + Send),
    ) -> Result<JournalctlExit, NotStarted> {
        let read = self.read_once(context, take).await?;
        if self.narrowing.prefilter.is_some() && read.records == 0 && read.cannot_search() {
            return self.clone().of_every_line().read_once(context, take).await;
        }
        Ok(read)
    }

    async fn read_once(
        &self,
        context: &Context,
        take: &mut (dyn FnMut(&ExportRecord<'_>) + Send),
    ) -> Result<JournalctlExit, NotStarted> {
        let mut reader = JournalParser::new(take);
        let exit = host::run_into(&self.job(context), context, &mut reader).await?;
        Ok(reader.ended(exit.ending))
    }
}

impl JournalctlExit {
    /// Why not everything was read, if so.
    pub fn read_error(&self, context: &Context) -> Option<String> {
        match self.ending {
            Ending::Code(0) => None,
            // journalctl prints this if no unit in the journal matches a pattern.
            Ending::Code(1) if self.complaint.contains("No data available") => None,
            // Like grep, journalctl exits with 1 if no line matches.
            Ending::Code(1) if self.complaint.trim().is_empty() && self.records == 0 => None,
            Ending::TimedOut => Some("had not read everything in time".to_owned()),
            Ending::Cancelled => Some("was cancelled".to_owned()),
            Ending::Code(code) => Some(format!("ended with code {code}{}", self.said(context))),
            Ending::Signal(signal) => Some(format!("was ended by signal {signal}")),
            Ending::Lost => Some("was cut off: the connection was lost".to_owned()),
        }
    }

    fn said(&self, context: &Context) -> String {
        let last = self.complaint.lines().rev().find(|line| !line.trim().is_empty());
        last.map(|line| format!(" ({})", text::one_line(&context.redactor.scrub(line), 160))).unwrap_or_default()
    }

    /// Whether this journalctl lacks pattern matching: built without PCRE2, or unable to load it.
    fn cannot_search(&self) -> bool {
        matches!(self.ending, Ending::Code(code) if code != 0)
            && ["pattern matching", "PCRE2", "pcre2"].iter().any(|word| self.complaint.contains(word))
    }
}

/// An instant for journalctl: seconds since the epoch, with microseconds.
fn instant(at: Timestamp) -> String {
    format!("{}.{:06}", at.timestamp(), at.timestamp_subsec_micros())
}
