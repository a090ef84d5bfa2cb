//! Redis, PostgreSQL and Meilisearch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::host::{Facts, Host};
use super::site::Site;
use crate::real::eventually;
use crate::real::pgbouncer::PgBouncer;
use crate::real::postgres::{Postgres, Session};
use crate::real::redis::Redis;
use crate::real::units::unit;

/// Fills Redis with carts that never expire and have been idle for days, and with sessions in use.
const FILL: &str = "local dump = redis.call('SET', 'seed', string.rep('x', 500)) and redis.call('DUMP', 'seed') \
    for number = 1, 20000 do redis.call('RESTORE', 'cart:' .. number, 0, dump, 'IDLETIME', 200000) end \
    for number = 1, 50 do redis.call('SET', 'session:' .. number, 'x') end return 1";

fn full_redis() -> Redis {
    let redis = Redis::with(None, &[("maxmemory", "14mb"), ("maxmemory-policy", "allkeys-lru")]);
    redis.eval(FILL);
    redis
}

fn with_redis(redis: &Redis) -> Facts {
    Facts { secrets: vec![format!("REDIS_URL={}", redis.url())], ..Facts::default() }
}

#[test]
fn a_full_redis_loses_its_stale_keys_after_somebody_has_agreed() {
    let redis = full_redis();
    let host = Host::new(with_redis(&redis));
    host.alert("redis_memory", "firing", 91.5, json!({}));
    host.waits_for("flush");
    let before = host.outcome("memory");
    assert!(before["output"]["percent"].as_f64().unwrap() > 80.0, "{before}");
    assert_eq!(host.outcome("preview")["output"]["matched"], 10_000, "no more than the step says");
    assert_eq!(redis.cli(&["DBSIZE"]), "20051", "nobody has approved yet");
    assert_eq!(host.messages().len(), 1, "the notice needs no approval");
    assert!(host.messages()[0].contains("91.5"), "{:?}", host.messages());

    host.approve("flush");
    host.wait_for_end();
    assert_eq!(redis.cli(&["DBSIZE"]), "10051");
    assert_eq!(redis.cli(&["EXISTS", "session:1", "session:50"]), "2", "keys in use are not deleted");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("the alert is confirmed") && last.contains("deleted 10,000 keys"), "{last}");
}

#[test]
fn an_unconfirmed_alert_changes_nothing_and_asks_nobody() {
    let redis = Redis::with(None, &[("maxmemory", "100mb")]);
    redis.cli(&["SET", "session:1", "x"]);
    let host = Host::new(with_redis(&redis));
    host.alert("redis_memory", "firing", 91.5, json!({}));
    host.wait_for_end();
    assert!(!host.has_asked());
    assert_eq!(redis.cli(&["DBSIZE"]), "1");
    let messages = host.messages();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[1].contains("the alert is not confirmed"), "{}", messages[1]);
    assert!(messages[1].contains("% of 100 MiB"), "the measured value is in the message: {}", messages[1]);
}

#[test]
fn an_alert_that_is_resolved_leaves_the_change_undone() {
    let redis = full_redis();
    let host = Host::new(with_redis(&redis));
    host.alert("redis_memory", "firing", 91.5, json!({}));
    host.waits_for("flush");
    host.alert("redis_memory", "resolved", 40.0, json!({}));
    host.wait_for_end();
    assert!(!host.has_started("flush"));
    assert_eq!(redis.cli(&["DBSIZE"]), "20051");
}

/// A server whose connections the backend has nearly used up with sessions that idle in a transaction.
fn leaking() -> (Postgres, Vec<Session>) {
    let postgres = Postgres::with(&[("max_connections", "20"), ("superuser_reserved_connections", "2")]);
    // Sessions of superusers are not ended, so the backend has its own role.
    postgres.sql("create role shop login password 'word'");
    let leak = || postgres.idle_in_transaction_as("shop", "word", "pakashop-backend");
    let leaks = std::iter::repeat_with(leak).take(15).collect();
    postgres.wait_until_idle("pakashop-backend", 15, Duration::from_secs(1));
    (postgres, leaks)
}

fn with_postgres(postgres: &Postgres) -> Facts {
    Facts {
        secrets: vec![format!("DATABASE_URL={}", postgres.url())],
        edits: vec![("postgres_leak: 5m", "postgres_leak: 1s".to_owned())],
        ..Facts::default()
    }
}

#[test]
fn a_change_that_the_estate_allows_on_staging_needs_no_approval() {
    let (postgres, mut leaks) = leaking();
    let _used = postgres.session("pakashop-search", "select 1");
    let host = Host::new(with_postgres(&postgres));
    let before = host.units.property(&unit("backend"), "InvocationID");
    host.alert("postgres_connections", "firing", 85.0, json!({"env": "staging"}));
    host.wait_for_end();
    assert!(leaks.iter_mut().all(|leak| leak.is_over_soon()), "the sessions are ended");
    assert!(!host.has_asked(), "no approval was needed");
    assert_ne!(host.units.property(&unit("backend"), "InvocationID"), before);
}

