//! Lays out a row of the status board as cells. A narrow terminal shows only the name and the problem.
//!
//! **Invariant:** a row is one line. A state is shown by a sign or a label, never by a colour alone.

use crate::domain::core::time::{Span as Length, Timestamp};
use crate::domain::host::status::{HealthGrade, StatusRow as Subject};
use crate::surface::terminal::widgets::styled_text::{Signs, StyledSpan, Tone, width};
use crate::surface::terminal::widgets::wrap::{WrappedRow, cut};

/// From this width on every cell has its own column.
const WIDE: usize = 100;

/// Below this width only the sign, the name, and the problem or the latency are shown.
const NARROW: usize = 60;

/// The minimum width of the detail column. With less space, a longer detail is left out.
const MIN_DETAIL_WIDTH: usize = 12;

/// The width of the longest state with its sign.
const STATE_WIDTH: usize = 10;

/// How many columns are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Breadth {
    Narrow,
    Medium,
    Wide,
}

/// The layout of rows.
#[derive(Debug, Clone)]
pub struct Columns {
    breadth: Breadth,
    /// The width of the terminal; none if the output is not a terminal.
    room: Option<usize>,
    widths: Vec<usize>,
    /// The width of the latency curve.
    spark: usize,
    signs: &'static Signs,
}

#[derive(Debug, Clone)]
struct Cell {
    tone: Tone,
    text: String,
    /// Numbers are right-aligned.
    is_number: bool,
}

impl Cell {
    fn text(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into(), is_number: false }
    }

    fn number(text: impl Into<String>) -> Self {
        Self { tone: Tone::Plain, text: text.into(), is_number: true }
    }
}

impl Columns {
    /// The layout for these rows, with a latency curve of `spark` characters. Without `room`, lines have any length.
    pub fn of(rows: &[Subject], room: Option<usize>, spark: usize, now: Timestamp, signs: &'static Signs) -> Self {
        let breadth = match room {
            Some(room) if room < NARROW => Breadth::Narrow,
            Some(room) if room < WIDE => Breadth::Medium,
            _ => Breadth::Wide,
        };
        let spark = if breadth == Breadth::Narrow { 0 } else { spark };
        let mut columns = Self { breadth, room, widths: Vec::new(), spark, signs };
        let all = std::iter::once(columns.headings()).chain(rows.iter().map(|row| columns.cells(row, now)));
        let mut widths: Vec<usize> = Vec::new();
        for cells in all {
            widths.resize(cells.len(), 0);
            for (widest, cell) in widths.iter_mut().zip(&cells) {
                *widest = (*widest).max(width(&cell.text));
            }
        }
        if let Some(state) = widths.first_mut().filter(|_| breadth != Breadth::Narrow && room.is_some()) {
            // The width does not depend on the present states, so that columns do not move when a state changes.
            *state = (*state).max(STATE_WIDTH);
        }
        columns.widths = widths;
        columns
    }

    /// The headings.
    pub fn heading(&self) -> WrappedRow {
        let curve = format!("{:width$}", if self.spark > 0 { "LATELY" } else { "" }, width = self.spark);
        self.line(self.headings(), vec![StyledSpan::new(Tone::Faint, &curve)], Cell::text(Tone::Faint, "DETAIL"))
    }

    /// A row with its latency curve.
    pub fn row(&self, row: &Subject, curve: Vec<StyledSpan>, now: Timestamp) -> WrappedRow {
        self.line(self.cells(row, now), curve, self.detail(row))
    }

    /// The width of the curve.
    pub fn spark(&self) -> usize {
        self.spark
    }

    fn headings(&self) -> Vec<Cell> {
        let headings: &[&str] = match self.breadth {
            Breadth::Narrow => &["", "NAME"],
            Breadth::Medium => &["STATE", "NAME", "SINCE", "MEMORY", "LATENCY"],
            Breadth::Wide => &["STATE", "NAME", "UNIT", "SINCE", "RESTARTS", "MEMORY", "LATENCY"],
        };
        let is_number = |heading: &&str| ["SINCE", "RESTARTS", "MEMORY", "LATENCY"].contains(heading);
        headings
            .iter()
            .map(|heading| Cell { is_number: is_number(heading), ..Cell::text(Tone::Faint, *heading) })
            .collect()
    }

