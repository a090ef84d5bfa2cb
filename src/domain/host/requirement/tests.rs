//! The requirements of a small estate and runbook.

use serde_json::{Value, json};

use super::*;

/// The kinds of these tests, with only the fields that they use.
static FORMS: [KindForm; 3] = [
    KindForm {
        fields: &[crate::domain::config::kind_schema::Field::optional("status", Shape::OneOrMany(&Shape::Unit), "")],
        ..form("systemd")
    },
    KindForm {
        fields: &[crate::domain::config::kind_schema::Field::optional("env", Shape::MapOf(&Shape::Secret), "")],
        ..form("command")
    },
    form("disk"),
];

const fn form(name: &'static str) -> KindForm {
    KindForm {
        name,
        summary: "",
        shorthand: None,
        verbs: &[],
        fields: &[],
        effect: |_| crate::domain::core::effect::EffectClass::Read,
        outputs: &[],
        example: "",
    }
}

fn needs(estate: Value, specs: &[(&str, Value)]) -> Needs {
    let estate: Estate = serde_json::from_value(estate).expect("the test's estate");
    let step = |(at, (kind, spec)): (usize, &(&str, Value))| {
        let action = json!({"kind": kind, "spec": spec, "effect": "read"});
        json!({"id": format!("s{at}"), "name": "S", "body": {"action": action}})
    };
    let steps: Vec<Value> = specs.iter().enumerate().map(step).collect();
    let runbook = json!({
        "id": "drill", "title": "Drill", "severity": "p1", "steps": steps,
        "params": [{"name": "what", "type": "text", "default": "/srv/it"}],
    });
    let runbook: Runbook = serde_json::from_value(runbook).expect("the test's runbook");
    Needs::of(&estate, "live", &[&runbook], &FORMS.iter().collect::<Vec<_>>())
}

fn estate() -> Value {
    json!({
        "estate": "shop",
        "environments": { "live": { "repository": "/srv/shop", "vars": { "env": "/srv/.env", "word": "x" } } },
        "services": { "web": { "unit": "shop-web" } },
        "datastores": { "db": { "kind": "postgres", "url": { "secret": "db_url" } } },
        "channels": { "sms": { "command": { "argv": ["/opt/sms"], "env": { "T": { "secret": "sms" } } } } },
        "page": { "url": "https://runbook.shop.example", "secret": { "secret": "page_key" } },
    })
}

fn names(of: &BTreeMap<String, Users>) -> Vec<&str> {
    of.keys().map(String::as_str).collect()
}

#[test]
fn the_estate_needs_what_it_names() {
    let needs = needs(estate(), &[]);
    assert_eq!(names(&needs.units), ["shop-web.service"]);
    assert_eq!(names(&needs.secrets), ["db_url", "page_key", "sms"]);
    assert!(needs.secrets["page_key"].contains("the incident page"));
    assert_eq!(names(&needs.paths), ["/srv/.env"]);
    assert_eq!(names(&needs.programs), ["/opt/sms", "git"]);
    assert_eq!(names(&needs.repositories), ["/srv/shop"]);
    let there = |name: &str| needs.is_there(name, needs.programs.get(name).unwrap_or_else(|| &needs.paths[name]));
    assert!(there("git") && there("/srv/.env") && !there("/opt/sms"), "a channel's program is started here");
}

#[test]
fn a_command_that_is_one_expression_needs_its_program() {
    let argv = "{{ ['sudo', 'tool', '--now'] if environment.vars.word == 'x' else ['tool'] }}";
    let needs = needs(estate(), &[("command", json!({ "argv": argv }))]);
    assert_eq!(names(&needs.programs), ["/opt/sms", "git", "sudo", "tool"]);
}

#[test]
fn an_expression_that_gives_a_list_needs_each_element() {
    let specs = [("disk", json!({ "path": "{{ ['/', '/var'] }}" })), ("command", json!({ "argv": "{{ ['nmap'] }}" }))];
    let needs = needs(estate(), &specs);
    assert_eq!(names(&needs.paths), ["/", "/srv/.env", "/var"]);
    assert_eq!(names(&needs.programs), ["/opt/sms", "git", "nmap"]);
}

#[test]
fn a_step_needs_what_it_names_unless_the_value_is_known_only_in_a_run() {
    let needs = needs(
        estate(),
        &[
            ("systemd", json!({"status": ["web", "cron", "{{ services.web.unit }}", "shop-*", "{{ steps.a.unit }}"]})),
            (
                "command",
                json!({
                    "argv": ["sudo", "-n", "--", "/opt/deploy.sh", "{{ environment.vars.env }}", "{{ params.what }}", "{{ steps.x }}"],
                    "env": { "KEY": { "secret": "key" } },
                }),
            ),
        ],
    );
    assert_eq!(names(&needs.units), ["cron.service", "shop-web.service"]);
    assert!(needs.units["shop-web.service"].contains("runbook drill"));
    assert!(needs.secrets["key"].contains("runbook drill"));
    assert_eq!(names(&needs.programs), ["/opt/deploy.sh", "/opt/sms", "git", "sudo"]);
    assert_eq!(names(&needs.arguments), ["/srv/.env", "/srv/it"]);
}

#[test]
fn a_runbook_of_another_environment_is_ignored() {
    let estate: Estate = serde_json::from_value(estate()).expect("the test's estate");
    let runbook = json!({
        "id": "drill", "title": "Drill", "severity": "p1", "environments": ["test"],
        "steps": [{"id": "s", "name": "S", "body": {"action": {"kind": "command", "spec": {"argv": ["nmap"]}, "effect": "read"}}}],
    });
    let runbook: Runbook = serde_json::from_value(runbook).expect("the test's runbook");
    let needs = Needs::of(&estate, "live", &[&runbook], &FORMS.iter().collect::<Vec<_>>());
    assert!(!needs.programs.contains_key("nmap"));
}
