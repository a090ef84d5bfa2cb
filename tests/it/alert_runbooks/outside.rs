//! Alerts caused by others: payment providers and the revenue authority.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use runbook::actions::transport::process::output_detached;
use serde_json::json;

use super::host::{Facts, Host};
use super::site::Site;
use crate::real::eventually;
use crate::real::journal::Entry;
use crate::real::units::unit;

/// The journal entry of a successful payment.
fn paid() -> Entry {
    let more = json!({"orderId": "A-17", "gateway": "PawaPay", "phone": "+260977123456"});
    Entry::pino(&unit("settlement"), 30, "payment.process done", more).ago(60)
}

fn providers(pawapay: &Site, flutterwave: &Site) -> Vec<(&'static str, String)> {
    vec![
        ("pawapay_api: https://api.pawapay.io", format!("pawapay_api: {}", pawapay.url())),
        ("flutterwave_api: https://api.flutterwave.com", format!("flutterwave_api: {}", flutterwave.url())),
    ]
}

#[test]
fn failing_payments_after_a_merge_are_repaired_by_its_revert() {
    let (pawapay, flutterwave) = (Site::serve(|_| (401, "{}".to_owned())), Site::serve(|_| (404, String::new())));
    let judged =
        |decision: &str| Entry::pino(&unit("fraud"), 30, "fraud.evaluate", json!({"decision": decision})).ago(30);
    let mut journal: Vec<Entry> = (0..5).map(|_| paid()).collect();
    journal.extend([
        judged("accept"),
        judged("accept"),
        judged("accept"),
        judged("accept"),
        judged("accept"),
        judged("declined"),
    ]);
    let host = Host::new(Facts { edits: providers(&pawapay, &flutterwave), journal, ..Facts::default() });
    host.units.break_service("settlement", "error-log");
    let merge = host.repository.remote_head("production");
    eventually("payments have failed", || {
        let mut command = Command::new("journalctl");
        command.arg("--directory").arg(host.units.journal()).args(["-o", "cat", "-g", "payment.process failed"]);
        let found = output_detached(&mut command).expect("journalctl starts; install the Debian package `systemd`");
        String::from_utf8_lossy(&found.stdout).lines().count() > 5
    });
    host.alert("payment_error_rate", "firing", 12.5, json!({}));

    host.waits_for("rollback");
    assert_eq!(host.messages().len(), 1, "the notice needs no approval");
    assert_eq!(host.events("deadline_met").len(), 1, "the deadline is met");
    let errors = host.outcome("errors")["output"].clone();
    assert_eq!(errors["top"][0]["message"], "payment.process failed");
    let shares = host.outcome("shares")["output"].clone();
    assert_eq!((&shares["service"], &shares["declined"]), (&json!("settlement"), &json!(16.7)), "{shares}");
    assert!(shares["failed"].as_f64().unwrap() > 5.0, "{shares}");
    assert_eq!(host.outcome("pawapay")["output"]["code"], 401, "a provider that refuses us is up");
    assert_eq!(host.repository.remote_head("production"), merge, "nobody has approved yet");

    host.approve("rollback");
    host.wait_for_end();
    let log = host.repository.remote_log("production");
    assert!(log[0].starts_with("Revert"), "{log:?}");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("the alert is confirmed") && last.contains("Cause: a deployment"), "{last}");
    assert!(!host.messages().concat().contains("977123456"), "messages have no phone number");
}

#[test]
fn a_payment_provider_that_is_down_is_found() {
    let (pawapay, flutterwave) =
        (Site::serve(|_| (503, "maintenance".to_owned())), Site::serve(|_| (401, "{}".to_owned())));
    let failed =
        || Entry::pino(&unit("settlement"), 50, "payment.process failed", json!({"gateway": "PawaPay"})).ago(60);
    let journal = vec![paid(), failed(), failed()];
    let host = Host::new(Facts { edits: providers(&pawapay, &flutterwave), journal, ..Facts::default() });
    host.alert("payment_error_rate", "firing", 66.0, json!({}));
    host.waits_for("provider");
    assert!(host.outcome("pawapay")["summary"].as_str().unwrap().contains("status 503"));
    host.answer("provider", "done");
    host.wait_for_end();
    assert!(!host.has_started("rollback") && !host.has_started("restart"), "other causes lead to no change");
}

/// The journal entry of a decision of the fraud service.
fn judged(decision: &str) -> Entry {
    Entry::pino(&unit("fraud"), 30, "fraud.evaluate", json!({"decision": decision})).ago(30)
}

/// A host on which payments of the settlement service fail, and both providers are up.
fn failing_payments(judgements: &[&str]) -> (Host, [Site; 2]) {
    let sites = [Site::serve(|_| (401, "{}".to_owned())), Site::serve(|_| (401, "{}".to_owned()))];
    let failed =
        || Entry::pino(&unit("settlement"), 50, "payment.process failed", json!({"gateway": "PawaPay"})).ago(120);
    let mut journal = vec![paid(), failed(), failed()];
    journal.extend(judgements.iter().map(|decision| judged(decision)));
    let host = Host::new(Facts { edits: providers(&sites[0], &sites[1]), journal, ..Facts::default() });
    (host, sites)
}

