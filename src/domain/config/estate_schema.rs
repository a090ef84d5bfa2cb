//! The keys of `estate.yaml`, as one table: each with its shape, its help and its default.
//!
//! The checks of keys and shapes, the JSON Schema and the manual follow from this table.
//!
//! **Invariant:** the table and the structs have the same fields. A test compares them.
//!
//! Not here: rules between fields, such as "a service cannot depend on itself"; see [`estate_check`](super::estate_check).

mod alerts;
mod channel;
mod environment;
mod estate;
mod inventory;
pub(in crate::domain) mod pattern;
mod sender;
mod senders_mapping;

use super::kind_schema::Field;

pub use self::estate::ESTATE;
pub(in crate::domain) use self::inventory::SECRET_REF;
pub(in crate::domain) use self::sender::FORMS;

/// One key of the estate.
pub type EstateField = Field<EstateShape>;

/// The names in a list of names with their values.
pub(in crate::domain) const fn names<T, const N: usize>(pairs: &[(&'static str, T)]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = pairs[at].0;
        at += 1;
    }
    names
}

/// A mapping with known keys.
#[derive(Debug)]
pub struct Section {
    /// Its name in messages, with an article or as a key: `a service`.
    pub what: &'static str,
    /// Its heading in the manual. A section without one is small, and the manual shows it where it is used.
    pub title: &'static str,
    /// Its introduction in the manual.
    pub about: &'static str,
    /// Its keys, in the order of the manual.
    pub fields: &'static [EstateField],
    /// The alternatives of which exactly one is given.
    pub alternatives: Option<&'static Alternatives>,
    /// Whether its value may be missing: `ada:` with nothing behind it.
    pub may_be_empty: bool,
    /// Whether a text in its place is reported as a secret that was written into the file.
    pub is_secret: bool,
    /// A key, and a name that expressions in this section can use only when that key is given.
    pub conditional_name: Option<(&'static str, &'static str)>,
}

impl Section {
    /// A section with these fields and no special rule.
    pub const fn new(what: &'static str, title: &'static str, fields: &'static [EstateField]) -> Self {
        Self {
            what,
            title,
            about: "",
            fields,
            alternatives: None,
            may_be_empty: false,
            is_secret: false,
            conditional_name: None,
        }
    }

    /// Its keys.
    pub fn keys(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).collect()
    }

    /// The fields that belong to no alternative.
    pub fn common(&self) -> impl Iterator<Item = &'static EstateField> + '_ {
        self.fields
            .iter()
            .filter(|field| self.alternatives.is_none_or(|alternatives| alternatives.of(field.name).is_none()))
    }

    /// This section and every section within it, each once and before its own sections.
    pub fn sections(&'static self) -> Vec<&'static Self> {
        let mut sections = Vec::new();
        self.collect_sections(&mut sections);
        sections
    }

    fn collect_sections(&'static self, sections: &mut Vec<&'static Self>) {
        if sections.iter().any(|known| std::ptr::eq(*known, self)) {
            return;
        }
        sections.push(self);
        for section in self.fields.iter().flat_map(|field| field.shape.sections()) {
            section.collect_sections(sections);
        }
    }
}

/// The alternatives of a section, of which exactly one is given.
#[derive(Debug)]
pub struct Alternatives {
    pub list: &'static [Alternative],
    /// The message when none is given.
    pub message_if_none: &'static str,
    /// The message when two are given; the two keys follow it.
    pub message_if_two: &'static str,
    /// The help for that message, or empty.
    pub help_if_two: &'static str,
}

/// One alternative of a section.
#[derive(Debug)]
pub struct Alternative {
    /// The key that chooses it.
    pub key: &'static str,
    /// The keys that must be given with it.
    pub required: &'static [&'static str],
    /// The keys that may be given with it.
    pub optional: &'static [&'static str],
}

impl Alternative {
    /// An alternative with one key.
    pub const fn alone(key: &'static str) -> Self {
        Self { key, required: &[], optional: &[] }
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.key).chain(self.required.iter().copied()).chain(self.optional.iter().copied())
    }
}

impl Alternatives {
    /// The alternative to which a key belongs.
    pub fn of(&self, key: &str) -> Option<&'static Alternative> {
        self.list.iter().find(|alternative| alternative.keys().any(|known| known == key))
    }

    /// The keys that choose an alternative.
    pub fn keys(&self) -> Vec<&'static str> {
        self.list.iter().map(|alternative| alternative.key).collect()
    }
}

/// A mapping with free keys.
#[derive(Debug)]
pub struct Entries {
    /// What its values are: `services`.
    pub plural: &'static str,
    /// What its keys are, in messages: `by name`.
    pub keyed_by: &'static str,
    pub key: EntryKey,
    pub value: EstateShape,
    /// Whether it may be null, which means that it has no entries.
    pub may_be_null: bool,
    /// The message when it has no entries; none if it may have none.
    pub needed: Option<&'static str>,
}

impl Entries {
    /// Entries by name; there may be none.
    pub const fn by_name(plural: &'static str, value: EstateShape) -> Self {
        Self { plural, keyed_by: "by name", key: EntryKey::Name, value, may_be_null: true, needed: None }
    }

