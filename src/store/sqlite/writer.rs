//! The one writer of a process: whatever has gathered while the disk was busy is committed in one transaction.
//!
//! Reading is not here, except of what an append must follow.
//!
//! **Invariant:** an answer is given after the commit. Each append of a batch is compared for itself: a conflict of one
//! does not fail the others, and a failure of the disk fails them all, with nothing written.

use std::collections::HashMap;

use sqlx::Row as _;
use tokio::sync::{mpsc, oneshot};

use super::batch::{Batch, Standing};
use super::link::Link;
use super::room::Room;
use super::row::Stream;
use super::{row, signed};
use crate::domain::event::Recorded;
use crate::domain::id::IncidentId;
use crate::store::claim::{Wish, answer, released};
use crate::store::record::{Prepared, written};
use crate::store::{Claim, Claiming, Key, StoreError, Write};

/// Requests that may wait; who comes later waits for a place.
const QUEUE: usize = 1024;

/// The most requests in one transaction: more would make the first wait for the last.
const BATCH: usize = 256;

/// The most events and names in one transaction: SQLite takes 32,766 values in a statement, an event and a name have four
/// each and a stream eight.
const BATCH_EVENTS: usize = 2_000;

/// Appends up to this many are written without asking first where their streams stand: with more, the saving is shared by
/// so many that it is nothing, and each length is another statement.
const GUESSED: usize = 4;

/// Streams of which it is remembered where they stand: more than one process works on at a time.
const KNOWN: usize = 64;

/// Under the lock for writing: where streams stand and the hash of the event that each names as its last; the names that
/// are given already; and the number of the last stream. The three sorts of rows are told apart by their columns.
const BEGIN: &str = "BEGIN IMMEDIATE; SELECT s.number, s.incident, s.seq, s.opened_at, s.changed_at, s.live, s.head, s.seal, \
    e.hash FROM streams s LEFT JOIN events e ON e.place = (s.number << 20) + s.seq \
    WHERE s.incident IN (SELECT value FROM json_each(?1)); \
    SELECT key, incident, at, seal FROM keys WHERE key IN (SELECT value FROM json_each(?2)); \
    SELECT max((SELECT coalesce(max(number), 0) FROM streams), (SELECT coalesce(max(place), 0) >> 20 FROM events))";

/// How many columns the rows of a stream, a name and a number have in the answer to [`BEGIN`].
const STREAM_COLUMNS: usize = 9;
const KEY_COLUMNS: usize = 4;

/// Writes a claim and ends the transaction.
const COMMIT_CLAIM: &str = "INSERT INTO claims (incident, holder, epoch, expires_at, seal) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (incident) DO UPDATE SET holder = ?2, epoch = ?3, expires_at = ?4, seal = ?5; COMMIT";

/// Ends a transaction that wrote nothing.
const ROLLBACK: &str = "ROLLBACK";

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// An append that waits for its turn.
struct Append {
    write: Write,
    prepared: Vec<Prepared>,
    reply: Reply<Vec<Recorded>>,
}

enum Job {
    Append(Append),
    Claim(Wish, Reply<Claiming>),
    Release(Claim, Reply<()>),
    Close(Reply<()>),
}

