//! Commands to a step when several runs of an incident have such a step: which one is meant, and what is refused.

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

use crate::machine::{Machine, Turn, turn};
use crate::world::{World, run, start, with};

const VERBS: [StepVerb; 6] =
    [StepVerb::Answer, StepVerb::Approve, StepVerb::Deny, StepVerb::Retry, StepVerb::Skip, StepVerb::Undo];

/// An incident whose events are written by hand.
struct Scene {
    incident: Option<Incident>,
    now: Timestamp,
}

impl Scene {
    /// Runs of these runbooks, each with the steps `cause`, `try` and `restart`.
    fn new(runbooks: &[&str]) -> Self {
        let mut scene = Self { incident: None, now: Utc.with_ymd_and_hms(2026, 1, 1, 3, 0, 0).unwrap() };
        let undo = json!({"undo": {"kind": "command", "spec": {"argv": ["true"]}, "effect": "once"}});
        let steps = json!([
            {"id": "cause", "name": "Why?", "body": {"ask": {"choices": ["code", "load"]}}},
            with(run("try", "once", &["true"]), undo),
            with(run("restart", "once", &["true"]), json!({"for_each": "[1, 2]"})),
        ]);
        for runbook in runbooks {
            let command = start(&World::new(), json!({"id": runbook, "steps": steps}));
            scene.command(command.request).unwrap();
        }
        scene
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
fn two() -> Scene {
    let mut scene = Scene::new(&["slow", "pay"]);
    scene.asks(1, "cause", cause());
    scene.asks(2, "cause", cause());
    scene
}

fn name(incident: &Incident) -> &str {
    incident.id.as_str()
}

#[test]
fn of_several_steps_none_is_chosen_and_each_is_listed_as_it_is_typed() {
    let scene = two();
    let id = name(scene.incident());
    let (message, hint) = scene.refused(StepVerb::Answer, "cause");
    assert_eq!(
        message,
        "more than one question waits for an answer: `1:cause` (runbook `slow`), `2:cause` (runbook `pay`)"
    );
    assert_eq!(hint, format!("Name one: `runbook answer {id} 1:cause <answer>`."));
    let unnamed = target_lookup::target(scene.incident(), StepVerb::Answer, None).unwrap_err();
    assert_eq!(unnamed.message, message);
    for (typed, run) in [("1:cause", 1), ("2:cause", 2)] {
        assert_eq!(scene.target(StepVerb::Answer, typed).unwrap().run, RunId(run));
    }
}

#[test]
fn the_only_step_that_a_command_makes_sense_for_needs_no_run() {
    let mut scene = two();
    let target = scene.target(StepVerb::Answer, "1:cause").unwrap();
    scene.command(Request::Answer { target: target.clone(), value: "code".into() }).unwrap();
    let other = scene.target(StepVerb::Answer, "cause").unwrap();
    assert_eq!(other.run, RunId(2));
    assert_eq!(target_lookup::target(scene.incident(), StepVerb::Answer, None).unwrap(), other);
    let late = scene.command(Request::Answer { target, value: "load".into() }).unwrap_err();
    assert_eq!(late.message, "`1:cause` asks nothing");
    assert_eq!(scene.incident().run(RunId(2)).unwrap().state(&other.step).unwrap().answer, None);
    scene.command(Request::Answer { target: other, value: "load".into() }).unwrap();
    let id = name(scene.incident());
    let (message, hint) = scene.refused(StepVerb::Answer, "cause");
    assert_eq!(message, "`2:cause` asks nothing");
    assert_eq!(hint, format!("See what waits: `runbook watch {id}`."));
}

#[test]
fn an_undo_in_one_run_leaves_the_step_ambiguous() {
    let mut scene = two();
    scene.fails(1, "try", 1);
    scene.fails(2, "try", 1);
    let target = scene.target(StepVerb::Undo, "1:try").unwrap();
    scene.command(Request::Undo { target }).unwrap();
    let (message, hint) = scene.refused(StepVerb::Undo, "try");
    assert!(message.contains("`1:try`") && message.contains("`2:try`"), "{message}");
    assert!(hint.contains("2:try"), "the one that was undone is no example: {hint}");
    assert_eq!(scene.refused(StepVerb::Undo, "1:try").0, "`1:try` is being undone already");
    assert_eq!(scene.target(StepVerb::Undo, "2:try").unwrap().run, RunId(2));
}

#[test]
fn a_run_or_a_step_that_is_not_there_is_said_with_those_that_are() {
    let scene = two();
    let refused = |typed| scene.refused(StepVerb::Answer, typed);
    assert_eq!(refused("3:cause"), ("there is no run 3".into(), "Runs: 1 (`slow`), 2 (`pay`).".into()));
    assert_eq!(refused("0:cause").0, "there is no run 0");
    assert_eq!(refused("2:caus"), ("run 2 has no step `caus`".into(), "Did you mean `2:cause`?".into()));
    assert_eq!(refused("caus"), ("there is no step `caus`".into(), "Did you mean `cause`?".into()));
    // An item, a check or an undo that the step does not have.
    for typed in ["cause[1]", "cause.verify", "cause.undo", "2:restart.verify"] {
        let message = refused(typed).0;
        assert!(message.contains("no step `"), "{typed}: {message}");
    }
}

#[test]
fn an_item_is_one_of_those_that_the_step_has() {
    let mut scene = two();
    assert!(scene.target(StepVerb::Skip, "2:restart[7]").is_ok(), "its items are not known yet");
    let items = Some(vec![json!(1), json!(2)]);
    scene.step(|run, step| StepEvent::Expanded { run, step, items: items.clone() }, 2, "restart");
    assert_eq!(scene.target(StepVerb::Skip, "2:restart[1]").unwrap().step.index, Some(1));
    assert_eq!(scene.refused(StepVerb::Skip, "2:restart[2]").0, "run 2 has no step `restart[2]`");
    let target =
        StepTarget { step: "restart[2]".parse().unwrap(), ..scene.target(StepVerb::Skip, "2:restart[1]").unwrap() };
    assert!(scene.command(Request::Skip { target, reason: "no".to_owned() }).is_err());
}

#[test]
fn a_command_for_an_earlier_attempt_is_refused_and_says_what_changed() {
    let mut scene = two();
    scene.fails(2, "try", 1);
    let first = scene.target(StepVerb::Retry, "try").unwrap();
    assert_eq!((first.run, first.attempt), (RunId(2), 1));
    scene.command(Request::Retry { target: first.clone() }).unwrap();
    scene.fails(2, "try", 2);
    for request in [
        Request::Retry { target: first.clone() },
        Request::Skip { target: first.clone(), reason: "no need".to_owned() },
        Request::Undo { target: first.clone() },
    ] {
        let refused = scene.command(request).unwrap_err();
        assert_eq!(refused.message, "`try` of run 2 is at attempt 2 now; the command was for attempt 1");
        assert!(refused.hint.unwrap().contains("runbook watch"));
    }
    let present = scene.target(StepVerb::Skip, "2:try").unwrap();
    scene.command(Request::Skip { target: present, reason: "no need".to_owned() }).unwrap();
}

#[test]
fn a_command_for_an_earlier_question_of_the_same_attempt_is_refused() {
    let mut scene = two();
    scene.asks(1, "try", Gate::Failure { error: "nobody has agreed in time".to_owned() });
    let first = scene.target(StepVerb::Retry, "1:try").unwrap();
    scene.command(Request::Retry { target: first.clone() }).unwrap();
    scene.asks(1, "try", Gate::Failure { error: "nobody has agreed in time".to_owned() });
    let refused = scene.command(Request::Skip { target: first, reason: "no".to_owned() }).unwrap_err();
    assert_eq!(refused.message, "`try` of run 1 is at question 2 now; the command was for question 1");
    let unasked = StepTarget { question: 0, ..scene.target(StepVerb::Retry, "1:try").unwrap() };
    let refused = scene.command(Request::Retry { target: unasked }).unwrap_err();
    assert_eq!(refused.message, "`try` of run 1 is at question 2 now; the command was made before the first question");
}

#[test]
fn a_command_for_another_incident_is_refused() {
    let mut scene = two();
    let target =
        StepTarget { incident: "lusab-fidok".parse().unwrap(), ..scene.target(StepVerb::Answer, "1:cause").unwrap() };
    let refused = scene.command(Request::Answer { target, value: "code".into() }).unwrap_err();
    assert!(refused.message.contains("lusab-fidok"), "{refused}");
}

#[test]
fn two_changes_at_one_step_id_can_be_agreed_to_and_a_digest_says_which() {
    let mut scene = two();
    let digests = ["1".repeat(64), "2".repeat(64)];
    scene.asks(1, "try", change(&digests[0]));
    scene.asks(2, "try", change(&digests[1]));
    let typed = Some("try".parse().unwrap());
    let refused = target_lookup::change(scene.incident(), typed.as_ref(), None).unwrap_err();
    assert_eq!(
        refused.message,
        "more than one change waits for agreement: `1:try` (runbook `slow`), `2:try` (runbook `pay`)"
    );
    assert!(target_lookup::change(scene.incident(), None, Some("22")).is_err(), "that is too short to name one");
    let (target, digest) = target_lookup::change(scene.incident(), typed.as_ref(), Some("22222222")).unwrap();
    assert_eq!((target.run, digest.as_str()), (RunId(2), "22222222"));
    scene.command(Request::Approve { target, digest }).unwrap();
    let (target, digest) = target_lookup::change(scene.incident(), None, None).unwrap();
    assert_eq!((target.run, &digest), (RunId(1), &digests[0]));
    scene.command(Request::Approve { target, digest }).unwrap();
}

#[test]
fn agreement_that_finds_nothing_is_still_recorded() {
    let scene = two();
    let refusals = [
        scene.target(StepVerb::Deny, "2:try").unwrap_err(),
        target_lookup::change(scene.incident(), Some(&"2:try".parse().unwrap()), Some("0123456789")).unwrap_err(),
        target_lookup::change(scene.incident(), None, None).unwrap_err(),
        target_lookup::change(scene.incident(), Some(&"try".parse().unwrap()), None).unwrap_err(),
        scene.target(StepVerb::Deny, "ty").unwrap_err(),
    ];
    let messages: Vec<&str> = refusals.iter().map(|refused| refused.message.as_str()).collect();
    let not_waiting = "`2:try` does not wait for agreement";
    let expected = [not_waiting, not_waiting, "no change waits for agreement", not_waiting, "there is no step `ty`"];
    assert_eq!(messages, expected);
    // The run is recorded where it was typed.
    for (refused, run) in refusals.iter().zip([Some(RunId(2)), Some(RunId(2)), None, None, None]) {
        let record = refused.record.as_deref();
        let Some(Event::Role(RoleEvent::ApprovalRefused(refusal))) = record else { panic!("{record:?}") };
        assert_eq!((refusal.cause, refusal.run), (ApprovalRefusalCause::NotWaiting, run));
    }
    let others = scene.target(StepVerb::Retry, "try").unwrap_err();
    assert_eq!((others.message.as_str(), others.record), ("`2:try` has nothing to try again", None));
}

/// What a person could say to a step.
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

/// The events of a request, and the incident after them.
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

/// An answer that the step takes.
fn answer(incident: &Incident, target: &StepTarget) -> Value {
    let gate = incident.run(target.run).and_then(|run| run.state(&target.step)).and_then(|state| state.gate());
    if let Some(Gate::Unclear { .. }) = gate { "happened".into() } else { "a".into() }
}

/// The steps whose state differs, by run.
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
        turns in prop::collection::vec(turn(), 0..40),
    ) {
        let mut machine = Machine::new(steps, 0, mode, true);
        (0..runs).for_each(|_| machine.start_again());
        let mut shown: Vec<(StepTarget, String)> = Vec::new();
        for turn in &turns {
            machine.turn(turn);
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
    fn what_is_typed_means_the_only_step_that_accepts_it(
        steps in prop::collection::vec(any::<u32>(), 1..4),
        mode in prop_oneof![Just(Mode::Auto), Just(Mode::Guided), Just(Mode::Step)],
        runs in 0..3_usize,
        turns in prop::collection::vec(turn(), 0..40),
    ) {
        let mut machine = Machine::new(steps, 0, mode, true);
        (0..runs).for_each(|_| machine.start_again());
        turns.iter().for_each(|turn: &Turn| machine.turn(turn));
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
            let meant = target_lookup::target(incident, verb, Some(&typed)).ok().map(|target| target.run);
            // What was undone in another run may be meant as well.
            let undone = |run: &&Run| verb == StepVerb::Undo && run.state(&key.part(StepPart::Undo)).is_some();
            let rivals = incident.runs.iter().filter(undone).count();
            let only = if let ([only], 0) = (accepting.as_slice(), rivals) { Some(*only) } else { None };
            prop_assert_eq!(meant, only, "{:?} {}: {:?}", verb, key, accepting);
            for run in &incident.runs {
                let typed = format!("{}:{key}", run.id).parse().unwrap();
                let meant = target_lookup::target(incident, verb, Some(&typed)).ok().map(|target| target.run);
                prop_assert_eq!(meant, accepting.contains(&run.id).then_some(run.id));
            }
        }
    }
}

#[test]
fn an_incident_that_is_resolved_has_nothing_to_answer() {
    let mut scene = Scene::new(&["slow"]);
    scene.record(Event::Incident(IncidentEvent::Resolved { summary: None }));
    assert_eq!(scene.refused(StepVerb::Answer, "cause").0, "`cause` asks nothing");
}
