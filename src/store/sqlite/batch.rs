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
use super::signed;
use crate::domain::event::Recorded;
use crate::domain::id::IncidentId;
use crate::store::StoreError;
use crate::store::record::{Prepared, written};
use crate::store::stream::{Extension, Head, Row, extend};

/// Statements up to this many events are kept prepared; longer ones are rare, and each length is another statement.
const KEPT_PREPARED: usize = 8;

const STREAM: &str = "INSERT INTO streams (incident, seq, opened_at, changed_at, head, seal)";
const STREAM_GROWS: &str = " ON CONFLICT (incident) DO UPDATE SET seq = excluded.seq, \
    changed_at = excluded.changed_at, head = excluded.head, seal = excluded.seal; ";
const STREAM_STANDS: &str =
    "UPDATE streams SET seq = ?, changed_at = ?, head = ?, seal = ? WHERE incident = ? AND seq = ? AND head = ?; ";
const EVENTS: &str = "INSERT INTO events (incident, seq, at, body, hash)";

/// What becomes of one stream.
#[derive(Debug)]
struct Change {
    before: Option<Head>,
    after: Head,
    rows: Vec<Row>,
}

/// What is written in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    changes: BTreeMap<IncidentId, Change>,
}

impl Batch {
    /// Adds events to a stream that stands at `head`, or where this batch leaves it.
    pub(super) fn add(
        &mut self,
        incident: IncidentId,
        head: Option<&Head>,
        expected: u64,
        prepared: Vec<Prepared>,
    ) -> Result<Vec<Recorded>, StoreError> {
        let stands = self.changes.get(&incident).map(|change| &change.after).or(head);
        let Extension { head: after, rows, recorded } = extend(&incident, stands, expected, prepared)?;
        if let (Some(after), false) = (after, rows.is_empty()) {
            let begin = || Change { before: head.cloned(), after: after.clone(), rows: Vec::new() };
            let change = self.changes.entry(incident).or_insert_with(begin);
            change.rows.extend(rows);
            change.after = after;
        }
        Ok(recorded)
    }

    /// Whether nothing is written.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Where the streams stand afterwards.
    pub(super) fn heads(&self) -> impl Iterator<Item = &Head> {
        self.changes.values().map(|change| &change.after)
    }

    /// The writing and the commit, for a transaction that has begun and in which the heads were read.
    pub(super) fn rest(&self) -> Question {
        let mut sql = String::new();
        values(&mut sql, STREAM, "(?,?,?,?,?,?)", self.changes.len());
        sql.push_str(STREAM_GROWS);
        values(&mut sql, EVENTS, "(?,?,?,?,?)", self.events());
        sql.push_str("; COMMIT");
        let mut question = self.question(sql);
        for change in self.changes.values() {
            let Head { summary, hash } = &change.after;
            question = question
                .bind(summary.id.as_str().to_owned())
                .bind(signed(summary.seq))
                .bind(written(summary.opened_at))
                .bind(written(summary.changed_at))
                .bind(hash.to_vec())
                .bind(change.after.seal().to_vec());
        }
        self.changes.values().fold(question, bind_rows)
    }

    /// The whole transaction, for streams of which this process knows where they stand. When one of them stands elsewhere
    /// after all, an event's number is null, which its column refuses.
    pub(super) fn whole(&self) -> Question {
        let mut sql = "BEGIN IMMEDIATE; ".to_owned();
        for change in self.changes.values() {
            sql.push_str(STREAM_STANDS);
            values(&mut sql, EVENTS, "(?,CASE changes() WHEN 1 THEN ? END,?,?,?)", change.rows.len());
            sql.push_str("; ");
        }
        sql.push_str("COMMIT");
        self.changes.values().fold(self.question(sql), |question, change| {
            let Head { summary, hash } = &change.after;
            let before = change.before.as_ref();
            let question = question
                .bind(signed(summary.seq))
                .bind(written(summary.changed_at))
                .bind(hash.to_vec())
                .bind(change.after.seal().to_vec())
                .bind(summary.id.as_str().to_owned())
                .bind(signed(before.map_or(0, |head| head.summary.seq)))
                .bind(before.map(|head| head.hash.to_vec()));
            bind_rows(question, change)
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
    let incident = &change.after.summary.id;
    change.rows.iter().fold(question, |question, row| {
        question
            .bind(incident.as_str().to_owned())
            .bind(signed(row.seq))
            .bind(text(&row.at))
            .bind(text(&row.body))
            .bind(row.hash.to_vec())
    })
}

/// The columns are text; rows that were read may hold anything, rows that are written do not.
fn text(bytes: &[u8]) -> String {
    str::from_utf8(bytes).expect("a new row was made from text").to_owned()
}

/// Adds `insert VALUES row,row…`.
fn values(sql: &mut String, insert: &str, row: &str, rows: usize) {
    write!(sql, "{insert} VALUES {}", vec![row; rows].join(",")).expect("a string takes everything");
}
