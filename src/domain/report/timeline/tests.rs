//! The short timeline of a golden log, and timelines of damaged logs and hostile texts.

use super::*;
use crate::domain::incident::event::Actor;

fn log() -> Vec<Recorded> {
    let text = include_str!("../../../../tests/fixtures/postmortem/p1.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts(timeline: &Timeline) -> Vec<String> {
    let entries = timeline.entries.iter().filter(|entry| entry.notable);
    entries.map(|entry| format!("{} {}: {}", entry.sign.glyph(), entry.who, entry.text)).collect()
}

#[test]
fn the_short_timeline_of_an_incident() {
    let shown = texts(&Timeline::of(&log()));
    let expected = [
        "● ada: opened P1 in production: Live platform down",
        "▸ ada: run 1: p1 (Live platform down) began with service=gateway",
        "✓ runbook: State of every unit: 18 of 19 units run; pakashop-gateway.service is failed (start limit hit)",
        "✗ runbook: Is every service alive and ready? failed: 1 of 19 services does not answer: gateway (connection refused)",
        "✓ runbook: Errors of gateway in the last five minutes: 212 errors; the commonest: cannot read properties of undefined (211)",
        "✓ runbook: Does PostgreSQL accept connections? localhost:5432 - accepting connections",
        "● ada: acknowledged",
        "✗ runbook: message to incidents not delivered: Slack says `ratelimited`; it asks to wait 30 s",
        "→ runbook: told incidents",
        "⏱ runbook: deadline notify met, 12m 17s to spare",
        "› ben: note: The load balancer shows 502 since 02:55 | see [the graph](http://evil.example/x) <img src=x> **bold** `tick` Second line: # not a heading - not a list ␛[2J{{ 7*7 }}",
        "› ada: Infrastructure or code? → infrastructure",
        "› ada: approved: restart pakashop-gateway.service",
        "▸ runbook: Restart gateway: after an interruption: it had not happened: the unit still has the invocation 7d1f",
        "✓ runbook: Restart gateway: pakashop-gateway.service runs again after 3.6s (attempt 2)",
        "✓ runbook: check of Restart gateway: gateway is alive and ready, for 15s",
        "› ben: Can customers use the shop again? → yes",
        "→ runbook: told incidents",
        "→ runbook: told oncall",
        "✓ runbook: run 1 (p1) ended: every step done",
        "● ada: resolved: The gateway's start limit was hit after a bad order; restarted.",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn every_event_has_an_entry_with_its_number() {
    let log = log();
    let entries = Timeline::of(&log).entries;
    assert!(entries.iter().map(|entry| entry.seq).eq(log.iter().map(|recorded| recorded.seq)));
}

#[test]
fn an_attempt_that_has_not_ended_is_notable() {
    let log = log();
    let cut =
        log.iter().rposition(|recorded| matches!(recorded.event, Event::Step(StepEvent::Started { .. }))).unwrap();
    let shown = texts(&Timeline::of(&log[..=cut]));
    assert_eq!(shown.last().unwrap(), "▸ runbook: Tell stakeholders how it stands: begun");
}

#[test]
fn an_answer_other_than_the_suggested_one_has_the_suggestion_as_detail() {
    let timeline = Timeline::of(&log());
    let answer = timeline.entries.iter().find(|entry| entry.text.contains("→ infrastructure")).unwrap();
    assert_eq!(answer.detail.as_deref(), Some("the evidence suggested: code"));
}

#[test]
fn a_log_that_does_not_fold_has_an_entry_for_every_event() {
    let log = log();
    let torn: Vec<Recorded> = log.iter().skip(3).cloned().collect();
    let timeline = Timeline::of(&torn);
    assert_eq!(timeline.entries.len(), torn.len());
    assert!(timeline.entries.iter().any(|entry| entry.text.starts_with("gateway_log: 212 errors")));
}

#[test]
fn no_entry_holds_a_control_character_or_a_second_line() {
    let hostile = "\u{1b}]0;x\u{7}\r\n\0\u{202e}\u{2028}| `x`".repeat(400);
    let mut log = log();
    let (seq, at) = (log.len() as u64 + 1, log.last().unwrap().at);
    let by = Actor::person(hostile.clone(), hostile.clone());
    log.push(Recorded { seq, at, by, event: Event::Incident(IncidentEvent::NoteAdded { text: hostile.clone() }) });
    let entry = Timeline::of(&log).entries.pop().unwrap();
    for text in [&entry.text, &entry.who, entry.detail.as_ref().unwrap()] {
        assert!(!text.chars().any(|c| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}')), "{text:?}");
    }
    assert!(entry.text.chars().count() <= TEXT_LIMIT);
}
