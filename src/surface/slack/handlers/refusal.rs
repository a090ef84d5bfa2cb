//! Refusals as messages: what is not possible, and what to type instead.

use super::super::parse::command::{Typed, first};
use super::super::render::block_kit::{Blocks, Text, text};
use super::super::render::card::Card;
use super::super::render::question::capital;
use crate::domain::core::id::IncidentId;
use crate::domain::core::suggest::{did_you_mean, nearest};
use crate::domain::core::text::one_line;
use crate::domain::incident::Incident;
use crate::domain::incident::command::Refused;
use crate::engine::EngineError;
use crate::store::StoreError;

/// The most incidents in a list.
const INCIDENT_LIMIT: usize = 20;
/// The longest suggested command, in characters.
const COMMAND_LIMIT: usize = 150;

/// A message of one line.
pub fn reply_text(words: &str) -> Card {
    let mut blocks = Blocks::default();
    blocks.line(vec![text(words)]);
    Card { summary: words.to_owned(), blocks }
}

/// The message for an engine error.
pub fn engine_refusal(error: &EngineError) -> Card {
    match error {
        EngineError::Refused(refused) => refusal(refused),
        EngineError::Store(StoreError::Taken { .. }) => reply_text("This was done before; nothing was done again."),
        EngineError::Store(error) => {
            tracing::warn!(%error, "the log has an error during a request from Slack");
            reply_text("The log cannot be read or written now; nothing was changed. Try again in a moment.")
        }
        EngineError::NotFound(_) => {
            reply_text(&format!("{}. `/runbook incidents` lists them.", capital(&error.to_string())))
        }
        other => reply_text(&capital(&other.to_string())),
    }
}

/// The message for an engine error of a request to an incident. A refusal without a next command gets the one that shows the
/// incident.
pub fn refusal_at(id: &IncidentId, error: &EngineError) -> Card {
    let card = engine_refusal(error);
    if card.has_next_command() || !matches!(error, EngineError::Refused(_)) {
        return card;
    }
    reply_text(&format!("{} Show its state: `/runbook status {id}`.", full_stop(&card.summary)))
}

fn full_stop(words: &str) -> String {
    if words.ends_with(['.', '?']) { words.to_owned() } else { format!("{words}.") }
}

/// A refusal with its hint, whose terminal commands are turned into slash commands.
pub fn refusal(refused: &Refused) -> Card {
    let hint = refused.hint.as_deref().unwrap_or_default();
    let hint = hint.replace("`runbook watch ", "`/runbook status ").replace("`runbook ", "`/runbook ");
    reply_text(format!("{}. {hint}", capital(&refused.message)).trim_end())
}

/// The reply when more than one incident is open: lists them, each with the command to type.
pub fn choose_incident(typed: &Typed, open: &[Incident]) -> Card {
    let mut lines = vec![vec![Text::Strong("More than one incident is open. Name one:".to_owned())]];
    lines.extend(open.iter().take(INCIDENT_LIMIT).map(|incident| {
        let shown = format!(" {} {}", incident.severity, one_line(&incident.title, COMMAND_LIMIT));
        vec![Text::Code(command(typed, &incident.id)), text(shown)]
    }));
    let mut blocks = Blocks::default();
    blocks.lines(lines);
    Card { summary: "More than one incident is open".to_owned(), blocks }
}

/// The reply when no incident is open: suggests the command for the last one.
pub fn no_open_incident(typed: &Typed, last: Option<&IncidentId>) -> Card {
    match last {
        Some(last) => {
            reply_text(&format!("There is no open incident. For the last one, type `{}`.", command(typed, last)))
        }
        None => reply_text("There is no open incident. `/runbook start` opens one."),
    }
}

/// The reply to a mistyped or incomplete incident id, so that the command does not act on the only open incident instead.
pub fn near_miss(typed: &Typed, open: &[Incident]) -> Option<Card> {
    let (word, rest) = first(&typed.rest);
    let lower_case = word.to_lowercase();
    let ids = || open.iter().map(|incident| incident.id.as_str());
    let half = ids().find(|id| id.split_once('-').is_some_and(|(half, _)| half == lower_case));
    let similar = half.or_else(|| nearest(&lower_case, ids()).filter(|_| lower_case.contains('-')))?;
    let similar = open.iter().find(|incident| incident.id.as_str() == similar)?;
    let corrected = Typed { rest: rest.to_owned(), ..typed.clone() };
    let question = did_you_mean(&command(&corrected, &similar.id));
    Some(reply_text(&format!("There is no incident `{}`. {question}", one_line(word, 40))))
}

/// The reply when the text is not an incident's id, or the beginning of several.
pub fn unknown_incident(typed: &Typed, error: &EngineError) -> Card {
    match error {
        EngineError::NotFound(_) => {
            let word = one_line(&typed.rest, 40);
            reply_text(&format!("There is no incident `{word}`. `/runbook list` shows the open incidents."))
        }
        other => engine_refusal(other),
    }
}

/// The command as typed, with the incident's id inserted.
fn command(typed: &Typed, id: &IncidentId) -> String {
    one_line(format!("/runbook {} {id} {}", typed.verb, typed.rest).trim_end(), COMMAND_LIMIT)
}
