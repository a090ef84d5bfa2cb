//! Read-only commands: incidents, timeline, page, show, verify.

use super::super::parse::command::Typed;
use super::super::parse::identity::Permission;
use super::super::render::block_kit::{Blocks, Text, text};
use super::super::render::card::Card;
use super::{HandlerReply, HandlerResult, Interaction, engine_refusal, reply_text};
use crate::domain::core::text::one_line;
use crate::domain::report::headline;
use crate::domain::report::timeline::{Timeline, TimelineEntry};
use crate::domain::runbook::Runbook;

/// The most incidents, steps or runbooks in a list.
const LIST_LIMIT: u32 = 30;
/// The most lines of a timeline: the most recent ones. The page and the terminal show older ones.
const LINE_LIMIT: usize = 25;
/// The longest line, in characters.
const LINE: usize = 110;

impl Interaction<'_> {
    /// The most recently changed incidents.
    pub(super) async fn latest(&self) -> HandlerResult {
        self.may(Permission::Read)?;
        let all = self
            .handlers
            .engine
            .parts()
            .store
            .incidents(LIST_LIMIT, 0)
            .await
            .map_err(|error| engine_refusal(&error.into()))?;
        let mut lines = Vec::new();
        for summary in all {
            // A damaged incident must not hide the others.
            let Ok(incident) = self.handlers.engine.incident(&summary.id).await else { continue };
            let words = format!(
                " {} {}: {} on {} ",
                incident.severity,
                headline::state(&incident),
                one_line(&incident.title, LINE),
                incident.environment
            );
            lines.push(vec![Text::Code(incident.id.to_string()), text(words), Text::Time(incident.opened.at)]);
        }
        Ok(listed("The latest incidents", "There is no incident yet.", lines))
    }

    pub(super) async fn timeline(&self, typed: &Typed) -> HandlerResult {
        self.may(Permission::Read)?;
        let incident = self.incident_or_last(typed).await?;
        let log = self.handlers.engine.log(&incident.id).await.map_err(|error| engine_refusal(&error))?;
        let timeline = Timeline::of(&log);
        let entries: Vec<&TimelineEntry> = timeline.notable().collect();
        let earlier = entries.len().saturating_sub(LINE_LIMIT);
        let mut lines: Vec<Vec<Text>> = Vec::new();
        if earlier > 0 {
            lines.push(vec![text(format!("{earlier} earlier ones are left out"))]);
        }
        lines.extend(entries[earlier..].iter().map(|entry| {
            let words = format!(" {}: {}", one_line(&entry.who, 40), one_line(&entry.text, LINE));
            vec![Text::Time(entry.at), text(words)]
        }));
        Ok(listed(&format!("Timeline of {}", incident.id), "It is empty.", lines))
    }

    pub(super) async fn page(&self, typed: &Typed) -> HandlerResult {
        self.may(Permission::Read)?;
        let incident = self.incident_or_last(typed).await?;
        let Some(url) = self.handlers.engine.page_link(&incident.id) else {
            return Err(reply_text("There are no incident pages: add `page` to estate.yaml."));
        };
        let mut card = reply_text(&format!("{} has a page", incident.id));
        card.blocks = Blocks::default();
        card.blocks.line(vec![Text::Link { url, words: "Incident page" }, text(format!(" of {}", incident.id))]);
        Ok(HandlerReply::Message(card))
    }

    /// Shows a runbook and its steps. Without a name, lists the runbooks.
    pub(super) async fn show(&self, typed: &Typed) -> HandlerResult {
        self.may(Permission::Read)?;
        let catalog = &self.handlers.engine.parts().catalog;
        let id = typed.rest.as_str();
        if id.is_empty() {
            let valid = catalog.files().filter_map(|(id, file)| Some((id, file.content.as_ref().ok()?)));
            let line = |(id, runbook): (&str, &Runbook)| {
                vec![Text::Code(id.to_owned()), text(format!(" {}", one_line(&runbook.title, LINE)))]
            };
            return Ok(listed("Runbooks", "There is none.", valid.take(LIST_LIMIT as usize).map(line).collect()));
        }
        let (runbook, _) = self.runbook(id)?;
        let mut lines = vec![vec![text(one_line(runbook.summary.as_deref().unwrap_or_default(), 4 * LINE))]];
        lines.extend(runbook.all_steps().into_iter().take(LIST_LIMIT as usize).map(|step| {
            let asks = if step.approve.is_some() { ", after agreement" } else { "" };
            vec![Text::Code(step.id.clone()), text(format!(" {}{asks}", one_line(&step.name, LINE)))]
        }));
        Ok(listed(&format!("{}: {}", runbook.id, one_line(&runbook.title, LINE)), "", lines))
    }

    pub(super) async fn verify(&self, typed: &Typed) -> HandlerResult {
        self.may(Permission::Read)?;
        let incident = self.incident_or_last(typed).await?;
        let audit = self
            .handlers
            .engine
            .parts()
            .store
            .audit(&incident.id)
            .await
            .map_err(|error| engine_refusal(&error.into()))?;
        Ok(HandlerReply::Message(reply_text(&match audit.broken {
            None => format!("{} is whole: {} events, the last with hash {}", incident.id, audit.events, audit.head),
            Some((seq, why)) => format!("{} is damaged from event {seq} on: {why}", incident.id),
        })))
    }
}

fn listed(title: &str, none: &str, lines: Vec<Vec<Text>>) -> HandlerReply {
    let mut blocks = Blocks::default();
    let lines = if lines.is_empty() { vec![vec![text(none)]] } else { lines };
    blocks.lines(std::iter::once(vec![Text::Strong(title.to_owned())]).chain(lines));
    HandlerReply::Message(Card { summary: title.to_owned(), blocks })
}
