//! Interruptions: a process crashes at every event of a run, before and after its last action. Every continuation ends the
//! same way, and no `once` step acts twice.
//!
//! The run restarts a real unit under a private systemd manager and reverts a merge in a real git repository.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use runbook::clock::SystemClock;
use runbook::domain::core::id::IncidentId;
use runbook::domain::core::time::Timestamp;
use runbook::domain::incident::event::{Conclusion, Mode, Recorded, RunOutcome};
use runbook::domain::incident::run::RunStatus;
use runbook::engine::Stop;
use runbook::store::memory::Memory;
use runbook::store::{Audit, EventStore, Lease, LeaseAnswer, StoreError, StreamSummary, UniqueName, Write};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::engine_fixture::{EngineFixture, run};
use crate::real;
use crate::real::eventually;
use crate::real::repository::Repository;
use crate::real::units::Units;

/// The response to the writer of the last event that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// An error: the writer does not act.
    Before,
    /// Success: the writer acts, and its next write fails.
    After,
}

/// A store that stores events up to a number and then fails, as if the process had been killed.
#[derive(Debug)]
pub struct CrashingStore {
    inner: Memory,
    /// The number of the last event that is stored.
    pub last: AtomicU64,
    cut: Cut,
    /// As many writes as there are permits reach the disk; the others wait.
    pub disk: Arc<Semaphore>,
    /// How many writes have started.
    pub writes: Arc<AtomicU64>,
}

impl CrashingStore {
    pub fn new(inner: Memory, last: u64, cut: Cut) -> Self {
        let (disk, writes) = (Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), Arc::default());
        Self { inner, last: AtomicU64::new(last), cut, disk, writes }
    }
}

fn crashed() -> StoreError {
    StoreError::Unavailable("the process was killed here".to_owned())
}

#[async_trait]
impl EventStore for CrashingStore {
    async fn write(&self, mut write: Write) -> Result<Vec<Recorded>, StoreError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.disk.acquire().await.unwrap().forget();
        let last = self.last.load(Ordering::SeqCst);
        let room = usize::try_from(last.saturating_sub(write.expected)).unwrap();
        let fits = write.drafts.len() <= room;
        if fits && (write.drafts.len() < room || self.cut == Cut::After) {
            return self.inner.write(write).await;
        }
        write.drafts.truncate(room);
        if !write.drafts.is_empty() {
            self.inner.write(write).await?;
        }
        Err(crashed())
    }

    async fn keys(&self, prefix: &str, limit: u32) -> Result<Vec<UniqueName>, StoreError> {
        self.inner.keys(prefix, limit).await
    }

    async fn version(&self) -> Result<u64, StoreError> {
        self.inner.version().await
    }

    async fn live(&self) -> Result<Vec<StreamSummary>, StoreError> {
        self.inner.live().await
    }

    async fn read(&self, id: &IncidentId, after: u64) -> Result<Vec<Recorded>, StoreError> {
        self.inner.read(id, after).await
    }

    async fn seq(&self, id: &IncidentId) -> Result<u64, StoreError> {
        self.inner.seq(id).await
    }

    async fn incidents(&self, limit: u32, offset: u32) -> Result<Vec<StreamSummary>, StoreError> {
        self.inner.incidents(limit, offset).await
    }

    async fn find(&self, prefix: &str, limit: u32) -> Result<Vec<IncidentId>, StoreError> {
        self.inner.find(prefix, limit).await
    }

    async fn acquire_lease(
        &self,
        id: &IncidentId,
        holder: &str,
        gone: Option<&str>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError> {
        self.inner.acquire_lease(id, holder, gone, now, until).await
    }

    async fn lease(&self, id: &IncidentId) -> Result<Option<Lease>, StoreError> {
        self.inner.lease(id).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.inner.release(lease).await
    }

    async fn audit(&self, id: &IncidentId) -> Result<Audit, StoreError> {
        self.inner.audit(id).await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.inner.check_writable().await
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        self.inner.inspect().await
    }
}

/// The steps of a P1: restart a unit, and revert and push a merge.
fn steps() -> Value {
    let step = |id: &str, kind: &str, effect: &str, spec: Value| {
        json!({"id": id, "name": id, "timeout": "30s", "on_failure": "stop",
               "body": {"action": {"kind": kind, "effect": effect, "spec": spec}}})
    };
    let verified = |mut step: Value, kind: &str, spec: Value| {
        step["verify"] =
            json!({"action": {"kind": kind, "effect": "read", "spec": spec}, "within": "20s", "every": "100ms"});
        step
    };
    let board = json!({"status": "gateway.service", "expect": "active"});
    json!([
        step("board", "systemd", "read", board.clone()),
        step("history", "git", "read", json!({"log": {"branch": "production"}})),
        verified(step("restart", "systemd", "once", json!({"restart": "gateway.service", "settle": "100ms"})), "systemd", board),
        verified(
            step("rollback", "git", "once", json!({"revert": "{{ steps.history.commits[0].sha }}", "branch": "production", "push": true})),
            "git",
            json!({"log": {"branch": "production"}})
        ),
        {"id": "tell", "name": "Tell", "body": {"action": {"kind": "set", "effect": "read", "spec": {"values": {"done": true}}}}},
    ])
}

/// One run, with a unit that writes a line to a file at every start, and a repository.
struct TestRun {
    fixture: EngineFixture,
    repository: Repository,
    shared: Arc<SharedSetup>,
    starts_before: usize,
}

