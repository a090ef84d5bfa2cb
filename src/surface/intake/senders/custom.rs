//! Custom senders: expressions in the estate map the body to the fields of alerts.
//!
//! An expression that fails leaves its field empty and adds a warning. A body is unrecognised only if the name is missing or
//! `each` is not a list.
//!
//! **Invariant:** expressions come from the estate only. Data from a body is never evaluated.

use std::collections::BTreeMap;

use minijinja::Value as Scope;
use minijinja::value::{Serde, ValueKind};
use serde_json::Value;
use serde_json_borrow::Value as Borrowed;

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::config::sender::{Mapping, Pairs, Sender, StatusMapping};
use crate::domain::core::severity::Severity;
use crate::domain::template::expression::{Evaluator, ExpressionError};
use crate::surface::intake::parse::field_reader;
use crate::surface::intake::parse::lenient_json;
use crate::surface::intake::{ParsedBody, SenderInput, alerts};

pub(crate) fn read(input: &SenderInput<'_>) -> Result<ParsedBody, String> {
    let mapping = input.sender.mapping.as_ref().ok_or("the estate has no mapping for its sender")?;
    let mut body = lenient_json::json(input.post.body)?;
    let compiled = Compiled::new(mapping).map_err(|error| format!("its mapping is wrong: {error}"))?;
    let scope = Scope::from(Serde(&body.value));
    let mut found = match &compiled.each {
        None => vec![alert(input, &compiled, &scope, None)?],
        Some(each) => {
            let listed = each.value(&context(&scope, None)).map_err(|error| format!("`each`: {error}"))?;
            if listed.kind() != ValueKind::Seq {
                return Err(format!("`each` gives a {}, not a list", listed.kind()));
            }
            let items: Vec<Scope> = listed.try_iter().map_err(|_| "`each` does not give a list")?.collect();
            input.each(&items, input.post.body, |item| alert(input, &compiled, &scope, Some(item)))
        }
    };
    if let (Some(first), Some(warning)) = (found.first_mut(), body.warning.take()) {
        first.warnings.push(warning);
    }
    Ok(alerts(found))
}

/// The variables of an expression.
fn context(body: &Scope, item: Option<&Scope>) -> Scope {
    match item {
        Some(item) => minijinja::context! { body => body, item => item },
        None => minijinja::context! { body => body },
    }
}

/// A mapping with compiled expressions, so that they are compiled once for all items.
struct Compiled<'m> {
    mapping: &'m Mapping,
    each: Option<Evaluator<'m>>,
    fields: BTreeMap<&'m str, Evaluator<'m>>,
    status: Option<(Evaluator<'m>, &'m StatusMapping)>,
    labels: CompiledPairs<'m>,
    annotations: CompiledPairs<'m>,
}

struct CompiledPairs<'m> {
    all: Option<Evaluator<'m>>,
    each: Vec<(&'m str, Evaluator<'m>)>,
}

impl<'m> Compiled<'m> {
    fn new(mapping: &'m Mapping) -> Result<Self, ExpressionError> {
        let fields = mapping.fields.iter().map(|(name, source)| Ok((name.as_str(), Evaluator::new(source)?)));
        Ok(Self {
            mapping,
            each: mapping.each.as_deref().map(Evaluator::new).transpose()?,
            fields: fields.collect::<Result<_, _>>()?,
            status: mapping.status.as_ref().map(|status| Ok((Evaluator::new(&status.value)?, status))).transpose()?,
            labels: CompiledPairs::new(&mapping.labels)?,
            annotations: CompiledPairs::new(&mapping.annotations)?,
        })
    }
}

impl<'m> CompiledPairs<'m> {
    fn new(pairs: &'m Pairs) -> Result<Self, ExpressionError> {
        let each = pairs.each.iter().map(|(name, source)| Ok((name.as_str(), Evaluator::new(source)?)));
        Ok(Self { all: pairs.all.as_deref().map(Evaluator::new).transpose()?, each: each.collect::<Result<_, _>>()? })
    }
}

