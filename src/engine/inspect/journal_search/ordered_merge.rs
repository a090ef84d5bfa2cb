//! Slices of a search, some read at once, handed on in their order.
//!
//! **Invariant:** what the first lane finds is handed on at once, and what another finds when it has become the first.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Waking, Poll};

use super::{AHEAD, Searched};
use crate::actions::Context;
use crate::actions::kinds::journal::query::{JournalQuery, JournalctlExit};
use crate::actions::transport::process::NotStarted;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::export::ExportRecord;
use crate::domain::journal::filter::JournalFilter;
use crate::sync::lock;

/// A slice of the search.
pub(super) struct Slice<'s> {
    /// `None` when it has been read completely.
    reading: Option<SliceReader<'s>>,
    found: Arc<Mutex<SliceEntries>>,
}

type SliceReader<'s> = Pin<Box<dyn Future<Output = Result<JournalctlExit, NotStarted>> + Send + 's>>;

/// Matches that were not passed on yet.
#[derive(Default)]
struct SliceEntries {
    entries: Vec<JournalEntry>,
    bytes: usize,
}

impl<'s> Slice<'s> {
    /// A slice that starts to read when it is polled.
    pub(super) fn new(query: JournalQuery, filter: &'s JournalFilter, context: &'s Context) -> Self {
        let found = Arc::new(Mutex::new(SliceEntries::default()));
        let into = Arc::clone(&found);
        let reading = Box::pin(async move {
            let mut take = |record: &ExportRecord<'_>| {
                if filter.may_match(record) {
                    let entry = JournalEntry::of(record);
                    if filter.matches(&entry) {
                        let mut found = lock(&into);
                        found.bytes += entry.raw.len();
                        found.entries.push(entry);
                    }
                }
            };
            query.read(context, &mut take).await
        });
        Self { reading: Some(reading), found }
    }

    fn poll(&mut self, waking: &mut Waking<'_>) -> Poll<Result<JournalctlExit, NotStarted>> {
        let Some(reading) = &mut self.reading else {
            return Poll::Pending;
        };
        let polled = reading.as_mut().poll(waking);
        if polled.is_ready() {
            self.reading = None;
        }
        polled
    }

    fn is_full(&self) -> bool {
        lock(&self.found).bytes > AHEAD
    }

    fn take(&self) -> Vec<JournalEntry> {
        std::mem::take(&mut *lock(&self.found)).entries
    }
}

/// Reads the slices, up to `readers` concurrently, and passes on their matches in order.
pub(super) async fn merged(
    lanes: Vec<Slice<'_>>,
    readers: usize,
    context: &Context,
    take: &mut (dyn FnMut(Vec<JournalEntry>) -> ControlFlow<()> + Send),
) -> Result<Searched, String> {
    let mut lanes: VecDeque<Slice<'_>> = lanes.into();
    let mut searched = Searched::default();
    let read = poll_fn(|waking| {
        while !lanes.is_empty() {
            for (at, lane) in lanes.iter_mut().enumerate().take(readers) {
                if at > 0 && lane.is_full() {
                    continue;
                }
                match lane.poll(waking) {
                    Poll::Ready(Ok(read)) => searched.add(&read, context),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.to_string())),
                    Poll::Pending => {}
                }
            }
            let found = lanes[0].take();
            if !found.is_empty() && take(found).is_break() {
                searched.stopped = true;
                return Poll::Ready(Ok(()));
            }
            if lanes[0].reading.is_some() {
                return Poll::Pending;
            }
            lanes.pop_front();
        }
        Poll::Ready(Ok(()))
    });
    read.await?;
    Ok(searched)
}

impl Searched {
    fn add(&mut self, read: &JournalctlExit, context: &Context) {
        self.oversized += read.oversized;
        let trouble = read.read_error(context).map(|trouble| format!("journalctl {trouble}"));
        self.trouble = self.trouble.take().or(trouble);
    }
}
