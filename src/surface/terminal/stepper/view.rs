//! The live region: what is being done, the countdown, the question, the keys.
//!
//! A pure function from the model, the instant and the size to rows, so that every screen is tested without a terminal.
//!
//! **Invariant:** the countdown and the keys are on every screen, however narrow or low; whatever has to give way,
//! it is something else.

use chrono::TimeDelta;

use super::model::{Model, Pane};
use super::{question, step_name};
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::event::Gate;
use crate::domain::incident::step::{StepState, StepStatus};
use crate::surface::terminal::widgets::countdown;
use crate::surface::terminal::widgets::countdown::{Countdown, clock};
use crate::surface::terminal::widgets::frame::{Frame, Size};
use crate::surface::terminal::widgets::styled_text::{StyledLine, StyledSpan, Tone, width};
use crate::surface::terminal::widgets::wrap;
use crate::surface::terminal::widgets::wrap::{WIDE, WrappedRow, at_most, cut};

/// Maximum rows of the region, so that the lines above it stay readable.
const HIGHEST: usize = 18;
/// The smallest height for which the region is laid out.
const LOWEST: usize = 4;
/// How many running steps are shown one by one.
const AT_WORK: usize = 3;
/// How many printed lines are shown on demand.
const PRINTED: usize = 8;

/// What the live region shows.
pub fn view(model: &Model, now: Timestamp, size: Size) -> Frame {
    let columns = size.columns.max(wrap::NARROWEST);
    let Some(incident) = model.incident() else {
        return Frame::default();
    };
    let highest = size.rows.saturating_sub(1).clamp(LOWEST, HIGHEST);
    let mut frame = Frame { rows: rule(model, incident, now, columns), cursor: None };
    let mut bottom = bottom(model, columns);
    bottom.rows.truncate(highest - frame.rows.len().min(highest - 1));
    let mut said = message_rows(model, columns);
    said.truncate(highest.saturating_sub(frame.rows.len() + bottom.rows.len()));
    let mut room = highest.saturating_sub(frame.rows.len() + bottom.rows.len() + said.len());
    let asked = question::rows(model, incident, columns, room);
    room = room.saturating_sub(asked.len());
    let work = at_work(model, incident, now, columns, room);
    frame.rows.extend(work);
    frame.rows.extend(asked);
    frame.rows.extend(said);
    frame.cursor = bottom.cursor.map(|(row, column)| (frame.rows.len() + row, column));
    frame.rows.extend(bottom.rows);
    frame
}

/// The first row: the incident at the left, the countdown at the right. Two rows if one is too narrow.
fn rule(model: &Model, incident: &Incident, now: Timestamp, columns: usize) -> Vec<WrappedRow> {
    let dot = format!(" {} ", model.signs.dot);
    let (id, severity, environment) = (incident.id.as_str(), incident.severity.to_string(), &incident.environment);
    let mut left = vec![[id, &severity, environment].join(&dot)];
    let downs = countdown::all(&incident.deadlines, now);
    let ends = right_ends(&downs, &dot);
    let overhead = if columns >= WIDE { 9 } else { 7 };
    let narrowest = ends.last().map_or(0, |end| end.iter().map(|(_, text)| width(text)).sum());
    let spare = columns.saturating_sub(overhead + narrowest + width(id) + 4);
    if spare >= 3 {
        left.push(format!("{id} {severity} {}", cut(environment, spare, model.signs)));
    }
    left.push(format!("{id} {severity}"));
    left.push(cut(id, columns.saturating_sub(overhead + narrowest).max(5), model.signs));
    for left in &left {
        for end in &ends {
            let taken: usize = overhead + width(left) + end.iter().map(|(_, text)| width(text)).sum::<usize>();
            if taken <= columns {
                return vec![ruled(model, left, end, columns)];
            }
        }
    }
    let mut rows = vec![ruled(model, &cut(id, columns.saturating_sub(overhead), model.signs), &[], columns)];
    rows.extend(
        downs.first().map(|down| wrap::rows(&StyledLine::new().with(down.tone, &down.short), columns).remove(0)),
    );
    rows
}

/// Candidates for the right end, the longest first: all deadlines in the long form, all in the short form, then the
/// most urgent one.
fn right_ends(downs: &[Countdown], dot: &str) -> Vec<Vec<(Tone, String)>> {
    let open: Vec<&Countdown> = downs.iter().filter(|down| down.open).collect();
    let shown = if open.is_empty() { downs.iter().take(2).collect() } else { open };
    let join = |pick: &dyn Fn(&Countdown) -> String| {
        let mut spans: Vec<(Tone, String)> = Vec::new();
        for down in &shown {
            if !spans.is_empty() {
                spans.push((Tone::Faint, dot.to_owned()));
            }
            spans.push((down.tone, pick(down)));
        }
        spans
    };
    let Some(first) = shown.first() else { return vec![Vec::new()] };
    vec![
        join(&|down| down.long.clone()),
        join(&|down| down.short.clone()),
        vec![(first.tone, first.long.clone())],
        vec![(first.tone, first.short.clone())],
    ]
}

