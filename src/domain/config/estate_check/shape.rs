//! Checks each value of the estate against the shape in the table, and returns it in its normal form.
//!
//! In the normal form, a value that may be a list is a list, an address does not end in a slash, and a field that was left out
//! has its default. The result is valid only when no problem was reported.

use serde_json::{Map, Value};

use super::EstateChecker;
use crate::domain::config::estate_schema::pattern::MAILBOX;
use crate::domain::config::estate_schema::{
    Alternatives, Entries, EntryKey, EstateField, EstateShape, Items, Part, Pattern, SECRET_REF, Section,
};
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::config::yaml::reader;
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, Source, SourceSpan, visible};
use crate::domain::template::expression;
use crate::domain::template::expression::ExpressionError;

/// The most entries of one mapping of the estate.
const MAX_ENTRIES: usize = 1_000;

impl EstateChecker<'_> {
    /// The value in its normal form. Every problem of its shape is reported.
    pub(super) fn shaped(&mut self, node: &Node, shape: &EstateShape) -> Value {
        match shape {
            EstateShape::Text => self.report.text(node).into(),
            EstateShape::Name => self.report.name(node).into(),
            EstateShape::Word => self.lowercase_text(node).into(),
            EstateShape::Integer { min, max } => self.report.integer(node, *min, *max).into(),
            EstateShape::Boolean | EstateShape::True => self.report.boolean(node).into(),
            EstateShape::Duration => self.report.duration(node).map(|span| span.to_string()).into(),
            EstateShape::Any => node.to_json(),
            EstateShape::OneOf(choices) => self.one_of(node, choices).into(),
            EstateShape::Pattern(pattern) => self.fitting(node, pattern).into(),
            EstateShape::NameIn(part) => self.known(node, *part).into(),
            EstateShape::Recipient => self.recipient(node).into(),
            EstateShape::SecretKey => self.secret_key(node),
            EstateShape::ExpressionOver(names) => self.expression(node, names).into(),
            EstateShape::ListOf(item) => self.list(node, item),
            EstateShape::OneOrMany(item) => self.one_or_many(node, item),
            EstateShape::Items(items) => self.items(node, items),
            EstateShape::Entries(entries) => self.entries(node, entries),
            EstateShape::Section(section) => self.section(node, section, None),
            EstateShape::MappingOr { mapping, other } => {
                self.shaped(node, if node.as_map().is_some() { mapping } else { other })
            }
        }
    }

    // ── mappings ─────────────────────────────────────────────────────────────────────────────────────────────

    /// A mapping with known keys. Problems of an empty mapping have the place of `key`, the key above it.
    pub(super) fn section(&mut self, node: &Node, section: &Section, key: Option<&SourceSpan>) -> Value {
        if section.may_be_empty && node.content == Content::Null {
            return Value::Object(Map::new());
        }
        if section.is_secret && node.as_text().is_some() {
            self.written_secret(node);
            return Value::Null;
        }
        let Some(mut fields) = Fields::open(&mut self.report, node, section.what, &section.keys()) else {
            return Value::Null;
        };
        if let Some(key) = key.filter(|_| node.as_map().is_some_and(<[Entry]>::is_empty)) {
            fields.span = key.clone();
        }
        if let Some(alternatives) = section.alternatives {
            self.one_alternative(&fields, alternatives, key.unwrap_or(&fields.span));
        }
        let hidden =
            section.conditional_name.filter(|(key, name)| fields.get(key).is_none() && self.hidden.insert(*name));
        let mut values = Map::new();
        for field in section.fields {
            let value = match fields.get(field.name) {
                Some(node) => Some(self.shaped(node, &field.shape)),
                None if field.required => {
                    fields.required(&mut self.report, field.name, section.what);
                    None
                }
                None => default_of(field),
            };
            values.extend(value.map(|value| (field.name.to_owned(), value)));
        }
        if let Some((_, name)) = hidden {
            self.hidden.remove(name);
        }
        Value::Object(values)
    }

    fn one_alternative(&mut self, fields: &Fields<'_>, alternatives: &Alternatives, at: &SourceSpan) {
        let keys = alternatives.keys();
        let given: Vec<&Entry> = fields.iter().filter(|entry| keys.contains(&entry.key.as_str())).collect();
        match given.as_slice() {
            [_] => {}
            [] => {
                let problem = Problem::new(at.clone(), alternatives.message_if_none);
                self.report.add(problem.help(format!("Give exactly one of {}.", list(&keys))));
            }
            [first, second, ..] => {
                let message = format!("{}, `{}` and `{}`", alternatives.message_if_two, first.key, second.key);
                let problem = Problem::new(second.key_span.clone(), message);
                let problem = problem.related(first.key_span.clone(), "the first is here");
                self.report.add(helped(problem, alternatives.help_if_two.to_owned()));
            }
        }
    }

    fn entries(&mut self, node: &Node, of: &Entries) -> Value {
        let mut values = Map::new();
        let is_null = of.may_be_null && node.content == Content::Null;
        if let Some(message) = of.needed.filter(|_| is_null || node.as_map().is_some_and(<[Entry]>::is_empty)) {
            self.report.add(Problem::new(node.span.clone(), message));
        }
        if is_null {
            return Value::Object(values);
        }
        let entries = self.report.entries(node, &of.what()).unwrap_or_default();
        if let Some(entry) = entries.get(MAX_ENTRIES) {
            let message = format!("an estate has at most {MAX_ENTRIES} {}", of.plural);
            self.report.add(Problem::new(entry.key_span.clone(), message));
        }
        for entry in entries {
            let key = self.entry_key(entry, of.key);
            let value = match &of.value {
                EstateShape::Section(section) => self.section(&entry.value, section, Some(&entry.key_span)),
                shape => self.shaped(&entry.value, shape),
            };
            values.extend(key.map(|key| (key, value)));
        }
        Value::Object(values)
    }

    fn entry_key(&mut self, entry: &Entry, key: EntryKey) -> Option<String> {
        match key {
            EntryKey::Free => Some(entry.key.clone()),
            EntryKey::Name => self.report.named(&entry.key, &entry.key_span),
            EntryKey::Pattern(pattern) => self.fitting_text(&entry.key, &entry.key_span, pattern),
        }
    }

    // ── lists ────────────────────────────────────────────────────────────────────────────────────────────────

    fn list(&mut self, node: &Node, item: &EstateShape) -> Value {
        let items = self.report.items(node).unwrap_or_default();
        items.iter().map(|node| self.shaped(node, item)).collect()
    }

    fn one_or_many(&mut self, node: &Node, item: &EstateShape) -> Value {
        let items = self.report.one_or_many(node);
        items.iter().map(|node| self.shaped(node, item)).collect()
    }

    fn items(&mut self, node: &Node, of: &Items) -> Value {
        let items = if of.one { Some(self.report.one_or_many(node)) } else { self.report.items(node) };
        let Some(items) = items else { return Value::Null };
        if !(of.min..=of.max).contains(&items.len()) {
            let problem = Problem::new(node.span.clone(), of.message.replace("{}", &items.len().to_string()));
            self.report.add(helped(problem, of.help.to_owned()));
        }
        items.iter().map(|node| self.shaped(node, &of.item)).collect()
    }

    // ── texts ────────────────────────────────────────────────────────────────────────────────────────────────

    /// A value of another program as text in lower case.
    fn lowercase_text(&mut self, node: &Node) -> Option<String> {
        match &node.content {
            Content::Integer(number) => Some(number.to_string()),
            Content::Boolean(value) => Some(value.to_string()),
            _ => self.report.text(node).map(str::to_lowercase),
        }
    }

    fn one_of(&mut self, node: &Node, choices: &[&str]) -> Option<String> {
        let text = self.report.text(node)?;
        if choices.contains(&text) {
            return Some(text.to_owned());
        }
        self.report.unknown_keyword(node, text, choices);
        None
    }

    fn fitting(&mut self, node: &Node, pattern: &Pattern) -> Option<String> {
        let text = self.report.text(node)?;
        self.fitting_text(text, &node.span, pattern)
    }

    fn fitting_text(&mut self, text: &str, span: &SourceSpan, pattern: &Pattern) -> Option<String> {
        let wider = match pattern.wider {
            Some(wider) => self.fitting_text(text, span, wider)?,
            None => text.to_owned(),
        };
        let normal = (pattern.read)(&wider);
        if normal.is_none() {
            let shown = visible(text, MAX_QUOTED);
            let problem = Problem::new(span.clone(), pattern.message.replace("{}", &shown));
            let problem = problem.did_you_mean(text, pattern.words.iter().copied());
            let help = pattern.help.replace("{words}", &list(pattern.words)).replace("{}", &shown);
            self.report.add(if help.is_empty() { problem } else { problem.or_help(help) });
        }
        normal
    }

    /// An address, or the address of a person of the estate.
    fn recipient(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        if text.contains('@') {
            return self.fitting(node, &MAILBOX);
        }
        self.known(node, Part::People)?;
        let address = self.names.emails.get(text).cloned();
        if address.is_none() {
            let problem = Problem::new(node.span.clone(), format!("`{text}` has no `email` in this file"));
            self.report.add(problem.help("Add it to the person, or write the address here."));
        }
        address
    }

    // ── names ────────────────────────────────────────────────────────────────────────────────────────────────

    /// A name that the file must define in a section.
    fn known(&mut self, node: &Node, part: Part) -> Option<String> {
        let text = self.report.text(node)?;
        let known = self.names.of_part(part);
        if !known.iter().any(|name| name == text) {
            let shown = visible(text, MAX_QUOTED);
            let message = format!("there is no {} `{shown}` in this file", part.one());
            let problem = Problem::new(node.span.clone(), message);
            self.report.add(problem.did_you_mean(text, known.iter().map(String::as_str)));
            return None;
        }
        if part == Part::Secrets && self.names.families.contains(text) {
            let message = format!("`{text}` is a family of secrets, which has no single value");
            self.report.add(Problem::new(node.span.clone(), message));
            return None;
        }
        Some(text.to_owned())
    }

    /// `{ secret: name }`, or the name alone. Any other text is reported as a secret in the file.
    fn secret_key(&mut self, node: &Node) -> Value {
        let is_name = |text: &str| self.names.of_part(Part::Secrets).iter().any(|name| name == text);
        match node.as_text() {
            Some(text) if is_name(text) => {
                let name = self.known(node, Part::Secrets);
                serde_json::json!({ "secret": name })
            }
            _ => self.section(node, &SECRET_REF, None),
        }
    }

    fn written_secret(&mut self, node: &Node) {
        let problem = Problem::new(node.span.clone(), "the value of a secret does not belong in this file");
        self.report.add(problem.help("Declare it under `secrets`, and write `{ secret: <its name> }` here."));
    }

    // ── expressions ──────────────────────────────────────────────────────────────────────────────────────────

    /// An expression that can use these names, except hidden ones.
    fn expression(&mut self, node: &Node, names: &[&'static str]) -> Option<String> {
        let text = self.report.text(node)?;
        if let Some(inner) = expression::scanner::whole_expression(text) {
            let problem = Problem::new(node.span.clone(), "an expression stands without `{{` and `}}`");
            self.report.add(problem.help(format!("Write `{}`.", visible(text[inner].trim(), MAX_QUOTED))));
            return None;
        }
        let names: Vec<&str> = names.iter().copied().filter(|name| !self.hidden.contains(name)).collect();
        let references =
            expression::references_of_expression(text).map_err(|error| self.wrong_expression(node, error)).ok()?;
        for reference in references {
            let root = reference.parts().next().unwrap_or_default();
            if !names.contains(&root) {
                let span = node.span_within(self.report.source, reference.range.clone());
                let problem = Problem::new(span, format!("`{}` is not defined here", visible(root, MAX_QUOTED)));
                let problem = problem.did_you_mean(root, names.iter().copied());
                self.report.add(problem.or_help(format!("Only {} can be used here.", list(&names))));
            }
        }
        Some(text.to_owned())
    }

    fn wrong_expression(&mut self, node: &Node, error: ExpressionError) {
        let span = node.span_within(self.report.source, error.range);
        self.report.add(helped(Problem::new(span, error.message), error.hint.unwrap_or_default()));
    }
}

/// The default of a field.
fn default_of(field: &EstateField) -> Option<Value> {
    let node = reader::read(&Source::new(field.name, field.default?)).ok()?;
    Some(node.to_json())
}

/// The problem with this help, unless the help is empty.
fn helped(problem: Problem, help: String) -> Problem {
    if help.is_empty() { problem } else { problem.help(help) }
}
