//! What is written in one transaction, and the SQL for it.
//!
//! Each question to the database costs two hand-overs between threads, which on a busy machine cost more than the disk.
//! So a batch is one question where that can be: when this process wrote the last event of each stream itself, it knows
//! where they stand, and the statements compare for themselves whether that is still so.
//!
//! **Invariant:** only the number of placeholders varies in the SQL; every value is bound.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::AssertSqlSafe;

use super::link::Question;
use super::row::{self, Stream};
use super::signed;
use crate::domain::event::Recorded;
use crate::domain::id::IncidentId;
use crate::store::claim::begun;
use crate::store::record::{Prepared, written};
use crate::store::stream::{Extension, Head, Row, extend};
use crate::store::{Claim, Key, StoreError, Write};

/// Statements up to this many events are kept prepared; longer ones are rare, and each length is another statement.
const KEPT_PREPARED: usize = 8;

const STREAM: &str = "INSERT INTO streams (number, incident, seq, opened_at, changed_at, live, head, seal)";
const STREAM_GROWS: &str = " ON CONFLICT (incident) DO UPDATE SET seq = excluded.seq, \
    changed_at = excluded.changed_at, live = excluded.live, head = excluded.head, seal = excluded.seal; ";
const EVENTS: &str = "INSERT INTO events (place, at, body, hash)";
const KEYS: &str = "INSERT INTO keys (key, incident, at, seal)";
const CLAIMS: &str = "INSERT INTO claims (incident, holder, epoch, expires_at, seal)";

/// For the connection of the writer alone: an insert into `appends` is an event and, in its stream's first row, what becomes
/// of the stream, which is compared first. So a whole batch is one statement, and SQLite commits it by itself.
pub(super) const APPENDS: &str = "CREATE TEMP VIEW appends \
    (place, at, body, hash, incident, before, sealed, seq, changed_at, live, head, seal) AS \
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL; \
    CREATE TEMP TRIGGER appended INSTEAD OF INSERT ON appends BEGIN \
    UPDATE streams SET seq = new.seq, changed_at = new.changed_at, live = new.live, head = new.head, seal = new.seal \
    WHERE incident = new.incident AND seq = new.before AND seal = new.sealed; \
    SELECT raise(ABORT, 'the stream stands elsewhere') WHERE new.incident IS NOT NULL AND changes() = 0; \
    INSERT INTO events (place, at, body, hash) VALUES (new.place, new.at, new.body, new.hash); END";
const APPEND: &str = "INSERT INTO appends VALUES ";

/// Where a stream stands before a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing<'a> {
    /// It is there.
    At(&'a Stream),
    /// It is not there, and this is the number of the last that is.
    New {
        /// The number.
        after: u64,
    },
}

/// What becomes of one stream.
#[derive(Debug)]
struct Change {
    before: Option<Stream>,
    after: Stream,
    rows: Vec<Row>,
    keys: Vec<Key>,
    claim: Option<Claim>,
}

/// What is written in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    changes: BTreeMap<IncidentId, Change>,
}

impl Batch {
    /// Adds a write to a stream that stands there, or where this batch leaves it.
    pub(super) fn add(
        &mut self,
        write: &Write,
        standing: Standing<'_>,
        prepared: Vec<Prepared>,
    ) -> Result<Vec<Recorded>, StoreError> {
        let Write { incident, expected, keys, claim, live, .. } = write;
        let before = match standing {
            Standing::At(stream) => Some(stream),
            Standing::New { .. } => None,
        };
        self.are_free(keys)?;
        let stands = self.changes.get(incident).map(|change| &change.after).or(before);
        let Extension { head, rows, recorded } =
            extend(incident, stands.map(|stream| &stream.head), *expected, prepared, *live)?;
        if let (Some(head), false) = (head, rows.is_empty()) {
            let number = stands.map_or_else(|| self.number(standing), |stream| stream.number);
            let after = Stream { number, head };
            let at = after.head.summary.changed_at;
            let begin = || Change {
                before: before.cloned(),
                after: after.clone(),
                rows: Vec::new(),
                keys: Vec::new(),
                claim: claim.clone().filter(|_| *expected == 0).map(|hold| begun(incident, hold)),
            };
            let change = self.changes.entry(incident.clone()).or_insert_with(begin);
            change.rows.extend(rows);
            change.keys.extend(keys.iter().map(|key| Key { key: key.clone(), incident: incident.clone(), at }));
            change.after = after;
        }
        Ok(recorded)
    }

    /// That no write before in this batch gives these names.
    fn are_free(&self, keys: &[String]) -> Result<(), StoreError> {
        let mut given = self.changes.values().flat_map(|change| &change.keys);
        match given.find(|given| keys.contains(&given.key)) {
            Some(Key { key, incident, .. }) => Err(StoreError::Taken { key: key.clone(), incident: incident.clone() }),
            None => Ok(()),
        }
    }

    /// The number of a stream that this batch begins.
    fn number(&self, standing: Standing<'_>) -> u64 {
        match standing {
            Standing::At(stream) => stream.number,
            Standing::New { after } => {
                after + 1 + self.changes.values().filter(|change| change.before.is_none()).count() as u64
            }
        }
    }

