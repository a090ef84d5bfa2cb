//! Renders the templates of a runbook before it runs, with parameters, environment and estate only.
//!
//! **Invariant:** a text that depends on results of the run stays as written and is marked; no value is guessed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::clock::{Clock, SystemClock};
use crate::domain::core::id::StepKey;
use crate::domain::incident::command::{Command, Refused, Request};
use crate::domain::incident::decide::decide;
use crate::domain::incident::event::{Actor, Mode, Recorded};
use crate::domain::incident::{Incident, fold};
use crate::domain::incident::{command, template_scope};
use crate::domain::runbook::{self, Action, Runbook};
use crate::domain::template::expression;
use crate::engine::catalog::Catalog;
use crate::surface::cli::output::writer::value_text;

/// The template variables that are known before a run begins.
const KNOWN_BEFORE_RUN: [&str; 5] = ["params", "environment", "estate", "services", "datastores"];
/// Maximum depth of runbooks that start each other.
const DEPTH_LIMIT: usize = 4;
/// Maximum number of items that are listed of a `for_each`.
const ITEMS_SHOWN: usize = 20;

/// A text, rendered as far as possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewText {
    pub text: String,
    /// Whether it depends on results of the run and stays as written.
    pub depends_on_results: bool,
}

/// The values with which texts are rendered.
#[derive(Debug)]
pub enum Preview<'a> {
    /// No values: texts stay as written.
    AsWritten,
    /// The values that a start request gives.
    Start(Box<UnstartedRun<'a>>),
}

/// A run that has not started: the incident as its first events would create it.
#[derive(Debug)]
pub struct UnstartedRun<'a> {
    incident: Incident,
    start: command::StartRequest,
    catalog: &'a Catalog,
    ancestors: BTreeSet<String>,
}

impl<'a> Preview<'a> {
    /// The preview of this start request, or the refusal that it would get.
    pub fn of(start: command::StartRequest, catalog: &'a Catalog) -> Result<Self, Refused> {
        Self::within(start, catalog, BTreeSet::new())
    }

    fn within(
        start: command::StartRequest,
        catalog: &'a Catalog,
        mut ancestors: BTreeSet<String>,
    ) -> Result<Self, Refused> {
        ancestors.insert(start.runbook.id.clone());
        let now = SystemClock.now();
        let request = Request::Start(Box::new(start.clone()));
        let events = decide(None, &Command { by: Actor::Engine, request }, now)?;
        let record = |(seq, event)| Recorded { seq, at: now, by: Actor::Engine, event };
        let log: Vec<Recorded> = (1..).zip(events).map(record).collect();
        let incident = fold(&log).ok().flatten().ok_or_else(|| Refused::usage("the runbook cannot start"))?;
        Ok(Self::Start(Box::new(UnstartedRun { incident, start, catalog, ancestors })))
    }

    /// The environment of the start; none for a runbook as written.
    pub fn environment(&self) -> Option<&str> {
        match self {
            Self::AsWritten => None,
            Self::Start(unstarted) => Some(&unstarted.start.environment),
        }
    }

    /// The ssh target of the named host or, without a name, of the environment's default host. None for this machine
    /// and for an unknown host.
    pub fn host(&self, name: Option<&str>) -> Option<String> {
        let Self::Start(unstarted) = self else { return None };
        let environment = unstarted.start.estate.environments.get(&unstarted.start.environment)?;
        let name = name.map(|name| self.text(name).text);
        let ssh = environment.host_called(name.as_deref()).ok()?.ssh()?;
        Some(ssh.to.clone())
    }

    /// The mode of the run; none for a runbook as written.
    pub fn mode(&self) -> Option<Mode> {
        match self {
            Self::AsWritten => None,
            Self::Start(unstarted) => Some(unstarted.start.mode),
        }
    }

