//! Hostile text stays data and secrets stay secret, with the engine, a SQLite store and real programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use runbook::actions::Secrets;
use runbook::clock::SystemClock;
use runbook::domain::core::text::printable;
use runbook::domain::redact::Redactor;
use runbook::domain::report::timeline::Timeline;
use runbook::engine::{Engine, Parts, Stop};
use runbook::store::sqlite::Sqlite;
use serde_json::{Value, json};

use crate::engine_fixture::{EngineFixture, run, with};
use crate::real::journal::{Entry, Journal};

/// Texts that could act as a command, a template, an option, a path or a control sequence.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned #",
        "' ; touch pwned ; '",
        "\" ; touch pwned ; \"",
        "{{7*7}}",
        "{{ secrets.x }}",
        "{% for i in range(999999) %}x{% endfor %}",
        "--now",
        "-H root@x",
        "../../../etc/passwd",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{9b}31m",
        "line one\nline two\r\noverwritten\rbye",
        "\u{202e}evil\u{2066}",
        "<script>alert(1)</script>",
        "<!here> @channel",
        "| table | breaker |\n# heading\n```\nfence",
        "${HOME} $HOME ~ * ? [a-z] !! \\",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("x".repeat(16 * 1024));
    texts
}

/// The first control character other than a line break or a tab.
fn control(text: &str) -> Option<char> {
    text.chars().find(|c| {
        (c.is_control() && *c != '\n' && *c != '\t') || matches!(*c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

async fn fixture(secrets: &[(&str, &str)]) -> EngineFixture {
    let scratch = EngineFixture::new();
    let store = Sqlite::open(scratch.directory.path().join("state/runbook.db")).await.expect("the store opens");
    let parts = Parts {
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        secrets: Arc::new(Secrets::new(
            secrets
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Ok((*value).to_owned().into())))
                .collect::<BTreeMap<_, _>>(),
        )),
        redactor: Arc::new(Redactor::new(secrets.iter().map(|(name, value)| (*name, *value))).unwrap()),
        ..scratch.engine.parts().clone()
    };
    EngineFixture { engine: Engine::new(parts), ..scratch }
}

/// Steps that pass a value to programs in every possible way, and print it.
fn carriers(value: &str) -> Value {
    let shell = |id: &str, script: &str| {
        json!({"id": id, "name": id, "body": {"action": {
            "kind": "shell", "effect": "read", "scripts": ["script"], "spec": {"script": script},
        }}})
    };
    json!([
        with(run("argument", "read", &["printf", "%s", value]), json!({"name": format!("Say {value}")})),
        with(
            run("quiet", "read", &["sh", "-c", "printf %s \"$WORD\""]),
            json!({"body": {"action": {
                "kind": "command", "effect": "read",
                "spec": {"argv": ["sh", "-c", "printf %s \"$WORD\""], "env": {"WORD": value}},
            }}})
        ),
        shell("bare", &format!("printf %s {value}")),
        shell("quoted", &format!("printf %s \"{value}\"")),
        shell("single", &format!("printf %s '{value}'")),
        shell("substituted", &format!("x=$(printf %s {value}; echo .); printf %s \"${{x%?}}\"")),
        with(run("again", "read", &["printf", "%s", "{{ steps.argument.stdout }}"]), json!({})),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_text_reaches_programs_only_as_data() {
    for text in hostile() {
        let mut fixture = fixture(&[]).await;
        fixture.params.insert("word".to_owned(), text.clone().into());
        let param = json!([{"name": "word", "type": "text"}]);
        fixture.start_whole(json!({"params": param, "steps": carriers("{{ params.word }}"), "title": "Drill"})).await;
        assert_eq!(fixture.drive().await, Stop::Over, "{text:?}");
        let incident = fixture.incident().await;
        for (key, state) in &incident.runs[0].steps {
            let outcome = state.outcome.as_ref().unwrap();
            assert!(outcome.is_success(), "{key} with {text:?}: {outcome:?}");
            // The output is the value, made printable.
            assert_eq!(outcome.output["stdout"], json!(printable(&text)), "{key}");
        }
        assert!(!fixture.directory.path().join("pwned").exists(), "{text:?} was run");
        let log = fixture.engine.log(&fixture.id).await.unwrap();
        for entry in Timeline::of(&log).entries {
            let shown = format!("{} {} {}", entry.who, entry.text, entry.detail.unwrap_or_default());
            assert_eq!(control(&shown), None, "{text:?} in the timeline: {shown:?}");
            assert!(!shown.contains('\n'));
        }
        let draft = fs::read_to_string(fixture.directory.path().join(&incident.draft.as_ref().unwrap().path)).unwrap();
        assert_eq!(control(&draft), None, "{text:?} in the post-mortem");
        // Markup inside a fence is text.
        let outside: String = draft.split("\n```").step_by(2).collect();
        assert!(!outside.contains("<script>"), "markup in the post-mortem: {outside}");
    }
}

#[tokio::test]
async fn nul_bytes_are_refused_and_bytes_that_are_not_text_are_harmless() {
    let mut fixture = fixture(&[]).await;
    fixture.params.insert("word".to_owned(), "a\0b".into());
    let refused = fixture
        .engine
        .submit(
            &fixture.id,
            crate::engine_fixture::start(&fixture, json!({"params": [{"name": "word", "type": "text"}], "steps": []})),
        )
        .await;
    assert!(refused.unwrap_err().to_string().contains("NUL"));
    fixture.params.clear();
    fixture.start(json!([run("bytes", "read", &["printf", r"\377\376\000ok\033[2J"])])).await;
    assert_eq!(fixture.drive().await, Stop::Over);
    let incident = fixture.incident().await;
    let draft = fs::read_to_string(fixture.directory.path().join(&incident.draft.as_ref().unwrap().path)).unwrap();
    assert_eq!(control(&draft), None);
}

fn files(directory: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files(&entry, into) } else { into.push(entry) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_a_step_prints_is_in_no_file() {
    use base64::Engine as _;
    let secret = "hunter2-correct/horse+battery=staple";
    let fixture = fixture(&[("database_password", secret)]).await;
    let env = |id: &str, script: &str| {
        json!({"id": id, "name": id, "on_failure": "continue", "body": {"action": {"kind": "command", "effect": "read", "spec": {
            "argv": ["bash", "-c", script], "env": {"S": {"secret": "database_password"}},
        }}}})
    };
    let steps = json!([
        env("plain", "echo \"the password is $S, yes\""),
        env("split", "printf %s \"${S:0:10}\"; sleep 0.2; printf '%s\\n' \"${S:10}\""),
        env("stderr", "echo \"$S\" >&2; exit 3"),
        env("base64", "printf %s \"$S\" | base64; printf 'user:%s' \"$S\" | base64 -w0; printf 'us:%s' \"$S\" | base64 -w 20"),
        env("long", "head -c 70000 /dev/zero | tr '\\0' a; printf %s \"$S\"; head -c 70000 /dev/zero | tr '\\0' b"),
        env("hex", "printf %s \"$S\" | od -An -tx1 | tr -d ' \\n'"),
        env("json", "printf '{\"password\":\"%s\"}' \"$S\""),
        {"id": "program", "name": "program", "on_failure": "continue", "body": {"action": {"kind": "command", "effect": "read",
            "spec": {"argv": ["/no/such/program"], "env": {"S": {"secret": "database_password"}}}}}},
    ]);
    fixture.start(steps).await;
    assert_eq!(fixture.drive().await, Stop::Over);
    fixture.submit(runbook::domain::incident::command::Request::Note(format!("I typed {secret} here"))).await.unwrap();
    fixture.drive().await;
    let forms = [
        secret.to_owned(),
        base64::engine::general_purpose::STANDARD.encode(secret),
        base64::engine::general_purpose::STANDARD.encode(format!("user:{secret}")),
        hex::encode(secret),
    ];
    // Another process copies the files: this one would lose SQLite's locks on the log.
    let copy = tempfile::tempdir().unwrap();
    let mut copied = std::process::Command::new("cp");
    crate::real::run(copied.arg("-r").arg(fixture.directory.path()).arg(copy.path()), "coreutils");
    let mut all = Vec::new();
    files(copy.path(), &mut all);
    assert!(all.iter().any(|file| file.extension().is_some_and(|e| e == "md")), "there is a post-mortem: {all:?}");
    for file in all {
        let bytes = fs::read(&file).unwrap();
        for form in &forms {
            // Any fourteen characters of the secret are a leak as well.
            for part in form.as_bytes().windows(14) {
                let found = bytes.windows(part.len()).any(|window| window == part);
                assert!(!found, "{:?} of the secret is in {}", String::from_utf8_lossy(part), file.display());
            }
        }
    }
    let shown = serde_json::to_string(&fixture.engine.log(&fixture.id).await.unwrap()).unwrap();
    assert!(shown.matches("[redacted:database_password]").count() >= 7, "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journal_lines_and_a_megabyte_of_output_are_data() {
    let mut fixture = fixture(&[]).await;
    let lines = hostile().into_iter().filter(|text| text.len() < 1_000);
    let journal =
        Journal::of(lines.map(|text| Entry::pino("gateway.service", 50, &text, json!({"orderId": text.as_str()}))));
    let environment = fixture.estate.environments.get_mut("production").unwrap();
    environment.journal = Some(journal.directory().display().to_string());
    let gateway = serde_json::from_value(json!({"unit": "gateway.service"})).unwrap();
    fixture.estate.services.insert("gateway".to_owned(), gateway);
    let journal_step = json!({"id": "errors", "name": "Errors", "body": {"action": {
        "kind": "journal", "effect": "read", "spec": {"unit": "gateway.service", "since": "1h", "level": "error"},
    }}});
    let each = json!({"id": "say", "name": "Say {{ item }}", "for_each": "steps.errors.lines", "body": {"action": {
        "kind": "command", "effect": "read", "spec": {"argv": ["printf", "%s", "{{ item }}"]},
    }}});
    let much =
        run("much", "read", &["sh", "-c", "head -c 1048576 /dev/zero | tr '\\0' x; printf '\\033[2J$(touch pwned)'"]);
    let after = run("after", "read", &["printf", "%s", "{{ steps.much.stdout }}"]);
    fixture.start_whole(json!({"steps": [journal_step, each, much, after]})).await;
    assert_eq!(fixture.drive().await, Stop::Over);
    let incident = fixture.incident().await;
    let run = &incident.runs[0];
    let found = run.state(&"errors".parse().unwrap()).unwrap().outcome.clone().unwrap();
    assert_eq!(found.output["matched"], json!(hostile().len() - 1), "{}", found.summary);
    for (index, line) in found.output["lines"].as_array().unwrap().iter().enumerate() {
        let key = format!("say[{index}]").parse().unwrap();
        let printed = run.state(&key).unwrap().outcome.clone().unwrap();
        assert_eq!(printed.output["stdout"].as_str().unwrap(), printable(line.as_str().unwrap()), "{key}");
    }
    assert!(!fixture.directory.path().join("pwned").exists());
    let draft = fs::read_to_string(fixture.directory.path().join(&incident.draft.as_ref().unwrap().path)).unwrap();
    assert_eq!(control(&draft), None);
    assert!(draft.len() < 200 * 1024, "a megabyte does not go into the post-mortem: {}", draft.len());
}
