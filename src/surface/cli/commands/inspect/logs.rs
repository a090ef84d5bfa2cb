//! `runbook logs`: searches the services' logs.

use std::ops::ControlFlow;

use crate::domain::core::text::{grouped, shell_word};
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::filter::JournalFilter;
use crate::domain::journal::level::{LEVELS, Level};
use crate::domain::journal::summary::JournalSummary;
use crate::engine::inspect::journal_search::{LineOrder, Searched, newest, search};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::until_done;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

use self::context::SearchContext;
use self::line::LineWriter;

mod advice;
mod attach;
mod context;
mod line;
mod query_args;
mod sanitize;
mod summary;
mod trace_tree;
mod wrap;

/// How far back the search goes without `--since`.
const DEFAULT_SINCE: &str = "1h";

/// The default of `--lines` for people: more than a person reads, so that the output is seldom cut.
const DEFAULT_LINES: usize = 1000;

/// The highest value of `--lines`.
const MAX_LINES: u64 = 100_000;

/// How many existing lines `--follow` shows first.
const LINES_BEFORE_FOLLOWING: usize = 10;

/// Maximum number of lines of one trace.
const TRACE_LINES: usize = 10_000;

/// The number of messages in the JSON summary.
const SUMMARY_MESSAGES: usize = 100;

/// The number of intervals in the histogram of the JSON summary.
const SUMMARY_INTERVALS: usize = 60;

/// Search the services' logs: by level, order, trace, time or text
///
/// The level is the one in a line's JSON. Times are in your time zone. Secrets
/// of the estate are redacted and phone numbers masked. With `-o json` each
/// line is printed as the service wrote it, one object per line.
///
/// Examples:
///   runbook logs --order A-17 --level error
///   runbook logs --level error --since 10m
///   runbook logs --service gateway,backend --follow
///   runbook logs --trace 4bf92f3577b34da6a3ce929d0e0e4736
///   runbook logs --since 24h --level warn --summary
///   runbook logs --order A-17 --attach last
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Logs {
    /// Services of the estate, units, or patterns of either such as `pay*`
    #[arg(long, short, value_name = "NAME", value_delimiter = ',')]
    service: Vec<String>,
    /// Lines that contain this id, of an order or anything else, as a whole word
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    /// Lines of this trace, as a tree of its spans
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// The lowest level
    #[arg(long, value_name = "LEVEL", value_parser = clap::builder::PossibleValuesParser::new(LEVELS), ignore_case = true)]
    level: Option<String>,
    /// The earliest time: how long ago such as `10m`, a date, a time of day, or both [default: 1h]
    #[arg(long, short = 'S', value_name = "TIME")]
    since: Option<String>,
    /// The latest time, in the same forms [default: now]
    #[arg(long, short = 'U', value_name = "TIME")]
    until: Option<String>,
    /// The value of a field of the line's JSON or of the journal; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = field)]
    field: Vec<(String, String)>,
    /// A regular expression; it ignores case unless it has an upper-case letter
    #[arg(long, short, value_name = "REGEX")]
    grep: Option<String>,
    /// Follow: show new lines as they are written
    #[arg(long, short, conflicts_with_all = ["until", "summary", "attach"])]
    follow: bool,
    /// The number of newest lines, or `all` [default: 1000 for people, all as JSON]
    #[arg(long, short = 'n', value_name = "N", value_parser = lines)]
    lines: Option<Lines>,
    /// Show the most frequent messages, their services and times instead of the lines
    #[arg(long, conflicts_with = "lines")]
    summary: bool,
    /// Add the result to the timeline of this incident: its id, the beginning of its id, or `last`
    #[arg(long, value_name = "INCIDENT")]
    attach: Option<String>,
    /// The environment [default: the estate's default]
    #[arg(long = "env", value_name = "ENVIRONMENT", env = "RUNBOOK_ENV", hide_env_values = true)]
    environment: Option<String>,
    /// A directory with journal files, such as a copy from another host, instead of this host's journal
    #[arg(long = "directory", value_name = "DIR")]
    files: Option<std::path::PathBuf>,
}

