//! Units of another host, over its own bus, and a connection that is lost in the middle.

use std::path::PathBuf;
use std::sync::Arc;

use runbook::clock::SystemClock;
use runbook::domain::incident::event::{Gate, Mode, RunOutcome};
use runbook::domain::incident::run::RunStatus;
use runbook::engine::Stop;
use runbook::store::memory::Memory;
use serde_json::{Value, json};

use super::{on, runs, unique};
use crate::act::Act;
use crate::real::shop::{Shop, eventually};
use crate::real::sshd::Sshd;
use crate::world::{World, run, with};

const STEADY: &str = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=default.target\n";

#[tokio::test]
async fn a_unit_of_another_host_is_restarted_over_its_own_bus() {
    let (sshd, shop) = (Sshd::start(), Shop::bare(&[("a.service", STEADY), ("b.service", STEADY)]));
    shop.systemctl(&["start", "a.service"]);
    let services = json!({ "a": { "unit": "a.service" }, "b": { "unit": "b.service" } });
    let act = Act::new(json!({ "host": sshd.host(), "systemd": shop.bus() }), services).within(60);
    let spec = json!({ "restart": "a", "settle": "300ms" });
    let before = act.observe("systemd", spec.clone()).await;
    let outcome = act.perform("systemd", spec.clone()).await;
    assert_eq!(outcome.summary, "`a.service` restarted: active (running)");
    assert_ne!(outcome.output["before"]["invocation_id"], outcome.output["after"]["invocation_id"]);
    assert_eq!(outcome.output["after"]["main_pid"].to_string(), shop.property("a.service", "MainPID"));
    let found = act.reconcile("systemd", spec, &before).await;
    assert!(matches!(found, runbook::actions::Reconciled::Happened(_)), "{found:?}");
    let seen = act.perform("systemd", json!({ "status": ["a", "b"] })).await;
    assert_eq!(seen.output["counts"], json!({ "active": 1, "inactive": 1 }));
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1, "all of it went over one connection");
}

#[tokio::test]
async fn a_host_without_such_a_bus_says_so() {
    let sshd = Sshd::start();
    let environment = json!({ "host": sshd.host(), "systemd": "unix:path=/no/such/bus" });
    let act = Act::new(environment, json!({ "a": { "unit": "a.service" } })).within(60);
    let outcome = act.perform("systemd", json!({ "status": "a" })).await;
    let (to, said) = (sshd.to(), outcome.summary.as_str());
    assert!(
        said.starts_with(&format!("the systemd manager at `unix:path=/no/such/bus` of `{to}` cannot be reached: ")),
        "{said}"
    );
    assert!(said.contains("`systemd-stdio-bridge` has ended there"), "{said}");
}

/// A world whose production is the server's host.
fn world(sshd: &Sshd, bus: Option<String>) -> World {
    let mut world = World::over(Arc::new(Memory::new()));
    let store = Arc::clone(&world.engine.parts().store);
    world.engine = crate::world::engine(store, Arc::new(SystemClock), world.directory.path());
    world.mode = Mode::Auto;
    let environment = world.estate.environments.get_mut("production").unwrap();
    environment.host = serde_json::from_value(sshd.host()).unwrap();
    if let Some(bus) = bus {
        environment.systemd.0 = bus;
    }
    let gateway = serde_json::from_value(json!({ "unit": "gateway.service" })).unwrap();
    world.estate.services.insert("gateway".to_owned(), gateway);
    world
}

/// Drives the run, and cuts every connection when the condition holds first.
async fn cut_when(world: &World, sshd: &Sshd, is_time: impl Fn() -> bool) -> Stop {
    let cuts = async {
        while !is_time() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        sshd.cut();
    };
    tokio::join!(world.drive(), cuts).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_in_the_middle_of_a_restart_does_not_make_it_happen_twice() {
    let directory = tempfile::tempdir().unwrap();
    let starts = directory.path().join("starts");
    let unit = format!(
        "[Service]\nExecStartPre=/bin/sh -c 'echo start >> {}; sleep 1'\nExecStart=/bin/sleep infinity\n",
        starts.display()
    );
    let count = || std::fs::read_to_string(&starts).unwrap_or_default().lines().count();
    let (sshd, shop) = (Sshd::start(), Shop::bare(&[("gateway.service", unit.as_str())]));
    shop.systemctl(&["start", "gateway.service"]);
    let world = world(&sshd, Some(shop.bus()));
    let restart = json!({ "restart": "gateway.service", "settle": "100ms" });
    world
        .start(json!([{
            "id": "restart", "name": "Restart", "timeout": "60s", "on_failure": "stop",
            "body": { "action": { "kind": "systemd", "effect": "once", "spec": restart } },
        }]))
        .await;
    let stop = cut_when(&world, &sshd, || count() == 2).await;
    let story = world.story_of(&["step", "reconciled", "run_ended"]).await;
    assert_eq!(stop, Stop::Over, "{story:#?}");
    assert_eq!(count(), 2, "it was restarted once: {story:#?}");
    assert!(story.contains(&"reconciled restart happened".to_owned()), "{story:#?}");
    assert_eq!(world.incident().await.runs[0].status, RunStatus::Ended(RunOutcome::Succeeded), "{story:#?}");
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 2, "it has connected again");
}

