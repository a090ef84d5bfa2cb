//! What is posted and written down as one: once begun, it goes on to its end, whatever becomes of the board.
//!
//! **Invariant:** one of them is under way at a time, also while one board takes the place of another; so nobody looks what
//! is missing while something is posted that the log does not hold yet.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::backoff::PostError;
use crate::domain::core::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::incident::command::{Command, Request};
use crate::domain::incident::event::Actor;
use crate::domain::incident::slack_post::{PostSubject, SlackPost};
use crate::engine::{Engine, EngineError};
use crate::notify::slack::Web;

/// Posts that the log does not hold yet. Only the holder of the lock posts.
pub(crate) type Unrecorded = Arc<Mutex<Vec<(IncidentId, SlackPost)>>>;

/// The lock that allows posting.
pub(super) type PostPermit = OwnedMutexGuard<Vec<(IncidentId, SlackPost)>>;

/// Maximum number of people invited into the channel of an incident, a limit of Slack per request.
const INVITED: usize = 100;

/// One post in progress.
pub(super) struct SinglePost {
    pub(super) engine: Engine,
    pub(super) web: Arc<Web>,
    /// The name of the incident channel in the estate.
    pub(super) channel: String,
    pub(super) turn: PostPermit,
}

impl SinglePost {
    /// Posts a message and records its channel and timestamp.
    pub(super) async fn message(
        mut self,
        id: &IncidentId,
        subject: PostSubject,
        message: Value,
        place: String,
    ) -> Result<(), PostError> {
        let id = id.clone();
        to_its_end(async move {
            let answer = self.web.call("chat.postMessage", &message, &format!("`{place}`")).await;
            let answer = answer.map_err(PostError::Slack)?;
            let text = |name: &str| answer[name].as_str().map(str::to_owned);
            let (Some(place), Some(message)) = (text("channel"), text("ts")) else { return Err(PostError::nowhere()) };
            self.turn.push((id, SlackPost { subject, channel: self.channel, place, message }));
            record_post(&self.engine, &mut self.turn).await
        })
        .await
    }

    /// Creates the incident's own channel. If Slack refuses, the thread is used instead.
    pub(super) async fn channel(mut self, incident: &Incident) -> Result<(), PostError> {
        let (id, people) = (incident.id.clone(), people(incident));
        to_its_end(async move {
            let asked = json!({"name": format!("inc-{id}"), "is_private": false});
            let place = match self.web.call("conversations.create", &asked, "the incident's channel").await {
                Ok(answer) => answer["channel"]["id"].as_str().unwrap_or_default().to_owned(),
                Err(error) if error.permanent => {
                    tracing::warn!(incident = %id, reason = error.reason, "it gets no channel of its own");
                    String::new()
                }
                Err(error) => return Err(PostError::Slack(error)),
            };
            if !place.is_empty() {
                self.invite(&id, &place, &people).await;
            }
            let post =
                SlackPost { subject: PostSubject::Channel, channel: self.channel, place, message: String::new() };
            self.turn.push((id, post));
            record_post(&self.engine, &mut self.turn).await
        })
        .await
    }

    /// Invites people, since a message in an empty channel reaches nobody. If Slack refuses, the link in the incident
    /// message still leads there.
    async fn invite(&self, id: &IncidentId, place: &str, people: &str) {
        if people.is_empty() {
            return;
        }
        let asked = json!({"channel": place, "users": people, "force": true});
        if let Err(error) = self.web.call("conversations.invite", &asked, "the incident's channel").await {
            tracing::warn!(incident = %id, reason = error.reason, "nobody is invited into its channel");
        }
    }
}

/// The Slack user ids of the people in the estate.
fn people(incident: &Incident) -> String {
    let estate = incident.runs.last().map(|run| &run.estate);
    let all = estate.into_iter().flat_map(|estate| estate.people.values());
    let ids: Vec<&str> = all.filter_map(|person| person.slack.as_deref()).take(INVITED).collect();
    ids.join(",")
}

/// Runs a task to completion, even if the caller is cancelled.
async fn to_its_end(errand: impl Future<Output = Result<(), PostError>> + Send + 'static) -> Result<(), PostError> {
    tokio::spawn(errand).await.unwrap_or_else(|_| Err(PostError::nowhere()))
}

/// Records posts in the log.
pub(super) async fn record_post(engine: &Engine, posts: &mut Vec<(IncidentId, SlackPost)>) -> Result<(), PostError> {
    while let Some((id, post)) = posts.first().cloned() {
        let command = Command { by: Actor::Engine, request: Request::Post(post) };
        match engine.submit(&id, command).await {
            Ok(_) | Err(EngineError::Refused(_) | EngineError::Illegal(_)) => drop(posts.remove(0)),
            Err(error) => return Err(PostError::Log(error)),
        }
    }
    Ok(())
}
