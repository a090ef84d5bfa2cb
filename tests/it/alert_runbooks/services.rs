//! Alerts caused by our services: slow, crashed, or with a backlog.

use serde_json::json;

use super::host::{Facts, Host};
use super::site::{Site, healthy};
use crate::real::eventually;
use crate::real::journal::Entry;
use crate::real::postgres::Postgres;
use crate::real::redis::Redis;
use crate::real::units::unit;

/// The trace of the request that failed.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn an_exception_leads_to_its_request_and_the_crashed_service_is_started_again() {
    let entry =
        |service: &str, level: u8, message: &str, more| Entry::pino(&unit(service), level, message, more).ago(30);
    let host = Host::new(Facts {
        journal: vec![
            entry("gateway", 30, "request received", json!({"traceId": TRACE, "url": "/api/v1/coupons/SPRING"})),
            entry("coupon", 60, "unhandled exception", json!({"traceId": TRACE, "err": {"type": "TypeError"}})),
            entry("gateway", 30, "request received", json!({"traceId": "0123", "url": "/api/v1/other"})),
        ],
        ..Facts::default()
    });
    host.units.break_service("coupon", "crash");
    eventually("systemd has given it up", || host.units.property(&unit("coupon"), "ActiveState") == "failed");
    host.units.heal("coupon");
    // The start limit is not part of this test.
    host.units.systemctl(&["reset-failed", &unit("coupon")]);
    host.alert("unhandled_exception", "firing", 1.0, json!({"traceId": TRACE}));

    host.waits_for("restart[0]");
    let request = host.outcome("request")["output"].clone();
    assert_eq!(request["matched"], 2, "{request}");
    assert!(request["lines"][0].as_str().unwrap().contains("/api/v1/coupons/SPRING"), "{request}");
    assert_eq!(host.outcome("verdict")["output"]["down"], json!([unit("coupon")]));
    assert_eq!(host.outcome("history")["verdict"], "succeeded");
    assert_ne!(host.units.property(&unit("coupon"), "ActiveState"), "active", "nobody has approved yet");

    host.approve("restart[0]");
    host.answer("bug", "done");
    host.wait_for_end();
    assert_eq!(host.units.property(&unit("coupon"), "ActiveState"), "active");
    assert!(host.messages().pop().unwrap().contains(TRACE));
}

#[test]
fn the_newest_exception_is_followed_when_the_alert_names_no_trace() {
    let crash = json!({"traceId": TRACE, "err": {"type": "TypeError"}});
    let journal = vec![Entry::pino(&unit("coupon"), 60, "unhandled exception", crash).ago(30)];
    let host = Host::new(Facts { journal, ..Facts::default() });
    host.alert("unhandled_exception", "firing", 1.0, json!({}));
    host.answer("bug", "done");
    host.wait_for_end();
    assert_eq!(host.outcome("verdict")["output"]["trace"], TRACE, "{}", host.outcome("exceptions"));
    assert_eq!(host.outcome("request")["output"]["matched"], 1);
    assert!(!host.has_started("restart"), "everything runs");
}

/// A metrics page with two histograms that grow with every request: mostly slow answers, and queries.
fn slow_page(before: usize) -> String {
    let count = 100 * (before + 1);
    let slow = count / 10;
    let histogram = |name: &str| {
        format!(
            "# TYPE {name} histogram\n{name}_bucket{{le=\"0.1\"}} {slow}\n{name}_bucket{{le=\"1\"}} {count}\n\
             {name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {count}\n{name}_count {count}\n"
        )
    };
    histogram("http_request_duration_seconds") + &histogram("db_query_duration")
}

#[test]
fn sessions_that_block_the_database_of_a_slow_service_are_ended() {
    let postgres = Postgres::with(&[("max_connections", "50")]);
    let redis = Redis::start();
    redis.cli(&["SET", "session:1", "x"]);
    postgres.sql("create role shop login password 'word'");
    let mut blocker = postgres.idle_in_transaction_as("shop", "word", "pakashop-reports");
    let gateway = Site::serve(|asked| healthy(&asked.path).unwrap_or_else(|| (200, slow_page(asked.before))));
    let span = json!({"traceId": TRACE, "durationMs": 4210});
    let host = Host::new(Facts {
        secrets: vec![format!("DATABASE_URL={}", postgres.url()), format!("REDIS_URL={}", redis.url())],
        edits: vec![("postgres_leak: 5m", "postgres_leak: 1s".to_owned())],
        answers: vec![("gateway", gateway.port())],
        journal: vec![Entry::pino(&unit("backend"), 40, "slow span checkout.complete", span).ago(60)],
    });
    host.alert("api_p95_latency", "firing", 950.0, json!({"service": "gateway"}));
    host.waits_for("blockers");
    let verdict = host.outcome("verdict")["output"].clone();
    assert!(verdict["milliseconds"].as_f64().unwrap() > 500.0, "{verdict}");
    assert!(verdict["queries"].as_f64().unwrap() > 500.0, "{verdict}");
    assert_eq!(host.outcome("spans")["output"]["matched"], 1);
    assert!(host.outcome("redis")["summary"].as_str().unwrap().contains("memory"));
    let count = "select count(*) from pg_stat_activity where application_name = 'pakashop-reports'";
    assert_eq!(postgres.sql(count), "1", "nobody has approved yet");

    host.approve("blockers");
    host.answer("tune", "done");
    host.wait_for_end();
    assert!(blocker.is_over_soon());
    let last = host.messages().pop().unwrap();
    assert!(last.contains("Waits for: the database"), "{last}");
}

