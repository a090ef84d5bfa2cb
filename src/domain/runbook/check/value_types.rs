//! Checks values of actions against the [`Shape`] that their kind declares.
//!
//! Text with `{{ … }}` fits every shape except expressions, scripts and SQL: its value is known only when it is rendered.

use serde_json::{Map, Value};

use super::RunbookChecker;
use crate::domain::config::kind_schema::{Field, Shape};
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::core::glob_name::{is_unit_pattern, matches_unit};
use crate::domain::template::expression;

impl RunbookChecker<'_> {
    /// Checks a value against a shape and returns it as plain data.
    pub(crate) fn shaped(&mut self, node: &Node, shape: &Shape) -> Value {
        if let Content::Text(text) = &node.content
            && !matches!(shape, Shape::Expression | Shape::Script | Shape::Sql)
            && expression::is_template(text)
        {
            self.template_text(node, text);
            return Value::String(text.clone());
        }
        match shape {
            Shape::Text => self.any_scalar(node),
            Shape::Script => self.script_value(node),
            // The scope of the expression holds only the output of a program.
            Shape::Expression => self.with_only(&["json"], |checker| drop(checker.expression(node))),
            Shape::Integer { min, max } => drop(self.report.integer(node, *min, *max)),
            Shape::Number => self.number(node),
            Shape::Boolean => drop(self.report.boolean(node)),
            Shape::Duration => drop(self.report.duration(node)),
            Shape::Any => self.templates_within(node),
            Shape::OneOf(keywords) => self.one_of(node, keywords),
            Shape::Unit => self.unit(node),
            Shape::Service => self.service(node),
            Shape::Datastore => self.datastore(node),
            Shape::Channel => self.channel(node),
            Shape::Secret => self.secret(node),
            Shape::Sql => self.sql(node),
            Shape::ListOf(item) => return self.list_of(node, item),
            Shape::OneOrMany(item) => return self.one_or_many_of(node, item),
            Shape::MapOf(held) => return self.map_of(node, held),
            Shape::Record(fields) => return self.record(node, fields),
        }
        node.to_json()
    }

    fn any_scalar(&mut self, node: &Node) {
        if !matches!(&node.content, Content::Text(_)) {
            self.report.text(node);
        }
    }

    fn script_value(&mut self, node: &Node) {
        if let Some(text) = self.report.text(node) {
            self.script(node, text);
        }
    }

    fn number(&mut self, node: &Node) {
        if !matches!(node.content, Content::Integer(_) | Content::Number(_)) {
            self.report.expected::<()>(node, "a number");
        }
    }

    /// Checks the templates in a value of any shape.
    pub(crate) fn templates_within(&mut self, node: &Node) {
        match &node.content {
            Content::Text(text) => self.template_text(node, text),
            Content::List(items) => items.iter().for_each(|item| self.templates_within(item)),
            Content::Map(_) => {
                let entries = self.report.entries(node, "a mapping").unwrap_or_default();
                entries.into_iter().for_each(|entry| self.templates_within(&entry.value));
            }
            Content::Null | Content::Boolean(_) | Content::Integer(_) | Content::Number(_) => {}
        }
    }

    fn one_of(&mut self, node: &Node, keywords: &[&str]) {
        if let Some(text) = self.report.text(node).filter(|text| !keywords.contains(text)) {
            self.report.unknown_keyword(node, text, keywords);
        }
    }

    /// A unit of the estate, a pattern that matches one, or a service, which stands for its unit.
    fn unit(&mut self, node: &Node) {
        let Some(text) = self.report.text(node) else { return };
        let Some(estate) = self.context.estate else { return };
        let bare = |unit: &str| unit.strip_suffix(".service").unwrap_or(unit).to_owned();
        let wanted = bare(text);
        let known: Vec<String> = estate.units().map(bare).collect();
        let shown = visible(text, MAX_QUOTED);
        if is_unit_pattern(text) {
            if !known.iter().any(|unit| matches_unit(&wanted, unit)) {
                let problem =
                    Problem::new(node.span.clone(), format!("the pattern `{shown}` matches no unit of the estate"));
                self.report.add(problem.did_you_mean(&wanted, known.iter().map(String::as_str)));
            }
        } else if !known.contains(&wanted) && !estate.services.contains_key(text) {
            let problem = Problem::new(node.span.clone(), format!("the unit `{shown}` is not in the estate"));
            let problem = problem.did_you_mean(&wanted, known.iter().map(String::as_str));
            self.report
                .add(problem.or_help("Runbooks act only on units that a service or datastore of the estate names."));
        }
    }

    pub(super) fn service(&mut self, node: &Node) {
        let known = self.context.estate.map(|estate| estate.services.keys().map(String::as_str).collect());
        self.name_of_the_estate(node, "service", known);
    }

    fn datastore(&mut self, node: &Node) {
        let known = self.context.estate.map(|estate| estate.datastores.keys().map(String::as_str).collect());
        self.name_of_the_estate(node, "datastore", known);
    }

    pub(super) fn channel(&mut self, node: &Node) {
        let known = self.context.estate.map(|estate| estate.channels.keys().map(String::as_str).collect());
        self.name_of_the_estate(node, "channel", known);
    }

    /// A name that the estate must define. Without an estate, any name is accepted.
    pub(crate) fn name_of_the_estate(&mut self, node: &Node, what: &str, known: Option<Vec<&str>>) {
        let Some(text) = self.report.text(node) else { return };
        let Some(known) = known.filter(|known| !known.contains(&text)) else { return };
        let problem = Problem::new(
            node.span.clone(),
            format!("there is no {what} `{}` in the estate", visible(text, MAX_QUOTED)),
        );
        let problem = problem.did_you_mean(text, known.iter().copied());
        self.report.add(problem.or_help(if known.is_empty() || known.len() > 20 {
            format!("Add it to the estate's {what}s.")
        } else {
            format!("The estate has {}.", list(&known))
        }));
    }

    fn secret(&mut self, node: &Node) {
        if matches!(node.content, Content::Text(_)) {
            return;
        }
        let Some(fields) = Fields::open(&mut self.report, node, "a secret", &["secret"]) else { return };
        let Some(name) = fields.required(&mut self.report, "secret", "a secret") else { return };
        let known = self.context.estate.map(|estate| estate.secrets.keys().map(String::as_str).collect());
        self.name_of_the_estate(name, "secret", known);
    }

    fn sql(&mut self, node: &Node) {
        if self.report.text(node).is_some_and(expression::is_template) {
            let problem = Problem::new(node.span.clone(), "nothing is interpolated into SQL");
            self.report
                .add(problem.help("Write `$1` there, and the value under `params: [ … ]`, which may be a template."));
        }
    }

    fn list_of(&mut self, node: &Node, item: &Shape) -> Value {
        let Some(items) = self.report.items(node) else { return Value::Null };
        items.iter().map(|node| self.shaped(node, item)).collect()
    }

    fn one_or_many_of(&mut self, node: &Node, item: &Shape) -> Value {
        match &node.content {
            Content::List(_) => self.list_of(node, item),
            _ => self.shaped(node, item),
        }
    }

    fn map_of(&mut self, node: &Node, held: &Shape) -> Value {
        let Some(entries) = self.report.entries(node, "a mapping") else { return Value::Null };
        let pairs = entries.into_iter().map(|entry| (entry.key.clone(), self.shaped(&entry.value, held)));
        Value::Object(pairs.collect())
    }

    fn record(&mut self, node: &Node, fields: &[Field]) -> Value {
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let Some(given) = Fields::open(&mut self.report, node, "this mapping", &known) else { return Value::Null };
        self.known_fields(&given, fields, "this mapping")
    }

    /// Checks the given fields against their shapes, and reports required ones that are missing.
    pub(crate) fn known_fields<'f>(
        &mut self,
        given: &Fields<'_>,
        fields: impl IntoIterator<Item = &'f Field>,
        what: &str,
    ) -> Value {
        let mut spec = Map::new();
        for field in fields {
            match given.get(field.name) {
                Some(node) => drop(spec.insert(field.name.to_owned(), self.shaped(node, &field.shape))),
                None if field.required => {
                    let problem = Problem::new(given.span.clone(), format!("{what} needs `{}`", field.name));
                    self.report.add(problem.help(format!("Add `{}: …`: {}", field.name, field.help)));
                }
                None => {}
            }
        }
        Value::Object(spec)
    }
}
