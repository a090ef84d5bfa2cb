//! Addresses and disks of a remote host.
//!
//! The SSH server forwards connections to the addresses of the test only, so a connection that arrives was forwarded.

use runbook::domain::incident::outcome::Outcome;
use serde_json::{Value, json};

use super::on;
use crate::kind_harness::KindHarness;
use crate::real::daemon::get;
use crate::real::journal::{Entry, Journal};
use crate::real::nginx::{Nginx, Site};
use crate::real::postgres::Postgres;
use crate::real::redis::Redis;
use crate::real::repository::Repository;
use crate::real::sshd::Sshd;

/// A server that forwards connections to these ports of its loopback only.
fn forwarding(ports: &[u16]) -> Sshd {
    let open: String = ports.iter().map(|port| format!(" 127.0.0.1:{port}")).collect();
    Sshd::with(&format!("PermitOpen{open}\n"))
}

fn error_code(outcome: &Outcome) -> &Value {
    &outcome.output["trouble"]["kind"]
}

fn site(host: &str) -> Site {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    Site { chain, key: key.serialize_pem(), protocols: "TLSv1.2 TLSv1.3" }
}

#[tokio::test]
async fn loopback_addresses_are_those_of_the_remote_host() {
    let (nginx, other) = (Nginx::serve(&[site("shop.test")]), Nginx::serve(&[site("shop.test")]));
    let sshd = forwarding(&[nginx.plain_port(), nginx.port(0)]);
    let harness = on(&sshd);
    let fetched = harness.perform("http", json!({ "get": format!("http://127.0.0.1:{}/", nginx.plain_port()) })).await;
    let direct = get(nginx.plain_port(), "/").expect("nginx answers");
    assert_eq!(fetched.output["code"], json!(direct.0), "{fetched:?}");
    // It listens and is reachable locally, and is not forwarded.
    assert!(get(other.plain_port(), "/").is_some());
    let refused = harness.perform("http", json!({ "get": format!("http://localhost:{}/", other.plain_port()) })).await;
    assert_eq!(error_code(&refused), &json!("refused"), "{refused:?}");
    assert!(refused.summary.contains(&format!("nothing listens there on `{}`", sshd.to())), "{}", refused.summary);
    let address = |port: u16| json!({ "address": format!("127.0.0.1:{port}"), "name": "shop.test" });
    let certificate = harness.perform("tls", address(nginx.port(0))).await;
    assert_eq!(certificate.output["names"], json!(["shop.test"]), "{certificate:?}");
    let refused = harness.perform("tls", address(other.port(0))).await;
    assert_eq!(error_code(&refused), &json!("refused"), "{refused:?}");
    let distrusted = harness.perform("http", json!({ "get": format!("https://127.0.0.1:{}/", nginx.port(0)) })).await;
    assert_eq!(error_code(&distrusted), &json!("tls"), "{distrusted:?}");
}

#[tokio::test]
async fn addresses_in_reaches_are_connected_from_the_remote_host() {
    let nginx = Nginx::serve(&[site("shop.test")]);
    let sshd = Sshd::with("AllowTcpForwarding no\n");
    let url = format!("http://127.0.0.1:{}/", nginx.plain_port());
    assert_eq!(error_code(&on(&sshd).perform("http", json!({ "get": url })).await), &json!("refused"));
    // Other addresses are connected from here unless the estate lists them in `reaches`.
    let beyond = json!({ "get": "http://no-such-host.invalid/", "timeout": "20s" });
    assert_eq!(error_code(&on(&sshd).perform("http", beyond.clone()).await), &json!("dns"));
    let mut host = sshd.host();
    host["ssh"]["reaches"] = json!(["*.invalid"]);
    let harness = KindHarness::new(json!({ "host": host }), json!({})).within(60);
    assert_eq!(error_code(&harness.perform("http", beyond).await), &json!("refused"));
}