/// The door to the writer.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Writer {
    /// Starts the writer; it ends when the last door to it is gone.
    pub(super) fn start(link: Link) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(work(link, queue));
        Self { jobs }
    }

    pub(super) async fn append(&self, write: Write, prepared: Vec<Prepared>) -> Result<Vec<Recorded>, StoreError> {
        self.send(|reply| Job::Append(Append { write, prepared, reply })).await
    }

    pub(super) async fn claim(&self, wish: Wish) -> Result<Claiming, StoreError> {
        self.send(|reply| Job::Claim(wish, reply)).await
    }

    pub(super) async fn release(&self, claim: Claim) -> Result<(), StoreError> {
        self.send(|reply| Job::Release(claim, reply)).await
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.send(Job::Close).await
    }

    async fn send<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable("the log has been closed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

async fn work(mut link: Link, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::new();
    let mut known = Known::default();
    let mut room = Room::default();
    while queue.recv_many(&mut jobs, BATCH).await > 0 {
        let mut appends = Vec::new();
        let mut others = Vec::new();
        for job in jobs.drain(..) {
            match job {
                Job::Append(append) => appends.push(append),
                other => others.push(other),
            }
        }
        while !appends.is_empty() {
            let batch = appends.drain(..batch_length(&appends)).collect();
            commit(&mut link, &mut known, batch).await;
            room.keep(&mut link).await;
        }
        for job in others {
            serve(&mut link, &mut known, job).await;
        }
    }
}

/// How many appends from the front go into one transaction; at least one.
fn batch_length(appends: &[Append]) -> usize {
    let mut events = 0;
    let fits = |append: &&Append| {
        events += append.prepared.len() + append.write.keys.len();
        events <= BATCH_EVENTS
    };
    appends.iter().take_while(fits).count().max(1)
}

/// A reply is lost when its caller has gone away; the write stands all the same.
fn tell<T>(reply: Reply<T>, answer: Result<T, StoreError>) {
    let _ = reply.send(answer);
}

async fn serve(link: &mut Link, known: &mut Known, job: Job) {
    match job {
        Job::Append(append) => commit(link, known, vec![append]).await,
        Job::Claim(wish, reply) => tell(reply, claim(link, wish).await),
        Job::Release(claim, reply) => tell(reply, release(link, claim).await),
        Job::Close(reply) => tell(reply, link.close().await),
    }
}

/// Where streams stand, as far as this process has written to them last. Another process may have gone on since.
#[derive(Debug, Default)]
struct Known(HashMap<IncidentId, Stream>);

impl Known {
    /// The batch, when every stream of it is known and every append follows what is known of it.
    fn batch(&self, appends: &[Append]) -> Option<(Batch, Vec<Vec<Recorded>>)> {
        let mut batch = Batch::default();
        let mut answers = Vec::new();
        for append in appends {
            if append.prepared.is_empty() {
                // It would compare with what is known alone.
                return None;
            }
            let stream = self.0.get(&append.write.incident)?;
            // A conflict here may be with what another process wrote: that is looked up, not told.
            let prepared = append.prepared.clone();
            answers.push(batch.add(&append.write, Standing::At(stream), prepared).ok()?);
        }
        Some((batch, answers))
    }

    fn remember(&mut self, batch: &Batch) {
        if self.0.len() >= KNOWN {
            self.0.clear();
        }
        self.0.extend(batch.streams().map(|stream| (stream.head.summary.id.clone(), stream.clone())));
    }
}

async fn commit(link: &mut Link, known: &mut Known, appends: Vec<Append>) {
    let guess = if appends.len() <= GUESSED { known.batch(&appends) } else { None };
    if let Some((batch, answers)) = guess
        && let Some(whole) = batch.whole()
    {
        match link.try_to(whole).await {
            Ok(true) => {
                known.remember(&batch);
                return appends.into_iter().zip(answers).for_each(|(append, answer)| tell(append.reply, Ok(answer)));
            }
            // Another process was first somewhere: nothing was written.
            Ok(false) => known.0.clear(),
            Err(error) => {
                known.0.clear();
                return fail(appends.into_iter().map(|append| append.reply), &error);
            }
        }
    }
    commit_compared(link, known, appends).await;
}

/// Reads where the streams stand, under the lock for writing, and appends what follows.
async fn commit_compared(link: &mut Link, known: &mut Known, appends: Vec<Append>) {
    let Begun { streams, given, damage, last } = match begin(link, &appends).await {
        Ok(begun) => begun,
        Err(error) => return fail(appends.into_iter().map(|append| append.reply), &error),
    };
    let mut batch = Batch::default();
    let mut promises = Vec::new();
    for Append { write, prepared, reply } in appends {
        let taken = write.keys.iter().find_map(|key| given.iter().find(|given| given.key == *key));
        let damage = damage.as_ref().filter(|_| !write.keys.is_empty());
        let added = match (taken, streams.get(&write.incident)) {
            _ if let Some(error) = damage => Err(again(error)),
            (Some(Key { key, incident, .. }), _) => {
                Err(StoreError::Taken { key: key.clone(), incident: incident.clone() })
            }
            (None, Some(Err(error))) => Err(again(error)),
            (None, Some(Ok(stream))) => batch.add(&write, Standing::At(stream), prepared),
            (None, None) => batch.add(&write, Standing::New { after: last }, prepared),
        };
        match added {
            Ok(recorded) => promises.push((reply, recorded)),
            Err(error) => tell(reply, Err(error)),
        }
    }
    let end = if batch.is_empty() { sqlx::query(ROLLBACK) } else { batch.rest() };
    match link.ask(end).await {
        Ok(_) => {
            known.remember(&batch);
            promises.into_iter().for_each(|(reply, recorded)| tell(reply, Ok(recorded)));
        }
        Err(error) => fail(promises.into_iter().map(|(reply, _)| reply), &error),
    }
}

/// What a batch has to follow.
#[derive(Default)]
struct Begun {
    /// The streams that were asked for, each with the damage that is told to who wants to follow it.
    streams: HashMap<IncidentId, Result<Stream, StoreError>>,
    /// The names that were asked for and are given already.
    given: Vec<Key>,
    /// What is wrong with one of them: told to everybody who gives names.
    damage: Option<StoreError>,
    /// The number of the last stream.
    last: u64,
}

/// Takes the lock for writing and reads where the streams stand.
async fn begin(link: &mut Link, appends: &[Append]) -> Result<Begun, StoreError> {
    let incidents: Vec<&str> = appends.iter().map(|append| append.write.incident.as_str()).collect();
    let keys: Vec<&str> = appends.iter().flat_map(|append| &append.write.keys).map(String::as_str).collect();
    let list = |texts: Vec<&str>| serde_json::Value::from(texts).to_string();
    let rows = link.ask(sqlx::query(BEGIN).bind(list(incidents)).bind(list(keys))).await?;
    let mut begun = Begun::default();
    for row in &rows {
        match row.len() {
            STREAM_COLUMNS => {
                // Damage elsewhere does not keep a new incident out of the log: that is when it is needed.
                let Ok(incident) = row::incident_of_stream(link.path(), row) else { continue };
                begun.streams.insert(incident, row::stream_and_last(link.path(), row));
            }
            KEY_COLUMNS => match row::key(link.path(), row) {
                Ok(key) => begun.given.push(key),
                Err(error) => begun.damage = Some(error),
            },
            _ => begun.last = row::last(link.path(), row)?,
        }
    }
    Ok(begun)
}

async fn claim(link: &mut Link, wish: Wish) -> Result<Claiming, StoreError> {
    let current = begin_claim(link, &wish.incident).await?;
    let answer = answer(current, wish);
    match &answer {
        Claiming::Taken(_) => link.ask(sqlx::query(ROLLBACK)).await?,
        Claiming::Held(claim) => link.ask(commit_claim(claim)).await?,
    };
    Ok(answer)
}

async fn release(link: &mut Link, claim: Claim) -> Result<(), StoreError> {
    let current = begin_claim(link, &claim.incident).await?;
    let ours = current.is_some_and(|current| current.holder == claim.holder && current.epoch == claim.epoch);
    let end = if ours { commit_claim(&released(&claim)) } else { sqlx::query(ROLLBACK) };
    link.ask(end).await.map(drop)
}

async fn begin_claim(link: &mut Link, incident: &IncidentId) -> Result<Option<Claim>, StoreError> {
    link.ask(sqlx::query("BEGIN IMMEDIATE")).await?;
    let claim = claimed(link, incident).await;
    if claim.is_err() {
        link.ask(sqlx::query(ROLLBACK)).await?;
    }
    claim
}

/// The claim on record. When there is none, every other is checked, so that it is not there under a damaged name.
pub(super) async fn claimed(link: &mut Link, incident: &IncidentId) -> Result<Option<Claim>, StoreError> {
    const ONE: &str = "SELECT incident, holder, epoch, expires_at, seal FROM claims WHERE incident = ?1";
    const ALL: &str = "SELECT incident, holder, epoch, expires_at, seal FROM claims";
    let rows = link.ask(sqlx::query(ONE).bind(incident.as_str().to_owned())).await?;
    if let Some(row) = rows.first() {
        return row::claim(link.path(), row).map(Some);
    }
    for row in link.ask(sqlx::query(ALL)).await? {
        row::claim(link.path(), &row)?;
    }
    Ok(None)
}

fn commit_claim(claim: &Claim) -> super::Question {
    sqlx::query(COMMIT_CLAIM)
        .bind(claim.incident.as_str().to_owned())
        .bind(claim.holder.clone())
        .bind(signed(claim.epoch))
        .bind(written(claim.expires_at))
        .bind(row::seal(claim).to_vec())
}

/// Tells everybody of one failure.
fn fail<T>(replies: impl Iterator<Item = Reply<T>>, error: &StoreError) {
    replies.for_each(|reply| tell(reply, Err(again(error))));
}

/// The same error once more.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Conflict { expected, actual } => StoreError::Conflict { expected: *expected, actual: *actual },
        StoreError::Taken { key, incident } => StoreError::Taken { key: key.clone(), incident: incident.clone() },
        StoreError::Damaged(why) => StoreError::Damaged(why.clone()),
        StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
        StoreError::TooLarge(why) => StoreError::TooLarge(why.clone()),
    }
}
