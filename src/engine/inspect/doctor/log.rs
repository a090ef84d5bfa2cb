//! The log: whether it opens, whether the incidents that were changed last are whole, and how fast its disk is.
//!
//! Deliberately absent: reading all of it, which `runbook verify` does.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Checkup;
use super::disk::existing;
use crate::clock::SharedClock;
use crate::domain::core::time::Span;
use crate::domain::host::requirement::{CheckResult, Topic};
use crate::store::EventStore as _;
use crate::store::sqlite::Sqlite;

/// Incidents that are checked completely: those that people still work on.
const AUDITED: u32 = 10;

/// Writes of one measurement. The clock has milliseconds, so a single write would be too short.
const WRITES: u32 = 20;

/// Bytes per write: a page, since an append writes one or two.
const PAGE: usize = 4096;

/// Time per write from which a person notices every step.
const SLOW: Duration = Duration::from_millis(50);

impl Checkup {
    pub(super) async fn log(&self) -> Vec<CheckResult> {
        vec![self.opened().await, self.written().await]
    }

    async fn opened(&self) -> CheckResult {
        let subject = self.log.display().to_string();
        if !self.log.exists() {
            return CheckResult::fine(Topic::Log, subject, "not there yet; the first incident makes it");
        }
        let verify = format!("{} verify", self.words.runbook);
        let store = match Sqlite::open_existing(&self.log).await {
            Ok(store) => store,
            Err(error) => return CheckResult::wrong(Topic::Log, subject, error.to_string(), verify),
        };
        match audited(&store).await {
            Ok(0) => CheckResult::fine(Topic::Log, subject, "opens, and holds no incident"),
            Ok(read) => CheckResult::fine(Topic::Log, subject, format!("opens; {} whole", counted(read))),
            Err(reason) => CheckResult::wrong(Topic::Log, subject, reason, verify),
        }
    }

    async fn written(&self) -> CheckResult {
        let (clock, place) = (self.context.clock.clone(), existing(&self.log));
        let shown = place.display().to_string();
        let measured = tokio::task::spawn_blocking(move || fsyncs(&place, &clock)).await;
        let measured = measured.map_err(|error| error.to_string()).and_then(|done| done.map_err(|e| e.to_string()));
        match measured {
            Ok(each) if each >= SLOW => {
                let found = format!("{} an fsync in `{shown}`: every step waits for two or three", Span(each));
                CheckResult::doubtful(Topic::Log, "disk", found)
                    .remedy(format!("{} --state DIR doctor", self.words.runbook))
            }
            Ok(each) => {
                let found = format!("{:.1} ms an fsync in `{shown}`", each.as_secs_f64() * 1000.0);
                CheckResult::fine(Topic::Log, "disk", found)
            }
            Err(reason) => {
                let mend = format!("install -d -m 700 -o {} {shown}", self.account.name);
                CheckResult::wrong(Topic::Log, "disk", format!("`{shown}` cannot be written: {reason}"), mend)
            }
        }
    }
}

/// Checks the most recently changed incidents. Returns their number, or the first damage.
async fn audited(store: &Sqlite) -> Result<usize, String> {
    let newest = store.incidents(AUDITED, 0).await.map_err(|error| error.to_string())?;
    for summary in &newest {
        let audit = store.audit(&summary.id).await.map_err(|error| error.to_string())?;
        if let Some((seq, reason)) = audit.broken {
            return Err(format!("incident `{}` is broken at event {seq}: {reason}", summary.id));
        }
    }
    Ok(newest.len())
}

fn counted(incidents: usize) -> String {
    match incidents {
        1 => "the only incident is".to_owned(),
        many => format!("the {many} incidents that were changed last are"),
    }
}

/// The average time of a durable write in a directory. The test file is unlinked at once.
fn fsyncs(place: &Path, clock: &SharedClock) -> std::io::Result<Duration> {
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
