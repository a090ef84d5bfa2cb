//! `runbook status`.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Serialize;

use crate::actions::Secrets;
use crate::domain::config::estate::Estate;
use crate::domain::core::text::shell_word;
use crate::domain::core::time::Span;
use crate::domain::host::status::{self as statuses, HealthGrade, StatusRow, StatusSubject};
use crate::engine::inspect::status::{StatusReport, StatusSurvey, start_arguments};
use crate::surface::cli::context::action_context;
use crate::surface::cli::context::action_context::ActionTarget;
use crate::surface::cli::context::project;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::secrets;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::context::settings::Format;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;
use crate::surface::terminal::status::columns::Columns;
use crate::surface::terminal::status::{self, WatchOptions};
use crate::surface::terminal::widgets::palette::{Colour, styled};

/// The longest limit for one probe, since nobody waits longer at a screen.
const LONGEST_LIMIT: Span = Span::seconds(60);
/// The shortest and the longest interval between two rounds of probes.
const SHORTEST_EVERY: Span = Span::seconds(1);
const LONGEST_EVERY: Span = Span::seconds(3600);

/// Shows the state of every service and datastore, trouble first
///
/// For each its unit as systemd has it, since when, restarts and memory,
/// and what it answers itself: whether it is alive and ready, which
/// dependency is missing, how long that took. Ends with 0 when all is
/// well, and with 5 when something is down, degraded or cannot be seen.
///
/// With `--watch` it stays: changes of units are shown as systemd tells
/// them, everything is asked again every few seconds, and keys open the
/// logs or start the runbook for the chosen row.
///
/// Examples:
///   runbook status --env production
///   runbook status --env production 'pay*' gateway
///   runbook status --env staging --watch
///   runbook status --env production -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Status {
    /// Only these services and datastores; `*` and `?` stand for letters
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The environment [default: the estate's own choice]
    #[arg(long = "env", value_name = "ENVIRONMENT", env = "RUNBOOK_ENV", hide_env_values = true)]
    environment: Option<String>,
    /// Stays, and shows what changes
    #[arg(long, short)]
    watch: bool,
    /// With `--watch`: how often everything is asked again
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = every)]
    every: Span,
    /// How long one service or datastore may take to answer
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = limit)]
    limit: Span,
    /// Asks only systemd, and nobody for his health
    #[arg(long)]
    no_probes: bool,
}

/// The JSON document: the rows, and facts about all of them.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a StatusReport,
    /// The number of rows per state.
    counts: serde_json::Map<String, serde_json::Value>,
}

impl Status {
    /// Prints the state once, or runs the live board.
    pub fn run(self, session: &Session) -> Result {
        if self.watch {
            return self.stay(session);
        }
        let survey = self.survey(session)?;
        let report = session.runtime()?.block_on(survey.read_all());
        print(session, &report)?;
        if let Some(trouble) = &report.systemd {
            session.output.warn(trouble);
        }
        session.output.next(&[next(session, &survey, &report)]);
        let is_well = report.systemd.is_none() && report.rows.iter().all(|row| row.grade == HealthGrade::Up);
        Ok(if is_well { Exit::DONE } else { Exit::FAILED })
    }

    fn stay(self, session: &Session) -> Result {
        let settings = &session.settings;
        if !settings.streams.interactive() || !session.output.is_table() {
            return Err(Failure::usage("`--watch` needs a terminal, and prints for people only")
                .hint("Type `runbook status -o jsonl` for one look that programs read."));
        }
        let survey = self.survey(session)?;
        let shop = Project::open(settings)?;
        let directory = shop.directory.clone();
        let mut lead = vec!["--dir".to_owned(), directory.to_string_lossy().into_owned()];
        if let Ok(state) = &settings.state {
            lead.extend(["--state".to_owned(), state.to_string_lossy().into_owned()]);
        }
        let options =
            WatchOptions { every: self.every.0, colour: settings.colour(), letters: settings.has_unicode(), lead };
        let watched = session.runtime()?.block_on(status::watch(&survey, &shop.catalog, options));
        watched.map_err(|error| Failure::error(format!("the terminal cannot be used: {error}")))?;
        Ok(Exit::DONE)
    }

