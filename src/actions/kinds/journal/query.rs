//! Builds the command line of journalctl, and runs it.
//!
//! journalctl excludes lines by its indexes and by its filter for messages, and prints only the fields that the search
//! needs. So few lines have to be parsed here.
//!
//! **Invariant:** every value is in one argument with its option, as `--unit=VALUE`, so it cannot become an option.
//!
//! Not here: use of the records; the caller passes a function that receives them.

use std::path::PathBuf;

use serde::Deserialize;

use super::journalctl_exit::JournalctlExit;
use super::parser::JournalParser;
use crate::actions::Context;
use crate::actions::transport::host;
use crate::actions::transport::process::{Job, NotStarted};
use crate::domain::core::glob_name::is_unit_pattern;
use crate::domain::core::time::Timestamp;
use crate::domain::journal::entry::UNIT_FIELDS;
use crate::domain::journal::export::ExportRecord;
use crate::domain::journal::filter::{JournalFilter, Prefilter, is_of_journal};

/// Maximum number of units that are searched by the journal's index. With more units, reading every line is faster: for a
/// busy journal, each unit costs a quarter of that, because journalctl merges the matches line by line.
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
    /// The last instant, inclusive.
    pub until: Option<Timestamp>,
    /// Prints the newest line first.
    pub reverse: bool,
    /// Waits for new lines at the end, until the caller cancels.
    pub follow: bool,
    /// The directory with journal files, instead of the host's own.
    pub directory: Option<PathBuf>,
    /// The journal to read; both if `None`.
    pub scope: Option<Scope>,
    /// The filters of journalctl, and the fields to print.
    pub narrowing: Narrowing,
}

/// The filters of journalctl, and the fields to print. Derived only from a search, so that no match is excluded.
#[derive(Debug, Clone)]
pub struct Narrowing {
    units: Vec<String>,
    fields: Vec<String>,
    prefilter: Option<Prefilter>,
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

    /// Prints every line of every unit, with its instant only.
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
        // Without `--no-tail`, `--follow` begins with the last ten lines and ignores `--since`.
        argv.extend(self.follow.then_some(["--follow", "--no-tail"]).into_iter().flatten().map(str::to_owned));
        let units = self.narrowing.units.iter();
        argv.extend(units.flat_map(|unit| [format!("--unit={unit}"), format!("--user-unit={unit}")]));
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

    /// Runs the query until it ends or the context's deadline passes, and passes every record to `take`. If journalctl
    /// cannot filter by message, runs it again without that filter.
    ///
    /// # Errors
    ///
    /// If journalctl cannot be started. Later errors are in the result.
    pub async fn read(
        &self,
        context: &Context,
        take: &mut (dyn FnMut(&ExportRecord<'_>) + Send),
    ) -> Result<JournalctlExit, NotStarted> {
        let exit = self.read_once(context, take).await?;
        if self.narrowing.prefilter.is_some() && exit.records == 0 && exit.cannot_search() {
            return self.clone().of_every_line().read_once(context, take).await;
        }
        Ok(exit)
    }

    async fn read_once(
        &self,
        context: &Context,
        take: &mut (dyn FnMut(&ExportRecord<'_>) + Send),
    ) -> Result<JournalctlExit, NotStarted> {
        let mut parser = JournalParser::new(take);
        let exit = host::run_into(&self.job(context), context, &mut parser).await?;
        Ok(parser.finish(exit.ending))
    }
}

/// An instant for journalctl: seconds since the epoch, with microseconds.
fn instant(at: Timestamp) -> String {
    format!("{}.{:06}", at.timestamp(), at.timestamp_subsec_micros())
}