#[tokio::test]
async fn datastores_on_loopback_are_those_of_the_remote_host() {
    let (redis, other, postgres) = (Redis::with_password("correct-horse-battery"), Redis::start(), Postgres::start());
    let sshd = forwarding(&[redis.port(), postgres.port()]);
    let estate = json!({
        "estate": "Pakashop", "environments": { "production": { "host": sshd.host() } },
        "datastores": {
            "cache": { "kind": "redis", "url": { "secret": "redis_url" } },
            "other": { "kind": "redis", "port": other.port() },
            "main": { "kind": "postgres", "url": { "secret": "database_url" } },
        },
    });
    let secrets = [("redis_url", redis.url()), ("database_url", postgres.url())];
    let secrets: Vec<(&str, &str)> = secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let harness = KindHarness::of(estate).with_secrets(&secrets).within(60);
    let pong = harness.perform("redis", json!({ "ping": true, "datastore": "cache" })).await;
    assert!(pong.is_success(), "{pong:?}");
    let refused = harness.perform("redis", json!({ "ping": true, "datastore": "other" })).await;
    assert_eq!(error_code(&refused), &json!("refused"), "{refused:?}");
    let counted = harness.perform("postgres", json!({ "connections": true })).await;
    assert!(counted.is_success(), "{counted:?}");
    let closed = Postgres::start();
    let wrong = json!({ "connections": true, "url": { "secret": "elsewhere" } });
    let harness = harness.with_secrets(&[("elsewhere", &closed.url())]);
    let refused = harness.perform("postgres", wrong).await;
    assert_eq!(error_code(&refused), &json!("refused"), "{refused:?}");
}

#[tokio::test]
async fn a_remote_journal_is_searched_on_its_host() {
    let sshd = Sshd::start();
    let journal = Journal::of([
        Entry::pino("pakashop-gateway.service", 50, "it's $(down)", json!({ "orderId": "A-17" })),
        Entry::pino("pakashop-gateway.service", 30, "fine", json!({})),
    ]);
    let environment = json!({ "host": sshd.host(), "journal": journal.directory() });
    let harness = KindHarness::new(environment, json!({})).within(60);
    let found = harness
        .perform("journal", json!({ "unit": "pakashop-*", "level": "error", "field": { "orderId": "A-17" } }))
        .await;
    assert_eq!((&found.output["matched"], &found.output["scanned"]), (&json!(1), &json!(2)), "{found:?}");
}

#[tokio::test]
async fn a_remote_disk_has_the_same_fields_as_a_local_one() {
    let sshd = Sshd::start();
    let here = KindHarness::new(json!({}), json!({}));
    let paths = ["/", "/proc", "/dev/shm"];
    let spec = json!({ "path": paths });
    let (there, here) = (on(&sshd).perform("disk", spec.clone()).await, here.perform("disk", spec).await);
    assert!(there.is_success(), "{there:?}");
    for (there, here) in there.output["disks"].as_array().unwrap().iter().zip(here.output["disks"].as_array().unwrap())
    {
        for field in ["path", "mount", "device", "type", "total", "inodes", "read_only"] {
            assert_eq!(there[field], here[field], "{field} of {here}");
        }
    }
    let missing = on(&sshd).perform("disk", json!({ "path": ["/", "/no/$(such)"] })).await;
    assert_eq!((error_code(&missing), missing.summary.as_str()), (&json!("missing"), "there is no `/no/$(such)`"));
}

#[tokio::test]
async fn a_revert_on_a_remote_host_is_pushed_and_leaves_no_files() {
    let sshd = Sshd::start();
    let repository = Repository::with_history();
    let environment = json!({ "host": sshd.host(), "repository": repository.work(), "branch": "production" });
    let harness = KindHarness::new(environment, json!({})).within(120);
    let spec = json!({ "revert": "HEAD", "push": true });
    let before = harness.observe("git", spec.clone()).await;
    let done = harness.perform("git", spec.clone()).await;
    assert!(done.is_success(), "{done:?}");
    assert_eq!(done.output["work_tree"], json!("forward"));
    let log = repository.remote_log("production");
    assert_eq!(log.iter().filter(|subject| subject.starts_with("Revert")).count(), 1, "{log:?}");
    assert_eq!(repository.status(), "");
    let worktrees = repository.work().join(".git/runbook");
    assert_eq!(std::fs::read_dir(worktrees).unwrap().count(), 0, "the temporary work tree is removed");
    let found = harness.reconcile("git", spec, &before).await;
    assert!(matches!(found, runbook::actions::Reconciled::Happened(_)), "{found:?}");
    std::fs::write(repository.work().join(".git/MERGE_HEAD"), "").unwrap();
    let status = harness.perform("git", json!({ "status": "production" })).await;
    assert_eq!(status.output["under_way"], json!("a merge"), "{status:?}");
}
