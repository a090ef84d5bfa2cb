//! Random inputs to `decide`, `due` and `fold`: the log folds, due effects settle, and no `once` step starts again before it
//! was reconciled.

use chrono::{TimeDelta, TimeZone, Utc};
use proptest::prelude::*;
use runbook::domain::alert::{Alert, AlertStatus};
use runbook::domain::core::effect::EffectClass;
use runbook::domain::core::id::{RunId, StepKey, StepPart};
use runbook::domain::core::time::Timestamp;
use runbook::domain::incident::command::target::StepTarget;
use runbook::domain::incident::command::{Command, Request};
use runbook::domain::incident::decide::decide;
use runbook::domain::incident::due::{Effect, due, wake_at};
use runbook::domain::incident::event::{
    Actor, AlertEvent, Event, Gate, IncidentEvent, Mode, Reconciliation, Recorded, StepEvent,
};
use runbook::domain::incident::outcome::{Outcome, Verdict};
use runbook::domain::incident::plan::PlannedChange;
use runbook::domain::incident::{Incident, IncidentStatus, extend, fold};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::engine_fixture::{EngineFixture, start};

/// The limit of rounds until due effects settle, for runbooks of this size.
const ROUNDS: usize = 200;

/// An input; its numbers choose among the possible ones.
#[derive(Debug, Clone)]
pub enum Input {
    /// A due attempt starts, or a started one ends.
    Attempt(u8, u8),
    /// A command of a person for a step.
    Person(u8, u8),
    /// The process is killed, and another one reconciles started attempts.
    Crash(u8),
    /// Time passes.
    Wait(u16),
    /// An alert fires, is resolved or repeats.
    Alert(u8),
}

pub fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        6 => (any::<u8>(), any::<u8>()).prop_map(|(which, how)| Input::Attempt(which, how)),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(which, what)| Input::Person(which, what)),
        1 => any::<u8>().prop_map(Input::Crash),
        1 => (0..2_000_u16).prop_map(Input::Wait),
        1 => (0..3_u8).prop_map(Input::Alert),
    ]
}

/// A step whose body and modifiers are chosen by the bits of a number.
fn step(id: &str, bits: u32) -> Value {
    let effect = ["read", "repeatable", "once"][(bits % 3) as usize];
    let action = json!({"kind": "command", "spec": {"argv": ["true"]}, "effect": effect});
    let rule = ["ask", "stop", "continue"][(bits / 3 % 3) as usize];
    let mut step = json!({"id": id, "name": id, "on_failure": rule});
    step["body"] = match bits / 9 % 8 {
        0 => json!({"ask": {"choices": ["a", "b"], "suggest": "a", "auto": bits.is_multiple_of(2)}}),
        1 => json!({"manual": "Do it."}),
        2 => json!({"wait": "30s"}),
        3 => json!({"parallel": [self::step(&format!("{id}x"), bits / 72), self::step(&format!("{id}y"), bits / 144)]}),
        _ => json!({"action": action}),
    };
    if !step["body"]["action"].is_null() {
        if bits & 0x100 != 0 {
            step["for_each"] = json!("[1, 2]");
        }
        if bits & 0x200 != 0 {
            step["retry"] = json!({"attempts": 2, "backoff": "10s"});
        }
        if bits & 0x400 != 0 {
            let check = json!({"kind": "command", "spec": {"argv": ["true"]}, "effect": "read"});
            step["verify"] = json!({"action": check, "within": "1m", "every": "5s"});
        }
        if bits & 0x800 != 0 {
            step["undo"] = action;
        }
    }
    if bits & 0x1000 != 0 {
        step["when"] = json!("params.go");
    }
    if bits & 0x2000 != 0 && bits & 0x100 == 0 {
        step["meets"] = json!("notify");
    }
    step
}

/// An incident with its log and clock.
pub struct Machine {
    pub incident: Incident,
    pub log: Vec<Recorded>,
    pub now: Timestamp,
    /// The command that opened the incident.
    opening: Command,
}

impl Machine {
    pub fn new(steps: Vec<u32>, finally: u32, mode: Mode, go: bool) -> Self {
        let steps: Vec<Value> = steps.iter().enumerate().map(|(n, bits)| step(&format!("s{n}"), *bits)).collect();
        let mut fixture = EngineFixture::new();
        fixture.mode = mode;
        fixture.params.insert("go".to_owned(), go.into());
        let keys = json!({
            "steps": steps,
            "finally": [step("f", finally)],
            "params": [{"name": "go", "type": "boolean"}],
            "deadlines": [{"name": "notify", "within": "15m", "from": "opened", "warn_at": "10m"}],
        });
        let now = Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap();
        let opening = start(&fixture, keys);
        let events = decide(None, &opening, now).unwrap();
        // An alert opened an unattended incident.
        let by = if mode == Mode::Unattended { Actor::Sender { name: "prometheus".to_owned() } } else { Actor::Engine };
        let log: Vec<Recorded> =
            (1..).zip(events).map(|(seq, event)| Recorded { seq, at: now, by: by.clone(), event }).collect();
        let incident = fold(&log).unwrap().unwrap();
        Self { incident, log, now, opening }
    }

