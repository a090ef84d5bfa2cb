//! The check of a template: unknown names, and errors when it renders two sample incidents, one with all facts and one that was
//! just opened.
//!
//! In a branch that neither sample takes, only unknown names are found.

use minijinja::Error;
use minijinja::value::{Serde, Value};

use super::template::{FUEL, environment};
use super::{Postmortem, sample};
use crate::domain::core::diagnostic::{MAX_SHOWN, Problem, Source};
use crate::domain::template::expression::scanner::{PieceKind, pieces};
use crate::domain::template::expression::{Reference, explain, mentions};

/// The problems of a template.
pub fn check(source: &Source) -> Vec<Problem> {
    let whole = Value::from(Serde(sample::whole()));
    let environment = environment(FUEL);
    let roots = match environment.template_from_named_str(&source.name, &source.text) {
        Ok(parsed) => parsed.undeclared_variables(false),
        Err(error) => return vec![problem(source, &error, &whole)],
    };
    let mentions = mentions(&source.text, &|name| roots.contains(name));
    let mut problems: Vec<Problem> =
        mentions.into_iter().filter_map(|mention| unknown_name(source, mention, &whole)).collect();
    let text = problems.iter().fold(source.text.clone(), |text, problem| blank_out(&text, problem).unwrap_or(text));
    for facts in [sample::whole(), sample::without_details()] {
        for problem in render_problems(source, text.clone(), &facts, &whole) {
            if !problems.iter().any(|known| known.span == problem.span) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// The errors when a template renders these facts. After each error the failing expression is blanked out and the rest is rendered
/// again.
fn render_problems(source: &Source, mut text: String, facts: &Postmortem, whole: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let environment = environment(FUEL);
    while problems.len() < MAX_SHOWN {
        let parsed = environment.template_from_named_str(&source.name, &text);
        let Err(error) = parsed.and_then(|parsed| parsed.render(Value::from(Serde(facts)))) else { break };
        let problem = problem(source, &error, whole);
        let rest = blank_out(&text, &problem);
        problems.push(problem);
        match rest {
            Some(rest) => text = rest,
            None => break,
        }
    }
    problems
}

fn problem(source: &Source, error: &Error, whole: &Value) -> Problem {
    let explained = explain(&source.text, error, whole);
    Problem { help: explained.hint, ..Problem::new(source.span(explained.range), explained.message) }
}

/// The text with blanks in place of the expression that has the problem; none if the problem is in no expression.
fn blank_out(text: &str, problem: &Problem) -> Option<String> {
    let at = problem.span.range.start;
    let piece = pieces(text).into_iter().find(|piece| piece.outer.contains(&at))?;
    (piece.kind == PieceKind::Expression).then(|| {
        let (before, after) = (&text[..piece.outer.start], &text[piece.outer.end..]);
        let blank: String = text[piece.outer].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        [before, &blank, after].concat()
    })
}

/// The problem of a name that [`sample::whole`] does not have.
fn unknown_name(source: &Source, mention: Reference, whole: &Value) -> Option<Problem> {
    let mut value = whole.clone();
    for part in mention.parts() {
        let inner = value.get_attr(part).ok().filter(|inner| !inner.is_undefined());
        let Some(inner) = inner else {
            let names: Vec<String> = value.try_iter().ok().into_iter().flatten().map(|name| name.to_string()).collect();
            let problem =
                Problem::new(source.span(mention.range.clone()), format!("`{}` is not defined", mention.path));
            return Some(problem.did_you_mean(part, names.iter().map(String::as_str)));
        };
        value = inner;
    }
    None
}
