//! The kind `health` against a shop of real services.

use serde_json::{Map, Value, json};

use crate::act::Act;
use crate::real::shop::{SERVICES, Shop};

fn act(shop: &Shop) -> Act {
    let services: Map<String, Value> = SERVICES
        .iter()
        .map(|name| {
            let health = format!("http://127.0.0.1:{}", shop.port(name));
            let criticality = if *name == "gateway" { "critical" } else { "normal" };
            (
                (*name).to_owned(),
                json!({ "unit": format!("pakashop-{name}"), "health": health, "criticality": criticality }),
            )
        })
        .collect();
    Act::new(json!({}), Value::Object(services))
}

#[tokio::test]
async fn a_whole_shop_is_asked_at_once_and_each_trouble_is_named() {
    let shop = Shop::start();
    let act = act(&shop);
    let all = act.perform("health", json!({ "services": "all" })).await;
    assert!(all.is_success(), "{all:?}");
    assert_eq!(all.output["healthy"], 19);
    assert_eq!(all.output["services"]["gateway"]["dependencies"], json!({ "postgres": "ok", "redis": "ok" }));
    assert_eq!(act.perform("health", json!({ "services": "critical" })).await.output["healthy"], 1);

    shop.break_service("gateway", "unready postgres");
    shop.break_service("search", "slow");
    shop.systemctl(&["stop", "pakashop-fraud.service"]);
    let broken = act.perform("health", json!({ "services": "all", "timeout": "1s" })).await;
    assert!(!broken.is_success());
    assert_eq!(broken.output["failing"], json!(["fraud", "gateway", "search"]), "{broken:?}");
    let error = |service: &str| broken.output["services"][service]["error"].as_str().unwrap_or_default().to_owned();
    assert_eq!(error("gateway"), "not ready: postgres is unreachable");
    assert_eq!(error("search"), "no answer within 1s");
    assert!(error("fraud").contains("refused"));
    assert!(broken.summary.starts_with("3 of 19 services are failing: "), "{}", broken.summary);

    let alive = act.perform("health", json!({ "service": "gateway", "ready": false })).await;
    assert!(alive.is_success(), "{alive:?}");
    let one = act.perform("health", json!({ "service": ["gateway", "backend"], "ready": true })).await;
    assert_eq!(one.output["failing"], json!(["gateway"]));
    shop.stop();
}

#[tokio::test]
async fn a_service_that_the_estate_does_not_know_is_refused_with_the_nearest_name() {
    let act = Act::new(json!({}), json!({ "gateway": { "unit": "a" }, "search": { "unit": "b" } }));
    let refused = act.perform("health", json!({ "service": "serch" })).await;
    assert_eq!(refused.summary, "the estate has no service `serch`; did you mean `search`?");
    let nowhere = act.perform("health", json!({ "service": "gateway" })).await;
    assert!(nowhere.summary.contains("neither `health` nor `port`"), "{}", nowhere.summary);
}