    /// Starts a further run of the same runbook.
    pub fn start_again(&mut self) {
        for event in decide(Some(&self.incident), &self.opening, self.now).unwrap() {
            self.record(event);
        }
    }

    pub fn record(&mut self, event: Event) {
        let recorded = Recorded { seq: self.incident.seq + 1, at: self.now, by: Actor::Engine, event };
        let mut incident = Some(self.incident.clone());
        extend(&mut incident, std::slice::from_ref(&recorded))
            .unwrap_or_else(|illegal| panic!("{illegal}\n{recorded:#?}"));
        self.incident = incident.unwrap();
        self.log.push(recorded);
    }

    /// Records every fact that is due, until only attempts or people can continue; returns the remaining effects.
    pub fn settle(&mut self) -> Vec<Effect> {
        for _ in 0..ROUNDS {
            let due_effects = due(&self.incident, self.now);
            let seq = self.incident.seq;
            for effect in &due_effects {
                match effect {
                    Effect::Record(event) => self.record(event.clone()),
                    Effect::Ask(asked) => {
                        let gate = Gate::approve(PlannedChange::default(), asked.digest.clone());
                        self.record(Event::Step(StepEvent::Asked { run: asked.run, step: asked.step.clone(), gate }));
                    }
                    Effect::WritePostmortem if self.incident.seq == seq => {
                        self.record(Event::Incident(IncidentEvent::PostmortemWritten {
                            path: "p.md".to_owned(),
                            digest: String::new(),
                        }));
                    }
                    _ => {}
                }
            }
            if self.incident.seq == seq {
                return due_effects;
            }
        }
        panic!("due effects do not settle: {:#?}", due(&self.incident, self.now));
    }

    pub fn attempt(&mut self, which: u8, how: u8) {
        let due_effects = self.settle();
        let Some(effect) = due_effects.get(usize::from(which) % due_effects.len().max(1)) else { return };
        match effect.clone() {
            Effect::Perform { run, attempt } => {
                self.assert_previous_attempt_ended(run, &attempt.step, attempt.action.effect);
                self.assert_alerts_firing(&attempt.step, attempt.action.effect);
                let (step, number) = (attempt.step.clone(), attempt.number);
                let (action, digest) = (attempt.action.clone(), attempt.digest.clone());
                self.record(Event::Step(StepEvent::Started {
                    run,
                    step,
                    attempt: number,
                    epoch: 1,
                    action,
                    digest,
                    before: Value::Null.into(),
                    deadline: None,
                }));
            }
            Effect::Settle { run, step, .. } => {
                let verdict = [
                    Verdict::Succeeded,
                    Verdict::Failed,
                    Verdict::TimedOut,
                    Verdict::Cancelled,
                    Verdict::Unknown,
                    Verdict::Succeeded,
                ][usize::from(how % 6)];
                let attempt = self.incident.run(run).unwrap().state(&step).unwrap().attempts;
                self.record(Event::Step(StepEvent::Ended {
                    run,
                    step,
                    attempt,
                    outcome: Outcome::ended(verdict, "so").into(),
                }));
            }
            _ => {}
        }
    }

    /// Fails if a `once` attempt starts before the previous one has ended or was reconciled.
    fn assert_previous_attempt_ended(&self, run: RunId, key: &StepKey, effect: EffectClass) {
        let of_step = |recorded: &&Recorded| {
            runbook::domain::incident::step::place(&recorded.event).is_some_and(|place| place == (run, key))
        };
        let last = self.log.iter().filter(of_step).rfind(|recorded| {
            matches!(
                recorded.event,
                Event::Step(StepEvent::Started { .. } | StepEvent::Ended { .. } | StepEvent::Reconciled { .. })
            )
        });
        let open = last.is_some_and(|recorded| matches!(recorded.event, Event::Step(StepEvent::Started { .. })));
        assert!(effect != EffectClass::Once || !open, "`{key}` would start twice");
    }

    /// Fails if an unattended run changes something after every alert was resolved. Steps in `finally` still run.
    fn assert_alerts_firing(&self, key: &StepKey, effect: EffectClass) {
        let unattended = self.incident.runs[0].mode == Mode::Unattended;
        let of_the_run = key.part == StepPart::Main && !key.id.starts_with('f');
        let moot = unattended && of_the_run && self.incident.alerts.are_resolved();
        assert!(!moot || !effect.changes(), "`{key}` would change something although every alert is resolved");
    }

