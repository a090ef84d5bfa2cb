//! The incident messages: keeps one message per incident up to date in the estate's channel, and posts messages that notify
//! people.
//!
//! All state comes from the log, so the messages show the changes of every process. Only a digest of each message is in
//! memory; after a restart each message is edited once more.
//!
//! **Invariant:** a message is posted at most twice, and twice only when the process was killed between posting and recording,
//! or Slack's response was lost.
//!
//! Errors and delays of Slack delay only these messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use self::backoff::PostError;
use super::render::block_kit::masked;
use super::render::card;
use super::render::card::Card;
use crate::domain::core::id::IncidentId;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::due::is_live;
use crate::domain::incident::event::Recorded;
use crate::domain::incident::slack_post::{PostSubject, SlackPost};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::engine::{Engine, EngineError};
use crate::notify::slack::{Message, Web};

mod backoff;
mod post_once;

use self::post_once::{PostPermit, SinglePost, record_post};

pub(super) use self::post_once::Unrecorded;

/// How often the log is checked for events of other processes.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// The pause after a post: Slack accepts about one message a second per channel.
const POST_PAUSE: Duration = Duration::from_millis(1_100);
/// The most edits per minute: Slack accepts fifty or more (its tier 3).
const EDITS_PER_MINUTE: usize = 45;
const MINUTE: Span = Span::seconds(60);
/// Delay before a question is also posted: one answered at once notifies nobody.
const QUESTION_DELAY: Span = Span::seconds(5);
/// How many of the last events are searched for the latest answer, which the incident message shows.
const ANSWER_SEARCH: u64 = 50;
/// How many incidents are updated before they are sorted again, so that a new P1 does not wait for less severe ones.
const UPDATE_BATCH_LIMIT: usize = 4;
/// How many of the most recent incidents are checked after a restart, since they may have ended while no process updated
/// their messages.
const RECENT_INCIDENTS: u32 = 20;

/// The order of updates: most severe first, then oldest.
type UpdatePriority = (Severity, Timestamp);

/// The state of the messages of one incident.
#[derive(Debug, Default)]
struct WatchedIncident {
    /// The last event that all messages include.
    seq: u64,
    priority: Option<UpdatePriority>,
    /// How often in a row Slack has refused an update.
    refused: u32,
    /// The digest of each message as it was last sent.
    shown: BTreeMap<PostSubject, [u8; 32]>,
    /// Questions that are not posted yet, and since when each is known.
    first_seen: BTreeMap<PostSubject, Timestamp>,
    /// When the next of those is to be posted.
    next_question_at: Option<Timestamp>,
    /// Questions whose message shows the answer, so that it does not change any more.
    settled: BTreeSet<PostSubject>,
}

/// Keeps the incident messages of one app up to date.
#[derive(Debug)]
pub(super) struct IncidentMessages {
    engine: Engine,
    web: Arc<Web>,
    changed: Arc<Notify>,
    watched: BTreeMap<IncidentId, WatchedIncident>,
    /// The times of the edits within the last minute.
    edits: VecDeque<Timestamp>,
    /// Whether the most recent incidents were checked after the start.
    checked_recent: bool,
    /// Posts that are not in the log yet.
    unrecorded: Unrecorded,
}

impl IncidentMessages {
    pub(super) fn new(engine: Engine, web: Arc<Web>, changed: Arc<Notify>, unrecorded: Unrecorded) -> Self {
        Self {
            engine,
            web,
            changed,
            watched: BTreeMap::new(),
            edits: VecDeque::new(),
            checked_recent: false,
            unrecorded,
        }
    }

    /// Keeps the messages up to date until it is dropped.
    #[expect(clippy::disallowed_methods, reason = "Slack's limits count real time")]
    pub(super) async fn run(mut self) {
        let (mut failures, mut version) = (0, None);
        loop {
            let now = self.engine.parts().store.version().await.ok();
            if now.is_none() || now != version || self.is_question_due() {
                match self.show_next().await {
                    Ok(more) => (failures, version) = (0, now.filter(|_| !more)),
                    Err(failure) => {
                        tokio::time::sleep(failure.pause(failures)).await;
                        failures += 1;
                        continue;
                    }
                }
            }
            let _ = tokio::time::timeout(POLL_INTERVAL, self.changed.notified()).await;
        }
    }

    /// Updates the most severe of the outdated incidents. Returns whether more remain.
    async fn show_next(&mut self) -> Result<bool, PostError> {
        self.engine.refresh();
        let stale = self.stale().await?;
        let mut failure = None;
        for id in stale.iter().take(UPDATE_BATCH_LIMIT) {
            match self.show(id).await {
                // A message that Slack refuses must not delay the others, so its incident is sorted behind them.
                Err(PostError::Slack(error)) if error.permanent => {
                    self.watched.entry(id.clone()).or_default().refused += 1;
                    failure = Some(PostError::Slack(error));
                }
                Err(other) => return Err(other),
                Ok(()) => {}
            }
        }
        failure.map_or(Ok(stale.len() > UPDATE_BATCH_LIMIT), Err)
    }

