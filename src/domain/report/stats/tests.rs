//! Measures of the golden logs, and of short logs built here.

use super::summary::{By, NONE, StatsSummary};
use super::*;
use crate::domain::incident::event::IncidentEvent;
use crate::domain::incident::fold;

fn golden(text: &str) -> Vec<Recorded> {
    text.lines().map(|line| serde_json::from_str(line).expect("every golden log can be read")).collect()
}

fn alerts() -> Vec<Recorded> {
    golden(include_str!("../../../../tests/fixtures/logs/alerts.jsonl"))
}

fn people() -> Vec<Recorded> {
    golden(include_str!("../../../../tests/fixtures/logs/people.jsonl"))
}

fn measure(log: &[Recorded]) -> Option<Measure> {
    Measure::of(&fold(log).expect("the log folds").expect("the log is not empty"), log)
}

/// A log of an opening and the events of `later`, each with its seconds after the opening.
fn opened_and(later: &[(u64, Event)], detected_before: Option<u64>) -> Vec<Recorded> {
    let mut log = people();
    log.truncate(1);
    let first = log[0].at;
    if let Event::Incident(IncidentEvent::Opened { detected_at, .. }) = &mut log[0].event {
        *detected_at = detected_before.map(|seconds| first - chrono::TimeDelta::seconds(seconds as i64));
    }
    for (seconds, event) in later {
        let (seq, at) = (log.len() as u64 + 1, Span::seconds(*seconds).after(first));
        log.push(Recorded { seq, at, by: Actor::person("ada", "cli"), event: event.clone() });
    }
    log
}

#[test]
fn times_run_from_the_opening_and_detection_runs_up_to_it() {
    let log = opened_and(
        &[
            (60, Event::Incident(IncidentEvent::Acknowledged)),
            (600, Event::Incident(IncidentEvent::Resolved { summary: None })),
        ],
        Some(90),
    );
    let measure = measure(&log).unwrap();
    let seconds: Vec<(Phase, u64)> = measure.times.iter().map(|(phase, span)| (*phase, span.0.as_secs())).collect();
    assert_eq!(seconds, [(Phase::Detect, 90), (Phase::Acknowledge, 60), (Phase::Resolve, 600)]);
    assert!(!measure.open);
}

#[test]
fn a_time_that_the_log_lacks_is_unknown_and_not_zero() {
    let measure = measure(&opened_and(&[], None)).unwrap();
    assert_eq!(measure.times, BTreeMap::new(), "without a reported detection, the time to detect is unknown too");
    assert!(measure.open);
    let summary = StatsSummary::of(&[measure], By::Service);
    assert_eq!(summary.groups[0].key, NONE);
    assert!(summary.all.times.values().all(|times| (times.known, times.unknown) == (0, 1)));
    assert!(summary.all.times.values().all(|times| times.median.is_none()));
}

#[test]
fn a_clock_that_was_set_back_gives_no_time() {
    let mut log = opened_and(&[(60, Event::Incident(IncidentEvent::Acknowledged))], None);
    log[1].at = log[0].at - chrono::TimeDelta::seconds(5);
    assert_eq!(measure(&log).unwrap().times.get(&Phase::Acknowledge), None);
}

#[test]
fn every_update_to_stakeholders_counts_as_a_deadline() {
    let measure = measure(&people()).unwrap();
    let counts = |kind| measure.deadlines.get(&kind).map(|counts| (counts.met, counts.missed, counts.running));
    assert_eq!(counts(DeadlineKind::Notify), Some((1, 0, 0)));
    assert_eq!(counts(DeadlineKind::Role), Some((1, 0, 0)));
    assert_eq!(counts(DeadlineKind::Update), Some((2, 0, 0)), "the third was lifted by the resolution");
}

#[test]
fn a_deadline_that_was_missed_stays_missed() {
    let set = |due: u64, log: &[Recorded]| {
        Event::Deadline(DeadlineEvent::Set {
            name: "notify".to_owned(),
            from: DeadlineFrom::Opened,
            due: Span::seconds(due).after(log[0].at),
            warn_at: None,
            fallback_at: None,
            rule: None,
        })
    };
    let bare = opened_and(&[], None);
    let met = |seconds: u64| {
        Event::Deadline(DeadlineEvent::Met {
            name: "notify".to_owned(),
            met_at: Span::seconds(seconds).after(bare[0].at),
            step: None,
        })
    };
    let missed = Event::Deadline(DeadlineEvent::Missed { name: "notify".to_owned() });
    let counts =
        |events: &[(u64, Event)]| deadlines(&opened_and(events, None)).get(&DeadlineKind::Notify).copied().unwrap();
    let set = set(100, &bare);
    let late = counts(&[(0, set.clone()), (100, missed), (120, met(120))]);
    assert_eq!((late.met, late.missed), (0, 1));
    let unrecorded = counts(&[(0, set.clone()), (120, met(120))]);
    assert_eq!((unrecorded.met, unrecorded.missed), (0, 1));
    let early = counts(&[(0, set.clone()), (120, met(99))]);
    assert_eq!(
        (early.met, early.missed),
        (1, 0),
        "the time at which it was met counts, not the time at which that was recorded"
    );
    assert_eq!(counts(&[(0, set)]).running, 1);
}

#[test]
fn runs_that_an_alert_started_are_automatic() {
    let measure = measure(&alerts()).unwrap();
    assert_eq!(measure.alerts, 2);
    assert_eq!(measure.runs, 3);
    assert!(measure.automatic > 0 && measure.automatic <= measure.runs, "{measure:?}");
    assert_eq!(measure.deadlines[&DeadlineKind::Notify].missed, 1);
    let names: Vec<&str> = measure.runbooks.iter().map(String::as_str).collect();
    assert_eq!(names, ["disk", "notice", "queue"]);
}

#[test]
fn an_incident_counts_once_in_all_and_once_in_each_of_its_groups() {
    let measures: Vec<Measure> = [alerts(), people()].iter().filter_map(|log| measure(log)).collect();
    let summary = StatsSummary::of(&measures, By::Runbook);
    assert_eq!(summary.all.incidents, 2);
    let keys: Vec<(&str, u64)> = summary.groups.iter().map(|group| (group.key.as_str(), group.incidents)).collect();
    assert_eq!(keys, [("disk", 1), ("down", 1), ("notice", 1), ("queue", 1)]);
    let month = StatsSummary::of(&measures, By::Month);
    assert_eq!(month.groups.iter().map(|group| group.key.as_str()).collect::<Vec<_>>(), ["2026-11"]);
}

#[test]
fn an_automatic_demo_is_left_out() {
    let mut log = people();
    log[1].by = Actor::person("demo", DEMO_INTERFACE);
    assert_eq!(measure(&log), None);
}
