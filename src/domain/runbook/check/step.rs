//! Steps: their ids, their order, their bodies and their modifiers.

use super::RunbookChecker;
use super::deadline::MetBy;
use crate::domain::config::kind_schema::KindForm;
use crate::domain::config::yaml::fields::{Fields, list, unknown_key};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::runbook::runbook_schema::{BODIES, MODIFIERS};
use crate::domain::runbook::{Action, OnFailure, STEP_LIMIT, Step, StepBody};

/// The modifiers that only an action can have.
const FOR_ACTIONS: &[&str] = &["approve", "timeout", "retry", "until", "verify", "undo", "effect", "host"];

/// The most steps of a group.
const MAX_PARALLEL: usize = 100;

impl RunbookChecker<'_> {
    // ── ids ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// Collects every id before steps are checked. So a reference to a later step is distinguished from an unknown name.
    pub(super) fn gather_ids(&mut self, steps: &Node) {
        let Content::List(steps) = &steps.content else { return };
        for step in steps {
            if let Some(node) = step.get("id") {
                self.gather_id(node);
            }
            if let Some(children) = step.get("parallel") {
                self.gather_ids(children);
            }
        }
    }

    fn gather_id(&mut self, node: &Node) {
        let Some(id) = self.report.name(node) else { return };
        match self.ids.get(&id) {
            Some(first) => {
                let problem = Problem::new(node.span.clone(), format!("two steps are called `{id}`"));
                self.report
                    .add(problem.related(first.clone(), "the first is here").help("Give one of them another id."));
            }
            None => drop(self.ids.insert(id, node.span.clone())),
        }
    }

    /// Makes an id for a step that has none, from its name, so that the log is readable.
    fn generated_id(&mut self, step: &Node) -> String {
        let name = step.get("name").and_then(Node::as_text).unwrap_or_default();
        let parts: Vec<&str> =
            name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
        let mut base = parts.join("_").to_ascii_lowercase();
        base.truncate(40);
        if !base.starts_with(|c: char| c.is_ascii_lowercase()) {
            base = "step".to_owned();
        }
        let mut id = base.clone();
        for number in 2.. {
            if !self.ids.contains_key(&id) {
                break;
            }
            id = format!("{base}_{number}");
        }
        self.ids.insert(id.clone(), step.span.clone());
        id
    }

    // ── lists ────────────────────────────────────────────────────────────────────────────────────────────────

    /// A list of steps. Each can refer to those before it.
    pub(super) fn steps(&mut self, node: &Node, what: &str) -> Option<Vec<Step>> {
        let items = self.report.items(node)?;
        if items.is_empty() && what == "steps" {
            self.report.add(Problem::new(node.span.clone(), "a runbook without steps does nothing"));
        }
        let steps: Vec<Option<Step>> = items.iter().map(|item| self.step(item)).collect();
        steps.into_iter().collect()
    }

    /// A group. Its steps can refer to steps before the group, and later steps to them.
    pub(super) fn parallel(&mut self, node: &Node) -> Option<StepBody> {
        let items = self.report.items(node)?;
        if items.is_empty() || items.len() > MAX_PARALLEL {
            self.report.add(Problem::new(
                node.span.clone(),
                format!("a group has from 1 to {MAX_PARALLEL} steps, this one {}", items.len()),
            ));
        }
        let before = self.visible.clone();
        let mut after = before.clone();
        let mut steps = Vec::with_capacity(items.len());
        for item in items {
            self.visible.clone_from(&before);
            steps.push(self.step(item));
            after.append(&mut self.visible);
        }
        self.visible = after;
        steps.into_iter().collect::<Option<Vec<Step>>>().map(StepBody::Parallel)
    }

    /// Reports too many steps.
    pub(super) fn number_of_steps(&mut self, fields: &Fields<'_>) {
        if self.ids.len() > STEP_LIMIT {
            let message = format!("the runbook has {} steps, and may have {STEP_LIMIT}", self.ids.len());
            self.report.add(
                Problem::new(fields.span.clone(), message).help("Start a second runbook from the first with `start`."),
            );
        }
    }

    // ── one step ─────────────────────────────────────────────────────────────────────────────────────────────

    fn step(&mut self, node: &Node) -> Option<Step> {
        let fields = Fields::open_any(&mut self.report, node, MODIFIERS.what)?;
        let id = match fields.get("id") {
            Some(id) => id.as_text().unwrap_or_default().to_owned(),
            None => self.generated_id(node),
        };
        let phase = fields.get("phase").and_then(|node| self.report.name(node));
        let when = fields.get("when").and_then(|node| self.expression(node));
        let for_each = fields.get("for_each").and_then(|node| self.items_expression(node));
        let max_parallel = fields.get("max_parallel").and_then(|node| self.at_once(node, for_each.is_some()));
        let has_item = self.has_item;
        self.has_item |= fields.get("for_each").is_some();
        let body = self.body(&fields, node);
        if let (Some((StepBody::Action(action), _)), None) = (&body, &for_each) {
            self.remember_kind(&id, &action.kind);
        }
        let step = self.modifiers(&fields, body, &id);
        self.has_item = has_item;
        self.visible.insert(id.clone());
        step.map(|step| Step { id, phase, when, for_each, max_parallel, ..step })
    }

    fn remember_kind(&mut self, id: &str, kind: &str) {
        if let Some(form) = self.form(kind) {
            self.kinds.insert(id.to_owned(), form.name);
        }
    }

    /// The items of a `for_each`: an expression, or a list.
    fn items_expression(&mut self, node: &Node) -> Option<String> {
        match &node.content {
            Content::List(_) => {
                let json = node.to_json();
                let is_plain =
                    json.as_array().is_some_and(|items| items.iter().all(|item| !item.is_array() && !item.is_object()));
                if is_plain {
                    Some(json.to_string())
                } else {
                    self.report.expected(node, "an expression or a list of plain values")
                }
            }
            _ => self.expression(node),
        }
    }

    /// The body of a step.
    fn body<'n>(&mut self, fields: &Fields<'n>, node: &Node) -> Option<(StepBody, &'n Entry)> {
        let names: Vec<&str> =
            BODIES.keys().into_iter().chain(self.context.forms.iter().map(|form| form.name)).collect();
        let modifiers = MODIFIERS.keys();
        let bodies: Vec<&Entry> = fields.iter().filter(|entry| names.contains(&entry.key.as_str())).collect();
        let unknown: Vec<&Entry> = fields
            .iter()
            .filter(|entry| !names.contains(&entry.key.as_str()) && !modifiers.contains(&entry.key.as_str()))
            .collect();
        for entry in &unknown {
            self.unknown_key_of_step(entry, &names, !bodies.is_empty());
        }
        match bodies.as_slice() {
            [] if unknown.is_empty() => {
                let problem = Problem::new(fields.span.clone(), "the step does nothing");
                self.report.add(problem.help(format!("Give it exactly one of {}.", list(&names))));
                None
            }
            [] => None,
            [one] => self.body_of(one, node).map(|body| (body, *one)),
            [first, second, ..] => {
                let message = format!("the step does two things, `{}` and `{}`", first.key, second.key);
                let problem =
                    Problem::new(second.key_span.clone(), message).related(first.key_span.clone(), "the first is here");
                self.report.add(problem.help("Make two steps of it."));
                for entry in &bodies {
                    self.body_of(entry, node);
                }
                None
            }
        }
    }

    /// Reports an unknown key. In a step without a body it is taken for a kind.
    fn unknown_key_of_step(&mut self, entry: &Entry, names: &[&str], has_body: bool) {
        let known: Vec<&str> = MODIFIERS.keys().into_iter().chain(names.iter().copied()).collect();
        if has_body {
            return unknown_key(&mut self.report, entry, MODIFIERS.what, &known);
        }
        let problem =
            Problem::new(entry.key_span.clone(), format!("unknown kind `{}`", visible(&entry.key, MAX_QUOTED)));
        self.report.add(problem.did_you_mean(&entry.key, known).or_help(format!("The kinds are {}.", list(names))));
    }

    fn body_of(&mut self, entry: &Entry, node: &Node) -> Option<StepBody> {
        match entry.key.as_str() {
            "ask" => self.ask(entry, node),
            "manual" => self.template(&entry.value).map(StepBody::Manual),
            "wait" => self.report.duration(&entry.value).map(StepBody::Wait),
            "parallel" => self.parallel(&entry.value),
            "start" => self.start(entry),
            kind => {
                let form = self.form(kind)?;
                self.action(entry, form).map(StepBody::Action)
            }
        }
    }

    /// Checks the modifiers, even if the body has problems. The step's check and undo may refer to its `id`.
    fn modifiers(&mut self, fields: &Fields<'_>, mut body: Option<(StepBody, &Entry)>, id: &str) -> Option<Step> {
        if let Some((body, entry)) = &mut body {
            if let (StepBody::Action(action), Some(node)) = (&mut *body, fields.get("effect")) {
                self.declared_effect(node, action);
            }
            self.misplaced_modifiers(fields, body, entry);
        }
        let name = self.step_name(fields, body.as_ref());
        let why = fields.get("why").and_then(|node| self.template(node));
        let approve = fields.get("approve").and_then(|node| self.approve(node));
        let timeout = fields.get("timeout").and_then(|node| self.report.duration(node));
        let retry = fields.get("retry").and_then(|node| self.with_only(&["outcome"], |checker| checker.retry(node)));
        let until = fields
            .get("until")
            .and_then(|node| self.with_only(&["output", "summary", "succeeded"], |checker| checker.until(node)));
        let on_failure = fields.get("on_failure").map_or(Some(OnFailure::Ask), |node| self.on_failure(node));
        let meets = self.meets(fields);
        self.visible.insert(id.to_owned());
        let verify = fields.get("verify").and_then(|node| self.verify(node));
        let undo = fields.get("undo").and_then(|node| self.undo(node));
        self.changes_are_verified(body.as_ref(), fields);
        let host = fields.get("host").and_then(|node| self.host(node));
        let (mut body, _) = body?;
        let (mut verify, mut undo) = (verify, undo);
        let main = if let StepBody::Action(action) = &mut body { Some(action) } else { None };
        for action in main.into_iter().chain(verify.as_mut().map(|verify| &mut verify.action)).chain(undo.as_mut()) {
            action.host.clone_from(&host);
        }
        let (id, on_failure) = (String::new(), on_failure?);
        let (phase, when, for_each, max_parallel) = (None, None, None, None);
        Some(Step {
            id,
            name: name?,
            phase,
            why,
            when,
            for_each,
            max_parallel,
            body,
            approve,
            timeout,
            retry,
            until,
            verify,
            on_failure,
            undo,
            meets,
        })
    }

    /// Reports modifiers that would have no effect beside this body.
    fn misplaced_modifiers(&mut self, fields: &Fields<'_>, body: &StepBody, entry: &Entry) {
        let is_misplaced = |key: &str| match body {
            StepBody::Action(action) => key == "until" && action.effect.changes(),
            StepBody::Parallel(_) => FOR_ACTIONS.contains(&key) || matches!(key, "for_each" | "max_parallel" | "meets"),
            StepBody::Ask(_) | StepBody::Manual(_) | StepBody::Wait(_) | StepBody::Start(_) => {
                FOR_ACTIONS.contains(&key)
            }
        };
        let problems: Vec<Problem> = fields
            .iter()
            .filter(|given| is_misplaced(&given.key))
            .map(|given| {
                let problem = if let StepBody::Action(action) = body {
                    Problem::new(
                        given.key_span.clone(),
                        format!("`until` repeats a check, and `{}` changes something here", action.kind),
                    )
                    .help("Use `verify` to wait for a change to take effect, or `retry` to try it again.")
                } else {
                    Problem::new(given.key_span.clone(), format!("`{}` does not go with `{}`", given.key, entry.key))
                        .help(format!("Take it away, or put it on another step; `{}` ignores it.", entry.key))
                };
                problem.related(entry.key_span.clone(), "the step does this")
            })
            .collect();
        self.report.problems.extend(problems);
    }

    /// The name that people read. A question needs one; any other step is called by what it does.
    fn step_name(&mut self, fields: &Fields<'_>, body: Option<&(StepBody, &Entry)>) -> Option<String> {
        if let Some(node) = fields.get("name") {
            return self.template(node);
        }
        let (body, entry) = body?;
        Some(match body {
            StepBody::Ask(_) => {
                let problem = Problem::new(entry.key_span.clone(), "a question needs `name`, which is what is asked");
                self.report.add(problem.help("Add `name: …?` to the step."));
                return None;
            }
            StepBody::Manual(text) => text.lines().next().unwrap_or_default().to_owned(),
            StepBody::Wait(span) => format!("wait {span}"),
            StepBody::Parallel(steps) => format!("{} steps at once", steps.len()),
            StepBody::Start(start) => format!("start {}", start.runbook),
            StepBody::Action(action) => self.action_name(action),
        })
    }

    fn action_name(&self, action: &Action) -> String {
        let verbs = self.form(&action.kind).map_or(&[][..], |form: &KindForm| form.verbs);
        match verbs.iter().find(|verb| action.spec.get(verb.field.name).is_some()) {
            Some(verb) => format!("{} {}", action.kind, verb.field.name),
            None => action.kind.clone(),
        }
    }

    /// The deadline that the step meets: from its key `meets`, or from the field `meets` of its action.
    fn meets(&mut self, fields: &Fields<'_>) -> Option<String> {
        let of_step = fields.get("meets").and_then(|node| self.deadline_name(node));
        let action = fields.iter().find(|entry| self.form(&entry.key).is_some());
        let inner = action.and_then(|entry| entry.value.get("meets"));
        let of_action = inner.and_then(|node| self.deadline_name(node));
        match (&of_step, &of_action, inner) {
            (Some(one), Some(other), Some(node)) if one != other => {
                let message = format!("the step meets `{one}`, its action meets `{other}`");
                self.report.add(Problem::new(node.span.clone(), message).help("Keep one of the two."));
            }
            _ => {}
        }
        of_step.or(of_action)
    }

    fn deadline_name(&mut self, node: &Node) -> Option<String> {
        let name = self.report.text(node)?;
        let known: Vec<&str> = self.deadlines.keys().map(String::as_str).collect();
        match self.deadlines.get(name) {
            None => {
                let problem =
                    Problem::new(node.span.clone(), format!("there is no deadline `{}`", visible(name, MAX_QUOTED)));
                let problem = problem.did_you_mean(name, known);
                self.report.add(problem.or_help("Declare it under `deadlines`."));
                None
            }
            Some((_, MetBy::Step)) => {
                self.met.insert(name.to_owned());
                Some(name.to_owned())
            }
            Some((span, met_by)) => {
                let (why, help) = match met_by {
                    MetBy::Postmortem => {
                        ("it runs after the incident is resolved", "completing the post-mortem meets it")
                    }
                    MetBy::Role => ("it is for a role", "taking the role meets it"),
                    MetBy::Messages => ("it repeats", "every message to stakeholders meets it"),
                    MetBy::Step | MetBy::Unknown => return None,
                };
                let problem = Problem::new(node.span.clone(), format!("no step can meet `{name}`: {why}"));
                let problem = problem.related(span.clone(), "it is declared here");
                self.report.add(problem.help(format!("Take `meets` away: {help}.")));
                None
            }
        }
    }
}
