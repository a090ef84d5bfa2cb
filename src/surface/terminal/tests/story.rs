//! A P1 incident for the tests, event by event.

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};

use crate::domain::core::effect::EffectClass;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::severity::Severity;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::{
    Actor, DeadlineEvent, Event, Gate, IncidentEvent, Mode, Recorded, RunEvent, StepEvent,
};
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::{PlannedChange, RenderedAction};
use crate::domain::runbook::DeadlineFrom;
use crate::engine::IncidentUpdate;
use crate::surface::terminal::stepper::model::Model;
use crate::surface::terminal::stepper::view::view;
use crate::surface::terminal::widgets::frame::Size;
use crate::surface::terminal::widgets::styled_text::{StyledLine, UNICODE};
use crate::surface::terminal::widgets::wrap;

pub const RUN: RunId = RunId(1);

/// An incident in progress: the stepper's model, the time, and the lines in the scroll-back.
pub struct Story {
    pub model: Model,
    pub now: Timestamp,
    pub lines: Vec<StyledLine>,
    seq: u64,
}

pub fn step(id: &str) -> StepKey {
    id.parse().unwrap()
}

impl Story {
    /// An incident that has just been opened.
    pub fn opened() -> Self {
        let now = DateTime::from_timestamp(1_795_575_845, 0).unwrap();
        let mut story = Self { model: Model::new(&UNICODE, "chanda".to_owned(), 0), now, lines: Vec::new(), seq: 0 };
        story.person(Event::Incident(IncidentEvent::Opened {
            id: "lusab-fidok".parse().unwrap(),
            title: "Live platform down".to_owned(),
            severity: Severity::P1,
            environment: "production".to_owned(),
            detected_at: None,
            group: None,
        }));
        story.engine(Event::Deadline(DeadlineEvent::Set {
            name: "notify".to_owned(),
            from: DeadlineFrom::Opened,
            due: now + TimeDelta::minutes(15),
            warn_at: Some(now + TimeDelta::minutes(10)),
            fallback_at: None,
            rule: None,
        }));
        story.engine(Event::Run(RunEvent::Started {
            run: RUN,
            runbook: Box::new(serde_json::from_value(runbook()).unwrap()),
            digest: "d".to_owned(),
            estate: Box::new(serde_json::from_value(estate()).unwrap()),
            params: json!({"service": "gateway"}).as_object().unwrap().clone(),
            mode: Mode::Guided,
            parent: None,
            alert: None,
            schedule: None,
        }));
        story
    }

    /// The same incident after its first read-only steps.
    pub fn after_checks() -> Self {
        let mut story = Self::opened();
        story.engine(Event::Step(StepEvent::Expanded { run: RUN, step: step("evidence"), items: None }));
        story.starts("board", "systemd", EffectClass::Read);
        story.starts("gateway_log", "journal", EffectClass::Read);
        story.starts("deploys", "git", EffectClass::Read);
        story.after(340);
        story
            .ends("board", Outcome::succeeded("19 units: 18 active, 1 failed (pakashop-gateway.service)", Value::Null));
        story.after(160);
        story.ends("deploys", Outcome::succeeded("2 commits in 24h", Value::Null));
        story.after(700);
        story.ends(
            "gateway_log",
            Outcome::succeeded("41 errors; commonest: connect ECONNREFUSED 127.0.0.1:6379", Value::Null),
        );
        story.engine(Event::Step(StepEvent::Concluded {
            run: RUN,
            step: step("evidence"),
            conclusion: crate::domain::incident::event::Conclusion::Succeeded,
            reason: None,
        }));
        story
    }

    pub fn after(&mut self, millis: i64) {
        self.now += TimeDelta::milliseconds(millis);
    }

    pub fn engine(&mut self, event: Event) {
        self.apply(Actor::Engine, event);
    }

    pub fn person(&mut self, event: Event) {
        self.apply(Actor::person("chanda", "stepper"), event);
    }

    fn apply(&mut self, by: Actor, event: Event) {
        self.seq += 1;
        let update = IncidentUpdate::Events(vec![Recorded { seq: self.seq, at: self.now, by, event }]);
        self.lines.extend(self.model.apply(&update, self.now).unwrap());
    }

