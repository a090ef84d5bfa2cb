//! The facts of a golden log, file names, and wrong templates.

use super::*;
use crate::domain::core::diagnostic::Source;
use crate::domain::incident::event::{Event, IncidentEvent, MessageEvent, StepEvent};
use crate::domain::incident::fold;

fn log() -> Vec<Recorded> {
    let text = include_str!("../../../../tests/fixtures/postmortem/p1.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn facts(log: &[Recorded]) -> Postmortem {
    Postmortem::of(&fold(log).unwrap().unwrap(), log)
}

/// The facts of the log up to the first event that `stop` holds for.
fn facts_until(stop: impl Fn(&Event) -> bool) -> Postmortem {
    let log = log();
    let at = log.iter().position(|recorded| stop(&recorded.event)).unwrap();
    facts(&log[..at])
}

fn clock(facts: &Postmortem, name: &str) -> Option<String> {
    let milestone = facts.milestones.iter().find(|milestone| milestone.name == name).unwrap();
    milestone.at.map(|at| at.at.format("%H:%M:%S").to_string())
}

#[test]
fn milestones_have_the_times_of_their_events() {
    let facts = facts(&log());
    let times = ["Detected", "Opened", "Acknowledged", "Notified", "Mitigated", "Resolved"]
        .map(|name| clock(&facts, name).unwrap());
    assert_eq!(times, ["02:55:15", "02:58:20", "03:00:30", "03:01:03", "03:04:37", "03:08:20"]);
    assert!(facts.milestones[0].before_opening);
}

#[test]
fn the_notice_is_compared_with_the_deadline_in_the_log() {
    let notice = facts(&log()).notice.unwrap();
    assert_eq!(
        (notice.within.to_string(), notice.margin.unwrap().to_string(), notice.late),
        ("15m".into(), "12m 17s".into(), false)
    );
    let open = facts_until(|event| matches!(event, Event::Message(MessageEvent::Notified { .. }))).notice.unwrap();
    assert!(open.late && open.given.is_none());
}

#[test]
fn a_change_that_is_not_verified_does_not_mitigate() {
    let unchecked = facts_until(
        |event| matches!(event, Event::Step(StepEvent::Ended { step, .. }) if step.part == crate::domain::core::id::StepPart::Verify),
    );
    assert_eq!(clock(&unchecked, "Mitigated"), None);
    assert!(unchecked.changes[0].ok && !unchecked.changes[0].check.as_ref().unwrap().ok);
}

#[test]
fn a_message_is_no_change_and_a_change_names_its_approvers() {
    let facts = facts(&log());
    assert_eq!(facts.changes.len(), 1);
    let change = &facts.changes[0];
    assert_eq!(
        (change.what.as_str(), change.approved_by.as_deref()),
        ("restart pakashop-gateway.service", Some("ada"))
    );
    assert_eq!(facts.messages.iter().filter(|message| message.error.is_none()).count(), 3);
    assert_eq!(facts.services, ["gateway"]);
}

#[test]
fn a_post_mortem_is_due_a_day_after_the_resolution() {
    let due = facts(&log()).due.unwrap();
    assert_eq!(stamp(due.at), "2026-11-23T03:08:20Z");
    let open = facts_until(|event| matches!(event, Event::Incident(IncidentEvent::Resolved { .. })));
    assert_eq!((open.due, open.due_after.to_string()), (None, "24h".to_owned()));
}

#[test]
fn the_state_after_a_change_does_not_repeat_the_state_before() {
    let both = serde_json::json!({ "units": [], "before": { "active": "failed" }, "after": { "active": "active" } });
    assert_eq!(super::facts::state_after(&both), &both["after"]);
    let only = serde_json::json!({ "after": 1 });
    assert_eq!(super::facts::state_after(&only), &only);
}

#[test]
fn a_file_name_has_only_safe_characters() {
    let log = log();
    let mut incident = fold(&log).unwrap().unwrap();
    for (title, name) in [
        ("Live platform down", "2026-11-22-lusab-fidok-live-platform-down.md"),
        ("../../etc/passwd\0 $(x)", "2026-11-22-lusab-fidok-etc-passwd-x.md"),
        ("日本", "2026-11-22-lusab-fidok.md"),
        ("", "2026-11-22-lusab-fidok.md"),
    ] {
        incident.title = title.to_owned();
        assert_eq!(file_name(&incident), name);
    }
    incident.title = "A".repeat(500);
    assert_eq!(file_name(&incident).len(), "2026-11-22-lusab-fidok-.md".len() + SLUG_LIMIT);
}

#[test]
fn a_template_cannot_let_raw_text_through() {
    let facts = facts(&log());
    for filter in ["safe", "escape", "e", "tojson"] {
        let template = Template { file: "t.jinja".to_owned(), source: format!("\n{{{{ title | {filter} }}}}") };
        let error = render(&facts, &template).unwrap_err();
        assert!(error.to_string().starts_with("t.jinja:2: "), "{error}");
    }
}

/// The problems of a template, each with its place.
fn problems(text: &str) -> Vec<String> {
    let found = check(&Source::new("t.jinja", text));
    found.iter().map(|at| format!("{}:{} {}", at.span.line, at.span.column, at.message)).collect()
}

#[test]
fn the_shipped_template_has_no_problem() {
    assert_eq!(check(&Source::new("shipped", Template::shipped().source)), []);
}

#[test]
fn the_check_finds_syntax_errors_and_unknown_names() {
    assert_eq!(problems("# {{ title }}\n{% if due %}\n{% endfor %}").len(), 1, "it cannot be read");
    let names = "{{ titel }}\n{% if due %}{{ due.stmp }}{% endif %}\n{% for at in timeline %}{{ at.wo }}{% endfor %}";
    let found = problems(names);
    assert_eq!(found[..2], ["1:4 `titel` is not defined", "2:16 `due.stmp` is not defined"]);
    assert_eq!(found.len(), 3, "every problem at once: {found:?}");
    let help = check(&Source::new("t.jinja", "{{ opened.stmp }}"))[0].help.clone();
    assert_eq!(help.as_deref(), Some("Did you mean `stamp`?"));
    assert_eq!(problems("{% for line in timeline %}\n{{ line.wo }}\n{% endfor %}"), ["2:4 `line.wo` is not defined"]);
    assert!(problems("{{ title }}\n{{ title | shout }}")[0].starts_with("2:"), "there is no such filter");
    let sets = "{% set at = opened %}{% for run in runs %}{{ loop.index }} {{ run.title }} {{ at.clock }}{% endfor %}";
    assert_eq!(problems(sets), [""; 0]);
}

#[test]
fn a_fact_that_an_open_incident_lacks_must_be_tested_with_if() {
    assert_eq!(problems("{{ title }}\n{{ resolution.by }}").len(), 1);
    assert_eq!(problems("{% if resolution %}{{ resolution.by }} after {{ lasted }}{% endif %}"), [""; 0]);
}

#[test]
fn a_template_that_executes_too_many_instructions_is_stopped() {
    let source = "{% for a in range(10000) %}{% for b in range(10000) %}{{ b }}{% endfor %}{% endfor %}".to_owned();
    let error = render(&facts(&log()), &Template { file: "t.jinja".to_owned(), source }).unwrap_err();
    assert_eq!((error.file.as_str(), error.line), ("t.jinja", 1));
}
