//! Parses the text after `/runbook` into command, incident and arguments.
//!
//! **Invariant:** the first word of the arguments is an incident only if it has the form of an incident id. So a note may
//! begin with any other word.

use crate::domain::core::id::IncidentId;

/// The longest text that is parsed, in characters. Slack cuts a command after some thousands.
const TEXT_LIMIT: usize = 8_000;

/// A parsed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The first word in lower case; empty when nothing was typed.
    pub verb: String,
    /// The incident, if one was named.
    pub incident: Option<IncidentId>,
    /// The remaining text as typed.
    pub rest: String,
}

/// The commands that `/runbook help` lists.
pub const HELP: &[(&str, &str)] = &[
    ("/runbook", "list the questions that wait for you, with buttons"),
    ("/runbook start p1 [env=…] [name=value …] [auto|step] [title=…] [detected=10m]", "start a runbook"),
    ("/runbook status [incident]", "show an incident's state; `watch` is the same"),
    ("/runbook list", "list open incidents"),
    ("/runbook incidents", "list the most recent incidents"),
    ("/runbook timeline [incident]", "show an incident's timeline"),
    ("/runbook page [incident]", "show the link to an incident's page"),
    ("/runbook show [runbook]", "show a runbook, or list them all"),
    ("/runbook ack", "acknowledge an incident"),
    ("/runbook approve [step]", "show the change that waits for approval, with its button"),
    ("/runbook deny [step] <reason>", "deny a change"),
    ("/runbook answer [step] <text>", "answer a question"),
    ("/runbook retry [step]", "retry a failed step"),
    ("/runbook skip <step> <reason>", "skip a step"),
    ("/runbook undo <step>", "run a step's undo"),
    ("/runbook cancel <reason>", "cancel the runs of an incident"),
    ("/runbook note <text>", "add a note to the timeline"),
    ("/runbook role take|release <role>, role give <role> <person>", "take, release or assign a role"),
    ("/runbook severity p1|p2|p3|p4", "change an incident's severity"),
    ("/runbook update <text>", "send stakeholders an update"),
    ("/runbook resolve [text]", "resolve an incident"),
    ("/runbook postmortem [complete]", "show where the draft is, or mark it as complete"),
    ("/runbook handoff", "show the hand-over for the next shift"),
    ("/runbook verify [incident]", "verify the integrity of an incident's log"),
];

impl Typed {
    /// Parses the text after `/runbook`.
    pub fn read(text: &str) -> Self {
        let text: String = text.chars().take(TEXT_LIMIT).collect();
        let (verb, rest) = match first(&text) {
            // The text is a pasted command.
            ("/runbook" | "runbook", rest) => first(rest),
            other => other,
        };
        let (word, after) = first(rest);
        let incident = word.parse().ok().filter(|_| has_form_of_incident(word));
        let rest = if incident.is_some() { after } else { rest };
        Self { verb: verb.to_lowercase(), incident, rest: rest.to_owned() }
    }

    /// Splits the first word from the remaining text.
    pub fn split(&self) -> (&str, &str) {
        first(&self.rest)
    }
}

/// Splits the first word from the text after it.
pub fn first(words: &str) -> (&str, &str) {
    let words = words.trim();
    let (word, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    (word, rest.trim())
}

/// Whether a word has the form of an incident id, such as `lusab-fidok`.
fn has_form_of_incident(word: &str) -> bool {
    let halves: Vec<&str> = word.split('-').collect();
    halves.len() == 2 && halves.iter().all(|half| is_half(half))
}

fn is_half(half: &str) -> bool {
    let kind = |c: char| {
        if "bdfghjklmnprstvz".contains(c) {
            'c'
        } else if "aiou".contains(c) {
            'v'
        } else {
            '?'
        }
    };
    half.chars().map(kind).collect::<String>() == "cvcvc"
}

/// Whether a character is a quotation mark, typographic ones included.
pub fn opens_quote(c: char) -> bool {
    "\"'“”„‘’".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_with_the_form_of_an_id_names_an_incident() {
        let typed = Typed::read("note lusab-fidok disk is full ");
        assert_eq!((typed.incident.unwrap().as_str(), typed.rest.as_str()), ("lusab-fidok", "disk is full"));
        let typed = Typed::read(" Note half-full disk");
        assert_eq!((typed.verb.as_str(), typed.incident, typed.rest.as_str()), ("note", None, "half-full disk"));
        assert_eq!((Typed::read("").verb.as_str(), Typed::read("/runbook status").verb.as_str()), ("", "status"));
    }
}