    /// The incidents whose messages are outdated, most severe first.
    async fn stale(&mut self) -> Result<Vec<IncidentId>, PostError> {
        let store = Arc::clone(&self.engine.parts().store);
        let mut known = store.live().await?;
        if !self.checked_recent {
            known.extend(store.incidents(RECENT_INCIDENTS, 0).await?);
        }
        self.checked_recent = true;
        let mut seqs: BTreeMap<IncidentId, u64> = known.into_iter().map(|one| (one.id, one.seq)).collect();
        for id in self.watched.keys().filter(|id| !seqs.contains_key(*id)).cloned().collect::<Vec<_>>() {
            let seq = store.seq(&id).await?;
            seqs.insert(id, seq);
        }
        let mut stale = Vec::new();
        for (id, seq) in seqs {
            let now = self.engine.parts().clock.now();
            let watched = self.watched.entry(id.clone()).or_default();
            if watched.seq != seq || watched.is_due(now) {
                let priority = self.priority(&id, seq).await?;
                let refused = self.watched.get(&id).map_or(0, |watched| watched.refused);
                stale.extend(priority.map(|priority| (refused, priority, id)));
            }
        }
        stale.sort();
        Ok(stale.into_iter().map(|(_, _, id)| id).collect())
    }

    /// The priority of an incident as it was last shown; none when its log is damaged.
    async fn priority(&mut self, id: &IncidentId, seq: u64) -> Result<Option<UpdatePriority>, PostError> {
        let watched = self.watched.entry(id.clone()).or_default();
        if watched.priority.is_none() {
            match self.engine.incident(id).await {
                Ok(incident) => watched.priority = Some((incident.severity, incident.opened.at)),
                // A damaged incident must not hide the others.
                Err(EngineError::Illegal(error)) => {
                    tracing::warn!(incident = %id, %error, "the incident cannot be read");
                    watched.seq = seq;
                }
                Err(error) => return Err(PostError::Log(error)),
            }
        }
        Ok(watched.priority)
    }

    /// Posts missing messages, then edits outdated ones.
    async fn show(&mut self, id: &IncidentId) -> Result<(), PostError> {
        let incident = loop {
            // A previous app may still have a post in progress. Wait for it, so that its message does not count as missing.
            let mut permit = Arc::clone(&self.unrecorded).lock_owned().await;
            record_post(&self.engine, &mut permit).await?;
            let incident = self.engine.incident(id).await.map_err(PostError::Log)?;
            let Some(subject) = self.next_post(&incident) else { break incident };
            self.post(&incident, subject, permit).await?;
        };
        let settled = std::mem::take(&mut self.watched.entry(incident.id.clone()).or_default().settled);
        let shown = self.edit_messages(&incident, &settled).await;
        let is_over = incident.status == IncidentStatus::Resolved && !is_live(&incident);
        let watched = self.watched.entry(incident.id.clone()).or_default();
        watched.settled = settled;
        watched.settled.extend(shown?);
        watched.seq = incident.seq;
        watched.priority = Some((incident.severity, incident.opened.at));
        watched.refused = 0;
        if is_over {
            self.watched.remove(&incident.id);
        }
        Ok(())
    }

    /// The next message to post. A question is posted only after [`QUESTION_DELAY`].
    fn next_post(&mut self, incident: &Incident) -> Option<PostSubject> {
        let now = self.engine.parts().clock.now();
        let unposted = incident.unposted();
        let watched = self.watched.entry(incident.id.clone()).or_default();
        watched.first_seen.retain(|subject, _| unposted.contains(subject));
        for subject in unposted.iter().filter(|subject| matches!(subject, PostSubject::Waits { .. })) {
            watched.first_seen.entry(subject.clone()).or_insert(incident.at);
        }
        watched.next_question_at =
            watched.first_seen.values().map(|at| QUESTION_DELAY.after(*at)).filter(|at| *at > now).min();
        let is_due =
            |subject: &PostSubject| watched.first_seen.get(subject).is_none_or(|at| QUESTION_DELAY.after(*at) <= now);
        unposted.into_iter().find(is_due)
    }

    /// Whether a question is to be posted now.
    fn is_question_due(&self) -> bool {
        let now = self.engine.parts().clock.now();
        self.watched.values().any(|watched| watched.is_due(now))
    }

