//! Renders the board's screen: counts, rows, recent changes, the selected row, keys.
//!
//! **Invariant:** the result has no more rows than the screen and no wider ones; hidden rows are counted.

use super::columns::{Columns, age, state_style};
use super::model::StatusModel;
use super::sparkline::curve;
use crate::domain::core::text::bytes;
use crate::domain::core::time::Timestamp;
use crate::domain::host::status::{HealthGrade, StatusRow as Subject, UnitObservation, count};
use crate::surface::terminal::widgets::frame::Size;
use crate::surface::terminal::widgets::palette::CharacterSet;
use crate::surface::terminal::widgets::styled_text::{Signs, StyledSpan, Tone, width};
use crate::surface::terminal::widgets::wrap::{WrappedRow, cut};

/// Minimum and maximum number of rows for changes.
const CHANGE_ROWS: (usize, usize) = (4, 8);

/// The other rows: head, headings, a rule, the selected row, the keys.
const FIXED_ROWS: usize = 5;

/// Below this width the head shows only the environment and the counts, and a change only its age.
const NARROW: usize = 60;

/// From this width on the latency curve has twenty characters, below ten.
const BROAD: usize = 120;

/// The rows of the screen.
pub fn view(model: &StatusModel, now: Timestamp, size: Size, charset: CharacterSet) -> Vec<WrappedRow> {
    let signs = charset.signs();
    let spare = size.rows.saturating_sub(FIXED_ROWS + model.rows.len());
    let lines = model.changes.len() + usize::from(model.systemd_error.is_some());
    // Rows that changes do not need go to the board.
    let changes =
        spare.clamp(CHANGE_ROWS.0, CHANGE_ROWS.1).min(size.rows.saturating_sub(FIXED_ROWS + 1)).min(lines.max(spare));
    let room = size.rows.saturating_sub(FIXED_ROWS + changes);
    let mut screen = vec![head(model, now, size.columns, signs)];
    let (board, hidden) = table(model, now, size.columns, room, charset);
    screen.extend(board);
    screen.push(rule(model, hidden, size.columns, signs));
    screen.extend(change_rows(model, now, changes, size.columns, signs));
    // The last two rows stay at the bottom.
    screen.resize(size.rows.saturating_sub(2).max(screen.len()), WrappedRow::default());
    screen.push(chosen(model, size.columns, signs));
    screen.push(keys(model, size.columns, charset));
    screen
}

/// A row cut at the edge of the screen.
fn fitted(spans: Vec<StyledSpan>, columns: usize, signs: &Signs) -> WrappedRow {
    let mut row = WrappedRow::default();
    for span in spans {
        let room = columns.saturating_sub(row.width());
        if room == 0 {
            break;
        }
        row.0.push(StyledSpan::new(span.tone(), &cut(span.text(), room, signs)));
    }
    row
}

/// Text at both edges; the right one only if there is space for it.
fn edged(left: Vec<StyledSpan>, right: StyledSpan, columns: usize, signs: &Signs) -> WrappedRow {
    let used: usize = left.iter().map(StyledSpan::width).sum();
    let mut row = fitted(left, columns, signs);
    if used + 2 + right.width() <= columns {
        row.0.push(StyledSpan::new(Tone::Plain, &" ".repeat(columns - used - right.width())));
        row.0.push(right);
    }
    row
}

fn head(model: &StatusModel, now: Timestamp, columns: usize, signs: &Signs) -> WrappedRow {
    let (estate, environment) = &model.title;
    let mut spans = Vec::new();
    if columns >= NARROW {
        spans.push(StyledSpan::new(Tone::Plain, &format!("{estate} ")));
    }
    spans.push(StyledSpan::new(Tone::Strong, environment));
    for grade in HealthGrade::ALL {
        let rows = count(&model.rows, grade);
        if rows > 0 {
            let (sign, tone) = state_style(grade, signs);
            spans.push(StyledSpan::new(Tone::Plain, "  "));
            let label = if columns >= NARROW { format!(" {}", grade.code()) } else { String::new() };
            spans.push(StyledSpan::new(tone, &format!("{sign} {rows}{label}")));
        }
    }
    edged(spans, StyledSpan::new(Tone::Faint, &now.format("%H:%M:%S UTC").to_string()), columns, signs)
}

/// The headings and as many rows as fit, scrolled to the selected row; and the numbers of rows hidden above and below.
fn table(
    model: &StatusModel,
    now: Timestamp,
    columns: usize,
    room: usize,
    charset: CharacterSet,
) -> (Vec<WrappedRow>, (usize, usize)) {
    let signs = charset.signs();
    let pointer = width(signs.pointer) + 1;
    let spark = if columns >= BROAD { 20 } else { 10 };
    let layout = Columns::of(&model.rows, Some(columns.saturating_sub(pointer)), spark, now, signs);
    let chosen = model.chosen();
    let top = (chosen + 1).saturating_sub(room);
    let mut rows = vec![marked(StyledSpan::new(Tone::Plain, &" ".repeat(pointer)), layout.heading(), columns, signs)];
    for (at, row) in model.rows.iter().enumerate().skip(top).take(room) {
        let mark = if at == chosen { format!("{} ", signs.pointer) } else { " ".repeat(pointer) };
        let curve = curve(&model.samples(&row.name), layout.spark(), charset);
        rows.push(marked(StyledSpan::new(Tone::Accent, &mark), layout.row(row, curve, now), columns, signs));
    }
    let below = model.rows.len().saturating_sub(top + room);
    (rows, (top, below))
}

