//! Tests the screens and keys of the status board without a terminal.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::columns::Columns;
use super::model::{StatusIntent, StatusModel};
use super::view::view;
use crate::domain::core::time::Timestamp;
use crate::domain::host::status::{Probe, StatusRow, StatusSubject, UnitObservation, UnitState};
use crate::surface::terminal::widgets::frame::Size;
use crate::surface::terminal::widgets::palette::CharacterSet;

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_790_000_000, 0).unwrap()
}

fn row(name: &str, active: &str, health: Option<Probe>) -> StatusRow {
    let unit = UnitState {
        name: format!("{name}.service"),
        active: active.to_owned(),
        load: "loaded".to_owned(),
        is_up: active == "active",
        since: now().checked_sub_signed(chrono::TimeDelta::minutes(7)),
        restarts: Some(2),
        memory: Some(88 << 20),
        ..UnitState::default()
    };
    let subject = StatusSubject { name: name.to_owned(), kind: "service".to_owned(), critical: false, unit: None };
    StatusRow::of(&subject, UnitObservation::Reported(unit), health)
}

fn unready() -> Option<Probe> {
    let reason = Some("postgres is unreachable".to_owned());
    Some(Probe { live: Some(true), ready: Some(false), latency_ms: Some(12), error: reason, ..Probe::default() })
}

fn model(healthy: usize) -> StatusModel {
    let mut rows = vec![row("backend", "active", unready()), row("fraud", "failed", None)];
    rows.extend((0..healthy).map(|at| row(&format!("service-{at:02}"), "active", None)));
    StatusModel::new(("Pakashop".to_owned(), "production".to_owned()), rows)
}

fn screen(model: &StatusModel, columns: usize, rows: usize) -> Vec<String> {
    let shown = view(model, now(), Size { columns, rows }, CharacterSet::Unicode);
    assert!(shown.len() == rows.max(5), "{} rows of {rows}", shown.len());
    assert!(shown.iter().all(|row| row.width() <= columns), "{columns}: {shown:?}");
    shown.iter().map(|row| row.text().trim_end().to_owned()).collect()
}

fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

#[test]
fn a_row_shows_the_cells_that_fit_the_width() {
    let rows = [row("backend", "active", unready())];
    let line = |room| {
        let columns = Columns::of(&rows, room, 0, now(), CharacterSet::Unicode.signs());
        columns.row(&rows[0], Vec::new(), now()).text()
    };
    assert_eq!(line(None), "! degraded backend active    7m        2    88M    12ms  postgres is unreachable");
    assert_eq!(line(Some(80)), "! degraded backend    7m    88M    12ms  postgres is unreachable, 2 restarts");
    assert_eq!(line(Some(40)), "! backend  postgres is unreachable");
    assert_eq!(line(Some(24)), "! backend  postgres is …");
}

#[test]
fn every_screen_size_is_filled_exactly() {
    for (columns, rows) in [(80, 24), (40, 20), (200, 60), (20, 8), (10, 5)] {
        for healthy in [0, 3, 40] {
            screen(&model(healthy), columns, rows);
        }
    }
}

#[test]
fn problems_are_at_the_top_and_hidden_rows_are_counted() {
    let shown = screen(&model(30), 80, 24);
    assert!(shown[0].starts_with("Pakashop production  ✗ 1 down  ! 1 degraded  ✓ 30 up"), "{}", shown[0]);
    assert!(shown[2].starts_with("▸ ✗ down     fraud") && shown[3].contains("backend"), "{shown:#?}");
    assert!(shown.iter().any(|row| row.contains("13 more up")), "{shown:#?}");
}

#[test]
fn the_selection_stays_on_its_row_when_rows_move() {
    let mut model = model(30);
    for _ in 0..40 {
        model.key(key(KeyCode::Down));
    }
    assert_eq!(model.row().unwrap().name, "service-29");
    model.key(key(KeyCode::Up));
    model.update(row("service-28", "failed", None), true, now());
    assert_eq!((model.row().unwrap().name.as_str(), model.chosen()), ("service-28", 1));
    assert!(screen(&model, 80, 24)[3].starts_with("▸ ✗ down     service-28"));
}

#[test]
fn a_first_complete_result_is_not_a_change() {
    let mut model = model(1);
    model.update(row("service-00", "failed", None), true, now());
    assert!(model.changes.is_empty());
    model.update(row("service-00", "active", None), true, now());
    assert_eq!(model.changes[0].text, "up again, was down");
}

#[test]
fn an_offered_runbook_starts_only_after_confirmation() {
    let mut model = model(1);
    let arguments = vec!["start".to_owned(), "mend".to_owned()];
    assert_eq!(model.key(key(KeyCode::Char('r'))), StatusIntent::Offer);
    model.offered = Some(arguments.clone());
    assert_eq!(model.key(key(KeyCode::Char('q'))), StatusIntent::None, "declining does nothing else");
    model.offered = Some(arguments.clone());
    assert_eq!(model.key(key(KeyCode::Enter)), StatusIntent::Start(arguments));
    assert_eq!(model.key(key(KeyCode::Char('q'))), StatusIntent::Leave);
}
