//! The live region: the countdown, the running steps, the question and the keys.
//!
//! [`view`] is a pure function of the model, the time and the size, so screens are tested without a terminal.
//!
//! **Invariant:** the countdown and the keys are shown at every width and height; other parts are cut instead.

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

/// Maximum rows of the region, so that lines above it stay visible.
const MAX_ROWS: usize = 18;
/// Minimum rows of the region.
const MIN_ROWS: usize = 4;
/// How many running steps have their own row.
const RUNNING_ROWS: usize = 3;
/// How many output lines the output pane shows.
const OUTPUT_ROWS: usize = 8;

/// What the live region shows.
pub fn view(model: &Model, now: Timestamp, size: Size) -> Frame {
    let columns = size.columns.max(wrap::MIN_WIDTH);
    let Some(incident) = model.incident() else {
        return Frame::default();
    };
    let max_rows = size.rows.saturating_sub(1).clamp(MIN_ROWS, MAX_ROWS);
    let mut frame = Frame { rows: rule(model, incident, now, columns), cursor: None };
    let mut bottom = bottom(model, columns);
    bottom.rows.truncate(max_rows - frame.rows.len().min(max_rows - 1));
    let mut message = message_rows(model, columns);
    message.truncate(max_rows.saturating_sub(frame.rows.len() + bottom.rows.len()));
    let mut room = max_rows.saturating_sub(frame.rows.len() + bottom.rows.len() + message.len());
    let question = question::rows(model, incident, columns, room);
    room = room.saturating_sub(question.len());
    let running = running_rows(model, incident, now, columns, room);
    frame.rows.extend(running);
    frame.rows.extend(question);
    frame.rows.extend(message);
    frame.cursor = bottom.cursor.map(|(row, column)| (frame.rows.len() + row, column));
    frame.rows.extend(bottom.rows);
    frame
}

/// The first row: the incident on the left, the countdown on the right. If they do not fit, the countdown has its own row.
fn rule(model: &Model, incident: &Incident, now: Timestamp, columns: usize) -> Vec<WrappedRow> {
    let dot = format!(" {} ", model.signs.dot);
    let (id, severity, environment) = (incident.id.as_str(), incident.severity.to_string(), &incident.environment);
    let mut left_ends = vec![[id, &severity, environment].join(&dot)];
    let countdowns = countdown::all(&incident.deadlines, now);
    let right_ends = right_ends(&countdowns, &dot);
    let overhead = if columns >= WIDE { 9 } else { 7 };
    let narrowest = right_ends.last().map_or(0, |end| end.iter().map(|(_, text)| width(text)).sum());
    let spare = columns.saturating_sub(overhead + narrowest + width(id) + 4);
    if spare >= 3 {
        left_ends.push(format!("{id} {severity} {}", cut(environment, spare, model.signs)));
    }
    left_ends.push(format!("{id} {severity}"));
    left_ends.push(cut(id, columns.saturating_sub(overhead + narrowest).max(5), model.signs));
    for left in &left_ends {
        for right in &right_ends {
            let used: usize = overhead + width(left) + right.iter().map(|(_, text)| width(text)).sum::<usize>();
            if used <= columns {
                return vec![rule_row(model, left, right, columns)];
            }
        }
    }
    let mut rows = vec![rule_row(model, &cut(id, columns.saturating_sub(overhead), model.signs), &[], columns)];
    rows.extend(
        countdowns
            .first()
            .map(|countdown| wrap::rows(&StyledLine::new().with(countdown.tone, &countdown.short), columns).remove(0)),
    );
    rows
}

/// Candidates for the right end, longest first: all deadlines in the long form, all in the short form, then only the most
/// urgent one in the long and in the short form.
fn right_ends(countdowns: &[Countdown], dot: &str) -> Vec<Vec<(Tone, String)>> {
    let open: Vec<&Countdown> = countdowns.iter().filter(|countdown| countdown.open).collect();
    let shown = if open.is_empty() { countdowns.iter().take(2).collect() } else { open };
    let join = |form: &dyn Fn(&Countdown) -> String| {
        let mut spans: Vec<(Tone, String)> = Vec::new();
        for countdown in &shown {
            if !spans.is_empty() {
                spans.push((Tone::Faint, dot.to_owned()));
            }
            spans.push((countdown.tone, form(countdown)));
        }
        spans
    };
    let Some(first) = shown.first() else { return vec![Vec::new()] };
    vec![
        join(&|countdown| countdown.long.clone()),
        join(&|countdown| countdown.short.clone()),
        vec![(first.tone, first.long.clone())],
        vec![(first.tone, first.short.clone())],
    ]
}

