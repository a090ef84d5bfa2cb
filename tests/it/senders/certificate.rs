//! Signatures of AWS SNS, compared with the validator of a vendor, and the download of certificates.
//!
//! OpenSSL makes the keys and certificates, and is the server that replaces AWS.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use runbook::domain::core::time::Timestamp;
use runbook::surface::intake::auth::CertificateUrl;
use runbook::surface::intake::{self, Certificates, Rejected, SenderRequest};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::admission::{secrets, vendor};
use super::{estate, headers, now, sample};
use crate::real;

/// A key and a certificate as AWS has them, made by OpenSSL.
struct Signer {
    directory: tempfile::TempDir,
    pem: String,
}

const CERTIFICATE: &str = "https://sns.ap-northeast-1.amazonaws.com/SimpleNotificationService-0.pem";

impl Signer {
    fn new(days: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let (key, cert) = (directory.path().join("key.pem"), directory.path().join("cert.pem"));
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=sns.amazonaws.com",
            "-days",
            days,
        ]);
        real::run(command.arg("-keyout").arg(&key).arg("-out").arg(&cert), "openssl");
        let pem = std::fs::read_to_string(cert).expect("it was written");
        Self { directory, pem }
    }

    /// A message with OpenSSL's signature of `text`.
    fn signed(&self, mut message: Value, version: &str, text: &str) -> Value {
        let file = self.directory.path().join("text");
        std::fs::write(&file, text).expect("it can be written");
        let digest = if version == "1" { "-sha1" } else { "-sha256" };
        let mut command = Command::new("openssl");
        command.args(["dgst", digest, "-sign"]).arg(self.directory.path().join("key.pem")).arg(&file);
        message["SignatureVersion"] = json!(version);
        message["SigningCertURL"] = json!(CERTIFICATE);
        message["Signature"] = json!(STANDARD.encode(real::run(&mut command, "openssl").stdout));
        message
    }

    /// Whether the vendor's validator accepts a message.
    fn vendor_accepts(&self, message: &Value) -> bool {
        vendor(&json!({ "verify": "sns", "message": message, "pem": self.pem })) == json!(true)
    }

    /// Our result for a message, with the certificate pinned.
    fn verify(&self, message: &Value, now: Timestamp) -> Result<(), Rejected> {
        let certificates = Certificates::default();
        certificates.pin("sns.pem", self.pem.as_bytes()).expect("it is a certificate");
        verify("sns_pinned", message, now, &certificates)
    }
}

fn verify(sender: &str, message: &Value, now: Timestamp, certificates: &Certificates) -> Result<(), Rejected> {
    let (estate, headers, body) = (estate(), headers(&[]), message.to_string());
    let post = SenderRequest { headers: &headers, body: body.as_bytes(), now };
    intake::admit(&estate.senders[sender], &secrets(), &post, certificates)
}

fn today() -> Timestamp {
    use runbook::clock::Clock as _;
    runbook::clock::SystemClock.now()
}

/// The signed text of a message, as AWS documents it.
fn signed_text(message: &Value, keys: &[&str]) -> String {
    keys.iter().map(|key| format!("{key}\n{}\n", message[*key].as_str().expect("it is text"))).collect()
}

const NOTIFICATION: [&str; 6] = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: [&str; 7] = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

#[test]
fn both_sns_signature_versions_are_judged_as_by_its_validator() {
    let signer = Signer::new("30");
    let mut plain = sample("sns_notification_cloudwatch_alarm_2015");
    plain.as_object_mut().unwrap().remove("Subject");
    let without_subject: Vec<&str> = NOTIFICATION.into_iter().filter(|key| *key != "Subject").collect();
    let messages = [
        (sample("sns_notification_cloudwatch_alarm_2015"), NOTIFICATION.to_vec()),
        (sample("sns_subscription_confirmation"), CONFIRMATION.to_vec()),
        (plain, without_subject),
    ];
    for (message, keys) in messages {
        for version in ["1", "2"] {
            let signed = signer.signed(message.clone(), version, &signed_text(&message, &keys));
            assert!(signer.vendor_accepts(&signed), "{signed}");
            assert_eq!(signer.verify(&signed, today()), Ok(()));
            for (key, value) in [
                ("Message", "x"),
                ("Timestamp", "x"),
                ("Signature", "AAAA"),
                ("SignatureVersion", "3"),
                ("Signature", "%"),
            ] {
                let mut forged = signed.clone();
                forged[key] = json!(value);
                assert!(
                    !signer.vendor_accepts(&forged)
                        && matches!(signer.verify(&forged, today()), Err(Rejected::Signature(_))),
                    "{key}"
                );
            }
        }
    }
}

#[test]
fn a_certificate_is_valid_for_its_period_only() {
    let signer = Signer::new("2");
    let message = sample("sns_notification_cloudwatch_alarm_2015");
    let signed = signer.signed(message.clone(), "2", &signed_text(&message, &NOTIFICATION));
    assert_eq!(signer.verify(&signed, today()), Ok(()));
    for other in [TimeDelta::days(3), TimeDelta::days(-1)] {
        assert!(matches!(signer.verify(&signed, today() + other), Err(Rejected::Signature(_))), "{other}");
    }
}

#[test]
fn the_topic_is_checked_before_a_certificate_is_fetched() {
    let certificates = Certificates::default();
    let mut message = sample("sns_notification_cloudwatch_alarm_2015");
    let wanted = verify("sns", &message, now(), &certificates);
    assert!(
        matches!(&wanted, Err(Rejected::CertificateWanted(url)) if url.to_string().ends_with(".pem")),
        "{wanted:?}"
    );
    message["TopicArn"] = json!("arn:aws:sns:ap-northeast-1:863886017929:others");
    assert!(matches!(verify("sns", &message, now(), &certificates), Err(Rejected::Topic(_))));
    assert!(matches!(verify("sns", &json!("raw text"), now(), &certificates), Err(Rejected::Missing(_))));
    let good = sample("sns_notification_cloudwatch_alarm_2015");
    let records = json!({ "Records": [{ "Sns": good }, { "Sns": message }] });
    assert!(
        matches!(verify("sns", &records, now(), &certificates), Err(Rejected::Topic(_))),
        "the topic of each record is checked"
    );
}

