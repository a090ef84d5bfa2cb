//! Reads mappings and scalars of a file and reports every problem: unknown, duplicate, missing and wrong values.
//!
//! **Invariant:** a function that returns `None` has reported the problem, except for an optional key that is missing.
//!
//! Not here: the meaning of keys; see [`estate_check`](crate::domain::config::estate_check) and
//! [`check`](crate::domain::runbook::check).

use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, Source, SourceSpan, visible};
use crate::domain::core::id::is_name;
use crate::domain::core::time;

/// The longest text of one field, in bytes; scripts are the longest texts in use.
const MAX_TEXT: usize = 64 << 10;

/// The problems of one file.
pub(in crate::domain) struct FileProblems<'a> {
    pub source: &'a Source,
    /// In the order in which they were found.
    pub problems: Vec<Problem>,
}

impl<'a> FileProblems<'a> {
    /// A list without problems.
    pub const fn new(source: &'a Source) -> Self {
        Self { source, problems: Vec::new() }
    }

    /// Adds a problem.
    pub fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reports "expected …, found …".
    pub fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        self.add(Problem::new(node.span.clone(), format!("expected {what}, found {}", node.what())));
        None
    }

    /// A text that is not empty.
    pub fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let Content::Text(text) = &node.content else {
            let quotable = matches!(node.content, Content::Boolean(_) | Content::Integer(_) | Content::Number(_));
            self.expected::<()>(node, "text");
            if let (true, Some(problem)) = (quotable, self.problems.last_mut()) {
                problem.help = Some("Put it in quotes.".to_owned());
            }
            return None;
        };
        if text.trim().is_empty() {
            self.add(Problem::new(node.span.clone(), "the text is empty"));
            return None;
        }
        if text.len() > MAX_TEXT {
            self.add(Problem::new(node.span.clone(), "the text is longer than 64 KiB"));
            return None;
        }
        Some(text)
    }

    /// A name: lower-case letters, digits, `-` and `_`.
    pub fn name(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        self.named(text, &node.span)
    }

    /// The same for a key.
    pub fn named(&mut self, text: &str, span: &SourceSpan) -> Option<String> {
        if is_name(text) {
            return Some(text.to_owned());
        }
        let problem = Problem::new(span.clone(), format!("`{}` is not a name", visible(text, MAX_QUOTED)));
        self.add(problem.help("Use a lower-case letter, then lower-case letters, digits, `-` and `_`; at most 64."));
        None
    }

    /// The value of one of these keywords.
    pub fn keyword<T: Copy>(&mut self, node: &Node, keywords: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some((_, value)) = keywords.iter().find(|(keyword, _)| *keyword == text) {
            return Some(*value);
        }
        let known: Vec<&str> = keywords.iter().map(|(keyword, _)| *keyword).collect();
        self.unknown_keyword(node, text, &known);
        None
    }

    /// Reports a text that is none of `known`.
    pub fn unknown_keyword(&mut self, node: &Node, text: &str, known: &[&str]) {
        let problem =
            Problem::new(node.span.clone(), format!("`{}` is not one of {}", visible(text, MAX_QUOTED), list(known)));
        self.add(problem.did_you_mean(text, known.iter().copied()));
    }

    /// A length of time.
    pub fn duration(&mut self, node: &Node) -> Option<time::Span> {
        let problem = match &node.content {
            Content::Text(text) => match text.parse::<time::Span>() {
                Ok(span) if span > MAX_SPAN => {
                    Problem::new(node.span.clone(), format!("`{span}` is longer than {MAX_SPAN}"))
                }
                Ok(span) => return Some(span),
                Err(_) => {
                    let shown = visible(text, MAX_QUOTED);
                    Problem::new(node.span.clone(), format!("`{shown}` is not a length of time"))
                        .help("Write a number and a unit, such as `90s`, `15m` or `24h`.")
                }
            },
            Content::Integer(number) => Problem::new(node.span.clone(), "a length of time needs a unit")
                .help(format!("Write `{number}s` for seconds or `{number}m` for minutes.")),
            _ => return self.expected(node, "a length of time such as `90s` or `15m`"),
        };
        self.add(problem);
        None
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node) -> Option<bool> {
        match &node.content {
            Content::Boolean(value) => Some(*value),
            Content::Text(text) if matches!(text.as_str(), "yes" | "no" | "on" | "off" | "True" | "False") => {
                let help =
                    if matches!(text.as_str(), "yes" | "on" | "True") { "Write `true`." } else { "Write `false`." };
                self.add(
                    Problem::new(node.span.clone(), format!("expected `true` or `false`, found `{text}`")).help(help),
                );
                None
            }
            _ => self.expected(node, "`true` or `false`"),
        }
    }

    /// A whole number in a range.
    pub fn integer(&mut self, node: &Node, min: i64, max: i64) -> Option<i64> {
        match &node.content {
            Content::Integer(number) if (min..=max).contains(number) => Some(*number),
            Content::Integer(number) => {
                self.add(Problem::new(node.span.clone(), format!("`{number}` is not between {min} and {max}")));
                None
            }
            Content::Text(text) if text.parse::<i64>().is_ok() => {
                self.add(
                    Problem::new(node.span.clone(), "expected a whole number, found text")
                        .help("Take the quotes away."),
                );
                None
            }
            _ => self.expected(node, "a whole number"),
        }
    }

    /// The items of a list.
    pub fn items<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        match &node.content {
            Content::List(items) => Some(items),
            _ => self.expected(node, "a list"),
        }
    }

    /// The items of a list, or the value if it is no list.
    pub fn one_or_many<'n>(&mut self, node: &'n Node) -> &'n [Node] {
        match &node.content {
            Content::List(items) => items,
            _ => std::slice::from_ref(node),
        }
    }

    /// The entries of a mapping. Duplicate keys are reported and left out.
    pub fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<Vec<&'n Entry>> {
        let Content::Map(entries) = &node.content else { return self.expected(node, what) };
        let mut unique: Vec<&Entry> = Vec::with_capacity(entries.len());
        let mut seen = std::collections::HashMap::with_capacity(entries.len());
        for entry in entries {
            match seen.get(entry.key.as_str()) {
                Some(first) => self.duplicate_key(entry, first),
                None => {
                    seen.insert(entry.key.as_str(), entry.key_span.clone());
                    unique.push(entry);
                }
            }
        }
        Some(unique)
    }

    fn duplicate_key(&mut self, entry: &Entry, first: &SourceSpan) {
        let message = format!("duplicate key `{}`", visible(&entry.key, MAX_QUOTED));
        let problem = Problem::new(entry.key_span.clone(), message).related(first.clone(), "it is here first");
        self.add(problem.help("Take one of the two away."));
    }
}

