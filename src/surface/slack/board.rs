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

/// How often the log is looked at for what others wrote.
const LOOK: Duration = Duration::from_millis(400);
/// How long after a post the next one goes: Slack takes about one a second in a channel.
const PACE: Duration = Duration::from_millis(1_100);
/// How many messages are changed a minute: Slack takes fifty or more (its tier 3).
const CHANGES: usize = 45;
const MINUTE: Span = Span::seconds(60);
/// How long a question is only in the live message before it is posted besides: one that is answered at once, in the
/// terminal or there, need not ring anybody's telephone.
const GRACE: Span = Span::seconds(5);
/// How many of the last events the live message looks through for who answered last.
const TAIL: u64 = 50;
/// How many incidents are shown before it is looked anew which are the worst: a P1 waits for no more of lesser ones.
const AT_A_TIME: usize = 4;
/// How many of the latest incidents are looked at after a restart: their end may have come meanwhile.
const RECENT: u32 = 20;

/// Whose turn it is: the worst first, then the oldest.
type UpdatePriority = (Severity, Timestamp);

/// What is shown of one incident.
#[derive(Debug, Default)]
struct Watched {
    /// The last event that is shown whole.
    seq: u64,
    /// Its place among those that are to be shown.
    rank: Option<UpdatePriority>,
    /// How often Slack has refused to show it.
    refused: u32,
    /// A digest of what each message shows.
    shown: BTreeMap<PostSubject, [u8; 32]>,
    /// Questions that are not posted yet, each with when it was there for certain.
    noticed: BTreeMap<PostSubject, Timestamp>,
    /// When the first of those is to be posted.
    held: Option<Timestamp>,
    /// The questions that say who has answered: nothing of them changes any more.
    settled: BTreeSet<PostSubject>,
}

/// The board.
#[derive(Debug)]
pub(super) struct IncidentMessages {
    engine: Engine,
    web: Arc<Web>,
    news: Arc<Notify>,
    /// Incidents that are looked after.
    watched: BTreeMap<IncidentId, Watched>,
    /// When messages were changed within the last minute.
    changes: VecDeque<Timestamp>,
    /// Whether the latest incidents were looked at, whose end may have come while nobody showed it.
    began: bool,
    /// Posts that the log does not hold yet.
    unrecorded: Unrecorded,
}

impl IncidentMessages {
    pub(super) fn new(engine: Engine, web: Arc<Web>, news: Arc<Notify>, unrecorded: Unrecorded) -> Self {
        Self { engine, web, news, watched: BTreeMap::new(), changes: VecDeque::new(), began: false, unrecorded }
    }

    /// Keeps it up to date for ever.
    #[expect(clippy::disallowed_methods, reason = "what another machine is given to show counts real time")]
    pub(super) async fn keep(mut self) {
        let (mut failures, mut version) = (0, None);
        loop {
            let now = self.engine.parts().store.version().await.ok();
            if now.is_none() || now != version || self.release_edits() {
                match self.look().await {
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

    /// Shows the worst of what is not as it should be; whether there is more.
    async fn look(&mut self) -> Result<bool, PostError> {
        self.engine.refresh();
        let stale = self.stale().await?;
        let mut trouble = None;
        for id in stale.iter().take(AT_A_TIME) {
            match self.show(id).await {
                // What is wrong with one message holds up no other: its incident goes behind the others.
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

    /// The incidents that are not shown as they stand, the worst first.
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

    /// How bad an incident was when it was shown last; none when it cannot be shown.
    async fn rank(&mut self, id: &IncidentId, seq: u64) -> Result<Option<UpdatePriority>, PostError> {
        let watched = self.watched.entry(id.clone()).or_default();
        if watched.rank.is_none() {
            match self.engine.incident(id).await {
                Ok(incident) => watched.rank = Some((incident.severity, incident.opened.at)),
                // One that is damaged hides no other.
                Err(EngineError::Illegal(error)) => {
                    tracing::warn!(incident = %id, %error, "it cannot be shown");
                    watched.seq = seq;
                }
                Err(error) => return Err(PostError::Log(error)),
            }
        }
        Ok(watched.rank)
    }

    /// Posts what is missing, then changes what is not as it should be.
    async fn show(&mut self, id: &IncidentId) -> Result<(), PostError> {
        let incident = loop {
            // What another board has begun, with the tokens of before, is written down before it is looked what is missing.
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

    /// What is to be posted next of an incident: a question only when it was there for a while.
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

    /// Changes every message that may not be as it should be; those that are settled now.
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
        // Who has answered stands in the log alone.
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
        let about = [("incident", incident.id.to_string()), ("subject", json!(subject).to_string())];
        let mut message = drawn(&card).with_metadata("runbook_board", about);
        message.channel = Some(place.clone());
        if let Some(own) = incident.own_channel() {
            message.channel = Some(own.to_owned());
        } else if let Some(live) = incident.posted(&PostSubject::Live) {
            message.channel = Some(live.place.clone());
            message.thread_ts = Some(live.message.clone());
            message.reply_broadcast = Some(true);
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
        message.channel = Some(post.place.clone());
        message.ts = Some(post.message.clone());
        match self.web.call("chat.update", &message, &format!("`{}`", post.channel)).await {
            Ok(IgnoredAny) => {}
            // Somebody has deleted it, or Slack lets it be changed no more; asking again would not help.
            Err(error) if error.permanent => {
                tracing::warn!(incident = %id, reason = error.reason, "a message is not changed")
            }
            Err(error) => return Err(PostError::Slack(error)),
        }
        self.remember(id, &post.subject, card);
        Ok(())
    }

    /// Slack takes so many changes a minute; what happens meanwhile is in the next one.
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

    /// The estate's name of the board's channel, and Slack's.
    fn place(&self) -> Option<(String, String)> {
        let estate = self.engine.parts().catalog.estate().content.as_ref().ok()?;
        let (name, channel) = estate.board()?;
        Some((name.to_owned(), channel.slack.clone()?))
    }
}

impl Watched {
    /// Whether a question is to be posted now that was held back.
    fn is_due(&self, now: Timestamp) -> bool {
        self.held.is_some_and(|at| at <= now)
    }
}

/// A message as Slack takes it.
fn drawn(card: &Card) -> Message {
    Message::new(&masked(&card.summary), card.sheet.blocks())
}

fn digest(card: &Card) -> [u8; 32] {
    Sha256::digest(format!("{}\n{}", card.summary, card.sheet.json())).into()
}
