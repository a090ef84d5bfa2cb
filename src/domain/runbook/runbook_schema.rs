//! The keys of a runbook as one table: each key with its shape, its help and its default.
//!
//! The checker's lists of keys, the JSON Schema and the reference follow from this table. The keys of a kind of action are in
//! its [`KindForm`](crate::domain::config::kind_schema::KindForm).
//!
//! **Invariant:** the table and the structs of [`runbook`](crate::domain::runbook) have the same fields. A test compares them.
//!
//! Not here: rules between keys, such as "`max_parallel` needs `for_each`". They are in [`check`](crate::domain::runbook::check).

mod deadline;
mod document;
mod step;
mod trigger;

use crate::domain::config::kind_schema::Field;

pub(in crate::domain) use self::deadline::{DEADLINE, FROM};
pub(in crate::domain) use self::document::{PARAM, PARAM_TYPES, RUNBOOK, RUNBOOK_SEVERITIES};
pub(in crate::domain) use self::step::{
    APPROVE, ASK, BODIES, EFFECTS, MAX_AT_ONCE, MAX_ATTEMPTS, MAX_PEOPLE, MODIFIERS, ON_FAILURE, RETRY, START, UNDO,
    UNTIL, VERIFY,
};
pub(in crate::domain) use self::trigger::{CATCH_UPS, OVERLAPS, SCHEDULE, START_MODES, TRIGGER};

/// One key of a runbook.
pub(in crate::domain) type RunbookField = Field<RunbookShape>;

/// A mapping with known keys.
#[derive(Debug)]
pub(in crate::domain) struct RunbookSection {
    /// Its name in messages, with an article or as a key: `a trigger`.
    pub what: &'static str,
    /// Its heading in the reference. A section without one is small, and its keys are listed where it is used.
    pub title: &'static str,
    /// Its keys, in the order of the reference.
    pub fields: &'static [RunbookField],
    /// Whether exactly one kind of action stands beside the keys.
    pub has_action: bool,
}

impl RunbookSection {
    /// A section without an action.
    const fn new(what: &'static str, title: &'static str, fields: &'static [RunbookField]) -> Self {
        Self { what, title, fields, has_action: false }
    }

    /// Its keys.
    pub(in crate::domain) fn keys(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).collect()
    }
}

/// The sections that have a heading, in the order of the reference.
pub(in crate::domain) static TITLED: &[&RunbookSection] =
    &[&RUNBOOK, &TRIGGER, &SCHEDULE, &DEADLINE, &PARAM, &BODIES, &ASK, &MODIFIERS, &APPROVE];

/// What the value of a key may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) enum RunbookShape {
    /// Text that is used as it is.
    Text,
    /// Text that may hold `{{ … }}`.
    Template,
    /// An expression, without `{{` and `}}`.
    Expression,
    /// A name: lower-case letters, digits, `-` and `_`.
    Name,
    /// A name that is defined elsewhere: `environment`.
    NameOf(&'static str),
    /// A length of time: `90s`, `15m`.
    Duration,
    /// A cron expression of five fields.
    Cron,
    /// The IANA name of a time zone.
    TimeZone,
    /// A whole number in a range, both ends included.
    Integer { min: i64, max: i64 },
    /// `true` or `false`.
    Boolean,
    /// `true`.
    True,
    /// No value: the key alone.
    Empty,
    /// Text, a number or a boolean.
    Scalar,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of at least `min` items.
    List { item: &'static RunbookShape, min: usize },
    /// One value, or a list of them.
    OneOrMany(&'static RunbookShape),
    /// A list of at least `min` steps.
    Steps { min: usize },
    /// A mapping of names to values of this shape.
    Entries(&'static RunbookShape),
    /// A mapping of params to any values.
    Params,
    /// A mapping with known keys.
    Section(&'static RunbookSection),
    /// A value of one of these shapes.
    Either(&'static [RunbookShape]),
}

#[cfg(test)]
mod tests;
