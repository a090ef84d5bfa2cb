//! Addresses that only the host reaches, and what lies on its disks.
//!
//! The server passes on connections to the addresses of the test and to no other, so that what arrives there has gone by it.

use runbook::domain::incident::outcome::Outcome;
use serde_json::{Value, json};

use super::on;
use crate::act::Act;
use crate::real::daemon::get;
use crate::real::journal::{Entry, Journal};
use crate::real::nginx::{Nginx, Site};
use crate::real::postgres::Postgres;
use crate::real::redis::Redis;
use crate::real::repository::Repository;
use crate::real::sshd::Sshd;

/// A server that passes on connections to these ports of its loopback only.
fn passing(ports: &[u16]) -> Sshd {
    let open: String = ports.iter().map(|port| format!(" 127.0.0.1:{port}")).collect();
    Sshd::with(&format!("PermitOpen{open}\n"))
}

fn kind(outcome: &Outcome) -> &Value {
    &outcome.output["trouble"]["kind"]
}

fn site(host: &str) -> Site {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    Site { chain, key: key.serialize_pem(), protocols: "TLSv1.2 TLSv1.3" }
}

#[tokio::test]
async fn loopback_is_the_hosts_own_for_http_and_tls() {
    let (nginx, other) = (Nginx::serve(&[site("shop.test")]), Nginx::serve(&[site("shop.test")]));
    let sshd = passing(&[nginx.plain_port(), nginx.port(0)]);
    let act = on(&sshd);
    let fetched = act.perform("http", json!({ "get": format!("http://127.0.0.1:{}/", nginx.plain_port()) })).await;
    let direct = get(nginx.plain_port(), "/").expect("nginx answers");
    assert_eq!(fetched.output["code"], json!(direct.0), "{fetched:?}");
    // It listens, and is reached from here; not from there.
    assert!(get(other.plain_port(), "/").is_some());
    let refused = act.perform("http", json!({ "get": format!("http://localhost:{}/", other.plain_port()) })).await;
    assert_eq!(kind(&refused), &json!("refused"), "{refused:?}");
    assert!(refused.summary.contains(&format!("nothing listens there on `{}`", sshd.to())), "{}", refused.summary);
    let address = |port: u16| json!({ "address": format!("127.0.0.1:{port}"), "name": "shop.test" });
    let certificate = act.perform("tls", address(nginx.port(0))).await;
    assert_eq!(certificate.output["names"], json!(["shop.test"]), "{certificate:?}");
    let refused = act.perform("tls", address(other.port(0))).await;
    assert_eq!(kind(&refused), &json!("refused"), "{refused:?}");
    let distrusted = act.perform("http", json!({ "get": format!("https://127.0.0.1:{}/", nginx.port(0)) })).await;
    assert_eq!(kind(&distrusted), &json!("tls"), "{distrusted:?}");
}

#[tokio::test]
async fn what_is_reached_from_the_host_only_is_what_the_estate_says() {
    let nginx = Nginx::serve(&[site("shop.test")]);
    let sshd = Sshd::with("AllowTcpForwarding no\n");
    let url = format!("http://127.0.0.1:{}/", nginx.plain_port());
    assert_eq!(kind(&on(&sshd).perform("http", json!({ "get": url })).await), &json!("refused"));
    // Beyond loopback it is asked for from here, unless the estate says otherwise.
    let beyond = json!({ "get": "http://no-such-host.invalid/", "timeout": "20s" });
    assert_eq!(kind(&on(&sshd).perform("http", beyond.clone()).await), &json!("dns"));
    let mut host = sshd.host();
    host["ssh"]["reaches"] = json!(["*.invalid"]);
    let act = Act::new(json!({ "host": host }), json!({})).within(60);
    assert_eq!(kind(&act.perform("http", beyond).await), &json!("refused"));
}

#[tokio::test]
async fn datastores_on_the_hosts_loopback_are_reached_from_there() {
    let (redis, other, postgres) = (Redis::with_password("correct-horse-battery"), Redis::start(), Postgres::start());
    let sshd = passing(&[redis.port(), postgres.port()]);
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
    let act = Act::of(estate).with_secrets(&secrets).within(60);
    let pong = act.perform("redis", json!({ "ping": true, "datastore": "cache" })).await;
    assert!(pong.is_success(), "{pong:?}");
    let refused = act.perform("redis", json!({ "ping": true, "datastore": "other" })).await;
    assert_eq!(kind(&refused), &json!("refused"), "{refused:?}");
    let counted = act.perform("postgres", json!({ "connections": true })).await;
    assert!(counted.is_success(), "{counted:?}");
    let closed = Postgres::start();
    let wrong = json!({ "connections": true, "url": { "secret": "elsewhere" } });
    let act = act.with_secrets(&[("elsewhere", &closed.url())]);
    let refused = act.perform("postgres", wrong).await;
    assert_eq!(kind(&refused), &json!("refused"), "{refused:?}");
}

#[tokio::test]
async fn the_hosts_journal_is_searched_there() {
    let sshd = Sshd::start();
    let journal = Journal::of([
        Entry::pino("pakashop-gateway.service", 50, "it's $(down)", json!({ "orderId": "A-17" })),
        Entry::pino("pakashop-gateway.service", 30, "fine", json!({})),
    ]);
    let environment = json!({ "host": sshd.host(), "journal": journal.directory() });
    let act = Act::new(environment, json!({})).within(60);
    let found =
        act.perform("journal", json!({ "unit": "pakashop-*", "level": "error", "field": { "orderId": "A-17" } })).await;
    assert_eq!((&found.output["matched"], &found.output["scanned"]), (&json!(1), &json!(2)), "{found:?}");
}

#[tokio::test]
async fn a_disk_there_looks_as_one_here_does() {
    let sshd = Sshd::start();
    let here = Act::new(json!({}), json!({}));
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
    assert_eq!((kind(&missing), missing.summary.as_str()), (&json!("missing"), "there is no `/no/$(such)`"));
}

#[tokio::test]
async fn a_revert_is_made_and_pushed_on_the_host_and_leaves_nothing_behind() {
    let sshd = Sshd::start();
    let repository = Repository::with_history();
    let environment = json!({ "host": sshd.host(), "repository": repository.work(), "branch": "production" });
    let act = Act::new(environment, json!({})).within(120);
    let spec = json!({ "revert": "HEAD", "push": true });
    let before = act.observe("git", spec.clone()).await;
    let done = act.perform("git", spec.clone()).await;
    assert!(done.is_success(), "{done:?}");
    assert_eq!(done.output["work_tree"], json!("forward"));
    let log = repository.remote_log("production");
    assert_eq!(log.iter().filter(|subject| subject.starts_with("Revert")).count(), 1, "{log:?}");
    assert_eq!(repository.status(), "");
    let room = repository.work().join(".git/runbook");
    assert_eq!(std::fs::read_dir(room).unwrap().count(), 0, "the work tree of its own is gone");
    let found = act.reconcile("git", spec, &before).await;
    assert!(matches!(found, runbook::actions::Reconciled::Happened(_)), "{found:?}");
    std::fs::write(repository.work().join(".git/MERGE_HEAD"), "").unwrap();
    let status = act.perform("git", json!({ "status": "production" })).await;
    assert_eq!(status.output["under_way"], json!("a merge"), "{status:?}");
}
