//! Tables of events: every `match` that names events by family has no arm for any other event.
//!
//! Without such an arm, the compiler reports a table that lacks an event. Clippy finds `_` only in files that enable its
//! lint; this rule reads every `match`, also of tuples.

use crate::source::{Source, Token};

/// The families of `src/domain/incident/event.rs`.
pub const FAMILIES: [&str; 7] =
    ["IncidentEvent", "AlertEvent", "DeadlineEvent", "RoleEvent", "MessageEvent", "RunEvent", "StepEvent"];

/// The lint that a file with a table must enable.
const DENIED: &str = "#![deny(clippy::wildcard_enum_match_arm)]";

/// Tables with an arm for any other event, and files with a table and without the lint.
pub fn open_tables(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let tables: Vec<Table<'_>> = tables(file).collect();
        for arm in tables.iter().flat_map(|table| &table.arms).filter(|arm| arm.is_catch_all()) {
            violations.push(format!("{}:{}: an arm for any other event; name the events", file.file, arm.line()));
        }
        if !tables.is_empty() && !file.text.contains(DENIED) {
            violations.push(format!("{}:1: a table of events without `{DENIED}`", file.file));
        }
    }
    violations
}

/// A `match` over events.
#[derive(Debug)]
pub struct Table<'a> {
    /// The line of the matched expression.
    line: usize,
    arms: Vec<Arm<'a>>,
}

/// Every `match` outside tests with an arm that names an event by its family.
pub fn tables(file: &Source) -> impl Iterator<Item = Table<'_>> {
    let begins = file.tokens.iter().enumerate().filter(|(_, token)| token.text == "match" && !token.test);
    let matches = begins.filter_map(|(at, _)| {
        let rest = &file.tokens[at + 1..];
        Some(Table { line: rest.first()?.line, arms: arms(rest)? })
    });
    matches.filter(|table| table.arms.iter().any(Arm::names_event))
}

/// The line of each table that names single events of a family.
pub fn named(file: &Source) -> impl Iterator<Item = usize> {
    let names_events = |table: &Table<'_>| table.arms.iter().any(Arm::names_single_event);
    tables(file).filter(names_events).map(|table| table.line)
}

/// The pattern of one arm, with its guard.
#[derive(Debug)]
pub struct Arm<'a>(&'a [Token]);

impl Arm<'_> {
    fn line(&self) -> usize {
        self.0.first().map_or(0, |token| token.line)
    }

    fn names_event(&self) -> bool {
        self.0.windows(3).any(|three| {
            let [name, sign, variant] = [&three[0].text, &three[1].text, &three[2].text];
            let family = if name == "Event" { format!("{variant}Event") } else { name.clone() };
            sign == "::" && FAMILIES.contains(&family.as_str())
        })
    }

    /// Whether it names an event and not only its family.
    fn names_single_event(&self) -> bool {
        self.0.windows(2).any(|two| FAMILIES.contains(&two[0].text.as_str()) && two[1].text == "::")
    }

    /// Whether the arm matches any other event.
    fn is_catch_all(&self) -> bool {
        let guard = self.0.iter().position(|token| token.text == "if").unwrap_or(self.0.len());
        parts(&self.0[..guard], "|").any(takes_all)
    }
}

/// Whether a pattern is `_`, a name, or a tuple of such.
fn takes_all(pattern: &[Token]) -> bool {
    match pattern {
        [token] => token.text == "_" || token.text.starts_with(|c: char| c.is_lowercase()),
        [open, inner @ .., close] if open.text == "(" && close.text == ")" => {
            parts(inner, ",").filter(|part| !part.is_empty()).all(takes_all)
        }
        _ => false,
    }
}

/// The arms of a `match`, from the tokens after the keyword.
fn arms(tokens: &[Token]) -> Option<Vec<Arm<'_>>> {
    let open = outside(tokens).find(|at| tokens[*at].text == "{")?;
    let inner = &tokens[open + 1..open + 1 + closing(&tokens[open..])? - 1];
    let (mut arms, mut at) = (Vec::new(), 0);
    while at < inner.len() {
        let rest = &inner[at..];
        let arrow = outside(rest).find(|at| is_arrow(&rest[*at..]))?;
        arms.push(Arm(&rest[..arrow]));
        let body = &rest[arrow + 2..];
        let length = match body.first().is_some_and(|token| token.text == "{") {
            true => closing(body)? + 1,
            false => outside(body).find(|at| body[*at].text == ",").unwrap_or(body.len()),
        };
        at += arrow + 2 + length;
        at += usize::from(inner.get(at).is_some_and(|token| token.text == ","));
    }
    Some(arms)
}

fn is_arrow(tokens: &[Token]) -> bool {
    matches!(tokens, [first, second, ..] if first.text == "=" && second.text == ">")
}

/// The parts of a pattern between signs outside brackets.
fn parts<'a>(tokens: &'a [Token], sign: &str) -> impl Iterator<Item = &'a [Token]> {
    let mut ends: Vec<usize> = outside(tokens).filter(|at| tokens[*at].text == sign).collect();
    ends.push(tokens.len());
    let begins: Vec<usize> = std::iter::once(0).chain(ends.iter().map(|end| end + 1)).collect();
    begins.into_iter().zip(ends).map(|(begin, end)| &tokens[begin..end])
}

/// The positions of tokens outside brackets. An opening bracket counts as outside; its content and closing bracket do not.
fn outside(tokens: &[Token]) -> impl Iterator<Item = usize> {
    let mut depth = 0_usize;
    tokens.iter().enumerate().filter_map(move |(at, token)| {
        let before = depth;
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        (before == 0).then_some(at)
    })
}

/// The position of the bracket that closes the first token.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}
