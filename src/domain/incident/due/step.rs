//! What one step needs: a question, a timer, a further run, an attempt, or the verification of its change.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::walk::{Walk, last_summary};
use super::{Confirmation, Effect};
use crate::domain::core::id::{StepKey, StepPart};
use crate::domain::core::text::one_line;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Conclusion, Event, Gate, Mode, RunOutcome, StepEvent};
use crate::domain::incident::plan::{Attempt, Poll, RenderedAction};
use crate::domain::incident::run::{Run, RunStatus};
use crate::domain::incident::step::{StepState, StepStatus};
use crate::domain::incident::template_scope;
use crate::domain::runbook::runbook_schema::MAX_PEOPLE;
use crate::domain::runbook::time_limits::{BACKOFF_LIMIT, CHANGE_TIMEOUT, default_timeout};
use crate::domain::runbook::{Action, Ask, OnFailure, Start, Step, StepBody, Verify};
use crate::domain::template::expression;
use crate::domain::template::expression::ExpressionError;
use crate::domain::template::values::{gather, render};

impl Walk<'_> {
    /// Begins the body of a step whose `when` holds.
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
        let is_child =
            |run: &&Run| run.parent.as_ref().is_some_and(|parent| parent.run == self.run.id && &parent.step == key);
        let child = self.incident.runs.iter().rev().find(is_child);
        // After a retry, a run that ended before it does not count.
        let is_stale =
            |run: &Run| matches!(self.run.step_status(key), StepStatus::Ready { at } if run.ended_at <= Some(*at));
        match child.map(|run| (run, &run.status)) {
            Some((run, RunStatus::Ended(outcome))) if !is_stale(run) => match outcome {
                RunOutcome::Succeeded => self.conclude(key, Conclusion::Succeeded, None),
                RunOutcome::Failed | RunOutcome::Cancelled => {
                    let how = if *outcome == RunOutcome::Failed { "failed" } else { "was cancelled" };
                    self.fail(step, key, format!("run {} of `{}` {how}", run.id, start.runbook));
                }
            },
            Some((_, RunStatus::Running | RunStatus::Stopping(_))) => {}
            Some((_, RunStatus::Ended(_))) | None => {
                let mut params = Value::Object(start.params.clone());
                let mut sources = Vec::new();
                gather(&params, &mut sources);
                let scope = template_scope::of(self.incident, self.run, key, &sources);
                render(&mut params, &scope)?;
                let params = params.as_object().cloned().unwrap_or_default();
                let (run, runbook) = (self.run.id, start.runbook.clone());
                self.effects.push(Effect::StartRun { run, step: key.clone(), runbook, params });
            }
        }
        Ok(())
    }

    /// Requests the approval of an action if it needs one, and attempts it otherwise.
    fn action(&mut self, step: &Step, key: &StepKey, action: &Action) {
        let rendered = match template_scope::action(self.incident, self.run, key, action) {
            Ok(rendered) => rendered,
            Err(error) => return self.fail(step, key, error.to_string()),
        };
        let digest = approval_digest(self.incident, self.run, key, 0, &rendered);
        if self.needs_approval(step, action, &rendered) && !self.is_approved(step, key, &digest) {
            let digest = approval_digest(self.incident, self.run, key, 1, &rendered);
            return self.request_approval(step, key, rendered, digest);
        }
        let timeout = step.timeout.unwrap_or_else(|| default_timeout(action));
        self.perform(key, rendered, digest, timeout, poll(step));
    }

    /// Whether the action with this digest is approved. An approval that the runbook requires permits one attempt.
    fn is_approved(&self, step: &Step, key: &StepKey, digest: &str) -> bool {
        let approval = self.run.state(key).and_then(|state| state.approved.as_ref());
        approval.is_some_and(|approval| approval.covers(digest, self.now) && !(approval.used && step.approve.is_some()))
    }

    /// Handles a request for approval that has expired.
    pub(super) fn expire(&mut self, step: &Step, key: &StepKey, gate: &Gate) {
        let Gate::Approve { count, given, .. } = gate else { return };
        let error = match given.len() {
            0 => "nobody has agreed in time".to_owned(),
            some => format!("only {some} of {count} people have agreed in time"),
        };
        self.apply_on_failure(step, key, error);
    }

    /// Whether the runbook or the mode requires an approval.
    fn needs_approval(&self, step: &Step, action: &Action, rendered: &RenderedAction) -> bool {
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

    fn request_approval(&mut self, step: &Step, key: &StepKey, action: RenderedAction, digest: String) {
        let why = step.why.as_ref().and_then(|why| self.text(key, why).ok());
        let undo = step.undo.as_ref().and_then(|undo| template_scope::action(self.incident, self.run, key, undo).ok());
        let approve = step.approve.clone().unwrap_or_default();
        let count = match approve.count.as_ref().map(|count| self.text(key, count)) {
            None => 1,
            Some(count) => match count.map_err(|error| error.to_string()).and_then(|text| parse_count(&text)) {
                Ok(count) => count,
                Err(error) => return self.fail(step, key, format!("`count`: {error}")),
            },
        };
        let (run, by, not_requester, expires) = (self.run.id, approve.by, approve.not_requester, approve.expires);
        let step = key.clone();
        let request = Confirmation { run, step, by, action, digest, why, undo, count, not_requester, expires };
        self.effects.push(Effect::Ask(Box::new(request)));
    }

    /// Renders and attempts an action that needs no further approval: a verification or an undo.
    pub(super) fn attempt(&mut self, key: &StepKey, action: &Action, timeout: Option<Span>, poll: Option<Poll>) {
        match template_scope::action(self.incident, self.run, key, action) {
            Ok(rendered) => {
                let digest = approval_digest(self.incident, self.run, key, 0, &rendered);
                self.perform(key, rendered, digest, timeout.unwrap_or(CHANGE_TIMEOUT), poll);
            }
            Err(error) => self.conclude(key, Conclusion::Failed, Some(error.to_string())),
        }
    }

    fn perform(&mut self, key: &StepKey, action: RenderedAction, digest: String, timeout: Span, poll: Option<Poll>) {
        let state = self.run.state(key);
        let number = state.map_or(0, |state| state.attempts) + 1;
        let timeout = match (&poll, state.and_then(|state| state.interrupted_deadline)) {
            // An interrupted polling check gets the rest of its time, and at least one repetition.
            (Some(poll), Some(end)) => Span::between(self.now, end).max(poll.every).min(timeout),
            _ => timeout,
        };
        let attempt = Box::new(Attempt { step: key.clone(), number, action: action.into(), digest, timeout, poll });
        self.effects.push(Effect::Perform { run: self.run.id, attempt });
    }

    /// Verifies the change of an action that succeeded, if the step has a verification; concludes the step.
    pub(super) fn after_action(&mut self, step: &Step, key: &StepKey) {
        let Some(verify) = &step.verify else {
            return self.conclude(key, Conclusion::Succeeded, None);
        };
        let check = key.part(StepPart::Verify);
        let (main, verification) = (self.run.state(key), self.run.state(&check));
        let stale = begun(verification).is_some_and(|verified| Some(verified) < begun(main));
        match self.run.step_status(&check) {
            StepStatus::Pending => self.attempt_verification(&check, verify),
            StepStatus::Ready { at } if self.now >= *at => self.attempt_verification(&check, verify),
            StepStatus::Running => self.settle(&check, false),
            StepStatus::AttemptSucceeded => self.conclude(&check, Conclusion::Succeeded, None),
            StepStatus::AttemptFailed | StepStatus::Unclear => {
                self.conclude(&check, Conclusion::Failed, Some(last_summary(verification)));
            }
            StepStatus::Concluded(_) if stale => {
                self.record(Event::Step(StepEvent::RetryScheduled { run: self.run.id, step: check, at: self.now }));
            }
            StepStatus::Concluded(Conclusion::Succeeded | Conclusion::Skipped) => {
                self.conclude(key, Conclusion::Succeeded, None);
            }
            StepStatus::Concluded(_) => {
                let reason = verification.and_then(|state| state.reason.clone());
                let reason = reason.unwrap_or_else(|| last_summary(verification));
                self.fail(step, key, format!("not verified: {reason}"));
            }
            StepStatus::Ready { .. } | StepStatus::Expanded | StepStatus::Waiting(_) => {}
        }
    }

    fn attempt_verification(&mut self, key: &StepKey, verify: &Verify) {
        self.attempt(key, &verify.action, Some(verify.within), Some(poll_of(verify)));
    }

    /// Handles a failure: schedules a retry, or applies the step's `on_failure`.
    pub(super) fn fail(&mut self, step: &Step, key: &StepKey, error: String) {
        let run = self.run.id;
        if let Some(at) = self.retry_at(step, key) {
            return self.record(Event::Step(StepEvent::RetryScheduled { run, step: key.clone(), at }));
        }
        self.apply_on_failure(step, key, error);
    }

    fn apply_on_failure(&mut self, step: &Step, key: &StepKey, error: String) {
        match step.on_failure {
            OnFailure::Continue => self.conclude(key, Conclusion::Tolerated, Some(error)),
            OnFailure::Stop => self.conclude(key, Conclusion::Failed, Some(error)),
            OnFailure::Ask => self.ask(key, Gate::Failure { error }),
        }
    }

    /// When the step's `retry` permits another attempt; none if it does not.
    fn retry_at(&self, step: &Step, key: &StepKey) -> Option<Timestamp> {
        let (retry, state) = (step.retry.as_ref()?, self.run.state(key)?);
        if state.attempts == 0 || state.attempts >= retry.attempts.get() {
            return None;
        }
        if let Some(condition) = &retry.condition {
            let outcome = json!({"outcome": state.outcome});
            let scope = minijinja::Value::from(minijinja::value::Serde(&outcome));
            if !expression::truthy(condition, &scope).unwrap_or(false) {
                return None;
            }
        }
        let doubled = retry.backoff.0.saturating_mul(2_u32.saturating_pow(state.attempts - 1));
        Some(Span(doubled.min(BACKOFF_LIMIT.0)).after(self.now))
    }
}

