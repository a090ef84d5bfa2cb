//! Reads several slices of a search at the same time, and passes on their results in order.
//!
//! **Invariant:** matches of the first unfinished slice are passed on at once. Matches of a later slice wait until all slices
//! before it have ended.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as PollContext, Poll};

use super::{READ_AHEAD_LIMIT, Searched};
use crate::actions::Context;
use crate::actions::kinds::journal::journalctl_exit::JournalctlExit;
use crate::actions::kinds::journal::query::JournalQuery;
use crate::actions::transport::process::NotStarted;
use crate::domain::journal::entry::JournalEntry;
use crate::domain::journal::export::ExportRecord;
use crate::domain::journal::filter::JournalFilter;
use crate::sync::lock;

/// A slice of the search.
pub(super) struct Slice<'s> {
    /// `None` when the slice has been read completely.
    reader: Option<SliceReader<'s>>,
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
    /// A slice that is read when it is polled.
    pub(super) fn new(query: JournalQuery, filter: &'s JournalFilter, context: &'s Context) -> Self {
        let found = Arc::new(Mutex::new(SliceEntries::default()));
        let into = Arc::clone(&found);
        let reader = Box::pin(async move {
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
        Self { reader: Some(reader), found }
    }

    fn poll(&mut self, context: &mut PollContext<'_>) -> Poll<Result<JournalctlExit, NotStarted>> {
        let Some(reader) = &mut self.reader else {
            return Poll::Pending;
        };
        let polled = reader.as_mut().poll(context);
        if polled.is_ready() {
            self.reader = None;
        }
        polled
    }

    fn is_full(&self) -> bool {
        lock(&self.found).bytes > READ_AHEAD_LIMIT
    }

    fn take(&self) -> Vec<JournalEntry> {
        std::mem::take(&mut *lock(&self.found)).entries
    }
}

/// Reads the slices, up to `readers` concurrently, and passes on their matches in order.
pub(super) async fn merge(
    slices: Vec<Slice<'_>>,
    readers: usize,
    context: &Context,
    take: &mut (dyn FnMut(Vec<JournalEntry>) -> ControlFlow<()> + Send),
) -> Result<Searched, String> {
    let mut slices: VecDeque<Slice<'_>> = slices.into();
    let mut searched = Searched::default();
    let read = poll_fn(|poll_context| {
        while !slices.is_empty() {
            for (at, slice) in slices.iter_mut().enumerate().take(readers) {
                if at > 0 && slice.is_full() {
                    continue;
                }
                match slice.poll(poll_context) {
                    Poll::Ready(Ok(read)) => searched.add(&read, context),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.to_string())),
                    Poll::Pending => {}
                }
            }
            let found = slices[0].take();
            if !found.is_empty() && take(found).is_break() {
                searched.stopped = true;
                return Poll::Ready(Ok(()));
            }
            if slices[0].reader.is_some() {
                return Poll::Pending;
            }
            slices.pop_front();
        }
        Poll::Ready(Ok(()))
    });
    read.await?;
    Ok(searched)
}

impl Searched {
    fn add(&mut self, read: &JournalctlExit, context: &Context) {
        self.oversized += read.oversized;
        let error = read.read_error(context).map(|error| format!("journalctl {error}"));
        self.error = self.error.take().or(error);
    }
}
