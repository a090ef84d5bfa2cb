//! Parses the arguments after `start <runbook>`: parameters, and the options of the terminal's `start`, as `--name
//! value` or `name=value`. Phones may turn two hyphens into a dash and use typographic quotes.
//!
//! Not here: whether the arguments fit the runbook; `handlers::start` and the engine check that.

use serde::{Deserialize, Serialize};

use super::command::opens_quote;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::command::{Refused, parse_detected_at};
use crate::domain::incident::decide::suggest;
use crate::domain::incident::event::Mode;

/// Options without a value.
const FLAGS: [&str; 6] = ["auto", "yes", "y", "step", "detach", "plan"];
/// Options that take a value.
const TAKING: [&str; 5] = ["env", "param", "title", "detected-at", "incident"];
/// The longest word repeated in an error, in characters.
const SHOWN: usize = 40;

/// The parsed arguments of `start`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartArgs {
    /// The existing incident, as typed; none opens a new one.
    pub incident: Option<String>,
    pub environment: Option<String>,
    pub params: Vec<(String, String)>,
    /// How often to ask; none means guided.
    pub mode: Option<Mode>,
    pub title: Option<String>,
    /// When the incident was first noticed.
    pub detected_at: Option<Timestamp>,
}

/// The names that words are matched against.
#[derive(Debug)]
pub struct StartVocabulary<'a> {
    pub runbook: &'a str,
    /// The names of its parameters; they take precedence over options of the same name.
    pub params: Vec<&'a str>,
    pub environments: Vec<&'a str>,
    /// The current time, for values such as `10m`.
    pub now: Timestamp,
}

impl StartArgs {
    /// Parses the text after the runbook's name.
    ///
    /// # Errors
    /// The word that is not understood, with what to type instead.
    pub fn read(typed: &str, known: &StartVocabulary<'_>) -> Result<Self, Refused> {
        let mut order = Self::default();
        let mut words = split_quoted(typed).into_iter();
        while let Some(word) = words.next() {
            let bare = word.trim_start_matches(['-', '–', '—']);
            let (name, value) = match bare.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (bare, None),
            };
            if bare.len() < word.len() {
                let value = if TAKING.contains(&name) { value.or_else(|| words.next()) } else { value };
                order.option(name, value, known)?;
            } else {
                order.code(name, value, known)?;
            }
        }
        Ok(order)
    }

    /// Handles a word that begins with hyphens.
    fn option(&mut self, name: &str, value: Option<String>, known: &StartVocabulary<'_>) -> Result<(), Refused> {
        match (name, value) {
            ("auto" | "yes" | "y", None) => self.how(Mode::Auto),
            ("step", None) => self.how(Mode::Step),
            // A run started in Slack is always detached.
            ("detach", None) => Ok(()),
            ("plan", None) => Err(Refused::usage("a plan is shown by the terminal")
                .hint(format!("Type `/runbook show {}` for its steps.", known.runbook))),
            ("param", Some(value)) => match value.split_once('=') {
                Some((name, value)) => self.param(name, value.to_owned()),
                None => Err(nothing(&value, known)),
            },
            (name, Some(value)) if TAKING.contains(&name) => self.set(name, value, known.now),
            (name, None) if TAKING.contains(&name) => Err(Refused::usage(format!("`--{name}` takes a value"))
                .hint(format!("Type `/runbook start {} --{name} <value>`.", known.runbook))),
            (name, _) => {
                let all = [FLAGS.as_slice(), TAKING.as_slice()].concat();
                let refused = Refused::usage(format!("there is no option `--{}`", one_line(name, SHOWN)));
                Err(refused.hint(suggest(name, &all, "--")))
            }
        }
    }

    /// Handles any other word.
    fn code(&mut self, name: &str, value: Option<String>, known: &StartVocabulary<'_>) -> Result<(), Refused> {
        let is_param = known.params.contains(&name);
        match (name, value) {
            (name, Some(value)) if is_param => self.param(name, value),
            ("env" | "title" | "incident", Some(value)) => self.set(name, value, known.now),
            ("detected" | "detected_at" | "detected-at", Some(value)) => self.set("detected-at", value, known.now),
            ("auto", None) => self.how(Mode::Auto),
            ("step", None) => self.how(Mode::Step),
            (name, None) if known.environments.contains(&name) => self.set("env", name.to_owned(), known.now),
            (name, Some(value)) if !name.is_empty() => self.param(name, value),
            (name, _) => Err(nothing(name, known)),
        }
    }

    fn param(&mut self, name: &str, value: String) -> Result<(), Refused> {
        self.params.push((name.to_owned(), value));
        Ok(())
    }

    fn set(&mut self, option: &str, value: String, now: Timestamp) -> Result<(), Refused> {
        match option {
            "env" => self.environment = Some(value),
            "title" => self.title = Some(value),
            "incident" => self.incident = Some(value),
            _ => self.detected_at = Some(parse_detected_at(&value, now)?),
        }
        Ok(())
    }

    fn how(&mut self, mode: Mode) -> Result<(), Refused> {
        if self.mode.is_some_and(|other| other != mode) {
            return Err(Refused::usage("`auto` and `step` cannot go together").hint("Type one of them."));
        }
        self.mode = Some(mode);
        Ok(())
    }
}

