//! What the world is owed, from state alone: so carrying on after a crash is the ordinary path.
//!
//! **Invariant:** nothing here remembers what was asked for before. Each effect is owed until the fact that
//! extinguishes it is in the log.

use serde_json::{Map, Value};

use super::deadline::DeadlineStatus;
use super::event::{Conclusion, Event, Gate, Mode, RunOutcome, SkipReason, StopCause};
use super::expression::{self, ExpressionError};
use super::id::{Part, RunId, StepKey};
use super::incident::{Incident, IncidentStatus};
use super::plan::{self, Attempt, Poll, RenderedAction};
use super::run::{Run, RunStatus};
use super::runbook::{Action, Ask, Body, DeadlineFrom, ITEM_LIMIT, OnFailure, Start, Step, Verify};
use super::scope;
use super::step::{Standing, StepState};
use super::time::{Span, Timestamp};

/// How long a reading may take unless the step says otherwise.
pub const READ_TIMEOUT: Span = Span::seconds(60);
/// How long a change may take unless the step says otherwise: a slow stop takes systemd 90 s.
pub const CHANGE_TIMEOUT: Span = Span::seconds(300);
/// The longest pause between two attempts: doubling stops here.
pub const BACKOFF_LIMIT: Span = Span::seconds(600);

/// Something that the world is owed.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A fact that follows from the state; extinguished by being recorded.
    Record(Event),
    /// A person has to agree to a change; extinguished by `Asked`.
    Ask(Box<Confirmation>),
    /// An attempt; extinguished by `StepStarted`, then `StepEnded`.
    Perform {
        /// The run.
        run: RunId,
        /// The attempt.
        attempt: Box<Attempt>,
    },
    /// An attempt has begun and not ended: whoever makes it goes on; else the world is asked what became of it.
    Settle {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// How a reading is repeated.
        poll: Option<Poll>,
        /// Whether the run goes no further, so that whoever makes it should stop.
        halt: bool,
    },
    /// A further run of the same incident; extinguished by its `RunStarted`.
    StartRun {
        /// The run that starts it.
        run: RunId,
        /// The step that starts it.
        step: StepKey,
        /// The runbook's id.
        runbook: String,
        /// Its parameters.
        params: Map<String, Value>,
    },
    /// The post-mortem draft; extinguished by `PostmortemWritten`.
    WritePostmortem,
}

/// A change that a person has to agree to.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmation {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepKey,
    /// Any of these roles; empty means anybody.
    pub by: Vec<String>,
    /// Exactly what would run.
    pub action: RenderedAction,
    /// Its digest.
    pub digest: String,
    /// Why, from the runbook.
    pub why: Option<String>,
    /// How it would be taken back, when the runbook says so.
    pub undo: Option<RenderedAction>,
}

/// What the world is owed.
pub fn due(incident: &Incident, now: Timestamp) -> Vec<Effect> {
    let mut effects: Vec<Effect> = deadlines(incident, now).into_iter().map(Effect::Record).collect();
    for run in &incident.runs {
        let mut walk = Walk { incident, run, now, effects: Vec::new() };
        walk.undoings();
        walk.run();
        effects.append(&mut walk.effects);
    }
    if owes_postmortem(incident) {
        effects.push(Effect::WritePostmortem);
    }
    effects
}

/// When to ask again; none when only an event can change what is due.
pub fn wake_at(incident: &Incident) -> Option<Timestamp> {
    let deadlines = incident.deadlines.iter().filter_map(super::deadline::Deadline::wake_at);
    let steps = incident.runs.iter().flat_map(|run| run.steps.values()).filter_map(|state| match &state.standing {
        Standing::Ready { at } | Standing::Waiting(Gate::Timer { until: at }) => Some(*at),
        _ => None,
    });
    deadlines.chain(steps).min()
}

/// A draft is owed when the work is over and something has happened since the last one.
fn owes_postmortem(incident: &Incident) -> bool {
    let over = incident.status == IncidentStatus::Resolved || incident.live_runs().next().is_none();
    let stale = incident.draft.as_ref().is_none_or(|draft| draft.seq < incident.material);
    over && stale && !incident.runs.is_empty()
}

