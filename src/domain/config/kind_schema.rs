//! How a kind of action describes the YAML it takes, as data.
//!
//! One list of these forms feeds the checker, the JSON Schema, the manual, completions, the plan and `runbook kinds`.

use serde_json::Value;

use crate::domain::core::effect::EffectClass;

/// What a kind is and takes.
#[derive(Debug)]
pub struct KindForm {
    /// The key in a step: `systemd`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The field that a bare scalar or list stands for: `shell: "echo"` is `shell: {script: "echo"}`.
    pub shorthand: Option<&'static str>,
    /// Fields of which exactly one is given and which say what to do; empty when the kind does one thing.
    pub verbs: &'static [Verb],
    /// The other fields.
    pub fields: &'static [Field],
    /// The effect class of a spec as written in the file. Templates are not rendered yet: only keys and
    /// literal values may be looked at.
    pub effect: fn(&Value) -> EffectClass,
    /// What later steps may refer to.
    pub outputs: &'static [OutputField],
    /// A step body in YAML that the checker accepts.
    pub example: &'static str,
}

/// One thing a kind can do: the field that asks for it, and how often it may happen.
#[derive(Debug)]
pub struct Verb {
    /// The field: its value is the verb's object.
    pub field: Field,
    /// How often it may happen.
    pub effect: EffectClass,
}

/// One key of a mapping. Its shape is a [`Shape`] in a kind, and an
/// [`EstateShape`](super::estate_schema::EstateShape) in the estate.
#[derive(Debug)]
pub struct Field<S = Shape> {
    /// The key.
    pub name: &'static str,
    /// What its value may be.
    pub shape: S,
    /// Whether it must be given.
    pub required: bool,
    /// One sentence, with the unit.
    pub help: &'static str,
    /// The value in its place when it is left out, as YAML, where that is one value.
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

/// One field of what an action leaves for later steps.
#[derive(Debug)]
pub struct OutputField {
    /// The field after `steps.<id>.`
    pub name: &'static str,
    /// One sentence, with the shape and the unit.
    pub help: &'static str,
}

/// What a value may be. Every shape but [`Shape::Script`], [`Shape::Expression`] and [`Shape::Sql`] may hold `{{ … }}` in its
/// texts.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Text.
    Text,
    /// A shell script: every interpolation is quoted by the renderer.
    Script,
    /// A whole number in a range, both ends included.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A length of time: `90s`, `15m`.
    Duration,
    /// Any YAML value.
    Any,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A systemd unit of the estate, or a glob pattern over them.
    Unit,
    /// A service of the estate.
    Service,
    /// A datastore of the estate.
    Datastore,
    /// A channel of the estate.
    Channel,
    /// Text, or `{secret: name}` with a secret of the estate.
    Secret,
    /// An expression over the scope: evaluated, not interpolated.
    Expression,
    /// SQL as it stands: nothing is interpolated, values are given as parameters.
    Sql,
    /// A list.
    ListOf(&'static Shape),
    /// One value, or a list of them.
    OneOrMany(&'static Shape),
    /// A mapping of free names to values of this shape.
    MapOf(&'static Shape),
    /// A mapping with these keys.
    Record(&'static [Field]),
}
