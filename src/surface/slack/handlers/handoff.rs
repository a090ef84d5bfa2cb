//! `/runbook handoff`: the hand-over, short enough for a phone.

use super::super::parse::command::Typed;
use super::super::parse::identity::RequestedIdentity;
use super::super::render::block_kit::{Blocks, Text, text};
use super::super::render::card::Card;
use super::{HandlerReply, HandlerResult, Interaction, engine_refusal};
use crate::domain::core::text::one_line;
use crate::domain::report::handover::{Handover, HandoverLine, HandoverPiece};

/// The most lines per part, the latest ones; the page and the timeline show the rest.
const LINES: usize = 10;
/// The longest line, in characters.
const LINE: usize = 160;

impl Interaction<'_> {
    pub(super) async fn handoff(&self, typed: &Typed) -> HandlerResult {
        self.may(RequestedIdentity::Look)?;
        let incident = self.meant_or_last(typed).await?;
        let log = self.handlers.engine.log(&incident.id).await.map_err(|error| engine_refusal(&error))?;
        let handover = Handover::of(&incident, &log, self.handlers.engine.parts().clock.now());
        let Card { summary, mut sheet } = self.live(&incident);
        let roles = handover.roles.iter().map(|role| role.line()).collect();
        part(&mut sheet, "Who has which role", roles, "The estate names no roles.");
        part(&mut sheet, "What waits", handover.waits, "Nothing waits.");
        part(&mut sheet, "Deadlines", handover.deadlines, "None.");
        part(&mut sheet, "What is known", handover.known, "No check has run yet.");
        part(&mut sheet, "What was done", handover.done, "Nothing was done yet.");
        part(&mut sheet, "Who was told", handover.told, "Nobody was told yet.");
        part(&mut sheet, "What people said", handover.said, "Nobody wrote anything down.");
        Ok(HandlerReply::Say(Card { summary, sheet }))
    }
}

fn part(sheet: &mut Blocks, title: &str, lines: Vec<HandoverLine>, none: &str) {
    let lines = if lines.is_empty() { vec![none.to_owned().into()] } else { lines };
    let earlier = lines.len().saturating_sub(LINES);
    let left_out = (earlier > 0).then(|| vec![text(format!("({earlier} earlier ones are left out)"))]);
    let latest = lines.into_iter().skip(earlier).map(parts);
    let title = vec![Text::Strong(title.to_owned())];
    sheet.lines(std::iter::once(title).chain(left_out).chain(latest));
}

fn parts(line: HandoverLine) -> Vec<Text> {
    let part = |piece| match piece {
        HandoverPiece::Text(line) => text(limited(&line)),
        HandoverPiece::At(at) | HandoverPiece::Clock(at) => Text::Time(at),
    };
    line.0.into_iter().map(part).collect()
}

/// Limits a piece of text and keeps the blank at its beginning.
fn limited(words: &str) -> String {
    if words.chars().count() <= LINE { words.to_owned() } else { format!(" {}", one_line(words, LINE)) }
}