/// What deadlines owe the log. A deadline that was kept is met, however late it is noticed.
fn deadlines(incident: &Incident, now: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    for deadline in incident.deadlines.iter().filter(|deadline| deadline.is_open()) {
        let met = met_at(incident, &deadline.name, deadline.from);
        match met {
            Some((at, step)) if at <= deadline.due || deadline.status == DeadlineStatus::Missed => {
                events.push(Event::DeadlineMet { name: deadline.name.clone(), met_at: at, step });
            }
            _ => events.extend(deadline.owed(now)),
        }
    }
    events
}

fn met_at(incident: &Incident, name: &str, from: DeadlineFrom) -> Option<(Timestamp, Option<StepKey>)> {
    if from == DeadlineFrom::Resolved {
        return incident.completed.as_ref().map(|mark| (mark.at, None));
    }
    let meeting = incident.runs.iter().flat_map(|run| {
        run.runbook.all_steps().into_iter().filter(|step| step.meets.as_deref() == Some(name)).filter_map(|step| {
            let key = StepKey::main(step.id.clone());
            let state = run.state(&key)?;
            let at = state.concluded_at.filter(|_| state.conclusion() == Some(Conclusion::Succeeded))?;
            Some((at, Some(key)))
        })
    });
    meeting.min_by_key(|(at, _)| *at)
}

/// How far a sequence has come.
enum Progress {
    /// Something is being done or waited for.
    Blocked,
    /// Nothing is left.
    Passed,
    /// A step failed and the run is to stop.
    Stopped(StepKey),
}

struct Walk<'a> {
    incident: &'a Incident,
    run: &'a Run,
    now: Timestamp,
    effects: Vec<Effect>,
}