    /// Whether nothing is written.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Where the streams stand afterwards.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.changes.values().map(|change| &change.after)
    }

    /// The writing and the commit, for a transaction that has begun and in which the heads were read.
    pub(super) fn rest(&self) -> Question {
        let mut sql = String::new();
        values(&mut sql, STREAM, "(?,?,?,?,?,?,?,?)", self.changes.len());
        sql.push_str(STREAM_GROWS);
        values(&mut sql, EVENTS, "(?,?,?,?)", self.events());
        sql.push_str("; ");
        self.push_names(&mut sql);
        sql.push_str("COMMIT");
        let mut question = self.question(sql);
        for Change { after, .. } in self.changes.values() {
            let Head { summary, hash } = &after.head;
            question = question
                .bind(signed(after.number))
                .bind(summary.id.as_str().to_owned())
                .bind(signed(summary.seq))
                .bind(written(summary.opened_at))
                .bind(written(summary.changed_at))
                .bind(i64::from(summary.live))
                .bind(hash.to_vec())
                .bind(after.seal().to_vec());
        }
        self.bind_names(self.changes.values().fold(question, bind_rows))
    }

    /// The whole transaction as one statement, for streams of which this process knows where they stand; none when names
    /// or claims are to be written as well. It is refused when one of the streams stands elsewhere after all.
    pub(super) fn whole(&self) -> Option<Question> {
        let mut rows = Vec::new();
        for change in self.changes.values() {
            if change.before.is_none() || change.claim.is_some() || !change.keys.is_empty() {
                return None;
            }
            rows.push("(?,?,?,?,?,?,?,?,?,?,?,?)");
            rows.resize(rows.len() + change.rows.len() - 1, "(?,?,?,?,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)");
        }
        let question = self.question(format!("{APPEND}{}", rows.join(",")));
        Some(self.changes.values().fold(question, bind_whole))
    }

    /// The statements for names and claims, where there are any.
    fn push_names(&self, sql: &mut String) {
        let keys = self.changes.values().map(|change| change.keys.len()).sum();
        let claims = self.changes.values().filter(|change| change.claim.is_some()).count();
        for (insert, row, rows) in [(KEYS, "(?,?,?,?)", keys), (CLAIMS, "(?,?,?,?,?)", claims)] {
            if rows > 0 {
                values(sql, insert, row, rows);
                sql.push_str("; ");
            }
        }
    }

    fn bind_names(&self, question: Question) -> Question {
        let keys = self.changes.values().flat_map(|change| &change.keys);
        let question = keys.fold(question, |question, key| {
            question
                .bind(key.key.clone())
                .bind(key.incident.as_str().to_owned())
                .bind(written(key.at))
                .bind(row::key_seal(key).to_vec())
        });
        let claims = self.changes.values().filter_map(|change| change.claim.as_ref());
        claims.fold(question, |question, claim| {
            question
                .bind(claim.incident.as_str().to_owned())
                .bind(claim.holder.clone())
                .bind(signed(claim.epoch))
                .bind(written(claim.expires_at))
                .bind(row::seal(claim).to_vec())
        })
    }

    fn question(&self, sql: String) -> Question {
        sqlx::query(AssertSqlSafe(sql)).persistent(self.events() <= KEPT_PREPARED)
    }

    fn events(&self) -> usize {
        self.changes.values().map(|change| change.rows.len()).sum()
    }
}

fn bind_rows(question: Question, change: &Change) -> Question {
    change.rows.iter().fold(question, |question, row| bind_row(question, change, row))
}

fn bind_row(question: Question, change: &Change, row: &Row) -> Question {
    question.bind(signed(change.after.place(row.seq))).bind(text(&row.at)).bind(text(&row.body)).bind(row.hash.to_vec())
}

/// The first event with what becomes of its stream, then the others.
fn bind_whole(question: Question, change: &Change) -> Question {
    let Some((first, others)) = change.rows.split_first() else { return question };
    let Head { summary, hash } = &change.after.head;
    let before = change.before.as_ref();
    let question = bind_row(question, change, first)
        .bind(summary.id.as_str().to_owned())
        .bind(before.map(|stream| signed(stream.head.summary.seq)))
        .bind(before.map(|stream| stream.seal().to_vec()))
        .bind(signed(summary.seq))
        .bind(written(summary.changed_at))
        .bind(i64::from(summary.live))
        .bind(hash.to_vec())
        .bind(change.after.seal().to_vec());
    others.iter().fold(question, |question, row| bind_row(question, change, row))
}

/// The columns are text; rows that were read may hold anything, rows that are written do not.
fn text(bytes: &[u8]) -> String {
    str::from_utf8(bytes).expect("a new row was made from text").to_owned()
}

/// Adds `insert VALUES row,row…`.
fn values(sql: &mut String, insert: &str, row: &str, rows: usize) {
    write!(sql, "{insert} VALUES {}", vec![row; rows].join(",")).expect("a string takes everything");
}
