//! Pending questions, and their answers by typed commands: list, approve, deny, answer.

use serde_json::Value;

use super::super::parse::button_value::{ButtonAction, ButtonValue};
use super::super::parse::command::{Typed, first, opens_quote};
use super::super::parse::identity;
use super::super::parse::identity::Permission;
use super::super::render::block_kit::{Blocks, Button, ButtonStyle, Text, text};
use super::super::render::card::Card;
use super::super::render::question;
use super::super::render::question::PendingQuestion;
use super::{HandlerReply, HandlerResult, Interaction, refusal_at, reply_text};
use crate::domain::core::id::RunId;
use crate::domain::core::text::one_line;
use crate::domain::incident::Incident;
use crate::domain::incident::command::target::{StepReference, StepTarget};
use crate::domain::incident::command::{Refused, Request};
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::domain::incident::decide::target_lookup;
use crate::domain::incident::event::{Actor, Gate};
use crate::domain::incident::permission::{is_one_of, is_unknown_user, person_key};

/// The most incidents in a list.
const INCIDENT_LIMIT: usize = 20;
/// The most questions shown at once.
const QUESTIONS: usize = 10;

impl Interaction<'_> {
    /// The questions for this person in all open incidents, then those for others.
    pub(super) async fn waiting(&self) -> HandlerResult {
        let by = self.may(Permission::Read)?;
        let open = self.open().await?;
        let all = open.iter().flat_map(question::all);
        let (own, others): (Vec<PendingQuestion<'_>>, Vec<PendingQuestion<'_>>) = all.partition(|one| is_for(one, &by));
        let summary = match (open.len(), own.len()) {
            (0, _) => "Nothing waits for you: there is no open incident".to_owned(),
            (open, 0) => format!("Nothing waits for you; open incidents: {open}"),
            (_, own) => format!("Questions that wait for you: {own}"),
        };
        let mut blocks = Blocks::default();
        blocks.line(vec![Text::Strong(summary.clone())]);
        for one in own.iter().take(QUESTIONS) {
            blocks.note(&format!("{} {} {}", one.incident.severity, one.incident.id, one.incident.title));
            one.draw(&mut blocks);
        }
        if own.len() > QUESTIONS {
            blocks.note(&format!("{} questions more: `/runbook status <incident>` shows them", own.len() - QUESTIONS));
        }
        if !others.is_empty() {
            let title = vec![Text::Strong("For others".to_owned())];
            blocks.lines(std::iter::once(title).chain(others.iter().take(QUESTIONS).map(for_others)));
        }
        if own.is_empty() {
            listed(&mut blocks, &open);
        }
        if open.is_empty() {
            blocks.line(vec![Text::Code("/runbook start".to_owned()), text(" opens one")]);
        }
        Ok(HandlerReply::Message(Card { summary, blocks }))
    }

    pub(super) async fn list(&self) -> HandlerResult {
        self.may(Permission::Read)?;
        let open = self.open().await?;
        let summary = format!("Open incidents: {}", open.len());
        let mut blocks = Blocks::default();
        blocks.line(vec![Text::Strong(summary.clone())]);
        listed(&mut blocks, &open);
        if open.is_empty() {
            blocks.line(vec![Text::Code("/runbook incidents".to_owned()), text(" shows earlier ones")]);
        }
        Ok(HandlerReply::Message(Card { summary, blocks }))
    }

    /// Shows the change with its button. With the digest that was shown, approves it at once.
    pub(super) async fn approve(&self, typed: &Typed) -> HandlerResult {
        let incident = self.target_incident(typed).await?;
        let (step, digest) = typed.split();
        let step = typed_step(step)?;
        if !digest.is_empty() {
            let by = identity::actor(self.estate, &self.from.user);
            let request = target_lookup::change(&incident, step.as_ref(), Some(digest))
                .map(|(target, digest)| Request::Approve { target, digest });
            return Ok(done("Agreed", &self.ask_resolved(&incident.id, by, request).await?));
        }
        self.may(Permission::Read)?;
        let is_change = |one: &PendingQuestion<'_>| matches!(one.gate, Gate::Approve { .. });
        self.shown(&incident, step.as_ref(), is_change, "No change of", "waits for agreement")
    }

    /// Denies the only pending change, or the one whose step is named first.
    pub(super) async fn deny(&self, typed: &Typed) -> HandlerResult {
        if typed.rest.is_empty() {
            return Err(reply_text("Type `/runbook deny <reason>`."));
        }
        let by = identity::actor(self.estate, &self.from.user);
        let incident = self.target_incident(typed).await?;
        let (step, reason) = split_step(&incident, &typed.rest, StepVerb::Deny);
        if let (Some(step), "") = (&step, reason) {
            return Err(reply_text(&format!("Type `/runbook deny {step} <reason>`.")));
        }
        let target = step_target(&incident, StepVerb::Deny, step.as_ref());
        let request = target.map(|target| Request::Deny { target, reason: reason.to_owned() });
        Ok(done("Denied", &self.ask_resolved(&incident.id, by, request).await?))
    }

    /// Answers the only pending question, or the one whose step is named first. Without an answer, shows the question.
    pub(super) async fn answer(&self, typed: &Typed) -> HandlerResult {
        self.may_typed(typed, Permission::Act).await?;
        let incident = self.target_incident(typed).await?;
        let asks = |one: &PendingQuestion<'_>| {
            matches!(one.gate, Gate::Ask { .. } | Gate::Manual { .. } | Gate::Unclear { .. })
        };
        let (step, words) = split_step(&incident, &typed.rest, StepVerb::Answer);
        let nothing_waits = !question::all(&incident).iter().any(asks);
        if step.is_none() && (words.is_empty() || nothing_waits) {
            return self.shown(&incident, None, asks, "", "asks nothing");
        }
        let target = step_target(&incident, StepVerb::Answer, step.as_ref())
            .map_err(|refused| refusal_at(&incident.id, &refused.into()))?;
        let gate = incident.waits(target.run, &target.step, target.question);
        if words.is_empty() && !matches!(gate, Some(Gate::Manual { .. })) {
            return self.shown(&incident, step.as_ref(), asks, "", "asks nothing");
        }
        let value = Value::String(matching_choice(gate, words));
        Ok(done("Answered", &self.act(&incident.id, Request::Answer { target, value }).await?))
    }

    /// The questions of a kind, with their buttons.
    fn shown(
        &self,
        incident: &Incident,
        step: Option<&StepReference>,
        wanted: impl Fn(&PendingQuestion<'_>) -> bool,
        before: &str,
        after: &str,
    ) -> HandlerResult {
        let mut blocks = Blocks::default();
        let all = question::all(incident).into_iter();
        let wanted = all.filter(|one| wanted(one) && step.is_none_or(|step| step.matches(one.run, one.step)));
        if wanted.take(QUESTIONS).map(|one| one.draw(&mut blocks)).count() == 0 {
            let message =
                format!("{before} {} {after}. Show its state: `/runbook status {}`.", incident.id, incident.id);
            return Err(reply_text(message.trim_start()));
        }
        Ok(HandlerReply::Message(Card { summary: format!("Question in {}", incident.id), blocks }))
    }
}