impl Walk<'_> {
    fn run(&mut self) {
        let run = self.run;
        match &run.status {
            RunStatus::Running => match self.sequence(&run.runbook.steps) {
                Progress::Blocked => {}
                Progress::Passed => self.finish(RunOutcome::Succeeded),
                Progress::Stopped(step) => {
                    self.record(Event::RunStopping { run: run.id, cause: StopCause::StepFailed { step } });
                }
            },
            RunStatus::Stopping(cause) => {
                if !self.wind_down() {
                    let cancelled = matches!(cause, StopCause::Cancelled { .. });
                    self.finish(if cancelled { RunOutcome::Cancelled } else { RunOutcome::Failed });
                }
            }
            RunStatus::Ended(_) => {}
        }
    }

    /// Does what always runs at the end, then ends the run.
    fn finish(&mut self, outcome: RunOutcome) {
        let run = self.run;
        let outcome = match self.sequence(&run.runbook.finally) {
            Progress::Blocked => return,
            Progress::Passed => outcome,
            Progress::Stopped(_) if outcome == RunOutcome::Succeeded => RunOutcome::Failed,
            Progress::Stopped(_) => outcome,
        };
        self.record(Event::RunEnded { run: run.id, outcome });
    }

    /// Ends what the stopped run has begun; whether something of it is still going on.
    fn wind_down(&mut self) -> bool {
        let run = self.run;
        let last: Vec<&str> = finally_ids(run);
        let mut busy = false;
        for key in &run.order {
            if key.part == Part::Undo || last.contains(&key.id.as_str()) {
                continue;
            }
            match run.standing(key) {
                Standing::Concluded(_) => continue,
                Standing::Running => self.settle(key, None, true),
                _ => self.conclude(key, Conclusion::Cancelled, Some("the run was stopped".to_owned())),
            }
            busy = true;
        }
        busy
    }

    /// Changes that a person wants taken back: they may be asked for at any time, also after the run.
    fn undoings(&mut self) {
        let run = self.run;
        for key in run.order.iter().filter(|key| key.part == Part::Undo) {
            let Some(action) = run.runbook.step(&key.id).and_then(|step| step.undo.as_ref()) else {
                continue;
            };
            match run.standing(key) {
                Standing::Pending => self.attempt(key, action, None, None),
                Standing::Ready { at } if self.now >= *at => self.attempt(key, action, None, None),
                Standing::Running => self.settle(key, None, false),
                Standing::Acted => self.conclude(key, Conclusion::Succeeded, None),
                Standing::Faltered => {
                    let error = last_summary(run.state(key));
                    self.ask(key, Gate::Failure { error });
                }
                Standing::Unclear => self.unclear(key),
                Standing::Ready { .. } | Standing::Expanded | Standing::Waiting(_) | Standing::Concluded(_) => {}
            }
        }
    }

    fn sequence(&mut self, steps: &[Step]) -> Progress {
        for step in steps {
            match self.step(step, &StepKey::main(step.id.clone())) {
                Progress::Passed => {}
                other => return other,
            }
        }
        Progress::Passed
    }

    fn step(&mut self, step: &Step, key: &StepKey) -> Progress {
        let run = self.run;
        match run.standing(key) {
            Standing::Concluded(Conclusion::Succeeded | Conclusion::Skipped | Conclusion::Tolerated) => {
                return Progress::Passed;
            }
            Standing::Concluded(Conclusion::Failed | Conclusion::Cancelled) => return Progress::Stopped(key.clone()),
            Standing::Pending => self.enter(step, key),
            Standing::Expanded => self.members(step, key),
            Standing::Ready { at } => {
                if self.now >= *at {
                    self.body(step, key);
                }
            }
            Standing::Running => self.settle(key, poll(step), false),
            Standing::Acted => self.after_action(step, key),
            Standing::Faltered => self.fail(step, key, last_summary(run.state(key))),
            Standing::Unclear => self.unclear(key),
            Standing::Waiting(Gate::Timer { until }) => {
                if self.now >= *until {
                    self.answer(key, Value::Null);
                }
            }
            Standing::Waiting(_) => {}
        }
        Progress::Blocked
    }

    /// A step is reached: is it wanted, and for which items?
    fn enter(&mut self, step: &Step, key: &StepKey) {
        if key.index.is_some() {
            return self.body(step, key);
        }
        if let Some(when) = &step.when {
            match self.truthy(key, when) {
                Ok(true) => {}
                Ok(false) => {
                    let reason = SkipReason::Condition { when: when.clone() };
                    return self.record(Event::StepSkipped { run: self.run.id, step: key.clone(), reason });
                }
                Err(error) => return self.fail(step, key, format!("`when`: {error}")),
            }
        }
        match (&step.for_each, &step.body) {
            (Some(list), _) => match self.items(key, list) {
                Ok(items) => self.expand(key, Some(items)),
                Err(error) => self.fail(step, key, format!("`for_each`: {error}")),
            },
            (None, Body::Parallel(_)) => self.expand(key, None),
            (None, _) => self.body(step, key),
        }
    }

    fn items(&self, key: &StepKey, list: &str) -> Result<Vec<Value>, String> {
        let scope = scope::of(self.incident, self.run, key, &[list]);
        match expression::evaluate(list, &scope).map_err(|error| error.to_string())? {
            Value::Array(items) if items.len() <= ITEM_LIMIT => Ok(items),
            Value::Array(items) => Err(format!("{} items are more than {ITEM_LIMIT}", items.len())),
            other => Err(format!("`{list}` is not a list but {other}")),
        }
    }

    /// What the step does, once it is reached and wanted.
    fn body(&mut self, step: &Step, key: &StepKey) {
        let result = match &step.body {
            Body::Action(action) => return self.action(step, key, action),
            Body::Parallel(_) => return self.expand(key, None),
            Body::Start(start) => self.start(step, key, start),
            Body::Ask(ask) => self.question(step, key, ask),
            Body::Manual(instruction) => self.text(key, instruction).map(|instruction| {
                self.ask(key, Gate::Manual { instruction });
            }),
            Body::Wait(length) => {
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
            Some(answer) if ask.auto && self.run.mode == Mode::Auto => {
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
        let again = |run: &Run| matches!(self.run.standing(key), Standing::Ready { at } if run.ended_at <= Some(*at));
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
                scope::gather(&params, &mut sources);
                let scope = scope::of(self.incident, self.run, key, &sources);
                scope::value(&mut params, &scope)?;
                let params = params.as_object().cloned().unwrap_or_default();
                let (run, runbook) = (self.run.id, start.runbook.clone());
                self.effects.push(Effect::StartRun { run, step: key.clone(), runbook, params });
            }
        }
        Ok(())
    }

    /// An action: agreed to where a person must, then attempted.
    fn action(&mut self, step: &Step, key: &StepKey, action: &Action) {
        let rendered = match scope::action(self.incident, self.run, key, action) {
            Ok(rendered) => rendered,
            Err(error) => return self.fail(step, key, error.to_string()),
        };
        let digest = plan::digest(&self.incident.environment, key, &rendered);
        let approved = self.run.state(key).and_then(|state| state.approved.as_ref());
        if self.must_agree(step, action) && approved != Some(&digest) {
            return self.confirm(step, key, rendered, digest);
        }
        let timeout = step.timeout.unwrap_or(if action.effect.changes() { CHANGE_TIMEOUT } else { READ_TIMEOUT });
        self.perform(key, rendered, digest, timeout, poll(step));
    }

    /// A person agrees where the runbook asks for it, and where the mode does.
    fn must_agree(&self, step: &Step, action: &Action) -> bool {
        let by_mode = match self.run.mode {
            Mode::Step => true,
            Mode::Guided => action.effect.changes() && !action.is_message(),
            Mode::Auto => false,
        };
        by_mode || step.approve.is_some()
    }

    fn confirm(&mut self, step: &Step, key: &StepKey, action: RenderedAction, digest: String) {
        let why = step.why.as_ref().and_then(|why| self.text(key, why).ok());
        let undo = step.undo.as_ref().and_then(|undo| scope::action(self.incident, self.run, key, undo).ok());
        let by = step.approve.as_ref().map(|approve| approve.by.clone()).unwrap_or_default();
        let (run, step) = (self.run.id, key.clone());
        self.effects.push(Effect::Ask(Box::new(Confirmation { run, step, by, action, digest, why, undo })));
    }

    /// Renders and attempts an action that needs no further agreement: a check, or a change taken back.
    fn attempt(&mut self, key: &StepKey, action: &Action, timeout: Option<Span>, poll: Option<Poll>) {
        match scope::action(self.incident, self.run, key, action) {
            Ok(rendered) => {
                let digest = plan::digest(&self.incident.environment, key, &rendered);
                self.perform(key, rendered, digest, timeout.unwrap_or(CHANGE_TIMEOUT), poll);
            }
            Err(error) => self.conclude(key, Conclusion::Failed, Some(error.to_string())),
        }
    }

    fn perform(&mut self, key: &StepKey, action: RenderedAction, digest: String, timeout: Span, poll: Option<Poll>) {
        let number = self.run.state(key).map_or(0, |state| state.attempts) + 1;
        let attempt = Box::new(Attempt { step: key.clone(), number, action, digest, timeout, poll });
        self.effects.push(Effect::Perform { run: self.run.id, attempt });
    }

    /// The action has succeeded: is its change to be verified?
    fn after_action(&mut self, step: &Step, key: &StepKey) {
        let Some(verify) = &step.verify else {
            return self.conclude(key, Conclusion::Succeeded, None);
        };
        let check = key.part(Part::Verify);
        let (main, seen) = (self.run.state(key), self.run.state(&check));
        let stale = begun(seen).is_some_and(|seen| Some(seen) < begun(main));
        match self.run.standing(&check) {
            Standing::Pending => self.check(&check, verify),
            Standing::Ready { at } if self.now >= *at => self.check(&check, verify),
            Standing::Running => self.settle(&check, Some(poll_of(verify)), false),
            Standing::Acted => self.conclude(&check, Conclusion::Succeeded, None),
            Standing::Faltered | Standing::Unclear => {
                self.conclude(&check, Conclusion::Failed, Some(last_summary(seen)));
            }
            Standing::Concluded(_) if stale => {
                self.record(Event::RetryScheduled { run: self.run.id, step: check, at: self.now });
            }
            Standing::Concluded(Conclusion::Succeeded | Conclusion::Skipped) => {
                self.conclude(key, Conclusion::Succeeded, None);
            }
            Standing::Concluded(_) => {
                let reason = seen.and_then(|state| state.reason.clone()).unwrap_or_else(|| last_summary(seen));
                self.fail(step, key, format!("not verified: {reason}"));
            }
            Standing::Ready { .. } | Standing::Expanded | Standing::Waiting(_) => {}
        }
    }

    fn check(&mut self, key: &StepKey, verify: &Verify) {
        self.attempt(key, &verify.action, Some(verify.within), Some(poll_of(verify)));
    }

    /// What a failure means: again, go on, stop, or ask.
    fn fail(&mut self, step: &Step, key: &StepKey, error: String) {
        let run = self.run.id;
        if let Some(at) = self.again_at(step, key) {
            return self.record(Event::RetryScheduled { run, step: key.clone(), at });
        }
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

    /// A group's steps all at once; a `for_each`'s items one after the other.
    fn members(&mut self, step: &Step, key: &StepKey) {
        let progress = match (&step.body, self.run.state(key).and_then(|state| state.items.as_ref())) {
            (_, Some(items)) => self.each(step, key, items.len()),
            (Body::Parallel(children), None) => self.all(children),
            _ => Progress::Passed,
        };
        match progress {
            Progress::Blocked => {}
            Progress::Passed => self.conclude(key, Conclusion::Succeeded, None),
            Progress::Stopped(member) => {
                let tolerated = step.on_failure == OnFailure::Continue;
                let conclusion = if tolerated { Conclusion::Tolerated } else { Conclusion::Failed };
                self.conclude(key, conclusion, Some(format!("`{member}` failed")));
            }
        }
    }

    fn each(&mut self, step: &Step, key: &StepKey, count: usize) -> Progress {
        for index in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            match self.step(step, &key.at(index)) {
                Progress::Passed => {}
                other => return other,
            }
        }
        Progress::Passed
    }

    fn all(&mut self, children: &[Step]) -> Progress {
        let (mut blocked, mut stopped) = (false, None);
        for child in children {
            match self.step(child, &StepKey::main(child.id.clone())) {
                Progress::Blocked => blocked = true,
                Progress::Passed => {}
                Progress::Stopped(member) => stopped = stopped.or(Some(member)),
            }
        }
        match (blocked, stopped) {
            (true, _) => Progress::Blocked,
            (false, Some(member)) => Progress::Stopped(member),
            (false, None) => Progress::Passed,
        }
    }

    fn unclear(&mut self, key: &StepKey) {
        let detail = self
            .run
            .state(key)
            .and_then(|state| state.reason.clone())
            .unwrap_or_else(|| "it was cut off, and the world does not show whether it happened".to_owned());
        self.ask(key, Gate::Unclear { detail });
    }

    fn settle(&mut self, key: &StepKey, poll: Option<Poll>, halt: bool) {
        self.effects.push(Effect::Settle { run: self.run.id, step: key.clone(), poll, halt });
    }

    fn expand(&mut self, key: &StepKey, items: Option<Vec<Value>>) {
        self.record(Event::StepExpanded { run: self.run.id, step: key.clone(), items });
    }

    fn ask(&mut self, key: &StepKey, gate: Gate) {
        self.record(Event::Asked { run: self.run.id, step: key.clone(), gate });
    }

    fn answer(&mut self, key: &StepKey, answer: Value) {
        self.record(Event::Answered { run: self.run.id, step: key.clone(), answer });
    }

    fn conclude(&mut self, key: &StepKey, conclusion: Conclusion, reason: Option<String>) {
        self.record(Event::StepConcluded { run: self.run.id, step: key.clone(), conclusion, reason });
    }

    fn record(&mut self, event: Event) {
        self.effects.push(Effect::Record(event));
    }

    fn text(&self, key: &StepKey, source: &str) -> Result<String, ExpressionError> {
        scope::text(self.incident, self.run, key, source)
    }

    fn truthy(&self, key: &StepKey, condition: &str) -> Result<bool, ExpressionError> {
        expression::truthy(condition, &scope::of(self.incident, self.run, key, &[condition]))
    }
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

fn last_summary(state: Option<&StepState>) -> String {
    state
        .and_then(|state| state.outcome.as_ref())
        .map_or_else(|| "it failed".to_owned(), |outcome| outcome.summary.clone())
}

fn finally_ids(run: &Run) -> Vec<&str> {
    let mut ids = Vec::new();
    let mut open: Vec<&Step> = run.runbook.finally.iter().collect();
    while let Some(step) = open.pop() {
        ids.push(step.id.as_str());
        if let Body::Parallel(children) = &step.body {
            open.extend(children);
        }
    }
    ids
}
