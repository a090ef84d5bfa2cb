//! The log of a long incident, made in memory: runs of many steps with output, and notes in between.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta};
use runbook::domain::config::estate::{Environment, Estate};
use runbook::domain::core::effect::EffectClass;
use runbook::domain::core::id::{IncidentId, RunId, StepKey};
use runbook::domain::core::severity::Severity;
use runbook::domain::incident::event::{
    Actor, Conclusion, Event, IncidentEvent, Mode, Recorded, RunEvent, RunOutcome, StepEvent,
};
use runbook::domain::incident::outcome::Outcome;
use runbook::domain::incident::plan::RenderedAction;
use runbook::domain::runbook::Runbook;
use serde_json::{Map, json};

/// Steps of the runbook; each runs for every item.
const STEPS: u32 = 40;
/// Items of each step.
const ITEMS: u32 = 20;

/// A log of exactly `length` events that folds.
pub fn of(length: usize) -> Vec<Recorded> {
    let mut events = vec![opened()];
    let mut run = 0;
    while events.len() < length {
        run += 1;
        events.extend(whole_run(RunId(run)));
    }
    events.truncate(length);
    (1..).zip(events).map(|(seq, event)| recorded(seq, event)).collect()
}

fn recorded(seq: u64, event: Event) -> Recorded {
    let begun = DateTime::from_timestamp(1_780_000_000, 0).expect("a time that is");
    let ticks = i64::try_from(seq).expect("a short log");
    Recorded { seq, at: begun + TimeDelta::milliseconds(37 * ticks), by: Actor::Engine, event }
}

fn opened() -> Event {
    Event::Incident(IncidentEvent::Opened {
        id: IncidentId::from_str("lusab-fidok").expect("an id"),
        title: "Live platform down".into(),
        severity: Severity::P1,
        environment: "production".into(),
        detected_at: None,
        group: None,
    })
}

fn whole_run(run: RunId) -> Vec<Event> {
    let mut events = vec![started(run)];
    for number in 1..=STEPS {
        let step = StepKey::main(format!("step_{number}"));
        let items = (0..ITEMS).map(|item| json!(format!("pakashop-{item}.service"))).collect();
        events.push(Event::Step(StepEvent::Expanded { run, step: step.clone(), items: Some(items) }));
        events.extend((0..ITEMS).flat_map(|item| attempt(run, &step.at(item))));
        events.push(Event::Step(StepEvent::Concluded { run, step, conclusion: Conclusion::Succeeded, reason: None }));
        events.push(Event::Incident(IncidentEvent::NoteAdded {
            text: format!("step {number} is done, the gateway still answers with 502"),
        }));
    }
    events.push(Event::Run(RunEvent::Ended { run, outcome: RunOutcome::Succeeded }));
    events
}

fn started(run: RunId) -> Event {
    let steps: Vec<_> = (1..=STEPS)
        .map(|number| {
            let spec = json!({"argv": ["/usr/bin/systemctl", "status", "{{ item }}"]});
            let action = json!({"kind": "command", "spec": spec, "effect": "read"});
            json!({"id": format!("step_{number}"), "name": format!("Look at unit {number}"), "for_each": "params.units",
                "body": {"action": action}})
        })
        .collect();
    let document = json!({"id": "p1", "title": "Live platform down", "severity": "p1", "steps": steps});
    let runbook: Runbook = serde_json::from_value(document).expect("the resolved form of a runbook");
    let environments = BTreeMap::from([("production".to_owned(), Environment::default())]);
    let estate = Estate { estate: "shop".to_owned(), environments, ..Estate::default() };
    Event::Run(RunEvent::Started {
        run,
        runbook: Box::new(runbook),
        digest: "0".repeat(64),
        estate: Box::new(estate),
        params: Map::new(),
        mode: Mode::Guided,
        parent: None,
        alert: None,
        schedule: None,
    })
}

fn attempt(run: RunId, step: &StepKey) -> [Event; 3] {
    let spec = json!({"argv": ["/usr/bin/systemctl", "status", "pakashop-gateway.service"]});
    let action = RenderedAction { kind: "command".into(), spec, effect: EffectClass::Read, host: None };
    let digest = action.digest("production");
    let begun = Event::Step(StepEvent::Started {
        run,
        step: step.clone(),
        attempt: 1,
        epoch: 1,
        action: action.into(),
        digest,
        before: json!({"active": "failed", "invocation": "0".repeat(32)}).into(),
        deadline: None,
    });
    let step = step.clone();
    let end = ended(run, &step);
    [begun, end, Event::Step(StepEvent::Concluded { run, step, conclusion: Conclusion::Succeeded, reason: None })]
}

fn ended(run: RunId, step: &StepKey) -> Event {
    let output = json!({"exit": 0, "units": [{"name": "pakashop-gateway.service", "active": "active", "restarts": 3}]});
    let printed = "Nov 22 03:04:05 web1 gateway[4242]: listening on 8000\n".repeat(6);
    let outcome = Outcome::succeeded("1 unit active", output).with_transcript(printed);
    Event::Step(StepEvent::Ended { run, step: step.clone(), attempt: 1, outcome: outcome.into() })
}
