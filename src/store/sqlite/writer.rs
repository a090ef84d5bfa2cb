//! The one writer of a process: whatever has gathered while the disk was busy is committed in one transaction.
//!
//! Reading is not here, except of what an append must follow.
//!
//! **Invariant:** an answer is given after the commit. Each append of a batch is compared for itself: a conflict of one
//! does not fail the others, and a failure of the disk fails them all, with nothing written.

use std::collections::HashMap;
use std::fmt::Write as _;

use sqlx::AssertSqlSafe;
use tokio::sync::{mpsc, oneshot};

use super::link::Link;
use super::{row, signed};
use crate::domain::event::Recorded;
use crate::domain::id::IncidentId;
use crate::store::claim::{Wish, answer, released};
use crate::store::record::{Prepared, written};
use crate::store::stream::{Extension, Head, extend};
use crate::store::{Claim, Claiming, StoreError};

/// Requests that may wait; who comes later waits for a place.
const QUEUE: usize = 1024;

/// The most requests in one transaction: more would make the first wait for the last.
const BATCH: usize = 256;

/// The most events in one transaction: SQLite takes 32,766 values in a statement, and an event has five.
const BATCH_EVENTS: usize = 2_000;

/// Statements up to this many events are kept prepared; longer ones are rare, and each length is another statement.
const KEPT_PREPARED: usize = 8;

/// Where streams stand and the hash of the event that each names as its last, under the lock for writing.
const BEGIN: &str = "BEGIN IMMEDIATE; SELECT s.incident, s.seq, s.opened_at, s.changed_at, s.head, s.seal, e.hash \
    FROM streams s LEFT JOIN events e ON e.incident = s.incident AND e.seq = s.seq \
    WHERE s.incident IN (SELECT value FROM json_each(?1))";

/// The claim on record, under the lock for writing.
const BEGIN_CLAIM: &str =
    "BEGIN IMMEDIATE; SELECT incident, holder, epoch, expires_at, seal FROM claims WHERE incident = ?1";

/// The claim on record.
pub(super) const CLAIMED: &str = "SELECT incident, holder, epoch, expires_at, seal FROM claims WHERE incident = ?1";

/// Writes a claim and ends the transaction.
const COMMIT_CLAIM: &str = "INSERT INTO claims (incident, holder, epoch, expires_at, seal) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (incident) DO UPDATE SET holder = ?2, epoch = ?3, expires_at = ?4, seal = ?5; COMMIT";

/// Ends a transaction that wrote nothing.
const ROLLBACK: &str = "ROLLBACK";

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// An append that waits for its turn.
struct Append {
    incident: IncidentId,
    expected: u64,
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

    pub(super) async fn append(
        &self,
        incident: IncidentId,
        expected: u64,
        prepared: Vec<Prepared>,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.send(|reply| Job::Append(Append { incident, expected, prepared, reply })).await
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
            commit(&mut link, batch).await;
        }
        for job in others {
            serve(&mut link, job).await;
        }
    }
}

/// How many appends from the front go into one transaction; at least one.
fn batch_length(appends: &[Append]) -> usize {
    let mut events = 0;
    let fits = |append: &&Append| {
        events += append.prepared.len();
        events <= BATCH_EVENTS
    };
    appends.iter().take_while(fits).count().max(1)
}

/// A reply is lost when its caller has gone away; the write stands all the same.
fn tell<T>(reply: Reply<T>, answer: Result<T, StoreError>) {
    let _ = reply.send(answer);
}

async fn serve(link: &mut Link, job: Job) {
    match job {
        Job::Append(append) => commit(link, vec![append]).await,
        Job::Claim(wish, reply) => tell(reply, claim(link, wish).await),
        Job::Release(claim, reply) => tell(reply, release(link, claim).await),
        Job::Close(reply) => tell(reply, link.close().await),
    }
}

/// What a batch comes to before it is committed.
#[derive(Default)]
struct Batch {
    /// New rows with their streams.
    rows: Vec<(IncidentId, crate::store::stream::Row)>,
    /// Where the streams stand that were added to.
    heads: HashMap<IncidentId, Head>,
    /// Who is told what when it is committed.
    promises: Vec<(Reply<Vec<Recorded>>, Vec<Recorded>)>,
}