    /// Its description in messages: `a mapping of services by name`.
    pub fn what(&self) -> String {
        format!("a mapping of {} {}", self.plural, self.keyed_by).trim_end().to_owned()
    }
}

/// The keys of [`Entries`].
#[derive(Debug, Clone, Copy)]
pub enum EntryKey {
    /// Any text.
    Free,
    /// A name.
    Name,
    /// A text that matches a pattern.
    Pattern(&'static Pattern),
}

/// A list of limited length.
#[derive(Debug)]
pub struct Items {
    pub item: EstateShape,
    /// Whether one value may be given in place of a list with one item.
    pub one: bool,
    /// The fewest items.
    pub min: usize,
    /// The most items.
    pub max: usize,
    /// The message for another number of items; `{}` is replaced by the number.
    pub message: &'static str,
    /// The help for that message, or empty.
    pub help: &'static str,
}

/// A text with a syntax.
#[derive(Debug)]
pub struct Pattern {
    /// Its name in the manual: `address`.
    pub name: &'static str,
    /// The regular expression of the JSON Schema. It may accept more than `read`. If empty, the schema accepts `words` in any case.
    pub regex: &'static str,
    /// A wider pattern, which the text must match first.
    pub wider: Option<&'static Pattern>,
    /// Returns the text in its normal form, or nothing for a text that does not match.
    pub read: fn(&str) -> Option<String>,
    /// The message for a text that does not match; `{}` is replaced by the text.
    pub message: &'static str,
    /// The help for that message; `{}` is replaced by the text, and `{words}` by the list of `words`.
    pub help: &'static str,
    /// The values from which one may be suggested.
    pub words: &'static [&'static str],
}

impl Pattern {
    /// A pattern with a name, a regular expression and a reader only.
    pub const fn new(name: &'static str, regex: &'static str, read: fn(&str) -> Option<String>) -> Self {
        Self { name, regex, wider: None, read, message: "", help: "", words: &[] }
    }
}

/// A section of the estate whose entries are referred to by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `environments`.
    Environments,
    /// `services`.
    Services,
    /// `channels`.
    Channels,
    /// `people`.
    People,
    /// `secrets`.
    Secrets,
}

impl Part {
    /// Every part.
    pub const ALL: &[Self] = &[Self::Environments, Self::Services, Self::Channels, Self::People, Self::Secrets];

    /// Its key in the estate.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Environments => "environments",
            Self::Services => "services",
            Self::Channels => "channels",
            Self::People => "people",
            Self::Secrets => "secrets",
        }
    }

    /// The noun for one entry of it.
    pub const fn one(self) -> &'static str {
        match self {
            Self::Environments => "environment",
            Self::Services => "service",
            Self::Channels => "channel",
            Self::People => "person",
            Self::Secrets => "secret",
        }
    }
}

/// The shape of a value of the estate. No value of the estate is a template.
#[derive(Debug, Clone, Copy)]
pub enum EstateShape {
    Text,
    /// A name: lower-case letters, digits, `-` and `_`.
    Name,
    /// A value of another program: text, a whole number or a boolean. It is compared as text, in lower case.
    Word,
    /// A whole number in a range, both ends included.
    Integer {
        min: i64,
        max: i64,
    },
    Boolean,
    /// `true`, or left out.
    True,
    /// A length of time: `90s`, `15m`.
    Duration,
    /// Any YAML value.
    Any,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A text that matches a pattern.
    Pattern(&'static Pattern),
    /// The name of an entry of this section.
    NameIn(Part),
    /// An e-mail address, or a person who has one.
    Recipient,
    /// `{ secret: name }`, or the name alone.
    SecretKey,
    /// An expression that can use these names.
    ExpressionOver(&'static [&'static str]),
    ListOf(&'static EstateShape),
    /// One value, or a list of them.
    OneOrMany(&'static EstateShape),
    /// A list of limited length.
    Items(&'static Items),
    /// A mapping with free keys.
    Entries(&'static Entries),
    /// A mapping with known keys.
    Section(&'static Section),
    /// A mapping of one shape, or a value of another shape that is no mapping.
    MappingOr {
        mapping: &'static EstateShape,
        other: &'static EstateShape,
    },
}

impl EstateShape {
    /// A TCP port.
    pub const PORT: Self = Self::Integer { min: 1, max: 65_535 };

    /// The sections that a value of this shape may be or contain.
    fn sections(&self) -> Vec<&'static Section> {
        match self {
            Self::Section(section) => vec![section],
            Self::SecretKey => vec![&SECRET_REF],
            Self::ListOf(item) | Self::OneOrMany(item) => item.sections(),
            Self::Items(items) => items.item.sections(),
            Self::Entries(entries) => entries.value.sections(),
            Self::MappingOr { mapping, other } => [mapping.sections(), other.sections()].concat(),
            Self::Text
            | Self::Name
            | Self::Word
            | Self::Integer { .. }
            | Self::Boolean
            | Self::True
            | Self::Duration
            | Self::Any
            | Self::OneOf(_)
            | Self::Pattern(_)
            | Self::NameIn(_)
            | Self::Recipient
            | Self::ExpressionOver(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
pub(in crate::domain) mod tests;
