//! A store in memory that records every write, and that can be made slow, broken or busy with another writer.

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;
use crate::store::memory::Memory;
use crate::store::{Audit, EventStore, Lease, LeaseAnswer, StreamSummary, UniqueName};

/// A log in memory behind a simulated disk. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct FakeStore {
    log: Memory,
    recorded: Arc<Mutex<RecordedWrites>>,
    /// Each write that reaches the log uses up one permit; without a permit it waits.
    disk: Arc<Semaphore>,
    /// Before how many more writes another writer appends an event.
    rivals: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct RecordedWrites {
    writes: usize,
    batches: Vec<usize>,
    text: String,
}

impl Default for FakeStore {
    fn default() -> Self {
        let disk = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { log: Memory::new(), recorded: Arc::default(), disk, rivals: Arc::default() }
    }
}

impl FakeStore {
    /// The number of writes so far.
    pub(super) fn writes(&self) -> usize {
        self.recorded.lock().unwrap().writes
    }

    /// The number of writes in each batch.
    pub(super) fn batches(&self) -> Vec<usize> {
        self.recorded.lock().unwrap().batches.clone()
    }

    /// Every write, as text.
    pub(super) fn written(&self) -> String {
        self.recorded.lock().unwrap().text.clone()
    }

    /// Before each of the next `count` writes, another writer appends an event.
    pub(super) fn rivals(&self, count: usize) {
        self.rivals.store(count, Ordering::SeqCst);
    }

    /// Every write waits until the returned semaphore has a permit for it.
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
impl EventStore for FakeStore {
    async fn write(&self, write: Write) -> Result<Vec<Recorded>, StoreError> {
        {
            let mut recorded = self.recorded.lock().unwrap();
            recorded.writes += 1;
            recorded.text += &format!("{write:?}\n");
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
        self.recorded.lock().unwrap().batches.push(writes.len());
        let mut results = Vec::new();
        for write in writes {
            results.push(self.write(write).await);
        }
        results
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
        dead: Option<&str>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError> {
        self.log.acquire_lease(incident, holder, dead, now, until).await
    }

    async fn lease(&self, incident: &IncidentId) -> Result<Option<Lease>, StoreError> {
        self.log.lease(incident).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.log.release(lease).await
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
