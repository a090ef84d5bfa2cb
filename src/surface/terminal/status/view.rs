//! The whole screen of the board: how the shop stands, the rows, what has changed, the chosen row, the keys.
//!
//! **Invariant:** no more rows than the screen has, and none wider; what is hidden is counted.

use super::columns::{Columns, age, state_style};
use super::model::StatusModel;
use super::sparkline::curve;
use crate::domain::core::text::bytes;
use crate::domain::core::time::Timestamp;
use crate::domain::host::status::{HealthGrade, Sighting, StatusRow as Subject, count};
use crate::surface::terminal::stepper::view::Size;
use crate::surface::terminal::widgets::palette::CharacterSet;
use crate::surface::terminal::widgets::styled_text::{Signs, StyledSpan, Tone, width};
use crate::surface::terminal::widgets::wrap::{WrappedRow, cut};

/// Minimum and maximum rows for changes, if there is space beside the rows of the board.
const NEWS: (usize, usize) = (4, 8);

/// Rows beside those of the board and the changes: head, headings, a rule, the selected row, the keys.
const FRAME: usize = 5;

/// Below this width the head shows only the environment and the counts.
const NARROW: usize = 60;

/// From this width on the curve has twenty characters, otherwise ten.
const BROAD: usize = 120;

/// The rows of the screen.
pub fn view(model: &StatusModel, now: Timestamp, size: Size, letters: CharacterSet) -> Vec<WrappedRow> {
    let signs = letters.signs();
    let spare = size.rows.saturating_sub(FRAME + model.rows.len());
    let lines = model.news.len() + usize::from(model.blind.is_some());
    // Rows that changes do not need go to the board.
    let news = spare.clamp(NEWS.0, NEWS.1).min(size.rows.saturating_sub(FRAME + 1)).min(lines.max(spare));
    let room = size.rows.saturating_sub(FRAME + news);
    let mut screen = vec![head(model, now, size.columns, signs)];
    let (board, hidden) = table(model, now, size.columns, room, letters);
    screen.extend(board);
    screen.push(rule(model, hidden, size.columns, signs));
    screen.extend(news_rows(model, now, news, size.columns, signs));
    // The last two rows stay at the bottom.
    screen.resize(size.rows.saturating_sub(2).max(screen.len()), WrappedRow::default());
    screen.push(chosen(model, size.columns, signs));
    screen.push(keys(model, size.columns, letters));
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
    let (shop, environment) = &model.title;
    let mut spans = Vec::new();
    if columns >= NARROW {
        spans.push(StyledSpan::new(Tone::Plain, &format!("{shop} ")));
    }
    spans.push(StyledSpan::new(Tone::Strong, environment));
    for grade in HealthGrade::ALL {
        let many = count(&model.rows, grade);
        if many > 0 {
            let (sign, tone) = state_style(grade, signs);
            spans.push(StyledSpan::new(Tone::Plain, "  "));
            let word = if columns >= NARROW { format!(" {}", grade.code()) } else { String::new() };
            spans.push(StyledSpan::new(tone, &format!("{sign} {many}{word}")));
        }
    }
    edged(spans, StyledSpan::new(Tone::Faint, &now.format("%H:%M:%S UTC").to_string()), columns, signs)
}

/// The headings and as many rows as fit, scrolled to the selected one; and how many rows are hidden above and below.
fn table(
    model: &StatusModel,
    now: Timestamp,
    columns: usize,
    room: usize,
    letters: CharacterSet,
) -> (Vec<WrappedRow>, (usize, usize)) {
    let signs = letters.signs();
    let pointer = width(signs.pointer) + 1;
    let spark = if columns >= BROAD { 20 } else { 10 };
    let laid = Columns::of(&model.rows, Some(columns.saturating_sub(pointer)), spark, now, signs);
    let chosen = model.chosen();
    let top = (chosen + 1).saturating_sub(room);
    let mut rows = vec![shifted(StyledSpan::new(Tone::Plain, &" ".repeat(pointer)), laid.heading(), columns, signs)];
    for (at, row) in model.rows.iter().enumerate().skip(top).take(room) {
        let mark = if at == chosen { format!("{} ", signs.pointer) } else { " ".repeat(pointer) };
        let curve = curve(&model.samples(&row.name), laid.spark(), letters);
        rows.push(shifted(StyledSpan::new(Tone::Accent, &mark), laid.row(row, curve, now), columns, signs));
    }
    let below = model.rows.len().saturating_sub(top + room);
    (rows, (top, below))
}

