//! Modifiers of a step: `approve`, `retry`, `max_parallel`, `until`, `verify`, `on_failure` and `undo`.

use std::num::NonZeroU32;

use super::RunbookChecker;
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::Problem;
use crate::domain::core::effect::EffectClass;
use crate::domain::core::time::Span;
use crate::domain::runbook::runbook_schema::{
    APPROVE, MAX_AT_ONCE, MAX_ATTEMPTS, MAX_PEOPLE, ON_FAILURE, RETRY, RunbookSection, UNDO, UNTIL, VERIFY,
};
use crate::domain::runbook::{Action, Approve, OnFailure, Retry, StepBody, Until, Verify};
use crate::domain::template::expression;

/// The default pause before a second attempt, and between checks.
const PAUSE: Span = Span::seconds(5);

/// The default time for a change to take effect.
const WITHIN: Span = Span::seconds(60);

impl RunbookChecker<'_> {
    /// Who must approve: roles or people, or a mapping. No value stands for any known user.
    pub(super) fn approve(&mut self, node: &Node) -> Option<Approve> {
        match &node.content {
            Content::Null | Content::Boolean(true) => Some(Approve::default()),
            Content::Text(_) | Content::List(_) => {
                Some(Approve { by: self.roles_or_people(node)?, ..Approve::default() })
            }
            _ => {
                let fields = self.open(node, &APPROVE)?;
                Some(Approve {
                    by: fields.get("by").map_or(Some(Vec::new()), |node| self.roles_or_people(node))?,
                    count: fields.get("count").and_then(|node| self.people(node)),
                    not_requester: fields
                        .get("not_requester")
                        .is_some_and(|node| self.report.boolean(node).unwrap_or_default()),
                    expires: fields.get("expires").and_then(|node| self.report.duration(node)),
                })
            }
        }
    }

    /// Roles or people of the estate.
    fn roles_or_people(&mut self, node: &Node) -> Option<Vec<String>> {
        let known: Option<Vec<&str>> = self
            .context
            .estate
            .map(|estate| estate.roles.keys().chain(estate.people.keys()).map(String::as_str).collect());
        let mut names = Vec::new();
        for item in self.report.one_or_many(node) {
            self.name_of_the_estate(item, "role", known.clone());
            names.push(item.as_text()?.to_owned());
        }
        Some(names)
    }

    /// How many people: a number, or a template that gives one.
    fn people(&mut self, node: &Node) -> Option<String> {
        if let Content::Text(text) = &node.content
            && expression::is_template(text)
        {
            return self.template(node);
        }
        self.report.integer(node, 1, i64::from(MAX_PEOPLE)).map(|count| count.to_string())
    }

    /// The attempts: a number, or a mapping.
    pub(super) fn retry(&mut self, node: &Node) -> Option<Retry> {
        if matches!(node.content, Content::Integer(_)) {
            return Some(Retry { attempts: self.attempts(node)?, backoff: PAUSE, condition: None });
        }
        let fields = self.open(node, &RETRY)?;
        let attempts = fields.required(&mut self.report, "attempts", RETRY.what).and_then(|node| self.attempts(node));
        let backoff = fields.get("backoff").map_or(Some(PAUSE), |node| self.report.duration(node));
        let condition = fields.get("if").and_then(|node| self.expression(node));
        Some(Retry { attempts: attempts?, backoff: backoff?, condition })
    }

    /// How many items run at the same time.
    pub(super) fn at_once(&mut self, node: &Node, has_items: bool) -> Option<NonZeroU32> {
        if !has_items {
            let problem = Problem::new(node.span.clone(), "`max_parallel` does nothing without `for_each`");
            self.report.add(problem.help("Add `for_each: …`, or write the steps under `parallel: [ … ]`."));
        }
        let most = self.report.integer(node, 1, MAX_AT_ONCE)?;
        NonZeroU32::new(u32::try_from(most).ok()?)
    }

    fn attempts(&mut self, node: &Node) -> Option<NonZeroU32> {
        let number = self.report.integer(node, 1, MAX_ATTEMPTS)?;
        u32::try_from(number).ok().and_then(NonZeroU32::new)
    }

    /// The condition for which a check is repeated: an expression, or a mapping.
    pub(super) fn until(&mut self, node: &Node) -> Option<Until> {
        if !matches!(node.content, Content::Map(_)) {
            return Some(Until { condition: self.expression(node)?, every: PAUSE });
        }
        let fields = self.open(node, &UNTIL)?;
        let condition =
            fields.required(&mut self.report, "condition", UNTIL.what).and_then(|node| self.expression(node));
        let every = fields.get("every").map_or(Some(PAUSE), |node| self.pause(node));
        Some(Until { condition: condition?, every: every? })
    }

    /// The check of a change, and its times.
    pub(super) fn verify(&mut self, node: &Node) -> Option<Verify> {
        let (fields, action) = self.one_action(node, &VERIFY)?;
        let within = fields.get("within").map_or(Some(WITHIN), |node| self.report.duration(node));
        let hold = fields.get("hold").map_or(Some(Span::default()), |node| self.report.duration(node));
        let every = fields.get("every").map_or(Some(PAUSE), |node| self.pause(node));
        let action = action?;
        if action.effect.changes() {
            let span = fields.entry(&action.kind).map_or(node.span.clone(), |entry| entry.key_span.clone());
            let problem =
                Problem::new(span, format!("a check only reads, and `{}` changes something here", action.kind));
            self.report
                .add(problem.help(
                    "Use a read-only action such as `health`, or add `effect: read` if this command only reads.",
                ));
            return None;
        }
        Some(Verify { action, within: within?, hold: hold?, every: every? })
    }

    fn pause(&mut self, node: &Node) -> Option<Span> {
        let span = self.report.duration(node)?;
        if span < Span::seconds(1) {
            self.report.add(Problem::new(node.span.clone(), "checks are at least `1s` apart"));
            return None;
        }
        Some(span)
    }

    pub(super) fn on_failure(&mut self, node: &Node) -> Option<OnFailure> {
        self.report.keyword(node, ON_FAILURE)
    }

    /// The action that reverses a change.
    pub(super) fn undo(&mut self, node: &Node) -> Option<Action> {
        self.one_action(node, &UNDO)?.1
    }

    /// The fields of `verify` or `undo`, and the one action among them.
    fn one_action<'n>(&mut self, node: &'n Node, section: &RunbookSection) -> Option<(Fields<'n>, Option<Action>)> {
        let what = section.what;
        let names: Vec<&str> = self.context.forms.iter().map(|form| form.name).collect();
        let known: Vec<&str> = names.iter().copied().chain(section.keys()).collect();
        let fields = Fields::open(&mut self.report, node, what, &known)?;
        let actions: Vec<&Entry> = fields.iter().filter(|entry| names.contains(&entry.key.as_str())).collect();
        let action = match actions.as_slice() {
            [entry] => self.form(&entry.key).and_then(|form| self.action(entry, form)),
            [] => {
                let problem = Problem::new(fields.span.clone(), format!("{what} names no action"));
                self.report.add(problem.help(format!("Give exactly one of {}.", list(&names))));
                None
            }
            [first, second, ..] => {
                let message = format!("{what} names two actions, `{}` and `{}`", first.key, second.key);
                self.report.add(
                    Problem::new(second.key_span.clone(), message).related(first.key_span.clone(), "the first is here"),
                );
                None
            }
        };
        let action = action.map(|mut action| {
            if let Some(node) = fields.get("effect") {
                self.declared_effect(node, &mut action);
            }
            action
        });
        Some((fields, action))
    }

    /// Reports a change without `verify`. A message needs none, because its channel confirms it. If the action has problems,
    /// its verb decides whether it is a change.
    pub(super) fn changes_are_verified(&mut self, body: Option<&(StepBody, &Entry)>, fields: &Fields<'_>) {
        let Some(entry) = fields.iter().find(|entry| self.form(&entry.key).is_some()) else { return };
        let changes = match body {
            Some((StepBody::Action(action), _)) => action.effect != EffectClass::Read,
            Some(_) => false,
            None => self.form(&entry.key).is_some_and(|form| {
                form.verbs
                    .iter()
                    .any(|verb| verb.effect != EffectClass::Read && entry.value.get(verb.field.name).is_some())
            }),
        };
        if !changes || entry.key == "notify" || fields.get("verify").is_some() {
            return;
        }
        let message = format!("`{}` changes something here, and the step has no `verify`", entry.key);
        let problem = Problem::new(entry.key_span.clone(), message);
        self.report.add(
            problem.help(
                "Add a check that shows that it worked, such as `verify: { health: { service: … }, within: 5m }`.",
            ),
        );
    }
}
