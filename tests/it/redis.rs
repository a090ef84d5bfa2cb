//! The kind `redis` with real servers.

use runbook::actions::Reconciled;
use runbook::domain::incident::outcome::Outcome;
use serde_json::{Value, json};

use crate::kind_harness::KindHarness;
use crate::real::redis::Redis;

const PASSWORD: &str = "correct-horse-battery";

fn harness(redis: &Redis) -> KindHarness {
    KindHarness::with_datastores(json!({ "cache": { "kind": "redis", "port": redis.port() } }))
}

fn error_code(outcome: &Outcome) -> &Value {
    &outcome.output["trouble"]["kind"]
}

/// A thousand carts that never expire, ten sessions that do, and one large key.
fn fill(redis: &Redis) {
    redis.eval(
        "for i = 1, 1000 do redis.call('SET', 'cart:' .. i, string.rep('x', 100)) end \
         for i = 1, 10 do redis.call('SET', 'session:0123456789abcdef' .. i, i, 'EX', 600) end \
         redis.call('SET', 'report', string.rep('x', 100000))",
    );
}

#[tokio::test]
async fn a_datastore_is_found_by_name_by_secret_and_as_the_only_one() {
    let redis = Redis::with_password(PASSWORD);
    let url = redis.url();
    let stores = json!({ "cache": { "kind": "redis", "url": { "secret": "redis_url" } } });
    let harness =
        KindHarness::with_datastores(stores).with_secrets(&[("redis_url", &url), ("other", "redis://127.0.0.1:1/")]);
    for spec in [json!({}), json!({ "datastore": "cache" }), json!({ "url": { "secret": "redis_url" } })] {
        let mut spec = spec;
        spec["ping"] = json!(true);
        let outcome = harness.perform("redis", spec).await;
        assert!(outcome.is_success() && outcome.summary.starts_with("PONG in "), "{outcome:?}");
    }
    let refused = harness.perform("redis", json!({ "ping": true, "url": { "secret": "other" } })).await;
    assert_eq!(
        (error_code(&refused), refused.summary.as_str()),
        (&json!("refused"), "127.0.0.1:1: the connection was refused: nothing listens there")
    );
}

#[tokio::test]
async fn a_wrong_password_is_not_in_the_error() {
    let redis = Redis::with_password(PASSWORD);
    let wrong = format!("redis://:{}@127.0.0.1:{}/", "hunter2-wrong", redis.port());
    let harness = harness(&redis).with_secrets(&[("wrong", &wrong)]);
    for spec in [json!({ "ping": true, "url": { "secret": "wrong" } }), json!({ "ping": true })] {
        let outcome = harness.perform("redis", spec).await;
        assert_eq!(error_code(&outcome), "access", "{outcome:?}");
        assert!(!json!(outcome).to_string().contains("hunter2"), "{outcome:?}");
    }
    let plain = harness.perform("redis", json!({ "ping": true, "url": wrong })).await;
    assert_eq!(error_code(&plain), "address");
    assert!(!json!(plain).to_string().contains("hunter2"), "{plain:?}");
}

