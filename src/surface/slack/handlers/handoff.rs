//! `/runbook handoff`: the hand-over, short enough for a phone.

use super::super::parse::command::Typed;
use super::super::parse::identity::Permission;
use super::super::render::block_kit::{Blocks, Text, text};
use super::super::render::card::Card;
use super::{HandlerReply, HandlerResult, Interaction, engine_refusal};
use crate::domain::core::text::one_line;
use crate::domain::report::handover::{Handover, HandoverLine, HandoverPiece};

/// The most lines per part: the most recent ones. The page and the timeline show the rest.
const LINE_COUNT_LIMIT: usize = 10;
/// The longest piece of a line, in characters.
const LINE_LENGTH_LIMIT: usize = 160;

impl Interaction<'_> {
    pub(super) async fn handoff(&self, typed: &Typed) -> HandlerResult {
        self.may(Permission::Read)?;
        let incident = self.incident_or_last(typed).await?;
        let log = self.handlers.engine.log(&incident.id).await.map_err(|error| engine_refusal(&error))?;
        let handover = Handover::of(&incident, &log, self.handlers.engine.parts().clock.now());
        let Card { summary, mut blocks } = self.live(&incident);
        let roles = handover.roles.iter().map(|role| role.line()).collect();
        part(&mut blocks, "Who has which role", roles, "The estate names no roles.");
        part(&mut blocks, "What waits", handover.waits, "Nothing waits.");
        part(&mut blocks, "Deadlines", handover.deadlines, "None.");
        part(&mut blocks, "What is known", handover.known, "Nothing was checked yet.");
        part(&mut blocks, "What was done", handover.done, "Nothing was done yet.");
        part(&mut blocks, "Notified", handover.told, "No one has been notified.");
        part(&mut blocks, "What people said", handover.said, "Nobody wrote anything down.");
        Ok(HandlerReply::Message(Card { summary, blocks }))
    }
}

fn part(blocks: &mut Blocks, title: &str, lines: Vec<HandoverLine>, none: &str) {
    let lines = if lines.is_empty() { vec![none.to_owned().into()] } else { lines };
    let earlier = lines.len().saturating_sub(LINE_COUNT_LIMIT);
    let left_out = (earlier > 0).then(|| vec![text(format!("({earlier} earlier ones are left out)"))]);
    let latest = lines.into_iter().skip(earlier).map(parts);
    let title = vec![Text::Strong(title.to_owned())];
    blocks.lines(std::iter::once(title).chain(left_out).chain(latest));
}

fn parts(line: HandoverLine) -> Vec<Text> {
    let part = |piece| match piece {
        HandoverPiece::Text(words) => text(shorten(&words)),
        HandoverPiece::At(at) | HandoverPiece::Clock(at) => Text::Time(at),
    };
    line.0.into_iter().map(part).collect()
}

/// Shortens a long piece of text. It then begins with a blank, which separates it from the piece before.
fn shorten(piece: &str) -> String {
    if piece.chars().count() <= LINE_LENGTH_LIMIT {
        piece.to_owned()
    } else {
        format!(" {}", one_line(piece, LINE_LENGTH_LIMIT))
    }
}
