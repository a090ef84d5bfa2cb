//! What `estate.yaml` may hold, as one table: every key with its shape, its meaning and its default.
//!
//! The checker's key lists and shape checks, the JSON Schema and the manual follow from it; a key of the estate is written
//! nowhere else but in the struct that holds its value.
//!
//! **Invariant:** the table and the structs have the same fields. A test compares them.
//!
//! Not here: rules between fields, such as "a service cannot depend on itself". They are code of
//! [`estate_check`](super::estate_check).

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

/// The names of a list of names with their values.
pub(in crate::domain) const fn names<T, const N: usize>(pairs: &[(&'static str, T)]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = pairs[at].0;
        at += 1;
    }
    words
}

/// A mapping with known keys.
#[derive(Debug)]
pub struct Section {
    /// How messages call it, with an article or as a key: `a service`.
    pub what: &'static str,
    /// Its heading in the manual. A section without one is small and shown where it is used.
    pub title: &'static str,
    /// What the manual says of it as a whole.
    pub about: &'static str,
    /// Its keys, in the order of the manual.
    pub fields: &'static [EstateField],
    /// Keys of which exactly one is given.
    pub ways: Option<&'static Alternatives>,
    /// Whether it may be left empty: `ada:` with nothing behind it.
    pub may_be_empty: bool,
    /// Whether a text in its place is taken for a secret that somebody wrote into the file.
    pub is_secret: bool,
    /// A key, and the name that expressions within see only when that key is given.
    pub brings: Option<(&'static str, &'static str)>,
}

impl Section {
    /// A section with these fields and nothing special.
    pub const fn new(what: &'static str, title: &'static str, fields: &'static [EstateField]) -> Self {
        Self { what, title, about: "", fields, ways: None, may_be_empty: false, is_secret: false, brings: None }
    }

    /// Its keys.
    pub fn keys(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).collect()
    }

    /// The fields that belong to no way.
    pub fn common(&self) -> impl Iterator<Item = &'static EstateField> + '_ {
        self.fields.iter().filter(|field| self.ways.is_none_or(|ways| ways.of(field.name).is_none()))
    }

    /// This section and every section within it, each once and before those within it.
    pub fn sections(&'static self) -> Vec<&'static Self> {
        let mut sections = Vec::new();
        self.gather(&mut sections);
        sections
    }

    fn gather(&'static self, sections: &mut Vec<&'static Self>) {
        if sections.iter().any(|known| std::ptr::eq(*known, self)) {
            return;
        }
        sections.push(self);
        for section in self.fields.iter().flat_map(|field| field.shape.sections()) {
            section.gather(sections);
        }
    }
}

/// Alternatives of a section, of which exactly one is given.
#[derive(Debug)]
pub struct Alternatives {
    /// The alternatives.
    pub ways: &'static [Alternative],
    /// The message when none is given.
    pub none: &'static str,
    /// The message when there are two; the two keys follow it.
    pub two: &'static str,
    /// What to do then, if there is more to say.
    pub two_help: &'static str,
}

/// One alternative of a section.
#[derive(Debug)]
pub struct Alternative {
    /// The key that chooses it.
    pub key: &'static str,
    /// The keys that must be given with it.
    pub with: &'static [&'static str],
    /// The keys that may be given with it.
    pub may: &'static [&'static str],
}

impl Alternative {
    /// A way of one key.
    pub const fn alone(key: &'static str) -> Self {
        Self { key, with: &[], may: &[] }
    }

    /// Every key of it.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.key).chain(self.with.iter().copied()).chain(self.may.iter().copied())
    }
}

impl Alternatives {
    /// The way that a key belongs to.
    pub fn of(&self, key: &str) -> Option<&'static Alternative> {
        self.ways.iter().find(|way| way.keys().any(|known| known == key))
    }

    /// The keys that choose a way.
    pub fn keys(&self) -> Vec<&'static str> {
        self.ways.iter().map(|way| way.key).collect()
    }
}

