//! The kind `systemd` against a real manager.

use runbook::actions::Reconciled;
use runbook::domain::incident::outcome::Verdict;
use serde_json::{Value, json};

use crate::act::Act;
use crate::real::shop::{Shop, eventually};

const STEADY: &str = "[Service]\nExecStart=/bin/sleep infinity\nRestartSec=100ms\n[Install]\nWantedBy=default.target\n";
const CRASHES: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'sleep 0.2; exit 7'\n\
                       Restart=always\nRestartSec=100ms\n";

/// A manager with these units, and an estate that names them.
fn shop(units: &[(&str, &str)]) -> (Shop, Act) {
    let shop = Shop::bare(units);
    let services: serde_json::Map<String, Value> =
        units.iter().map(|(unit, _)| (unit.trim_end_matches(".service").to_owned(), json!({ "unit": unit }))).collect();
    let act = Act::new(json!({ "systemd": shop.bus() }), Value::Object(services));
    (shop, act)
}

#[tokio::test]
async fn a_restart_gives_a_new_invocation_and_waits_until_the_unit_is_up() {
    let (shop, act) = shop(&[("a.service", STEADY)]);
    shop.systemctl(&["start", "a.service"]);
    let outcome = act.perform("systemd", json!({ "restart": "a", "settle": "300ms" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let (before, after) = (&outcome.output["before"], &outcome.output["after"]);
    assert_ne!(before["invocation_id"], after["invocation_id"]);
    assert_eq!(after["active"], "active");
    assert_eq!(after["main_pid"].to_string(), shop.property("a.service", "MainPID"));
    assert_eq!(outcome.summary, "`a.service` restarted: active (running)");
}

#[tokio::test]
async fn stop_and_start_wait_for_their_jobs_and_starting_twice_says_so() {
    let (shop, act) = shop(&[("a.service", STEADY), ("b.service", STEADY)]);
    let both = |verb: &str| json!({ verb: ["a", "b"], "settle": "100ms" });
    assert!(act.perform("systemd", both("start")).await.is_success());
    let again = act.perform("systemd", both("start")).await;
    assert_eq!(again.summary, "`a.service` already runs: active (running); `b.service` already runs: active (running)");
    assert!(act.perform("systemd", both("stop")).await.is_success());
    assert_eq!(shop.property("b.service", "ActiveState"), "inactive");
}

#[tokio::test]
async fn all_units_of_the_estate_that_a_pattern_matches_are_seen_loaded_or_not() {
    let (shop, act) = shop(&[
        ("shop-a.service", STEADY),
        ("shop-b.service", STEADY),
        ("shop-c.service", CRASHES),
        ("x.service", STEADY),
    ]);
    shop.systemctl(&["start", "shop-a.service"]);
    let seen = act.perform("systemd", json!({ "status": "shop-*" })).await;
    assert!(seen.is_success(), "{seen:?}");
    assert_eq!(seen.output["units"].as_array().map(Vec::len), Some(3));
    assert_eq!(seen.output["counts"], json!({ "active": 1, "inactive": 2 }));
    assert_eq!(seen.output["failing"], json!(["shop-b.service", "shop-c.service"]));
    let expected = act.perform("systemd", json!({ "status": ["shop-*"], "expect": "active" })).await;
    assert_eq!(expected.verdict, Verdict::Failed);
    assert!(expected.summary.contains("`shop-b.service` is inactive (dead)"), "{}", expected.summary);
}

#[tokio::test]
async fn a_unit_of_the_estate_that_is_not_installed_is_told() {
    let shop = Shop::bare(&[("shop-a.service", STEADY)]);
    let services = json!({ "a": { "unit": "shop-a.service" }, "b": { "unit": "shop-b.service" } });
    let act = Act::new(json!({ "systemd": shop.bus() }), services);
    let seen = act.perform("systemd", json!({ "status": "shop-*" })).await;
    assert_eq!(seen.output["counts"], json!({ "inactive": 1, "not-found": 1 }));
    let both = act.perform("systemd", json!({ "status": ["shop-a", "shop-b"] })).await;
    assert_eq!(both.output["trouble"]["kind"], "no_such_unit", "{both:?}");
    assert_eq!(both.output["units"][0]["active"], "inactive");
    let refused = act.perform("systemd", json!({ "restart": "b" })).await;
    assert_eq!(refused.output["trouble"]["kind"], "no_such_unit", "{refused:?}");
    assert!(refused.summary.contains("did you mean `shop-a.service`"), "{}", refused.summary);
}

#[tokio::test]
async fn a_crash_loop_is_a_failure_although_its_job_is_done() {
    let (shop, act) = shop(&[("c.service", CRASHES)]);
    let outcome = act.perform("systemd", json!({ "start": "c" })).await;
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(outcome.output["trouble"]["kind"], "crash_loop", "{outcome:?}");
    assert!(outcome.summary.contains("exited 7"), "{}", outcome.summary);
    shop.systemctl(&["stop", "c.service"]);
}

#[tokio::test]
async fn a_crash_loop_that_runs_into_the_start_limit_is_told_apart_from_a_failed_start() {
    let limited = "[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=60\n[Service]\nExecStart=/bin/false\n\
                   Restart=always\nRestartSec=10ms\n";
    let missing = "[Service]\nExecStart=/no/such/program\n";
    let killed = "[Service]\nExecStart=/bin/sh -c 'kill -SEGV $$$$'\n";
    let (shop, act) = shop(&[("l.service", limited), ("m.service", missing), ("k.service", killed)]);
    let _ = shop.try_systemctl(&["start", "l.service"]);
    eventually("the start limit is hit", || shop.property("l.service", "ActiveState") == "failed");
    let hit = act.perform("systemd", json!({ "restart": "l" })).await;
    assert_eq!(hit.output["trouble"]["kind"], "start_limit_hit", "{hit:?}");
    assert!(hit.summary.contains("reset-failed"));
    shop.systemctl(&["reset-failed", "l.service"]);
    let looped = act.perform("systemd", json!({ "start": "l" })).await;
    assert_eq!(looped.output["trouble"]["kind"], "start_limit_hit", "{looped:?}");
    let failed = act.perform("systemd", json!({ "start": "m" })).await;
    assert_eq!(failed.output["trouble"]["kind"], "start_failed", "{failed:?}");
    assert!(failed.summary.contains("exited 203: its program cannot be run"), "{}", failed.summary);
    let signal = act.perform("systemd", json!({ "start": "k" })).await;
    assert!(signal.summary.contains("killed 11"), "{}", signal.summary);
}

#[tokio::test]
async fn a_restart_begins_the_count_of_restarts_anew() {
    let (shop, act) = shop(&[("a.service", &STEADY.replace("[Install]", "Restart=always\n[Install]"))]);
    shop.systemctl(&["start", "a.service"]);
    shop.systemctl(&["kill", "-s", "KILL", "a.service"]);
    eventually("systemd has started it again", || {
        shop.property("a.service", "NRestarts") == "1" && shop.property("a.service", "ActiveState") == "active"
    });
    let outcome = act.perform("systemd", json!({ "restart": "a", "settle": "300ms" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(
        (&outcome.output["before"]["n_restarts"], &outcome.output["after"]["n_restarts"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn a_dependency_that_fails_is_named_as_such_and_masked_units_are_refused() {
    let needs = "[Unit]\nRequires=broken.service\nAfter=broken.service\n[Service]\nExecStart=/bin/sleep infinity\n";
    let broken = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
    let (shop, act) = shop(&[("needs.service", needs), ("broken.service", broken), ("masked.service", STEADY)]);
    let outcome = act.perform("systemd", json!({ "start": "needs" })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "job_dependency", "{outcome:?}");
    shop.systemctl(&["mask", "--runtime", "masked.service"]);
    let outcome = act.perform("systemd", json!({ "start": "masked" })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "masked", "{outcome:?}");
}

#[tokio::test]
async fn reload_tells_the_unit_and_says_when_a_unit_cannot() {
    let reloads = "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/sh -c 'echo x >> %h/reloaded'\n";
    let (shop, act) = shop(&[("r.service", reloads), ("a.service", STEADY)]);
    shop.systemctl(&["start", "r.service", "a.service"]);
    let outcome = act.perform("systemd", json!({ "reload": "r" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(shop.directory().join("reloaded")).unwrap(), "x\n");
    let refused = act.perform("systemd", json!({ "reload": "a" })).await;
    assert_eq!(refused.output["trouble"]["kind"], "not_applicable", "{refused:?}");
}

#[tokio::test]
async fn enable_and_disable_change_what_happens_at_boot() {
    let (shop, act) = shop(&[("a.service", STEADY), ("static.service", CRASHES)]);
    let before = act.observe("systemd", json!({ "enable": "a" })).await;
    let outcome = act.perform("systemd", json!({ "enable": "a" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(shop.property("a.service", "UnitFileState"), "enabled");
    assert!(matches!(act.reconcile("systemd", json!({ "enable": "a" }), &before).await, Reconciled::Happened(_)));
    assert!(act.perform("systemd", json!({ "disable": "a" })).await.is_success());
    assert_eq!(shop.property("a.service", "UnitFileState"), "disabled");
    let refused = act.perform("systemd", json!({ "enable": "static" })).await;
    assert_eq!(refused.output["trouble"]["kind"], "not_installable", "{refused:?}");
}

#[tokio::test]
async fn a_daemon_reload_makes_a_new_unit_file_count() {
    let (shop, act) = shop(&[("a.service", STEADY)]);
    shop.systemctl(&["start", "a.service"]);
    shop.write_unit("a.service", &STEADY.replace("[Service]", "[Unit]\nDescription=The new one\n[Service]"));
    assert!(act.perform("systemd", json!({ "daemon_reload": true })).await.is_success());
    assert_eq!(shop.property("a.service", "Description"), "The new one");
}

#[tokio::test]
async fn a_restart_that_was_cut_off_is_known_to_have_happened_or_not() {
    let (shop, act) = shop(&[("a.service", STEADY)]);
    shop.systemctl(&["start", "a.service"]);
    let spec = json!({ "restart": "a" });
    let before = act.observe("systemd", spec.clone()).await;
    let not = act.reconcile("systemd", spec.clone(), &before).await;
    assert!(matches!(not, Reconciled::DidNotHappen(_)), "{not:?}");
    shop.systemctl(&["restart", "a.service"]);
    let happened = act.reconcile("systemd", spec.clone(), &before).await;
    let Reconciled::Happened(outcome) = happened else { panic!("{happened:?}") };
    assert!(outcome.is_success());
    assert_eq!(outcome.output["before"]["invocation_id"], before["units"][0]["invocation_id"]);
    assert_ne!(outcome.output["after"]["invocation_id"], before["units"][0]["invocation_id"]);
    let unknown = act.reconcile("systemd", spec, &Value::Null).await;
    assert!(matches!(unknown, Reconciled::CannotTell(_)), "{unknown:?}");
}

#[tokio::test]
async fn a_restart_by_systemd_itself_is_not_taken_for_ours() {
    let (shop, act) = shop(&[("a.service", &STEADY.replace("[Install]", "Restart=always\n[Install]"))]);
    shop.systemctl(&["start", "a.service"]);
    let spec = json!({ "restart": "a" });
    let before = act.observe("systemd", spec.clone()).await;
    shop.systemctl(&["kill", "-s", "KILL", "a.service"]);
    eventually("systemd has started it again", || shop.property("a.service", "NRestarts") == "1");
    let told = act.reconcile("systemd", spec, &before).await;
    assert!(matches!(told, Reconciled::CannotTell(_)), "{told:?}");
}

#[tokio::test]
async fn a_job_that_still_runs_is_waited_for_before_it_is_judged() {
    let slow = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 1\n";
    let (shop, act) = shop(&[("slow.service", slow)]);
    shop.systemctl(&["start", "slow.service"]);
    let spec = json!({ "restart": "slow" });
    let before = act.observe("systemd", spec.clone()).await;
    shop.systemctl(&["restart", "--no-block", "slow.service"]);
    let told = act.reconcile("systemd", spec, &before).await;
    let Reconciled::Happened(outcome) = told else { panic!("{told:?}") };
    assert_eq!(outcome.output["after"]["active"], "active");
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_left_to_systemd_and_said_to_be_unknown() {
    let slow = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 3\n";
    let (shop, act) = shop(&[("slow.service", slow)]);
    shop.systemctl(&["start", "slow.service"]);
    let act = act.within(1);
    let outcome = act.perform("systemd", json!({ "restart": "slow" })).await;
    assert_eq!(outcome.verdict, Verdict::Unknown, "{outcome:?}");
    assert_eq!(outcome.output["trouble"]["kind"], "still_running");
}

#[tokio::test]
async fn what_the_estate_does_not_name_is_not_touched() {
    let (shop, act) = shop(&[("a.service", STEADY)]);
    shop.write_unit("other.service", STEADY);
    shop.systemctl(&["daemon-reload"]);
    for hostile in ["other.service", "../other", "--now", "a.service\n", "$(reboot)"] {
        let outcome = act.perform("systemd", json!({ "start": hostile })).await;
        let kind = outcome.output["trouble"]["kind"].as_str().unwrap_or_default();
        assert!(kind == "outside_estate" || kind == "invalid_name", "{outcome:?}");
    }
    assert_eq!(shop.property("other.service", "ActiveState"), "inactive");
}

#[tokio::test]
async fn a_manager_that_is_away_is_told_as_such() {
    let act = Act::new(json!({ "systemd": "unix:path=/nowhere/bus" }), json!({ "a": { "unit": "a.service" } }));
    let outcome = act.perform("systemd", json!({ "restart": "a" })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "no_manager");
    assert_eq!(outcome.verdict, Verdict::Failed);
}

#[tokio::test]
async fn a_manager_that_went_away_and_came_back_is_connected_again() {
    let (shop, act) = shop(&[("a.service", STEADY)]);
    shop.systemctl(&["start", "a.service"]);
    assert!(act.perform("systemd", json!({ "status": "a" })).await.is_success());
    shop.systemctl(&["restart", "dbus.service"]);
    eventually("the manager is back on its bus", || {
        let name = ["--user", "--timeout=2", "status", "org.freedesktop.systemd1"];
        shop.on_bus("busctl", &name).status.success()
    });
    let outcome = act.perform("systemd", json!({ "status": "a" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
}