/// The value of `--lines`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    All,
    Newest(usize),
}

impl Logs {
    /// Searches and prints the lines or a summary.
    pub fn run(self, session: &Session) -> Result {
        if let Some(incident) = &self.attach {
            // Checked first, because a search may take long.
            session.open_read_only()?.find(Some(incident))?;
        }
        let runtime = session.runtime()?;
        let context = SearchContext::new(&self, session)?;
        let filter = self.filter(&context, session)?;
        let exit = runtime.block_on(async {
            let stop = until_done::detach_on_signal();
            tokio::select! {
                // A finished search takes precedence over a signal.
                biased;
                exit = self.search(&filter, &context, session) => exit,
                () = stop.cancelled() => Ok(None),
            }
        });
        // Opening the log creates another runtime, which must not happen inside this one.
        drop(runtime);
        match exit? {
            None => Ok(Exit::INTERRUPTED),
            Some(found) => self.conclude(&found, session),
        }
    }

    async fn search(
        &self,
        filter: &JournalFilter,
        context: &SearchContext,
        session: &Session,
    ) -> Result<Option<SearchOutcome>> {
        if self.summary {
            return self.summarise(filter, context, session).await.map(Some);
        }
        if self.follow {
            return self.follow(filter, context, session).await.map(Some);
        }
        match self.lines(session) {
            Lines::Newest(limit) => self.newest(filter, limit, context, session).await.map(Some),
            Lines::All => self.stream(filter, LineOrder::Forwards, context, session).await.map(Some),
        }
    }

    /// The number of lines. The default depends on whether people or programs read them.
    fn lines(&self, session: &Session) -> Lines {
        let default = match (&self.trace, session.output.is_table() || self.attach.is_some()) {
            (Some(_), true) => Lines::Newest(TRACE_LINES),
            (None, true) => Lines::Newest(DEFAULT_LINES),
            (_, false) => Lines::All,
        };
        self.lines.unwrap_or(default)
    }

    /// Prints the newest lines, at most `limit`.
    async fn newest(
        &self,
        filter: &JournalFilter,
        limit: usize,
        context: &SearchContext,
        session: &Session,
    ) -> Result<SearchOutcome> {
        let (lines, searched) =
            newest(filter, limit, &context.action_context).await.map_err(|reason| context.unread(reason))?;
        let mut found = SearchOutcome { searched, ..SearchOutcome::default() };
        found.add(&lines, context);
        let mut writer = LineWriter::on_output(context, &session.settings);
        if !lines.is_empty() {
            let text = match &self.trace {
                Some(id) if session.output.is_table() => trace_tree::render(id, &lines, &mut writer),
                _ => render(&lines, &mut writer, session),
            };
            session.output.text(&text)?;
        }
        if self.attach.is_some() {
            found.evidence = attach::lines(&lines, context);
        }
        Ok(found)
    }