    fn survey(&self, session: &Session) -> Result<StatusSurvey> {
        let (directory, estate) = Project::estate_alone(&session.settings, &session.output)?;
        let (name, environment) = project::known_environment(self.environment.as_deref(), &estate)?;
        project::guard_host(&name, &environment, "")?;
        let subjects = self.subjects(&estate)?;
        let limit = (!self.no_probes).then_some(self.limit.0);
        // The state of a unit holds no secret, so none is read.
        let secrets = match limit {
            None => Secrets::default(),
            Some(_) => secrets::read(&estate, &directory, &session.settings.environment),
        };
        let context = action_context::context(session, ActionTarget { directory, estate, name, environment }, secrets)?;
        Ok(StatusSurvey::new(context, subjects, limit))
    }

    /// All services and datastores, or those that match the names.
    fn subjects(&self, estate: &Estate) -> Result<Vec<StatusSubject>> {
        let mut subjects = statuses::subjects(estate);
        for typed in &self.names {
            if !subjects.iter().any(|subject| crate::domain::core::glob_name::matches(typed, &subject.name)) {
                let known = subjects.iter().map(|subject| subject.name.as_str());
                return Err(Failure::usage(format!("the estate has no `{}`", typed.escape_debug()))
                    .did_you_mean(typed, known)
                    .hint("`runbook status` shows all of it."));
            }
        }
        subjects.retain(|subject| {
            self.names.is_empty()
                || self.names.iter().any(|typed| crate::domain::core::glob_name::matches(typed, &subject.name))
        });
        if subjects.is_empty() {
            return Err(Failure::usage("the estate names no services and no datastores")
                .hint("Add them to `runbooks/estate.yaml`."));
        }
        Ok(subjects)
    }
}

fn print(session: &Session, report: &StatusReport) -> Result<()> {
    match session.output.format() {
        Format::Jsonl => session.output.list(&report.rows),
        Format::Json | Format::Svg => session.output.document(&Document { report, counts: counts(&report.rows) }),
        Format::Table => {
            let letters = session.settings.has_unicode();
            let columns = Columns::of(&report.rows, session.settings.width(), 0, report.at, letters.signs());
            let rows = report.rows.iter().map(|row| columns.row(row, Vec::new(), report.at));
            let lines = std::iter::once(columns.heading()).chain(rows);
            // Colours are removed when standard output is not a terminal.
            let text: String = lines.map(|row| styled(&row, Colour::Sixteen, letters) + "\n").collect();
            session.output.text(&text)?;
            session.output.print_message(&format!("{}: {}", report.environment, summary(&report.rows)));
            Ok(())
        }
    }
}

fn counts(rows: &[StatusRow]) -> serde_json::Map<String, serde_json::Value> {
    HealthGrade::ALL.into_iter().map(|grade| (grade.code().to_owned(), statuses::count(rows, grade).into())).collect()
}

/// The counts as text: `2 down, 1 degraded, 20 up`.
fn summary(rows: &[StatusRow]) -> String {
    let counted = HealthGrade::ALL.into_iter().filter_map(|grade| {
        let count = NonZeroUsize::new(statuses::count(rows, grade))?;
        Some(format!("{count} {}", grade.code()))
    });
    counted.collect::<Vec<_>>().join(", ")
}

/// The next command: start the runbook for the worst row, or watch.
fn next(session: &Session, survey: &StatusSurvey, report: &StatusReport) -> String {
    if report.systemd.is_some() && report.rows.iter().all(|row| row.grade == HealthGrade::Unknown) {
        return session.command(&format!("doctor --env {}", shell_word(survey.environment())));
    }
    let worst = report.rows.first().filter(|row| matches!(row.grade, HealthGrade::Down | HealthGrade::Degraded));
    let words = worst.and_then(|row| {
        // Runbooks are read only if something is down, because nothing else needs them.
        let shop = Project::open(&session.settings).ok()?;
        start_arguments(row, &shop.catalog, survey.environment())
    });
    let words = words.unwrap_or_else(|| {
        vec!["status".to_owned(), "--env".to_owned(), survey.environment().to_owned(), "--watch".to_owned()]
    });
    let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
    session.command(&words.join(" "))
}

fn every(typed: &str) -> std::result::Result<Span, String> {
    between(typed, SHORTEST_EVERY, LONGEST_EVERY)
}

fn limit(typed: &str) -> std::result::Result<Span, String> {
    between(typed, Span(Duration::from_millis(1)), LONGEST_LIMIT)
}

fn between(typed: &str, least: Span, most: Span) -> std::result::Result<Span, String> {
    let length: Span = typed.parse()?;
    match length {
        length if length < least => Err(format!("{least} is the least")),
        length if length > most => Err(format!("{most} is the most")),
        length => Ok(length),
    }
}
