//! Tests with real journal files, written by `systemd-journal-remote`.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::actions::kinds::support::testing::context;
use crate::domain::journal::export::LONGEST_RECORD;
use crate::domain::redact::Redactor;

const WRITER: &str = "/lib/systemd/systemd-journal-remote";

/// Writes a journal file with these entries: seconds ago, unit, priority, message.
#[expect(clippy::disallowed_methods, reason = "a test starts the program that writes journal files")]
fn journal(context: &Context, entries: &[(i64, &str, &str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let mut export = Vec::new();
    let mut entries = entries.to_vec();
    entries.sort_by_key(|(ago, ..)| -ago);
    for (ago, unit, priority, message) in entries {
        let at = (context.clock.now() - TimeDelta::seconds(ago)).timestamp_micros();
        write!(export, "__REALTIME_TIMESTAMP={at}\n_BOOT_ID=6a3f0c5d9e1b4f7ca2d84b60e7913c55\n_SYSTEMD_UNIT={unit}\nPRIORITY={priority}\nMESSAGE\n").expect("a vector grows");
        export.extend((message.len() as u64).to_le_bytes());
        export.extend_from_slice(message);
        export.extend_from_slice(b"\n\n");
    }
    assert!(Path::new(WRITER).exists(), "`{WRITER}` is missing; install the Debian package `systemd-journal-remote`");
    let mut child = std::process::Command::new(WRITER)
        .arg(format!("--output={}", directory.path().join("a.journal").display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("it is piped").write_all(&export).expect("it reads");
    assert!(child.wait().expect("it ends").success());
    directory
}

async fn search(context: &Context, directory: &Path, mut spec: Value) -> Outcome {
    spec["directory"] = json!(directory);
    Journal.perform(&spec, context).await
}

const GATEWAY: &str = "pakashop-gateway.service";

#[tokio::test]
async fn the_level_in_the_json_counts_instead_of_the_priority() {
    let context = context();
    let refused = |n: u32| {
        format!(
            r#"{{"level":50,"service":"gateway","msg":"connect ECONNREFUSED 127.0.0.1:{n}","orderId":"A-{n}","phone":"+260971234556"}}"#
        )
    };
    let (one, two) = (refused(1), refused(2));
    let directory = journal(
        &context,
        &[
            (60, GATEWAY, "6", one.as_bytes()),
            (50, GATEWAY, "6", two.as_bytes()),
            (40, GATEWAY, "6", br#"{"level":60,"msg":"out of memory"}"#),
            (30, GATEWAY, "6", br#"{"level":30,"msg":"fine"}"#),
            (20, "pakashop-search.service", "3", b"plain error"),
            (7200, GATEWAY, "6", one.as_bytes()),
            (10, GATEWAY, "6", b"\x1b[31m\xff\0 bytes"),
        ],
    );
    let found =
        search(&context, directory.path(), json!({"unit": "pakashop-gateway", "since": "5m", "level": "error"})).await;
    assert_eq!(
        found.summary,
        "3 lines at error or above from pakashop-gateway in 5m; commonest: \"connect ECONNREFUSED 127.0.0.1:2\" ×2"
    );
    assert_eq!(found.output["by_level"], json!({"error": 2, "fatal": 1}));
    assert_eq!(found.output["top"][0]["message"], "connect ECONNREFUSED <n>");
    assert!(found.output["lines"][0].as_str().expect("text").ends_with("orderId=A-1 phone=+26097*****56"));
    assert_eq!((&found.output["scanned"], &found.output["truncated"]), (&json!(5), &json!(false)));

    let all = search(
        &context,
        directory.path(),
        json!({"unit": ["pakashop-*"], "since": "3h", "level": "error", "limit": 1}),
    )
    .await;
    assert_eq!((&all.output["matched"], &all.output["truncated"]), (&json!(5), &json!(true)));
    assert_eq!(all.output["by_service"], json!({"gateway": 3, "pakashop-gateway": 1, "pakashop-search": 1}));
    assert!(all.output["lines"][0].as_str().expect("text").contains("ERROR pakashop-search plain error"));

    let order = search(&context, directory.path(), json!({"since": "1h", "field": {"orderId": "A-2"}})).await;
    assert_eq!(order.output["matched"], 1);
    let text = search(&context, directory.path(), json!({"text": "OUT OF"})).await;
    assert_eq!(text.output["matched"], 0, "case matters if the text has upper case");
    let text = search(&context, directory.path(), json!({"text": "econnrefused", "regex": r":\d$|:1"})).await;
    assert_eq!(text.output["matched"], 2);
    let bytes = search(&context, directory.path(), json!({"text": "bytes"})).await;
    assert!(bytes.output["lines"][0].as_str().expect("text").contains("␛[31m\u{fffd}␀ bytes"));
}

#[tokio::test]
async fn hostile_values_are_data_and_a_search_without_matches_succeeds() {
    let context = context();
    let directory = journal(&context, &[(5, GATEWAY, "6", b"hello")]);
    for hostile in ["--now", "--vacuum-size=1", "-H root@x", "$(id)", "../..", "a\nb", "\x1b[2J", "*zz*"] {
        let found = search(&context, directory.path(), json!({"unit": hostile, "field": {hostile: hostile}})).await;
        assert_eq!((found.verdict, &found.output["matched"]), (Verdict::Succeeded, &json!(0)), "{}", found.summary);
        assert!(found.summary.starts_with("no lines with ") && !found.summary.contains('\x1b'));
    }
}

#[tokio::test]
async fn an_invalid_search_is_an_error() {
    let context = context();
    for (spec, message) in [
        (json!({"since": "yesterday"}), "`since` is `yesterday`, no length of time such as `5m` and no instant"),
        (json!({"since": "5m", "until": "10m"}), "`until` is before `since`"),
        (json!({"level": "loud"}), "`loud` is not a level"),
    ] {
        assert_eq!(Journal.perform(&spec, &context).await.summary, message);
    }
    assert!(Journal.perform(&json!({"regex": "("}), &context).await.summary.starts_with("`regex`: "));
    let nowhere = search(&context, Path::new("/no/where"), json!({})).await;
    assert_eq!(nowhere.verdict, Verdict::Failed);
    assert!(nowhere.summary.contains("No such file or directory"), "{}", nowhere.summary);
}

#[tokio::test]
async fn the_name_of_a_service_selects_its_unit() {
    let mut estate = crate::domain::config::estate::Estate::default();
    let service = serde_json::from_value(json!({"unit": GATEWAY})).expect("a service needs a unit only");
    estate.services.insert("gateway".to_owned(), service);
    let context = Context { estate: Arc::new(estate), ..context() };
    let directory = journal(&context, &[(5, GATEWAY, "6", b"hello")]);
    let found = search(&context, directory.path(), json!({"unit": "gateway"})).await;
    assert_eq!(found.summary, "1 line from pakashop-gateway.service in 10m: \"hello\"");
}

#[tokio::test]
async fn instants_bound_a_search_exactly() {
    let context = context();
    let directory = journal(&context, &[(100, "a.service", "6", b"one"), (50, "a.service", "6", b"two")]);
    let at = |ago| (context.clock.now() - TimeDelta::seconds(ago)).to_rfc3339();
    let found = search(&context, directory.path(), json!({"since": at(110), "until": at(60)})).await;
    assert_eq!((&found.output["matched"], &found.output["top"][0]["message"]), (&json!(1), &json!("one")));
}

#[tokio::test]
async fn secrets_in_the_journal_are_redacted() {
    let redactor = Arc::new(Redactor::new([("db", "hunter22")]).expect("long enough"));
    let context = Context { redactor, ..context() };
    let directory =
        journal(&context, &[(5, "a.service", "6", br#"{"level":50,"msg":"no hunter22","url":"u:hunter22@h"}"#)]);
    let found = search(&context, directory.path(), json!({"field": {"url": "u:hunter22@h"}})).await;
    assert_eq!(found.output["matched"], 1);
    assert!(!format!("{found:?}").contains("unter"), "{found:?}");
}

#[tokio::test]
async fn long_messages_and_many_lines_are_bounded() {
    let context = context();
    let long = "x".repeat(2 * LONGEST_RECORD);
    let quoted = "\"\\".repeat(400);
    let mut entries: Vec<(i64, &str, &str, &[u8])> = vec![(1, "a.service", "6", long.as_bytes())];
    entries.extend((0..500).map(|ago| (ago + 2, "a.service", "6", quoted.as_bytes())));
    let directory = journal(&context, &entries);
    let found = search(&context, directory.path(), json!({"since": "1h", "limit": 1000})).await;
    assert_eq!((&found.output["scanned"], &found.output["oversized"]), (&json!(501), &json!(1)));
    assert_eq!(found.output["truncated"], true);
    assert!(found.output.to_string().len() < crate::domain::incident::outcome::OUTPUT_LIMIT);
}