    pub fn starts(&mut self, id: &str, kind: &str, effect: EffectClass) {
        let action = RenderedAction { kind: kind.to_owned(), spec: Value::Null, effect, host: None };
        let attempt = self
            .model
            .incident()
            .and_then(|incident| incident.run(RUN)?.state(&step(id)))
            .map_or(0, |state| state.attempts)
            + 1;
        let deadline = Some(self.now + TimeDelta::minutes(5));
        self.engine(Event::Step(StepEvent::Started {
            run: RUN,
            step: step(id),
            attempt,
            epoch: 1,
            action: action.into(),
            digest: "d".to_owned(),
            before: Value::Null.into(),
            deadline,
        }));
    }

    pub fn ends(&mut self, id: &str, outcome: Outcome) {
        let good = outcome.is_success();
        self.engine(Event::Step(StepEvent::Ended { run: RUN, step: step(id), attempt: 1, outcome: outcome.into() }));
        if good {
            self.engine(Event::Step(StepEvent::Concluded {
                run: RUN,
                step: step(id),
                conclusion: crate::domain::incident::event::Conclusion::Succeeded,
                reason: None,
            }));
        }
    }

    pub fn prints(&mut self, id: &str, text: &str) {
        let update = IncidentUpdate::Line { run: RUN, step: step(id), text: text.to_owned() };
        self.model.apply(&update, self.now).unwrap();
    }

    pub fn asks(&mut self, id: &str, gate: Gate) {
        self.engine(Event::Step(StepEvent::Asked { run: RUN, step: step(id), gate }));
        self.after(1_000);
    }

    pub fn cause() -> Gate {
        Gate::Ask {
            prompt: "Infrastructure or code?".to_owned(),
            choices: vec!["infrastructure".to_owned(), "code".to_owned()],
            suggest: Some("code".to_owned()),
            many: false,
        }
    }

    pub fn rollback() -> Gate {
        Gate::Approve {
            by: vec!["incident_commander".to_owned()],
            change: PlannedChange {
                what: "revert 4f1c2aa \"Merge branch 'coupons'\" on production and push it".to_owned(),
                place: "production, /opt/pakashop".to_owned(),
                why: Some("A bad merge is the commonest cause, and a revert redeploys in minutes.".to_owned()),
                undo: Some("revert the revert".to_owned()),
            },
            digest: "d1".to_owned(),
            count: 1,
            not_requester: false,
            expires_at: None,
            given: Vec::new(),
        }
    }

    /// The scroll-back as text.
    pub fn scrollback(&self, columns: usize) -> String {
        rows(&wrap::all(&self.lines, columns), columns)
    }

    /// The live region as text.
    pub fn region(&self, columns: usize) -> String {
        rows(&view(&self.model, self.now, Size { columns, rows: 24 }).rows, columns)
    }
}

/// Rows as text; fails if one is wider than the terminal.
fn rows(rows: &[wrap::WrappedRow], columns: usize) -> String {
    let mut text = String::from("\n");
    for row in rows {
        assert!(row.width() <= columns, "{} columns: {}", row.width(), row.text());
        text.push_str(row.text().trim_end());
        text.push('\n');
    }
    text
}

fn runbook() -> Value {
    let action = |kind: &str, effect: &str| json!({"action": {"kind": kind, "spec": {}, "effect": effect}});
    json!({
        "id": "p1", "title": "Live platform down", "severity": "p1", "summary": "Customers cannot use the shop.",
        "steps": [
            {"id": "evidence", "name": "Evidence", "phase": "identify", "body": {"parallel": [
                {"id": "board", "name": "State of every unit", "body": action("systemd", "read")},
                {"id": "gateway_log", "name": "The {{ params.service }}'s last five minutes", "body": action("journal", "read")},
                {"id": "deploys", "name": "What was deployed last", "body": action("git", "read")},
            ]}},
            {"id": "cause", "name": "Infrastructure or code?", "phase": "assess", "body": {"ask": {"choices": ["infrastructure", "code"]}}},
            {"id": "restart", "name": "Restart the {{ params.service }}", "phase": "mitigate", "body": action("systemd", "once"),
             "verify": {"action": {"kind": "health", "spec": {}, "effect": "read"}, "within": "5m", "every": "2s"}},
            {"id": "rollback", "name": "Revert the last merge", "body": action("git", "once")},
            {"id": "call", "name": "Call the hosting company", "body": {"manual": "Call the hosting company and note the ticket."}},
            {"id": "stakeholders", "name": "Tell stakeholders", "phase": "notify", "body": action("notify", "once"), "meets": "notify"},
        ],
    })
}

fn estate() -> Value {
    json!({
        "estate": "pakashop",
        "environments": {"production": {}},
        "people": {"chanda": {}, "mwansa": {}},
        "roles": {"incident_commander": {"people": ["mwansa"]}},
    })
}