fn marked(mark: StyledSpan, row: WrappedRow, columns: usize, signs: &Signs) -> WrappedRow {
    fitted(std::iter::once(mark).chain(row.0).collect(), columns, signs)
}

/// The rule between the rows and the changes, with the numbers of hidden rows.
fn rule(model: &StatusModel, (above, below): (usize, usize), columns: usize, signs: &Signs) -> WrappedRow {
    let mut labels = vec![];
    if above > 0 {
        labels.push(format!("{above} above"));
    }
    if below > 0 {
        let are_up = model.rows.iter().rev().take(below).all(|row| row.grade == HealthGrade::Up);
        labels.push(format!("{below} more{}", if are_up { " up" } else { " below" }));
    }
    labels.push(if model.changes.is_empty() { "nothing has changed yet" } else { "what has changed" }.to_owned());
    let text = format!("{} {} ", signs.rule.repeat(2), labels.join(&format!(" {} ", signs.dot)));
    let rest = signs.rule.repeat(columns.saturating_sub(width(&text)));
    fitted(vec![StyledSpan::new(Tone::Faint, &(text + &rest))], columns, signs)
}

fn change_rows(model: &StatusModel, now: Timestamp, room: usize, columns: usize, signs: &Signs) -> Vec<WrappedRow> {
    let error = model.systemd_error.iter().map(|reason| {
        let (sign, tone) = state_style(HealthGrade::Unknown, signs);
        fitted(vec![StyledSpan::new(tone, &format!("{sign} {reason}"))], columns, signs)
    });
    let changes = model.changes.iter().map(|change| {
        let (sign, tone) = state_style(change.grade, signs);
        let when = match columns {
            0..NARROW => format!("{:>4} ", age(change.at, now)),
            _ => format!("{} {:>4} ago  ", change.at.format("%H:%M:%S"), age(change.at, now)),
        };
        let spans = vec![
            StyledSpan::new(Tone::Faint, &when),
            StyledSpan::new(tone, &format!("{sign} ")),
            StyledSpan::new(Tone::Strong, &change.name),
            StyledSpan::new(Tone::Plain, &format!(" {}", change.text)),
        ];
        fitted(spans, columns, signs)
    });
    error.chain(changes).take(room).collect()
}

/// The facts of the selected row that have no column; a message to the person takes their place.
fn chosen(model: &StatusModel, columns: usize, signs: &Signs) -> WrappedRow {
    if let Some(notice) = &model.notice {
        return fitted(vec![StyledSpan::new(Tone::Warn, notice)], columns, signs);
    }
    let Some(row) = model.row() else { return WrappedRow::default() };
    let mut facts = Vec::new();
    facts.extend(row.reason.clone());
    facts.extend(dependencies(row));
    facts.extend(match &row.unit {
        UnitObservation::Reported(unit) => Some(format!("{} {} ({})", unit.name, unit.active, unit.sub)),
        UnitObservation::Unreachable => Some("its unit is unknown".to_owned()),
        UnitObservation::None => None,
    });
    facts.extend(row.seen().and_then(|unit| unit.memory).map(bytes));
    let facts = facts.join(&format!(" {} ", signs.dot));
    let spans = vec![
        StyledSpan::new(Tone::Accent, &format!("{} ", signs.pointer)),
        StyledSpan::new(Tone::Strong, &row.name),
        StyledSpan::new(Tone::Plain, &format!(": {facts}")),
    ];
    fitted(spans, columns, signs)
}

fn dependencies(row: &Subject) -> Option<String> {
    let all = &row.health.as_ref()?.dependencies;
    let texts: Vec<String> = all.iter().map(|(name, state)| format!("{name} {state}")).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn keys(model: &StatusModel, columns: usize, charset: CharacterSet) -> WrappedRow {
    let arrows = if charset == CharacterSet::Unicode { "↑↓" } else { "jk" };
    let keys: &[(&str, &str)] = match &model.offered {
        Some(_) => &[("enter", "start it"), ("any other key", "cancels")],
        None => &[(arrows, "choose"), ("l", "logs"), ("r", "runbook"), ("q", "quit"), ("space", "check now")],
    };
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, does) in keys {
        used += width(key) + width(does) + 3;
        // A key that does not fit is left out. The last key's two trailing blanks need no space.
        if used > columns + 2 && !spans.is_empty() {
            break;
        }
        spans.push(StyledSpan::new(Tone::Accent, key));
        spans.push(StyledSpan::new(Tone::Faint, &format!(" {does}  ")));
    }
    fitted(spans, columns, charset.signs())
}
