//! What was typed after `/runbook`, as a request that makes sense by itself.
//!
//! **Invariant:** a word is taken for an incident only when it is spelled as one, so that no note begins with the wrong word.

use crate::domain::core::id::IncidentId;

/// The longest text that is parsed, in characters; Slack cuts a command after some thousands.
const TYPED: usize = 8_000;

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
    ("/runbook", "what waits for you, with buttons"),
    (
        "/runbook start p1 [env=…] [name=value …] [auto|step] [title=…] [detected=10m]",
        "opens an incident with a runbook",
    ),
    ("/runbook status [incident]", "how it stands; `watch` is the same"),
    ("/runbook list", "incidents that are not over"),
    ("/runbook incidents", "the latest ones, over or not"),
    ("/runbook timeline [incident]", "what has happened last"),
    ("/runbook page [incident]", "the link to its page"),
    ("/runbook show [runbook]", "what a runbook does; which there are"),
    ("/runbook ack", "takes notice"),
    ("/runbook approve [step]", "shows the change that waits, with its button"),
    ("/runbook deny [step] <reason>", "refuses the change that waits"),
    ("/runbook answer [step] <words>", "answers the question that waits"),
    ("/runbook retry [step]", "tries what failed again"),
    ("/runbook skip <step> <reason>", "goes on without a step"),
    ("/runbook undo <step>", "takes a change back, the way its step says"),
    ("/runbook cancel <reason>", "stops every run"),
    ("/runbook note <words>", "writes something down"),
    ("/runbook role take|release <role>, role give <role> <person>", "who does what"),
    ("/runbook severity p1|p2|p3|p4", "how bad it is"),
    ("/runbook update <words>", "tells stakeholders how it stands"),
    ("/runbook resolve [words]", "says that the trouble is over"),
    ("/runbook postmortem [complete]", "where the draft is; that it is complete"),
    ("/runbook handoff", "what is known, was done and waits"),
    ("/runbook verify [incident]", "whether its log is whole"),
];

impl Typed {
    /// Parses the text after the command's name.
    pub fn read(words: &str) -> Self {
        let words: String = words.chars().take(TYPED).collect();
        let (verb, rest) = match first(&words) {
            // The user pasted a whole command.
            ("/runbook" | "runbook", rest) => first(rest),
            other => other,
        };
        let (named, behind) = first(rest);
        let incident = named.parse().ok().filter(|_| is_spelled_as_incident(named));
        let rest = if incident.is_some() { behind } else { rest };
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
fn is_spelled_as_incident(word: &str) -> bool {
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

/// Whether a character is a quotation mark; phones type typographic ones.
pub fn opens_quote(c: char) -> bool {
    "\"'“”„‘’".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_one_only_when_it_is_spelled_so() {
        let typed = Typed::read("note lusab-fidok disk is full ");
        assert_eq!((typed.incident.unwrap().as_str(), typed.rest.as_str()), ("lusab-fidok", "disk is full"));
        let typed = Typed::read(" Note half-full disk");
        assert_eq!((typed.verb.as_str(), typed.incident, typed.rest.as_str()), ("note", None, "half-full disk"));
        assert_eq!((Typed::read("").verb.as_str(), Typed::read("/runbook status").verb.as_str()), ("", "status"));
    }
}