#[tokio::test]
async fn memory_is_compared_with_its_limit_and_lookups_are_counted() {
    let redis = Redis::with(None, &[("maxmemory", "8mb"), ("maxmemory-policy", "allkeys-lru")]);
    fill(&redis);
    redis.cli(&["MGET", "cart:1", "cart:2", "cart:3", "nothing"]);
    let harness = harness(&redis);
    let outcome = harness.perform("redis", json!({ "memory": true, "below": 90 })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let percent = outcome.output["percent"].as_f64().unwrap();
    assert!(percent > 1.0 && percent < 90.0, "{outcome:?}");
    assert_eq!((&outcome.output["max"], &outcome.output["policy"]), (&json!(8 << 20), &json!("allkeys-lru")));
    assert_eq!((&outcome.output["keys"], &outcome.output["hit_rate"]), (&json!(1011), &json!(75.0)));
    assert_eq!(outcome.summary, format!("memory {percent} % of 8 MiB (policy allkeys-lru), hit rate 75 %"));
    let full = harness.perform("redis", json!({ "memory": true, "below": 1 })).await;
    assert_eq!(error_code(&full), "memory");
    assert!(full.summary.ends_with("; not below 1 %"), "{}", full.summary);
    let now = harness.perform("redis", json!({ "memory": true, "over": "50ms" })).await;
    assert_eq!(now.output["hit_rate"], Value::Null, "no lookups in the interval");
}

#[tokio::test]
async fn evictions_are_reported() {
    let redis = Redis::with(None, &[("maxmemory", "2mb"), ("maxmemory-policy", "allkeys-lru")]);
    redis.eval("for i = 1, 20000 do redis.call('SET', 'k:' .. i, string.rep('x', 200)) end");
    let outcome = harness(&redis).perform("redis", json!({ "memory": true })).await;
    assert!(outcome.output["evicted"].as_u64().unwrap() > 0, "{outcome:?}");
    assert!(outcome.summary.ends_with(" keys evicted"), "{}", outcome.summary);
}

#[tokio::test]
async fn keys_without_ttl_large_ones_and_their_prefixes_are_found() {
    let redis = Redis::start();
    fill(&redis);
    let harness = harness(&redis);
    let outcome = harness.perform("redis", json!({ "keys": "*" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let output = &outcome.output;
    assert_eq!((&output["keys"], &output["sampled"], &output["partial"]), (&json!(1011), &json!(1011), &json!(false)));
    assert_eq!(output["without_ttl"]["count"], 1001);
    assert_eq!(output["idle"]["count"], 0, "nothing is a day old");
    assert_eq!(output["largest"][0]["name"], "report");
    assert!(output["largest"][0]["bytes"].as_u64().unwrap() > 100_000);
    let prefixes: Vec<&str> =
        output["prefixes"].as_array().unwrap().iter().map(|group| group["prefix"].as_str().unwrap()).collect();
    assert_eq!(prefixes, ["cart:", "(none)", "session:"]);
    assert!(!json!(outcome).to_string().contains("0123456789abcdef"), "key names are shortened");

    let sample = harness.perform("redis", json!({ "keys": "cart:*", "sample": 100, "idle_over": "0s" })).await;
    assert_eq!((&sample.output["sampled"], &sample.output["partial"]), (&json!(100), &json!(true)));
    assert_eq!(sample.output["idle"]["count"], 100);
    assert!(sample.summary.contains("a sample"), "{}", sample.summary);
    assert_eq!(harness.perform("redis", json!({ "keys": "nothing:*" })).await.output["sampled"], 0);
}

#[tokio::test]
async fn a_delete_removes_the_keys_of_the_preview() {
    let redis = Redis::start();
    fill(&redis);
    let harness = harness(&redis);
    let preview = harness.perform("redis", json!({ "preview": "cart:*" })).await;
    assert_eq!((&preview.output["matched"], redis.cli(&["DBSIZE"]).as_str()), (&json!(1000), "1011"));
    assert_eq!(preview.output["names"].as_array().unwrap().len(), 20);
    let some = harness.perform("redis", json!({ "delete": "cart:*", "limit": 300 })).await;
    assert!(some.is_success(), "{some:?}");
    assert_eq!((&some.output["deleted"], &some.output["partial"]), (&json!(300), &json!(true)));
    assert_eq!(redis.cli(&["DBSIZE"]), "711");
    let rest = harness.perform("redis", json!({ "delete": "cart:*" })).await;
    assert_eq!((rest.summary.as_str(), redis.cli(&["DBSIZE"]).as_str()), ("deleted 700 keys `cart:*`", "11"));
    assert_eq!(harness.perform("redis", json!({ "delete": "cart:*" })).await.output["deleted"], 0);
}

#[tokio::test]
async fn only_keys_that_match_the_filters_are_deleted() {
    let redis = Redis::start();
    fill(&redis);
    let harness = harness(&redis);
    let idle = harness.perform("redis", json!({ "delete": "*", "everything": true, "idle_over": "1h" })).await;
    assert_eq!((&idle.output["deleted"], redis.cli(&["DBSIZE"]).as_str()), (&json!(0), "1011"));
    let lasting = json!({ "delete": "*", "everything": true, "without_ttl": true });
    assert_eq!(harness.perform("redis", lasting).await.output["deleted"], 1001);
    assert_eq!(redis.cli(&["DBSIZE"]), "10", "the sessions are left");
    let refused = harness.perform("redis", json!({ "delete": "*" })).await;
    assert_eq!((error_code(&refused), redis.cli(&["DBSIZE"]).as_str()), (&json!("everything"), "10"));
}

#[tokio::test]
async fn nothing_is_deleted_when_redis_has_no_idle_times() {
    let redis = Redis::with(None, &[("maxmemory", "50mb"), ("maxmemory-policy", "allkeys-lfu")]);
    fill(&redis);
    let harness = harness(&redis);
    let refused = harness.perform("redis", json!({ "delete": "cart:*", "idle_over": "0s" })).await;
    assert_eq!((error_code(&refused), redis.cli(&["DBSIZE"]).as_str()), (&json!("idle_unknown"), "1011"));
    assert_eq!(harness.perform("redis", json!({ "keys": "*" })).await.output["idle"], Value::Null);
}

#[tokio::test]
async fn an_interrupted_deletion_has_happened_when_no_key_is_left() {
    let redis = Redis::start();
    fill(&redis);
    let harness = harness(&redis);
    let spec = json!({ "delete": "cart:*" });
    let cut = harness.reconcile("redis", spec.clone(), &Value::Null).await;
    assert_eq!(cut, Reconciled::CannotTell("1,000 keys `cart:*` would be deleted now".to_owned()));
    harness.perform("redis", spec.clone()).await;
    let done = harness.reconcile("redis", spec, &Value::Null).await;
    assert!(matches!(done, Reconciled::Happened(outcome) if outcome.is_success()));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_timeout() {
    let redis = Redis::start();
    let harness = harness(&redis);
    redis.freeze();
    let outcome = harness.perform("redis", json!({ "ping": true, "timeout": "300ms" })).await;
    assert_eq!(error_code(&outcome), "timeout", "{outcome:?}");
    let stopped = harness.perform("redis", json!({ "ping": true }));
    let (stopped, ()) = tokio::join!(stopped, async { harness.context.cancel.cancel() });
    assert_eq!(error_code(&stopped), "cancelled", "{stopped:?}");
}

#[tokio::test]
async fn a_command_that_the_role_may_not_run_is_an_access_error() {
    let redis = Redis::start();
    redis.cli(&["ACL", "SETUSER", "watcher", "on", ">watching-only", "~*", "+ping", "+scan", "+info", "+dbsize"]);
    let url = format!("redis://watcher:watching-only@127.0.0.1:{}/", redis.port());
    let harness = harness(&redis).with_secrets(&[("url", &url)]);
    assert!(harness.perform("redis", json!({ "memory": true, "url": { "secret": "url" } })).await.is_success());
    redis.cli(&["SET", "a:1", "1"]);
    let denied = harness.perform("redis", json!({ "delete": "a:*", "url": { "secret": "url" } })).await;
    assert_eq!(error_code(&denied), "access", "{denied:?}");
    assert_eq!(redis.cli(&["EXISTS", "a:1"]), "1");
}

#[tokio::test]
async fn an_untrusted_certificate_is_a_tls_error() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
        directory.path().join(name).display().to_string()
    };
    let (certificate, private) = (file("cert.pem", &key.cert.pem()), file("key.pem", &key.signing_key.serialize_pem()));
    let port = crate::real::daemon::free_port();
    let tls_port = port.to_string();
    let _redis = Redis::with(
        None,
        &[
            ("tls-port", &tls_port),
            ("tls-cert-file", &certificate),
            ("tls-key-file", &private),
            ("tls-ca-cert-file", &certificate),
            ("tls-auth-clients", "no"),
        ],
    );
    let url = format!("rediss://127.0.0.1:{port}/");
    let harness = KindHarness::with_datastores(json!({})).with_secrets(&[("url", &url)]);
    let outcome = harness.perform("redis", json!({ "ping": true, "url": { "secret": "url" } })).await;
    assert_eq!(error_code(&outcome), "tls", "{outcome:?}");
}