/// The longest length of time in a file: nothing in an incident takes longer than a year.
const MAX_SPAN: time::Span = time::Span::seconds(366 * 24 * 3600);

/// The entries of a mapping, without duplicate keys.
pub(in crate::domain) struct Fields<'n> {
    entries: Vec<&'n Entry>,
    /// The place of its first key, or of the mapping if it is empty.
    pub span: SourceSpan,
}

impl<'n> Fields<'n> {
    /// Opens a mapping with known keys. Unknown and duplicate keys are reported and left out.
    pub fn open(report: &mut FileProblems<'_>, node: &'n Node, what: &str, known: &[&str]) -> Option<Self> {
        let mut fields = Self::open_any(report, node, what)?;
        let (allowed, unknown): (Vec<&Entry>, Vec<&Entry>) =
            fields.entries.iter().partition(|entry| known.contains(&entry.key.as_str()));
        for entry in unknown {
            unknown_key(report, entry, what, known);
        }
        fields.entries = allowed;
        Some(fields)
    }

    /// Opens a mapping with any keys, which the caller checks. Duplicate keys are reported and left out.
    pub fn open_any(report: &mut FileProblems<'_>, node: &'n Node, what: &str) -> Option<Self> {
        let entries = report.entries(node, what)?;
        let span = entries.first().map_or_else(|| node.span.clone(), |entry| entry.key_span.clone());
        Some(Self { entries, span })
    }

    /// The entry under a key.
    pub fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key).copied()
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value under a required key; a missing key is reported.
    pub fn required(&self, report: &mut FileProblems<'_>, key: &str, what: &str) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            report
                .add(Problem::new(self.span.clone(), format!("{what} needs `{key}`")).help(format!("Add `{key}: …`.")));
        }
        found
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = &'n Entry> + '_ {
        self.entries.iter().copied()
    }
}

/// Reports an unknown key.
pub(in crate::domain) fn unknown_key(report: &mut FileProblems<'_>, entry: &Entry, what: &str, known: &[&str]) {
    let message = format!("unknown key `{}` in {what}", visible(&entry.key, MAX_QUOTED));
    let problem = Problem::new(entry.key_span.clone(), message).did_you_mean(&entry.key, known.iter().copied());
    report.add(if entry.key == "<<" {
        problem.or_help("Merge keys are not read: write the keys out.")
    } else {
        problem.or_help(format!("The keys of {what} are {}.", list(known)))
    });
}

/// `` `a`, `b` and `c` ``.
pub(in crate::domain) fn list(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("`{text}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
