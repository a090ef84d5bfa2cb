//! Crashes: the program is killed at random moments, stopped beyond the end of its lease, and run several times at once.
//!
//! The log verifies, the run ends, and no `once` step runs twice. Each step appends its name to a file, which shows what
//! really ran.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use runbook::actions::transport::process::{output_detached, spawn_detached};
use runbook::domain::core::id::{IncidentId, StepKey};
use runbook::domain::incident::event::{Event, Gate, RunOutcome, StepEvent};
use runbook::domain::incident::run::RunStatus;
use runbook::domain::incident::{Incident, fold};
use runbook::store::EventStore;
use runbook::store::sqlite::Sqlite;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::real::eventually;

/// How often the program is killed.
const KILLS: u32 = 50;
/// The latest kill after the start, in milliseconds. A step takes a few milliseconds, the start about twenty.
const LATEST: u64 = 150;
/// Steps of the runbook; every third is `once`.
const STEPS: u32 = 24;

/// A project with one runbook, and the file that its steps write.
struct DrillProject {
    directory: TempDir,
}

impl DrillProject {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = Self { directory };
        let runbooks = project.path("runbooks");
        fs::create_dir(&runbooks).unwrap();
        let estate = "estate: Drill\nenvironments:\n  here: { host: local }\n";
        fs::write(runbooks.join("estate.yaml"), estate).unwrap();
        fs::write(runbooks.join("drill.yaml"), project.runbook()).unwrap();
        fs::write(project.ran(), "").unwrap();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file with the names of the steps that ran.
    fn ran(&self) -> PathBuf {
        self.path("done")
    }

    fn runbook(&self) -> String {
        let ran = self.ran().display().to_string();
        let step = |number: u32| {
            let effect = ["once", "repeatable", "read"][number as usize % 3];
            let write = format!("[/bin/sh, -c, \"echo {effect}_{number} >> {ran}\"]");
            let check = format!("{{ command: [/bin/grep, -qx, {effect}_{number}, {ran}], effect: read, within: 30s }}");
            let verify = if effect == "read" { String::new() } else { format!(", verify: {check}") };
            format!("  - {{ id: {effect}_{number}, command: {write}, effect: {effect}{verify} }}\n")
        };
        let steps: String = (0..STEPS).map(step).collect();
        format!("runbook: drill\ntitle: Drill\nseverity: p4\nsteps:\n{steps}")
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.arg("--state").arg(self.path("state")).arg("--dir").arg(self.directory.path()).args(arguments);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.directory.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        output_detached(&mut self.program(arguments)).unwrap()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        spawn_detached(self.program(arguments).stdout(Stdio::null()).stderr(Stdio::null())).unwrap()
    }