/// A metrics page with slow answers and fast queries.
fn page_of_a_slow_service(before: usize) -> String {
    let count = 100 * (before + 1);
    let quick = format!(
        "# TYPE db_query_duration histogram\ndb_query_duration_bucket{{le=\"0.1\"}} {count}\n\
         db_query_duration_bucket{{le=\"+Inf\"}} {count}\ndb_query_duration_sum {count}\ndb_query_duration_count {count}\n"
    );
    let slow = slow_page(before);
    let answers = slow.split("# TYPE db_query_duration").next().expect("it begins with answers");
    answers.to_owned() + &quick
}

/// A host on which the gateway answers slowly, and neither its database nor its Redis is the cause.
fn slow_gateway(postgres: &Postgres, redis: &Redis) -> (Host, Site) {
    let gateway =
        Site::serve(|asked| healthy(&asked.path).unwrap_or_else(|| (200, page_of_a_slow_service(asked.before))));
    let host = Host::new(Facts {
        secrets: vec![format!("DATABASE_URL={}", postgres.url()), format!("REDIS_URL={}", redis.url())],
        answers: vec![("gateway", gateway.port())],
        ..Facts::default()
    });
    (host, gateway)
}

#[test]
fn a_service_that_is_slow_after_a_merge_is_repaired_by_its_revert() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let (host, _gateway) = slow_gateway(&postgres, &redis);
    let merge = host.repository.remote_head("production");
    host.alert("api_p95_latency", "firing", 950.0, json!({"service": "gateway"}));
    host.waits_for("rollback");
    let verdict = host.outcome("verdict")["output"].clone();
    assert!(verdict["milliseconds"].as_f64().unwrap() > 500.0, "{verdict}");
    assert!(verdict["queries"].as_f64().unwrap() < 250.0, "{verdict}");
    assert_eq!(host.repository.remote_head("production"), merge, "nobody has approved yet");

    host.approve("rollback");
    host.wait_for_end();
    let log = host.repository.remote_log("production");
    assert!(log[0].starts_with("Revert"), "{log:?}");
    assert!(!host.has_started("restart") && !host.has_started("blockers"), "other causes lead to no change");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("Waits for: a deployment") && last.contains("Rollback: succeeded"), "{last}");
}

#[test]
fn a_service_that_is_slow_by_itself_is_restarted() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let (host, _gateway) = slow_gateway(&postgres, &redis);
    host.repository.age();
    let (before, old) =
        (host.units.property(&unit("gateway"), "InvocationID"), host.repository.remote_head("production"));
    host.alert("api_p95_latency", "firing", 950.0, json!({"service": "gateway"}));
    host.waits_for("restart");
    assert_eq!(host.units.property(&unit("gateway"), "InvocationID"), before, "nobody has approved yet");

    host.approve("restart");
    host.wait_for_end();
    assert_ne!(host.units.property(&unit("gateway"), "InvocationID"), before);
    assert_eq!(host.repository.remote_head("production"), old, "nothing is reverted");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("Waits for: the service itself"), "{last}");
}

#[test]
fn a_backlog_of_reviews_starts_another_worker() {
    let fraud = Site::serve(|asked| {
        let page = "fraud_queue_backlog{queue=\"manual\"} 90\nfraud_queue_backlog{queue=\"rules\"} 60\n";
        let other = if asked.path == "/rules" { r#"{"hold_above":2000}"# } else { page };
        healthy(&asked.path).unwrap_or_else(|| (200, other.to_owned()))
    });
    let judged =
        |decision: &str| Entry::pino(&unit("fraud"), 30, "fraud.evaluate", json!({"decision": decision})).ago(30);
    let worker = "pakashop-fraud-worker@2.service";
    let host = Host::new(Facts {
        edits: vec![
            ("fraud_workers: []", "fraud_workers: [fraud_worker_2]".to_owned()),
            ("fraud_rules: \"\"", format!("fraud_rules: {}/rules", fraud.url())),
            ("\nservices:\n", format!("\nservices:\n  fraud_worker_2: {{ unit: {worker} }}\n")),
        ],
        answers: vec![("fraud", fraud.port())],
        journal: vec![judged("accept"), judged("declined")],
        ..Facts::default()
    });
    host.units.write_unit("pakashop-fraud-worker@.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    host.units.systemctl(&["daemon-reload"]);
    host.alert("fraud_queue_backlog", "firing", 150.0, json!({"service": "fraud"}));
    host.waits_for("scale[0]");
    assert_eq!(host.outcome("queue")["output"]["value"].as_f64(), Some(150.0));
    assert_eq!(host.outcome("verdict")["output"]["declined"].as_f64(), Some(50.0));
    assert_eq!(host.units.property(worker, "ActiveState"), "inactive", "nobody has approved yet");

    host.approve("scale[0]");
    host.answer("thresholds", "done");
    host.wait_for_end();
    assert_eq!(host.units.property(worker, "ActiveState"), "active");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("150") && last.contains("50"), "{last}");
}