/// A word without quotes. Hints are commands for a shell, where the reference to an item is in quotes.
fn bare(word: &str) -> &str {
    word.trim_matches(opens_quote)
}

/// The typed step, if any.
pub(super) fn typed_step(word: &str) -> Result<Option<StepReference>, Card> {
    let step = Some(word).filter(|word| !word.is_empty()).map(|word| bare(word).parse()).transpose();
    step.map_err(|why: String| reply_text(&question::capital(&why)))
}

/// Splits the text into the step that it begins with, if any, and the rest. The name of a step that was reached counts as a step
/// even if `verb` does not apply to it. Otherwise an answer that was meant for that step could reach another question.
fn split_step<'a>(incident: &Incident, words: &'a str, verb: StepVerb) -> (Option<StepReference>, &'a str) {
    let (word, rest) = first(words);
    let Ok(step) = bare(word).parse::<StepReference>() else { return (None, words) };
    let is_place = |run: RunId| incident.run(run).is_some_and(|run| run.has(&step.step));
    let is_reached = || incident.runs.iter().any(|run| run.state(&step.step).is_some());
    let is_named = step.run.is_some_and(is_place) || target_lookup::fits(incident, verb, &step);
    if is_named || !rest.is_empty() && is_reached() { (Some(step), rest) } else { (None, words) }
}