    /// Every parameter with its value; none for a runbook as written.
    pub fn params(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::AsWritten => None,
            Self::Start(unstarted) => unstarted.incident.runs.first().map(|run| &run.params),
        }
    }

    /// Renders a template if its values are known.
    pub fn text(&self, source: &str) -> PreviewText {
        let as_written = |depends_on_results| PreviewText { text: source.to_owned(), depends_on_results };
        match self {
            Self::AsWritten => as_written(false),
            Self::Start(_) if !expression::is_template(source) => as_written(false),
            Self::Start(_) if !is_known(source) => as_written(true),
            Self::Start(unstarted) => match expression::render_text(source, &unstarted.scope(source)) {
                Ok(text) => PreviewText { text, depends_on_results: false },
                Err(_) => as_written(true),
            },
        }
    }

    /// A condition, followed by its result if its values are known.
    pub fn condition(&self, source: &str) -> PreviewText {
        self.expression(source, |value| {
            let holds = !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0;
            if holds { "holds".to_owned() } else { "does not hold: the step is skipped".to_owned() }
        })
    }

    /// A list expression, followed by its items if its values are known.
    pub fn list(&self, source: &str) -> PreviewText {
        self.expression(source, |value| match value {
            Value::Array(items) => {
                let shown: Vec<String> = items.iter().take(ITEMS_SHOWN).map(value_text).collect();
                let more = if items.len() > ITEMS_SHOWN {
                    format!(" and {} more", items.len() - ITEMS_SHOWN)
                } else {
                    String::new()
                };
                format!("{} of: {}{more}", items.len(), shown.join(", "))
            }
            other => value_text(other),
        })
    }

    /// An expression, followed by the description of its value if the value is known.
    fn expression(&self, source: &str, describe: impl Fn(&Value) -> String) -> PreviewText {
        let as_written = |depends_on_results| PreviewText { text: source.to_owned(), depends_on_results };
        let Self::Start(unstarted) = self else { return as_written(false) };
        let references = expression::references_of_expression(source);
        if !references.is_ok_and(|references| references.iter().all(is_known_reference)) {
            return as_written(true);
        }
        match expression::evaluate(source, &unstarted.scope(source)) {
            Ok(value) => PreviewText { text: format!("{source} — {}", describe(&value)), depends_on_results: false },
            Err(_) => as_written(true),
        }
    }

    /// The spec of an action, and whether a part of it depends on results of the run.
    pub fn spec(&self, action: &Action) -> (Value, bool) {
        let Self::Start(unstarted) = self else { return (action.spec.clone(), false) };
        let mut sources = Vec::new();
        crate::domain::template::values::gather(&action.spec, &mut sources);
        let templates = sources.into_iter().filter(|source| expression::is_template(source));
        if !templates.clone().all(is_known) {
            return (self.render_partly(&action.spec, &action.scripts), true);
        }
        let run = unstarted.incident.runs.first().expect("a start makes a run");
        match template_scope::action(&unstarted.incident, run, &StepKey::main("plan"), action) {
            Ok(rendered) => (rendered.spec, false),
            Err(_) => (action.spec.clone(), templates.count() > 0),
        }
    }

    /// Renders every text that can be rendered. Fields in `scripts` stay as written, because a script that is only partly
    /// rendered would mislead.
    fn render_partly(&self, value: &Value, scripts: &[String]) -> Value {
        match value {
            Value::String(source) => self.render_value(source),
            Value::Array(items) => items.iter().map(|item| self.render_partly(item, &[])).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, field)| {
                    let field = if scripts.contains(name) { field.clone() } else { self.render_partly(field, &[]) };
                    (name.clone(), field)
                })
                .collect(),
            other => other.clone(),
        }
    }

    /// Renders a text if possible; a single `{{ … }}` keeps the type of its value.
    fn render_value(&self, source: &str) -> Value {
        let as_written = || Value::String(source.to_owned());
        match self {
            Self::Start(unstarted) if expression::is_template(source) && is_known(source) => {
                expression::render(source, &unstarted.scope(source)).unwrap_or_else(|_| as_written())
            }
            _ => as_written(),
        }
    }

    /// Calls `visit` with the runbook that a step starts, unless the runbook would start itself or is nested too deep.
    pub fn visit_started(&self, step: &runbook::Start, visit: impl FnOnce(&Runbook, &Preview<'_>)) {
        let Self::Start(unstarted) = self else { return };
        let too_deep = unstarted.ancestors.len() >= DEPTH_LIMIT || unstarted.ancestors.contains(&step.runbook);
        let Some((runbook, digest)) = unstarted.catalog.runbook(&step.runbook).filter(|_| !too_deep) else { return };
        let mut params = Map::new();
        for (name, value) in &step.params {
            let rendered = self.render_partly(value, &[]);
            // A parameter that depends on the run gets its default.
            if !has_template(&rendered) {
                params.insert(name.clone(), rendered);
            }
        }
        let start = command::StartRequest {
            runbook: runbook.clone(),
            digest: digest.to_owned(),
            params,
            ..unstarted.start.clone()
        };
        match Preview::within(start, unstarted.catalog, unstarted.ancestors.clone()) {
            Ok(inner) => visit(runbook, &inner),
            Err(_) => visit(runbook, &Preview::AsWritten),
        }
    }
}

impl UnstartedRun<'_> {
    fn scope(&self, source: &str) -> minijinja::Value {
        let run = self.incident.runs.first().expect("a start makes a run");
        template_scope::of(&self.incident, run, &StepKey::main("plan"), &[source])
    }
}

/// Whether every variable that a template refers to is known before the run.
fn is_known(source: &str) -> bool {
    expression::references(source).is_ok_and(|references| references.iter().all(is_known_reference))
}

fn is_known_reference(reference: &expression::Reference) -> bool {
    reference.parts().next().is_some_and(|root| KNOWN_BEFORE_RUN.contains(&root))
}

fn has_template(value: &Value) -> bool {
    let mut sources = Vec::new();
    crate::domain::template::values::gather(value, &mut sources);
    sources.into_iter().any(expression::is_template)
}
