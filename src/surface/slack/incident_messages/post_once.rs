//! Posts a message and records its channel and timestamp in the log, as one task that is completed even if the app is replaced.
//!
//! **Invariant:** only one post is in progress at a time, also while one app replaces another. So the missing messages are
//! never determined while a post is not recorded.

use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use slack_morphism::prelude::SlackApiConversationsCreateRequest;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::backoff::PostError;
use crate::domain::core::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::incident::command::{Command, Request};
use crate::domain::incident::event::Actor;
use crate::domain::incident::slack_post::{PostSubject, SlackPost};
use crate::engine::{Engine, EngineError};
use crate::notify::slack::{Message, Web};

/// Posts that are not in the log yet. Only the holder of the lock posts.
pub(crate) type Unrecorded = Arc<Mutex<Vec<(IncidentId, SlackPost)>>>;

/// The lock that allows posting.
pub(super) type PostPermit = OwnedMutexGuard<Vec<(IncidentId, SlackPost)>>;

/// The most people who are invited into the channel of an incident: a limit of Slack per request.
const INVITE_LIMIT: usize = 100;

/// One post in progress.
pub(super) struct SinglePost {
    pub(super) engine: Engine,
    pub(super) web: Arc<Web>,
    /// The name of the incident channel in the estate.
    pub(super) channel: String,
    pub(super) permit: PostPermit,
}

impl SinglePost {
    /// Posts a message and records its channel and timestamp.
    pub(super) async fn message(
        mut self,
        id: &IncidentId,
        subject: PostSubject,
        message: Message,
        place: String,
    ) -> Result<(), PostError> {
        let id = id.clone();
        complete(async move {
            let answer = self.web.call("chat.postMessage", &message, &format!("`{place}`")).await;
            let answer: Value = answer.map_err(PostError::Slack)?;
            let text = |name: &str| answer[name].as_str().map(str::to_owned);
            let (Some(place), Some(message)) = (text("channel"), text("ts")) else { return Err(PostError::nowhere()) };
            self.permit.push((id, SlackPost { subject, channel: self.channel, place, message }));
            record_post(&self.engine, &mut self.permit).await
        })
        .await
    }

    /// Creates the incident's own channel. If Slack refuses, the thread is used instead.
    pub(super) async fn channel(mut self, incident: &Incident) -> Result<(), PostError> {
        let (id, people) = (incident.id.clone(), people(incident));
        complete(async move {
            let asked = SlackApiConversationsCreateRequest::new(format!("inc-{id}")).with_is_private(false);
            let place = match self.web.call("conversations.create", &asked, "the incident's channel").await {
                Ok::<Value, _>(answer) => answer["channel"]["id"].as_str().unwrap_or_default().to_owned(),
                Err(error) if error.permanent => {
                    tracing::warn!(incident = %id, reason = error.reason, "the incident's channel cannot be created");
                    String::new()
                }
                Err(error) => return Err(PostError::Slack(error)),
            };
            if !place.is_empty() {
                self.invite(&id, &place, &people).await;
            }
            let post =
                SlackPost { subject: PostSubject::Channel, channel: self.channel, place, message: String::new() };
            self.permit.push((id, post));
            record_post(&self.engine, &mut self.permit).await
        })
        .await
    }

    /// Invites people, since nobody reads a message in an empty channel. If Slack refuses, the incident message still has the
    /// link to the channel.
    async fn invite(&self, id: &IncidentId, place: &str, people: &str) {
        if people.is_empty() {
            return;
        }
        let asked = json!({"channel": place, "users": people, "force": true});
        let invited: Result<IgnoredAny, _> =
            self.web.call("conversations.invite", &asked, "the incident's channel").await;
        if let Err(error) = invited {
            tracing::warn!(incident = %id, reason = error.reason, "nobody could be invited into the incident's channel");
        }
    }
}

/// The Slack user ids of the people in the estate.
fn people(incident: &Incident) -> String {
    let estate = incident.runs.last().map(|run| &run.estate);
    let all = estate.into_iter().flat_map(|estate| estate.people.values());
    let ids: Vec<&str> = all.filter_map(|person| person.slack.as_deref()).take(INVITE_LIMIT).collect();
    ids.join(",")
}

/// Runs a task to completion, even if the caller is cancelled.
async fn complete(task: impl Future<Output = Result<(), PostError>> + Send + 'static) -> Result<(), PostError> {
    tokio::spawn(task).await.unwrap_or_else(|_| Err(PostError::nowhere()))
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