/// The target of a verb. If the first word may be text and not the step, the hint of a refusal has the command for that case.
fn step_target(incident: &Incident, verb: StepVerb, step: Option<&StepReference>) -> Result<StepTarget, Refused> {
    target_lookup::target(incident, verb, step).map_err(|refused| {
        match (step, target_lookup::target(incident, verb, None)) {
            (Some(step), Ok(only)) if step.run.is_none() => {
                let (verb, id, only) = (verb.name(), &incident.id, incident.reference(only.run, &only.step));
                refused.hint(format!("If `{step}` does not name the step, type `runbook {verb} {id} {only} {step} …`."))
            }
            _ => refused,
        }
    })
}

/// The answer as the choice that it matches. Phones capitalise the first letter, and some people quote the answer.
fn matching_choice(gate: Option<&Gate>, words: &str) -> String {
    let Some(Gate::Ask { choices, .. }) = gate else { return words.to_owned() };
    let bare = bare(words);
    let choice = choices.iter().find(|choice| choice.eq_ignore_ascii_case(bare));
    choice.filter(|_| !choices.iter().any(|choice| choice == words)).map_or_else(|| words.to_owned(), Clone::clone)
}

/// The confirmation of a command: what was done, the next step, and the command that shows more.
pub(super) fn done(what: &str, incident: &Incident) -> HandlerReply {
    let next = crate::domain::report::headline::next(incident);
    let command = match incident.completed {
        Some(_) => format!("/runbook postmortem {}", incident.id),
        None => format!("/runbook status {}", incident.id),
    };
    let mut blocks = Blocks::default();
    blocks.lines([
        vec![text(format!("{what}: {} {}", incident.id, one_line(&incident.title, 80)))],
        vec![text(format!("Next: {next} · ")), Text::Code(command)],
    ]);
    HandlerReply::Message(Card { summary: what.to_owned(), blocks })
}

/// Whether a person may answer a question. The engine decides that finally when the person answers.
fn is_for(one: &PendingQuestion<'_>, by: &Actor) -> bool {
    let Some(run) = one.incident.run(one.run) else { return false };
    match one.gate {
        Gate::Approve { by: roles, not_requester, given, .. } => {
            let person = person_key(&run.estate, by);
            let may_again = !given.contains(&person);
            let may_at_all = !*not_requester || person != person_key(&run.estate, &run.by);
            is_one_of(one.incident, &run.estate, by, roles) && may_again && may_at_all
        }
        _ => !is_unknown_user(&run.estate, by),
    }
}

fn for_others(one: &PendingQuestion<'_>) -> Vec<Text> {
    let words = format!(" {} {}", one.incident.severity, one.next());
    vec![Text::Code(format!("/runbook status {}", one.incident.id)), text(words)]
}

fn listed(blocks: &mut Blocks, open: &[Incident]) {
    for incident in open.iter().take(INCIDENT_LIMIT) {
        let words = format!(" {} {} on {}", incident.severity, one_line(&incident.title, 100), incident.environment);
        blocks.line(vec![Text::Code(incident.id.to_string()), text(words)]);
        let value = ButtonValue { incident: incident.id.clone(), action: ButtonAction::Status }.encoded();
        blocks.buttons([Button {
            label: format!("Show {}", incident.id),
            value,
            style: ButtonStyle::Plain,
            confirm: None,
        }]);
    }
    if open.len() > INCIDENT_LIMIT {
        blocks.note(&format!("{} more: type `/runbook incidents`", open.len() - INCIDENT_LIMIT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_step_may_be_in_quotes() {
        for typed in ["1:restart[2]", "'1:restart[2]'", "‘1:restart[2]’"] {
            let step = typed_step(typed).ok().flatten().map(|step| step.to_string());
            assert_eq!(step.as_deref(), Some("1:restart[2]"));
        }
        assert!(typed_step("'").is_err() && typed_step("").is_ok_and(|step| step.is_none()));
    }
}