    fn cells(&self, row: &Subject, now: Timestamp) -> Vec<Cell> {
        let (sign, tone) = state_style(row.grade, self.signs);
        let name = Cell::text(if row.grade == HealthGrade::Up { Tone::Plain } else { Tone::Strong }, row.name.as_str());
        if self.breadth == Breadth::Narrow {
            return vec![Cell::text(tone, sign), name];
        }
        let unit = row.seen();
        let none = || self.signs.skipped.to_owned();
        let since = unit.and_then(|unit| unit.since).map_or_else(none, |since| age(since, now));
        let memory = unit.and_then(|unit| unit.memory).map_or_else(none, memory);
        let latency = row.latency_ms().map_or_else(none, latency);
        let mut cells = vec![Cell::text(tone, format!("{sign} {}", row.grade.code())), name];
        if self.breadth == Breadth::Wide {
            let state = unit.map_or_else(none, |unit| unit.code().to_owned());
            let restarts = unit.and_then(|unit| unit.restarts).map_or_else(none, |count| count.to_string());
            cells.push(Cell::text(if unit.is_some_and(|unit| !unit.is_up) { tone } else { Tone::Plain }, state));
            cells.extend([Cell::number(since), Cell::number(restarts)]);
        } else {
            cells.push(Cell::number(since));
        }
        cells.extend([Cell::number(memory), Cell::number(latency)]);
        cells
    }

    /// The facts that have no column.
    fn detail(&self, row: &Subject) -> Cell {
        let mut text = row.reason.clone().unwrap_or_else(|| healthy_detail(row, self.breadth));
        let restarts = row.seen().and_then(|unit| unit.restarts).filter(|count| *count > 0);
        match self.breadth {
            Breadth::Narrow if let Some(took) = row.latency_ms().filter(|_| row.reason.is_none()) => {
                text = format!("{text}, {}", latency(took));
            }
            Breadth::Medium if let Some(count) = restarts => {
                text.push_str(&format!(", {count} restart{}", if count == 1 { "" } else { "s" }));
            }
            Breadth::Narrow | Breadth::Medium | Breadth::Wide => {}
        }
        let tone = match row.grade {
            HealthGrade::Up if row.reason.is_none() => Tone::Faint,
            HealthGrade::Up => Tone::Warn,
            grade => state_style(grade, self.signs).1,
        };
        Cell::text(tone, text)
    }

    fn line(&self, cells: Vec<Cell>, curve: Vec<StyledSpan>, detail: Cell) -> WrappedRow {
        let mut spans = Vec::new();
        let mut used = 0;
        for (cell, &wide) in cells.into_iter().zip(&self.widths) {
            let text = cut(&cell.text, self.room.map_or(wide, |room| wide.min(room / 2)), self.signs);
            let gap = " ".repeat(wide.saturating_sub(width(&text)));
            let text = if cell.is_number { format!("{gap}{text} ") } else { format!("{text}{gap} ") };
            used += width(&text);
            spans.push(StyledSpan::new(cell.tone, &text));
        }
        if self.spark > 0 {
            spans.extend(curve);
            spans.push(StyledSpan::new(Tone::Plain, " "));
            used += self.spark + 1;
        }
        // A second blank, because the column before is right-aligned.
        spans.push(StyledSpan::new(Tone::Plain, " "));
        let rest = self.room.map_or(usize::MAX, |room| room.saturating_sub(used + 1));
        if rest >= MIN_DETAIL_WIDTH.min(width(&detail.text)) {
            spans.push(StyledSpan::new(detail.tone, &cut(&detail.text, rest, self.signs)));
        }
        WrappedRow(spans)
    }
}

/// The sign and the tone of a grade.
pub fn state_style(grade: HealthGrade, signs: &Signs) -> (&'static str, Tone) {
    match grade {
        HealthGrade::Down => (signs.failed, Tone::Bad),
        HealthGrade::Degraded => (signs.warning, Tone::Warn),
        HealthGrade::Unknown => (signs.question, Tone::Warn),
        HealthGrade::Up => (signs.done, Tone::Good),
    }
}

/// The detail of a healthy subject.
fn healthy_detail(row: &Subject, breadth: Breadth) -> String {
    let unit = row.seen().map(|unit| unit.code()).filter(|_| breadth != Breadth::Wide);
    let ready = row.health.as_ref().and_then(|health| health.ready).filter(|ready| *ready).map(|_| "ready");
    unit.into_iter().chain(ready).collect::<Vec<_>>().join(", ")
}

/// How long ago, in the largest unit: `40s`, `12m`, `3h`, `9d`.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = Length::between(since, now).0.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Bytes in at most five characters: `84M`, `1.2G`.
fn memory(bytes: u64) -> String {
    let (mut size, mut unit) = (bytes as f64, "B");
    for larger in ["K", "M", "G", "T"] {
        if size < 1000.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if size < 10.0 && unit != "B" { format!("{size:.1}{unit}") } else { format!("{size:.0}{unit}") }
}

/// A latency: `<1ms`, `340ms`, `12s`.
pub fn latency(milliseconds: u64) -> String {
    match milliseconds {
        0 => "<1ms".to_owned(),
        1..10_000 => format!("{milliseconds}ms"),
        _ => format!("{}s", milliseconds / 1000),
    }
}
