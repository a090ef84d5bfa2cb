//! The real program, killed with SIGKILL at random moments, stopped for longer than its claim is good, and run several
//! times at once on one incident: the log verifies, the run ends, nothing that may happen once happens twice.
//!
//! Each step appends its name to a file, so that the file tells what really happened.

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

use crate::real::shop::eventually;

/// How often the program is killed.
const KILLS: u32 = 50;
/// It is killed at most this long after its start, in milliseconds: a step takes a few, and starting it some twenty.
const LATEST: u64 = 150;
/// Steps of the runbook; every third may happen once only.
const STEPS: u32 = 24;

/// A shop with one runbook, and what its steps have done.
struct Scene {
    directory: TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let scene = Self { directory };
        let runbooks = scene.path("runbooks");
        fs::create_dir(&runbooks).unwrap();
        let estate = "estate: Drill\nenvironments:\n  here: { host: local }\n";
        fs::write(runbooks.join("estate.yaml"), estate).unwrap();
        fs::write(runbooks.join("drill.yaml"), scene.runbook()).unwrap();
        fs::write(scene.done(), "").unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where steps write their names.
    fn done(&self) -> PathBuf {
        self.path("done")
    }

    fn runbook(&self) -> String {
        let done = self.done().display().to_string();
        let step = |number: u32| {
            let effect = ["once", "repeatable", "read"][number as usize % 3];
            let write = format!("[/bin/sh, -c, \"echo {effect}_{number} >> {done}\"]");
            let check =
                format!("{{ command: [/bin/grep, -qx, {effect}_{number}, {done}], effect: read, within: 30s }}");
            let verify = if effect == "read" { String::new() } else { format!(", verify: {check}") };
            format!("  - {{ id: {effect}_{number}, command: {write}, effect: {effect}{verify} }}\n")
        };
        let steps: String = (0..STEPS).map(step).collect();
        format!("runbook: drill\ntitle: Drill\nseverity: p4\nsteps:\n{steps}")
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.arg("--state").arg(self.path("state")).arg("--dir").arg(self.directory.path()).args(words);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.directory.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        output_detached(&mut self.program(words)).unwrap()
    }

    fn begin(&self, words: &[&str]) -> Child {
        spawn_detached(self.program(words).stdout(Stdio::null()).stderr(Stdio::null())).unwrap()
    }

    /// The incident changed last as its log has it; the log's chain is checked.
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

    /// Whether some process is in the middle of writing to the log.
    fn is_locked(&self) -> bool {
        let connection = rusqlite::Connection::open(self.path("state/runbook.db")).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
    }

    /// How often each step has written its name.
    fn names(&self) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for line in fs::read_to_string(self.done()).unwrap().lines() {
            *names.entry(line.to_owned()).or_default() += 1;
        }
        names
    }

    /// What a person would type next: the truth about a step that was cut off, or just to go on.
    fn next(&self, incident: &Incident) -> Vec<String> {
        let id = incident.id.to_string();
        unclear(incident).map_or_else(|| vec!["work".into(), id.clone()], |step| self.answer(&id, &step))
    }

    fn answer(&self, id: &str, step: &StepKey) -> Vec<String> {
        // What the killed process has started may still be about to write.
        eventually("no step is running", || !self.is_running());
        let happened = self.names().contains_key(&step.id);
        let words = if happened { vec!["answer", id, &step.id, "happened"] } else { vec!["retry", id, &step.id] };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Whether a program that a step has started is running.
    fn is_running(&self) -> bool {
        let done = self.done().display().to_string();
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        processes
            .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
            .any(|line| String::from_utf8_lossy(&line).contains(&done))
    }

    /// Tells the truth about steps that were cut off, until the workers there are have ended the run.
    fn settle(&self) -> Incident {
        loop {
            let mut incident = None;
            eventually("the run is over or a person is asked", || {
                incident = self.incident().filter(|incident| over(incident) || unclear(incident).is_some());
                incident.is_some()
            });
            let incident = incident.expect("it was waited for");
            let Some(step) = unclear(&incident) else { return incident };
            let mut words = self.answer(incident.id.as_str(), &step);
            words.push("--detach".into());
            let output = self.run(&refs(&words));
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// Goes on until the run is over, without killing.
    fn finish(&self) -> Incident {
        let mut worker = self.begin(&["work", "last"]);
        let incident = self.settle();
        let code = worker.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 6)), "{code:?}");
        incident
    }

    /// The run has ended well, everything is in the log, and what may happen once has happened once.
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

fn over(incident: &Incident) -> bool {
    !incident.runs.is_empty() && incident.live_runs().next().is_none()
}

