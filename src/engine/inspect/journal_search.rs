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
use crate::actions::kinds::journal::query::JournalQuery;
use crate::domain::core::time::Timestamp;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::filter::JournalFilter;
use crate::sync::lock;

/// Concurrent readers: the host may be overloaded.
const READERS: usize = 4;

/// Slices per reader, since some hours hold more lines than others.
const SLICES: usize = 3;

/// A shorter period is read in one go: choosing the cuts needs an extra process.
const SLICED: TimeDelta = TimeDelta::hours(1);

/// Bytes of messages that a slice may hold ahead of its turn.
const AHEAD: usize = 8 * 1024 * 1024;

/// Bytes of messages kept of the newest lines, however many lines are requested.
const NEWEST: usize = 64 * 1024 * 1024;

/// The result of a search, besides the lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searched {
    /// Lines that were too long to be examined.
    pub oversized: u64,
    /// Why not everything was read, if so.
    pub trouble: Option<String>,
    /// Whether the receiver of the lines stopped the search.
    pub stopped: bool,
}

/// The order in which lines are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineOrder {
    Forwards,
    Backwards,
    /// Oldest first, then new lines as they are written, without end.
    Following,
}

/// Searches, and passes on matches until `take` stops the search.
///
/// # Errors
///
/// A sentence if journalctl cannot be started.
pub async fn search(
    filter: &JournalFilter,
    order: LineOrder,
    context: &Context,
    take: &mut (dyn FnMut(Vec<JournalEntry>) -> ControlFlow<()> + Send),
) -> Result<Searched, String> {
    let whole = JournalQuery {
        reverse: order == LineOrder::Backwards,
        follow: order == LineOrder::Following,
        directory: context.environment.journal.as_ref().map(PathBuf::from),
        ..JournalQuery::of(filter)
    };
    let slices = if worth_slicing(&whole, order) { slices(&whole, context).await? } else { vec![whole] };
    merged(slices.into_iter().map(|query| Slice::new(query, filter, context)).collect(), readers(), context, take).await
}

/// The newest matches, oldest first. `stopped` shows whether there are more.
///
/// # Errors
///
/// As [`search`].
pub async fn newest(
    filter: &JournalFilter,
    most: usize,
    context: &Context,
) -> Result<(Vec<JournalEntry>, Searched), String> {
    let (mut kept, mut bytes) = (Vec::new(), 0);
    let mut take = |entries: Vec<JournalEntry>| {
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

/// The number of concurrent readers on this machine.
fn readers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(READERS)
}

/// Whether several readers are faster. They are not if the index excludes most lines, or if the newest lines are wanted
/// first and few are enough.
fn worth_slicing(whole: &JournalQuery, order: LineOrder) -> bool {
    let every_line_is_read = order == LineOrder::Forwards || whole.is_prefiltered();
    order != LineOrder::Following && every_line_is_read && !whole.is_indexed() && readers() > 1
}

/// Cuts the query into equal periods, from the oldest line on, in reading order.
async fn slices(whole: &JournalQuery, context: &Context) -> Result<Vec<JournalQuery>, String> {
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
    // A slice ends just before the next one: the journal counts in microseconds.
    let ends = cuts.iter().map(|cut| Some(*cut - TimeDelta::microseconds(1))).chain([whole.until]);
    let mut slices: Vec<JournalQuery> =
        begins.zip(ends).map(|(since, until)| JournalQuery { since, until, ..whole.clone() }).collect();
    if whole.reverse {
        slices.reverse();
    }
    Ok(slices)
}

/// The instant of the oldest line within a query.
async fn oldest(whole: &JournalQuery, context: &Context) -> Result<Option<Timestamp>, String> {
    let query = JournalQuery { reverse: false, ..whole.clone() }.of_instants();
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