#[test]
fn leaked_connections_are_ended_and_their_service_is_restarted() {
    let (postgres, mut leaks) = leaking();
    let _used = postgres.session("pakashop-search", "select 1");
    let host = Host::new(with_postgres(&postgres));
    let (before, bystander) =
        (host.units.property(&unit("backend"), "InvocationID"), host.units.property(&unit("search"), "InvocationID"));
    host.alert("postgres_connections", "firing", 85.0, json!({}));
    host.waits_for("terminate");
    let usage = host.outcome("usage")["output"].clone();
    assert!(usage["percent"].as_f64().unwrap() > 80.0, "{usage}");
    assert_eq!(usage["applications"]["pakashop-backend"], 15);
    let count = "select count(*) from pg_stat_activity where application_name = 'pakashop-backend'";
    assert_eq!(postgres.sql(count), "15", "nobody has approved yet");

    host.approve("terminate");
    host.approve("restart");
    host.wait_for_end();
    assert!(leaks.iter_mut().all(|leak| leak.is_over_soon()), "the sessions are ended");
    assert_ne!(host.units.property(&unit("backend"), "InvocationID"), before);
    assert_eq!(host.units.property(&unit("search"), "InvocationID"), bystander, "no other service is restarted");
    assert!(!host.has_started("pooling"), "no further step is needed");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("Leaking: pakashop-backend"), "{last}");
}

#[test]
fn connections_that_are_all_in_use_lead_to_a_pooling_check_of_pgbouncer() {
    let postgres = Postgres::with(&[("max_connections", "20"), ("superuser_reserved_connections", "2")]);
    let pooler = PgBouncer::before(&postgres);
    let _used: Vec<Session> = (0..16).map(|_| postgres.session("pakashop-search", "select 1")).collect();
    let count = "select count(*) from pg_stat_activity where application_name = 'pakashop-search'";
    eventually("the sessions are there", || postgres.sql(count) == "16");
    let facts = with_postgres(&postgres);
    let port = format!("pgbouncer_port: {}", pooler.port());
    let edits = facts.edits.into_iter().chain([("pgbouncer_port: 0", port)]).collect();
    let host = Host::new(Facts { edits, ..facts });
    host.alert("postgres_connections", "firing", 85.0, json!({}));
    host.waits_for("pooling");
    assert!(!host.has_started("terminate") && !host.has_started("restart"), "no service leaks, and all are healthy");
    let answer = host.outcome("pgbouncer");
    assert_eq!(answer["verdict"], "succeeded", "{answer}");
    assert!(answer["summary"].as_str().unwrap().contains("accepting connections"), "{answer}");
    assert_eq!(host.outcome("after")["verdict"], "failed");
    host.answer("pooling", "done");
    host.wait_for_end();
    assert_eq!(postgres.sql(count), "16", "sessions in use are not ended");
}

#[test]
fn a_meilisearch_that_lags_is_restarted() {
    let oldest = Utc::now() - TimeDelta::seconds(300);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let site = Site::serve(move |request| {
        if request.path == "/health" {
            return (200, r#"{"status":"available"}"#.to_owned());
        }
        if request.authorization != "Bearer meili-master" {
            return (401, r#"{"code":"missing_authorization_header"}"#.to_owned());
        }
        count.fetch_add(1, Ordering::Relaxed);
        let task = json!({"uid": 7, "status": "enqueued", "type": "documentAdditionOrUpdate", "enqueuedAt": oldest});
        let total = if request.path.contains("failed") { 2 } else { 41 };
        (200, json!({"results": [task], "total": total, "limit": 1, "from": 7, "next": null}).to_string())
    });
    let host = Host::new(Facts {
        secrets: vec!["MEILISEARCH_API_KEY=meili-master".to_owned()],
        edits: vec![("port: 7700", format!("port: {}", site.port()))],
        ..Facts::default()
    });
    let before = host.units.property("meilisearch.service", "InvocationID");
    host.alert("meilisearch_index_lag", "firing", 300.0, json!({}));
    host.waits_for("restart");
    let age = host.outcome("age")["output"]["json"].as_i64().unwrap();
    assert!((300..600).contains(&age), "{age}");
    assert_eq!(host.units.property("meilisearch.service", "InvocationID"), before, "nobody has approved yet");
    host.approve("restart");
    host.wait_for_end();
    assert_ne!(host.units.property("meilisearch.service", "InvocationID"), before);
    assert!(asked.load(Ordering::Relaxed) >= 3, "the queue is read before and after");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("41 tasks wait") && last.contains("2 have failed"), "{last}");
}
