//! The outline of a runbook: one paragraph per step. `show` prints the texts as written, `start --plan` renders them.
//!
//! **Invariant:** the outline shows what the engine would do, because the same functions render the texts.

use serde::Serialize;
use serde_json::{Map, Value};

use super::table::{single_line, wrapped};
use super::template_preview::{Preview, PreviewText};
use super::writer::{json, value_text};
use crate::actions;
use crate::domain::core::effect::EffectClass;
use crate::domain::incident::event::Mode;
use crate::domain::runbook::trigger::{StartMode, Trigger};
use crate::domain::runbook::{
    Action, DeadlineFrom, DeadlineRule, OnFailure, Param, ParamKind, Runbook, Step, StepBody,
};

/// The width if the terminal's width is unknown.
const DEFAULT_WIDTH: usize = 100;
/// The name of the detail that shows an action verbatim.
const EXACTLY: &str = "exactly";
/// Maximum length of a detail in characters; [`EXACTLY`] is never cut.
const DETAIL_LIMIT: usize = 600;

/// The outline of a runbook.
#[derive(Debug, Serialize)]
pub struct Outline {
    pub runbook: String,
    pub title: String,
    /// Severity, environments, summary, triggers, parameters and deadlines.
    #[serde(skip)]
    head: Vec<String>,
    /// The environment of the plan; none for a runbook as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The parameters with their values.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// The steps. The members of a group follow the group.
    pub steps: Vec<OutlineItem>,
    /// Missing secrets, and whether the environment excludes this host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The outline of one step.
#[derive(Debug, Serialize)]
pub struct OutlineItem {
    pub id: String,
    pub name: String,
    /// The nesting depth in groups and started runbooks.
    pub depth: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// `action`, `ask`, `manual`, `wait`, `parallel` or `start`.
    pub sort: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PlannedStep>,
    /// The other properties, most important first.
    pub details: Vec<Detail>,
    /// Whether the step is under `finally`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub finally: bool,
}

/// The action of a step, as it would run.
#[derive(Debug, Serialize)]
pub struct PlannedStep {
    pub kind: String,
    pub spec: Value,
    /// Whether a part depends on results of the run and is shown as written.
    pub depends_on_results: bool,
    /// The host that the step names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// One property of a step.
#[derive(Debug, Serialize)]
pub struct Detail {
    pub what: &'static str,
    pub text: String,
    /// Whether it depends on results of the run and is shown as written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub depends_on_results: bool,
}

/// The outline of a runbook as written.
pub fn runbook(runbook: &Runbook) -> Outline {
    of(runbook, &Preview::AsWritten)
}

/// The outline of a runbook, rendered as far as possible.
pub fn of(runbook: &Runbook, preview: &Preview) -> Outline {
    let mut outline = Outline {
        runbook: runbook.id.clone(),
        title: runbook.title.clone(),
        head: Vec::new(),
        environment: preview.environment().map(str::to_owned),
        params: preview.params().cloned().unwrap_or_default(),
        steps: Vec::new(),
        warnings: Vec::new(),
    };
    outline.head = head(runbook, &outline, preview);
    steps(&runbook.steps, 0, false, preview, &mut outline.steps);
    steps(&runbook.finally, 0, true, preview, &mut outline.steps);
    outline
}

fn head(runbook: &Runbook, outline: &Outline, preview: &Preview) -> Vec<String> {
    let place = match (&outline.environment, runbook.environments.as_slice()) {
        (Some(environment), _) => {
            preview.host(None).map_or_else(|| environment.clone(), |host| format!("{environment} on {host}"))
        }
        (None, []) => "every environment".to_owned(),
        (None, environments) => environments.join(", "),
    };
    let mut head = vec![format!("{} · {} · {} · {place}", runbook.id, runbook.severity, runbook.title)];
    head.extend(runbook.summary.iter().cloned());
    head.extend(runbook.on.iter().map(trigger_line));
    head.extend(runbook.params.iter().map(|param| param_line(param, outline.params.get(&param.name))));
    head.extend(runbook.deadlines.iter().map(deadline_line));
    head
}

fn trigger_line(trigger: &Trigger) -> String {
    let starts = match trigger.start {
        StartMode::Auto => "starts automatically",
        StartMode::Ask => "is proposed",
    };
    let condition = trigger.condition.as_ref().map(|condition| format!(" where {condition}")).unwrap_or_default();
    format!("{starts} on alert {}{condition}", trigger.alert.join(", "))
}

fn param_line(param: &Param, value: Option<&Value>) -> String {
    let kind = match &param.kind {
        ParamKind::Choice(choices) => choices.join(" | "),
        other => format!("{other:?}").to_lowercase(),
    };
    let shown = match (value, &param.default) {
        (Some(value), _) => format!(" = {}", value_text(value)),
        (None, Some(default)) => format!(" ({kind}, {} unless given)", value_text(default)),
        (None, None) => format!(" ({kind}, required)"),
    };
    let help = param.help.as_ref().map(|help| format!(": {help}")).unwrap_or_default();
    format!("param {}{shown}{help}", param.name)
}

fn deadline_line(rule: &DeadlineRule) -> String {
    let from = match rule.from {
        DeadlineFrom::Opened => "opening",
        DeadlineFrom::Resolved => "resolving",
    };
    let warned = rule.warn_at.map(|at| format!(", warned at {at}")).unwrap_or_default();
    format!("deadline {}: within {} of {from}{warned}", rule.name, rule.within)
}

fn steps(steps: &[Step], depth: usize, finally: bool, preview: &Preview, into: &mut Vec<OutlineItem>) {
    for step in steps {
        into.push(item(step, depth, finally, preview));
        match &step.body {
            StepBody::Parallel(children) => self::steps(children, depth + 1, finally, preview, into),
            StepBody::Start(start) => preview.visit_started(start, |runbook, inner| {
                self::steps(&runbook.steps, depth + 1, finally, inner, into);
                self::steps(&runbook.finally, depth + 1, true, inner, into);
            }),
            StepBody::Action(_) | StepBody::Ask(_) | StepBody::Manual(_) | StepBody::Wait(_) => {}
        }
    }
}

fn item(step: &Step, depth: usize, finally: bool, preview: &Preview) -> OutlineItem {
    let action = match &step.body {
        StepBody::Action(action) => Some(planned(action, preview)),
        _ => None,
    };
    let sort = match &step.body {
        StepBody::Action(_) => "action",
        StepBody::Ask(_) => "ask",
        StepBody::Manual(_) => "manual",
        StepBody::Wait(_) => "wait",
        StepBody::Parallel(_) => "parallel",
        StepBody::Start(_) => "start",
    };
    OutlineItem {
        id: step.id.clone(),
        name: preview.text(&step.name).text,
        depth,
        phase: step.phase.clone(),
        sort,
        effect: action.is_some().then(|| step.effect()),
        details: details(step, action.as_ref(), preview),
        action,
        finally,
    }
}

fn planned(action: &Action, preview: &Preview) -> PlannedStep {
    let (spec, depends_on_results) = preview.spec(action);
    let host = action.host.as_deref().map(|host| preview.host(Some(host)).unwrap_or_else(|| host.to_owned()));
    PlannedStep { kind: action.kind.clone(), spec, depends_on_results, host }
}

/// The lines below a step's name.
struct Details(Vec<Detail>);

impl Details {
    fn add(&mut self, what: &'static str, text: impl Into<String>) {
        self.0.push(Detail { what, text: text.into(), depends_on_results: false });
    }

