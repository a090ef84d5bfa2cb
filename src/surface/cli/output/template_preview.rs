//! What is put into the templates of a runbook before it runs: parameters, environment and estate, and nothing else.
//!
//! **Invariant:** a text that speaks of what only a run can know is left as it is written and marked; nothing is guessed.

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

/// The template variables that are known before a run begins.
const KNOWN: [&str; 5] = ["params", "environment", "estate", "services", "datastores"];
/// Maximum depth of runbooks that start other runbooks.
const DEPTH_LIMIT: usize = 4;
/// Maximum number of items of a `for_each` that are listed.
const ITEMS_SHOWN: usize = 20;

/// A text, rendered as far as possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    pub text: String,
    /// Whether it depends on results of the run.
    pub open: bool,
}

/// The values for rendering texts.
#[derive(Debug)]
pub enum Filling<'a> {
    /// No values: texts stay as written.
    AsWritten,
    /// The values of a start.
    Start(Box<Beginning<'a>>),
}

/// A run that has not begun: the incident as its first events would create it.
#[derive(Debug)]
pub struct Beginning<'a> {
    incident: Incident,
    start: command::StartRequest,
    catalog: &'a Catalog,
    ancestors: BTreeSet<String>,
}

impl<'a> Filling<'a> {
    /// The values of this start, or the refusal that it would get.
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
        let incident = fold(&log).ok().flatten().ok_or_else(|| Refused::usage("the runbook cannot begin"))?;
        Ok(Self::Start(Box::new(Beginning { incident, start, catalog, ancestors })))
    }

    /// The environment.
    pub fn environment(&self) -> Option<&str> {
        match self {
            Self::AsWritten => None,
            Self::Start(beginning) => Some(&beginning.start.environment),
        }
    }

    /// The ssh target of the named host, or of the environment's default host; none for this machine or an unknown
    /// host.
    pub fn host(&self, name: Option<&str>) -> Option<String> {
        let Self::Start(beginning) = self else { return None };
        let environment = beginning.start.estate.environments.get(&beginning.start.environment)?;
        let name = name.map(|name| self.text(name).text);
        let ssh = environment.host_called(name.as_deref()).ok()?.ssh()?;
        Some(ssh.to.clone())
    }

    /// How often the run asks people; none if nothing is started.
    pub fn mode(&self) -> Option<Mode> {
        match self {
            Self::AsWritten => None,
            Self::Start(beginning) => Some(beginning.start.mode),
        }
    }

    /// Every parameter with its value.
    pub fn params(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::AsWritten => None,
            Self::Start(beginning) => beginning.incident.runs.first().map(|run| &run.params),
        }
    }

    /// A template, rendered if possible.
    pub fn text(&self, source: &str) -> Filled {
        let as_written = |open| Filled { text: source.to_owned(), open };
        match self {
            Self::AsWritten => as_written(false),
            Self::Start(_) if !expression::is_template(source) => as_written(false),
            Self::Start(_) if !known(source) => as_written(true),
            Self::Start(beginning) => match expression::render_text(source, &beginning.scope(source)) {
                Ok(text) => Filled { text, open: false },
                Err(_) => as_written(true),
            },
        }
    }

    /// A condition, with its result if it is known.
    pub fn condition(&self, source: &str) -> Filled {
        self.expression(source, |value| {
            let holds = !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0;
            if holds { "holds".to_owned() } else { "does not hold: the step is skipped".to_owned() }
        })
    }

    /// A list, with its items if they are known.
    pub fn list(&self, source: &str) -> Filled {
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

    fn expression(&self, source: &str, print_message: impl Fn(&Value) -> String) -> Filled {
        let as_written = |open| Filled { text: source.to_owned(), open };
        let Self::Start(beginning) = self else { return as_written(false) };
        let roots = expression::references_of_expression(source);
        if !roots.is_ok_and(|roots| roots.iter().all(|reference| is_known(reference.parts().next()))) {
            return as_written(true);
        }
        match expression::evaluate(source, &beginning.scope(source)) {
            Ok(value) => Filled { text: format!("{source} — {}", print_message(&value)), open: false },
            Err(_) => as_written(true),
        }
    }

    /// The spec of an action, and whether a part of it is known only during the run.
    pub fn spec(&self, action: &Action) -> (Value, bool) {
        let Self::Start(beginning) = self else { return (action.spec.clone(), false) };
        let mut sources = Vec::new();
        crate::domain::template::values::gather(&action.spec, &mut sources);
        let templates = sources.into_iter().filter(|source| expression::is_template(source));
        if !templates.clone().all(known) {
            return (self.partly(&action.spec, &action.scripts), true);
        }
        let run = beginning.incident.runs.first().expect("a start makes a run");
        match template_scope::action(&beginning.incident, run, &StepKey::main("plan"), action) {
            Ok(rendered) => (rendered.spec, false),
            Err(_) => (action.spec.clone(), templates.count() > 0),
        }
    }

    /// Renders every text that can be rendered. A script stays as written, because a half-rendered one would mislead.
    fn partly(&self, value: &Value, scripts: &[String]) -> Value {
        match value {
            Value::String(source) => self.value(source),
            Value::Array(items) => items.iter().map(|item| self.partly(item, &[])).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, field)| {
                    let field = if scripts.contains(name) { field.clone() } else { self.partly(field, &[]) };
                    (name.clone(), field)
                })
                .collect(),
            other => other.clone(),
        }
    }

    /// Renders a text if possible; a single `{{ … }}` keeps the type of its value.
    fn value(&self, source: &str) -> Value {
        let as_written = || Value::String(source.to_owned());
        match self {
            Self::Start(beginning) if expression::is_template(source) && known(source) => {
                expression::render(source, &beginning.scope(source)).unwrap_or_else(|_| as_written())
            }
            _ => as_written(),
        }
    }

    /// Calls `look` with the runbook that a step starts, unless this would recurse or go too deep.
    pub fn inside(&self, step: &runbook::Start, look: impl FnOnce(&Runbook, &Filling<'_>)) {
        let Self::Start(beginning) = self else { return };
        let too_deep = beginning.ancestors.len() >= DEPTH_LIMIT || beginning.ancestors.contains(&step.runbook);
        let Some((runbook, digest)) = beginning.catalog.runbook(&step.runbook).filter(|_| !too_deep) else { return };
        let mut params = Map::new();
        for (name, value) in &step.params {
            let filled = self.partly(value, &[]);
            // A parameter that depends on the run gets its default.
            if !is_open(&filled) {
                params.insert(name.clone(), filled);
            }
        }
        let start = command::StartRequest {
            runbook: runbook.clone(),
            digest: digest.to_owned(),
            params,
            ..beginning.start.clone()
        };
        match Filling::within(start, beginning.catalog, beginning.ancestors.clone()) {
            Ok(inner) => look(runbook, &inner),
            Err(_) => look(runbook, &Filling::AsWritten),
        }
    }
}

impl Beginning<'_> {
    fn scope(&self, source: &str) -> minijinja::Value {
        let run = self.incident.runs.first().expect("a start makes a run");
        template_scope::of(&self.incident, run, &StepKey::main("plan"), &[source])
    }
}

/// Whether everything that a template refers to is known before a run.
fn known(source: &str) -> bool {
    expression::references(source)
        .is_ok_and(|references| references.iter().all(|reference| is_known(reference.parts().next())))
}

fn is_known(root: Option<&str>) -> bool {
    root.is_some_and(|root| KNOWN.contains(&root))
}

fn is_open(value: &Value) -> bool {
    let mut sources = Vec::new();
    crate::domain::template::values::gather(value, &mut sources);
    sources.into_iter().any(expression::is_template)
}

fn value_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
