//! The YAML of a kind of action, described as data.
//!
//! The checker, the JSON Schema, the manual, completions, the plan and `runbook kinds` use one list of these forms.

use serde_json::Value;

use crate::domain::core::effect::EffectClass;

/// The form of a kind: its fields, its effect and its outputs.
#[derive(Debug)]
pub struct KindForm {
    /// The key in a step: `systemd`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The field of a value that is a scalar or a list: `shell: "echo"` is `shell: {script: "echo"}`.
    pub shorthand: Option<&'static str>,
    /// The fields of which exactly one is given and chooses the operation; empty for a kind with one operation.
    pub verbs: &'static [Verb],
    /// The other fields.
    pub fields: &'static [Field],
    /// Returns the effect class of a spec as written in the file. Templates are not rendered yet, so it may depend only on keys
    /// and literal values.
    pub effect: fn(&Value) -> EffectClass,
    /// The fields of the output, which later steps can use.
    pub outputs: &'static [OutputField],
    /// A step body in YAML that the checker accepts.
    pub example: &'static str,
}

/// One operation of a kind.
#[derive(Debug)]
pub struct Verb {
    /// The field that chooses it. Its value is the object of the operation.
    pub field: Field,
    pub effect: EffectClass,
}

/// One key of a mapping. Its shape is a [`Shape`] in a kind, and an
/// [`EstateShape`](super::estate_schema::EstateShape) in the estate.
#[derive(Debug)]
pub struct Field<S = Shape> {
    /// The key.
    pub name: &'static str,
    /// The shape of its value.
    pub shape: S,
    /// Whether it must be given.
    pub required: bool,
    /// One sentence, with the unit.
    pub help: &'static str,
    /// The value when it is left out, as YAML, if that is always the same.
    pub default: Option<&'static str>,
}

impl<S: Copy> Field<S> {
    /// A field that must be given.
    pub const fn required(name: &'static str, shape: S, help: &'static str) -> Self {
        Self { name, shape, required: true, help, default: None }
    }

    /// A field that may be left out.
    pub const fn optional(name: &'static str, shape: S, help: &'static str) -> Self {
        Self { name, shape, required: false, help, default: None }
    }

    /// A field that has this value, written as YAML, when it is left out.
    pub const fn with_default(name: &'static str, shape: S, default: &'static str, help: &'static str) -> Self {
        Self { name, shape, required: false, help, default: Some(default) }
    }
}

/// One field of the output of an action.
#[derive(Debug)]
pub struct OutputField {
    /// The field after `steps.<id>.`
    pub name: &'static str,
    /// One sentence, with the shape and the unit.
    pub help: &'static str,
}

/// The shape of a value in a step. A text may contain templates, `{{ … }}`, except in [`Shape::Expression`] and [`Shape::Sql`].
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Text,
    /// A shell script. The values of its templates are quoted.
    Script,
    /// A whole number in a range, both ends included.
    Integer {
        min: i64,
        max: i64,
    },
    /// Any number.
    Number,
    Boolean,
    /// A length of time: `90s`, `15m`.
    Duration,
    /// Any YAML value.
    Any,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A systemd unit of the estate, or a glob pattern of units.
    Unit,
    /// A service of the estate.
    Service,
    /// A datastore of the estate.
    Datastore,
    /// A channel of the estate.
    Channel,
    /// Text, or `{secret: name}` with a secret of the estate.
    Secret,
    /// An expression over the scope, without braces.
    Expression,
    /// SQL, in which nothing is rendered; values are given as parameters.
    Sql,
    ListOf(&'static Shape),
    /// One value, or a list of them.
    OneOrMany(&'static Shape),
    /// A mapping of free names to values of this shape.
    MapOf(&'static Shape),
    /// A mapping with these keys.
    Record(&'static [Field]),
}