    fn rendered(&mut self, what: &'static str, rendered: PreviewText) {
        let PreviewText { text, depends_on_results } = rendered;
        self.0.push(Detail { what, text, depends_on_results });
    }

    fn action(&mut self, what: &'static str, planned: &PlannedStep) {
        let change = actions::kind(&planned.kind).map(|kind| kind.describe(&planned.spec));
        let description = change.map(|change| change.what).filter(|description| !description.is_empty());
        let on = planned.host.as_ref().map_or_else(String::new, |host| format!(" on {host}"));
        let text = description.unwrap_or_else(|| planned.kind.clone()) + &on;
        self.0.push(Detail { what, text, depends_on_results: planned.depends_on_results });
    }
}

fn details(step: &Step, action: Option<&PlannedStep>, preview: &Preview) -> Vec<Detail> {
    let mut details = Details(Vec::new());
    if let Some(planned) = action {
        details.action("does", planned);
        if preview.mode().is_some() {
            details.add(EXACTLY, format!("{} {}", planned.kind, json(&planned.spec, false).trim_end()));
        }
    }
    match &step.body {
        StepBody::Ask(ask) => {
            let choices: Vec<String> = ask.choices.iter().map(|choice| preview.text(choice).text).collect();
            if !choices.is_empty() {
                details.add("choices", choices.join(" | "));
            }
            if let Some(suggest) = &ask.suggest {
                details.rendered("suggests", preview.text(suggest));
            }
            if ask.auto {
                details.add("auto", "an automatic run takes the suggestion");
            }
        }
        StepBody::Manual(instruction) => details.rendered("by hand", preview.text(instruction)),
        StepBody::Wait(length) => details.add("waits", length.to_string()),
        StepBody::Start(start) => details.add("starts", start.runbook.clone()),
        StepBody::Action(_) | StepBody::Parallel(_) => {}
    }
    add_common(step, preview, &mut details);
    details.0
}

/// Adds the properties that every kind of step can have.
fn add_common(step: &Step, preview: &Preview, details: &mut Details) {
    if let Some(when) = &step.when {
        details.rendered("when", preview.condition(when));
    }
    if let Some(list) = &step.for_each {
        details.rendered("for each", preview.list(list));
    }
    if let Some(why) = &step.why {
        details.rendered("why", preview.text(why));
    }
    if let Some(who) = approvers(step, preview) {
        details.add("agreed by", who);
    }
    if let Some(until) = &step.until {
        details.add("until", format!("{}, asked every {}", until.condition, until.every));
    }
    if let Some(verify) = &step.verify {
        details.action("verified", &planned(&verify.action, preview));
        let hold = if verify.hold.0.is_zero() { String::new() } else { format!(" and for {}", verify.hold) };
        details.add("verified within", format!("{}{hold}", verify.within));
    }
    if let Some(undo) = &step.undo {
        details.action("undo", &planned(undo, preview));
    }
    if let Some(timeout) = step.timeout {
        details.add("at most", timeout.to_string());
    }
    if let Some(retry) = &step.retry {
        details.add("attempts", format!("{}, {} apart at first", retry.attempts, retry.backoff));
    }
    match step.on_failure {
        OnFailure::Ask => {}
        OnFailure::Stop => details.add("on failure", "the run stops"),
        OnFailure::Continue => details.add("on failure", "the run goes on"),
    }
    if let Some(deadline) = &step.meets {
        details.add("meets", deadline.clone());
    }
}

/// Who must approve first: the roles that the step names, otherwise anybody if the mode requires approval.
fn approvers(step: &Step, preview: &Preview) -> Option<String> {
    if let Some(approve) = &step.approve {
        return Some(if approve.by.is_empty() { "anybody".to_owned() } else { approve.by.join(" or ") });
    }
    let StepBody::Action(action) = &step.body else { return None };
    let needs_approval = match preview.mode()? {
        Mode::Step => true,
        Mode::Guided | Mode::Unattended => action.is_change(),
        Mode::Auto => false,
    };
    needs_approval.then(|| "anybody".to_owned())
}

impl Outline {
    /// The outline as text.
    pub fn render(&self, width: Option<usize>) -> String {
        let width = width.unwrap_or(DEFAULT_WIDTH);
        let mut out = String::new();
        for line in &self.head {
            out.push_str(&wrapped(&single_line(line), width, ""));
        }
        let mut phase = None;
        for item in &self.steps {
            let heading = if item.finally { Some("finally") } else { item.phase.as_deref() };
            if item.depth == 0 && heading != phase {
                out.push_str(&format!("\n{}\n", single_line(heading.unwrap_or("then"))));
                phase = heading;
            }
            out.push_str(&item.render(width));
        }
        out
    }
}

impl OutlineItem {
    fn render(&self, width: usize) -> String {
        let indent = "  ".repeat(self.depth);
        let class = self.effect.map_or_else(|| self.sort.to_owned(), |effect| effect.to_string());
        let name = single_line(&self.name);
        let mut out = wrapped(&format!("[{class}] {} · {name}", self.id), width, &indent);
        for detail in &self.details {
            let text = shortened(single_line(&detail.text), detail.what);
            let note = if detail.depends_on_results { " (known during the run)" } else { "" };
            out.push_str(&wrapped(&format!("{}: {text}{note}", detail.what), width, &format!("{indent}    ")));
        }
        out
    }
}

/// The text of a detail, cut with a mark if it is too long.
fn shortened(text: String, what: &str) -> String {
    match text.char_indices().nth(DETAIL_LIMIT) {
        Some((cut, _)) if what != EXACTLY => format!("{}…", &text[..cut]),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verbatim_action_is_never_cut_and_a_cut_detail_is_marked() {
        let long = "x".repeat(DETAIL_LIMIT + 1);
        assert_eq!(shortened(long.clone(), EXACTLY), long);
        assert_eq!(shortened(long.clone(), "why"), format!("{}…", "x".repeat(DETAIL_LIMIT)));
        assert_eq!(shortened("short".to_owned(), "why"), "short");
    }
}
