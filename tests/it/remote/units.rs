//! Units of a remote host over its bus, and connections that are lost during a step.

use std::path::PathBuf;
use std::sync::Arc;

use runbook::clock::SystemClock;
use runbook::domain::incident::event::{Gate, Mode, RunOutcome};
use runbook::domain::incident::run::RunStatus;
use runbook::engine::Stop;
use runbook::store::memory::Memory;
use serde_json::{Value, json};

use super::{on, runs, unique};
use crate::engine_fixture::{EngineFixture, run, with};
use crate::kind_harness::KindHarness;
use crate::real::eventually;
use crate::real::sshd::Sshd;
use crate::real::units::Units;

const STEADY: &str = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=default.target\n";

#[tokio::test]
async fn a_remote_unit_is_restarted_over_the_remote_bus() {
    let (sshd, units) = (Sshd::start(), Units::bare(&[("a.service", STEADY), ("b.service", STEADY)]));
    units.systemctl(&["start", "a.service"]);
    let services = json!({ "a": { "unit": "a.service" }, "b": { "unit": "b.service" } });
    let harness = KindHarness::new(json!({ "host": sshd.host(), "systemd": units.bus() }), services).within(60);
    let spec = json!({ "restart": "a", "settle": "300ms" });
    let before = harness.observe("systemd", spec.clone()).await;
    let outcome = harness.perform("systemd", spec.clone()).await;
    assert_eq!(outcome.summary, "`a.service` restarted: active (running)");
    assert_ne!(outcome.output["before"]["invocation_id"], outcome.output["after"]["invocation_id"]);
    assert_eq!(outcome.output["after"]["main_pid"].to_string(), units.property("a.service", "MainPID"));
    let found = harness.reconcile("systemd", spec, &before).await;
    assert!(matches!(found, runbook::actions::Reconciled::Happened(_)), "{found:?}");
    let status = harness.perform("systemd", json!({ "status": ["a", "b"] })).await;
    assert_eq!(status.output["counts"], json!({ "active": 1, "inactive": 1 }));
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1, "one connection is used for all");
}

#[tokio::test]
async fn a_missing_remote_bus_is_reported() {
    let sshd = Sshd::start();
    let environment = json!({ "host": sshd.host(), "systemd": "unix:path=/no/such/bus" });
    let harness = KindHarness::new(environment, json!({ "a": { "unit": "a.service" } })).within(60);
    let outcome = harness.perform("systemd", json!({ "status": "a" })).await;
    let (to, stdout_of) = (sshd.to(), outcome.summary.as_str());
    assert!(
        stdout_of
            .starts_with(&format!("the systemd manager at `unix:path=/no/such/bus` of `{to}` cannot be reached: ")),
        "{stdout_of}"
    );
    assert!(stdout_of.contains("`systemd-stdio-bridge` has ended there"), "{stdout_of}");
}

/// A fixture whose environment `production` is the server's host.
fn fixture(sshd: &Sshd, bus: Option<String>) -> EngineFixture {
    let mut fixture = EngineFixture::over(Arc::new(Memory::new()));
    let store = Arc::clone(&fixture.engine.parts().store);
    fixture.engine = crate::engine_fixture::engine(store, Arc::new(SystemClock), fixture.directory.path());
    fixture.mode = Mode::Auto;
    let environment = fixture.estate.environments.get_mut("production").unwrap();
    environment.host = serde_json::from_value(sshd.host()).unwrap();
    if let Some(bus) = bus {
        environment.systemd.0 = bus;
    }
    let gateway = serde_json::from_value(json!({ "unit": "gateway.service" })).unwrap();
    fixture.estate.services.insert("gateway".to_owned(), gateway);
    fixture
}

