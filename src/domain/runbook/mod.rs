//! A resolved runbook: the checker makes it from a file, and the log of a run holds a copy of it.
//!
//! **Invariant:** a value of these types has passed the checker, or was read from a log that holds one that has. Its templates
//! and expressions are text that parses.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::schedule::Schedule;
use self::trigger::Trigger;
use super::core::effect::EffectClass;
use super::core::id::StepKey;
use super::core::severity::Severity;
use super::core::time::Span;

pub mod check;
mod deadline_rule;
pub mod json_schema;
pub mod reference;
pub(in crate::domain) mod runbook_schema;
pub mod schedule;
pub mod scope_names;
pub mod time_limits;
pub mod trigger;

pub use self::deadline_rule::{DeadlineFrom, DeadlineRule};

/// The most steps of a runbook, those inside groups included.
pub const STEP_LIMIT: usize = 2_000;
/// The most items of a `for_each`.
pub const ITEM_LIMIT: usize = 200;

/// A runbook: one procedure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// The name of the file without `.yaml`.
    pub id: String,
    /// What it is for, in a few words.
    pub title: String,
    /// The severity of an incident that it opens.
    pub severity: Severity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The environments it may run in; empty means every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// What must be done by when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadlines: Vec<DeadlineRule>,
    /// The values that can be set at the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// The alerts that start it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<Trigger>,
    /// The schedules that start it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// In order.
    pub steps: Vec<Step>,
    /// Always run at the end, however the steps ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Vec<Step>,
}

/// A value that can be set at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// The name after `params.`
    pub name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub kind: ParamKind,
    /// The value when none is given; without one, the param must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// The type of a param.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A length of time.
    Duration,
    /// A service of the estate.
    Service,
    /// A unit of the estate.
    Unit,
    /// One of these values.
    Choice(Vec<String>),
}

/// One step of a runbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in the runbook. The checker makes one if the file has none.
    pub id: String,
    /// The name that people read; a template.
    pub name: String,
    /// `identify`, `assess`, `mitigate`, `notify`, or another word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Why it is done; a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// An expression: skipped when false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// An expression that gives a list: done once for each `item`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// How many items run at the same time; one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<NonZeroU32>,
    /// What is done.
    pub body: StepBody,
    /// Who must approve first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// How long one attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Whether and when to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Repeats a check until a condition holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// The check that shows that the change has worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// What a failure means for the run.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// The action that reverses the change, on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Action>,
    /// The deadline that this step meets by succeeding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meets: Option<String>,
}

/// What a step does: exactly one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepBody {
    /// An action of some kind.
    Action(Action),
    /// A question to a person.
    Ask(Ask),
    /// A person does it by hand and reports when it is done; a template.
    Manual(String),
    /// A timer.
    Wait(Span),
    /// All of these at the same time.
    Parallel(Vec<Step>),
    /// Another runbook, as a further run of the same incident.
    Start(Start),
}

/// An action: a kind and its spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// The kind's name.
    pub kind: String,
    /// As in the file, shorthand expanded, templates not yet rendered.
    pub spec: Value,
    /// How often it may run without harm.
    pub effect: EffectClass,
    /// The fields of `spec` that are shell scripts, rendered with quoting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<String>,
    /// The host to act on, by its name in the environment; a template. The environment's `host` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// The answers to choose from; templates. Empty: any text is an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The suggested answer; a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggest: Option<String>,
    /// Whether an automatic run takes `suggest` without a person.
    #[serde(default)]
    pub auto: bool,
    /// Whether several choices can be given; the answer is then a list.
    #[serde(default)]
    pub many: bool,
}

/// Another runbook to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub runbook: String,
    /// Its parameters; templates.
    #[serde(default)]
    pub params: serde_json::Map<String, Value>,
}

/// Who must approve a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approve {
    /// Any of these roles or people; empty means any known user.
    #[serde(default)]
    pub by: Vec<String>,
    /// How many people: a number, or a template that gives one. One when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
    /// Whether the person who started the run is excluded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_requester: bool,
    /// How long the request is open; then the step has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Span>,
}

/// Whether and when to try again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: NonZeroU32,
    /// How long to wait before the second attempt; doubled before each further one.
    pub backoff: Span,
    /// An expression over `outcome`: only retried when true.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// Repeats a check until a condition holds, within the step's `timeout`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Until {
    /// An expression over `output`, `summary` and `succeeded` of the latest check.
    pub condition: String,
    /// The pause between two checks.
    pub every: Span,
}

/// The check that shows that a change has worked: it succeeds within a time, and keeps succeeding for another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    /// The check.
    pub action: Action,
    /// How long the check may take to succeed.
    pub within: Span,
    /// How long the check must keep succeeding.
    #[serde(default)]
    pub hold: Span,
    /// The pause between two checks.
    pub every: Span,
}

/// What a failure means for the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// A person chooses: retry the step, skip it, or stop the run.
    #[default]
    Ask,
    /// The run stops; `finally` still runs.
    Stop,
    /// The run goes on.
    Continue,
}

impl Runbook {
    /// Every step in the order of the file, those inside groups after their group.
    pub fn all_steps(&self) -> Vec<&Step> {
        fn gather<'a>(steps: &'a [Step], into: &mut Vec<&'a Step>) {
            for step in steps {
                into.push(step);
                if let StepBody::Parallel(children) = &step.body {
                    gather(children, into);
                }
            }
        }
        let mut all = Vec::new();
        gather(&self.steps, &mut all);
        gather(&self.finally, &mut all);
        all
    }

    /// The `parallel` step that contains a step.
    pub fn group_of(&self, id: &str) -> Option<&Step> {
        let holds = |step: &&Step| match &step.body {
            StepBody::Parallel(children) => children.iter().any(|child| child.id == id),
            _ => false,
        };
        self.all_steps().into_iter().find(holds)
    }

    /// The step with this id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        fn find<'a>(steps: &'a [Step], id: &str) -> Option<&'a Step> {
            steps.iter().find_map(|step| match &step.body {
                _ if step.id == id => Some(step),
                StepBody::Parallel(children) => find(children, id),
                _ => None,
            })
        }
        find(&self.steps, id).or_else(|| find(&self.finally, id))
    }
}

impl Action {
    /// Whether it only sends a message. That changes no system, so it needs no approval and no check.
    pub fn is_message(&self) -> bool {
        self.kind == "notify"
    }

    /// Whether it changes a system.
    pub fn is_change(&self) -> bool {
        self.effect.changes() && !self.is_message()
    }
}

impl Step {
    /// Whether `key`, a key of this step, stands for a group: a `parallel`, or a `for_each` as a whole.
    pub fn is_group(&self, key: &StepKey) -> bool {
        matches!(self.body, StepBody::Parallel(_)) || self.for_each.is_some() && key.index.is_none()
    }

    /// The effect class of the step. A question or a timer changes nothing.
    pub fn effect(&self) -> EffectClass {
        match &self.body {
            StepBody::Action(action) => action.effect,
            StepBody::Ask(_) | StepBody::Manual(_) | StepBody::Wait(_) | StepBody::Parallel(_) | StepBody::Start(_) => {
                EffectClass::Read
            }
        }
    }
}
