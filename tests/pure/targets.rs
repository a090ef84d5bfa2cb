//! Commands for a step that several runs of an incident have: the chosen step, and refusals.

use chrono::{TimeZone, Utc};
use proptest::prelude::*;
use runbook::domain::core::id::{RunId, StepKey, StepPart};
use runbook::domain::core::time::Timestamp;
use runbook::domain::incident::command::target::StepTarget;
use runbook::domain::incident::command::{Command, Refused, Request};
use runbook::domain::incident::decide::decide;
use runbook::domain::incident::decide::step_verb::StepVerb;
use runbook::domain::incident::decide::target_lookup;
use runbook::domain::incident::event::{
    Actor, ApprovalRefusalCause, Event, Gate, IncidentEvent, Mode, Recorded, RoleEvent, StepEvent,
};
use runbook::domain::incident::plan::PlannedChange;
use runbook::domain::incident::run::Run;
use runbook::domain::incident::{Incident, extend};
use serde_json::{Value, json};

use crate::engine_fixture::{EngineFixture, run, start, with};
use crate::machine::{Input, Machine, input};

const VERBS: [StepVerb; 6] =
    [StepVerb::Answer, StepVerb::Approve, StepVerb::Deny, StepVerb::Retry, StepVerb::Skip, StepVerb::Undo];

/// An incident whose events the test writes.
struct ScriptedIncident {
    incident: Option<Incident>,
    now: Timestamp,
}

impl ScriptedIncident {
    /// An incident with a run of each runbook, each with the steps `cause`, `try` and `restart`.
    fn new(runbooks: &[&str]) -> Self {
        let mut scripted = Self { incident: None, now: Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap() };
        let undo = json!({"undo": {"kind": "command", "spec": {"argv": ["true"]}, "effect": "once"}});
        let steps = json!([
            {"id": "cause", "name": "Why?", "body": {"ask": {"choices": ["code", "load"]}}},
            with(run("try", "once", &["true"]), undo),
            with(run("restart", "once", &["true"]), json!({"for_each": "[1, 2]"})),
        ]);
        for runbook in runbooks {
            let command = start(&EngineFixture::new(), json!({"id": runbook, "steps": steps}));
            scripted.command(command.request).unwrap();
        }
        scripted
    }

    fn incident(&self) -> &Incident {
        self.incident.as_ref().unwrap()
    }

    fn command(&mut self, request: Request) -> Result<(), Refused> {
        let command = Command { by: Actor::person("ada", "test"), request };
        let events = decide(self.incident.as_ref(), &command, self.now)?;
        events.into_iter().for_each(|event| self.record(event));
        Ok(())
    }

    fn record(&mut self, event: Event) {
        let seq = self.incident.as_ref().map_or(0, |incident| incident.seq) + 1;
        let by = Actor::person("ada", "test");
        extend(&mut self.incident, &[Recorded { seq, at: self.now, by, event }]).unwrap();
    }

    fn step(&mut self, event: impl Fn(RunId, StepKey) -> StepEvent, run: u32, step: &str) {
        self.record(Event::Step(event(RunId(run), step.parse().unwrap())));
    }

    fn asks(&mut self, run: u32, step: &str, gate: Gate) {
        self.step(|run, step| StepEvent::Asked { run, step, gate: gate.clone() }, run, step);
    }

    fn fails(&mut self, run: u32, step: &str, attempt: u32) {
        let action = json!({"kind": "command", "spec": {}, "effect": "once"});
        let started = json!({"type": "step_started", "run": run, "step": step, "attempt": attempt, "epoch": 1, "action": action, "digest": "d"});
        let outcome = json!({"verdict": "failed", "summary": "so"});
        let ended = json!({"type": "step_ended", "run": run, "step": step, "attempt": attempt, "outcome": outcome});
        for event in [started, ended] {
            self.record(serde_json::from_value(event).unwrap());
        }
        self.asks(run, step, Gate::Failure { error: "so".to_owned() });
    }

    fn target(&self, verb: StepVerb, typed: &str) -> Result<StepTarget, Refused> {
        target_lookup::target(self.incident(), verb, Some(&typed.parse().unwrap()))
    }

    /// Why a command is refused: the message and the hint.
    fn refused(&self, verb: StepVerb, typed: &str) -> (String, String) {
        let refused = self.target(verb, typed).unwrap_err();
        (refused.message, refused.hint.unwrap_or_default())
    }
}

