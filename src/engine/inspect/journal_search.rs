//! Searches the journal for a person: in order of time, with several readers, in bounded memory.
//!
//! Almost all time is spent in journalctl, which uses one core. So a long period is cut into slices. Several slices are read
//! at the same time, and their results are passed on in order.
//!
//! **Invariant:** reading ahead in a slice pauses when the slice has [`READ_AHEAD_LIMIT`] bytes: the pipe fills, and its
//! journalctl waits.
//!
//! Not here: the format of lines.

mod ordered_merge;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use self::ordered_merge::{Slice, merge};
use crate::actions::Context;
use crate::actions::kinds::journal::query::JournalQuery;
use crate::domain::core::time::Timestamp;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::filter::JournalFilter;
use crate::sync::lock;

/// The most readers at the same time: the host may be overloaded.
const READER_LIMIT: usize = 4;

/// Slices per reader: several, since some hours have more lines than others.
const SLICES_PER_READER: usize = 3;

/// The shortest period that is cut into slices: choosing the cuts needs an extra process.
const MIN_SLICED: TimeDelta = TimeDelta::hours(1);

/// The most bytes of messages in a slice whose earlier slices are not finished.
const READ_AHEAD_LIMIT: usize = 8 * 1024 * 1024;

/// The most bytes of messages in the result of [`newest`], however many lines are requested.
const NEWEST_LIMIT: usize = 64 * 1024 * 1024;

/// The result of a search, besides the lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searched {
    /// Lines that were too long to be examined.
    pub oversized: u64,
    /// The first error because of which lines may be missing.
    pub error: Option<String>,
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
    let query = JournalQuery {
        reverse: order == LineOrder::Backwards,
        follow: order == LineOrder::Following,
        directory: context.environment.journal.as_ref().map(PathBuf::from),
        ..JournalQuery::of(filter)
    };
    let slices = if worth_slicing(&query, order) { slices(&query, context).await? } else { vec![query] };
    merge(slices.into_iter().map(|query| Slice::new(query, filter, context)).collect(), readers(), context, take).await
}

/// The newest matches, at most `most`, oldest first. `stopped` shows whether there are more.
///
/// # Errors
///
/// As [`search`].
pub async fn newest(
    filter: &JournalFilter,
    most: usize,
    context: &Context,
) -> Result<(Vec<JournalEntry>, Searched), String> {
    let (mut newest, mut bytes) = (Vec::new(), 0);
    let mut take = |entries: Vec<JournalEntry>| {
        for entry in entries {
            if newest.len() == most || bytes > NEWEST_LIMIT {
                return ControlFlow::Break(());
            }
            bytes += entry.raw.len();
            newest.push(entry);
        }
        ControlFlow::Continue(())
    };
    let searched = search(filter, LineOrder::Backwards, context, &mut take).await?;
    newest.reverse();
    Ok((newest, searched))
}

/// The number of concurrent readers on this machine.
fn readers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(READER_LIMIT)
}

/// Whether several readers are faster. They are not if the journal's index excludes most lines, or if the search runs
/// backwards and may stop after a few lines.
fn worth_slicing(query: &JournalQuery, order: LineOrder) -> bool {
    let reads_every_line = order == LineOrder::Forwards || query.is_prefiltered();
    order != LineOrder::Following && reads_every_line && !query.is_indexed() && readers() > 1
}

/// Cuts the query into equal periods, from the oldest line on, in reading order.
async fn slices(whole: &JournalQuery, context: &Context) -> Result<Vec<JournalQuery>, String> {
    let end = whole.until.unwrap_or_else(|| context.clock.now());
    if end - whole.since <= MIN_SLICED {
        return Ok(vec![whole.clone()]);
    }
    let Some(first) = oldest(whole, context).await? else {
        return Ok(vec![whole.clone()]);
    };
    let count = if end - first <= MIN_SLICED { 1 } else { readers() * SLICES_PER_READER };
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

/// The time of the oldest line in the query's period.
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
