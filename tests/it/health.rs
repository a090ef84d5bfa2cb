//! The kind `health` with real services.

use serde_json::{Map, Value, json};

use crate::kind_harness::KindHarness;
use crate::real::units::{SERVICES, Units};

fn harness(units: &Units) -> KindHarness {
    let services: Map<String, Value> = SERVICES
        .iter()
        .map(|name| {
            let health = format!("http://127.0.0.1:{}", units.port(name));
            let criticality = if *name == "gateway" { "critical" } else { "normal" };
            (
                (*name).to_owned(),
                json!({ "unit": format!("pakashop-{name}"), "health": health, "criticality": criticality }),
            )
        })
        .collect();
    KindHarness::new(json!({}), Value::Object(services))
}

#[tokio::test]
async fn all_services_are_checked_at_once_and_each_fault_is_named() {
    let units = Units::start();
    let harness = harness(&units);
    let all = harness.perform("health", json!({ "services": "all" })).await;
    assert!(all.is_success(), "{all:?}");
    assert_eq!(all.output["healthy"], 19);
    assert_eq!(all.output["services"]["gateway"]["dependencies"], json!({ "postgres": "ok", "redis": "ok" }));
    assert_eq!(harness.perform("health", json!({ "services": "critical" })).await.output["healthy"], 1);

    units.break_service("gateway", "unready postgres");
    units.break_service("search", "slow");
    units.systemctl(&["stop", "pakashop-fraud.service"]);
    let broken = harness.perform("health", json!({ "services": "all", "timeout": "1s" })).await;
    assert!(!broken.is_success());
    assert_eq!(broken.output["failing"], json!(["fraud", "gateway", "search"]), "{broken:?}");
    let error = |service: &str| broken.output["services"][service]["error"].as_str().unwrap_or_default().to_owned();
    assert_eq!(error("gateway"), "not ready: postgres is unreachable");
    assert_eq!(error("search"), "no answer within 1s");
    assert!(error("fraud").contains("refused"));
    assert!(broken.summary.starts_with("3 of 19 services are failing: "), "{}", broken.summary);

    let alive = harness.perform("health", json!({ "service": "gateway", "ready": false })).await;
    assert!(alive.is_success(), "{alive:?}");
    let one = harness.perform("health", json!({ "service": ["gateway", "backend"], "ready": true })).await;
    assert_eq!(one.output["failing"], json!(["gateway"]));
    units.stop();
}

#[tokio::test]
async fn a_service_that_the_estate_does_not_know_is_refused_with_the_nearest_name() {
    let harness = KindHarness::new(json!({}), json!({ "gateway": { "unit": "a" }, "search": { "unit": "b" } }));
    let refused = harness.perform("health", json!({ "service": "serch" })).await;
    assert_eq!(refused.summary, "the estate has no service `serch`; did you mean `search`?");
    let nowhere = harness.perform("health", json!({ "service": "gateway" })).await;
    assert!(nowhere.summary.contains("neither `health` nor `port`"), "{}", nowhere.summary);
}
