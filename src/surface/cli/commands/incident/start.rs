//! `runbook start`: starts a runbook.

use serde_json::{Map, Value};

use super::preview;
use crate::domain::core::id::IncidentId;
use crate::domain::incident::command::{Request, StartRequest, parse_detected_at};
use crate::domain::incident::event::Mode;
use crate::surface::cli::context::project::{Project, chosen_environment};
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::follow::{background, until_done};
use crate::surface::cli::output::error::{Failure, Result};

/// Maximum attempts to find a free incident id. With 2^32 ids even one collision is rare.
const ID_ATTEMPTS: usize = 8;

/// Start a runbook: open an incident and run its steps
///
/// On a terminal, read-only steps run at once. Each change shows what, where,
/// why and how to undo it, and waits for a key. Without a terminal the run
/// continues until a person is needed; then this command prints what it waits
/// for and what to type, and exits with 6. Ctrl-C detaches; nothing is lost.
///
/// Examples:
///   runbook start p1 --env production
///   runbook start p3 --env production --param service=search
///   runbook start p1 --env production --plan
///   runbook start p2 --env staging --auto --detach
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Start {
    /// The runbook's id
    #[arg(value_name = "RUNBOOK")]
    id: String,
    /// The environment [default: the estate's default]
    #[arg(long = "env", value_name = "ENVIRONMENT", env = "RUNBOOK_ENV", hide_env_values = true)]
    environment: Option<String>,
    /// A parameter of the runbook; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
    params: Vec<(String, String)>,
    /// Ask only for decisions a person must make
    #[arg(long, conflicts_with = "step")]
    auto: bool,
    /// Ask before every step
    #[arg(long)]
    step: bool,
    /// Print exactly what would run and start nothing; exits with 7 if something is missing
    #[arg(long)]
    plan: bool,
    /// Continue in the background
    #[arg(long, conflicts_with_all = ["plan", "step"])]
    detach: bool,
    /// Approve every change that needs no named approver
    #[arg(long, short = 'y', conflicts_with = "step")]
    yes: bool,
    /// The incident's title [default: the runbook's]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// When the problem was first noticed: an instant, or how long ago, such as `10m`
    #[arg(long, value_name = "TIME")]
    detected_at: Option<String>,
    /// Start the runbook in this incident instead of opening a new one
    #[arg(long, value_name = "INCIDENT", conflicts_with_all = ["title", "detected_at"])]
    incident: Option<String>,
}

impl Start {
    /// Starts the runbook, or prints its plan.
    pub fn run(self, session: &Session) -> Result {
        let project = Project::open(&session.settings)?;
        let request = self.start_request(session, &project)?;
        if self.plan {
            return preview::show(session, &project, request);
        }
        let mut open_engine = session.open(project)?;
        let (request, before) = self.with_incident(&mut open_engine, request)?;
        let id = request.incident.clone();
        let incident = open_engine.submit(&id, Request::Start(Box::new(request)))?;
        open_engine.record_project(&id)?;
        let output = &session.output;
        // The stepper and the plain output print the title themselves.
        if self.detach || !output.is_table() || before > 0 {
            output.print_message(&format!("{id}: {}, {}", incident.title, incident.environment));
        }
        if self.detach {
            return background::start_and_print_next(&open_engine, &id);
        }
        if session.settings.streams.interactive() && session.output.is_table() {
            return until_done::step(&open_engine, &id);
        }
        until_done::plain(&open_engine, &id, before)
    }

    fn start_request(&self, session: &Session, project: &Project) -> Result<StartRequest> {
        let (runbook, digest) = project.runbook(&self.id, &session.output)?;
        let estate = project.estate(&session.output)?;
        Ok(StartRequest {
            incident: IncidentId::from_bits(crate::surface::cli::random_bits()),
            runbook: runbook.clone(),
            digest: digest.to_owned(),
            environment: chosen_environment(self.environment.as_deref(), estate)?,
            estate: estate.clone(),
            params: self.params()?,
            mode: self.mode(),
            detected_at: self
                .detected_at
                .as_deref()
                .map(|text| parse_detected_at(text, session.clock().now()))
                .transpose()?,
            title: self.title.clone(),
            parent: None,
            alert: None,
        })
    }

    fn mode(&self) -> Mode {
        match (self.step, self.auto || self.yes) {
            (true, _) => Mode::Step,
            (false, true) => Mode::Auto,
            (false, false) => Mode::Guided,
        }
    }

    fn params(&self) -> Result<Map<String, Value>> {
        let mut params = Map::new();
        for (name, value) in &self.params {
            if params.insert(name.clone(), Value::String(value.clone())).is_some() {
                return Err(Failure::usage(format!("parameter `{}` is given twice", name.escape_debug())));
            }
        }
        Ok(params)
    }

    /// Completes the request with an existing incident or with a free id for a new one. Returns it with the number of the
    /// incident's last event.
    fn with_incident(
        &self,
        open_engine: &mut OpenEngine<'_>,
        mut request: StartRequest,
    ) -> Result<(StartRequest, u64)> {
        if let Some(typed) = &self.incident {
            let id = open_engine.find(Some(typed))?;
            let incident = open_engine.prepare(&id)?;
            request.incident = id;
            // An alert may have proposed this runbook, with parameters.
            let proposal = incident.proposals.iter().find(|proposal| proposal.runbook == self.id);
            for (name, value) in proposal.into_iter().flat_map(|proposal| &proposal.params) {
                request.params.entry(name.clone()).or_insert_with(|| value.clone());
            }
            if self.environment.is_none() {
                request.environment = incident.environment;
            }
            return Ok((request, incident.seq));
        }
        for _ in 0..ID_ATTEMPTS {
            if open_engine.wait(open_engine.store().seq(&request.incident))? == 0 {
                return Ok((request, 0));
            }
            request.incident = IncidentId::from_bits(crate::surface::cli::random_bits());
        }
        Err(Failure::error("no incident id is free"))
    }
}

fn param(typed: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = typed.split_once('=').ok_or("a parameter is given as `name=value`")?;
    if name.is_empty() {
        return Err("the name before `=` is missing".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}