fn nothing(word: &str, known: &StartVocabulary<'_>) -> Refused {
    let refused = Refused::usage(format!("`{}` is no `name=value`", one_line(word, SHOWN)));
    let params = known.params.first().map_or("name", |name| name);
    refused.hint(format!("Type `/runbook start {} {params}=<value>`.", known.runbook))
}

/// Splits text into words. A word, or its value, in quotes may contain blanks.
fn split_quoted(typed: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = typed.trim();
    while !rest.is_empty() {
        let mut word = String::new();
        let mut quoted = false;
        let mut letters = rest.chars();
        for c in letters.by_ref() {
            match c {
                c if quoted && opens_quote(c) => quoted = false,
                c if !quoted && opens_quote(c) && (word.is_empty() || word.ends_with('=')) => quoted = true,
                c if !quoted && c.is_whitespace() => break,
                c => word.push(c),
            }
        }
        words.push(word);
        rest = letters.as_str().trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> Result<StartArgs, String> {
        let now = "2026-11-22T03:00:00Z".parse().unwrap();
        let known =
            StartVocabulary { runbook: "p1", params: vec!["service", "step"], environments: vec!["production"], now };
        StartArgs::read(typed, &known).map_err(|no| format!("{}. {}", no.message, no.hint.unwrap_or_default()))
    }

    #[test]
    fn the_terminals_words_and_a_telephones_mean_the_same() {
        let typed = read("--env production --auto --param service=search --title “the shop is slow” --detected-at 10m");
        let short = read("production auto service=search title='the shop is slow' detected=10m");
        let bent = read(
            "—env=production —auto service=“search” —title \"the shop is slow\" —detected-at=2026-11-22T02:50:00Z",
        );
        assert_eq!(typed, short);
        assert_eq!(typed, bent);
        let order = typed.unwrap();
        assert_eq!((order.environment.as_deref(), order.mode), (Some("production"), Some(Mode::Auto)));
        assert_eq!(order.params, [("service".to_owned(), "search".to_owned())]);
        assert_eq!(order.title.as_deref(), Some("the shop is slow"));
        assert_eq!(order.detected_at, Some("2026-11-22T02:50:00Z".parse().unwrap()));
    }

    #[test]
    fn values_may_be_quoted_as_telephones_do() {
        let order = read("service=gateway reason=“it is slow” n='' why=it's").unwrap();
        let read: Vec<(&str, &str)> =
            order.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("service", "gateway"), ("reason", "it is slow"), ("n", ""), ("why", "it's")]);
    }

    #[test]
    fn a_parameter_goes_before_an_option_of_its_name() {
        assert_eq!(read("step=3").unwrap().params, [("step".to_owned(), "3".to_owned())]);
        assert_eq!(read("--step").unwrap().mode, Some(Mode::Step));
    }

    #[test]
    fn what_means_nothing_is_said_with_what_to_type() {
        for (typed, said) in [
            ("gateway", "`gateway` is no `name=value`. Type `/runbook start p1 service=<value>`."),
            ("--atuo", "there is no option `--atuo`. Did you mean `--auto`?"),
            ("--env", "`--env` takes a value. Type `/runbook start p1 --env <value>`."),
            ("--plan", "a plan is shown by the terminal. Type `/runbook show p1` for its steps."),
            ("auto step", "`auto` and `step` cannot go together. Type one of them."),
            ("=x", "`` is no `name=value`. Type `/runbook start p1 service=<value>`."),
        ] {
            assert_eq!(read(typed).unwrap_err(), said);
        }
        assert!(read("detected=soon").unwrap_err().contains("`soon` is no time"));
    }
}
