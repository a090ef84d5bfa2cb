//! `runbook simulate`: shows what an alert would start.

use std::io::Read as _;
use std::path::PathBuf;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::config::estate::Estate;
use crate::domain::config::sender::{Auth, Sender, SenderFormat};
use crate::domain::runbook::trigger;
use crate::domain::runbook::trigger::PassedOver;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::cli::output::table::single_line;
use crate::surface::cli::output::writer::value_text;
use crate::surface::exit::Exit;
use crate::surface::intake::server::BODY_LIMIT;
use crate::surface::intake::{self, ParsedBody, SenderRequest};

/// The format that is assumed if no sender is named and none of the estate's can parse the body.
const DEFAULT_FORMAT: SenderFormat = SenderFormat::Alertmanager;

/// Show what an alert would start, without starting it
///
/// Parses the body of a request as `runbook serve` does, and prints for each
/// alert which runbook would start, with which parameters, and why the others
/// would not. Without --sender, each sender of the estate is tried.
///
/// Examples:
///   runbook simulate alert.json
///   runbook simulate alert.json --sender alertmanager
///   runbook simulate push.json --sender github -H 'X-GitHub-Event: workflow_run'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Simulate {
    /// The body, or `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The sender, by its name in the estate
    #[arg(long, value_name = "SENDER")]
    sender: Option<String>,
    /// A header of the request; may be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What one alert would do.
#[derive(Debug, Serialize)]
struct AlertRow {
    alert: Alert,
    environment: String,
    service: Option<String>,
    group: String,
    runbook: Option<String>,
    params: Map<String, Value>,
    /// `starts`, `asks`, `tells people`, or `marks itself as resolved`.
    #[serde(rename = "does")]
    effect: &'static str,
    reason: Option<String>,
    passed_over: Vec<PassedOver>,
}

impl Simulate {
    /// Shows what each alert would do.
    pub fn run(self, session: &Session) -> Result {
        let project = Project::open(&session.settings)?;
        let estate = project.estate(&session.output)?;
        let body = self.body()?;
        let headers: HeaderMap = self.headers.iter().cloned().collect();
        let request = SenderRequest { headers: &headers, body: &body, now: session.clock().now() };
        let (name, parsed) = self.parse(estate, &request)?;
        let alerts = match parsed {
            ParsedBody::Alerts(alerts) => alerts,
            ParsedBody::Subscription(request) => vec![intake::senders::sns_subscription::alert(&request)],
            ParsedBody::Ignored(reason) => {
                session.output.print_message(&format!("{name}: ignored: {reason}"));
                return Ok(Exit::DONE);
            }
        };
        let rows: Vec<AlertRow> = alerts.into_iter().map(|alert| row(alert, &project, estate)).collect();
        if session.output.is_table() {
            session.output.text(&rows.iter().map(render).collect::<Vec<_>>().join("\n"))?;
        } else {
            session.output.list(&rows)?;
        }
        let first = rows.iter().find_map(|row| row.runbook.as_ref());
        session.output.next(&[match first {
            Some(runbook) => session.command(&format!("show {runbook}")),
            None => session.command("list"),
        }]);
        Ok(Exit::DONE)
    }

    fn body(&self) -> Result<Vec<u8>> {
        let shown = self.file.display();
        let unreadable = |error: std::io::Error| Failure::usage(format!("`{shown}` cannot be read: {error}"));
        let mut body = Vec::new();
        let limit = BODY_LIMIT as u64 + 1;
        if self.file.as_os_str() == "-" {
            std::io::stdin().take(limit).read_to_end(&mut body).map_err(unreadable)?;
        } else {
            let file = std::fs::File::open(&self.file).map_err(unreadable)?;
            file.take(limit).read_to_end(&mut body).map_err(unreadable)?;
        }
        if body.len() > BODY_LIMIT {
            return Err(Failure::usage(format!("`{shown}` is larger than {BODY_LIMIT} bytes, the limit of a request")));
        }
        Ok(body)
    }

