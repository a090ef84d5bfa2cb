//! "Add to timeline": turns a message of the channel into a note in an incident.

use super::super::parse::identity;
use super::super::parse::identity::Permission;
use super::super::render::modal;
use super::super::render::modal::ModalPurpose;
use super::{HandlerReply, HandlerResult, Interaction, reply_text};
use crate::domain::core::id::IncidentId;
use crate::domain::core::text::one_line;
use crate::domain::incident::Incident;
use crate::domain::incident::command::Request;

/// The longest note made from a message, in characters.
const NOTE_LIMIT: usize = 2_000;

impl Interaction<'_> {
    pub(super) async fn saved(&self, text: &str, author: Option<&str>, messages: &[String]) -> HandlerResult {
        let (open, allowed) = (self.open().await?, self.may(Permission::Act));
        let of_thread = |incident: &&Incident| incident.posts.values().any(|post| messages.contains(&post.message));
        let target = open.iter().find(of_thread).or_else(|| open.first().filter(|_| open.len() == 1));
        if let Err(refused) = allowed {
            match target {
                Some(incident) => self.refuse_unknown_user(&incident.id, None, "add to the timeline").await,
                None => tracing::warn!(user = self.from.user, "a person without permission was refused"),
            }
            return Err(refused);
        }
        let author = author.map(|user| identity::actor(self.estate, user));
        let from = author.map(|author| format!("{}: ", author.name())).unwrap_or_default();
        let text: String = text.chars().take(NOTE_LIMIT).collect();
        let note = format!("{from}{text}");
        match target {
            Some(incident) => {
                let id = incident.id.clone();
                self.act(&id, Request::Note(note)).await?;
                Ok(HandlerReply::Message(reply_text(&note_reply(&id))))
            }
            None if open.is_empty() => {
                Err(reply_text("There is no open incident to add it to. `/runbook start` opens one."))
            }
            None => {
                let choices: Vec<_> =
                    open.iter().map(|incident| (incident.id.clone(), one_line(&incident.title, 60))).collect();
                let (title, fields) = modal::choose_incident(&choices);
                Ok(HandlerReply::Form { title, fields, purpose: ModalPurpose::Keep(note) })
            }
        }
    }
}

/// Confirms that a message was added.
pub(super) fn note_reply(id: &IncidentId) -> String {
    format!("It is in the timeline of {id}: `/runbook timeline {id}`.")
}