    /// Prints lines as they are found, without a limit.
    async fn stream(
        &self,
        filter: &JournalFilter,
        order: LineOrder,
        context: &SearchContext,
        session: &Session,
    ) -> Result<SearchOutcome> {
        let mut found = SearchOutcome::default();
        let mut writer = LineWriter::on_output(context, &session.settings);
        let (mut failure, mut evidence) = (None, attach::NewestLines::default());
        let mut take = |lines: Vec<JournalEntry>| {
            found.add(&lines, context);
            if self.attach.is_some() {
                evidence.add(&lines, context);
            }
            match session.output.text(&render(&lines, &mut writer, session)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let searched =
            search(filter, order, &context.action_context, &mut take).await.map_err(|reason| context.unread(reason))?;
        failure.map_or(Ok(()), Err)?;
        Ok(SearchOutcome { searched, evidence: evidence.text(), ..found })
    }

    /// Prints the newest existing lines, then new ones.
    async fn follow(
        &self,
        filter: &JournalFilter,
        context: &SearchContext,
        session: &Session,
    ) -> Result<SearchOutcome> {
        let now = context.action_context.clock.now();
        let limit = match self.lines {
            Some(Lines::Newest(count)) => count,
            Some(Lines::All) => MAX_LINES as usize,
            None if self.since.is_some() => DEFAULT_LINES,
            None => LINES_BEFORE_FOLLOWING,
        };
        let before = JournalFilter { until: Some(now), ..filter.clone() };
        let (lines, _) =
            newest(&before, limit, &context.action_context).await.map_err(|reason| context.unread(reason))?;
        let mut writer = LineWriter::on_output(context, &session.settings);
        session.output.text(&render(&lines, &mut writer, session))?;
        let after = JournalFilter { since: now + chrono::TimeDelta::microseconds(1), until: None, ..filter.clone() };
        self.stream(&after, LineOrder::Following, context, session).await
    }

    /// Prints a summary instead of the lines.
    async fn summarise(
        &self,
        filter: &JournalFilter,
        context: &SearchContext,
        session: &Session,
    ) -> Result<SearchOutcome> {
        let (mut summary, mut found) = (JournalSummary::default(), SearchOutcome::default());
        let mut take = |lines: Vec<JournalEntry>| {
            found.add(&lines, context);
            for line in &lines {
                let message = context.clean.text(&line.message());
                summary.add(line.at, line.level, &context.service(line), &message);
            }
            ControlFlow::Continue(())
        };
        let searched = search(filter, LineOrder::Forwards, &context.action_context, &mut take)
            .await
            .map_err(|reason| context.unread(reason))?;
        let style = summary::SummaryStyle { width: session.settings.width(), charset: session.settings.charset() };
        if !session.output.is_table() {
            session.output.document(&summary.document(SUMMARY_MESSAGES, SUMMARY_INTERVALS))?;
        } else if summary.lines > 0 {
            session.output.text(&summary::render(&summary, &style))?;
        }
        if self.attach.is_some() {
            found.evidence = attach::summary(&summary);
        }
        Ok(SearchOutcome { searched, ..found })
    }
}

/// The facts of a finished search.
#[derive(Debug, Default)]
struct SearchOutcome {
    lines: u64,
    searched: Searched,
    /// The trace of the newest error, otherwise of the newest line.
    trace: Option<String>,
    trace_level: Option<Level>,
    /// The text to attach to an incident.
    evidence: String,
}

impl SearchOutcome {
    /// Counts lines and remembers their trace.
    fn add(&mut self, lines: &[JournalEntry], context: &SearchContext) {
        self.lines += lines.len() as u64;
        for line in lines {
            let replaces = self.trace_level.is_none_or(|level| line.level >= level.min(Level::Error));
            if let (true, Some(trace)) = (replaces, line.first_of(&context.action_context.estate.logs.trace)) {
                (self.trace, self.trace_level) = (Some(context.clean.text(&trace)), Some(line.level));
            }
        }
    }
}

/// Lines as text for people, or as JSON.
fn render(lines: &[JournalEntry], writer: &mut LineWriter<'_>, session: &Session) -> String {
    if session.output.is_table() {
        return lines.iter().map(|line| writer.line(line)).collect();
    }
    lines.iter().map(|line| writer.clean.json(line)).collect()
}

fn field(typed: &str) -> std::result::Result<(String, String), String> {
    match typed.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a field is given as `name=value`, such as `orderId=A-17`".to_owned()),
    }
}

fn lines(typed: &str) -> std::result::Result<Lines, String> {
    if typed == "all" {
        return Ok(Lines::All);
    }
    match typed.parse() {
        Ok(count @ 1..=MAX_LINES) => Ok(Lines::Newest(count as usize)),
        _ => Err(format!("the value is a number from 1 to {}, or `all`", grouped(MAX_LINES))),
    }
}

/// A flag and its value, quoted for a shell.
fn flag(flag: &str, value: &str) -> String {
    format!(" {flag} {}", shell_word(value))
}
