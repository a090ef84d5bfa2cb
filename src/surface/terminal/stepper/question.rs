//! The question in the live region, or the help in its place.

use super::model::{Model, Pane};
use super::prompt::Prompt;
use super::step_name;
use crate::domain::core::effect::EffectClass;
use crate::domain::core::id::StepPart;
use crate::domain::incident::Incident;
use crate::domain::incident::event::Gate;
use crate::domain::incident::plan::PlannedChange;
use crate::surface::terminal::widgets::styled_text::{Signs, StyledLine, Tone};
use crate::surface::terminal::widgets::wrap;
use crate::surface::terminal::widgets::wrap::{WIDE, WrappedRow, at_most};

/// The minimum number of choices shown if they do not all fit.
const MIN_CHOICES: usize = 3;

/// The rows of the question or the help, at most `room`.
pub fn rows(model: &Model, incident: &Incident, columns: usize, room: usize) -> Vec<WrappedRow> {
    if model.leaving {
        let text = " detaching: running steps are being stopped and recorded";
        return at_most(&StyledLine::new().with(Tone::Warn, text).indent(1), columns, room.max(1), model.signs);
    }
    if model.pane == Pane::Help {
        return help(columns, room);
    }
    let Some(prompt) = &model.prompt else {
        return Vec::new();
    };
    let question = QuestionView { model, incident, prompt, columns };
    // The rows per part are limited further until the whole question fits.
    let mut best = Vec::new();
    for limit in [6, 4, 3, 2, 1] {
        best = question.rows(limit, room);
        if best.len() <= room {
            return best;
        }
    }
    best.truncate(room);
    best
}

/// Lays out the question on the screen.
struct QuestionView<'a> {
    model: &'a Model,
    incident: &'a Incident,
    prompt: &'a Prompt,
    columns: usize,
}

