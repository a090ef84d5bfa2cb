//! The scope of expressions over an alert: the conditions and parameters of triggers, and the rules of the alert policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr};

use super::Alert;
use super::field::FIELDS;
use crate::domain::template::values::map;

/// The name that holds all fields of the alert together.
const WHOLE: &str = "alert";

/// How many names a scope has.
const COUNT: usize = {
    let (mut count, mut at) = (1, 0);
    while at < FIELDS.len() {
        if FIELDS[at].in_scope {
            count += 1;
        }
        at += 1;
    }
    count
};

/// Every name that an expression over an alert can use: `alert`, and the fields in the scope.
pub const NAMES: &[&str] = &{
    let mut names = [WHOLE; COUNT];
    let (mut next, mut at) = (1, 0);
    while at < FIELDS.len() {
        if FIELDS[at].in_scope {
            names[next] = FIELDS[at].name;
            next += 1;
        }
        at += 1;
    }
    names
};

/// The scope of an alert: each field under its name, and all of them as `alert`. A label that the alert does not have is
/// none.
pub fn of(alert: &Alert) -> minijinja::Value {
    let fields = serde_json::to_value(alert).unwrap_or_default();
    let value = |name: &str| match name {
        "labels" => pairs(&alert.labels),
        "annotations" => pairs(&alert.annotations),
        name => minijinja::Value::from(minijinja::value::Serde(&fields[name])),
    };
    let named = FIELDS.iter().filter(|field| field.in_scope).map(|field| (field.name.to_owned(), value(field.name)));
    let mut scope: Vec<(String, minijinja::Value)> = named.collect();
    let whole = map(scope.clone());
    scope.push((WHOLE.to_owned(), whole));
    map(scope)
}

fn pairs(pairs: &BTreeMap<String, String>) -> minijinja::Value {
    minijinja::Value::from_object(Pairs(pairs.clone()))
}

/// Labels or annotations. One that is missing is none, where a minijinja map would give an undefined value.
#[derive(Debug)]
struct Pairs(BTreeMap<String, String>);

impl Object for Pairs {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        Some(self.0.get(key.as_str()?).map_or(minijinja::Value::from(()), minijinja::Value::from))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(minijinja::Value::from).collect())
    }
}
