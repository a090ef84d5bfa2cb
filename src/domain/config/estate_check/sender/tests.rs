//! Valid senders, and mistakes one at a time.

use crate::domain::config::estate::Estate;
use crate::domain::config::estate_check::check;
use crate::domain::config::sender::{Auth, SenderFormat};
use crate::domain::config::yaml::reader;
use crate::domain::core::diagnostic::Source;
use crate::domain::core::severity::Severity;
use crate::domain::runbook::json_schema;

const HEAD: &str = "\
estate: Shop
default_environment: staging
environments: { staging: { branch: main }, live: { branch: live }, twin: { branch: live } }
secrets: { key: { env: KEY }, old: { env: OLD }, pay: { file: /x, key: 'PAY_*' } }
senders:
";

const SENDERS: &str = "  alertmanager: { auth: { bearer: { secret: [key, old] } }, catch_up: 'http://127.0.0.1:9093/', severities: { Sev1: p1 } }
  peer: { form: alertmanager, auth: { basic: { user: am, password: { secret: key } } }, environment: live }
  grafana: { auth: { grafana: { secret: key, timestamp_header: X-Time } } }
  sns: { topics: 'arn:aws:sns:eu-west-1:123456789012:alarms', certificate: sns.pem }
  raw: { form: sns, auth: { header: { name: X-Token, secret: key } } }
  github: { auth: { github: { secret: key } }, workflows: { deploy.yml: { failure: failed, success: done, environment: live } } }
  pagerduty: { auth: { standard: { secret: key } } }
  nagios:
    auth: { none: true }
    mapping:
      each: body.alerts
      name: item.title
      summary: body.title ~ item.text
      status: { value: item.state, firing: [2, Critical], resolved: ok }
      labels: item.labels
      annotations: { host: item.host }
";

fn estate(senders: &str) -> Result<Estate, Vec<String>> {
    let source = Source::new("estate.yaml", format!("{HEAD}{senders}"));
    check(&source).map_err(|problems| {
        let line = |p: &crate::domain::core::diagnostic::Problem| {
            let help = p.help.as_deref().map(|help| format!(" | {help}")).unwrap_or_default();
            format!("{}:{} {}{help}", p.span.line - 5, p.span.column, p.message)
        };
        problems.iter().map(line).collect()
    })
}

/// Expects exactly these problems of an estate with this sender.
#[track_caller]
fn wrong(sender: &str, expected: &[&str]) {
    assert_eq!(estate(sender).err().unwrap_or_default(), expected, "{sender}");
}

#[test]
fn senders_of_every_form_are_read() {
    let estate = estate(SENDERS).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let senders = &estate.senders;
    assert_eq!(senders["alertmanager"].auth, Auth::Bearer { secrets: vec!["key".into(), "old".into()] });
    assert_eq!(senders["alertmanager"].catch_up.as_deref(), Some("http://127.0.0.1:9093"));
    assert_eq!(senders["alertmanager"].severity(" SEV1"), Some(Severity::P1), "a name of the sender");
    assert_eq!(senders["alertmanager"].severity("Warning"), Some(Severity::P3), "a known name");
    assert_eq!(senders["peer"].auth, Auth::Basic { user: "am".into(), secrets: vec!["key".into()] });
    let grafana = Auth::Grafana { secrets: vec!["key".into()], timestamp_header: Some("x-time".into()) };
    assert_eq!(senders["grafana"].auth, grafana);
    assert_eq!((senders["sns"].form, &senders["sns"].auth), (SenderFormat::Sns, &Auth::Sns));
    assert!(senders["raw"].auth.is_in_headers() && !senders["sns"].auth.is_in_headers());
    assert_eq!(senders["github"].branches, [("main".into(), "staging".into())].into(), "`live` has two environments");
    let mapping = senders["nagios"].mapping.as_ref().expect("it has one");
    assert_eq!(mapping.status.as_ref().expect("it has one").firing, ["2", "critical"]);
    assert!(mapping.recurs && senders["nagios"].auth.is_open());
}

#[test]
fn senders_are_the_same_after_they_were_written_and_read() {
    let estate = estate(SENDERS).expect("it is right");
    let text = serde_json::to_string(&estate).expect("it can be written");
    assert_eq!(serde_json::from_str::<Estate>(&text).expect("it can be read"), estate);
}