/// A row with a text on the left and spans on the right, joined by a horizontal rule.
fn rule_row(model: &Model, left: &str, right: &[(Tone, String)], columns: usize) -> WrappedRow {
    let rule = model.signs.rule;
    let edge = if columns >= WIDE { 2 } else { 1 };
    let right_width: usize = right.iter().map(|(_, text)| width(text)).sum();
    let used = edge + 2 + width(left) + if right.is_empty() { 0 } else { right_width + 2 + edge };
    let mut row = vec![
        StyledSpan::new(Tone::Faint, &rule.repeat(edge)),
        StyledSpan::new(Tone::Strong, &format!(" {left} ")),
        StyledSpan::new(Tone::Faint, &rule.repeat(columns.saturating_sub(used))),
    ];
    if !right.is_empty() {
        row.push(StyledSpan::new(Tone::Plain, " "));
        row.extend(right.iter().map(|(tone, text)| StyledSpan::new(*tone, text)));
        row.push(StyledSpan::new(Tone::Faint, &format!(" {}", rule.repeat(edge))));
    }
    WrappedRow(row)
}

/// The rows of running steps, and of their output if its pane is open.
fn running_rows(model: &Model, incident: &Incident, now: Timestamp, columns: usize, room: usize) -> Vec<WrappedRow> {
    let running: Vec<(RunId, &StepKey, &StepState)> = running_steps(incident, now);
    let mut rows: Vec<WrappedRow> =
        running.iter().take(RUNNING_ROWS).map(|step| running_row(model, incident, *step, now, columns)).collect();
    if running.len() > RUNNING_ROWS {
        let more = format!("  and {} more running", running.len() - RUNNING_ROWS);
        rows.extend(at_most(&StyledLine::new().faint(&more), columns, 1, model.signs));
    }
    rows.truncate(room);
    if model.pane == Pane::Output {
        rows.extend(output_rows(model, &running, columns, room.saturating_sub(rows.len()).min(OUTPUT_ROWS)));
    }
    rows
}

/// The running steps: attempts, timers and scheduled retries.
fn running_steps(incident: &Incident, now: Timestamp) -> Vec<(RunId, &StepKey, &StepState)> {
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

fn running_row(
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
        _ => (Tone::Accent, signs.running, elapsed(state, now)),
    };
    let mut name = step_name::name(incident, run, key);
    if state.attempts > 1 {
        name.push_str(&format!(" {} attempt {}", signs.dot, state.attempts));
    }
    let room = columns.saturating_sub(width(&time) + 5);
    let line = StyledLine::new().plain(" ").with(tone, sign).plain(" ").plain(&cut(&name, room, signs));
    wrap::rows(&line.right(Tone::Plain, &time), columns).remove(0)
}

/// The time since the attempt began, and its limit: `0:12 of 5:00`.
fn elapsed(state: &StepState, now: Timestamp) -> String {
    let attempt = state.attempt.as_ref();
    let began_at = attempt.map_or(state.begun_at, |attempt| attempt.started_at);
    let limit = attempt.and_then(|attempt| attempt.deadline).map(|deadline| clock(deadline - began_at));
    clock(now - began_at) + &limit.map(|limit| format!(" of {limit}")).unwrap_or_default()
}

/// The last output lines of the running steps.
fn output_rows(
    model: &Model,
    running: &[(RunId, &StepKey, &StepState)],
    columns: usize,
    room: usize,
) -> Vec<WrappedRow> {
    let bar = format!("   {} ", model.signs.bar);
    let lines: Vec<StyledLine> = running
        .iter()
        .flat_map(|(run, key, _)| model.output(*run, key))
        .map(|text| StyledLine::new().faint(&bar).plain(text).hanging(&bar))
        .collect();
    if lines.is_empty() {
        let hint = match &model.holder {
            _ if running.is_empty() => return Vec::new(),
            Some(_) => "output is shown in the terminal that runs it",
            None => "no output yet",
        };
        return at_most(&StyledLine::new().faint(&format!("{bar}{hint}")), columns, room.min(1), model.signs);
    }
    let mut rows: Vec<WrappedRow> =
        lines.iter().rev().take(room).rev().flat_map(|line| wrap::rows(line, columns)).collect();
    rows.drain(..rows.len().saturating_sub(room));
    rows
}

fn message_rows(model: &Model, columns: usize) -> Vec<WrappedRow> {
    let holder = model.holder.as_ref().map(|holder| {
        let text = format!(" {} watching: {holder} runs it; you can answer here", model.signs.person);
        StyledLine::new().faint(&text).indent(3)
    });
    let message = model.message.as_ref().map(|(tone, text)| {
        StyledLine::new().plain(" ").with(*tone, model.signs.warning).plain(" ").with(*tone, text).indent(3)
    });
    message.or(holder).map(|line| at_most(&line, columns, 3, model.signs)).unwrap_or_default()
}

/// The last rows: the line that the person is typing, if any, then the keys.
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

/// The keys, in one row on a wide terminal and two on a narrow one. Less important keys are left out if they do not fit; the
/// help has them.
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
    let max_rows = if columns >= WIDE { 1 } else { 2 };
    loop {
        let items: Vec<&(&str, String)> = first.iter().chain(&others).chain(&last).collect();
        let rows = key_rows(&items, model, columns);
        if rows.len() <= max_rows || others.pop().is_none() {
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
        let row = rows.last_mut().expect("the match has pushed a row if there was none");
        row.0.push(StyledSpan::new(Tone::Accent, key));
        row.0.push(StyledSpan::new(Tone::Faint, &format!(" {does}")));
    }
    rows
}
