//! The grades of rows, their order, the changes that are reported, and the runbook for a row.

use super::*;

fn subject(name: &str) -> StatusSubject {
    StatusSubject {
        name: name.to_owned(),
        kind: SERVICE.to_owned(),
        critical: false,
        unit: Some(format!("{name}.service")),
    }
}

fn unit(active: &str, sub: &str) -> UnitState {
    let is_up = active == "active";
    UnitState {
        active: active.to_owned(),
        sub: sub.to_owned(),
        load: "loaded".to_owned(),
        is_up,
        ..UnitState::default()
    }
}

fn healthy() -> Probe {
    Probe { live: Some(true), ready: Some(true), latency_ms: Some(3), ..Probe::default() }
}

fn row(unit: UnitObservation, health: Option<Probe>) -> StatusRow {
    StatusRow::of(&subject("fraud"), unit, health)
}

fn grade_and_reason(unit: UnitObservation, health: Option<Probe>) -> (HealthGrade, String) {
    let row = row(unit, health);
    (row.grade, row.reason.unwrap_or_default())
}

#[test]
fn the_unit_and_the_health_check_give_a_grade_and_a_reason() {
    let running = || UnitObservation::Reported(unit("active", "running"));
    let looping = UnitState { exit: Some("exited 1".to_owned()), ..unit("activating", "auto-restart") };
    let missing = UnitState { load: "not-found".to_owned(), name: "x.service".to_owned(), ..unit("inactive", "dead") };
    let unready = Probe { ready: Some(false), error: Some("postgres is timeout".to_owned()), ..healthy() };
    let table = [
        (running(), Some(healthy()), HealthGrade::Up, ""),
        (running(), None, HealthGrade::Up, ""),
        (running(), Some(unready), HealthGrade::Degraded, "postgres is timeout"),
        (running(), Some(Probe::not_alive("no answer within 3s")), HealthGrade::Down, "no answer within 3s"),
        (running(), Some(Probe::not_probed("secret `x`: gone")), HealthGrade::Unknown, "secret `x`: gone"),
        (
            UnitObservation::Reported(looping),
            Some(Probe::not_alive("refused")),
            HealthGrade::Down,
            "restarting: exited 1",
        ),
        (UnitObservation::Reported(missing), None, HealthGrade::Down, "not installed"),
        (UnitObservation::Reported(unit("inactive", "dead")), None, HealthGrade::Down, "stopped"),
        (
            UnitObservation::Reported(unit("inactive", "dead")),
            Some(healthy()),
            HealthGrade::Degraded,
            "it answers, and its unit is inactive",
        ),
        (UnitObservation::Unreachable, Some(healthy()), HealthGrade::Up, ""),
        (UnitObservation::Unreachable, None, HealthGrade::Unknown, "systemd cannot be reached"),
        (UnitObservation::None, None, HealthGrade::Unknown, "not checked"),
    ];
    for (unit, health, grade, reason) in table {
        let shown = format!("{unit:?} {health:?}");
        assert_eq!(grade_and_reason(unit, health), (grade, reason.to_owned()), "{shown}");
    }
}

#[test]
fn problems_come_first_and_critical_ones_before_others() {
    let of = |name: &str, kind: &str, critical, up| {
        let subject = StatusSubject { kind: kind.to_owned(), critical, ..subject(name) };
        let observation = UnitObservation::Reported(unit(if up { "active" } else { "failed" }, "x"));
        StatusRow::of(&subject, observation, None)
    };
    let mut rows = vec![
        of("redis", "redis", false, false),
        of("a", SERVICE, false, true),
        of("gateway", SERVICE, true, false),
        of("b", SERVICE, false, false),
    ];
    sort(&mut rows);
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["gateway", "b", "redis", "a"]);
    assert_eq!((count(&rows, HealthGrade::Down), count(&rows, HealthGrade::Up)), (3, 1));
}

#[test]
fn changes_of_grade_reason_and_restarts_are_reported() {
    let at = |seconds| Timestamp::from_timestamp(seconds, 0);
    let since =
        |seconds, restarts| UnitState { since: at(seconds), restarts: Some(restarts), ..unit("active", "running") };
    let seen = |unit: UnitState| row(UnitObservation::Reported(unit), Some(healthy()));
    let down = row(
        UnitObservation::Reported(UnitState { exit: Some("exited 1".to_owned()), ..unit("failed", "failed") }),
        None,
    );
    let first = row(UnitObservation::None, None);
    let change = |before: &StatusRow, after: &StatusRow| changes(before, after).unwrap_or_default();
    assert_eq!(change(&seen(since(1, 0)), &down), "down: failed: exited 1");
    assert_eq!(change(&down, &seen(since(9, 0))), "up again, was down");
    assert_eq!(change(&seen(since(1, 1)), &seen(since(9, 3))), "restarted by systemd, 3 times now");
    assert_eq!(change(&seen(since(1, 0)), &seen(since(9, 0))), "restarted");
    assert_eq!(change(&first, &seen(since(1, 0))), "", "the first check is no change");
    assert_eq!(change(&seen(since(1, 0)), &seen(since(1, 0))), "");
}

#[test]
fn the_runbook_for_a_service_has_it_as_a_parameter() {
    use crate::domain::core::severity::Severity;
    use crate::domain::runbook::{Param, ParamKind, Runbook};
    let runbook = |id: &str, severity, params: &[(ParamKind, bool)]| Runbook {
        id: id.to_owned(),
        title: String::new(),
        severity,
        summary: None,
        environments: Vec::new(),
        deadlines: Vec::new(),
        params: (params.iter())
            .map(|(kind, has_default)| Param {
                name: "service".to_owned(),
                kind: kind.clone(),
                default: has_default.then(|| "gateway".into()),
                help: None,
            })
            .collect(),
        on: Vec::new(),
        schedules: Vec::new(),
        steps: Vec::new(),
        finally: Vec::new(),
    };
    let runbooks = [
        runbook("p1", Severity::P1, &[(ParamKind::Service, true)]),
        runbook("p3", Severity::P3, &[(ParamKind::Service, false)]),
        runbook("p4", Severity::P4, &[(ParamKind::Text, false)]),
    ];
    let chosen =
        |row: &StatusRow| remedy(row, runbooks.iter(), "production").map(|remedy| (remedy.runbook, remedy.param));
    let mut down = row(UnitObservation::None, None);
    assert_eq!(chosen(&down), Some(("p3".to_owned(), Some("service".to_owned()))));
    down.critical = true;
    assert_eq!(chosen(&down), Some(("p1".to_owned(), Some("service".to_owned()))));
    down.kind = "redis".to_owned();
    assert_eq!(chosen(&down), Some(("p1".to_owned(), None)), "a datastore is no service");
}