/// A step that marks where it has been, and does not end by itself the first time.
fn hanging(directory: &std::path::Path, effect: &str, nap: &str) -> (Value, PathBuf) {
    let mark = directory.join(effect);
    let script = format!("if [ -e {0} ]; then echo done; else touch {0}; exec sleep {nap}; fi", mark.display());
    (with(run(effect, effect, &["sh", "-c", &script]), json!({ "timeout": "60s" })), mark)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_repeated_is_and_for_what_may_happen_once_a_person_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let sshd = Sshd::start();
    for effect in ["read", "repeatable"] {
        let (step, mark) = hanging(directory.path(), effect, &unique(20));
        let world = world(&sshd, None);
        world.start(json!([step])).await;
        assert_eq!(cut_when(&world, &sshd, || mark.exists()).await, Stop::Over, "{:#?}", world.story().await);
        let reconciled = format!("reconciled {effect} did_not_happen");
        assert_eq!(world.story_of(&["reconciled"]).await, [reconciled]);
    }
    let nap = unique(21);
    let (step, _) = hanging(directory.path(), "once", &nap);
    let world = world(&sshd, None);
    world.start(json!([step])).await;
    assert_eq!(cut_when(&world, &sshd, || runs(&nap)).await, Stop::NeedsPerson);
    let incident = world.incident().await;
    let [(_, _, Gate::Unclear { detail })] = incident.waiting_for_person()[..] else { panic!("nobody is asked") };
    assert!(detail.contains("does not show whether it happened"), "{detail}");
    let log = world.engine.log(&world.id).await.unwrap();
    let told =
        log.iter().any(|recorded| format!("{:?}", recorded.event).contains("the connection was lost while `sh` ran"));
    assert!(told, "the log says why it is unclear");
    eventually("nothing of it is left", || !runs(&nap));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_on_several_hosts_run_at_once_each_on_its_own() {
    let (one, two) = (Sshd::start(), Sshd::start());
    let meeting = tempfile::tempdir().unwrap();
    let mut world = world(&one, None);
    let environment = world.estate.environments.get_mut("production").unwrap();
    environment.hosts.insert("web2".to_owned(), serde_json::from_value(two.host()).unwrap());
    // Each waits until the other has come.
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
    world.start(json!([group, each, here, with(nowhere, json!({ "on_failure": "continue" }))])).await;
    assert_eq!(world.drive().await, Stop::Over, "{:#?}", world.story().await);
    let incident = world.incident().await;
    let said = |name: &str| {
        let step = incident.runs[0].steps.iter().find(|(key, _)| key.to_string() == name).unwrap().1;
        let outcome = step.outcome.as_ref().map(|outcome| outcome.output["stdout"].clone());
        outcome.unwrap_or_else(|| json!(step.reason))
    };
    assert_eq!((said("a"), said("b")), (json!(one.path()), json!(two.path())));
    assert_eq!(said("each[0]"), json!(two.path()));
    assert!(said("here") != json!(one.path()) && said("here") != json!(two.path()));
    assert!(said("nowhere").to_string().contains("the environment has no host `web9`"), "{}", said("nowhere"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_for_each_works_on_as_many_hosts_at_once_as_it_says() {
    let (one, two) = (Sshd::start(), Sshd::start());
    let meeting = tempfile::tempdir().unwrap();
    let mut world = world(&one, None);
    let environment = world.estate.environments.get_mut("production").unwrap();
    for (name, sshd) in [("web1", &one), ("web2", &two), ("web3", &one)] {
        environment.hosts.insert(name.to_owned(), serde_json::from_value(sshd.host()).unwrap());
    }
    // Each waits until another has come, so that one after the other would never end.
    let path = meeting.path().display();
    let script = format!(
        "touch {path}/{{{{ item }}}}; until [ $(ls {path} | wc -l) -ge 2 ]; do sleep 0.02; done; ls {path} | wc -l; echo $HOME"
    );
    let mut each = run("each", "read", &["sh", "-c", &script]);
    each["body"]["action"]["host"] = json!("{{ item }}");
    let each = with(each, json!({ "for_each": "environment.hosts | list", "max_parallel": 2, "timeout": "60s" }));
    world.start(json!([each])).await;
    assert_eq!(world.drive().await, Stop::Over, "{:#?}", world.story().await);
    let incident = world.incident().await;
    assert_eq!(incident.runs[0].status, RunStatus::Ended(RunOutcome::Succeeded), "{:#?}", world.story().await);
    let said = |index: u32| {
        let (_, step) =
            incident.runs[0].steps.iter().find(|(key, _)| key.to_string() == format!("each[{index}]")).unwrap();
        step.outcome.as_ref().unwrap().output["stdout"].as_str().unwrap().to_owned()
    };
    assert!(said(1).ends_with(&two.path().display().to_string()), "each on its own host: {}", said(1));
    let story = world.story_of(&["step"]).await;
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