fn shifted(mark: StyledSpan, row: WrappedRow, columns: usize, signs: &Signs) -> WrappedRow {
    fitted(std::iter::once(mark).chain(row.0).collect(), columns, signs)
}

fn rule(model: &StatusModel, (above, below): (usize, usize), columns: usize, signs: &Signs) -> WrappedRow {
    let mut words = vec![];
    if above > 0 {
        words.push(format!("{above} above"));
    }
    if below > 0 {
        let are_well = model.rows.iter().rev().take(below).all(|row| row.grade == HealthGrade::Up);
        words.push(format!("{below} more{}", if are_well { " up" } else { " below" }));
    }
    words.push(if model.news.is_empty() { "nothing has changed yet" } else { "what has changed" }.to_owned());
    let text = format!("{} {} ", signs.rule.repeat(2), words.join(&format!(" {} ", signs.dot)));
    let rest = signs.rule.repeat(columns.saturating_sub(width(&text)));
    fitted(vec![StyledSpan::new(Tone::Faint, &(text + &rest))], columns, signs)
}

fn news_rows(model: &StatusModel, now: Timestamp, room: usize, columns: usize, signs: &Signs) -> Vec<WrappedRow> {
    let trouble = model.blind.iter().map(|reason| {
        let (sign, tone) = state_style(HealthGrade::Unknown, signs);
        fitted(vec![StyledSpan::new(tone, &format!("{sign} {reason}"))], columns, signs)
    });
    let news = model.news.iter().map(|news| {
        let (sign, tone) = state_style(news.grade, signs);
        let when = match columns {
            0..NARROW => format!("{:>4} ", age(news.at, now)),
            _ => format!("{} {:>4} ago  ", news.at.format("%H:%M:%S"), age(news.at, now)),
        };
        let spans = vec![
            StyledSpan::new(Tone::Faint, &when),
            StyledSpan::new(tone, &format!("{sign} ")),
            StyledSpan::new(Tone::Strong, &news.name),
            StyledSpan::new(Tone::Plain, &format!(" {}", news.text)),
        ];
        fitted(spans, columns, signs)
    });
    trouble.chain(news).take(room).collect()
}

/// Facts of the selected row that have no column, or the message to the person.
fn chosen(model: &StatusModel, columns: usize, signs: &Signs) -> WrappedRow {
    if let Some(notice) = &model.notice {
        return fitted(vec![StyledSpan::new(Tone::Warn, notice)], columns, signs);
    }
    let Some(row) = model.row() else { return WrappedRow::default() };
    let mut facts = Vec::new();
    facts.extend(row.reason.clone());
    facts.extend(dependencies(row));
    facts.extend(match &row.unit {
        Sighting::Seen(unit) => Some(format!("{} {} ({})", unit.name, unit.active, unit.sub)),
        Sighting::Blind => Some("its unit cannot be seen".to_owned()),
        Sighting::None => None,
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
    let said: Vec<String> = all.iter().map(|(name, word)| format!("{name} {word}")).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn keys(model: &StatusModel, columns: usize, letters: CharacterSet) -> WrappedRow {
    let arrows = if letters == CharacterSet::Unicode { "↑↓" } else { "jk" };
    let keys: &[(&str, &str)] = match &model.offered {
        Some(_) => &[("enter", "start it"), ("any other key", "do not")],
        None => &[(arrows, "choose"), ("l", "logs"), ("r", "runbook"), ("q", "quit"), ("space", "ask now")],
    };
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, does) in keys {
        used += width(key) + width(does) + 3;
        // A key that does not fit completely is left out. The trailing two blanks need no space.
        if used > columns + 2 && !spans.is_empty() {
            break;
        }
        spans.push(StyledSpan::new(Tone::Accent, key));
        spans.push(StyledSpan::new(Tone::Faint, &format!(" {does}  ")));
    }
    fitted(spans, columns, letters.signs())
}