/// A mapping with free keys.
#[derive(Debug)]
pub struct Entries {
    /// What it holds: `services`.
    pub plural: &'static str,
    /// By what, for messages: `by name`.
    pub by: &'static str,
    /// What a key may be.
    pub key: EntryKey,
    /// What each key holds.
    pub value: EstateShape,
    /// Whether nothing in its place means that it has no entries.
    pub may_be_null: bool,
    /// The message when it has no entries, where it must have one.
    pub needed: Option<&'static str>,
}

impl Entries {
    /// Entries by name, which may be left empty.
    pub const fn by_name(plural: &'static str, value: EstateShape) -> Self {
        Self { plural, by: "by name", key: EntryKey::Name, value, may_be_null: true, needed: None }
    }

    /// How messages call it: `a mapping of services by name`.
    pub fn what(&self) -> String {
        format!("a mapping of {} {}", self.plural, self.by).trim_end().to_owned()
    }
}

/// What the keys of [`Entries`] may be.
#[derive(Debug, Clone, Copy)]
pub enum EntryKey {
    /// Any text.
    Free,
    /// A name.
    Name,
    /// A text that fits a pattern.
    Pattern(&'static Pattern),
}

/// A list of limited length.
#[derive(Debug)]
pub struct Items {
    /// What each item may be.
    pub item: EstateShape,
    /// Whether one value may stand for a list of it.
    pub one: bool,
    /// The fewest items.
    pub min: usize,
    /// The most items.
    pub max: usize,
    /// The message for another number of items; `{}` stands for the number.
    pub message: &'static str,
    /// What to do then; empty where the message says it.
    pub help: &'static str,
}

/// A text with a form of its own.
#[derive(Debug)]
pub struct Pattern {
    /// How the manual calls it: `address`.
    pub name: &'static str,
    /// The same for editors, as a regular expression of JSON Schema; it may accept more. Empty: one of `words` in any case.
    pub regex: &'static str,
    /// A wider pattern that the text must fit first.
    pub wider: Option<&'static Pattern>,
    /// The text as it is kept; nothing for a text that does not fit.
    pub read: fn(&str) -> Option<String>,
    /// The message for a text that does not fit; `{}` stands for the text.
    pub message: &'static str,
    /// What to write instead, likewise; `{words}` stands for `words`.
    pub help: &'static str,
    /// Words that may have been meant.
    pub words: &'static [&'static str],
}

impl Pattern {
    /// A pattern of its own, without words.
    pub const fn new(name: &'static str, regex: &'static str, read: fn(&str) -> Option<String>) -> Self {
        Self { name, regex, wider: None, read, message: "", help: "", words: &[] }
    }
}

/// A part of the estate whose entries are referred to by name.
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

    /// One entry of it.
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

/// What a value of the estate may be. Nothing in the estate is a template.
#[derive(Debug, Clone, Copy)]
pub enum EstateShape {
    /// Text.
    Text,
    /// A name: lower-case letters, digits, `-` and `_`.
    Name,
    /// A word of another program: text, a whole number or a boolean. It is compared whatever its case.
    Word,
    /// A whole number in a range, both ends included.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// `true`, or left out.
    True,
    /// A length of time: `90s`, `15m`.
    Duration,
    /// Any YAML value.
    Any,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A text of this form.
    Pattern(&'static Pattern),
    /// The name of an entry of this part.
    NameIn(Part),
    /// An e-mail address, or a person who has one.
    Recipient,
    /// `{ secret: name }`, or the name alone.
    SecretKey,
    /// An expression that sees these names.
    ExpressionOver(&'static [&'static str]),
    /// A list.
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
        /// The mapping.
        mapping: &'static EstateShape,
        /// Anything else.
        other: &'static EstateShape,
    },
}

impl EstateShape {
    /// A TCP port.
    pub const PORT: Self = Self::Integer { min: 1, max: 65_535 };

    /// The sections that a value of this shape may be, or hold.
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
