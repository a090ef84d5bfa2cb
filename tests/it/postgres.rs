//! The kind `postgres` with a real server.

use std::time::Duration;

use runbook::actions::Reconciled;
use runbook::domain::incident::outcome::Outcome;
use serde_json::{Value, json};

use crate::kind_harness::KindHarness;
use crate::real::eventually;
use crate::real::postgres::{PASSWORD, Postgres};

fn harness(postgres: &Postgres) -> KindHarness {
    let url = postgres.url();
    KindHarness::with_datastores(json!({ "main": { "kind": "postgres", "url": { "secret": "database_url" } } }))
        .with_secrets(&[("database_url", &url)])
}

fn error_code(outcome: &Outcome) -> &Value {
    &outcome.output["trouble"]["kind"]
}

/// Creates a role that may only log in; returns its URL.
fn role(postgres: &Postgres, name: &str) -> String {
    postgres.sql(&format!("create role {name} login password 'only-{name}'"));
    postgres.url_of(name, &format!("only-{name}"))
}

#[tokio::test]
async fn connections_are_counted_against_their_limit_and_the_longest_are_named() {
    let postgres = Postgres::with(&[("max_connections", "20")]);
    let harness = harness(&postgres);
    let _leak = postgres.idle_in_transaction("leaky-backend", "select 'Ada Lovelace' as customer");
    let _busy = postgres.session("reports", "select pg_sleep(600);");
    let running = "select count(*) from pg_stat_activity where application_name = 'reports' and state = 'active'";
    eventually("the report runs", || postgres.sql(running) == "1");
    let outcome = harness.perform("postgres", json!({ "connections": true, "below": 80 })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let output = &outcome.output;
    assert_eq!((&output["used"], &output["max"], &output["percent"]), (&json!(3), &json!(20), &json!(15.0)));
    assert_eq!(output["states"], json!({ "active": 2, "idle in transaction": 1 }));
    assert_eq!(output["applications"]["leaky-backend"], 1);
    assert_eq!((&output["users"]["postgres"], &output["databases"]["postgres"]), (&json!(3), &json!(3)));
    let idle = &output["idle_in_transaction"][0];
    assert_eq!((&idle["application"], &idle["query"]), (&json!("leaky-backend"), &json!("select '…' as customer;")));
    assert_eq!(output["running"][0]["query"], "select pg_sleep(600);");
    assert!(outcome.summary.starts_with("3 of 20 connections (15 %)"), "{}", outcome.summary);
    let full = harness.perform("postgres", json!({ "connections": true, "below": 10 })).await;
    assert_eq!(error_code(&full), "threshold");
    assert!(full.summary.ends_with("; not below 10 %"), "{}", full.summary);

    let url = role(&postgres, "watcher");
    let harness = harness.with_secrets(&[("watcher", &url)]);
    let seen = harness.perform("postgres", json!({ "connections": true, "url": { "secret": "watcher" } })).await;
    assert_eq!((&seen.output["used"], &seen.output["hidden"]), (&json!(3), &json!(2)), "{seen:?}");
}

#[tokio::test]
async fn sessions_idle_in_a_transaction_are_ended_and_others_are_not() {
    let postgres = Postgres::start();
    role(&postgres, "shop");
    let harness = harness(&postgres);
    let idle_session = |application: &str| postgres.idle_in_transaction_as("shop", "only-shop", application);
    let (mut leak, mut other) = (idle_session("backend"), idle_session("reports"));
    let mut superuser = postgres.idle_in_transaction("admin", "select 1");
    let none = harness.perform("postgres", json!({ "terminate": "1h" })).await;
    assert_eq!(none.summary, "no session was ended", "{none:?}");
    for application in ["backend", "reports", "admin"] {
        postgres.wait_until_idle(application, 1, Duration::from_millis(50));
    }
    let spec = json!({ "terminate": "50ms", "application": "backend" });
    let before = harness.observe("postgres", spec.clone()).await;
    assert_eq!(before.as_array().unwrap().len(), 1, "{before}");
    let untouched = harness.reconcile("postgres", spec.clone(), &before).await;
    assert_eq!(untouched, Reconciled::DidNotHappen("none of the 1 sessions has ended".to_owned()));
    let outcome = harness.perform("postgres", spec.clone()).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!((&outcome.output["ended"][0]["application"], &outcome.output["left"]), (&json!("backend"), &json!([])));
    assert!(leak.is_over_soon() && !other.is_over() && !superuser.is_over());
    let done = harness.reconcile("postgres", spec, &before).await;
    assert!(matches!(done, Reconciled::Happened(outcome) if outcome.is_success()));
    let rest = harness.perform("postgres", json!({ "terminate": "50ms" })).await;
    assert_eq!(rest.output["ended"].as_array().unwrap().len(), 1, "sessions of superusers are not ended: {rest:?}");
    assert!(other.is_over_soon() && !superuser.is_over());
    // `is_over` has just run a statement in it.
    postgres.wait_until_idle("admin", 1, Duration::from_millis(50));
    let asked = harness.perform("postgres", json!({ "terminate": "50ms", "superusers": true })).await;
    assert_eq!(asked.output["ended"][0]["application"], "admin", "{asked:?}");
}

#[tokio::test]
async fn a_session_that_may_not_be_ended_is_reported() {
    let postgres = Postgres::start();
    role(&postgres, "shop");
    let url = role(&postgres, "weak");
    postgres.sql("grant pg_read_all_stats to weak");
    let harness = harness(&postgres).with_secrets(&[("weak", &url)]);
    let mut session = postgres.idle_in_transaction_as("shop", "only-shop", "backend");
    postgres.wait_until_idle("backend", 1, Duration::from_millis(10));
    let outcome = harness.perform("postgres", json!({ "terminate": "10ms", "url": { "secret": "weak" } })).await;
    assert_eq!(error_code(&outcome), "left", "{outcome:?}");
    assert!(outcome.summary.contains("not allowed"), "{}", outcome.summary);
    assert!(!session.is_over());
}

#[tokio::test]
async fn values_of_every_common_type_become_json() {
    let postgres = Postgres::start();
    let harness = harness(&postgres);
    let sql = "select 1::int2 a, 2::int8 b, 1.50::numeric c, 12345678901234567890.123::numeric d, 'x'::text e, true f, \
               null::int g, '2026-01-02 03:04:05.5+02'::timestamptz h, '{\"k\": [1]}'::jsonb i, array[1, null, 3] j, \
               array['a']::text[] k, '2 days 03:00'::interval l, '10.0.0.1'::inet m, 'nan'::float8 n, \
               '550e8400-e29b-41d4-a716-446655440000'::uuid o, date '2026-01-02' p, '\\x00ff'::bytea q, \
               array[1.5, 2]::numeric[] r, name 'n' s, 1::oid t, '192.168.0.0/16'::cidr u";
    let outcome = harness.perform("postgres", json!({ "query": sql })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let expected = json!({
        "a": 1, "b": 2, "c": 1.5, "d": "12345678901234567890.123", "e": "x", "f": true, "g": null,
        "h": "2026-01-02T01:04:05.500Z", "i": { "k": [1] }, "j": [1, null, 3], "k": ["a"], "l": "2 days 03:00:00",
        "m": "10.0.0.1", "n": "NaN", "o": "550e8400-e29b-41d4-a716-446655440000", "p": "2026-01-02", "q": "\\x00ff",
        "r": [1.5, 2], "s": "n", "t": 1, "u": "192.168.0.0/16",
    });
    assert_eq!(outcome.output["rows"][0], expected);
    postgres.sql("create type mood as enum ('sad', 'ok'); create domain positive as int check (value > 0)");
    let own = harness
        .perform("postgres", json!({ "query": "select 'ok'::mood, 7::positive, array['sad']::mood[] as all" }))
        .await;
    assert_eq!(own.output["rows"][0], json!({ "mood": "ok", "positive": 7, "all": ["sad"] }), "{own:?}");
    let unknown = harness.perform("postgres", json!({ "query": "select point(1, 2) as place" })).await;
    assert_eq!(error_code(&unknown), "type", "{unknown:?}");
    assert!(unknown.summary.contains("place") || unknown.summary.contains("POINT"), "{}", unknown.summary);
    assert!(harness.perform("postgres", json!({ "query": "show max_connections" })).await.is_success());
}

#[tokio::test]
async fn values_are_bound_and_never_part_of_the_statement() {
    let postgres = Postgres::start();
    let harness = harness(&postgres);
    postgres.sql(
        "create table orders (id uuid primary key default gen_random_uuid(), state text, amount numeric, tags text[])",
    );
    postgres.sql(
        "insert into orders (state, amount, tags) select 'stuck', n, array['t' || n] from generate_series(1, 5) n",
    );
    let hostile = "stuck'; drop table orders; --";
    let spec = json!({ "query": "select count(*) from orders where state = $1", "params": [hostile] });
    let outcome = harness.perform("postgres", spec).await;
    assert_eq!((&outcome.output["value"], outcome.summary.as_str()), (&json!(0), "count = 0"), "{outcome:?}");
    let count = async |filter: &str, params: Value, below: f64| {
        let sql = format!("select count(*) from orders where {filter}");
        harness.perform("postgres", json!({ "query": sql, "params": params, "below": below })).await
    };
    assert!(count("state = $1", json!(["stuck"]), 6.0).await.is_success());
    assert_eq!(error_code(&count("state = $1", json!(["stuck"]), 5.0).await), "threshold");
    assert_eq!(count("amount > $1 and $2", json!([3, true]), 9.0).await.output["value"], 2);
    assert_eq!(count("tags && $1", json!([["t1", "t2"]]), 9.0).await.output["value"], 2);
    assert_eq!(count("amount = any($1::int8[])", json!([[1, 2]]), 9.0).await.output["value"], 2);
    assert_eq!(
        count("id = $1::text::uuid or $2::text is null", json!(["550e8400-e29b-41d4-a716-446655440000", null]), 9.0)
            .await
            .output["value"],
        5
    );
    assert_eq!(error_code(&count("state = $1", json!([]), 9.0).await), "sql");
    assert_eq!(error_code(&count("state = $1; drop table orders", json!(["a"]), 9.0).await), "sql");
    assert_eq!(postgres.sql("select count(*) from orders"), "5");
}

#[tokio::test]
async fn writing_statements_are_refused_by_the_server() {
    let postgres = Postgres::start();
    let harness = harness(&postgres);
    postgres.sql("create table t (a int); create sequence s");
    postgres.sql("create function sneaky() returns int language sql as 'insert into t values (1) returning a'");
    for sql in [
        "select sneaky()",
        "with w as (insert into t values (2) returning a) select * from w",
        "select nextval('s')",
        "explain analyze insert into t values (3)",
    ] {
        let outcome = harness.perform("postgres", json!({ "query": sql })).await;
        assert_eq!(error_code(&outcome), "read_only", "{sql}: {outcome:?}");
        assert!(outcome.summary.starts_with("it would write, and only reading is allowed here"), "{}", outcome.summary);
    }
    assert_eq!(postgres.sql("select count(*) from t"), "0");
}

#[tokio::test]
async fn a_large_result_is_truncated_and_a_slow_statement_is_stopped() {
    let postgres = Postgres::start();
    let harness = harness(&postgres);
    let many =
        harness.perform("postgres", json!({ "query": "select n from generate_series(1, 1000000) n", "rows": 3 })).await;
    assert_eq!((&many.output["count"], &many.output["truncated"]), (&json!(3), &json!(true)), "{}", many.summary);
    assert_eq!((&many.output["value"], many.summary.as_str()), (&json!(1), "3 or more rows"));
    let wide = harness
        .perform("postgres", json!({ "query": "select repeat('x', 100000) from generate_series(1, 100)" }))
        .await;
    assert!(wide.is_success() && wide.output["truncated"] == true, "{}", wide.summary);
    assert!(json!(wide).to_string().len() < 64 * 1024);
    assert_eq!(harness.perform("postgres", json!({ "query": "select 1 where false" })).await.summary, "no rows");
    let slow = harness.perform("postgres", json!({ "query": "select pg_sleep(600)", "timeout": "200ms" })).await;
    assert_eq!(error_code(&slow), "timeout", "{slow:?}");
    postgres.sql("create table held (a int)");
    let _holder = postgres.idle_in_transaction("holder", "lock table held in access exclusive mode");
    let locked = harness.perform("postgres", json!({ "query": "select * from held", "timeout": "5s" })).await;
    assert_eq!(error_code(&locked), "locked", "{locked:?}");
}

#[tokio::test]
async fn connection_errors_have_different_codes_and_no_password() {
    let postgres = Postgres::with(&[("max_connections", "5"), ("superuser_reserved_connections", "2")]);
    let url = role(&postgres, "shop");
    let wrong = postgres.url_of("shop", "hunter2-wrong");
    let tls = format!("{}?sslmode=require", postgres.url());
    let closed = "postgres://shop:hunter2-wrong@127.0.0.1:1/postgres";
    let missing = postgres.url().replace("/postgres", "/nowhere");
    let harness = harness(&postgres).with_secrets(&[
        ("right", &url),
        ("wrong", &wrong),
        ("tls", &tls),
        ("closed", closed),
        ("missing", &missing),
    ]);
    let ask = async |secret: &str| {
        let outcome = harness.perform("postgres", json!({ "query": "select 1", "url": { "secret": secret } })).await;
        let text = json!(outcome).to_string();
        assert!(!text.contains("hunter2") && !text.contains(PASSWORD), "{text}");
        error_code(&outcome).as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(ask("right").await, "");
    assert_eq!(ask("wrong").await, "access");
    assert_eq!(ask("tls").await, "tls");
    assert_eq!(ask("closed").await, "refused");
    assert_eq!(ask("missing").await, "access");
    let _held: Vec<_> = (0..3).map(|_| postgres.session("held", "")).collect();
    eventually("all connections are taken", || {
        postgres.sql("select count(*) from pg_stat_activity where application_name = 'held'") == "3"
    });
    assert_eq!(ask("right").await, "full");
}

#[tokio::test]
async fn an_encrypted_connection_is_verified_with_the_authority_in_its_url() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let settings = [("ssl", "on"), ("ssl_cert_file", "../cert.pem"), ("ssl_key_file", "../key.pem")];
    let postgres = Postgres::prepared(&settings, |directory| {
        std::fs::write(directory.join("cert.pem"), key.cert.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(directory.join("key.pem"), owner_only).unwrap();
    });
    let authority = postgres.directory().join("cert.pem");
    let trusted = format!("{}?sslmode=verify-full&sslrootcert={}", postgres.url(), authority.display());
    let untrusted = format!("{}?sslmode=verify-full", postgres.url());
    let harness = harness(&postgres).with_secrets(&[("trusted", &trusted), ("untrusted", &untrusted)]);
    let sql = "select version from pg_stat_ssl where pid = pg_backend_pid()";
    let ask =
        async |secret: &str| harness.perform("postgres", json!({ "query": sql, "url": { "secret": secret } })).await;
    assert_eq!(ask("trusted").await.output["value"], "TLSv1.3");
    assert_eq!(error_code(&ask("untrusted").await), "tls");
}