/// The setup that all runs share. Each run counts starts from its own beginning.
struct SharedSetup {
    units: Units,
    starts: PathBuf,
    /// Each run gets a copy.
    repository: Repository,
    _directory: tempfile::TempDir,
}

impl SharedSetup {
    fn new() -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        let starts = directory.path().join("starts");
        let unit = format!(
            "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'echo start >> {}; exec sleep infinity'\n",
            starts.display()
        );
        let units = Units::bare(&[("gateway.service", unit.as_str())]);
        units.systemctl(&["start", "gateway.service"]);
        eventually("the gateway has started", || starts.exists());
        Arc::new(Self { units, starts, repository: Repository::with_history(), _directory: directory })
    }

    fn starts(&self) -> usize {
        std::fs::read_to_string(&self.starts).unwrap_or_default().lines().count()
    }
}

impl TestRun {
    fn new(store: Arc<dyn EventStore>, shared: &Arc<SharedSetup>) -> Self {
        let repository = shared.repository.copy();
        let mut fixture = EngineFixture::over(Arc::clone(&store));
        fixture.engine = crate::engine_fixture::engine(store, Arc::new(SystemClock), fixture.directory.path());
        fixture.mode = Mode::Auto;
        let environment = fixture.estate.environments.get_mut("production").unwrap();
        environment.systemd.0 = shared.units.bus();
        environment.repository = Some(repository.work().display().to_string());
        environment.branch = Some("production".to_owned());
        let gateway = serde_json::from_value(json!({"unit": "gateway.service"})).unwrap();
        fixture.estate.services.insert("gateway".to_owned(), gateway);
        Self { fixture, repository, shared: Arc::clone(shared), starts_before: shared.starts() }
    }

    /// How often the unit was restarted and the merge reverted.
    fn effects(&self) -> (usize, usize) {
        let reverts = self.repository.remote_log("production").iter().filter(|line| line.contains("Revert")).count();
        (self.shared.starts() - self.starts_before, reverts)
    }

    /// Continues the run from the log as another process.
    async fn resume(&mut self, log: Memory) {
        self.fixture.engine =
            crate::engine_fixture::engine(Arc::new(log), Arc::new(SystemClock), self.fixture.directory.path());
        assert_eq!(self.fixture.drive().await, Stop::Over, "{:#?}", self.fixture.story().await);
    }

    async fn end(&self) -> (RunStatus, Vec<(String, Option<Conclusion>)>) {
        let incident = self.fixture.incident().await;
        let run = &incident.runs[0];
        (run.status.clone(), run.steps.iter().map(|(key, state)| (key.to_string(), state.conclusion())).collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_a_crash_interrupts_at_any_event_ends_as_without_it() {
    let shared = SharedSetup::new();
    let whole = TestRun::new(Arc::new(Memory::new()), &shared);
    whole.fixture.start(steps()).await;
    assert_eq!(whole.fixture.drive().await, Stop::Over, "{:#?}", whole.fixture.story().await);
    assert_eq!(whole.effects(), (1, 1), "{:#?}", whole.fixture.story().await);
    let (story, end) = (whole.fixture.story().await, whole.end().await);
    assert_eq!(end.0, RunStatus::Ended(RunOutcome::Succeeded), "{story:#?}");
    for last in 2..story.len() as u64 {
        for cut in [Cut::Before, Cut::After] {
            let log = Memory::new();
            let store = CrashingStore::new(log.clone(), last, cut);
            let mut test_run = TestRun::new(Arc::new(store), &shared);
            let place = format!("cut {cut:?} event {last} ({})", story[last as usize - 1]);
            // The start writes two events at once. A crash between them leaves no incident.
            test_run.fixture.start_in(&log, steps()).await;
            let _killed = test_run.fixture.try_drive().await.expect_err(&place);
            test_run.resume(log).await;
            assert_eq!(test_run.end().await, end, "{place}: {:#?}", test_run.fixture.story().await);
            assert_eq!(test_run.effects(), (1, 1), "{place}: {:#?}", test_run.fixture.story().await);
        }
    }
}

#[tokio::test]
async fn a_read_starts_while_its_intent_is_written_and_a_change_after_it() {
    let log = Memory::new();
    let slow =
        CrashingStore { disk: Arc::new(Semaphore::new(0)), ..CrashingStore::new(log.clone(), u64::MAX, Cut::After) };
    let (disk, writes) = (Arc::clone(&slow.disk), Arc::clone(&slow.writes));
    let fixture = EngineFixture::over(Arc::new(slow));
    let (looked, mended) = (fixture.directory.path().join("looked"), fixture.directory.path().join("mended"));
    let touch = |id: &str, effect: &str, path: &Path| run(id, effect, &["touch", path.to_str().unwrap()]);
    let steps = json!([touch("look", "read", &looked), touch("mend", "repeatable", &mended)]);
    fixture.start_in(&log, steps).await;
    let observe = async {
        until(|| looked.exists()).await;
        assert_eq!(fixture.story_of(&["step_started"]).await, [""; 0], "its intent is being written");
        disk.add_permits(1);
        until(|| writes.load(Ordering::SeqCst) == 2).await;
        // A program that had been started before these would have ended before them.
        for _ in 0..3 {
            tokio::task::spawn_blocking(|| real::run(&mut Command::new("true"), "coreutils")).await.unwrap();
        }
        assert!(!mended.exists(), "the intent of the change is not durable");
        disk.add_permits(100);
    };
    let (stop, ()) = tokio::join!(fixture.drive(), observe);
    assert_eq!((stop, mended.exists()), (Stop::Over, true));
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}