fn cause() -> Gate {
    let choices = ["code", "load"].map(str::to_owned).to_vec();
    Gate::Ask { prompt: "Why?".to_owned(), choices, suggest: None, many: false }
}

fn change(digest: &str) -> Gate {
    Gate::approve(PlannedChange::default(), digest)
}

/// Two runs that wait for the answer to `cause`.
fn two_runs() -> ScriptedIncident {
    let mut scripted = ScriptedIncident::new(&["slow", "pay"]);
    scripted.asks(1, "cause", cause());
    scripted.asks(2, "cause", cause());
    scripted
}

fn name(incident: &Incident) -> &str {
    incident.id.as_str()
}

#[test]
fn several_matching_steps_are_listed_and_none_is_chosen() {
    let scripted = two_runs();
    let id = name(scripted.incident());
    let (message, hint) = scripted.refused(StepVerb::Answer, "cause");
    assert_eq!(
        message,
        "more than one question waits for an answer: `1:cause` (runbook `slow`), `2:cause` (runbook `pay`)"
    );
    assert_eq!(hint, format!("Name one: `runbook answer {id} 1:cause <answer>`."));
    let unnamed = target_lookup::target(scripted.incident(), StepVerb::Answer, None).unwrap_err();
    assert_eq!(unnamed.message, message);
    for (typed, run) in [("1:cause", 1), ("2:cause", 2)] {
        assert_eq!(scripted.target(StepVerb::Answer, typed).unwrap().run, RunId(run));
    }
}

#[test]
fn the_reference_to_an_item_is_in_quotes_in_a_command() {
    let mut scripted = two_runs();
    let id = name(scripted.incident()).to_owned();
    scripted.asks(1, "restart[0]", change("d"));
    let (_, hint) = scripted.refused(StepVerb::Answer, "1:restart[0]");
    let approve = format!("runbook approve {id} '1:restart[0]'");
    assert_eq!(hint, format!("Type `{approve}` or `runbook deny {id} '1:restart[0]' <reason>`."));
    scripted.asks(2, "restart[0]", change("e"));
    assert_eq!(scripted.refused(StepVerb::Approve, "restart[0]").1, format!("Name one: `{approve}`."));
}

#[test]
fn the_only_matching_step_needs_no_run() {
    let mut scripted = two_runs();
    let target = scripted.target(StepVerb::Answer, "1:cause").unwrap();
    scripted.command(Request::Answer { target: target.clone(), value: "code".into() }).unwrap();
    let other = scripted.target(StepVerb::Answer, "cause").unwrap();
    assert_eq!(other.run, RunId(2));
    assert_eq!(target_lookup::target(scripted.incident(), StepVerb::Answer, None).unwrap(), other);
    let late = scripted.command(Request::Answer { target, value: "load".into() }).unwrap_err();
    assert_eq!(late.message, "`1:cause` has no open question");
    assert_eq!(scripted.incident().run(RunId(2)).unwrap().state(&other.step).unwrap().answer, None);
    scripted.command(Request::Answer { target: other, value: "load".into() }).unwrap();
    let id = name(scripted.incident());
    let (message, hint) = scripted.refused(StepVerb::Answer, "cause");
    assert_eq!(message, "`2:cause` has no open question");
    assert_eq!(hint, format!("See what waits: `runbook watch {id}`."));
}

#[test]
fn an_undo_in_one_run_leaves_the_step_ambiguous() {
    let mut scripted = two_runs();
    scripted.fails(1, "try", 1);
    scripted.fails(2, "try", 1);
    let target = scripted.target(StepVerb::Undo, "1:try").unwrap();
    scripted.command(Request::Undo { target }).unwrap();
    let (message, hint) = scripted.refused(StepVerb::Undo, "try");
    assert!(message.contains("`1:try`") && message.contains("`2:try`"), "{message}");
    assert!(hint.contains("2:try"), "the undone step is not the example: {hint}");
    assert_eq!(scripted.refused(StepVerb::Undo, "1:try").0, "`1:try` is being undone already");
    assert_eq!(scripted.target(StepVerb::Undo, "2:try").unwrap().run, RunId(2));
}

