//! The board: keeps one message an incident up to date in the estate's channel, and posts what people have to hear of.
//!
//! It looks at the log, so it shows what any process did. What is to be posted and what was follows from the incident; only
//! what a message shows at present is remembered here, and after a restart each is written once more.
//!
//! **Invariant:** a message is posted at most twice: once more only when the process was killed between posting and
//! recording, or Slack's answer was lost.
//!
//! **Invariant:** what Slack does or does not answer holds up nobody but the board.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
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
use crate::notify::slack::{Web, plain};

mod backoff;
mod post_once;

use self::post_once::{PostPermit, SinglePost, record_post};

pub(super) use self::post_once::Unrecorded;

/// How often the log is checked for events that other processes wrote.
const LOOK: Duration = Duration::from_millis(400);
/// The pause after a post: Slack accepts about one message a second per channel.
const PACE: Duration = Duration::from_millis(1_100);
/// Maximum number of edits per minute: Slack accepts fifty or more (its tier 3).
const CHANGES: usize = 45;
const MINUTE: Span = Span::seconds(60);
/// How long a question stands only in the incident message before it is also posted. A question that is answered at
/// once should not make phones ring.
const GRACE: Span = Span::seconds(5);
/// How many of the last events are searched for the latest answer shown in the incident message.
const TAIL: u64 = 50;
/// How many incidents are updated before they are sorted again, so that a new P1 does not wait for lesser ones.
const AT_A_TIME: usize = 4;
/// How many of the latest incidents are checked after a restart, since they may have ended while no process showed
/// them.
const RECENT: u32 = 20;

/// The order of updates: the most severe first, then the oldest.
type UpdatePriority = (Severity, Timestamp);

/// What is shown of one incident.
#[derive(Debug, Default)]
struct Watched {
    /// The last event whose state is shown completely.
    seq: u64,
    /// Its place in the order of updates.
    rank: Option<UpdatePriority>,
    /// How often Slack has refused an update.
    refused: u32,
    shown: BTreeMap<PostSubject, [u8; 32]>,
    /// Questions that are not posted yet, and when each was first seen.
    noticed: BTreeMap<PostSubject, Timestamp>,
    /// When the first of those is due.
    held: Option<Timestamp>,
    /// Questions whose message shows the answer; it does not change any more.
    settled: BTreeSet<PostSubject>,
}

/// The state of the board.
#[derive(Debug)]
pub(super) struct IncidentMessages {
    engine: Engine,
    web: Arc<Web>,
    news: Arc<Notify>,
    watched: BTreeMap<IncidentId, Watched>,
    /// The times of the edits within the last minute.
    changes: VecDeque<Timestamp>,
    /// Whether the latest incidents were checked after the start.
    began: bool,
    /// Posts that the log does not hold yet.
    unrecorded: Unrecorded,
}

impl IncidentMessages {
    pub(super) fn new(engine: Engine, web: Arc<Web>, news: Arc<Notify>, unrecorded: Unrecorded) -> Self {
        Self { engine, web, news, watched: BTreeMap::new(), changes: VecDeque::new(), began: false, unrecorded }
    }

    /// Keeps the messages up to date until it is dropped.
    #[expect(clippy::disallowed_methods, reason = "what another machine is given to show counts real time")]
    pub(super) async fn keep(mut self) {
        let (mut failures, mut version) = (0, None);
        loop {
            let now = self.engine.parts().store.version().await.ok();
            if now.is_none() || now != version || self.release_edits() {
                match self.show_next().await {
                    Ok(more) => (failures, version) = (0, now.filter(|_| !more)),
                    Err(trouble) => {
                        tokio::time::sleep(trouble.pause(failures)).await;
                        failures += 1;
                        continue;
                    }
                }
            }
            let _ = tokio::time::timeout(LOOK, self.news.notified()).await;
        }
    }