#[test]
fn a_service_whose_payments_fail_is_restarted() {
    let (host, _sites) = failing_payments(&["accept", "accept"]);
    host.repository.age();
    let invocation = |service: &str| host.units.property(&unit(service), "InvocationID");
    let (before, bystander, old) =
        (invocation("settlement"), invocation("fraud"), host.repository.remote_head("production"));
    host.alert("payment_error_rate", "firing", 66.0, json!({}));
    host.waits_for("restart");
    assert_eq!(host.outcome("suspect")["output"]["service"], "settlement");
    assert_eq!(invocation("settlement"), before, "nobody has approved yet");

    host.approve("restart");
    host.wait_for_end();
    assert_ne!(invocation("settlement"), before);
    assert_eq!(invocation("fraud"), bystander, "no other service is restarted");
    assert_eq!(host.repository.remote_head("production"), old, "nothing is reverted");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("Cause: one of our services"), "{last}");
}

#[test]
fn a_fraud_service_that_declines_many_customers_is_checked_and_restarted() {
    let (host, _sites) = failing_payments(&["accept", "declined", "declined", "accept"]);
    let before = host.units.property(&unit("fraud"), "InvocationID");
    host.alert("payment_error_rate", "firing", 66.0, json!({}));
    host.waits_for("thresholds");
    assert_eq!(host.outcome("shares")["output"]["declined"].as_f64(), Some(50.0));
    host.answer("thresholds", "done");
    host.approve("restart");
    host.wait_for_end();
    assert_ne!(host.units.property(&unit("fraud"), "InvocationID"), before);
    assert!(!host.has_started("rollback"), "the merge is not the cause");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("Cause: the fraud service"), "{last}");
}

#[test]
fn a_key_that_the_revenue_authority_refuses_is_renewed_and_its_service_restarted() {
    let zra = Site::serve(|asked| match asked.authorization.as_str() {
        "" => (200, "{}".to_owned()),
        _ => (401, r#"{"error":"key expired"}"#.to_owned()),
    });
    let failed = |_| Entry::pino(&unit("invoicing"), 50, "zra.validate failed", json!({"code": 401})).ago(60);
    let host = Host::new(Facts {
        secrets: vec!["ZRA_VSDC_API_KEY=zra-key-81".to_owned()],
        edits: vec![
            ("zra_api: \"\"", format!("zra_api: {}/health", zra.url())),
            ("zra_key_check: \"\"", format!("zra_key_check: {}/key", zra.url())),
        ],
        journal: (0..7).map(failed).collect(),
        ..Facts::default()
    });
    let before = host.units.property(&unit("invoicing"), "InvocationID");
    host.alert("zra_transmission_failure", "firing", 7.0, json!({}));
    host.waits_for("renew");
    assert_eq!(host.outcome("api")["verdict"], "succeeded", "ZRA is up");
    assert_eq!(host.outcome("key")["output"]["code"], 401);
    host.answer("renew", "done");
    host.approve("restart");
    host.wait_for_end();
    assert_ne!(host.units.property(&unit("invoicing"), "InvocationID"), before, "it reads its key when it starts");
    assert!(!host.has_started("fallback"), "sales are reported directly");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("Cause: our key is not valid") && last.contains("as before"), "{last}");
    assert!(!host.messages().concat().contains("zra-key-81"), "messages have no key");
}

/// A script that switches the mock mode.
const SWITCH: &str =
    "#!/bin/sh\ncase $1 in on) touch \"$0.on\" ;; off) rm -f \"$0.on\" ;; is-on) test -e \"$0.on\" ;; esac\n";

#[test]
fn a_revenue_authority_that_is_down_is_answered_by_the_mock_mode() {
    let directory = tempfile::tempdir().unwrap();
    let switch = directory.path().join("zra-mock");
    fs::write(&switch, SWITCH).unwrap();
    fs::set_permissions(&switch, fs::Permissions::from_mode(0o755)).unwrap();
    let zra = Site::serve(|asked| match asked.authorization.as_str() {
        "Bearer zra-key-81" => (200, "{}".to_owned()),
        "" => (503, "down for maintenance".to_owned()),
        _ => (401, "{}".to_owned()),
    });
    let failed = |_| Entry::pino(&unit("invoicing"), 50, "zra.validate failed", json!({"code": "ETIMEDOUT"})).ago(60);
    let host = Host::new(Facts {
        secrets: vec!["ZRA_VSDC_API_KEY=zra-key-81".to_owned()],
        edits: vec![
            ("zra_api: \"\"", format!("zra_api: {}/health", zra.url())),
            ("zra_key_check: \"\"", format!("zra_key_check: {}/key", zra.url())),
            ("zra_mock_switch: \"\"", format!("zra_mock_switch: {}", switch.display())),
        ],
        journal: (0..7).map(failed).collect(),
        ..Facts::default()
    });
    let before = host.units.property(&unit("invoicing"), "InvocationID");
    host.alert("zra_transmission_failure", "firing", 7.0, json!({}));
    host.waits_for("fallback");
    assert_eq!(host.outcome("failures")["output"]["matched"], 7);
    assert_eq!(host.outcome("key")["verdict"], "succeeded", "our key is valid");
    assert!(!directory.path().join("zra-mock.on").exists(), "nobody has approved yet");

    host.approve("fallback");
    host.approve("restart");
    host.wait_for_end();
    assert!(directory.path().join("zra-mock.on").exists());
    assert_ne!(host.units.property(&unit("invoicing"), "InvocationID"), before, "it reads its mode when it starts");
    let last = host.messages().pop().unwrap();
    assert!(last.contains("Cause: ZRA is down") && last.contains("switched on"), "{last}");
}
