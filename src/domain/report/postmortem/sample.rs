//! Sample facts for the check of a template: an incident with all facts, and one that was just opened.
//!
//! **Invariant:** [`whole`] contains every fact that a template can use; [`without_details`] lacks every fact that can be missing.

use chrono::DateTime;

use super::{
    ChangeFact, CheckedFact, DeadlineFacts, DeadlineState, Length, MessageFact, Milestone, Moment, Notice, Participant,
    Postmortem, Resolution, RunFacts, TimelineRow, Verification,
};
use crate::domain::core::time::Span;

/// An incident with all facts. Lists also have an item that lacks every optional field.
pub(super) fn whole() -> Postmortem {
    let (change, message) = (change(), MessageFact { at: moment(), channel: text(), error: Some(text()) });
    let milestone =
        Milestone { name: "Opened", at: Some(moment()), after: Some(length()), before_opening: true, meaning: "text" };
    Postmortem {
        resolution: Some(Resolution { by: text(), at: moment(), words: Some(text()) }),
        lasted: Some(length()),
        due: Some(moment()),
        runs: vec![RunFacts { number: 1, runbook: text(), title: text(), digest: text() }],
        services: vec![text()],
        milestones: vec![Milestone { at: None, after: None, before_opening: false, ..milestone.clone() }, milestone],
        notice: Some(Notice {
            deadline: text(),
            within: length(),
            due: moment(),
            given: Some(moment()),
            margin: Some(length()),
            late: false,
        }),
        deadlines: [DeadlineState::Running, DeadlineState::Met, DeadlineState::MetLate, DeadlineState::Missed]
            .map(deadline)
            .into(),
        timeline: [true, false].map(line).into(),
        findings: [true, false].map(finding).into(),
        changes: vec![bare_change(&change), change],
        messages: vec![MessageFact { error: None, ..message.clone() }, message],
        failures: vec![line(false)],
        well: vec![text()],
        badly: vec![text()],
        people: vec![Participant { name: text(), deeds: vec![text()] }],
        ..without_details()
    }
}

/// An incident that was just opened.
pub(super) fn without_details() -> Postmortem {
    Postmortem {
        id: text(),
        title: text(),
        severity: text(),
        environment: text(),
        status: "draft",
        opened_by: text(),
        opened: moment(),
        resolution: None,
        lasted: None,
        due: None,
        due_after: length(),
        runs: Vec::new(),
        services: Vec::new(),
        milestones: Vec::new(),
        notice: None,
        deadlines: Vec::new(),
        timeline: Vec::new(),
        findings: Vec::new(),
        changes: Vec::new(),
        messages: Vec::new(),
        failures: Vec::new(),
        well: Vec::new(),
        badly: Vec::new(),
        people: Vec::new(),
    }
}

fn text() -> String {
    "text".to_owned()
}

fn moment() -> Moment {
    Moment::of(1, DateTime::UNIX_EPOCH)
}

fn length() -> Length {
    Length(Span::seconds(1))
}

fn deadline(state: DeadlineState) -> DeadlineFacts {
    let met = matches!(state, DeadlineState::Met | DeadlineState::MetLate);
    let (at, margin) = (met.then(moment), met.then(length));
    DeadlineFacts { name: text(), from: "opened", due: moment(), state, met: at, margin }
}

fn line(new_day: bool) -> TimelineRow {
    TimelineRow { at: moment(), new_day, who: text(), text: text() }
}

fn finding(ok: bool) -> CheckedFact {
    CheckedFact { name: text(), at: moment(), ok, summary: text(), transcript: ok.then(text) }
}

fn change() -> ChangeFact {
    let verification = || Verification { ok: true, at: Some(moment()), summary: text() };
    ChangeFact {
        name: text(),
        what: text(),
        place: Some(text()),
        why: Some(text()),
        action: text(),
        approved_by: Some(text()),
        approved: Some(moment()),
        begun: moment(),
        ended: Some(moment()),
        took: Some(length()),
        attempt: 2,
        ok: true,
        summary: text(),
        before: Some(text()),
        after: Some(text()),
        check: Some(verification()),
        undone: Some(verification()),
    }
}

fn bare_change(change: &ChangeFact) -> ChangeFact {
    ChangeFact {
        place: None,
        why: None,
        approved_by: None,
        approved: None,
        ended: None,
        took: None,
        attempt: 1,
        ok: false,
        before: None,
        after: None,
        check: None,
        undone: None,
        ..change.clone()
    }
}
