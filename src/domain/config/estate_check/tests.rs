//! A valid estate, and mistakes in it one at a time.

use super::*;
use crate::domain::config::estate_schema::pattern::SSH_OPTION;
use crate::domain::config::yaml::fields::list;

const VALID: &str = "\
estate: Shop
default_environment: staging
environments:
  staging: { branch: main, domain: staging.example, vars: { root: /opt } }
  live: { systemd: user }
services:
  gateway: { unit: shop-gateway.service, port: 8000, health: \"http://127.0.0.1:8000/\", criticality: critical, depends_on: [backend] }
  backend: { unit: shop-backend.service }
datastores:
  redis: { kind: redis, unit: redis.service, url: { secret: redis_url } }
channels:
  incidents: { slack: \"#incidents\", token: { secret: slack } }
  hook: { slack_webhook: { secret: slack } }
people:
  ada: { name: Ada, account: ada }
  bob:
roles:
  commander: { summary: Decides., people: [ada] }
  scribe:
secrets:
  slack: { env: SLACK_TOKEN }
  redis_url: { file: /etc/shop/env, key: REDIS_URL }
postmortem: { directory: postmortems }
";

fn problems(text: &str) -> Vec<String> {
    match check(&Source::new("estate.yaml", text)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|p| {
                let help = p.help.as_deref().map(|help| format!(" | {help}")).unwrap_or_default();
                format!("{}:{} {}{help}", p.span.line, p.span.column, p.message)
            })
            .collect(),
    }
}

/// Replaces one text of the valid estate and expects exactly these problems.
#[track_caller]
fn wrong(from: &str, to: &str, expected: &[&str]) {
    assert!(VALID.contains(from), "{from}");
    assert_eq!(problems(&VALID.replacen(from, to, 1)), expected, "{to}");
}

#[test]
fn a_valid_estate_is_read() {
    let estate = check(&Source::new("estate.yaml", VALID)).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(estate.services["gateway"].health.as_deref(), Some("http://127.0.0.1:8000"));
    assert_eq!(estate.services["backend"].ready, "/health/ready");
    assert_eq!(estate.environments["live"].systemd.0, "user");
    assert_eq!(estate.roles["commander"].people, ["ada"]);
    assert_eq!(estate.secrets["redis_url"].key.as_deref(), Some("REDIS_URL"));
}

#[test]
fn every_mistake_is_reported_at_its_place() {
    wrong(
        "default_environment: staging",
        "default_environment: stagin",
        &["2:22 there is no environment `stagin` in this file | Did you mean `staging`?"],
    );
    wrong("criticality: critical", "criticality: hihg", &["7:101 `hihg` is not one of `critical` and `normal`"]);
    wrong(
        "depends_on: [backend]",
        "depends_on: [bakend]",
        &["7:124 there is no service `bakend` in this file | Did you mean `backend`?"],
    );
    wrong("port: 8000", "port: 80000", &["7:48 `80000` is not between 1 and 65535"]);
    wrong("port: 8000", "prot: 8000", &["7:42 unknown key `prot` in a service | Did you mean `port`?"]);
    wrong(
        "token: { secret: slack }",
        "token: xoxb-1",
        &[
            "12:44 the value of a secret does not belong in this file | Declare it under `secrets`, and write `{ secret: <its name> }` here.",
        ],
    );
    wrong(
        "{ secret: redis_url }",
        "{ secret: redis }",
        &["10:61 there is no secret `redis` in this file | Did you mean `redis_url`?"],
    );
    wrong(
        ", token: { secret: slack }",
        "",
        &[
            "12:3 a Slack channel needs the bot's `token` | Write `slack: \"#incidents\"` with `token: { secret: … }`, or `slack_webhook: { secret: … }`.",
        ],
    );
    wrong("people: [ada]", "people: [eve]", &["18:44 there is no person `eve` in this file"]);
    wrong(
        "{ env: SLACK_TOKEN }",
        "{ env: xoxb-secret-value }",
        &["21:17 this is not the name of a variable | Write the variable's name, never its value."],
    );
    wrong(
        "{ env: SLACK_TOKEN }",
        "{}",
        &["21:3 the secret has no source | Give exactly one of `env`, `file` and `credential`."],
    );
    wrong("systemd: user", "systemd: usr", &["5:20 `usr` is no systemd manager | Did you mean `user`?"]);
    wrong("shop-backend.service", "shop-gateway.service", &["8:20 two services have the unit `shop-gateway.service`"]);
    wrong("  bob:", "  ada:", &["16:3 duplicate key `ada` | Take one of the two away."]);
    wrong(
        "estate: Shop",
        "shop: Shop",
        &[
            "1:1 unknown key `shop` in an estate | The keys of an estate are `estate`, `default_environment`, `environments`, `services`, `datastores`, `channels`, `people`, `roles`, `secrets`, `senders`, `postmortem`, `report`, `alerts`, `slack`, `page` and `logs`.",
            "1:1 an estate needs `estate` | Add `estate: …`.",
        ],
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = VALID
        .replace("port: 8000", "port: x")
        .replace("people: [ada]", "people: [eve]")
        .replace("systemd: user", "systemd: 5");
    assert_eq!(problems(&text).len(), 3, "{:?}", problems(&text));
}

#[test]
fn the_key_of_a_family_of_secrets_ends_in_a_star_and_is_of_a_file() {
    let with = |source: &str| VALID.replace("secrets:\n", &format!("secrets:\n  pay: {source}\n"));
    assert_eq!(problems(&with("{ file: /x, key: \"PAY_*\" }")), Vec::<String>::new());
    for wrong in ["{ env: \"PAY_*\" }", "{ file: /x, key: \"*\" }", "{ file: /x, key: \"P*Y\" }"] {
        assert_eq!(problems(&with(wrong)).len(), 1, "{wrong}");
    }
    let used = with("{ file: /x, key: \"PAY_*\" }").replacen("token: { secret: slack }", "token: { secret: pay }", 1);
    assert_eq!(problems(&used), ["12:54 `pay` is a family of secrets, which has no single value"]);
}

/// The problems of the valid estate with these `alerts`.
fn alerts(text: &str) -> Vec<String> {
    problems(&format!("{VALID}alerts: {text}\n"))
}

#[test]
fn the_alert_policy_is_read_and_its_mistakes_are_reported() {
    let whole = "{ environment: live, environment_from: 'labels.stack', service_from: 'labels.app', group_by: [environment, name], \
        window: 10m, resolve_after: 1m, cool_down: 5m, notify: incidents, budget: { at_most: 2, within: 1h }, \
        automatic: [{ action: systemd.restart, of: 'shop-*', environments: [staging] }] }";
    assert_eq!(alerts(whole), Vec::<String>::new());
    for (text, expected) in [
        ("{ environment: liv }", "there is no environment `liv` in this file | Did you mean `live`?"),
        ("{ notify: [incident] }", "there is no channel `incident` in this file | Did you mean `incidents`?"),
        ("{ service_from: label.app }", "`label` is not defined here | Did you mean `labels`?"),
        (
            "{ automatic: [{ action: 'systemd restart' }] }",
            "`systemd restart` is no action | Write a kind and its verb, such as `systemd.restart`.",
        ),
        ("{ budget: { at_most: 0, within: 1h } }", "`0` is not between 1 and 1000"),
        ("{ windw: 5m }", "unknown key `windw` in `alerts` | Did you mean `window`?"),
    ] {
        let problems = alerts(text);
        let messages: Vec<&str> =
            problems.iter().filter_map(|line| line.split_once(' ')).map(|(_, message)| message).collect();
        assert_eq!(messages, [expected], "{text}");
    }
}

#[test]
fn senders_need_an_environment_for_alerts_that_name_none() {
    let senders = "senders: { alertmanager: { auth: { none: true } } }\n";
    let without = VALID.replace("default_environment: staging\n", "");
    let missing = problems(&format!("{without}{senders}"));
    assert!(missing[0].contains("there is no environment for alerts that name none"), "{missing:?}");
    assert_eq!(problems(&format!("{without}{senders}alerts: {{ environment: live }}\n")), Vec::<String>::new());
    assert_eq!(problems(&format!("{VALID}{senders}")), Vec::<String>::new());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_checker_panic(from in 0..VALID.len(), length in 0..40_usize, text in "\\PC{0,12}") {
        let mut mutated = VALID.to_owned();
        let end = (from + length).min(VALID.len());
        if VALID.is_char_boundary(from) && VALID.is_char_boundary(end) {
            mutated.replace_range(from..end, &text);
        }
        let _ = check(&Source::new("estate.yaml", mutated));
    }
}

#[test]
fn a_page_has_a_secure_address_and_a_declared_secret() {
    let page = |keys: &str| problems(&format!("{VALID}page: {{ {keys} }}\n"));
    assert_eq!(page("url: \"https://runbook.shop.example/\", secret: slack"), [""; 0]);
    assert_eq!(page("url: \"http://127.0.0.1:8417\", secret: { secret: slack }"), [""; 0]);
    assert_eq!(
        page("url: \"http://runbook.shop.example\", secret: slack"),
        ["24:14 `http` is only for an address of this machine | Write `https://…`."]
    );
    assert_eq!(
        page("url: \"https://runbook.shop.example/?a=b\", secret: slack"),
        [
            "24:14 a link cannot begin with an address that has a `?` or a `#` | Write the address without them, such as `https://runbook.shop.example`."
        ]
    );
    assert_eq!(page("url: \"https://runbook.shop.example\"").len(), 1);
    assert_eq!(page("url: \"https://runbook.shop.example\", secret: slak").len(), 1);
}

#[test]
fn a_host_is_local_or_a_destination_of_ssh_and_nothing_that_could_be_more() {
    let host = "{ systemd: user }";
    let right = "{ host: { ssh: deploy@web1, port: 2222, options: { proxyjump: bastion }, reaches: 10.0.* }, hosts: { b: local } }";
    let estate = check(&Source::new("estate.yaml", VALID.replacen(host, right, 1))).expect("it is right");
    let ssh = estate.environments["live"].host.ssh().expect("it is far");
    assert_eq!((ssh.to.as_str(), ssh.port, ssh.options["ProxyJump"].as_str()), ("deploy@web1", Some(2222), "bastion"));
    assert!(ssh.reaches("10.0.7.7"));
    let destination = "Write `host` or `user@host`; the port has a key of its own, `port`.";
    for invalid in ["-oProxyCommand=id", "deploy@-web1", "'a b'", "a@b;id", "ssh://web1", "web1:22/x"] {
        let shown = invalid.trim_matches('\'');
        let expected = format!("5:24 `{shown}` is no destination of ssh | {destination}");
        wrong(host, &format!("{{ host: {{ ssh: {invalid} }} }}"), &[&expected]);
    }
    wrong(
        host,
        "{ host: { ssh: w, options: { StrictHostKeyChecking: x, IdentityFil: k, HostName: -x } } }",
        &[
            &format!(
                "5:38 `StrictHostKeyChecking` is no option that an estate may set | These may be set: {}.",
                list(SSH_OPTION.words)
            ),
            "5:64 `IdentityFil` is no option that an estate may set | Did you mean `IdentityFile`?",
            "5:90 this cannot be a value of `HostName`",
        ],
    );
    wrong(
        host,
        "{ host: web1 }",
        &["5:17 `web1` is no host | Write `local`, or `{ ssh: deploy@host }` for one that is reached by SSH."],
    );
    wrong(host, "{ host: { ssh: w, prt: 1 } }", &["5:27 unknown key `prt` in a host | Did you mean `port`?"]);
    wrong(
        host,
        "{ hosts: { local: { ssh: w } } }",
        &["5:20 `local` is always this machine, so no further host can have the name | Give the host another name."],
    );
}

#[test]
fn the_estate_may_set_the_fields_of_traces() {
    let with = |logs: &str| check(&Source::new("estate.yaml", format!("{VALID}logs: {logs}\n")));
    let logs = with("{ trace: dd.trace_id, span: [dd.span_id, spanId] }").expect("it is right").logs;
    assert_eq!(
        (logs.trace, logs.span),
        (vec!["dd.trace_id".to_owned()], vec!["dd.span_id".to_owned(), "spanId".to_owned()])
    );
    assert!(logs.parent.contains(&"parentSpanId".to_owned()), "a field that is left out has its default");
    assert_eq!(problems(&format!("{VALID}logs: {{ spam: x }}\n")).len(), 1);
}

#[test]
fn a_channel_has_one_route_and_only_its_keys() {
    let channel = "{ slack_webhook: { secret: slack } }";
    let two = "Make two channels of it, and name the second in `fallback` of the first.";
    wrong(
        channel,
        "{}",
        &[
            "13:3 the channel has no route | Give exactly one of `slack`, `slack_webhook`, `email`, `webhook` and `command`.",
        ],
    );
    wrong(
        channel,
        "{ slack_webhook: { secret: slack }, command: [x] }",
        &[&format!("13:45 the channel has two routes, `slack_webhook` and `command` | {two}")],
    );
    wrong(
        channel,
        "{ slack_webhook: { secret: slack }, api: 'https://x' }",
        &["13:3 `slack_webhook` takes no `token` and no `api` | Remove them; they belong to `slack`."],
    );
    wrong(channel, "{ command: [] }", &["13:20 no program is given"]);
    wrong(channel, "{ command: { env: { A: x } } }", &["13:22 `command` needs `argv` | Add `argv: …`."]);
    wrong(channel, "{ command: [x], fallback: [hook] }", &["13:36 a channel cannot be its own fallback"]);
    wrong(
        channel,
        "{ command: { argv: [x], env: { 1A: { secret: slak } } } }",
        &[
            "13:40 this is not the name of a variable",
            "13:54 there is no secret `slak` in this file | Did you mean `slack`?",
        ],
    );
}

#[test]
fn email_has_recipients_with_addresses_and_an_encrypted_connection() {
    let channel = "{ slack_webhook: { secret: slack } }";
    let email = |keys: &str| format!("{{ email: {{ from: a@x, {keys} }} }}");
    wrong(
        channel,
        &email("to: bob, server: mx"),
        &["13:35 `bob` has no `email` in this file | Add it to the person, or write the address here."],
    );
    wrong(
        channel,
        &email("to: b@, server: mx"),
        &["13:35 `b@` is no e-mail address | Write only the address, such as `oncall@shop.example`."],
    );
    wrong(channel, &email("to: [], server: mx"), &["13:35 an e-mail has 1 to 50 recipients, this one has 0"]);
    wrong(
        channel,
        &email("to: b@y, server: mx, tls: none"),
        &["13:57 `tls: none` is only for a server on this machine | Write `tls: starttls` or `tls: implicit`."],
    );
    wrong(
        channel,
        &email("to: b@y, server: mx, user: u"),
        &["13:52 an account needs both `user` and `password` | Give both, or neither."],
    );
    let text = VALID.replacen(channel, &email("to: b@y, server: localhost, tls: none"), 1);
    let estate = check(&Source::new("estate.yaml", text)).expect("it is right");
    assert_eq!(estate.channels["hook"].email.as_ref().expect("it has one").port, 25, "the port goes with `tls`");
}

#[test]
fn an_estate_without_environments_is_refused() {
    for text in ["environments: {}", "environments:"] {
        let problems = problems(&format!("estate: Shop\n{text}\n"));
        assert!(
            problems.len() == 1 && problems[0].ends_with("an estate needs at least one environment"),
            "{problems:?}"
        );
    }
}

#[test]
fn every_default_of_the_table_has_the_shape_of_its_field_and_its_normal_form() {
    for field in ESTATE.sections().into_iter().flat_map(|section| section.fields) {
        let Some(default) = field.default else { continue };
        let source = Source::new(field.name, default);
        let node = reader::read(&source).expect("it is YAML");
        let names = Names::of(&node);
        let mut checker = EstateChecker { report: FileProblems::new(&source), names, hidden: BTreeSet::new() };
        let value = checker.shaped(&node, &field.shape);
        assert!(checker.report.problems.is_empty(), "{default}: {:?}", checker.report.problems);
        assert_eq!(value, node.to_json(), "{}", field.name);
    }
}

/// The structs have defaults too, because the estate of an old incident may lack fields.
#[test]
fn the_defaults_of_the_table_are_those_of_the_structs() {
    let text = r#"{
        "estate": "Shop", "environments": {"staging": {}}, "services": {"gateway": {"unit": "a.service"}}, "alerts": {},
        "channels": {"incidents": {"slack": "x", "token": {"secret": "key"}}}, "secrets": {"key": {"env": "KEY"}},
        "slack": {"channel": "incidents", "app_token": {"secret": "key"}}
    }"#;
    let checked = check(&Source::new("estate.yaml", text)).expect("it is right");
    assert_eq!(checked, serde_json::from_str(text).expect("it is an estate"));
}
