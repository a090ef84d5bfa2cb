//! Checks the log: whether it opens, whether the most recent incidents are intact, and how fast its disk is.
//!
//! Not here: checking the whole log; `runbook verify` does that.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Doctor;
use super::disk::existing;
use crate::clock::SharedClock;
use crate::domain::core::time::Span;
use crate::domain::host::requirement::{CheckResult, Topic};
use crate::store::EventStore as _;
use crate::store::sqlite::Sqlite;

/// How many incidents are checked completely: enough for those that people still work on.
const AUDIT_LIMIT: u32 = 10;

/// The number of writes that are measured together. The clock has milliseconds, so a single write would be too short.
const WRITES: u32 = 20;

/// The bytes of each write: a page, since an append writes one or two.
const PAGE: usize = 4096;

/// The time per write from which a person notices that each step is slow.
const SLOW: Duration = Duration::from_millis(50);

impl Doctor {
    pub(super) async fn log(&self) -> Vec<CheckResult> {
        vec![self.integrity().await, self.fsync_time().await]
    }

    async fn integrity(&self) -> CheckResult {
        let subject = self.log.display().to_string();
        if !self.log.exists() {
            return CheckResult::fine(Topic::Log, subject, "does not exist yet; the first incident creates it");
        }
        let verify = format!("{} verify", self.commands.runbook);
        let store = match Sqlite::open_existing(&self.log).await {
            Ok(store) => store,
            Err(error) => return CheckResult::wrong(Topic::Log, subject, error.to_string(), verify),
        };
        match audit(&store).await {
            Ok(0) => CheckResult::fine(Topic::Log, subject, "opens; it has no incident"),
            Ok(count) => CheckResult::fine(Topic::Log, subject, format!("opens; {} intact", incidents(count))),
            Err(reason) => CheckResult::wrong(Topic::Log, subject, reason, verify),
        }
    }

    async fn fsync_time(&self) -> CheckResult {
        let (clock, place) = (self.context.clock.clone(), existing(&self.log));
        let shown = place.display().to_string();
        let measured = tokio::task::spawn_blocking(move || measure_fsync(&place, &clock)).await;
        let measured = measured.map_err(|error| error.to_string()).and_then(|done| done.map_err(|e| e.to_string()));
        match measured {
            Ok(each) if each >= SLOW => {
                let found = format!("{} per fsync in `{shown}`: every step waits for two or three", Span(each));
                CheckResult::doubtful(Topic::Log, "disk", found)
                    .remedy(format!("{} --state DIR doctor", self.commands.runbook))
            }
            Ok(each) => {
                let found = format!("{:.1} ms per fsync in `{shown}`", each.as_secs_f64() * 1000.0);
                CheckResult::fine(Topic::Log, "disk", found)
            }
            Err(reason) => {
                let remedy = format!("install -d -m 700 -o {} {shown}", self.account.name);
                CheckResult::wrong(Topic::Log, "disk", format!("`{shown}` cannot be written: {reason}"), remedy)
            }
        }
    }
}

/// Checks the most recently changed incidents. Returns their number, or the first damage.
async fn audit(store: &Sqlite) -> Result<usize, String> {
    let recent = store.incidents(AUDIT_LIMIT, 0).await.map_err(|error| error.to_string())?;
    for summary in &recent {
        let audit = store.audit(&summary.id).await.map_err(|error| error.to_string())?;
        if let Some((seq, reason)) = audit.broken {
            return Err(format!("incident `{}` is broken at event {seq}: {reason}", summary.id));
        }
    }
    Ok(recent.len())
}

fn incidents(count: usize) -> String {
    match count {
        1 => "the only incident is".to_owned(),
        many => format!("the {many} most recently changed incidents are"),
    }
}

/// The average time of a durable write in a directory. The test file is unlinked at once.
fn measure_fsync(place: &Path, clock: &SharedClock) -> std::io::Result<Duration> {
    let path = place.join(format!(".runbook-doctor-{}", std::process::id()));
    let mut file = File::options().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    let from = clock.now();
    for _ in 0..WRITES {
        file.write_all(&[0; PAGE])?;
        file.sync_data()?;
    }
    Ok(Span::between(from, clock.now()).0 / WRITES)
}
