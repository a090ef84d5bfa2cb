//! Actions: a kind and its spec, checked against the kind's form.

use serde_json::{Map, Value};

use super::RunbookChecker;
use crate::domain::config::kind_schema::{Field, KindForm, Shape};
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::Problem;
use crate::domain::runbook::Action;
use crate::domain::runbook::runbook_schema::EFFECTS;
use crate::domain::template::expression;

impl RunbookChecker<'_> {
    /// The action of an entry `kind: spec`.
    pub(super) fn action(&mut self, entry: &Entry, form: &'static KindForm) -> Option<Action> {
        let problems = self.report.problems.len();
        let spec = self.spec(&entry.value, entry, form)?;
        self.option_injection(&entry.value, form);
        if self.report.problems.len() > problems {
            return None;
        }
        Some(Action {
            kind: form.name.to_owned(),
            effect: (form.effect)(&spec),
            scripts: scripts(form, &spec),
            spec,
            host: None,
        })
    }

    fn spec(&mut self, node: &Node, entry: &Entry, form: &'static KindForm) -> Option<Value> {
        if let Some(field) = shorthand(node, form) {
            let mut spec = Map::new();
            spec.insert(field.name.to_owned(), self.shaped(node, &field.shape));
            return Some(Value::Object(spec));
        }
        let what = format!("`{}`", form.name);
        let known: Vec<&str> = all_fields(form).map(|field| field.name).collect();
        let empty = Node { content: Content::Map(Vec::new()), span: entry.key_span.clone() };
        let node = if node.content == Content::Null { &empty } else { node };
        let Some(entries) = node.as_map() else {
            let problem = Problem::new(node.span.clone(), format!("{what} takes a mapping, found {}", node.what()));
            self.report.add(problem.help(format!("Its keys are {}.", list(&known))));
            return None;
        };
        let mut given = Fields::open(&mut self.report, node, &what, &known)?;
        if entries.is_empty() {
            given.span = entry.key_span.clone();
        }
        self.exactly_one_verb(&given, form);
        Some(self.known_fields(&given, all_fields(form), &what))
    }

    fn exactly_one_verb(&mut self, given: &Fields<'_>, form: &KindForm) {
        if form.verbs.is_empty() {
            return;
        }
        let names: Vec<&str> = form.verbs.iter().map(|verb| verb.field.name).collect();
        let verbs: Vec<&Entry> = given.iter().filter(|entry| names.contains(&entry.key.as_str())).collect();
        match verbs.as_slice() {
            [_] => {}
            [] => {
                let problem = Problem::new(given.span.clone(), format!("`{}` has no operation", form.name));
                self.report.add(problem.help(format!("Give exactly one of {}.", list(&names))));
            }
            [first, second, ..] => {
                let message = format!("`{}` has two operations, `{}` and `{}`", form.name, first.key, second.key);
                let problem =
                    Problem::new(second.key_span.clone(), message).related(first.key_span.clone(), "the first is here");
                self.report.add(problem.help("Make two steps of it."));
            }
        }
    }

    /// Reports arguments from values that may start with `-`, which a program takes for an option.
    fn option_injection(&mut self, node: &Node, form: &KindForm) {
        let Some(argv) = all_fields(form).find(|field| field.name == "argv") else { return };
        let list =
            if form.shorthand == Some(argv.name) && node.as_map().is_none() { Some(node) } else { node.get(argv.name) };
        let Some(Content::List(items)) = list.map(|list| &list.content) else { return };
        for item in items.iter().skip(1) {
            match item.as_text() {
                Some("--") => return,
                Some(text) if text.trim_start().starts_with("{{") && !self.is_closed(text) => {
                    let problem = Problem::new(
                        item.span.clone(),
                        "the program would take a value that starts with `-` for an option",
                    );
                    self.report.add(problem.help("Put `--` before it, write `--option={{ … }}`, or take a param of a closed type such as `service` or `choice`."));
                }
                _ => {}
            }
        }
    }

    /// Sets the effect class that the step declares for an action.
    pub(super) fn declared_effect(&mut self, node: &Node, action: &mut Action) {
        let Some(declared) = self.report.keyword(node, EFFECTS) else { return };
        if self.form(&action.kind).is_some_and(|form| !form.verbs.is_empty()) && declared < action.effect {
            let message = format!("the effect of `{}` is `{}`", action.kind, action.effect);
            self.report.add(Problem::new(node.span.clone(), message).help("Take `effect` away."));
            return;
        }
        action.effect = declared;
    }
}

/// All fields of a kind, those of its verbs first.
pub(in crate::domain) fn all_fields(form: &KindForm) -> impl Iterator<Item = &Field> {
    form.verbs.iter().map(|verb| &verb.field).chain(form.fields)
}

/// The shorthand field that a value stands for. A scalar or a list stands for it. So does a mapping, if the field is a mapping
/// of free names and no key of the value is a field.
fn shorthand<'f>(node: &Node, form: &'f KindForm) -> Option<&'f Field> {
    let field = all_fields(form).find(|field| Some(field.name) == form.shorthand)?;
    let stands = match &node.content {
        Content::Null => false,
        Content::Map(entries) => {
            matches!(field.shape, Shape::MapOf(_))
                && !entries.is_empty()
                && entries.iter().all(|entry| all_fields(form).all(|field| field.name != entry.key))
        }
        _ => true,
    };
    stands.then_some(field)
}

/// The fields that hold scripts with something to quote.
fn scripts(form: &KindForm, spec: &Value) -> Vec<String> {
    let is_script = |field: &&Field| {
        matches!(field.shape, Shape::Script) && spec[field.name].as_str().is_some_and(|text| !text.is_empty())
    };
    all_fields(form).filter(is_script).map(|field| field.name.to_owned()).collect()
}

/// Whether a text is no template.
pub(super) fn is_literal(text: &str) -> bool {
    !expression::is_template(text)
}