/// SHA-256 in hex of an action together with its incident, run, step, environment and request for approval. The request is the
/// latest one, or with `further` 1 the next one.
///
/// **Invariant:** no two requests have the same digest, so an approval permits only the action and the request that it was given
/// for.
pub fn approval_digest(
    incident: &Incident,
    run: &Run,
    step: &StepKey,
    further: u32,
    action: &RenderedAction,
) -> String {
    let request = run.state(step).map_or(0, |state| state.approval_requests) + further;
    let text = json!([incident.id, run.id, step, request, incident.environment, action]).to_string();
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The required number of approvals, from the rendered `count`.
fn parse_count(text: &str) -> Result<u32, String> {
    let count = text.trim().parse().ok().filter(|count| (1..=MAX_PEOPLE).contains(count));
    count.ok_or_else(|| format!("`{}` is not a number from 1 to {MAX_PEOPLE}", one_line(text, 40)))
}

fn poll(step: &Step) -> Option<Poll> {
    let until = step.until.clone()?;
    Some(Poll { every: until.every, until: Some(until), hold: Span::default() })
}

fn poll_of(verify: &Verify) -> Poll {
    Poll { until: None, every: verify.every, hold: verify.hold }
}

/// The number of the event that began the latest attempt.
fn begun(state: Option<&StepState>) -> Option<u64> {
    state.and_then(|state| state.attempt.as_ref()).map(|attempt| attempt.seq)
}