    /// Updates the most severe of the outdated incidents; true when more remain.
    async fn show_next(&mut self) -> Result<bool, PostError> {
        self.engine.refresh();
        let stale = self.stale().await?;
        let mut trouble = None;
        for id in stale.iter().take(AT_A_TIME) {
            match self.show(id).await {
                // An error with one message must not hold up the others, so its incident is sorted behind them.
                Err(PostError::Slack(error)) if error.permanent => {
                    self.watched.entry(id.clone()).or_default().refused += 1;
                    trouble = Some(PostError::Slack(error));
                }
                Err(other) => return Err(other),
                Ok(()) => {}
            }
        }
        trouble.map_or(Ok(stale.len() > AT_A_TIME), Err)
    }

    /// The incidents whose messages are outdated, the most severe first.
    async fn stale(&mut self) -> Result<Vec<IncidentId>, PostError> {
        let store = Arc::clone(&self.engine.parts().store);
        let mut known = store.live().await?;
        if !self.began {
            known.extend(store.incidents(RECENT, 0).await?);
        }
        self.began = true;
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
                let rank = self.rank(&id, seq).await?;
                let refused = self.watched.get(&id).map_or(0, |watched| watched.refused);
                stale.extend(rank.map(|rank| (refused, rank, id)));
            }
        }
        stale.sort();
        Ok(stale.into_iter().map(|(_, _, id)| id).collect())
    }

    /// The severity and age of an incident as last shown; none when its log cannot be read.
    async fn rank(&mut self, id: &IncidentId, seq: u64) -> Result<Option<UpdatePriority>, PostError> {
        let watched = self.watched.entry(id.clone()).or_default();
        if watched.rank.is_none() {
            match self.engine.incident(id).await {
                Ok(incident) => watched.rank = Some((incident.severity, incident.opened.at)),
                // A corrupt incident must not hide the others.
                Err(EngineError::Illegal(error)) => {
                    tracing::warn!(incident = %id, %error, "it cannot be shown");
                    watched.seq = seq;
                }
                Err(error) => return Err(PostError::Log(error)),
            }
        }
        Ok(watched.rank)
    }

    /// Posts missing messages, then edits outdated ones.
    async fn show(&mut self, id: &IncidentId) -> Result<(), PostError> {
        let incident = loop {
            // A previous app may still have a post in progress; it is recorded before the missing messages are
            // determined.
            let mut turn = Arc::clone(&self.unrecorded).lock_owned().await;
            record_post(&self.engine, &mut turn).await?;
            let incident = self.engine.incident(id).await.map_err(PostError::Log)?;
            let Some(subject) = self.next_post(&incident) else { break incident };
            self.post(&incident, subject, turn).await?;
        };
        let settled = std::mem::take(&mut self.watched.entry(incident.id.clone()).or_default().settled);
        let shown = self.renew(&incident, &settled).await;
        let over = incident.status == IncidentStatus::Resolved && !is_live(&incident);
        let watched = self.watched.entry(incident.id.clone()).or_default();
        watched.settled = settled;
        watched.settled.extend(shown?);
        watched.seq = incident.seq;
        watched.rank = Some((incident.severity, incident.opened.at));
        watched.refused = 0;
        if over {
            self.watched.remove(&incident.id);
        }
        Ok(())
    }

    /// The next message to post. A question is posted only after [`GRACE`].
    fn next_post(&mut self, incident: &Incident) -> Option<PostSubject> {
        let now = self.engine.parts().clock.now();
        let unposted = incident.unposted();
        let watched = self.watched.entry(incident.id.clone()).or_default();
        watched.noticed.retain(|subject, _| unposted.contains(subject));
        for subject in unposted.iter().filter(|subject| matches!(subject, PostSubject::Waits { .. })) {
            watched.noticed.entry(subject.clone()).or_insert(incident.at);
        }
        watched.held = watched.noticed.values().map(|at| GRACE.after(*at)).filter(|at| *at > now).min();
        let ripe = |subject: &PostSubject| watched.noticed.get(subject).is_none_or(|at| GRACE.after(*at) <= now);
        unposted.into_iter().find(ripe)
    }

    fn release_edits(&self) -> bool {
        let now = self.engine.parts().clock.now();
        self.watched.values().any(|watched| watched.is_due(now))
    }

    /// Edits every message that may be outdated; returns the questions that are settled now.
    async fn renew(
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
        // Only the log says who answered.
        let log =
            if over.is_empty() { Vec::new() } else { self.engine.log(&incident.id).await.map_err(PostError::Log)? };
        let tail = self.engine.parts().store.read(&incident.id, incident.seq.saturating_sub(TAIL)).await?;
        for post in posts {
            let log = if post.subject == PostSubject::Live { &tail } else { &log };
            self.change(&incident.id, post, &self.card(incident, log, &post.subject)).await?;
        }
        Ok(over)
    }

    #[expect(clippy::disallowed_methods, reason = "what another machine is given to show counts real time")]
    async fn post(&mut self, incident: &Incident, subject: PostSubject, turn: PostPermit) -> Result<(), PostError> {
        let Some((channel, place)) = self.place() else { return Err(PostError::nowhere()) };
        let errand = SinglePost { engine: self.engine.clone(), web: Arc::clone(&self.web), channel, turn };
        if subject == PostSubject::Channel {
            return errand.channel(incident).await;
        }
        let card = self.card(incident, &[], &subject);
        let mut message = drawn(&card);
        message["metadata"] = json!({
            "event_type": "runbook_board", "event_payload": {"incident": incident.id, "subject": json!(subject).to_string()},
        });
        message["channel"] = json!(place);
        if let Some(own) = incident.own_channel() {
            message["channel"] = json!(own);
        } else if let Some(live) = incident.posted(&PostSubject::Live) {
            message["channel"] = json!(live.place);
            message["thread_ts"] = json!(live.message);
            message["reply_broadcast"] = json!(true);
        }
        errand.message(&incident.id, subject.clone(), message, place).await?;
        self.remember(&incident.id, &subject, &card);
        tokio::time::sleep(PACE).await;
        Ok(())
    }

    async fn change(&mut self, id: &IncidentId, post: &SlackPost, card: &Card) -> Result<(), PostError> {
        let shown = self.watched.get(id).and_then(|watched| watched.shown.get(&post.subject));
        if shown == Some(&digest(card)) {
            return Ok(());
        }
        self.wait_for_permit().await;
        let mut message = drawn(card);
        message["channel"] = json!(post.place);
        message["ts"] = json!(post.message);
        match self.web.call("chat.update", &message, &format!("`{}`", post.channel)).await {
            Ok(_) => {}
            // The message was deleted, or Slack no longer allows edits; a retry would not help.
            Err(error) if error.permanent => {
                tracing::warn!(incident = %id, reason = error.reason, "a message is not changed")
            }
            Err(error) => return Err(PostError::Slack(error)),
        }
        self.remember(id, &post.subject, card);
        Ok(())
    }

    /// Waits until Slack accepts another edit. Changes in the meantime are part of the next edit.
    #[expect(clippy::disallowed_methods, reason = "what another machine is given to show counts real time")]
    async fn wait_for_permit(&mut self) {
        loop {
            let now = self.engine.parts().clock.now();
            self.changes.retain(|at| Span::between(*at, now) < MINUTE);
            if self.changes.len() < CHANGES {
                return self.changes.push_back(now);
            }
            tokio::time::sleep(LOOK).await;
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

impl Watched {
    /// Whether a held-back question is due.
    fn is_due(&self, now: Timestamp) -> bool {
        self.held.is_some_and(|at| at <= now)
    }
}

/// The message in Slack's format.
fn drawn(card: &Card) -> Value {
    json!({
        "text": plain(&masked(&card.summary)), "blocks": card.sheet.blocks(), "parse": "none", "mrkdwn": false, "link_names": false,
        "unfurl_links": false, "unfurl_media": false,
    })
}

fn digest(card: &Card) -> [u8; 32] {
    Sha256::digest(format!("{}\n{}", card.summary, card.sheet.blocks())).into()
}
