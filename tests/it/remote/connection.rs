//! The SSH connection: host keys, logins, names of hosts and bastions.

use runbook::domain::incident::outcome::Verdict;
use serde_json::json;

use super::{command, on};
use crate::kind_harness::KindHarness;
use crate::real::sshd::Sshd;

#[tokio::test]
async fn an_unknown_host_key_is_refused_with_a_hint() {
    let sshd = Sshd::start();
    std::fs::write(sshd.path().join("known_hosts"), "").unwrap();
    let outcome = on(&sshd).perform("command", command(&["true"])).await;
    assert_eq!(outcome.verdict, Verdict::Failed);
    let (to, port, config) = (sshd.to(), sshd.port(), sshd.client_config());
    let expected = format!(
        "`{to}` cannot be reached: the host key of `[127.0.0.1]:{port}` is unknown; \
         `ssh -o StrictHostKeyChecking=ask -F {} -p {port} {to}` shows it: compare it with the key on the host, and accept it once",
        config.display()
    );
    assert_eq!(outcome.summary, expected);
    // Also with `StrictHostKeyChecking no` in the configuration.
    sshd.configure("StrictHostKeyChecking no\n");
    assert_eq!(on(&sshd).perform("command", command(&["true"])).await.summary, expected);
    assert_eq!(sshd.log().matches("Accepted").count(), 0);
}

#[tokio::test]
async fn a_changed_host_key_is_another_error_than_an_unknown_one() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    sshd.know(&other.public());
    let outcome = on(&sshd).perform("command", command(&["true"])).await;
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert!(outcome.summary.contains("its host key has changed"), "{}", outcome.summary);
    assert!(outcome.summary.contains("ssh-keygen -"), "{}", outcome.summary);
}

#[tokio::test]
async fn a_refused_login_is_reported() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    std::fs::copy(other.path().join("key"), sshd.path().join("key")).unwrap();
    let outcome = on(&sshd).perform("command", command(&["true"])).await;
    assert!(outcome.summary.contains("it refused the login"), "{}", outcome.summary);
    assert!(outcome.summary.contains("Permission denied (publickey)"), "{}", outcome.summary);
}

#[tokio::test]
async fn a_host_with_another_name_than_the_environment_has_is_not_changed() {
    let sshd = Sshd::start();
    let harness =
        |pattern: &str| KindHarness::new(json!({ "host": sshd.host(), "hostname": pattern }), json!({})).within(60);
    let touch = sshd.path().join("touched").display().to_string();
    let wrong = harness("no-such-host-*").perform("command", command(&["touch", &touch])).await;
    assert!(
        wrong.summary.contains("is not a host of `production`, whose hosts are `no-such-host-*`"),
        "{}",
        wrong.summary
    );
    assert!(!sshd.path().join("touched").exists());
    assert!(harness("*").perform("command", command(&["touch", &touch])).await.is_success());
}

#[tokio::test]
async fn a_bastion_is_used_and_its_key_must_be_known_too() {
    let (bastion, sshd) = (Sshd::start(), Sshd::start());
    let account = sshd.to();
    let jump = |options: &str| {
        let (port, key) = (bastion.port(), bastion.path().join("key").display().to_string());
        let known = bastion.path().join("known_hosts").display().to_string();
        sshd.configure(&format!(
            "Host bastion\nHostName 127.0.0.1\nPort {port}\nIdentityFile {key}\nUserKnownHostsFile {known}\n{options}\
             Host inner\nHostName 127.0.0.1\nPort {}\nUser {}\nProxyJump {}@bastion\n",
            sshd.port(),
            account.split('@').next().unwrap(),
            account.split('@').next().unwrap(),
        ));
    };
    jump("");
    let host = json!({ "ssh": { "to": "inner", "config": sshd.client_config() } });
    let harness = KindHarness::new(json!({ "host": host }), json!({})).within(60);
    let outcome = harness.perform("command", command(&["sh", "-c", "echo $SSH_CONNECTION"])).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(bastion.log().matches("Accepted publickey").count(), 1, "{}", bastion.log());
    std::fs::write(bastion.path().join("known_hosts"), "").unwrap();
    jump("StrictHostKeyChecking no\n");
    let host = json!({ "ssh": { "to": "inner", "config": sshd.client_config(), "options": { "Compression": "no" } } });
    let refused =
        KindHarness::new(json!({ "host": host }), json!({})).within(60).perform("command", command(&["true"])).await;
    assert!(refused.summary.contains("is unknown"), "{}", refused.summary);
}
