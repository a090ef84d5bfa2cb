//! What one step needs: a question, a timer, a sub-run, an attempt, or the check of its change.

use serde_json::Value;

use super::position::{Walk, last_summary};
use super::{Confirmation, Effect};
use crate::domain::core::id::{StepKey, StepPart};
use crate::domain::core::text::one_line;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Conclusion, Event, Gate, Mode, RunOutcome, StepEvent};
use crate::domain::incident::plan;
use crate::domain::incident::plan::{Attempt, Poll, RenderedAction};
use crate::domain::incident::run::{Run, RunStatus};
use crate::domain::incident::step::{StepState, StepStatus};
use crate::domain::incident::template_scope;
use crate::domain::runbook::runbook_schema::MAX_PEOPLE;
use crate::domain::runbook::time_limits::{BACKOFF_LIMIT, CHANGE_TIMEOUT, default_timeout};
use crate::domain::runbook::{Action, Ask, OnFailure, Start, Step, StepBody, Verify};
use crate::domain::template::expression;
use crate::domain::template::expression::ExpressionError;

impl Walk<'_> {
    /// What the step does, once it is reached and wanted.
    pub(super) fn body(&mut self, step: &Step, key: &StepKey) {
        let result = match &step.body {
            StepBody::Action(action) => return self.action(step, key, action),
            StepBody::Parallel(_) => return self.expand(key, None),
            StepBody::Start(start) => self.start(step, key, start),
            StepBody::Ask(ask) => self.question(step, key, ask),
            StepBody::Manual(instruction) => self.text(key, instruction).map(|instruction| {
                self.ask(key, Gate::Manual { instruction });
            }),
            StepBody::Wait(length) => {
                self.ask(key, Gate::Timer { until: length.after(self.now) });
                Ok(())
            }
        };
        if let Err(error) = result {
            self.fail(step, key, error.to_string());
        }
    }

    fn question(&mut self, step: &Step, key: &StepKey, ask: &Ask) -> Result<(), ExpressionError> {
        let prompt = self.text(key, &step.name)?;
        let choices = ask.choices.iter().map(|choice| self.text(key, choice)).collect::<Result<Vec<_>, _>>()?;
        let suggest = ask.suggest.as_ref().map(|suggest| self.text(key, suggest)).transpose()?;
        let suggest = suggest.filter(|suggest| choices.is_empty() || choices.contains(suggest));
        match suggest {
            Some(answer) if ask.auto && matches!(self.run.mode, Mode::Auto | Mode::Unattended) => {
                let answer = Value::String(answer);
                self.answer(key, if ask.many { Value::Array(vec![answer]) } else { answer });
            }
            suggest => self.ask(key, Gate::Ask { prompt, choices, suggest, many: ask.many }),
        }
        Ok(())
    }

    fn start(&mut self, step: &Step, key: &StepKey, start: &Start) -> Result<(), ExpressionError> {
        let ours = |run: &&Run| run.parent.as_ref().is_some_and(|p| p.run == self.run.id && &p.step == key);
        let child = self.incident.runs.iter().rev().find(ours);
        let again = |run: &Run| matches!(self.run.standing(key), StepStatus::Ready { at } if run.ended_at <= Some(*at));
        match child.map(|run| (run, &run.status)) {
            Some((run, RunStatus::Ended(outcome))) if !again(run) => match outcome {
                RunOutcome::Succeeded => self.conclude(key, Conclusion::Succeeded, None),
                RunOutcome::Failed | RunOutcome::Cancelled => {
                    let word = if *outcome == RunOutcome::Failed { "failed" } else { "was cancelled" };
                    self.fail(step, key, format!("run {} of `{}` {word}", run.id, start.runbook));
                }
            },
            Some((_, RunStatus::Running | RunStatus::Stopping(_))) => {}
            Some((_, RunStatus::Ended(_))) | None => {
                let mut params = Value::Object(start.params.clone());
                let mut sources = Vec::new();
                crate::domain::template::values::gather(&params, &mut sources);
                let scope = template_scope::of(self.incident, self.run, key, &sources);
                crate::domain::template::values::render(&mut params, &scope)?;
                let params = params.as_object().cloned().unwrap_or_default();
                let (run, runbook) = (self.run.id, start.runbook.clone());
                self.effects.push(Effect::StartRun { run, step: key.clone(), runbook, params });
            }
        }
        Ok(())
    }

    /// An action: agreed to where a person must, then attempted.
    fn action(&mut self, step: &Step, key: &StepKey, action: &Action) {
        let rendered = match template_scope::action(self.incident, self.run, key, action) {
            Ok(rendered) => rendered,
            Err(error) => return self.fail(step, key, error.to_string()),
        };
        let digest = occasion(self.incident, self.run, key, 0, &rendered);
        if self.must_agree(step, action, &rendered) && !self.is_agreed(step, key, &digest) {
            let digest = occasion(self.incident, self.run, key, 1, &rendered);
            return self.confirm(step, key, rendered, digest);
        }
        let timeout = step.timeout.unwrap_or_else(|| default_timeout(action));
        self.perform(key, rendered, digest, timeout, poll(step));
    }

    /// Whether people have agreed to exactly this. What the runbook has them agree to is good for one attempt.
    fn is_agreed(&self, step: &Step, key: &StepKey, digest: &str) -> bool {
        let agreed = self.run.state(key).and_then(|state| state.approved.as_ref());
        agreed.is_some_and(|agreed| agreed.covers(digest, self.now) && !(agreed.used && step.approve.is_some()))
    }

    /// Nobody has agreed in time.
    pub(super) fn lapse(&mut self, step: &Step, key: &StepKey, gate: &Gate) {
        let Gate::Approve { count, given, .. } = gate else { return };
        let error = match given.len() {
            0 => "nobody has agreed in time".to_owned(),
            some => format!("only {some} of {count} people have agreed in time"),
        };
        self.give_up(step, key, error);
    }

    /// A person agrees where the runbook asks for it, and where the mode does.
    fn must_agree(&self, step: &Step, action: &Action, rendered: &RenderedAction) -> bool {
        let by_mode = match self.run.mode {
            Mode::Step => true,
            Mode::Guided => action.is_change(),
            Mode::Unattended => {
                action.is_change()
                    && !self.run.estate.alerts.allows(&self.incident.environment, &rendered.kind, &rendered.spec)
            }
            Mode::Auto => false,
        };
        by_mode || step.approve.is_some()
    }

    fn confirm(&mut self, step: &Step, key: &StepKey, action: RenderedAction, digest: String) {
        let why = step.why.as_ref().and_then(|why| self.text(key, why).ok());
        let undo = step.undo.as_ref().and_then(|undo| template_scope::action(self.incident, self.run, key, undo).ok());
        let approve = step.approve.clone().unwrap_or_default();
        let count = match approve.count.as_ref().map(|count| self.text(key, count)) {
            None => 1,
            Some(count) => match count.map_err(|error| error.to_string()).and_then(|text| people(&text)) {
                Ok(count) => count,
                Err(error) => return self.fail(step, key, format!("`count`: {error}")),
            },
        };
        let (run, by, not_requester, expires) = (self.run.id, approve.by, approve.not_requester, approve.expires);
        let step = key.clone();
        let asked = Confirmation { run, step, by, action, digest, why, undo, count, not_requester, expires };
        self.effects.push(Effect::Ask(Box::new(asked)));
    }

    /// Renders and attempts an action that needs no further agreement: a check, or a change taken back.
    pub(super) fn attempt(&mut self, key: &StepKey, action: &Action, timeout: Option<Span>, poll: Option<Poll>) {
        match template_scope::action(self.incident, self.run, key, action) {
            Ok(rendered) => {
                let digest = occasion(self.incident, self.run, key, 0, &rendered);
                self.perform(key, rendered, digest, timeout.unwrap_or(CHANGE_TIMEOUT), poll);
            }
            Err(error) => self.conclude(key, Conclusion::Failed, Some(error.to_string())),
        }
    }

    fn perform(&mut self, key: &StepKey, action: RenderedAction, digest: String, timeout: Span, poll: Option<Poll>) {
        let state = self.run.state(key);
        let number = state.map_or(0, |state| state.attempts) + 1;
        let timeout = match (&poll, state.and_then(|state| state.cut_off)) {
            // What was cut off while it polled gets the rest of its time, and one reading at least.
            (Some(poll), Some(end)) => Span::between(self.now, end).max(poll.every).min(timeout),
            _ => timeout,
        };
        let attempt = Box::new(Attempt { step: key.clone(), number, action: action.into(), digest, timeout, poll });
        self.effects.push(Effect::Perform { run: self.run.id, attempt });
    }

    /// The action has succeeded: is its change to be verified?
    pub(super) fn after_action(&mut self, step: &Step, key: &StepKey) {
        let Some(verify) = &step.verify else {
            return self.conclude(key, Conclusion::Succeeded, None);
        };
        let check = key.part(StepPart::Verify);
        let (main, seen) = (self.run.state(key), self.run.state(&check));
        let stale = begun(seen).is_some_and(|seen| Some(seen) < begun(main));
        match self.run.standing(&check) {
            StepStatus::Pending => self.check(&check, verify),
            StepStatus::Ready { at } if self.now >= *at => self.check(&check, verify),
            StepStatus::Running => self.settle(&check, false),
            StepStatus::Acted => self.conclude(&check, Conclusion::Succeeded, None),
            StepStatus::Faltered | StepStatus::Unclear => {
                self.conclude(&check, Conclusion::Failed, Some(last_summary(seen)));
            }
            StepStatus::Concluded(_) if stale => {
                self.record(Event::Step(StepEvent::RetryScheduled { run: self.run.id, step: check, at: self.now }));
            }
            StepStatus::Concluded(Conclusion::Succeeded | Conclusion::Skipped) => {
                self.conclude(key, Conclusion::Succeeded, None);
            }
            StepStatus::Concluded(_) => {
                let reason = seen.and_then(|state| state.reason.clone()).unwrap_or_else(|| last_summary(seen));
                self.fail(step, key, format!("not verified: {reason}"));
            }
            StepStatus::Ready { .. } | StepStatus::Expanded | StepStatus::Waiting(_) => {}
        }
    }

    fn check(&mut self, key: &StepKey, verify: &Verify) {
        self.attempt(key, &verify.action, Some(verify.within), Some(poll_of(verify)));
    }

    /// What a failure means: again, go on, stop, or ask.
    pub(super) fn fail(&mut self, step: &Step, key: &StepKey, error: String) {
        let run = self.run.id;
        if let Some(at) = self.again_at(step, key) {
            return self.record(Event::Step(StepEvent::RetryScheduled { run, step: key.clone(), at }));
        }
        self.give_up(step, key, error);
    }

    fn give_up(&mut self, step: &Step, key: &StepKey, error: String) {
        match step.on_failure {
            OnFailure::Continue => self.conclude(key, Conclusion::Tolerated, Some(error)),
            OnFailure::Stop => self.conclude(key, Conclusion::Failed, Some(error)),
            OnFailure::Ask => self.ask(key, Gate::Failure { error }),
        }
    }

    /// When the policy wants another attempt.
    fn again_at(&self, step: &Step, key: &StepKey) -> Option<Timestamp> {
        let (retry, state) = (step.retry.as_ref()?, self.run.state(key)?);
        if state.attempts == 0 || state.attempts >= retry.attempts.get() {
            return None;
        }
        if let Some(condition) = &retry.condition {
            let outcome = serde_json::json!({"outcome": state.outcome});
            let scope = minijinja::Value::from(minijinja::value::Serde(&outcome));
            if !expression::truthy(condition, &scope).unwrap_or(false) {
                return None;
            }
        }
        let doubled = retry.backoff.0.saturating_mul(2_u32.saturating_pow(state.attempts - 1));
        Some(Span(doubled.min(BACKOFF_LIMIT.0)).after(self.now))
    }
}

/// The digest of exactly what would run, on the occasion of the present question, or with `more` of the next.
pub fn occasion(incident: &Incident, run: &Run, step: &StepKey, more: u32, action: &RenderedAction) -> String {
    let round = run.state(step).map_or(0, |state| state.asks) + more;
    let occasion = plan::Occasion { incident: &incident.id, run: run.id, step, round };
    plan::digest(&occasion, &incident.environment, action)
}

/// How many people have to agree, as a template has given it.
fn people(text: &str) -> Result<u32, String> {
    let count = text.trim().parse().ok().filter(|count| (1..=MAX_PEOPLE).contains(count));
    count.ok_or_else(|| format!("`{}` is no number from 1 to {MAX_PEOPLE}", one_line(text, 40)))
}

fn poll(step: &Step) -> Option<Poll> {
    let until = step.until.clone()?;
    Some(Poll { every: until.every, until: Some(until), hold: Span::default() })
}

fn poll_of(verify: &Verify) -> Poll {
    Poll { until: None, every: verify.every, hold: verify.hold }
}

fn begun(state: Option<&StepState>) -> Option<u64> {
    state.and_then(|state| state.attempt.as_ref()).map(|attempt| attempt.seq)
}