#[test]
fn a_missing_run_or_step_is_refused_with_the_existing_ones() {
    let scripted = two_runs();
    let refused = |typed| scripted.refused(StepVerb::Answer, typed);
    assert_eq!(refused("3:cause"), ("there is no run 3".into(), "Runs: 1 (`slow`), 2 (`pay`).".into()));
    assert_eq!(refused("0:cause").0, "there is no run 0");
    assert_eq!(refused("2:caus"), ("run 2 has no step `caus`".into(), "Did you mean `2:cause`?".into()));
    assert_eq!(refused("caus"), ("there is no step `caus`".into(), "Did you mean `cause`?".into()));
    // The step does not have this item, check or undo.
    for typed in ["cause[1]", "cause.verify", "cause.undo", "2:restart.verify"] {
        let message = refused(typed).0;
        assert!(message.contains("no step `"), "{typed}: {message}");
    }
}

#[test]
fn an_item_is_one_of_those_that_the_step_has() {
    let mut scripted = two_runs();
    assert!(scripted.target(StepVerb::Skip, "2:restart[7]").is_ok(), "its items are not yet known");
    let items = Some(vec![json!(1), json!(2)]);
    scripted.step(|run, step| StepEvent::Expanded { run, step, items: items.clone() }, 2, "restart");
    assert_eq!(scripted.target(StepVerb::Skip, "2:restart[1]").unwrap().step.index, Some(1));
    assert_eq!(scripted.refused(StepVerb::Skip, "2:restart[2]").0, "run 2 has no step `restart[2]`");
    let target =
        StepTarget { step: "restart[2]".parse().unwrap(), ..scripted.target(StepVerb::Skip, "2:restart[1]").unwrap() };
    assert!(scripted.command(Request::Skip { target, reason: "no".to_owned() }).is_err());
}

#[test]
fn a_command_for_an_earlier_attempt_is_refused_with_both_numbers() {
    let mut scripted = two_runs();
    scripted.fails(2, "try", 1);
    let first = scripted.target(StepVerb::Retry, "try").unwrap();
    assert_eq!((first.run, first.attempt), (RunId(2), 1));
    scripted.command(Request::Retry { target: first.clone() }).unwrap();
    scripted.fails(2, "try", 2);
    for request in [
        Request::Retry { target: first.clone() },
        Request::Skip { target: first.clone(), reason: "no need".to_owned() },
        Request::Undo { target: first.clone() },
    ] {
        let refused = scripted.command(request).unwrap_err();
        assert_eq!(refused.message, "`try` of run 2 is at attempt 2 now; the command was for attempt 1");
        assert!(refused.hint.unwrap().contains("runbook watch"));
    }
    let present = scripted.target(StepVerb::Skip, "2:try").unwrap();
    scripted.command(Request::Skip { target: present, reason: "no need".to_owned() }).unwrap();
}

#[test]
fn a_command_for_an_earlier_question_of_the_same_attempt_is_refused() {
    let mut scripted = two_runs();
    scripted.asks(1, "try", Gate::Failure { error: "nobody has agreed in time".to_owned() });
    let first = scripted.target(StepVerb::Retry, "1:try").unwrap();
    scripted.command(Request::Retry { target: first.clone() }).unwrap();
    scripted.asks(1, "try", Gate::Failure { error: "nobody has agreed in time".to_owned() });
    let refused = scripted.command(Request::Skip { target: first, reason: "no".to_owned() }).unwrap_err();
    assert_eq!(refused.message, "`try` of run 1 is at question 2 now; the command was for question 1");
    let unasked = StepTarget { question: 0, ..scripted.target(StepVerb::Retry, "1:try").unwrap() };
    let refused = scripted.command(Request::Retry { target: unasked }).unwrap_err();
    assert_eq!(refused.message, "`try` of run 1 is at question 2 now; the command was made before the first question");
}

#[test]
fn a_command_for_another_incident_is_refused() {
    let mut scripted = two_runs();
    let target = StepTarget {
        incident: "lusab-fidok".parse().unwrap(),
        ..scripted.target(StepVerb::Answer, "1:cause").unwrap()
    };
    let refused = scripted.command(Request::Answer { target, value: "code".into() }).unwrap_err();
    assert!(refused.message.contains("lusab-fidok"), "{refused}");
}