/// A step of which nobody but a person can say whether it happened.
fn unclear(incident: &Incident) -> Option<StepKey> {
    match incident.waiting_for_person().as_slice() {
        [] => None,
        [(_, step, Gate::Unclear { .. }), ..] => Some((*step).clone()),
        [(_, step, gate), ..] => panic!("`{step}` waits: {gate:?}"),
    }
}

fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[expect(clippy::disallowed_methods, reason = "the moment of a kill is any moment, not one to wait for")]
fn pass(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Milliseconds that look random (Knuth's MMIX generator) and are the same in every run; the machine does the rest.
fn moments() -> impl FnMut() -> u64 {
    let mut state = 0x0dd_b175_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % LATEST
    }
}

#[test]
fn killed_fifty_times_at_random_moments_every_run_ends_and_the_log_verifies() {
    let mut moment = moments();
    let mut kills = 0;
    let mut in_a_step = 0;
    while kills < KILLS {
        let scene = Scene::new();
        loop {
            let incident = scene.incident();
            if kills == KILLS || incident.as_ref().is_some_and(over) {
                break;
            }
            let words =
                incident.map_or_else(|| vec!["start".into(), "drill".into(), "--auto".into()], |it| scene.next(&it));
            let mut child = scene.begin(&refs(&words));
            pass(moment());
            // One that was done already needs no killing.
            if child.try_wait().unwrap().is_none() {
                kills += 1;
                child.kill().unwrap();
            }
            child.wait().unwrap();
        }
        if scene.incident().is_none() {
            assert!(scene.run(&["start", "drill", "--auto"]).status.success());
        }
        let incident = scene.finish();
        scene.check(&incident);
        in_a_step += cut_off(&scene, &incident.id);
    }
    assert!(in_a_step > 0, "no kill hit a step: the test proves nothing");
}

/// How many attempts were cut off and settled later.
fn cut_off(scene: &Scene, id: &IncidentId) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let log = runtime.block_on(async {
        let store = Sqlite::open_existing(scene.path("state/runbook.db")).await.unwrap();
        store.read(id, 0).await.unwrap()
    });
    log.iter().filter(|recorded| matches!(recorded.event, Event::Step(StepEvent::Reconciled { .. }))).count()
}

#[test]
fn several_workers_on_one_incident_do_nothing_twice_and_lose_nothing() {
    let scene = Scene::new();
    let mut first = scene.begin(&["start", "drill", "--auto"]);
    eventually("the incident is opened", || scene.path("state/runbook.db").exists() && scene.incident().is_some());
    let id = scene.incident().unwrap().id.to_string();
    let mut others: Vec<Child> = (0..4).map(|_| scene.begin(&["work", &id])).collect();
    // The one that holds the incident dies, so that the others compete for it.
    first.kill().unwrap();
    first.wait().unwrap();
    let incident = scene.settle();
    for other in &mut others {
        let code = other.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 6)), "{code:?}");
    }
    scene.check(&incident);
}

/// A worker that is stopped for longer than its claim is good, as on a host that hangs, wakes up when another has gone on.
#[test]
fn a_worker_that_wakes_up_after_its_claim_has_lapsed_does_nothing_any_more() {
    let scene = Scene::new();
    // Long enough to be stopped while a program runs.
    let (done, slow) = (scene.done(), scene.runbook());
    let slow = slow.replace(&format!(">> {}", done.display()), &format!(">> {}; sleep 0.1", done.display()));
    fs::write(scene.path("runbooks/drill.yaml"), slow).unwrap();
    let mut sleeper = scene.begin(&["start", "drill", "--auto"]);
    eventually("some steps are done", || scene.names().len() > 3);
    let pid = rustix::process::Pid::from_child(&sleeper);
    let send = |signal| rustix::process::kill_process(pid, signal).unwrap();
    send(Signal::STOP);
    // Stopped in the middle of a transaction it would keep everybody on this host from writing, and between an intent and
    // its act it is not fenced by anything: neither is meant here.
    while scene.is_locked() || !scene.is_running() {
        send(Signal::CONT);
        pass(1);
        send(Signal::STOP);
    }
    assert!(!over(&scene.incident().unwrap()), "it is stopped in the middle");
    let incident = scene.finish();
    scene.check(&incident);
    let done = fs::read_to_string(scene.done()).unwrap();
    send(Signal::CONT);
    let code = sleeper.wait().unwrap().code();
    assert!(matches!(code, Some(0 | 6)), "{code:?}");
    assert_eq!(fs::read_to_string(scene.done()).unwrap(), done);
    scene.check(&scene.incident().unwrap());
}
