//! `runbook logs`.

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

/// How far back is searched without `--since`.
const SINCE: &str = "1h";

/// How many lines are shown to people without `--lines`: more than anybody reads, so they are seldom cut.
const LINES: usize = 1000;

/// The highest value of `--lines`.
const MOST_LINES: u64 = 100_000;

/// How many existing lines are shown before following.
const BEFORE_FOLLOWED: usize = 10;

/// Maximum number of lines of one trace.
const TRACE_LINES: usize = 10_000;

/// The number of messages in the JSON summary, and of intervals in its histogram.
const DOCUMENT: (usize, usize) = (100, 60);

/// Searches the journal of the services: errors, one order, one trace
///
/// The level is the one inside a line's JSON. Times are in your own zone.
/// Secrets of the estate are left out and phone numbers masked. As JSON
/// (`-o json`), every line as the service wrote it, one object a line.
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
    /// Services of the estate, units, or patterns over either such as `pay*`
    #[arg(long, short, value_name = "NAME", value_delimiter = ',')]
    service: Vec<String>,
    /// Lines that mention this order, or anything else with an id, as a whole word
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    /// Lines of this trace, drawn as a tree of its spans
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// At least this level
    #[arg(long, value_name = "LEVEL", value_parser = clap::builder::PossibleValuesParser::new(LEVELS), ignore_case = true)]
    level: Option<String>,
    /// From when on: how long ago such as `10m`, a date, a time of day, or both [default: 1h]
    #[arg(long, short = 'S', value_name = "TIME")]
    since: Option<String>,
    /// Up to when, likewise [default: now]
    #[arg(long, short = 'U', value_name = "TIME")]
    until: Option<String>,
    /// A field of the line's JSON or of the journal that has this value; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = field)]
    field: Vec<(String, String)>,
    /// What the line matches, a regular expression; upper case matters only if there is any
    #[arg(long, short, value_name = "REGEX")]
    grep: Option<String>,
    /// Goes on with lines as they are written
    #[arg(long, short, conflicts_with_all = ["until", "summary", "attach"])]
    follow: bool,
    /// The newest lines only, or `all` of them [default: 1000 for people, all as JSON]
    #[arg(long, short = 'n', value_name = "N", value_parser = lines)]
    lines: Option<Lines>,
    /// The commonest messages, who wrote them and when, in place of the lines
    #[arg(long, conflicts_with = "lines")]
    summary: bool,
    /// Puts what is found into the timeline of an incident: its id, how that begins, or `last`
    #[arg(long, value_name = "INCIDENT")]
    attach: Option<String>,
    /// The environment [default: the estate's own choice]
    #[arg(long = "env", value_name = "ENVIRONMENT", env = "RUNBOOK_ENV", hide_env_values = true)]
    environment: Option<String>,
    /// A directory with journal files, such as a copy from another host, in place of this host's journal
    #[arg(long = "directory", value_name = "DIR")]
    files: Option<std::path::PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    All,
    Newest(usize),
}

impl Logs {
    /// Searches and prints the lines or a summary.
    pub fn run(self, session: &Session) -> Result {
        if let Some(incident) = &self.attach {
            // The incident is checked first, so that a long search is not lost.
            session.open_read_only()?.find(Some(incident))?;
        }
        let runtime = session.runtime()?;
        let bench = SearchContext::new(&self, session)?;
        let filter = self.filter(&bench, session)?;
        let exit = runtime.block_on(async {
            let leaving = until_done::leaving();
            tokio::select! {
                // Results that are ready are printed before a signal is handled.
                biased;
                exit = self.search(&filter, &bench, session) => exit,
                () = leaving.cancelled() => Ok(None),
            }
        });
        // Opening the log of an incident creates its own runtime.
        drop(runtime);
        match exit? {
            None => Ok(Exit::INTERRUPTED),
            Some(found) => self.conclude(&found, session),
        }
    }

    async fn search(
        &self,
        filter: &JournalFilter,
        bench: &SearchContext,
        session: &Session,
    ) -> Result<Option<SearchResult>> {
        if self.summary {
            return self.summarise(filter, bench, session).await.map(Some);
        }
        if self.follow {
            return self.follow(filter, bench, session).await.map(Some);
        }
        match self.lines(session) {
            Lines::Newest(most) => self.newest(filter, most, bench, session).await.map(Some),
            Lines::All => self.stream(filter, LineOrder::Forwards, bench, session).await.map(Some),
        }
    }

    /// The number of lines. Without `--lines` it depends on whether people or programs read them.
    fn lines(&self, session: &Session) -> Lines {
        let by_itself = match (&self.trace, session.output.is_table() || self.attach.is_some()) {
            (Some(_), true) => Lines::Newest(TRACE_LINES),
            (None, true) => Lines::Newest(LINES),
            (_, false) => Lines::All,
        };
        self.lines.unwrap_or(by_itself)
    }