/// Drives the run, and cuts every connection as soon as the condition is true.
async fn cut_when(fixture: &EngineFixture, sshd: &Sshd, is_time: impl Fn() -> bool) -> Stop {
    let cuts = async {
        while !is_time() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        sshd.cut();
    };
    tokio::join!(fixture.drive(), cuts).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_during_a_restart_does_not_repeat_it() {
    let directory = tempfile::tempdir().unwrap();
    let starts = directory.path().join("starts");
    let unit = format!(
        "[Service]\nExecStartPre=/bin/sh -c 'echo start >> {}; sleep 1'\nExecStart=/bin/sleep infinity\n",
        starts.display()
    );
    let count = || std::fs::read_to_string(&starts).unwrap_or_default().lines().count();
    let (sshd, units) = (Sshd::start(), Units::bare(&[("gateway.service", unit.as_str())]));
    units.systemctl(&["start", "gateway.service"]);
    let fixture = fixture(&sshd, Some(units.bus()));
    let restart = json!({ "restart": "gateway.service", "settle": "100ms" });
    fixture
        .start(json!([{
            "id": "restart", "name": "Restart", "timeout": "60s", "on_failure": "stop",
            "body": { "action": { "kind": "systemd", "effect": "once", "spec": restart } },
        }]))
        .await;
    let stop = cut_when(&fixture, &sshd, || count() == 2).await;
    let story = fixture.story_of(&["step", "reconciled", "run_ended"]).await;
    assert_eq!(stop, Stop::Over, "{story:#?}");
    assert_eq!(count(), 2, "it was restarted once: {story:#?}");
    assert!(story.contains(&"reconciled restart happened".to_owned()), "{story:#?}");
    assert_eq!(fixture.incident().await.runs[0].status, RunStatus::Ended(RunOutcome::Succeeded), "{story:#?}");
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 2, "it has connected again");
}