#[test]
fn certificates_are_fetched_from_hosts_of_aws_only() {
    assert!(CertificateUrl::new(CERTIFICATE).is_some());
    assert!(CertificateUrl::new("https://sns.cn-north-1.amazonaws.com.cn/a.pem").is_some());
    for elsewhere in [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.org/a.pem",
        "https://evil.org/sns.eu-west-1.amazonaws.com/a.pem",
        "https://evil.org#sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.org/a.pem",
        "https://a:b@sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem?x=1",
        "https://sns.eu-west-1.amazonaws.com/a.pem#x",
        "https://sns.eu-west-1.amazonaws.com/a.txt",
        "https://sns.e.amazonaws.com/a.pem",
        "https://s3.eu-west-1.amazonaws.com/a.pem",
        "https://xsns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.a.b.amazonaws.com/a.pem",
        "file:///etc/a.pem",
        "",
    ] {
        assert_eq!(CertificateUrl::new(elsewhere), None, "{elsewhere}");
    }
}

/// A server that replaces AWS: `openssl s_server`, which serves files with their HTTP heads, on a free port of loopback.
struct Aws {
    directory: tempfile::TempDir,
    server: Child,
    port: u16,
}

const CONFIGURATION: &str = "\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = sns
[extensions]
basicConstraints = critical,CA:FALSE
subjectAltName = DNS:sns.ap-northeast-1.amazonaws.com
";

impl Aws {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        std::fs::write(directory.path().join("configuration"), CONFIGURATION).expect("it can be written");
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-config",
            "configuration",
            "-keyout",
            "key",
            "-out",
            "cert",
        ]);
        real::run(command.current_dir(directory.path()), "openssl");
        let mut command = Command::new("openssl");
        command.args(["s_server", "-HTTP", "-accept", "127.0.0.1:0", "-key", "key", "-cert", "cert"]);
        let mut server = command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(server.stdout.take().expect("it is piped")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok());
        Self { directory, server, port: port.expect("it prints its port") }
    }

    fn serves(&self, name: &str, head: &str, body: &str) {
        let text = format!("HTTP/1.0 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        std::fs::write(self.directory.path().join(name), text).expect("it can be written");
    }

    /// A client that trusts this server and connects only to it.
    async fn client(&self) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let proxy = format!("http://{}", listener.local_addr().expect("it has one"));
        tokio::spawn(tunnel(listener, SocketAddr::from(([127, 0, 0, 1], self.port))));
        let pem = std::fs::read(self.directory.path().join("cert")).expect("it was written");
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).expect("it is one")]);
        builder.proxy(reqwest::Proxy::https(proxy).expect("it is an address")).build().expect("a client")
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A proxy that connects every client to one address.
async fn tunnel(listener: TcpListener, to: SocketAddr) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await?);
            }
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            copy_bidirectional(&mut client, &mut TcpStream::connect(to).await?).await
        });
    }
}

fn url(name: &str) -> CertificateUrl {
    CertificateUrl::new(&format!("https://sns.ap-northeast-1.amazonaws.com/{name}.pem")).expect("it is a URL of AWS")
}

#[tokio::test]
async fn a_certificate_is_fetched_once_and_cached() {
    let (signer, aws) = (Signer::new("30"), Aws::start());
    aws.serves("SimpleNotificationService-0.pem", "200 OK", &signer.pem);
    let certificates = Certificates::with_client(aws.client().await);
    let message = sample("sns_notification_cloudwatch_alarm_2015");
    let signed = signer.signed(message.clone(), "2", &signed_text(&message, &NOTIFICATION));
    let Err(Rejected::CertificateWanted(wanted)) = verify("sns", &signed, today(), &certificates) else {
        panic!("no certificate is wanted")
    };
    certificates.fetch(&wanted).await.unwrap();
    drop(aws);
    assert_eq!(verify("sns", &signed, today(), &certificates), Ok(()), "without another download");
    let other = Signer::new("30").signed(message.clone(), "2", &signed_text(&message, &NOTIFICATION));
    assert!(
        matches!(verify("sns", &other, today(), &certificates), Err(Rejected::Signature(_))),
        "signed by another key"
    );
}

#[tokio::test]
async fn an_invalid_certificate_response_is_rejected() {
    let aws = Aws::start();
    let moved = format!("302 Found\r\nLocation: {CERTIFICATE}");
    aws.serves("moved.pem", &moved, "");
    aws.serves("gone.pem", "404 Not Found", "");
    aws.serves("busy.pem", "503 Busy", "");
    aws.serves("text.pem", "200 OK", "hello");
    aws.serves("huge.pem", "200 OK", &"x".repeat(100_000));
    aws.serves("SimpleNotificationService-0.pem", "200 OK", &Signer::new("30").pem);
    let certificates = Certificates::with_client(aws.client().await);
    for (name, is_internal) in [("moved", true), ("gone", false), ("busy", true), ("text", false), ("huge", false)] {
        let rejected = certificates.fetch(&url(name)).await.expect_err(name);
        assert_eq!(rejected.is_internal(), is_internal, "{name}: {rejected}");
    }
    let other_client = Certificates::with_client(Aws::start().client().await);
    assert!(
        other_client.fetch(&url("SimpleNotificationService-0")).await.is_err(),
        "that server does not have the file"
    );
}