    /// Parses the body in the format of the named sender, otherwise of the first sender that can parse it.
    fn parse(&self, estate: &Estate, request: &SenderRequest<'_>) -> Result<(String, ParsedBody)> {
        if let Some(name) = &self.sender {
            let sender = estate.senders.get(name).ok_or_else(|| {
                Failure::usage(format!("there is no sender `{}` in the estate", name.escape_debug()))
                    .did_you_mean(name, estate.senders.keys().map(String::as_str))
                    .hint("The senders are under `senders` in estate.yaml.")
            })?;
            return Ok((name.clone(), intake::read(name, sender, request)));
        }
        let mut attempts =
            estate.senders.iter().map(|(name, sender)| (name.clone(), intake::read(name, sender, request)));
        let recognised = attempts.find(|(_, parsed)| is_recognised(parsed));
        Ok(recognised.unwrap_or_else(|| {
            let name = SenderFormat::NAMES.iter().find(|(_, format)| *format == DEFAULT_FORMAT);
            let name = name.map_or("", |(name, _)| name).to_owned();
            let parsed = intake::read(&name, &Sender::new(DEFAULT_FORMAT, Auth::None), request);
            (name, parsed)
        }))
    }
}

/// Whether a format could parse the body.
fn is_recognised(parsed: &ParsedBody) -> bool {
    match parsed {
        ParsedBody::Alerts(alerts) => alerts.iter().all(|alert| alert.name != intake::UNRECOGNISED),
        ParsedBody::Subscription(_) => true,
        ParsedBody::Ignored(_) => false,
    }
}

fn row(mut alert: Alert, project: &Project, estate: &Estate) -> AlertRow {
    let place = estate.alerts.place(&alert, estate);
    alert.environment = Some(place.environment.clone());
    alert.service = place.service.clone().or(alert.service);
    let runbooks = project.catalog.valid_runbooks();
    let selection = trigger::choose(&alert, runbooks);
    let (runbook, params, asks) = match selection.choice {
        Some(choice) => (Some(choice.runbook.id.clone()), choice.params, choice.asks),
        None => (None, Map::new(), None),
    };
    let effect = match (&runbook, &asks, alert.status) {
        (_, _, AlertStatus::Resolved) => "marks itself as resolved",
        (None, _, _) => "tells people",
        (Some(_), None, _) => "starts",
        (Some(_), Some(_), _) => "asks",
    };
    AlertRow {
        environment: place.environment,
        service: place.service,
        group: place.group,
        runbook: runbook.filter(|_| alert.is_firing()),
        params,
        effect,
        reason: asks,
        passed_over: selection.passed_over,
        alert,
    }
}

/// One alert as text.
fn render(row: &AlertRow) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let alert = &row.alert;
    let status = if alert.is_firing() { "fires" } else { "is resolved" };
    let value = alert.value.map(|value| format!(" with {value}")).unwrap_or_default();
    let _ = writeln!(out, "{}: {} {status}{value}", single_line(&alert.sender), single_line(&alert.name));
    let _ = writeln!(out, "  group   {}", single_line(&row.group));
    let runbook = row.runbook.as_deref().map(|runbook| format!(" {runbook}")).unwrap_or_default();
    let reason = row.reason.as_deref().map(|reason| format!(": {}", single_line(reason))).unwrap_or_default();
    let _ =
        writeln!(out, "  does    {}{runbook}{}", row.effect, if row.effect == "asks" { reason } else { String::new() });
    for (name, value) in &row.params {
        let _ = writeln!(out, "  param   {name}={}", single_line(&value_text(value)));
    }
    for warning in &alert.warnings {
        let _ = writeln!(out, "  warning {}", single_line(warning));
    }
    if alert.is_firing() {
        for PassedOver { runbook, reason } in &row.passed_over {
            let _ = writeln!(out, "  not     {runbook}: {}", single_line(reason));
        }
    }
    out
}

fn header(typed: &str) -> std::result::Result<(HeaderName, HeaderValue), String> {
    let (name, value) = typed.split_once(':').ok_or("a header is given as `name: value`")?;
    let name = name.trim().parse().map_err(|_| format!("`{}` cannot be a header's name", name.escape_debug()))?;
    let value = value.trim().parse().map_err(|_| "the value of a header is printable ASCII".to_owned())?;
    Ok((name, value))
}
