//! The kind `tls` with a real nginx and valid and faulty certificates.

use chrono::{Datelike, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, date_time_ymd,
};
use runbook::domain::incident::outcome::Outcome;
use serde_json::{Value, json};

use crate::kind_harness::KindHarness;
use crate::real::nginx::{Nginx, Site};

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = named(name, &[], (-400, 4000));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A site for these hosts, valid from and until these days from now.
    pub fn site(&self, hosts: &[&str], days: (i64, i64)) -> Site {
        let key = KeyPair::generate().unwrap();
        let certificate = named(hosts[0], hosts, days).signed_by(&key, &self.0).unwrap();
        Site { chain: certificate.pem(), key: key.serialize_pem(), protocols: "TLSv1.2 TLSv1.3" }
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }
}

fn named(name: &str, hosts: &[&str], (from, until): (i64, i64)) -> CertificateParams {
    let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let day = |days: i64| {
        let date = (Utc::now() + TimeDelta::days(days)).date_naive();
        date_time_ymd(date.year(), u8::try_from(date.month()).unwrap(), u8::try_from(date.day()).unwrap())
    };
    (params.not_before, params.not_after) = (day(from), day(until));
    params
}

/// A site with a self-signed certificate.
pub fn self_signed(host: &str) -> Site {
    let key = KeyPair::generate().unwrap();
    let certificate = named(host, &[host], (-1, 90)).self_signed(&key).unwrap();
    Site { chain: certificate.pem(), key: key.serialize_pem(), protocols: "TLSv1.2 TLSv1.3" }
}

/// A server, and a directory with the certificate of the authority.
struct TlsFixture {
    nginx: Nginx,
    directory: tempfile::TempDir,
}

impl TlsFixture {
    fn new(authority: &Authority, sites: &[Site]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        Self { nginx: Nginx::serve(sites), directory }
    }

    async fn check(&self, site: usize, more: Value) -> Outcome {
        let mut harness = KindHarness::new(json!({}), json!({}));
        harness.context.directory = self.directory.path().to_owned();
        let mut spec =
            json!({ "address": format!("127.0.0.1:{}", self.nginx.port(site)), "name": "shop.test", "ca": "ca.pem" });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        harness.perform("tls", spec).await
    }
}

#[tokio::test]
async fn a_valid_certificate_is_reported_with_its_days_left() {
    let authority = Authority::new("Shop authority");
    let mut old = authority.site(&["shop.test"], (-1, 30));
    old.protocols = "TLSv1.2";
    let fixture =
        TlsFixture::new(&authority, &[authority.site(&["shop.test", "*.shop.test", "127.0.0.1"], (-1, 31)), old]);
    let outcome = fixture.check(0, json!({ "min_days": 14 })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let output = &outcome.output;
    assert_eq!((&output["valid"], &output["problems"], &output["days_left"]), (&json!(true), &json!([]), &json!(30)));
    assert_eq!((&output["subject"], &output["issuer"]), (&json!("CN=shop.test"), &json!("CN=Shop authority")));
    assert_eq!(output["names"], json!(["shop.test", "*.shop.test", "127.0.0.1"]));
    assert_eq!((&output["protocol"], &output["chain"]), (&json!("TLS 1.3"), &json!(1)));
    assert!(outcome.summary.contains(": valid for 30 more days, until "), "{}", outcome.summary);
    for name in ["www.shop.test", "127.0.0.1"] {
        assert!(fixture.check(0, json!({ "name": name })).await.is_success(), "{name}");
    }
    let soon = fixture.check(1, json!({ "min_days": 60 })).await;
    assert_eq!((&soon.output["trouble"]["kind"], &soon.output["valid"]), (&json!("expires_soon"), &json!(true)));
    assert_eq!(soon.output["protocol"], "TLS 1.2");
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_named() {
    let (authority, other) = (Authority::new("Shop authority"), Authority::new("Somebody"));
    let sites = [
        authority.site(&["shop.test"], (-100, -10)),
        authority.site(&["other.test"], (-1, 90)),
        self_signed("shop.test"),
        other.site(&["shop.test"], (-1, 90)),
        authority.site(&["shop.test"], (10, 90)),
        other.site(&["other.test"], (-100, -10)),
    ];
    let fixture = TlsFixture::new(&authority, &sites);
    let expected: [&[&str]; 6] = [
        &["expired"],
        &["wrong_host"],
        &["self_signed"],
        &["unknown_issuer"],
        &["not_yet_valid"],
        &["expired", "wrong_host", "unknown_issuer"],
    ];
    for (site, problems) in expected.iter().enumerate() {
        let outcome = fixture.check(site, json!({})).await;
        assert!(!outcome.is_success(), "{outcome:?}");
        assert_eq!((&outcome.output["problems"], &outcome.output["valid"]), (&json!(problems), &json!(false)));
        assert_eq!(outcome.output["trouble"]["kind"], problems[0]);
        assert!(outcome.output["not_after"].is_string() && outcome.output["issuer"].is_string());
    }
    let expired = fixture.check(0, json!({})).await;
    assert_eq!(expired.output["days_left"], -11, "days are rounded down");
    let wrong = fixture.check(1, json!({})).await;
    assert!(wrong.summary.ends_with(": the certificate is for other.test, not for shop.test"), "{}", wrong.summary);
    let machine = json!({ "ca": null });
    assert_eq!(fixture.check(1, machine).await.output["problems"], json!(["wrong_host", "unknown_issuer"]));
}

#[tokio::test]
async fn connection_errors_of_tls_have_different_codes() {
    let authority = Authority::new("Shop authority");
    let fixture = TlsFixture::new(&authority, &[authority.site(&["shop.test"], (-1, 90))]);
    let kind = async |more: Value| fixture.check(0, more).await.output["trouble"]["kind"].clone();
    assert_eq!(kind(json!({ "address": "127.0.0.1:1" })).await, "refused");
    let plain = format!("127.0.0.1:{}", fixture.nginx.plain_port());
    assert_eq!(kind(json!({ "address": plain })).await, "not_tls");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    assert_eq!(kind(json!({ "address": silent, "timeout": "200ms" })).await, "timeout");
    assert_eq!(kind(json!({ "address": format!("{}.example", "a".repeat(64)) })).await, "dns");
    assert_eq!(kind(json!({ "ca": "missing.pem" })).await, "ca");
    std::fs::write(fixture.directory.path().join("empty.pem"), "").unwrap();
    assert_eq!(kind(json!({ "ca": "empty.pem" })).await, "ca");
}
