//! The tables of events: every `match` that names events by family, and whether it has an arm for any other event.
//!
//! The compiler names a table that lacks an event only while the table has no such arm. Clippy sees `_` where a table asks
//! it to; here every `match` of the sources is read, in tuples as well.

use crate::source::{Source, Token};

/// The families, as `src/domain/incident/event.rs` has them.
pub const FAMILIES: [&str; 7] =
    ["IncidentEvent", "AlertEvent", "DeadlineEvent", "RoleEvent", "MessageEvent", "RunEvent", "StepEvent"];

/// What a file with a table asks of clippy.
const DENIED: &str = "#![deny(clippy::wildcard_enum_match_arm)]";

/// Tables with an arm for any other event, and files with a table that do not let clippy look for one.
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
    /// The line of what is matched.
    line: usize,
    arms: Vec<Arm<'a>>,
}

/// Every `match` outside tests that has an arm which names an event by its family.
pub fn tables(file: &Source) -> impl Iterator<Item = Table<'_>> {
    let begins = file.tokens.iter().enumerate().filter(|(_, word)| word.text == "match" && !word.test);
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
        self.0.first().map_or(0, |word| word.line)
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

    /// Whether an event that no other arm names comes here.
    fn is_catch_all(&self) -> bool {
        let guard = self.0.iter().position(|word| word.text == "if").unwrap_or(self.0.len());
        parts(&self.0[..guard], "|").any(takes_all)
    }
}

/// Whether a pattern is `_`, a name, or a tuple of such.
fn takes_all(pattern: &[Token]) -> bool {
    match pattern {
        [word] => word.text == "_" || word.text.starts_with(|c: char| c.is_lowercase()),
        [open, inner @ .., close] if open.text == "(" && close.text == ")" => {
            parts(inner, ",").filter(|part| !part.is_empty()).all(takes_all)
        }
        _ => false,
    }
}

/// The arms of a `match`, from behind the word.
fn arms(words: &[Token]) -> Option<Vec<Arm<'_>>> {
    let open = outside(words).find(|at| words[*at].text == "{")?;
    let inner = &words[open + 1..open + 1 + closing(&words[open..])? - 1];
    let (mut arms, mut at) = (Vec::new(), 0);
    while at < inner.len() {
        let rest = &inner[at..];
        let arrow = outside(rest).find(|at| is_arrow(&rest[*at..]))?;
        arms.push(Arm(&rest[..arrow]));
        let body = &rest[arrow + 2..];
        let length = match body.first().is_some_and(|word| word.text == "{") {
            true => closing(body)? + 1,
            false => outside(body).find(|at| body[*at].text == ",").unwrap_or(body.len()),
        };
        at += arrow + 2 + length;
        at += usize::from(inner.get(at).is_some_and(|word| word.text == ","));
    }
    Some(arms)
}

fn is_arrow(words: &[Token]) -> bool {
    matches!(words, [first, second, ..] if first.text == "=" && second.text == ">")
}

/// The parts of a pattern between signs that stand in no brackets.
fn parts<'a>(words: &'a [Token], sign: &str) -> impl Iterator<Item = &'a [Token]> {
    let mut ends: Vec<usize> = outside(words).filter(|at| words[*at].text == sign).collect();
    ends.push(words.len());
    let begins: Vec<usize> = std::iter::once(0).chain(ends.iter().map(|end| end + 1)).collect();
    begins.into_iter().zip(ends).map(|(begin, end)| &words[begin..end])
}

/// Where the words stand that are in no brackets; an opening bracket is, what it holds and its closing one are not.
fn outside(words: &[Token]) -> impl Iterator<Item = usize> {
    let mut depth = 0_usize;
    words.iter().enumerate().filter_map(move |(at, word)| {
        let before = depth;
        match word.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        (before == 0).then_some(at)
    })
}

/// Where the bracket closes that the words begin with.
fn closing(words: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate() {
        match word.text.as_str() {
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