impl QuestionView<'_> {
    /// The rows of the question, at most `limit` per part. `room` limits the choices.
    fn rows(&self, limit: usize, room: usize) -> Vec<WrappedRow> {
        let lines = match &self.prompt.gate {
            Gate::Ask { prompt, choices, suggest, many } => {
                let mut rows = self.cut(&[self.head(Tone::Accent, self.signs().question, prompt)], limit);
                let free = room.saturating_sub(rows.len()).max(MIN_CHOICES);
                rows.extend(self.choices(choices, suggest.as_deref(), *many, free));
                return rows;
            }
            Gate::Manual { instruction } => self.manual(instruction),
            Gate::Approve { by, change, count, given, .. } => {
                let mut lines = self.change(by, change);
                if *count > 1 {
                    let given = if given.is_empty() { "nobody yet".to_owned() } else { given.join(", ") };
                    lines.push(self.fact("agreed", &format!("{given} (of {count})"), Tone::Plain));
                }
                lines
            }
            Gate::Failure { error } => vec![
                self.head(Tone::Bad, self.signs().failed, &format!("{} failed: what now?", self.name())),
                self.fact("why", error, Tone::Plain),
            ],
            Gate::Unclear { detail } => vec![
                self.head(Tone::Bad, self.signs().warning, &format!("{}: did it happen?", self.name())),
                self.fact("known", detail, Tone::Plain),
            ],
            Gate::Timer { .. } => Vec::new(),
        };
        self.cut(&lines, limit)
    }

    fn cut(&self, lines: &[StyledLine], limit: usize) -> Vec<WrappedRow> {
        lines.iter().flat_map(|line| at_most(line, self.columns, limit, self.signs())).collect()
    }

    fn head(&self, tone: Tone, sign: &str, text: &str) -> StyledLine {
        let line = StyledLine::new().plain(" ").with(tone, sign).plain(" ").with(Tone::Strong, text).indent(3);
        let gates = self.model.gates();
        let position =
            gates.iter().position(|(run, key)| (*run, key) == (self.prompt.target.run, &self.prompt.target.step));
        match position.filter(|_| gates.len() > 1) {
            Some(position) => line.right(Tone::Faint, &format!("{} of {}", position + 1, gates.len())),
            None => line,
        }
    }

    /// The facts for an approval: what, where, why, how to undo, and who may approve.
    fn change(&self, by: &[String], change: &PlannedChange) -> Vec<StyledLine> {
        let mut head = self.head(Tone::Warn, self.signs().change, &self.name());
        if head.right.is_none() {
            head = head.right(Tone::Faint, &self.effect());
        }
        let mut lines = vec![head, self.fact("what", &change.what, Tone::Strong)];
        if !change.place.is_empty() {
            lines.push(self.fact("where", &change.place, Tone::Plain));
        }
        if let Some(why) = &change.why {
            lines.push(self.fact("why", why, Tone::Plain));
        }
        match &change.undo {
            Some(undo) => lines.push(self.fact("undo", undo, Tone::Plain)),
            // In step mode a read-only step asks too; it needs no undo.
            None if self.effect_class() == Some(EffectClass::Read) => {}
            None => lines.push(self.fact("undo", "no way back is known", Tone::Warn)),
        }
        if !by.is_empty() {
            lines.push(self.approvers(by));
        }
        lines
    }

    fn effect_class(&self) -> Option<EffectClass> {
        let run = self.incident.run(self.prompt.target.run);
        let step = run.and_then(|run| run.runbook.step(&self.prompt.target.step.id))?;
        Some(match (&step.undo, self.prompt.target.step.part) {
            (Some(undo), StepPart::Undo) => undo.effect,
            _ => step.effect(),
        })
    }

    fn effect(&self) -> String {
        match self.effect_class() {
            Some(effect) if effect.changes() && self.columns >= WIDE => format!("a change, {effect}"),
            Some(effect) => effect.to_string(),
            None => String::new(),
        }
    }

    /// Who may approve, and whether this person is one of them.
    fn approvers(&self, by: &[String]) -> StyledLine {
        let estate = self.incident.run(self.prompt.target.run).map(|run| &run.estate);
        let roles: Vec<String> = by
            .iter()
            .map(|role| {
                let people = estate.and_then(|estate| estate.roles.get(role)).map(|role| role.people.join(", "));
                match people.filter(|people| !people.is_empty()) {
                    Some(people) => format!("{role} ({people})"),
                    None => role.clone(),
                }
            })
            .collect();
        // Only a hint: the permission depends on the verified identity, not on the name.
        let person = &self.model.person;
        let includes_person = |one: &String| match estate.and_then(|estate| estate.roles.get(one)) {
            Some(role) => role.people.is_empty() || role.people.contains(person),
            None => one == person,
        };
        let is_allowed = estate.is_none() || by.iter().any(includes_person);
        let line = self.fact("who", &roles.join(" or "), Tone::Plain);
        if is_allowed { line } else { line.with(Tone::Warn, &format!(" {} not {person}", self.signs().dot)) }
    }

    fn manual(&self, instruction: &str) -> Vec<StyledLine> {
        let mut lines = vec![self.head(Tone::Accent, self.signs().change, &format!("By hand: {}", self.name()))];
        if instruction != self.name() {
            lines.extend(instruction.lines().map(|line| StyledLine::new().plain("   ").plain(line).indent(3)));
        }
        lines
    }

    fn fact(&self, label: &str, text: &str, tone: Tone) -> StyledLine {
        StyledLine::new().faint(&format!("   {label:<6} ")).with(tone, text).indent(10)
    }

    /// The choices, scrolled so that the selected one is visible.
    fn choices(&self, choices: &[String], suggest: Option<&str>, many: bool, room: usize) -> Vec<WrappedRow> {
        let first = if choices.len() <= room { 0 } else { self.prompt.chosen.saturating_sub(room - 1) };
        let shown = choices.iter().enumerate().skip(first).take(room);
        let mut rows: Vec<WrappedRow> = shown
            .flat_map(|(at, choice)| at_most(&self.choice(at, choice, suggest, many), self.columns, 1, self.signs()))
            .collect();
        if rows.is_empty() {
            let hint = suggest.map_or_else(
                || "   type any text".to_owned(),
                |suggest| format!("   suggested: {suggest}; enter takes it"),
            );
            rows = wrap::rows(&StyledLine::new().faint(&hint).indent(3), self.columns);
        }
        rows
    }

    fn choice(&self, at: usize, choice: &str, suggest: Option<&str>, many: bool) -> StyledLine {
        let is_chosen = at == self.prompt.chosen;
        let pointer = if is_chosen { self.signs().pointer } else { " " };
        let number = if at < 9 { (at + 1).to_string() } else { " ".to_owned() };
        let mut line =
            StyledLine::new().with(Tone::Accent, &format!(" {pointer} ")).with(Tone::Accent, &number).plain(" ");
        if many {
            let ticked = self.prompt.ticked.contains(&at);
            line = line.plain(if ticked { self.signs().ticked } else { self.signs().unticked }).plain(" ");
        }
        line = line.with(if is_chosen { Tone::Strong } else { Tone::Plain }, choice);
        if suggest == Some(choice) {
            line = line.faint(&format!(" {} suggested", self.signs().dot));
        }
        line
    }

    fn name(&self) -> String {
        step_name::name(self.incident, self.prompt.target.run, &self.prompt.target.step)
    }

    fn signs(&self) -> &'static Signs {
        self.model.signs
    }
}

fn help(columns: usize, room: usize) -> Vec<WrappedRow> {
    const KEYS: &[(&str, &str)] = &[
        ("enter", "take the choice, agree, say it is done"),
        ("1-9", "choose; arrows move"),
        ("y n s", "do it, deny with a reason, skip"),
        ("r h", "retry; it happened"),
        ("tab", "the next question"),
        ("o", "what the step at work prints"),
        ("w", "write a note into the log"),
        ("a", "acknowledge the incident"),
        ("x", "stop the run"),
        ("q", "detach; nothing is lost (or ctrl-c)"),
    ];
    let lines = KEYS
        .iter()
        .map(|(key, does)| StyledLine::new().with(Tone::Accent, &format!("   {key:<6} ")).plain(does).indent(10));
    let mut rows = wrap::all(&lines.collect::<Vec<_>>(), columns);
    rows.truncate(room);
    rows
}
