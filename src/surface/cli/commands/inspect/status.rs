//! `runbook status`: shows the state of all services.

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
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::cli::output::format::Format;
use crate::surface::exit::Exit;
use crate::surface::terminal::status::columns::Columns;
use crate::surface::terminal::status::{self, WatchOptions};
use crate::surface::terminal::widgets::palette::{Colour, styled};

/// The longest time limit for one probe.
const LONGEST_LIMIT: Span = Span::seconds(60);
/// The shortest and the longest interval between two rounds of probes.
const SHORTEST_EVERY: Span = Span::seconds(1);
const LONGEST_EVERY: Span = Span::seconds(3600);

/// Show the state of all services and datastores, problems first
///
/// For each: the state of its systemd unit, since when, restarts and memory;
/// and the result of its health check: whether it is alive and ready, which
/// dependency is missing, and the response time. Exits with 0 if all are up,
/// and with 5 if any is down, degraded or unknown.
///
/// With `--watch` the screen stays: it shows changes of units as systemd
/// signals them, repeats the health checks every few seconds, and has keys to
/// open the logs or to start the runbook for the selected row.
///
/// Examples:
///   runbook status --env production
///   runbook status --env production 'pay*' gateway
///   runbook status --env staging --watch
///   runbook status --env production -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Status {
    /// Only these services and datastores; `*` and `?` are wildcards
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The environment [default: the estate's default]
    #[arg(long = "env", value_name = "ENVIRONMENT", env = "RUNBOOK_ENV", hide_env_values = true)]
    environment: Option<String>,
    /// Stay and show changes
    #[arg(long, short)]
    watch: bool,
    /// With `--watch`: how often the health checks are repeated
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = every)]
    every: Span,
    /// The time limit of one health check
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = limit)]
    limit: Span,
    /// Show only the units, without health checks
    #[arg(long)]
    no_probes: bool,
}

/// The JSON document: the report, and the number of rows per state.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a StatusReport,
    counts: serde_json::Map<String, serde_json::Value>,
}

impl Status {
    /// Prints the state once, or runs the live board.
    pub fn run(self, session: &Session) -> Result {
        if self.watch {
            return self.watch(session);
        }
        let survey = self.survey(session)?;
        let report = session.runtime()?.block_on(survey.read_all());
        print(session, &report)?;
        if let Some(error) = &report.systemd {
            session.output.warn(error);
        }
        session.output.next(&[next(session, &survey, &report)]);
        let is_up = report.systemd.is_none() && report.rows.iter().all(|row| row.grade == HealthGrade::Up);
        Ok(if is_up { Exit::DONE } else { Exit::FAILED })
    }

    fn watch(self, session: &Session) -> Result {
        let settings = &session.settings;
        if !settings.streams.interactive() || !session.output.is_table() {
            return Err(Failure::usage("`--watch` needs a terminal, and prints for people only")
                .hint("Type `runbook status -o jsonl` for output that programs can read."));
        }
        let survey = self.survey(session)?;
        let project = Project::open(settings)?;
        let directory = project.directory.clone();
        let mut flags = vec!["--dir".to_owned(), directory.to_string_lossy().into_owned()];
        if let Ok(state) = &settings.state {
            flags.extend(["--state".to_owned(), state.to_string_lossy().into_owned()]);
        }
        let options =
            WatchOptions { every: self.every.0, colour: settings.colour(), charset: settings.charset(), flags };
        let watched = session.runtime()?.block_on(status::watch(&survey, &project.catalog, options));
        watched.map_err(|error| Failure::error(format!("the terminal cannot be used: {error}")))?;
        Ok(Exit::DONE)
    }

    /// The survey of the selected subjects.
    fn survey(&self, session: &Session) -> Result<StatusSurvey> {
        let (directory, estate) = Project::estate_alone(&session.settings, &session.output)?;
        let (name, environment) = project::known_environment(self.environment.as_deref(), &estate)?;
        project::guard_host(&name, &environment, "")?;
        let subjects = self.subjects(&estate)?;
        let limit = (!self.no_probes).then_some(self.limit.0);
        // Without health checks no secret is needed.
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
                let environment = self.environment.as_deref();
                let environment = environment.map(|name| format!(" --env {}", shell_word(name))).unwrap_or_default();
                return Err(Failure::usage(format!("the estate has no `{}`", typed.escape_debug()))
                    .did_you_mean(typed, known)
                    .hint(format!("`runbook status{environment}` shows all services and datastores.")));
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
            let charset = session.settings.charset();
            let columns = Columns::of(&report.rows, session.settings.width(), 0, report.at, charset.signs());
            let rows = report.rows.iter().map(|row| columns.row(row, Vec::new(), report.at));
            let lines = std::iter::once(columns.heading()).chain(rows);
            // The output removes colours if it is not a terminal.
            let text: String = lines.map(|row| styled(&row, Colour::Sixteen, charset) + "\n").collect();
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

/// The next command: check the host if systemd cannot be reached, start the runbook for the worst row, or watch.
fn next(session: &Session, survey: &StatusSurvey, report: &StatusReport) -> String {
    if report.systemd.is_some() && report.rows.iter().all(|row| row.grade == HealthGrade::Unknown) {
        return session.command(&format!("doctor --env {}", shell_word(survey.environment())));
    }
    let worst = report.rows.first().filter(|row| matches!(row.grade, HealthGrade::Down | HealthGrade::Degraded));
    let arguments = worst.and_then(|row| {
        // Runbooks are read only here, because nothing else of this command needs them.
        let project = Project::open(&session.settings).ok()?;
        start_arguments(row, &project.catalog, survey.environment())
    });
    let arguments =
        arguments.unwrap_or_else(|| ["status", "--env", survey.environment(), "--watch"].map(str::to_owned).to_vec());
    let arguments: Vec<String> = arguments.iter().map(|argument| shell_word(argument)).collect();
    session.command(&arguments.join(" "))
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
        length if length < least => Err(format!("{least} is the minimum")),
        length if length > most => Err(format!("{most} is the maximum")),
        length => Ok(length),
    }
}
