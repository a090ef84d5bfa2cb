//! A store that shows what reaches it, and that can be slow, broken or busy with another writer.

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;
use crate::store::memory::Memory;
use crate::store::{Audit, EventStore, Lease, LeaseAnswer, StreamSummary, UniqueName};

/// A log in memory behind a disk; clones share it.
#[derive(Debug, Clone)]
pub(super) struct StandIn {
    log: Memory,
    seen: Arc<Mutex<Seen>>,
    /// As many writes as there are permits reach the log; the others wait.
    disk: Arc<Semaphore>,
    /// How many more writes another writer precedes.
    rivals: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Seen {
    writes: usize,
    batches: Vec<usize>,
    text: String,
}

impl Default for StandIn {
    fn default() -> Self {
        let disk = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { log: Memory::new(), seen: Arc::default(), disk, rivals: Arc::default() }
    }
}

impl StandIn {
    /// How many writes have come.
    pub(super) fn writes(&self) -> usize {
        self.seen.lock().unwrap().writes
    }

    /// How many writes each batch had.
    pub(super) fn batches(&self) -> Vec<usize> {
        self.seen.lock().unwrap().batches.clone()
    }

    /// Everything that has come, as text.
    pub(super) fn written(&self) -> String {
        self.seen.lock().unwrap().text.clone()
    }

    /// From now on another writer precedes so many writes.
    pub(super) fn rivals(&self, count: usize) {
        self.rivals.store(count, Ordering::SeqCst);
    }

    /// No write is done until it is given a permit.
    pub(super) fn stop_the_disk(&self) -> Arc<Semaphore> {
        self.disk.forget_permits(Semaphore::MAX_PERMITS);
        Arc::clone(&self.disk)
    }

    /// Every write fails.
    pub(super) fn break_the_disk(&self) {
        self.disk.close();
    }
}

#[async_trait]
impl EventStore for StandIn {
    async fn write(&self, write: Write) -> Result<Vec<Recorded>, StoreError> {
        {
            let mut seen = self.seen.lock().unwrap();
            seen.writes += 1;
            seen.text += &format!("{write:?}\n");
        }
        let permit = self.disk.acquire().await;
        permit.map_err(|_| StoreError::Unavailable("the disk is broken".to_owned()))?.forget();
        let fewer = |rivals: usize| rivals.checked_sub(1);
        if self.rivals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() {
            let rival = crate::store::NewEvent::new(now(), Actor::Engine, note("a rival's"));
            self.log.append(&write.incident, write.expected, vec![rival]).await?;
        }
        self.log.write(write).await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Vec<Result<Vec<Recorded>, StoreError>> {
        self.seen.lock().unwrap().batches.push(writes.len());
        let mut answers = Vec::new();
        for write in writes {
            answers.push(self.write(write).await);
        }
        answers
    }

    async fn keys(&self, prefix: &str, limit: u32) -> Result<Vec<UniqueName>, StoreError> {
        self.log.keys(prefix, limit).await
    }

    async fn version(&self) -> Result<u64, StoreError> {
        self.log.version().await
    }

    async fn live(&self) -> Result<Vec<StreamSummary>, StoreError> {
        self.log.live().await
    }

    async fn read(&self, incident: &IncidentId, after: u64) -> Result<Vec<Recorded>, StoreError> {
        self.log.read(incident, after).await
    }

    async fn seq(&self, incident: &IncidentId) -> Result<u64, StoreError> {
        self.log.seq(incident).await
    }

    async fn incidents(&self, limit: u32, offset: u32) -> Result<Vec<StreamSummary>, StoreError> {
        self.log.incidents(limit, offset).await
    }

    async fn find(&self, prefix: &str, limit: u32) -> Result<Vec<IncidentId>, StoreError> {
        self.log.find(prefix, limit).await
    }

    async fn acquire_lease(
        &self,
        incident: &IncidentId,
        holder: &str,
        gone: Option<&str>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError> {
        self.log.acquire_lease(incident, holder, gone, now, until).await
    }

    async fn lease(&self, incident: &IncidentId) -> Result<Option<Lease>, StoreError> {
        self.log.lease(incident).await
    }

    async fn release(&self, claim: &Lease) -> Result<(), StoreError> {
        self.log.release(claim).await
    }

    async fn audit(&self, incident: &IncidentId) -> Result<Audit, StoreError> {
        self.log.audit(incident).await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.log.check_writable().await
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        self.log.inspect().await
    }
}