#[test]
fn a_digest_selects_one_of_two_changes_at_one_step_id() {
    let mut scripted = two_runs();
    let digests = ["1".repeat(64), "2".repeat(64)];
    scripted.asks(1, "try", change(&digests[0]));
    scripted.asks(2, "try", change(&digests[1]));
    let typed = Some("try".parse().unwrap());
    let refused = target_lookup::change(scripted.incident(), typed.as_ref(), None).unwrap_err();
    assert_eq!(
        refused.message,
        "more than one change waits for agreement: `1:try` (runbook `slow`), `2:try` (runbook `pay`)"
    );
    assert!(target_lookup::change(scripted.incident(), None, Some("22")).is_err(), "the prefix is too short");
    let (target, digest) = target_lookup::change(scripted.incident(), typed.as_ref(), Some("22222222")).unwrap();
    assert_eq!((target.run, digest.as_str()), (RunId(2), "22222222"));
    scripted.command(Request::Approve { target, digest }).unwrap();
    let (target, digest) = target_lookup::change(scripted.incident(), None, None).unwrap();
    assert_eq!((target.run, &digest), (RunId(1), &digests[0]));
    scripted.command(Request::Approve { target, digest }).unwrap();
}

#[test]
fn an_approval_without_a_waiting_change_is_recorded() {
    let scripted = two_runs();
    let refusals = [
        scripted.target(StepVerb::Deny, "2:try").unwrap_err(),
        target_lookup::change(scripted.incident(), Some(&"2:try".parse().unwrap()), Some("0123456789")).unwrap_err(),
        target_lookup::change(scripted.incident(), None, None).unwrap_err(),
        target_lookup::change(scripted.incident(), Some(&"try".parse().unwrap()), None).unwrap_err(),
        scripted.target(StepVerb::Deny, "ty").unwrap_err(),
    ];
    let messages: Vec<&str> = refusals.iter().map(|refused| refused.message.as_str()).collect();
    let not_waiting = "`2:try` does not wait for agreement";
    let expected = [not_waiting, not_waiting, "no change waits for agreement", not_waiting, "there is no step `ty`"];
    assert_eq!(messages, expected);
    // The run is recorded if it was typed.
    for (refused, run) in refusals.iter().zip([Some(RunId(2)), Some(RunId(2)), None, None, None]) {
        let record = refused.record.as_deref();
        let Some(Event::Role(RoleEvent::ApprovalRefused(refusal))) = record else { panic!("{record:?}") };
        assert_eq!((refusal.cause, refusal.run), (ApprovalRefusalCause::NotWaiting, run));
    }
    let others = scripted.target(StepVerb::Retry, "try").unwrap_err();
    assert_eq!((others.message.as_str(), others.record), ("`2:try` cannot be retried", None));
}

/// A request of a person for a step.
fn request(verb: StepVerb, target: StepTarget, value: Value, digest: String) -> Request {
    let reason = "so".to_owned();
    match verb {
        StepVerb::Answer => Request::Answer { target, value },
        StepVerb::Approve => Request::Approve { target, digest },
        StepVerb::Deny => Request::Deny { target, reason },
        StepVerb::Retry => Request::Retry { target },
        StepVerb::Skip => Request::Skip { target, reason },
        StepVerb::Undo => Request::Undo { target },
    }
}

/// The events of a request, and the incident after these events.
fn decided(machine: &Machine, request: Request) -> Result<(Vec<Event>, Incident), Refused> {
    let command = Command { by: Actor::person("ada", "test"), request };
    let events = decide(Some(&machine.incident), &command, machine.now)?;
    let mut after = Some(machine.incident.clone());
    for event in &events {
        let seq = after.as_ref().unwrap().seq + 1;
        let recorded = Recorded { seq, at: machine.now, by: command.by.clone(), event: event.clone() };
        extend(&mut after, &[recorded]).unwrap();
    }
    Ok((events, after.unwrap()))
}

/// A valid answer for a step.
fn answer(incident: &Incident, target: &StepTarget) -> Value {
    let gate = incident.run(target.run).and_then(|run| run.state(&target.step)).and_then(|state| state.gate());
    if let Some(Gate::Unclear { .. }) = gate { "happened".into() } else { "a".into() }
}