#[test]
fn the_schema_agrees_with_the_checker() {
    let source = Source::new("estate.yaml", format!("{HEAD}{SENDERS}"));
    let instance = reader::read(&source).expect("it is YAML").to_json();
    let schema = jsonschema::draft202012::new(&json_schema::estate()).expect("the schema compiles");
    let errors: Vec<String> =
        schema.iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    for wrong in
        ["  x: { auth: {} }\n", "  x: { auth: { bearer: { secret: a }, none: true } }\n", "  x: { from: sns }\n"]
    {
        let source = Source::new("estate.yaml", format!("{HEAD}{wrong}"));
        assert!(!schema.is_valid(&reader::read(&source).expect("it is YAML").to_json()), "{wrong}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of mistakes and their messages")]
fn every_mistake_in_a_sender_is_reported_at_its_place() {
    wrong(
        "  x: { auth: { none: true } }\n",
        &[
            "1:3 the sender has no `form` | Give it a `form`, one of `alertmanager`, `grafana`, `sns`, `github`, `pagerduty` and `mapping`.",
        ],
    );
    wrong(
        "  grafana: { atuh: { none: true } }\n",
        &[
            "1:3 the sender has no authentication | Add `auth: { bearer: { secret: … } }`, or another key of `auth`.",
            "1:14 unknown key `atuh` in a sender | Did you mean `auth`?",
        ],
    );
    wrong(
        "  grafana: { auth: { bearer: { secret: kye } } }\n",
        &["1:40 there is no secret `kye` in this file | Did you mean `key`?"],
    );
    wrong(
        "  grafana: { auth: { bearer: hunter2 } }\n",
        &[
            "1:30 the value of a secret does not belong in this file | Declare it under `secrets`, and write `{ secret: <its name> }` here.",
        ],
    );
    wrong("  grafana: { auth: { bearer: { secret: [] } } }\n", &["1:40 expected 1 to 4 secrets"]);
    wrong(
        "  grafana: { auth: { bearer: { secret: pay } } }\n",
        &["1:40 `pay` is a family of secrets, which has no single value"],
    );
    wrong(
        "  grafana: { auth: { bearer: { secret: key }, none: true } }\n",
        &["1:47 the sender has two kinds of authentication, `bearer` and `none`"],
    );
    wrong("  grafana: { auth: { none: false } }\n", &["1:28 `none` is either `true` or left out"]);
    wrong(
        "  grafana: { auth: { none: true }, environment: lvie }\n",
        &["1:49 there is no environment `lvie` in this file | Did you mean `live`?"],
    );
    wrong(
        "  grafana: { auth: { none: true }, catch_up: 'http://x' }\n",
        &["1:36 only a sender of the form `alertmanager` has `catch_up`"],
    );
    wrong("  sns: {}\n", &["1:3 a sender of the form `sns` needs `topics` | Add `topics: …`."]);
    wrong("  sns: { topics: [] }\n", &["1:18 no topic is given | Name at least one."]);
    wrong(
        "  sns: { topics: 'arn:aws:sqs:x:1:a' }\n",
        &[
            "1:18 `arn:aws:sqs:x:1:a` is not the ARN of a topic | Write it whole, such as `arn:aws:sns:eu-west-1:123456789012:alarms`.",
        ],
    );
    wrong(
        "  github: { auth: { github: { secret: key } } }\n",
        &["1:3 a sender of the form `github` needs `workflows` | Add `workflows: …`."],
    );
    wrong(
        "  github: { auth: { github: { secret: key } }, workflows: { a.yml: {}, deploy: { failure: X } } }\n",
        &[
            "1:61 no run of the workflow becomes an alert | Give it `failure: <name of the alert>`, `success: …`, or both.",
            "1:72 `deploy` is not the file of a workflow | Write its name below `.github/workflows`, such as `deploy.yml`.",
            "1:91 `X` is not a name | Use a lower-case letter, then lower-case letters, digits, `-` and `_`; at most 64.",
        ],
    );
    wrong(
        "  x: { auth: { none: true }, mapping: { firing: bdy.id, name: 'body.x |' } }\n",
        &[
            "1:49 `bdy` is not defined here | Did you mean `body`?",
            "1:71 syntax error: unexpected end of input, expected identifier",
        ],
    );
    wrong(
        "  x: { auth: { none: true }, mapping: { name: item.x } }\n",
        &["1:47 `item` is not defined here | Only `body` can be used here."],
    );
    wrong(
        "  x: { auth: { none: true }, mapping: { name: '{{ body.x }}' } }\n",
        &["1:47 an expression stands without `{{` and `}}` | Write `body.x`."],
    );
}