/// A step that creates a file, and hangs at its first attempt.
fn hanging(directory: &std::path::Path, effect: &str, seconds: &str) -> (Value, PathBuf) {
    let mark = directory.join(effect);
    let script = format!("if [ -e {0} ]; then echo done; else touch {0}; exec sleep {seconds}; fi", mark.display());
    (with(run(effect, effect, &["sh", "-c", &script]), json!({ "timeout": "60s" })), mark)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_connection_repeatable_steps_are_retried_and_once_steps_ask_a_person() {
    let directory = tempfile::tempdir().unwrap();
    let sshd = Sshd::start();
    for effect in ["read", "repeatable"] {
        let (step, mark) = hanging(directory.path(), effect, &unique(20));
        let fixture = fixture(&sshd, None);
        fixture.start(json!([step])).await;
        assert_eq!(cut_when(&fixture, &sshd, || mark.exists()).await, Stop::Over, "{:#?}", fixture.story().await);
        let reconciled = format!("reconciled {effect} did_not_happen");
        assert_eq!(fixture.story_of(&["reconciled"]).await, [reconciled]);
    }
    let seconds = unique(21);
    let (step, _) = hanging(directory.path(), "once", &seconds);
    let fixture = fixture(&sshd, None);
    fixture.start(json!([step])).await;
    assert_eq!(cut_when(&fixture, &sshd, || runs(&seconds)).await, Stop::NeedsPerson);
    let incident = fixture.incident().await;
    let [(_, _, Gate::Unclear { detail })] = incident.waiting_for_person()[..] else { panic!("no person is asked") };
    assert!(detail.contains("nothing shows whether it happened"), "{detail}");
    let log = fixture.engine.log(&fixture.id).await.unwrap();
    let is_recorded =
        log.iter().any(|recorded| format!("{:?}", recorded.event).contains("the connection was lost while `sh` ran"));
    assert!(is_recorded, "the log has the reason");
    eventually("no process is left", || !runs(&seconds));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_on_several_hosts_run_at_once_each_on_its_own() {
    let (one, two) = (Sshd::start(), Sshd::start());
    let meeting = tempfile::tempdir().unwrap();
    let mut fixture = fixture(&one, None);
    let environment = fixture.estate.environments.get_mut("production").unwrap();
    environment.hosts.insert("web2".to_owned(), serde_json::from_value(two.host()).unwrap());
    // Each waits for the other.
    let meets = |id: &str, other: &str, host: Value| {
        let path = meeting.path().display();
        let script = format!("touch {path}/{id}; until [ -e {path}/{other} ]; do sleep 0.02; done; echo $HOME");
        let mut step = run(id, "read", &["sh", "-c", &script]);
        step["body"]["action"]["host"] = host;
        with(step, json!({ "timeout": "60s" }))
    };
    let both = json!([meets("a", "b", Value::Null), meets("b", "a", json!("{{ 'web' ~ 2 }}"))]);
    let mut each = run("each", "read", &["sh", "-c", "echo $HOME"]);
    each["body"]["action"]["host"] = json!("{{ item }}");
    let each = with(each, json!({ "for_each": "environment.hosts | list" }));
    let mut here = run("here", "read", &["sh", "-c", "echo $HOME"]);
    here["body"]["action"]["host"] = json!("local");
    let mut nowhere = run("nowhere", "read", &["true"]);
    nowhere["body"]["action"]["host"] = json!("web9");
    let group = json!({ "id": "both", "name": "Both", "body": { "parallel": both } });
    fixture.start(json!([group, each, here, with(nowhere, json!({ "on_failure": "continue" }))])).await;
    assert_eq!(fixture.drive().await, Stop::Over, "{:#?}", fixture.story().await);
    let incident = fixture.incident().await;
    let stdout_of = |name: &str| {
        let step = incident.runs[0].steps.iter().find(|(key, _)| key.to_string() == name).unwrap().1;
        let outcome = step.outcome.as_ref().map(|outcome| outcome.output["stdout"].clone());
        outcome.unwrap_or_else(|| json!(step.reason))
    };
    assert_eq!((stdout_of("a"), stdout_of("b")), (json!(one.path()), json!(two.path())));
    assert_eq!(stdout_of("each[0]"), json!(two.path()));
    assert!(stdout_of("here") != json!(one.path()) && stdout_of("here") != json!(two.path()));
    assert!(
        stdout_of("nowhere").to_string().contains("the environment has no host `web9`"),
        "{}",
        stdout_of("nowhere")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_for_each_runs_on_max_parallel_hosts_at_once() {
    let (one, two) = (Sshd::start(), Sshd::start());
    let meeting = tempfile::tempdir().unwrap();
    let mut fixture = fixture(&one, None);
    let environment = fixture.estate.environments.get_mut("production").unwrap();
    for (name, sshd) in [("web1", &one), ("web2", &two), ("web3", &one)] {
        environment.hosts.insert(name.to_owned(), serde_json::from_value(sshd.host()).unwrap());
    }
    // Each waits for another, so items in sequence would never end.
    let path = meeting.path().display();
    let script = format!(
        "touch {path}/{{{{ item }}}}; until [ $(ls {path} | wc -l) -ge 2 ]; do sleep 0.02; done; ls {path} | wc -l; echo $HOME"
    );
    let mut each = run("each", "read", &["sh", "-c", &script]);
    each["body"]["action"]["host"] = json!("{{ item }}");
    let each = with(each, json!({ "for_each": "environment.hosts | list", "max_parallel": 2, "timeout": "60s" }));
    fixture.start(json!([each])).await;
    assert_eq!(fixture.drive().await, Stop::Over, "{:#?}", fixture.story().await);
    let incident = fixture.incident().await;
    assert_eq!(incident.runs[0].status, RunStatus::Ended(RunOutcome::Succeeded), "{:#?}", fixture.story().await);
    let stdout_of = |index: u32| {
        let (_, step) =
            incident.runs[0].steps.iter().find(|(key, _)| key.to_string() == format!("each[{index}]")).unwrap();
        step.outcome.as_ref().unwrap().output["stdout"].as_str().unwrap().to_owned()
    };
    assert!(stdout_of(1).ends_with(&two.path().display().to_string()), "each item on its own host: {}", stdout_of(1));
    let story = fixture.story_of(&["step"]).await;
    let at = |what: &str| {
        story.iter().position(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what}: {story:#?}"))
    };
    let ended = at("step_ended each[0]").min(at("step_ended each[1]"));
    assert!(at("step_started each[1]") < ended && at("step_started each[2]") > ended, "two at once: {story:#?}");
}

#[tokio::test]
async fn a_step_of_another_kind_needs_no_connection() {
    let sshd = Sshd::start();
    let outcome = on(&sshd).perform("set", json!({ "values": { "a": 1 } })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(sshd.log().matches("Accepted").count(), 0);
}
