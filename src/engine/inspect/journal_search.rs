//! Searches the journal for a person: in the order of time, with as many readers as help, in bounded memory.
//!
//! journalctl takes almost all of the time, and one of it uses one core. So a long stretch of time is cut into slices,
//! some are read at once, and what they find is handed on slice by slice.
//!
//! Deliberately absent: how lines look, and incidents; whoever searches decides what becomes of it.
//!
//! **Invariant:** a slice that is read ahead of its turn stops being read when it holds [`AHEAD`] bytes: the pipe fills,
//! and its journalctl waits.

mod ordered_merge;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use self::ordered_merge::{Slice, merged};
use crate::actions::Context;
use crate::actions::kinds::journal::query::Query;
use crate::domain::core::time::Timestamp;
use crate::domain::journal::entry::Entry;
use crate::domain::journal::filter::Filter;
use crate::sync::lock;

/// The most readers at once: the host may be in trouble, and has other things to do.
const READERS: usize = 4;

/// Slices for every reader, since some hours hold more lines than others and nobody should wait for the fullest.
const SLICES: usize = 3;

/// A shorter stretch is read in one go: finding out where to cut costs a process.
const SLICED: TimeDelta = TimeDelta::hours(1);

/// What a slice may find ahead of its turn, in bytes of messages.
const AHEAD: usize = 8 * 1024 * 1024;

/// What is kept of the newest lines, in bytes of messages, however many lines are asked for.
const NEWEST: usize = 64 * 1024 * 1024;

/// What is left of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searched {
    /// How many lines were too long to be looked at.
    pub oversized: u64,
    /// Why not everything was read, if that is so.
    pub trouble: Option<String>,
    /// Whether it was stopped before the end by who took the lines.
    pub stopped: bool,
}

/// The order in which lines are handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineOrder {
    /// The oldest first.
    Forwards,
    /// The newest first.
    Backwards,
    /// The oldest first, and then those that are written from now on, without end.
    Following,
}

/// Searches, and hands on what is found, until that says to stop.
///
/// # Errors
///
/// When journalctl cannot be started at all, in words.
pub async fn search(
    filter: &Filter,
    order: LineOrder,
    context: &Context,
    take: &mut (dyn FnMut(Vec<Entry>) -> ControlFlow<()> + Send),
) -> Result<Searched, String> {
    let whole = Query {
        reverse: order == LineOrder::Backwards,
        follow: order == LineOrder::Following,
        directory: context.environment.journal.as_ref().map(PathBuf::from),
        ..Query::of(filter)
    };
    let slices = if worth_slicing(&whole, order) { slices(&whole, context).await? } else { vec![whole] };
    merged(slices.into_iter().map(|query| Slice::new(query, filter, context)).collect(), readers(), context, take).await
}

/// The newest lines that are found, the oldest of them first; whether there are more is in `stopped`.
///
/// # Errors
///
/// As [`search`].
pub async fn newest(filter: &Filter, most: usize, context: &Context) -> Result<(Vec<Entry>, Searched), String> {
    let (mut kept, mut bytes) = (Vec::new(), 0);
    let mut take = |entries: Vec<Entry>| {
        for entry in entries {
            if kept.len() == most || bytes > NEWEST {
                return ControlFlow::Break(());
            }
            bytes += entry.raw.len();
            kept.push(entry);
        }
        ControlFlow::Continue(())
    };
    let searched = search(filter, LineOrder::Backwards, context, &mut take).await?;
    kept.reverse();
    Ok((kept, searched))
}

/// How many readers help.
fn readers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(READERS)
}

/// Whether several readers can be of use: not where the index rules out most lines, nor where the newest lines come
/// first and soon are enough.
fn worth_slicing(whole: &Query, order: LineOrder) -> bool {
    let every_line_is_read = order == LineOrder::Forwards || whole.is_prefiltered();
    order != LineOrder::Following && every_line_is_read && !whole.is_indexed() && readers() > 1
}

/// The query cut into equal stretches of the time from which there are lines, in the order in which they are read.
async fn slices(whole: &Query, context: &Context) -> Result<Vec<Query>, String> {
    let end = whole.until.unwrap_or_else(|| context.clock.now());
    if end - whole.since <= SLICED {
        return Ok(vec![whole.clone()]);
    }
    let Some(first) = oldest(whole, context).await? else {
        return Ok(vec![whole.clone()]);
    };
    let count = if end - first <= SLICED { 1 } else { readers() * SLICES };
    let step = (end - first) / i32::try_from(count).unwrap_or(1);
    let cuts: Vec<Timestamp> = (1..count).map(|cut| first + step * i32::try_from(cut).unwrap_or(1)).collect();
    let begins = std::iter::once(whole.since).chain(cuts.iter().copied());
    // A slice ends just before the next begins: the journal counts in microseconds.
    let ends = cuts.iter().map(|cut| Some(*cut - TimeDelta::microseconds(1))).chain([whole.until]);
    let mut slices: Vec<Query> =
        begins.zip(ends).map(|(since, until)| Query { since, until, ..whole.clone() }).collect();
    if whole.reverse {
        slices.reverse();
    }
    Ok(slices)
}

/// When the oldest line was written that a query is about.
async fn oldest(whole: &Query, context: &Context) -> Result<Option<Timestamp>, String> {
    let query = Query { reverse: false, ..whole.clone() }.of_instants();
    let (first, found) = (Arc::new(Mutex::new(None)), CancellationToken::new());
    let mut take = |record: &crate::domain::journal::export::ExportRecord<'_>| {
        lock(&first).get_or_insert(record.at);
        found.cancel();
    };
    tokio::select! {
        read = query.read(context, &mut take) => drop(read.map_err(|error| error.to_string())?),
        () = found.cancelled() => {}
    }
    let first = *lock(&first);
    Ok(first)
}