fn ruled(model: &Model, left: &str, right: &[(Tone, String)], columns: usize) -> WrappedRow {
    let rule = model.signs.rule;
    let edge = if columns >= WIDE { 2 } else { 1 };
    let right_width: usize = right.iter().map(|(_, text)| width(text)).sum();
    let taken = edge + 2 + width(left) + if right.is_empty() { 0 } else { right_width + 2 + edge };
    let mut row = vec![
        StyledSpan::new(Tone::Faint, &rule.repeat(edge)),
        StyledSpan::new(Tone::Strong, &format!(" {left} ")),
        StyledSpan::new(Tone::Faint, &rule.repeat(columns.saturating_sub(taken))),
    ];
    if !right.is_empty() {
        row.push(StyledSpan::new(Tone::Plain, " "));
        row.extend(right.iter().map(|(tone, text)| StyledSpan::new(*tone, text)));
        row.push(StyledSpan::new(Tone::Faint, &format!(" {}", rule.repeat(edge))));
    }
    WrappedRow(row)
}

/// The running steps, and their output if the person asked for it.
fn at_work(model: &Model, incident: &Incident, now: Timestamp, columns: usize, room: usize) -> Vec<WrappedRow> {
    let working: Vec<(RunId, &StepKey, &StepState)> = working(incident, now);
    let mut rows: Vec<WrappedRow> =
        working.iter().take(AT_WORK).map(|one| working_line(model, incident, *one, now, columns)).collect();
    if working.len() > AT_WORK {
        let more = format!("  and {} more at work", working.len() - AT_WORK);
        rows.extend(at_most(&StyledLine::new().faint(&more), columns, 1, model.signs));
    }
    rows.truncate(room);
    if model.pane == Pane::Output {
        rows.extend(printed(model, &working, columns, room.saturating_sub(rows.len()).min(PRINTED)));
    }
    rows
}

/// Running steps: attempts, timers, and scheduled retries.
fn working(incident: &Incident, now: Timestamp) -> Vec<(RunId, &StepKey, &StepState)> {
    let steps = incident
        .live_runs()
        .flat_map(|run| run.order.iter().filter_map(move |key| Some((run.id, key, run.state(key)?))));
    steps
        .filter(|(_, _, state)| match &state.status {
            StepStatus::Running | StepStatus::Waiting(Gate::Timer { .. }) => true,
            StepStatus::Ready { at } => *at > now,
            _ => false,
        })
        .collect()
}

fn working_line(
    model: &Model,
    incident: &Incident,
    (run, key, state): (RunId, &StepKey, &StepState),
    now: Timestamp,
    columns: usize,
) -> WrappedRow {
    let signs = model.signs;
    let left = |until: Timestamp| clock(until - now + TimeDelta::milliseconds(999));
    let (tone, sign, time) = match &state.status {
        StepStatus::Waiting(Gate::Timer { until }) => (Tone::Faint, signs.timer, format!("{} left", left(*until))),
        StepStatus::Ready { at } => (Tone::Warn, signs.again, format!("again in {}", left(*at))),
        _ => (Tone::Accent, signs.running, at_work_for(state, now)),
    };
    let mut name = step_name::name(incident, run, key);
    if state.attempts > 1 {
        name.push_str(&format!(" {} attempt {}", signs.dot, state.attempts));
    }
    let room = columns.saturating_sub(width(&time) + 5);
    let line = StyledLine::new().plain(" ").with(tone, sign).plain(" ").plain(&cut(&name, room, signs));
    wrap::rows(&line.right(Tone::Plain, &time), columns).remove(0)
}

/// `0:12 of 5:00`: the time since the attempt began, and its limit.
fn at_work_for(state: &StepState, now: Timestamp) -> String {
    let attempt = state.attempt.as_ref();
    let begun = attempt.map_or(state.begun_at, |attempt| attempt.started_at);
    let within = attempt.and_then(|attempt| attempt.deadline).map(|deadline| clock(deadline - begun));
    clock(now - begun) + &within.map(|within| format!(" of {within}")).unwrap_or_default()
}

