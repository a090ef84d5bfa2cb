//! `runbook start`: starts a runbook.

use serde_json::{Map, Value};

use super::preview;
use crate::domain::core::id::IncidentId;
use crate::domain::incident::command::{Request, StartRequest as Order, parse_detected_at};
use crate::domain::incident::event::Mode;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::follow::{background, until_done};
use crate::surface::cli::output::error::{Failure, Result};

/// Maximum attempts to find a free incident id. With 2^32 ids even one collision is rare.
const ID_ATTEMPTS: usize = 8;

/// Opens an incident with a runbook, and goes through its steps
///
/// On a terminal, readings run by themselves, and every change shows what,
/// where, why and how to undo it, and waits for a key. Without a terminal
/// the run goes on until a person is needed, says what it waits for and
/// what to type, and ends with 6. Ctrl-C leaves; nothing is lost.
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
    /// The environment [default: the estate's own choice]
    #[arg(long = "env", value_name = "ENVIRONMENT", env = "RUNBOOK_ENV", hide_env_values = true)]
    environment: Option<String>,
    /// A parameter of the runbook; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
    params: Vec<(String, String)>,
    /// Asks only what nobody else can decide
    #[arg(long, conflicts_with = "step")]
    auto: bool,
    /// Stops before every step
    #[arg(long)]
    step: bool,
    /// Prints exactly what would run, and touches nothing; ends with 7 when something is missing for it
    #[arg(long)]
    plan: bool,
    /// Goes on in the background
    #[arg(long, conflicts_with_all = ["plan", "step"])]
    detach: bool,
    /// Agrees to every change that nobody in particular has to agree to
    #[arg(long, short = 'y', conflicts_with = "step")]
    yes: bool,
    /// The incident's title [default: the runbook's]
    #[arg(long, value_name = "WORDS")]
    title: Option<String>,
    /// When the trouble was first noticed: an instant, or how long ago such as `10m`
    #[arg(long, value_name = "TIME")]
    detected_at: Option<String>,
    /// Goes on in this incident instead of opening one
    #[arg(long, value_name = "INCIDENT", conflicts_with_all = ["title", "detected_at"])]
    incident: Option<String>,
}

impl Start {
    /// Starts the runbook, or prints its plan.
    pub fn run(self, session: &Session) -> Result {
        let shop = Project::open(&session.settings)?;
        let order = self.order(session, &shop)?;
        if self.plan {
            return preview::show(session, &shop, order);
        }
        let mut open_engine = session.open(shop)?;
        let (id, before, order) = self.placed(&mut open_engine, order)?;
        let incident = open_engine.submit(&id, Request::Start(Box::new(order)))?;
        open_engine.remember_project(&id)?;
        let output = &session.output;
        // The stepper and the plain output begin with the same words.
        if self.detach || !output.is_table() || before > 0 {
            output.print_message(&format!("{id}: {}, {}", incident.title, incident.environment));
        }
        if self.detach {
            return background::work(&open_engine, &id);
        }
        if session.settings.streams.interactive() && session.output.is_table() {
            return until_done::step(&open_engine, &id);
        }
        until_done::plain(&open_engine, &id, before)
    }

    fn order(&self, session: &Session, shop: &Project) -> Result<Order> {
        let (runbook, digest) = shop.runbook(&self.id, &session.output)?;
        let estate = shop.estate(&session.output)?;
        Ok(Order {
            incident: IncidentId::from_bits(crate::surface::cli::chance()),
            runbook: runbook.clone(),
            digest: digest.to_owned(),
            environment: shop.environment(self.environment.as_deref(), estate)?,
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

    /// The incident to start in and its last event, or a free id for a new incident.
    fn placed(&self, open_engine: &mut OpenEngine<'_>, mut order: Order) -> Result<(IncidentId, u64, Order)> {
        if let Some(typed) = &self.incident {
            let id = open_engine.find(Some(typed))?;
            let incident = open_engine.prepare(&id)?;
            order.incident = id.clone();
            // The parameters of an alert's proposal.
            let proposal = incident.proposals.iter().find(|proposal| proposal.runbook == self.id);
            for (name, value) in proposal.into_iter().flat_map(|proposal| &proposal.params) {
                order.params.entry(name.clone()).or_insert_with(|| value.clone());
            }
            if self.environment.is_none() {
                order.environment = incident.environment;
            }
            return Ok((id, incident.seq, order));
        }
        for _ in 0..ID_ATTEMPTS {
            if open_engine.wait(open_engine.store().seq(&order.incident))? == 0 {
                return Ok((order.incident.clone(), 0, order));
            }
            order.incident = IncidentId::from_bits(crate::surface::cli::chance());
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