/// One alert, from the whole body or from one of its items.
fn alert(
    input: &SenderInput<'_>,
    compiled: &Compiled<'_>,
    body: &Scope,
    item: Option<&Scope>,
) -> Result<Alert, String> {
    let mut fields = MappedFields { scope: context(body, item), compiled, warnings: Vec::new() };
    let Some(name) = fields.text("name") else {
        return Err(format!("it has no name: {}", fields.warnings.pop().unwrap_or_else(|| "it is empty".to_owned())));
    };
    let (labels, annotations) =
        (fields.pairs("labels", &compiled.labels), fields.pairs("annotations", &compiled.annotations));
    let identity = fields.text("firing");
    let alert = Alert {
        recurs: compiled.mapping.recurs || identity.is_none(),
        firing: identity.unwrap_or_else(|| default_identity(&name, &labels)),
        status: fields.status(),
        summary: fields.text("summary"),
        severity: fields.severity(input.sender),
        starts_at: fields.read("starts_at", "an instant", field_reader::instant),
        ends_at: fields.read("ends_at", "an instant", field_reader::instant),
        value: fields.read("value", "a finite number", field_reader::number),
        link: field_reader::link(fields.text("link")),
        runbook: fields.text("runbook"),
        environment: fields.text("environment"),
        service: fields.text("service"),
        labels,
        annotations,
        name,
        ..Alert::default()
    };
    Ok(Alert { warnings: fields.warnings, ..alert })
}

/// The identity of an alert whose mapping has none: a digest of its name and its labels.
fn default_identity(name: &str, labels: &BTreeMap<String, String>) -> String {
    let parts = labels.iter().flat_map(|(label, value)| [label.as_bytes(), value.as_bytes()]);
    crate::surface::intake::digest(&std::iter::once(name.as_bytes()).chain(parts).collect::<Vec<_>>())
}

/// Evaluates the expressions for one alert.
struct MappedFields<'g> {
    scope: Scope,
    compiled: &'g Compiled<'g>,
    warnings: Vec<String>,
}

impl MappedFields<'_> {
    /// The value of an expression. An undefined or null value counts as absent. Only an error adds a warning.
    fn value(&mut self, what: &str, expression: &Evaluator<'_>) -> Option<Value> {
        match expression.evaluate(&self.scope) {
            Ok(value) => Some(value).filter(|value| !value.is_null()),
            Err(error) => {
                self.warnings.push(format!("`{what}`: {}", error.message));
                None
            }
        }
    }

    fn read<T>(&mut self, name: &str, expected: &str, read: impl Fn(&Borrowed<'_>) -> Option<T>) -> Option<T> {
        let compiled = self.compiled;
        let value = self.value(name, compiled.fields.get(name)?)?;
        let found = read(&(&value).into());
        if found.is_none() {
            self.warnings.push(format!("`{name}` is not {expected}"));
        }
        found
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, "text", field_reader::text_of).filter(|text| !text.trim().is_empty())
    }

    fn severity(&mut self, sender: &Sender) -> Option<Severity> {
        let text = self.text("severity")?;
        let severity = sender.severity(&text);
        if severity.is_none() {
            self.warnings.push("its severity is not known".to_owned());
        }
        severity
    }

    /// The status: firing unless the expression gives a value for resolved, since a superfluous alert is better than a
    /// missing one.
    fn status(&mut self) -> AlertStatus {
        let compiled = self.compiled;
        let Some((expression, values)) = &compiled.status else { return AlertStatus::Firing };
        let Some(text) = self.value("status", expression).and_then(|value| field_reader::text_of(&(&value).into()))
        else {
            return AlertStatus::Firing;
        };
        let text = text.trim().to_lowercase();
        if values.resolved.contains(&text) {
            return AlertStatus::Resolved;
        }
        if !values.firing.contains(&text) {
            self.warnings.push("its status is not known".to_owned());
        }
        AlertStatus::Firing
    }

    fn pairs(&mut self, what: &str, pairs: &CompiledPairs<'_>) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        match pairs.all.as_ref().and_then(|all| self.value(what, all)) {
            Some(Value::Object(all)) => {
                found.extend(
                    all.into_iter()
                        .filter_map(|(name, value)| Some((name, field_reader::loose_text(&(&value).into())?))),
                );
            }
            Some(other) => {
                let kind = field_reader::type_name(&(&other).into());
                self.warnings.push(format!("`{what}` gives {kind}, not a mapping"));
            }
            None => {}
        }
        for (name, expression) in &pairs.each {
            let value = self.value(&format!("{what}.{name}"), expression);
            if let Some(text) = value.and_then(|value| field_reader::loose_text(&(&value).into())) {
                found.insert((*name).to_owned(), text);
            }
        }
        found
    }
}