fn printed(model: &Model, working: &[(RunId, &StepKey, &StepState)], columns: usize, room: usize) -> Vec<WrappedRow> {
    let bar = format!("   {} ", model.signs.bar);
    let lines: Vec<StyledLine> = working
        .iter()
        .flat_map(|(run, key, _)| model.printed(*run, key))
        .map(|text| StyledLine::new().faint(&bar).plain(text).hanging(&bar))
        .collect();
    if lines.is_empty() {
        let why = match &model.holder {
            _ if working.is_empty() => return Vec::new(),
            Some(_) => "what it prints is seen only where it is driven",
            None => "nothing printed yet",
        };
        return at_most(&StyledLine::new().faint(&format!("{bar}{why}")), columns, room.min(1), model.signs);
    }
    let mut rows: Vec<WrappedRow> =
        lines.iter().rev().take(room).rev().flat_map(|line| wrap::rows(line, columns)).collect();
    rows.drain(..rows.len().saturating_sub(room));
    rows
}

fn message_rows(model: &Model, columns: usize) -> Vec<WrappedRow> {
    let holder = model.holder.as_ref().map(|holder| {
        let text = format!(" {} watching: {holder} drives it; what you answer here counts", model.signs.person);
        StyledLine::new().faint(&text).indent(3)
    });
    let said = model.said.as_ref().map(|(tone, text)| {
        StyledLine::new().plain(" ").with(*tone, model.signs.warning).plain(" ").with(*tone, text).indent(3)
    });
    said.or(holder).map(|line| at_most(&line, columns, 3, model.signs)).unwrap_or_default()
}

/// The last rows: the typed line, if any, then the keys.
fn bottom(model: &Model, columns: usize) -> Frame {
    let mut frame = Frame::default();
    if let Some(typing) = &model.typing {
        let label = format!(" {}", typing.purpose.label());
        let room = columns.saturating_sub(width(&label));
        let (text, column) = typing.editor.window(room);
        let mut row = vec![StyledSpan::new(Tone::Accent, &label)];
        match typing.purpose.fallback() {
            Some(fallback) if text.is_empty() => {
                row.push(StyledSpan::new(Tone::Faint, &cut(fallback, room, model.signs)))
            }
            _ => row.push(StyledSpan::new(Tone::Plain, &text)),
        }
        frame.rows.push(WrappedRow(row));
        frame.cursor = Some((0, width(&label) + column));
    }
    frame.rows.extend(keys(model, columns));
    frame
}

/// The keys in at most two rows; if they do not fit, those listed under `?` are left out.
fn keys(model: &Model, columns: usize) -> Vec<WrappedRow> {
    let (mut first, mut others) = (Vec::new(), Vec::new());
    let key = |key: &'static str, does: &str| (key, does.to_owned());
    if model.leaving {
        first.push(key("ctrl-c", "leave at once"));
    } else if model.typing.is_some() {
        first.extend([key("enter", "send"), key("esc", "back"), key("ctrl-c", "detach")]);
    } else {
        first.extend(model.prompt.as_ref().map(super::prompt::Prompt::keys).unwrap_or_default());
        if model.gates().len() > 1 {
            first.push(key("tab", "next"));
        }
        others.push(key("o", "output"));
        others.push(key("w", "note"));
        if model.may_acknowledge() {
            others.push(key("a", "ack"));
        }
        if !matches!(model.prompt.as_ref().map(|prompt| &prompt.gate), Some(Gate::Failure { .. })) {
            others.push(key("x", "stop"));
        }
    }
    let last =
        if model.leaving || model.typing.is_some() { vec![] } else { vec![key("?", "help"), key("q", "detach")] };
    let allowed = if columns >= WIDE { 1 } else { 2 };
    loop {
        let items: Vec<&(&str, String)> = first.iter().chain(&others).chain(&last).collect();
        let rows = key_rows(&items, model, columns);
        if rows.len() <= allowed || others.pop().is_none() {
            return rows;
        }
    }
}

fn key_rows(items: &[&(&str, String)], model: &Model, columns: usize) -> Vec<WrappedRow> {
    let dot = format!(" {} ", model.signs.dot);
    let mut rows: Vec<WrappedRow> = Vec::new();
    for (key, does) in items {
        let wide = width(key) + 1 + width(does);
        match rows.last_mut() {
            Some(row) if row.width() + width(&dot) + wide <= columns => row.0.push(StyledSpan::new(Tone::Faint, &dot)),
            _ => rows.push(WrappedRow(vec![StyledSpan::new(Tone::Plain, " ")])),
        }
        let row = rows.last_mut().expect("a row was pushed where there was none");
        row.0.push(StyledSpan::new(Tone::Accent, key));
        row.0.push(StyledSpan::new(Tone::Faint, &format!(" {does}")));
    }
    rows
}