/// The steps whose state differs, with their runs.
fn changed(before: &Incident, after: &Incident) -> Vec<(RunId, StepKey)> {
    let pairs = before.runs.iter().zip(&after.runs);
    let keys = |one: &Run, other: &Run| {
        let changed = |key: &&StepKey| one.state(key) != other.state(key);
        other.order.iter().filter(changed).cloned().collect::<Vec<_>>()
    };
    pairs.flat_map(|(one, other)| keys(one, other).into_iter().map(|key| (one.id, key))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_command_changes_the_step_that_was_shown_or_is_refused(
        steps in prop::collection::vec(any::<u32>(), 1..4),
        mode in prop_oneof![Just(Mode::Auto), Just(Mode::Guided), Just(Mode::Step)],
        runs in 1..3_usize,
        inputs in prop::collection::vec(input(), 0..40),
    ) {
        let mut machine = Machine::new(steps, 0, mode, true);
        (0..runs).for_each(|_| machine.start_again());
        let mut shown: Vec<(StepTarget, String)> = Vec::new();
        for input in &inputs {
            machine.apply(input);
            for target in machine.reached() {
                let digest = machine.digest(&target);
                if !shown.contains(&(target.clone(), digest.clone())) {
                    shown.push((target, digest));
                }
            }
        }
        for (target, digest) in shown {
            let present = machine.incident.target(target.run, &target.step);
            for verb in VERBS {
                let value = answer(&machine.incident, &target);
                match decided(&machine, request(verb, target.clone(), value, digest.clone())) {
                    Ok((events, after)) => {
                        prop_assert_eq!(&target, &present, "{:?} was for another attempt or question", verb);
                        prop_assert!(verb != StepVerb::Approve || digest == machine.digest(&target));
                        prop_assert!(events.iter().all(|event| matches!(event, Event::Step(_))));
                        for (run, step) in changed(&machine.incident, &after) {
                            prop_assert_eq!((run, &step.id, step.index), (target.run, &target.step.id, target.step.index));
                        }
                    }
                    Err(refused) => {
                        let record = refused.record.as_deref();
                        let is_refusal = |event: &Event| matches!(event, Event::Role(RoleEvent::ApprovalRefused(refusal)) if refusal.run == Some(target.run));
                        prop_assert!(record.is_none_or(is_refusal), "{:?}", record);
                    }
                }
            }
        }
    }

    #[test]
    fn a_typed_step_means_the_only_one_that_accepts_the_command(
        steps in prop::collection::vec(any::<u32>(), 1..4),
        mode in prop_oneof![Just(Mode::Auto), Just(Mode::Guided), Just(Mode::Step)],
        runs in 0..3_usize,
        inputs in prop::collection::vec(input(), 0..40),
    ) {
        let mut machine = Machine::new(steps, 0, mode, true);
        (0..runs).for_each(|_| machine.start_again());
        inputs.iter().for_each(|input: &Input| machine.apply(input));
        let incident = &machine.incident;
        let mut keys: Vec<StepKey> = machine.reached().into_iter().map(|target| target.step).collect();
        keys.sort();
        keys.dedup();
        for (key, verb) in keys.iter().flat_map(|key| VERBS.map(|verb| (key, verb))) {
            let accepts = |run: &&Run| {
                let target = incident.target(run.id, key);
                let (value, digest) = (answer(incident, &target), machine.digest(&target));
                decided(&machine, request(verb, target, value, digest)).is_ok()
            };
            let accepting: Vec<RunId> = incident.runs.iter().filter(accepts).map(|run| run.id).collect();
            let typed = key.to_string().parse().unwrap();
            let chosen = target_lookup::target(incident, verb, Some(&typed)).ok().map(|target| target.run);
            // A step that was undone in another run is also a candidate.
            let undone = |run: &&Run| verb == StepVerb::Undo && run.state(&key.part(StepPart::Undo)).is_some();
            let undone_steps = incident.runs.iter().filter(undone).count();
            let only = if let ([only], 0) = (accepting.as_slice(), undone_steps) { Some(*only) } else { None };
            prop_assert_eq!(chosen, only, "{:?} {}: {:?}", verb, key, accepting);
            for run in &incident.runs {
                let typed = format!("{}:{key}", run.id).parse().unwrap();
                let chosen = target_lookup::target(incident, verb, Some(&typed)).ok().map(|target| target.run);
                prop_assert_eq!(chosen, accepting.contains(&run.id).then_some(run.id));
            }
        }
    }
}

#[test]
fn an_incident_that_is_resolved_has_nothing_to_answer() {
    let mut scripted = ScriptedIncident::new(&["slow"]);
    scripted.record(Event::Incident(IncidentEvent::Resolved { summary: None }));
    assert_eq!(scripted.refused(StepVerb::Answer, "cause").0, "`cause` has no open question");
}