    pub fn alert(&mut self, number: u8) {
        self.settle();
        let alert = Alert { firing: number.to_string(), ..Alert::default() };
        let key = alert.key();
        let quiet_until = self.now + TimeDelta::minutes(5);
        match self.incident.alerts.state(&key).map(|state| state.status) {
            None if self.incident.status != IncidentStatus::Resolved => {
                self.record(Event::Alert(AlertEvent::Fired { key, alert: Arc::new(alert) }));
            }
            Some(AlertStatus::Firing) => {
                self.record(Event::Alert(AlertEvent::Resolved { key, ends_at: None, quiet_until }))
            }
            Some(AlertStatus::Resolved) => self.record(Event::Alert(AlertEvent::Repeated { key, times: 1 })),
            None => {}
        }
    }

    /// Every reached step in its current state.
    pub fn reached(&self) -> Vec<StepTarget> {
        let runs = self.incident.runs.iter();
        runs.flat_map(|run| run.order.iter().map(|step| self.incident.target(run.id, step))).collect()
    }

    /// The digest of the waiting change of a step, or zeros without one.
    pub fn digest(&self, target: &StepTarget) -> String {
        let state = self.incident.run(target.run).and_then(|run| run.state(&target.step));
        match state.and_then(|state| state.gate()) {
            Some(Gate::Approve { digest, .. }) => digest.clone(),
            _ => "0".repeat(64),
        }
    }

    pub fn person(&mut self, which: u8, what: u8) {
        self.settle();
        let waiting: Vec<StepTarget> = self
            .incident
            .waiting_for_person()
            .into_iter()
            .map(|(run, key, _)| self.incident.target(run, key))
            .collect();
        let reached = self.reached();
        let pick = |targets: &[StepTarget]| targets.get(usize::from(which) % targets.len().max(1)).cloned();
        let Some(target) = pick(&waiting).or_else(|| pick(&reached)) else { return };
        let digest = self.digest(&target);
        let request = match what % 11 {
            0 | 1 => Request::Answer { target, value: "a".into() },
            2 | 3 => Request::Approve { target, digest },
            4 => Request::Deny { target, reason: "no".to_owned() },
            5 => Request::Retry { target },
            6 => Request::Skip { target, reason: "no need".to_owned() },
            7 => Request::Undo { target: pick(&reached).unwrap_or(target) },
            8 => Request::Answer { target, value: "happened".into() },
            9 if which < 20 => Request::Cancel { reason: "enough".to_owned() },
            10 if which < 20 => Request::Resolve { summary: None },
            _ => Request::Note("noted".to_owned()),
        };
        let command = Command { by: Actor::person("ada", "test"), request };
        for event in decide(Some(&self.incident), &command, self.now).unwrap_or_default() {
            self.record(event);
        }
    }

    pub fn apply(&mut self, input: &Input) {
        match *input {
            Input::Attempt(which, how) => self.attempt(which, how),
            Input::Person(which, what) => self.person(which, what),
            Input::Crash(how) => self.crash(how),
            Input::Alert(number) => self.alert(number),
            Input::Wait(seconds) => self.now += TimeDelta::seconds(seconds.into()),
        }
    }

    fn crash(&mut self, how: u8) {
        for effect in self.settle() {
            let Effect::Settle { run, step, .. } = effect else { continue };
            let attempt = self.incident.run(run).unwrap().state(&step).unwrap().attempts;
            let detail = "so".to_owned();
            let finding = match how % 3 {
                0 => Reconciliation::DidNotHappen { detail },
                1 => Reconciliation::CannotTell { detail },
                _ => Reconciliation::Happened(Outcome::ended(Verdict::Succeeded, "so").into()),
            };
            self.record(Event::Step(StepEvent::Reconciled { run, step, attempt, finding }));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn after_any_inputs_the_log_folds_and_due_effects_settle(
        steps in prop::collection::vec(any::<u32>(), 1..5),
        finally in any::<u32>(),
        mode in prop_oneof![Just(Mode::Auto), Just(Mode::Guided), Just(Mode::Step), Just(Mode::Unattended)],
        go in any::<bool>(),
        inputs in prop::collection::vec(input(), 0..60),
    ) {
        let mut machine = Machine::new(steps, finally, mode, go);
        inputs.iter().for_each(|input| machine.apply(input));
        let due_effects = machine.settle();
        prop_assert_eq!(fold(&machine.log).unwrap().unwrap(), machine.incident.clone());
        // A wake time is in the future, or something is due.
        if let Some(wake) = wake_at(&machine.incident) {
            prop_assert!(wake > machine.now || !due_effects.is_empty(), "{wake} has passed at {}", machine.now);
        }
        // No step has two due attempts.
        let mut keys: Vec<String> = due_effects.iter().filter_map(|effect| match effect {
            Effect::Perform { run, attempt } => Some(format!("{run} {}", attempt.step)),
            _ => None,
        }).collect();
        keys.sort();
        let all = keys.len();
        keys.dedup();
        prop_assert_eq!(keys.len(), all);
    }
}