    /// The newest incident, after its chain was verified.
    fn incident(&self) -> Option<Incident> {
        let path = self.path("state/runbook.db");
        if !path.exists() {
            return None;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Sqlite::open_existing(path).await.unwrap();
            store.inspect().await.unwrap();
            let last = store.incidents(1, 0).await.unwrap().pop()?;
            assert_eq!(store.audit(&last.id).await.unwrap().broken, None);
            fold(&store.read(&last.id, 0).await.unwrap()).unwrap()
        })
    }

    /// Whether a process is writing to the log.
    fn is_locked(&self) -> bool {
        let connection = rusqlite::Connection::open(self.path("state/runbook.db")).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
    }

    /// How often each step has run.
    fn names(&self) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for line in fs::read_to_string(self.ran()).unwrap().lines() {
            *names.entry(line.to_owned()).or_default() += 1;
        }
        names
    }

    /// The next command: the answer about an interrupted step, or `work`.
    fn next_command(&self, incident: &Incident) -> Vec<String> {
        let id = incident.id.to_string();
        unclear(incident).map_or_else(|| vec!["work".into(), id.clone()], |step| self.answer(&id, &step))
    }

    fn answer(&self, id: &str, step: &StepKey) -> Vec<String> {
        // A program of the killed process may still write its name.
        eventually("no step is running", || !self.is_running());
        let happened = self.names().contains_key(&step.id);
        let arguments = if happened { vec!["answer", id, &step.id, "happened"] } else { vec!["retry", id, &step.id] };
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// Whether a program that a step has started is running.
    fn is_running(&self) -> bool {
        let ran = self.ran().display().to_string();
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        processes
            .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
            .any(|line| String::from_utf8_lossy(&line).contains(&ran))
    }

    /// Answers for interrupted steps until the running workers have ended the run.
    fn answer_until_ended(&self) -> Incident {
        loop {
            let mut incident = None;
            eventually("the run is over or a person is asked", || {
                incident = self.incident().filter(|incident| is_over(incident) || unclear(incident).is_some());
                incident.is_some()
            });
            let incident = incident.expect("it was waited for");
            let Some(step) = unclear(&incident) else { return incident };
            let mut arguments = self.answer(incident.id.as_str(), &step);
            arguments.push("--detach".into());
            let output = self.run(&refs(&arguments));
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// Works until the run has ended.
    fn finish(&self) -> Incident {
        let mut worker = self.spawn(&["work", "last"]);
        let incident = self.answer_until_ended();
        let code = worker.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 6)), "{code:?}");
        incident
    }

    /// Fails unless the run has succeeded, the log verifies and each `once` step ran once.
    fn check(&self, incident: &Incident) {
        assert_eq!(incident.runs.len(), 1);
        assert_eq!(incident.runs[0].status, RunStatus::Ended(RunOutcome::Succeeded), "{:#?}", incident.runs[0].order);
        let output = self.run(&["verify"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let names = self.names();
        assert_eq!(names.len(), STEPS as usize, "{names:?}");
        let twice: Vec<_> = names.iter().filter(|(name, count)| name.starts_with("once") && **count != 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}

fn is_over(incident: &Incident) -> bool {
    !incident.runs.is_empty() && incident.live_runs().next().is_none()
}

/// A step that waits for a person to say whether it happened.
fn unclear(incident: &Incident) -> Option<StepKey> {
    match incident.waiting_for_person().as_slice() {
        [] => None,
        [(_, step, Gate::Unclear { .. }), ..] => Some((*step).clone()),
        [(_, step, gate), ..] => panic!("`{step}` waits: {gate:?}"),
    }
}

fn refs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[expect(clippy::disallowed_methods, reason = "the moment of a kill is any moment, not one to wait for")]
fn pass(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Pseudo-random milliseconds, the same in every run (Knuth's MMIX generator).
fn moments() -> impl FnMut() -> u64 {
    let mut state = 0x0dd_b175_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % LATEST
    }
}

#[test]
fn after_fifty_kills_at_random_moments_every_run_ends_and_the_log_verifies() {
    let mut moment = moments();
    let mut kills = 0;
    let mut in_a_step = 0;
    while kills < KILLS {
        let project = DrillProject::new();
        loop {
            let incident = project.incident();
            if kills == KILLS || incident.as_ref().is_some_and(is_over) {
                break;
            }
            let arguments = incident
                .map_or_else(|| vec!["start".into(), "drill".into(), "--auto".into()], |it| project.next_command(&it));
            let mut child = project.spawn(&refs(&arguments));
            pass(moment());
            // The program may have ended already.
            if child.try_wait().unwrap().is_none() {
                kills += 1;
                child.kill().unwrap();
            }
            child.wait().unwrap();
        }
        if project.incident().is_none() {
            assert!(project.run(&["start", "drill", "--auto"]).status.success());
        }
        let incident = project.finish();
        project.check(&incident);
        in_a_step += reconciled_attempts(&project, &incident.id);
    }
    assert!(in_a_step > 0, "a kill must interrupt a step, or the test proves nothing");
}

/// The number of attempts that were interrupted and reconciled later.
fn reconciled_attempts(project: &DrillProject, id: &IncidentId) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let log = runtime.block_on(async {
        let store = Sqlite::open_existing(project.path("state/runbook.db")).await.unwrap();
        store.read(id, 0).await.unwrap()
    });
    log.iter().filter(|recorded| matches!(recorded.event, Event::Step(StepEvent::Reconciled { .. }))).count()
}

#[test]
fn several_workers_on_one_incident_repeat_nothing_and_lose_nothing() {
    let project = DrillProject::new();
    let mut first = project.spawn(&["start", "drill", "--auto"]);
    eventually("the incident is opened", || project.path("state/runbook.db").exists() && project.incident().is_some());
    let id = project.incident().unwrap().id.to_string();
    let mut others: Vec<Child> = (0..4).map(|_| project.spawn(&["work", &id])).collect();
    // The holder of the lease dies, and the others compete for it.
    first.kill().unwrap();
    first.wait().unwrap();
    let incident = project.answer_until_ended();
    for other in &mut others {
        let code = other.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 6)), "{code:?}");
    }
    project.check(&incident);
}

/// A worker stops for longer than its lease is valid, as on a host that hangs, and resumes after another worker has continued.
#[test]
fn a_worker_that_resumes_after_its_lease_expired_does_nothing() {
    let project = DrillProject::new();
    // Long enough to be stopped while a program runs.
    let (ran, slow) = (project.ran(), project.runbook());
    let slow = slow.replace(&format!(">> {}", ran.display()), &format!(">> {}; sleep 0.1", ran.display()));
    fs::write(project.path("runbooks/drill.yaml"), slow).unwrap();
    let mut sleeper = project.spawn(&["start", "drill", "--auto"]);
    eventually("some steps are done", || project.names().len() > 3);
    let pid = rustix::process::Pid::from_child(&sleeper);
    let send = |signal| rustix::process::kill_process(pid, signal).unwrap();
    send(Signal::STOP);
    // Not within a transaction, which would block all writers on this host, and not between an intent and its program, which
    // nothing can fence.
    while project.is_locked() || !project.is_running() {
        send(Signal::CONT);
        pass(1);
        send(Signal::STOP);
    }
    assert!(!is_over(&project.incident().unwrap()), "it is stopped in the middle");
    let incident = project.finish();
    project.check(&incident);
    let ran = fs::read_to_string(project.ran()).unwrap();
    send(Signal::CONT);
    let code = sleeper.wait().unwrap().code();
    assert!(matches!(code, Some(0 | 6)), "{code:?}");
    assert_eq!(fs::read_to_string(project.ran()).unwrap(), ran);
    project.check(&project.incident().unwrap());
}
