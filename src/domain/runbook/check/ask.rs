//! Questions to people.

use super::RunbookChecker;
use super::action::is_literal;
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::runbook::runbook_schema::ASK;
use crate::domain::runbook::{Ask, StepBody};

/// The most choices of a question: more do not fit a screen.
const MAX_CHOICES: usize = 20;

impl RunbookChecker<'_> {
    /// A question: a mapping, a list of its choices, or nothing for a free answer.
    pub(super) fn ask(&mut self, entry: &Entry, step: &Node) -> Option<StepBody> {
        let node = &entry.value;
        let mut ask = Ask { choices: Vec::new(), suggest: None, auto: false, many: false };
        match &node.content {
            Content::Null => return Some(StepBody::Ask(ask)),
            Content::List(_) => ask.choices = self.choices_of_question(node)?,
            _ => {
                let fields = self.open(node, &ASK)?;
                ask.choices = fields.get("choices").map_or(Some(Vec::new()), |node| self.choices_of_question(node))?;
                ask.auto = fields.get("auto").is_some_and(|node| self.report.boolean(node).unwrap_or_default());
                ask.many = fields.get("many").is_some_and(|node| self.report.boolean(node).unwrap_or_default());
                ask.suggest = fields.get("suggest").and_then(|node| self.suggestion(node, &ask.choices));
                self.automatic(&fields);
            }
        }
        let literal = !ask.choices.is_empty() && !ask.many && ask.choices.iter().all(|choice| is_literal(choice));
        if let Some(id) = step.get("id").and_then(Node::as_text).filter(|_| literal) {
            self.choices.insert(id.to_owned(), ask.choices.clone());
        }
        Some(StepBody::Ask(ask))
    }

    fn choices_of_question(&mut self, node: &Node) -> Option<Vec<String>> {
        let items = self.report.items(node)?;
        if items.is_empty() || items.len() > MAX_CHOICES {
            let problem = Problem::new(
                node.span.clone(),
                format!("a question has from 1 to {MAX_CHOICES} choices, this one {}", items.len()),
            );
            self.report.add(problem.help("Leave `choices` out for a free answer."));
        }
        let mut choices: Vec<String> = Vec::new();
        for item in items {
            let Some(text) = self.template(item) else { continue };
            if choices.contains(&text) {
                self.report.add(Problem::new(
                    item.span.clone(),
                    format!("the choice `{}` is there twice", visible(&text, MAX_QUOTED)),
                ));
            } else {
                choices.push(text);
            }
        }
        Some(choices)
    }

    fn suggestion(&mut self, node: &Node, choices: &[String]) -> Option<String> {
        let text = self.template(node)?;
        let known: Vec<&str> = choices.iter().map(String::as_str).collect();
        if is_literal(&text)
            && !known.is_empty()
            && !known.contains(&text.as_str())
            && choices.iter().all(|choice| is_literal(choice))
        {
            let problem =
                Problem::new(node.span.clone(), format!("`{}` is not one of the choices", visible(&text, MAX_QUOTED)));
            self.report.add(
                problem
                    .did_you_mean(&text, known.iter().copied())
                    .or_help(format!("The choices are {}.", list(&known))),
            );
        }
        Some(text)
    }

    /// Reports `auto` without `suggest`.
    fn automatic(&mut self, fields: &Fields<'_>) {
        if let (Some(entry), None) = (fields.entry("auto"), fields.get("suggest"))
            && entry.value.content == Content::Boolean(true)
        {
            let problem =
                Problem::new(entry.key_span.clone(), "`auto` takes the suggested answer, and none is suggested");
            self.report.add(problem.help("Add `suggest: …`, or take `auto` away."));
        }
    }
}
