//! Parses the arguments after `start <runbook>`: parameters, and the options of the terminal's `start`, as `--name
//! value` or `name=value`. Phones may turn two hyphens into a dash and use typographic quotes.
//!
//! Not here: checking the arguments against the runbook, which `handlers::start` and the engine do.

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
/// The longest quotation of a word in an error, in characters.
const QUOTE_LIMIT: usize = 40;

/// The parsed arguments of `start`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartArgs {
    /// The existing incident, as typed. Without it, a new one is opened.
    pub incident: Option<String>,
    pub environment: Option<String>,
    pub params: Vec<(String, String)>,
    /// How often a person is asked; guided when it is absent.
    pub mode: Option<Mode>,
    pub title: Option<String>,
    /// When the incident was first noticed.
    pub detected_at: Option<Timestamp>,
}

/// The names with which typed words are compared.
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
    /// A refusal for the first word that has no meaning, with the command to type as its hint.
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
                order.word(name, value, known)?;
            }
        }
        Ok(order)
    }

    /// Handles a word that begins with hyphens.
    fn option(&mut self, name: &str, value: Option<String>, known: &StartVocabulary<'_>) -> Result<(), Refused> {
        match (name, value) {
            ("auto" | "yes" | "y", None) => self.set_mode(Mode::Auto),
            ("step", None) => self.set_mode(Mode::Step),
            // A run started in Slack is always detached.
            ("detach", None) => Ok(()),
            ("plan", None) => Err(Refused::usage("only the terminal shows a plan")
                .hint(format!("Type `/runbook show {}` for its steps.", known.runbook))),
            ("param", Some(value)) => match value.split_once('=') {
                Some((name, value)) => self.param(name, value.to_owned()),
                None => Err(not_an_argument(&value, known)),
            },
            (name, Some(value)) if TAKING.contains(&name) => self.set(name, value, known.now),
            (name, None) if TAKING.contains(&name) => Err(Refused::usage(format!("`--{name}` takes a value"))
                .hint(format!("Type `/runbook start {} --{name} <value>`.", known.runbook))),
            (name, _) => {
                let all = [FLAGS.as_slice(), TAKING.as_slice()].concat();
                let refused = Refused::usage(format!("there is no option `--{}`", one_line(name, QUOTE_LIMIT)));
                Err(refused.hint(suggest(name, &all, "--")))
            }
        }
    }

    /// Handles any other word.
    fn word(&mut self, name: &str, value: Option<String>, known: &StartVocabulary<'_>) -> Result<(), Refused> {
        let is_param = known.params.contains(&name);
        match (name, value) {
            (name, Some(value)) if is_param => self.param(name, value),
            ("env" | "title" | "incident", Some(value)) => self.set(name, value, known.now),
            ("detected" | "detected_at" | "detected-at", Some(value)) => self.set("detected-at", value, known.now),
            ("auto", None) => self.set_mode(Mode::Auto),
            ("step", None) => self.set_mode(Mode::Step),
            (name, None) if known.environments.contains(&name) => self.set("env", name.to_owned(), known.now),
            (name, Some(value)) if !name.is_empty() => self.param(name, value),
            (name, _) => Err(not_an_argument(name, known)),
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

    fn set_mode(&mut self, mode: Mode) -> Result<(), Refused> {
        if self.mode.is_some_and(|other| other != mode) {
            return Err(Refused::usage("`auto` and `step` cannot go together").hint("Type one of them."));
        }
        self.mode = Some(mode);
        Ok(())
    }
}

fn not_an_argument(word: &str, known: &StartVocabulary<'_>) -> Refused {
    let refused = Refused::usage(format!("`{}` is not `name=value`", one_line(word, QUOTE_LIMIT)));
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
        StartArgs::read(typed, &known)
            .map_err(|refused| format!("{}. {}", refused.message, refused.hint.unwrap_or_default()))
    }

    #[test]
    fn long_options_short_forms_and_typographic_characters_mean_the_same() {
        let typed = read("--env production --auto --param service=search --title “the shop is slow” --detected-at 10m");
        let short = read("production auto service=search title='the shop is slow' detected=10m");
        let typographic = read(
            "—env=production —auto service=“search” —title \"the shop is slow\" —detected-at=2026-11-22T02:50:00Z",
        );
        assert_eq!(typed, short);
        assert_eq!(typed, typographic);
        let order = typed.unwrap();
        assert_eq!((order.environment.as_deref(), order.mode), (Some("production"), Some(Mode::Auto)));
        assert_eq!(order.params, [("service".to_owned(), "search".to_owned())]);
        assert_eq!(order.title.as_deref(), Some("the shop is slow"));
        assert_eq!(order.detected_at, Some("2026-11-22T02:50:00Z".parse().unwrap()));
    }

    #[test]
    fn values_may_have_typographic_quotes() {
        let order = read("service=gateway reason=“it is slow” n='' why=it's").unwrap();
        let read: Vec<(&str, &str)> =
            order.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("service", "gateway"), ("reason", "it is slow"), ("n", ""), ("why", "it's")]);
    }

    #[test]
    fn a_parameter_takes_precedence_over_an_option_of_the_same_name() {
        assert_eq!(read("step=3").unwrap().params, [("step".to_owned(), "3".to_owned())]);
        assert_eq!(read("--step").unwrap().mode, Some(Mode::Step));
    }

    #[test]
    fn a_word_without_meaning_is_refused_with_the_command_to_type() {
        for (typed, message) in [
            ("gateway", "`gateway` is not `name=value`. Type `/runbook start p1 service=<value>`."),
            ("--atuo", "there is no option `--atuo`. Did you mean `--auto`?"),
            ("--env", "`--env` takes a value. Type `/runbook start p1 --env <value>`."),
            ("--plan", "only the terminal shows a plan. Type `/runbook show p1` for its steps."),
            ("auto step", "`auto` and `step` cannot go together. Type one of them."),
            ("=x", "`` is not `name=value`. Type `/runbook start p1 service=<value>`."),
        ] {
            assert_eq!(read(typed).unwrap_err(), message);
        }
        assert!(read("detected=soon").unwrap_err().contains("`soon` is not a time"));
    }
}