    async fn newest(
        &self,
        filter: &JournalFilter,
        most: usize,
        bench: &SearchContext,
        session: &Session,
    ) -> Result<SearchResult> {
        let (lines, searched) = newest(filter, most, &bench.context).await.map_err(|reason| bench.unread(reason))?;
        let mut found = SearchResult { searched, ..SearchResult::default() };
        found.note(&lines, bench);
        let mut pen = bench.line_writer(session);
        if !lines.is_empty() {
            let text = match &self.trace {
                Some(id) if session.output.is_table() => trace_tree::drawn(id, &lines, &mut pen),
                _ => shown(&lines, &mut pen, session),
            };
            session.output.text(&text)?;
        }
        if self.attach.is_some() {
            found.evidence = attach::lines(&lines, bench);
        }
        Ok(found)
    }

    /// Prints lines as they are found, without a limit.
    async fn stream(
        &self,
        filter: &JournalFilter,
        order: LineOrder,
        bench: &SearchContext,
        session: &Session,
    ) -> Result<SearchResult> {
        let mut found = SearchResult::default();
        let mut pen = bench.line_writer(session);
        let (mut failure, mut evidence) = (None, attach::NewestLines::default());
        let mut take = |lines: Vec<JournalEntry>| {
            found.note(&lines, bench);
            if self.attach.is_some() {
                evidence.add(&lines, bench);
            }
            match session.output.text(&shown(&lines, &mut pen, session)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(gone) => {
                    failure = Some(gone);
                    ControlFlow::Break(())
                }
            }
        };
        let searched = search(filter, order, &bench.context, &mut take).await.map_err(|reason| bench.unread(reason))?;
        failure.map_or(Ok(()), Err)?;
        Ok(SearchResult { searched, evidence: evidence.text(), ..found })
    }

    /// Prints the newest existing lines, then new ones.
    async fn follow(&self, filter: &JournalFilter, bench: &SearchContext, session: &Session) -> Result<SearchResult> {
        let now = bench.context.clock.now();
        let most = match self.lines {
            Some(Lines::Newest(most)) => most,
            Some(Lines::All) => MOST_LINES as usize,
            None if self.since.is_some() => LINES,
            None => BEFORE_FOLLOWED,
        };
        let before = JournalFilter { until: Some(now), ..filter.clone() };
        let (lines, _) = newest(&before, most, &bench.context).await.map_err(|reason| bench.unread(reason))?;
        let mut pen = bench.line_writer(session);
        session.output.text(&shown(&lines, &mut pen, session))?;
        let after = JournalFilter { since: now + chrono::TimeDelta::microseconds(1), until: None, ..filter.clone() };
        self.stream(&after, LineOrder::Following, bench, session).await
    }

    async fn summarise(
        &self,
        filter: &JournalFilter,
        bench: &SearchContext,
        session: &Session,
    ) -> Result<SearchResult> {
        let (mut summary, mut found) = (JournalSummary::default(), SearchResult::default());
        let mut take = |lines: Vec<JournalEntry>| {
            found.note(&lines, bench);
            for line in &lines {
                let message = bench.clean.text(&line.message());
                summary.add(line.at, line.level, &bench.service(line), &message);
            }
            ControlFlow::Continue(())
        };
        let searched = search(filter, LineOrder::Forwards, &bench.context, &mut take)
            .await
            .map_err(|reason| bench.unread(reason))?;
        let style = summary::SummaryStyle { width: session.settings.width(), letters: session.settings.has_unicode() };
        if !session.output.is_table() {
            session.output.document(&summary.document(DOCUMENT.0, DOCUMENT.1))?;
        } else if summary.lines > 0 {
            session.output.text(&summary::drawn(&summary, &style))?;
        }
        if self.attach.is_some() {
            found.evidence = attach::summary(&summary);
        }
        Ok(SearchResult { searched, ..found })
    }
}

/// The facts about a search that are used after it.
#[derive(Debug, Default)]
struct SearchResult {
    lines: u64,
    searched: Searched,
    /// The trace of the newest error, otherwise of the newest line.
    trace: Option<String>,
    trace_level: Option<Level>,
    /// The text to attach to an incident.
    evidence: String,
}

impl SearchResult {
    fn note(&mut self, lines: &[JournalEntry], bench: &SearchContext) {
        self.lines += lines.len() as u64;
        for line in lines {
            let graver = self.trace_level.is_none_or(|known| line.level >= known.min(Level::Error));
            if let (true, Some(trace)) = (graver, line.first_of(&bench.context.estate.logs.trace)) {
                (self.trace, self.trace_level) = (Some(bench.clean.text(&trace)), Some(line.level));
            }
        }
    }
}

/// Lines in the format for people or for programs.
fn shown(lines: &[JournalEntry], pen: &mut LineWriter<'_>, session: &Session) -> String {
    if session.output.is_table() {
        return lines.iter().map(|line| pen.line(line)).collect();
    }
    lines.iter().map(|line| pen.clean.json(line)).collect()
}

fn field(typed: &str) -> std::result::Result<(String, String), String> {
    match typed.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is written `name=value`, such as `orderId=A-17`".to_owned()),
    }
}

fn lines(typed: &str) -> std::result::Result<Lines, String> {
    if typed == "all" {
        return Ok(Lines::All);
    }
    match typed.parse() {
        Ok(count @ 1..=MOST_LINES) => Ok(Lines::Newest(count as usize)),
        _ => Err(format!("it is a number from 1 to {}, or `all`", grouped(MOST_LINES))),
    }
}

/// A flag and its value, quoted for a shell.
fn typed(flag: &str, value: &str) -> String {
    format!(" {flag} {}", shell_word(value))
}