async fn commit(link: &mut Link, appends: Vec<Append>) {
    let mut heads = match begin(link, &appends).await {
        Ok(heads) => heads,
        Err(error) => return fail(appends.into_iter().map(|append| append.reply), &error),
    };
    let mut batch = Batch::default();
    for append in appends {
        add(&mut batch, &mut heads, append);
    }
    let ended = link.ask(batch.question()).await;
    match ended {
        Ok(_) => batch.promises.into_iter().for_each(|(reply, recorded)| tell(reply, Ok(recorded))),
        Err(error) => fail(batch.promises.into_iter().map(|(reply, _)| reply), &error),
    }
}

/// Takes the lock for writing and reads where the streams stand.
async fn begin(link: &mut Link, appends: &[Append]) -> Result<HashMap<IncidentId, HeadOnRecord>, StoreError> {
    let incidents: Vec<&str> = appends.iter().map(|append| append.incident.as_str()).collect();
    let list = serde_json::Value::from(incidents).to_string();
    let rows = link.ask(sqlx::query(BEGIN).bind(list)).await?;
    let mut heads = HashMap::new();
    for row in &rows {
        let Ok(incident) = row::incident(link.path(), row) else { continue };
        heads.insert(incident, row::head_and_last(link.path(), row));
    }
    Ok(heads)
}

/// A head as it was read: damage is told to whoever wants to follow it.
type HeadOnRecord = Result<Head, StoreError>;

fn add(batch: &mut Batch, heads: &mut HashMap<IncidentId, HeadOnRecord>, append: Append) {
    let Append { incident, expected, prepared, reply } = append;
    let head = match heads.get(&incident) {
        Some(Err(error)) => return tell(reply, Err(again(error))),
        Some(Ok(head)) => Some(head),
        None => None,
    };
    match extend(&incident, head, expected, prepared) {
        Err(error) => tell(reply, Err(error)),
        Ok(Extension { head, rows, recorded }) => {
            if let (Some(head), false) = (head, rows.is_empty()) {
                heads.insert(incident.clone(), Ok(head.clone()));
                batch.heads.insert(incident.clone(), head);
            }
            batch.rows.extend(rows.into_iter().map(|row| (incident.clone(), row)));
            batch.promises.push((reply, recorded));
        }
    }
}

impl Batch {
    /// Everything that is written, and the commit, as one question: each costs two hand-overs between threads.
    fn question(&mut self) -> super::Question {
        if self.rows.is_empty() {
            return sqlx::query(ROLLBACK);
        }
        let mut sql = String::new();
        values(&mut sql, "INSERT INTO streams (incident, seq, opened_at, changed_at, head, seal)", 6, self.heads.len());
        sql.push_str(
            " ON CONFLICT (incident) DO UPDATE SET seq = excluded.seq, changed_at = excluded.changed_at, \
             head = excluded.head, seal = excluded.seal; ",
        );
        values(&mut sql, "INSERT INTO events (incident, seq, at, body, hash)", 5, self.rows.len());
        sql.push_str("; COMMIT");
        // Only the number of placeholders varies; every value is bound.
        let mut question = sqlx::query(AssertSqlSafe(sql)).persistent(self.rows.len() <= KEPT_PREPARED);
        for (_, head) in self.heads.drain() {
            let seal = head.seal().to_vec();
            let summary = head.summary;
            question = question
                .bind(summary.id.as_str().to_owned())
                .bind(signed(summary.seq))
                .bind(written(summary.opened_at))
                .bind(written(summary.changed_at))
                .bind(head.hash.to_vec())
                .bind(seal);
        }
        for (incident, row) in self.rows.drain(..) {
            question = question
                .bind(incident.as_str().to_owned())
                .bind(signed(row.seq))
                .bind(text(row.at))
                .bind(text(row.body))
                .bind(row.hash.to_vec());
        }
        question
    }
}

/// The columns are text; rows that were read may hold anything, rows that are written do not.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("a new row was made from text")
}

/// Adds `insert VALUES (?,…),(?,…)…` with `rows` rows of `width` placeholders.
fn values(sql: &mut String, insert: &str, width: usize, rows: usize) {
    let row = format!("({})", vec!["?"; width].join(","));
    write!(sql, "{insert} VALUES {}", vec![row; rows].join(",")).expect("a string takes everything");
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
    let rows = link.ask(sqlx::query(BEGIN_CLAIM).bind(incident.as_str().to_owned())).await?;
    let claim = rows.first().map(|row| row::claim(link.path(), row)).transpose();
    if claim.is_err() {
        link.ask(sqlx::query(ROLLBACK)).await?;
    }
    claim
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
        StoreError::Damaged(why) => StoreError::Damaged(why.clone()),
        StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
        StoreError::TooLarge(why) => StoreError::TooLarge(why.clone()),
    }
}
