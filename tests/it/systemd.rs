//! The kind `systemd` with a real manager.

use runbook::actions::Reconciled;
use runbook::domain::incident::outcome::Verdict;
use serde_json::{Value, json};

use crate::kind_harness::KindHarness;
use crate::real::eventually;
use crate::real::units::Units;

const STEADY: &str = "[Service]\nExecStart=/bin/sleep infinity\nRestartSec=100ms\n[Install]\nWantedBy=default.target\n";
const CRASHES: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'sleep 0.2; exit 7'\n\
                       Restart=always\nRestartSec=100ms\n";

/// A manager with these units, and a harness whose estate has them.
fn manager_with(unit_files: &[(&str, &str)]) -> (Units, KindHarness) {
    let units = Units::bare(unit_files);
    let services: serde_json::Map<String, Value> = unit_files
        .iter()
        .map(|(unit, _)| (unit.trim_end_matches(".service").to_owned(), json!({ "unit": unit })))
        .collect();
    let harness = KindHarness::new(json!({ "systemd": units.bus() }), Value::Object(services));
    (units, harness)
}

#[tokio::test]
async fn a_restart_gives_a_new_invocation_and_waits_until_the_unit_is_up() {
    let (units, harness) = manager_with(&[("a.service", STEADY)]);
    units.systemctl(&["start", "a.service"]);
    let outcome = harness.perform("systemd", json!({ "restart": "a", "settle": "300ms" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let (before, after) = (&outcome.output["before"], &outcome.output["after"]);
    assert_ne!(before["invocation_id"], after["invocation_id"]);
    assert_eq!(after["active"], "active");
    assert_eq!(after["main_pid"].to_string(), units.property("a.service", "MainPID"));
    assert_eq!(outcome.summary, "`a.service` restarted: active (running)");
}

#[tokio::test]
async fn stop_and_start_wait_for_their_jobs_and_a_second_start_is_reported() {
    let (units, harness) = manager_with(&[("a.service", STEADY), ("b.service", STEADY)]);
    let both = |verb: &str| json!({ verb: ["a", "b"], "settle": "100ms" });
    assert!(harness.perform("systemd", both("start")).await.is_success());
    let again = harness.perform("systemd", both("start")).await;
    assert_eq!(again.summary, "`a.service` already runs: active (running); `b.service` already runs: active (running)");
    assert!(harness.perform("systemd", both("stop")).await.is_success());
    assert_eq!(units.property("b.service", "ActiveState"), "inactive");
}

#[tokio::test]
async fn a_pattern_matches_loaded_and_unloaded_units_of_the_estate() {
    let (units, harness) = manager_with(&[
        ("shop-a.service", STEADY),
        ("shop-b.service", STEADY),
        ("shop-c.service", CRASHES),
        ("x.service", STEADY),
    ]);
    units.systemctl(&["start", "shop-a.service"]);
    let seen = harness.perform("systemd", json!({ "status": "shop-*" })).await;
    assert!(seen.is_success(), "{seen:?}");
    assert_eq!(seen.output["units"].as_array().map(Vec::len), Some(3));
    assert_eq!(seen.output["counts"], json!({ "active": 1, "inactive": 2 }));
    assert_eq!(seen.output["failing"], json!(["shop-b.service", "shop-c.service"]));
    let expected = harness.perform("systemd", json!({ "status": ["shop-*"], "expect": "active" })).await;
    assert_eq!(expected.verdict, Verdict::Failed);
    assert!(expected.summary.contains("`shop-b.service` is inactive (dead)"), "{}", expected.summary);
}

#[tokio::test]
async fn a_unit_that_is_not_installed_is_reported() {
    let units = Units::bare(&[("shop-a.service", STEADY)]);
    let services = json!({ "a": { "unit": "shop-a.service" }, "b": { "unit": "shop-b.service" } });
    let harness = KindHarness::new(json!({ "systemd": units.bus() }), services);
    let seen = harness.perform("systemd", json!({ "status": "shop-*" })).await;
    assert_eq!(seen.output["counts"], json!({ "inactive": 1, "not-found": 1 }));
    let both = harness.perform("systemd", json!({ "status": ["shop-a", "shop-b"] })).await;
    assert_eq!(both.output["trouble"]["kind"], "no_such_unit", "{both:?}");
    assert_eq!(both.output["units"][0]["active"], "inactive");
    let refused = harness.perform("systemd", json!({ "restart": "b" })).await;
    assert_eq!(refused.output["trouble"]["kind"], "no_such_unit", "{refused:?}");
    assert!(refused.summary.contains("did you mean `shop-a.service`"), "{}", refused.summary);
}

#[tokio::test]
async fn a_crash_loop_is_a_failure_although_its_job_succeeded() {
    let (units, harness) = manager_with(&[("c.service", CRASHES)]);
    let outcome = harness.perform("systemd", json!({ "start": "c" })).await;
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(outcome.output["trouble"]["kind"], "crash_loop", "{outcome:?}");
    assert!(outcome.summary.contains("exited 7"), "{}", outcome.summary);
    units.systemctl(&["stop", "c.service"]);
}

#[tokio::test]
async fn the_start_limit_and_a_failed_start_have_different_codes() {
    let limited = "[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=60\n[Service]\nExecStart=/bin/false\n\
                   Restart=always\nRestartSec=10ms\n";
    let missing = "[Service]\nExecStart=/no/such/program\n";
    let killed = "[Service]\nExecStart=/bin/sh -c 'kill -SEGV $$$$'\n";
    let (units, harness) = manager_with(&[("l.service", limited), ("m.service", missing), ("k.service", killed)]);
    let _ = units.try_systemctl(&["start", "l.service"]);
    eventually("the start limit is hit", || units.property("l.service", "ActiveState") == "failed");
    let hit = harness.perform("systemd", json!({ "restart": "l" })).await;
    assert_eq!(hit.output["trouble"]["kind"], "start_limit_hit", "{hit:?}");
    assert!(hit.summary.contains("reset-failed"));
    units.systemctl(&["reset-failed", "l.service"]);
    let looped = harness.perform("systemd", json!({ "start": "l" })).await;
    assert_eq!(looped.output["trouble"]["kind"], "start_limit_hit", "{looped:?}");
    let failed = harness.perform("systemd", json!({ "start": "m" })).await;
    assert_eq!(failed.output["trouble"]["kind"], "start_failed", "{failed:?}");
    assert!(failed.summary.contains("exited 203: its program cannot be run"), "{}", failed.summary);
    let signal = harness.perform("systemd", json!({ "start": "k" })).await;
    assert!(signal.summary.contains("killed 11"), "{}", signal.summary);
}

#[tokio::test]
async fn a_restart_resets_the_count_of_restarts() {
    let (units, harness) = manager_with(&[("a.service", &STEADY.replace("[Install]", "Restart=always\n[Install]"))]);
    units.systemctl(&["start", "a.service"]);
    units.systemctl(&["kill", "-s", "KILL", "a.service"]);
    eventually("systemd has started it again", || {
        units.property("a.service", "NRestarts") == "1" && units.property("a.service", "ActiveState") == "active"
    });
    let outcome = harness.perform("systemd", json!({ "restart": "a", "settle": "300ms" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(
        (&outcome.output["before"]["n_restarts"], &outcome.output["after"]["n_restarts"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn a_failed_dependency_is_reported_and_masked_units_are_refused() {
    let needs = "[Unit]\nRequires=broken.service\nAfter=broken.service\n[Service]\nExecStart=/bin/sleep infinity\n";
    let broken = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
    let (units, harness) =
        manager_with(&[("needs.service", needs), ("broken.service", broken), ("masked.service", STEADY)]);
    let outcome = harness.perform("systemd", json!({ "start": "needs" })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "job_dependency", "{outcome:?}");
    units.systemctl(&["mask", "--runtime", "masked.service"]);
    let outcome = harness.perform("systemd", json!({ "start": "masked" })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "masked", "{outcome:?}");
}

#[tokio::test]
async fn reload_runs_and_a_unit_that_cannot_reload_is_refused() {
    let reloads = "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/sh -c 'echo x >> %h/reloaded'\n";
    let (units, harness) = manager_with(&[("r.service", reloads), ("a.service", STEADY)]);
    units.systemctl(&["start", "r.service", "a.service"]);
    let outcome = harness.perform("systemd", json!({ "reload": "r" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(units.directory().join("reloaded")).unwrap(), "x\n");
    let refused = harness.perform("systemd", json!({ "reload": "a" })).await;
    assert_eq!(refused.output["trouble"]["kind"], "not_applicable", "{refused:?}");
}

#[tokio::test]
async fn enable_and_disable_change_what_happens_at_boot() {
    let (units, harness) = manager_with(&[("a.service", STEADY), ("static.service", CRASHES)]);
    let before = harness.observe("systemd", json!({ "enable": "a" })).await;
    let outcome = harness.perform("systemd", json!({ "enable": "a" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(units.property("a.service", "UnitFileState"), "enabled");
    assert!(matches!(harness.reconcile("systemd", json!({ "enable": "a" }), &before).await, Reconciled::Happened(_)));
    assert!(harness.perform("systemd", json!({ "disable": "a" })).await.is_success());
    assert_eq!(units.property("a.service", "UnitFileState"), "disabled");
    let refused = harness.perform("systemd", json!({ "enable": "static" })).await;
    assert_eq!(refused.output["trouble"]["kind"], "not_installable", "{refused:?}");
}

#[tokio::test]
async fn a_daemon_reload_loads_a_new_unit_file() {
    let (units, harness) = manager_with(&[("a.service", STEADY)]);
    units.systemctl(&["start", "a.service"]);
    units.write_unit("a.service", &STEADY.replace("[Service]", "[Unit]\nDescription=The new one\n[Service]"));
    assert!(harness.perform("systemd", json!({ "daemon_reload": true })).await.is_success());
    assert_eq!(units.property("a.service", "Description"), "The new one");
}

#[tokio::test]
async fn an_interrupted_restart_is_reconciled() {
    let (units, harness) = manager_with(&[("a.service", STEADY)]);
    units.systemctl(&["start", "a.service"]);
    let spec = json!({ "restart": "a" });
    let before = harness.observe("systemd", spec.clone()).await;
    let not = harness.reconcile("systemd", spec.clone(), &before).await;
    assert!(matches!(not, Reconciled::DidNotHappen(_)), "{not:?}");
    units.systemctl(&["restart", "a.service"]);
    let happened = harness.reconcile("systemd", spec.clone(), &before).await;
    let Reconciled::Happened(outcome) = happened else { panic!("{happened:?}") };
    assert!(outcome.is_success());
    assert_eq!(outcome.output["before"]["invocation_id"], before["units"][0]["invocation_id"]);
    assert_ne!(outcome.output["after"]["invocation_id"], before["units"][0]["invocation_id"]);
    let unknown = harness.reconcile("systemd", spec, &Value::Null).await;
    assert!(matches!(unknown, Reconciled::CannotTell(_)), "{unknown:?}");
}

#[tokio::test]
async fn a_restart_by_systemd_is_not_taken_for_ours() {
    let (units, harness) = manager_with(&[("a.service", &STEADY.replace("[Install]", "Restart=always\n[Install]"))]);
    units.systemctl(&["start", "a.service"]);
    let spec = json!({ "restart": "a" });
    let before = harness.observe("systemd", spec.clone()).await;
    units.systemctl(&["kill", "-s", "KILL", "a.service"]);
    eventually("systemd has started it again", || units.property("a.service", "NRestarts") == "1");
    let reconciled = harness.reconcile("systemd", spec, &before).await;
    assert!(matches!(reconciled, Reconciled::CannotTell(_)), "{reconciled:?}");
}

#[tokio::test]
async fn a_job_that_still_runs_is_waited_for_before_it_is_judged() {
    let slow = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 1\n";
    let (units, harness) = manager_with(&[("slow.service", slow)]);
    units.systemctl(&["start", "slow.service"]);
    let spec = json!({ "restart": "slow" });
    let before = harness.observe("systemd", spec.clone()).await;
    units.systemctl(&["restart", "--no-block", "slow.service"]);
    let reconciled = harness.reconcile("systemd", spec, &before).await;
    let Reconciled::Happened(outcome) = reconciled else { panic!("{reconciled:?}") };
    assert_eq!(outcome.output["after"]["active"], "active");
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_left_to_systemd_as_unknown() {
    let slow = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 3\n";
    let (units, harness) = manager_with(&[("slow.service", slow)]);
    units.systemctl(&["start", "slow.service"]);
    let harness = harness.within(1);
    let outcome = harness.perform("systemd", json!({ "restart": "slow" })).await;
    assert_eq!(outcome.verdict, Verdict::Unknown, "{outcome:?}");
    assert_eq!(outcome.output["trouble"]["kind"], "still_running");
}

#[tokio::test]
async fn a_unit_outside_the_estate_is_not_touched() {
    let (units, harness) = manager_with(&[("a.service", STEADY)]);
    units.write_unit("other.service", STEADY);
    units.systemctl(&["daemon-reload"]);
    for hostile in ["other.service", "../other", "--now", "a.service\n", "$(reboot)"] {
        let outcome = harness.perform("systemd", json!({ "start": hostile })).await;
        let kind = outcome.output["trouble"]["kind"].as_str().unwrap_or_default();
        assert!(kind == "outside_estate" || kind == "invalid_name", "{outcome:?}");
    }
    assert_eq!(units.property("other.service", "ActiveState"), "inactive");
}

#[tokio::test]
async fn an_unreachable_manager_is_reported() {
    let harness =
        KindHarness::new(json!({ "systemd": "unix:path=/nowhere/bus" }), json!({ "a": { "unit": "a.service" } }));
    let outcome = harness.perform("systemd", json!({ "restart": "a" })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "no_manager");
    assert_eq!(outcome.verdict, Verdict::Failed);
}

#[tokio::test]
async fn a_restarted_bus_is_connected_again() {
    let (units, harness) = manager_with(&[("a.service", STEADY)]);
    units.systemctl(&["start", "a.service"]);
    assert!(harness.perform("systemd", json!({ "status": "a" })).await.is_success());
    units.systemctl(&["restart", "dbus.service"]);
    eventually("the manager is back on its bus", || {
        let name = ["--user", "--timeout=2", "status", "org.freedesktop.systemd1"];
        units.on_bus("busctl", &name).status.success()
    });
    let outcome = harness.perform("systemd", json!({ "status": "a" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
}