    /// Edits every message that may be outdated. Returns the questions that are settled now.
    async fn edit_messages(
        &mut self,
        incident: &Incident,
        settled: &BTreeSet<PostSubject>,
    ) -> Result<Vec<PostSubject>, PostError> {
        let is_over = |subject: &PostSubject| match subject {
            PostSubject::Waits { run, step, round } => incident.waits(*run, step, *round).is_none(),
            _ => false,
        };
        let open = |post: &&SlackPost| post.subject != PostSubject::Channel && !settled.contains(&post.subject);
        let posts: Vec<&SlackPost> = incident.posts.values().filter(open).collect();
        let over: Vec<PostSubject> = posts.iter().map(|post| post.subject.clone()).filter(is_over).collect();
        // The person who answered is only in the log.
        let log =
            if over.is_empty() { Vec::new() } else { self.engine.log(&incident.id).await.map_err(PostError::Log)? };
        let tail = self.engine.parts().store.read(&incident.id, incident.seq.saturating_sub(ANSWER_SEARCH)).await?;
        for post in posts {
            let log = if post.subject == PostSubject::Live { &tail } else { &log };
            self.edit(&incident.id, post, &self.card(incident, log, &post.subject)).await?;
        }
        Ok(over)
    }

    #[expect(clippy::disallowed_methods, reason = "Slack's limits count real time")]
    async fn post(&mut self, incident: &Incident, subject: PostSubject, permit: PostPermit) -> Result<(), PostError> {
        let Some((channel, place)) = self.place() else { return Err(PostError::nowhere()) };
        let single_post = SinglePost { engine: self.engine.clone(), web: Arc::clone(&self.web), channel, permit };
        if subject == PostSubject::Channel {
            return single_post.channel(incident).await;
        }
        let card = self.card(incident, &[], &subject);
        let about = [("incident", incident.id.to_string()), ("subject", json!(subject).to_string())];
        let mut message = message(&card).with_metadata("runbook_board", about);
        message.channel = Some(place.clone());
        if let Some(own) = incident.own_channel() {
            message.channel = Some(own.to_owned());
        } else if let Some(live) = incident.posted(&PostSubject::Live) {
            message.channel = Some(live.place.clone());
            message.thread_ts = Some(live.message.clone());
            message.reply_broadcast = Some(true);
        }
        single_post.message(&incident.id, subject.clone(), message, place).await?;
        self.remember(&incident.id, &subject, &card);
        tokio::time::sleep(POST_PAUSE).await;
        Ok(())
    }

    async fn edit(&mut self, id: &IncidentId, post: &SlackPost, card: &Card) -> Result<(), PostError> {
        let shown = self.watched.get(id).and_then(|watched| watched.shown.get(&post.subject));
        if shown == Some(&digest(card)) {
            return Ok(());
        }
        self.wait_for_permit().await;
        let mut message = message(card);
        message.channel = Some(post.place.clone());
        message.ts = Some(post.message.clone());
        match self.web.call("chat.update", &message, &format!("`{}`", post.channel)).await {
            Ok(IgnoredAny) => {}
            // The message was deleted, or Slack no longer allows edits; a retry would not help.
            Err(error) if error.permanent => {
                tracing::warn!(incident = %id, reason = error.reason, "a message is not changed")
            }
            Err(error) => return Err(PostError::Slack(error)),
        }
        self.remember(id, &post.subject, card);
        Ok(())
    }

    /// Waits until Slack accepts another edit.
    #[expect(clippy::disallowed_methods, reason = "Slack's limits count real time")]
    async fn wait_for_permit(&mut self) {
        loop {
            let now = self.engine.parts().clock.now();
            self.edits.retain(|at| Span::between(*at, now) < MINUTE);
            if self.edits.len() < EDITS_PER_MINUTE {
                return self.edits.push_back(now);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn card(&self, incident: &Incident, log: &[Recorded], subject: &PostSubject) -> Card {
        card::of(incident, log, subject, self.engine.page_link(&incident.id).as_deref())
    }

    fn remember(&mut self, id: &IncidentId, subject: &PostSubject, card: &Card) {
        self.watched.entry(id.clone()).or_default().shown.insert(subject.clone(), digest(card));
    }

    /// The name of the incident channel in the estate, and its id in Slack.
    fn place(&self) -> Option<(String, String)> {
        let estate = self.engine.parts().catalog.estate().content.as_ref().ok()?;
        let (name, channel) = estate.incident_channel()?;
        Some((name.to_owned(), channel.slack.clone()?))
    }
}

impl WatchedIncident {
    /// Whether a question is to be posted now.
    fn is_due(&self, now: Timestamp) -> bool {
        self.next_question_at.is_some_and(|at| at <= now)
    }
}

/// The message in Slack's format.
fn message(card: &Card) -> Message {
    Message::new(&masked(&card.summary), card.blocks.blocks())
}

fn digest(card: &Card) -> [u8; 32] {
    Sha256::digest(format!("{}\n{}", card.summary, card.blocks.json())).into()
}
