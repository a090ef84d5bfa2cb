//! The checker from outside: a runbook goes in, a list of places, messages and remedies comes out.

use super::*;
use crate::domain::effect::EffectClass;
use crate::domain::form::{Field, Output, Shape, Verb};
use crate::domain::runbook::{Body, DeadlineFrom, OnFailure, ParamKind};
use crate::domain::time::Span as Length;

const fn verb(name: &'static str, shape: Shape, effect: EffectClass) -> Verb {
    Verb { field: Field::optional(name, shape, "Does it."), effect }
}

fn by_verb(spec: &serde_json::Value, form: &KindForm) -> EffectClass {
    form.verbs.iter().find(|verb| spec.get(verb.field.name).is_some()).map_or(EffectClass::Once, |verb| verb.effect)
}

static SYSTEMD: KindForm = KindForm {
    name: "systemd",
    summary: "Units.",
    shorthand: None,
    verbs: &[
        verb("status", Shape::OneOrMany(&Shape::Unit), EffectClass::Read),
        verb("restart", Shape::Unit, EffectClass::Once),
        verb("stop", Shape::Unit, EffectClass::Repeatable),
    ],
    fields: &[Field::optional("settle", Shape::Duration, "How long to watch.")],
    effect: |spec| by_verb(spec, &SYSTEMD),
    outputs: &[Output { name: "units", help: "Each unit." }],
    example: "systemd: { status: x }",
};

static HEALTH: KindForm = KindForm {
    name: "health",
    summary: "Services.",
    shorthand: Some("service"),
    verbs: &[],
    fields: &[
        Field::optional("service", Shape::Service, "Which."),
        Field::optional("ready", Shape::Boolean, "Readiness too."),
        Field::optional("tries", Shape::Integer { min: 1, max: 9 }, "How often."),
        Field::optional("mode", Shape::OneOf(&["fast", "slow"]), "How."),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[],
    example: "health: gateway",
};

static COMMAND: KindForm = KindForm {
    name: "command",
    summary: "A program.",
    shorthand: Some("argv"),
    verbs: &[],
    fields: &[
        Field::required("argv", Shape::ListOf(&Shape::Text), "The program and its arguments."),
        Field::optional("env", Shape::MapOf(&Shape::Secret), "The environment."),
    ],
    effect: |_| EffectClass::Once,
    outputs: &[Output { name: "<name>", help: "Anything." }],
    example: "command: [uptime]",
};

static SHELL: KindForm = KindForm {
    name: "shell",
    summary: "A script.",
    shorthand: Some("script"),
    verbs: &[],
    fields: &[Field::required("script", Shape::Script, "The script.")],
    effect: |_| EffectClass::Once,
    outputs: &[],
    example: "shell: uptime",
};

static NOTIFY: KindForm = KindForm {
    name: "notify",
    summary: "A message.",
    shorthand: None,
    verbs: &[],
    fields: &[
        Field::required("to", Shape::OneOrMany(&Shape::Channel), "The channels."),
        Field::required("message", Shape::Text, "The text."),
        Field::optional("meets", Shape::Text, "The deadline."),
    ],
    effect: |_| EffectClass::Repeatable,
    outputs: &[],
    example: "notify: { to: incidents, message: x }",
};

static SET: KindForm = KindForm {
    name: "set",
    summary: "Values.",
    shorthand: Some("values"),
    verbs: &[],
    fields: &[Field::required("values", Shape::MapOf(&Shape::Any), "The values.")],
    effect: |_| EffectClass::Read,
    outputs: &[Output { name: "<name>", help: "Each value." }],
    example: "set: { a: 1 }",
};

pub(in crate::domain) static FORMS: &[&KindForm] = &[&SYSTEMD, &HEALTH, &COMMAND, &SHELL, &NOTIFY, &SET];

pub(in crate::domain) const ESTATE: &str = "\
estate: Shop
environments:
  staging: { branch: main, vars: { root: /opt } }
services:
  gateway: { unit: shop-gateway.service }
  backend: { unit: shop-backend.service }
channels:
  incidents: { slack_webhook: { secret: hook } }
roles: { commander: }
secrets: { hook: { env: HOOK } }
";

fn checked(text: &str) -> (Source, Result<Runbook, Vec<Problem>>) {
    let estate = crate::domain::estate_check::check(&Source::new("estate.yaml", ESTATE)).expect("the estate is right");
    let runbooks = ["p1".to_owned(), "p2".to_owned(), "failover".to_owned()];
    let world = World { estate: Some(&estate), forms: FORMS, runbooks: &runbooks };
    let source = Source::new("runbooks/p1.yaml", text);
    let result = check(&source, &world);
    (source, result)
}

/// The problems of a text, one a line: `line:column message | remedy`.
fn said(text: &str) -> Vec<String> {
    match checked(text).1 {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|problem| {
                let help = problem.help.as_deref().map(|help| format!(" | {help}")).unwrap_or_default();
                format!("{}:{} {}{help}", problem.span.line, problem.span.column, problem.message)
            })
            .collect(),
    }
}

pub(in crate::domain) const HEAD: &str = "runbook: p1\ntitle: Down\nseverity: p1\nsteps:\n";

/// Checks steps under a head of four lines: the first line of `steps` is line 5.
#[track_caller]
fn steps(steps: &str, expected: &[&str]) {
    assert_eq!(said(&format!("{HEAD}{steps}")), expected, "\n{steps}");
}

#[track_caller]
fn whole(text: &str, expected: &[&str]) {
    assert_eq!(said(text), expected, "\n{text}");
}

pub(in crate::domain) const FULL: &str = r##"runbook: p1
title: Live platform down
severity: p1
summary: Customers cannot use the shop.
environments: [staging]
deadlines:
  notify:     { within: 15m, from: opened, warn_at: 10m, fallback_at: 13m }
  postmortem: { within: 24h, from: resolved }
params:
  service: { type: service, default: gateway, help: The first suspect }
  mode:    { type: choice, choices: [fast, slow] }
steps:
  - phase: identify
    parallel:
      - id: board
        name: State of every unit
        systemd: { status: "shop-*" }
      - name: Is it alive?
        health: "{{ params.service }}"
  - id: cause
    phase: assess
    name: Infrastructure or code?
    ask:
      choices: [infrastructure, code]
      suggest: "{{ 'code' if steps.board.units else 'infrastructure' }}"
      auto: true
  - id: rollback
    phase: mitigate
    when: steps.cause.answer == 'code'
    name: Restart on {{ environment.branch }}
    why: Because.
    approve: { by: [commander] }
    timeout: 2m
    retry: { attempts: 3, backoff: 10s, if: outcome.verdict == 'failed' }
    systemd: { restart: "{{ services[params.service].unit }}" }
    verify: { health: { service: "{{ params.service }}" }, within: 5m, hold: 30s }
    undo: { systemd: { stop: shop-gateway } }
    on_failure: stop
  - id: each
    for_each: [gateway, backend]
    health: { service: "{{ item }}" }
    until: succeeded
  - wait: 30s
  - start: { runbook: p2, params: { service: "{{ params.service }}" } }
  - manual: Look at it.
  - notify: { to: [incidents], message: "{{ incident.title }}", meets: notify }
finally:
  - id: last
    set:
      cause: "{{ steps.cause.answer }}"
  - shell: |
      printf '%s\n' "{{ params.service }}"
    effect: read
"##;

#[test]
fn a_whole_runbook_is_lowered() {
    let runbook = checked(FULL).1.unwrap_or_else(|_| panic!("{:#?}", said(FULL)));
    assert_eq!(runbook.deadlines[1].from, DeadlineFrom::Resolved);
    assert_eq!(runbook.params[1].kind, ParamKind::Choice(vec!["fast".to_owned(), "slow".to_owned()]));
    let ids: Vec<&str> = runbook.all_steps().iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "step",
            "board",
            "is_it_alive",
            "cause",
            "rollback",
            "each",
            "step_2",
            "step_3",
            "step_4",
            "step_5",
            "last",
            "step_6"
        ]
    );
    let rollback = runbook.step("rollback").expect("rollback");
    assert_eq!(rollback.effect(), EffectClass::Once);
    assert_eq!(rollback.on_failure, OnFailure::Stop);
    assert_eq!(
        rollback.verify.as_ref().map(|verify| (verify.within, verify.hold)),
        Some((Length::seconds(300), Length::seconds(30)))
    );
    assert_eq!(runbook.steps[7].meets.as_deref(), Some("notify"));
    assert_eq!(runbook.step("each").and_then(|step| step.for_each.as_deref()), Some(r#"["gateway","backend"]"#));
    let Body::Action(script) = &runbook.finally[1].body else { panic!("an action") };
    assert_eq!((script.scripts.as_slice(), script.effect), (&["script".to_owned()][..], EffectClass::Read));
    let again: Runbook = serde_json::from_value(serde_json::to_value(&runbook).expect("writes")).expect("reads");
    assert_eq!(again, runbook);
}

#[test]
fn the_head_is_checked() {
    whole(
        "runbok: p1\n",
        &[
            "1:1 unknown key `runbok` in a runbook | Did you mean `runbook`?",
            "1:1 a runbook needs `runbook` | Add `runbook: …`.",
            "1:1 a runbook needs `title` | Add `title: …`.",
            "1:1 a runbook needs `severity` | Add `severity: …`.",
            "1:1 a runbook needs `steps` | Add `steps: …`.",
        ],
    );
    whole(
        "runbook: p9\ntitle: x\nseverity: P1\nsteps: []\n",
        &[
            "1:10 the runbook is called `p9` and its file `p1.yaml` | Rename one of the two: the file to `p9.yaml`, or write `runbook: p1`.",
            "3:11 `P1` is not one of `p1`, `p2`, `p3` and `p4` | Did you mean `p1`?",
            "4:8 a runbook without steps does nothing",
        ],
    );
    whole("- a\n", &["1:1 expected a runbook, found a list"]);
    whole(
        "runbook: p1\ntitle: 5\nseverity: p1\nenvironments: [stagin]\nsteps: [{ wait: 5s }]\n",
        &[
            "2:8 expected text, found the number `5` | Put it in quotes.",
            "4:16 there is no environment `stagin` in the estate | Did you mean `staging`?",
        ],
    );
}

#[test]
fn a_step_has_exactly_one_body() {
    steps(
        "  - name: x\n",
        &[
            "5:5 the step does nothing | Give it exactly one of `ask`, `manual`, `wait`, `parallel`, `start`, `systemd`, `health`, `command`, `shell`, `notify` and `set`.",
        ],
    );
    steps(
        "  - health: gateway\n    wait: 5s\n",
        &["6:5 the step does two things, `health` and `wait` | Make two steps of it."],
    );
    steps("  - sytemd: { status: x }\n", &["5:5 unknown kind `sytemd` | Did you mean `systemd`?"]);
    steps("  - health: gateway\n    wehn: 'true'\n", &["6:5 unknown key `wehn` in a step | Did you mean `when`?"]);
    steps(
        "  - systemd: {}\n",
        &["5:5 `systemd` is not told what to do | Give exactly one of `status`, `restart` and `stop`."],
    );
    steps(
        "  - systemd: { status: shop-gateway, stop: shop-gateway }\n    verify: { health: gateway }\n",
        &["5:38 `systemd` is told to do two things, `status` and `stop` | Make two steps of it."],
    );
    steps("  - wait: 5s\n    wait: 6s\n", &["6:5 the key `wait` is there twice | Take one of the two away."]);
}

#[test]
fn names_of_the_estate_are_checked() {
    steps("  - health: gatway\n", &["5:13 there is no service `gatway` in the estate | Did you mean `gateway`?"]);
    steps(
        "  - systemd: { status: shop-gatewy }\n",
        &["5:24 the unit `shop-gatewy` is not in the estate | Did you mean `shop-gateway`?"],
    );
    steps(
        "  - systemd: { status: [shop-backend.service, nginx] }\n",
        &[
            "5:47 the unit `nginx` is not in the estate | Runbooks act only on units that a service or datastore of the estate names.",
        ],
    );
    steps("  - systemd: { status: 'shp-*' }\n", &["5:24 the pattern `shp-*` matches no unit of the estate"]);
    steps(
        "  - notify: { to: [incident], message: x }\n",
        &["5:20 there is no channel `incident` in the estate | Did you mean `incidents`?"],
    );
    steps(
        "  - ask: [a]\n    name: x\n    approve: comander\n",
        &[
            "7:5 `approve` does not go with `ask` | Take it away, or put it on another step; `ask` would not heed it.",
            "7:14 there is no role `comander` in the estate | Did you mean `commander`?",
        ],
    );
    steps(
        "  - command: { argv: [x], env: { A: { secret: hok } } }\n    effect: read\n",
        &["5:47 there is no secret `hok` in the estate | Did you mean `hook`?"],
    );
    steps("  - start: p3\n", &["5:12 there is no runbook `p3` | The runbooks are `p1`, `p2` and `failover`."]);
    steps(
        "  - start: p1\n",
        &["5:12 a runbook cannot start itself | Use `for_each` or `retry` to do something again."],
    );
}

#[test]
fn references_are_checked_with_their_place() {
    steps(
        "  - health: '{{ params.servce }}'\n",
        &["5:17 there is no param `servce` | Declare it under `params`: `servce: { type: text }`."],
    );
    steps("  - health: '{{ parms.x }}'\n", &["5:17 `parms` is not defined | Did you mean `params`?"]);
    steps(
        "  - id: a\n    wait: 5s\n  - when: steps.b.answer\n    wait: 5s\n  - id: b\n    name: x\n    ask:\n",
        &[
            "7:11 step `b` has not run yet at this place | Move the step that uses it behind it; steps inside one `parallel` do not see each other.",
        ],
    );
    steps(
        "  - id: cause\n    name: x\n    ask: [code]\n  - when: steps.cuase.answer == 'code'\n    wait: 5s\n",
        &["8:11 there is no step `cuase` | Did you mean `cause`?"],
    );
    steps(
        "  - id: cause\n    name: x\n    ask: [code, ops]\n  - when: steps.cause.answer == 'cod'\n    wait: 5s\n",
        &["8:33 `cod` is not a choice of step `cause` | Did you mean `code`?"],
    );
    steps(
        "  - parallel:\n      - id: a\n        health: gateway\n      - id: b\n        when: steps.a.status\n        health: gateway\n",
        &[
            "9:15 step `a` has not run yet at this place | Move the step that uses it behind it; steps inside one `parallel` do not see each other.",
        ],
    );
    steps(
        "  - id: a\n    systemd: { status: shop-gateway }\n  - when: steps.a.unist\n    wait: 5s\n",
        &["7:11 step `a` leaves no `unist` | Did you mean `units`?"],
    );
    steps(
        "  - manual: |\n      one\n      two {{ item }} three\n",
        &["7:14 `item` exists only in a step with `for_each`"],
    );
    steps(
        "  - manual: >-\n      é one\n      {{ secrets.hook }}\n",
        &[
            "7:10 secrets cannot be interpolated | Give `{secret: name}` to a field that takes a secret, such as an entry of `env`.",
        ],
    );
    steps(
        "  - manual: \"a \\\"q\\\" {{ environment.vars.rot }}\"\n",
        &["5:25 no environment of the estate has the variable `rot` | Did you mean `root`?"],
    );
    steps("  - manual: '{{ environment.brnch }}'\n", &["5:17 an environment has no `brnch` | Did you mean `branch`?"]);
    steps(
        "  - manual: '{{ services.gatewy.unit }}'\n",
        &["5:17 there is no service `gatewy` in the estate | Did you mean `gateway`?"],
    );
    steps(
        "  - id: a-b\n    wait: 5s\n  - when: steps.a-b.status\n    wait: 5s\n",
        &[
            "7:11 there is no step `a` | Write `steps[\"a-b\"]`, or use `_` in its id.",
            "7:19 `b` is not defined | Templates may refer to `params`, `environment`, `estate`, `services`, `datastores`, `steps`, `incident` and `run`.",
        ],
    );
    steps(
        "  - health: gateway\n    until: params.x\n",
        &["6:12 `params` is not defined here | This condition sees only `output`, `summary` and `succeeded`."],
    );
}

#[test]
fn template_syntax_is_checked_with_its_place() {
    steps(
        "  - manual: |\n      one\n      two {{ a b }}\n",
        &["7:16 syntax error: unexpected identifier, expected end of variable block"],
    );
    steps(
        "  - manual: 'x {{ y'\n",
        &["5:16 `{{` is never closed | Close it, or write `{{ '{{' }}` for the characters themselves."],
    );
    steps("  - manual: '{{ params | uper }}'\n", &["5:26 unknown filter `uper` | Did you mean `upper`?"]);
    steps(
        "  - when: '{{ steps }}'\n    wait: 5s\n",
        &["5:11 an expression stands without `{{` and `}}` | Write `steps`."],
    );
    steps("  - when: a ==\n    wait: 5s\n", &["5:13 syntax error: unexpected end of input, expected expression"]);
}

#[test]
fn changes_must_be_verified_and_readings_repeated() {
    steps(
        "  - systemd: { restart: shop-gateway }\n",
        &[
            "5:5 `systemd` changes something here, and the step has no `verify` | Add a reading that shows that it worked, such as `verify: { health: { service: … }, within: 5m }`.",
        ],
    );
    steps("  - notify: { to: incidents, message: x }\n", &[]);
    steps(
        "  - systemd: { restart: shop-gateway }\n    verify: { systemd: { stop: shop-gateway } }\n",
        &[
            "6:15 a check only reads, and `systemd` changes something here | Use a reading such as `health`, or add `effect: read` if this command only reads.",
        ],
    );
    steps("  - systemd: { restart: shop-gateway }\n    verify: { command: [x], effect: read }\n", &[]);
    steps(
        "  - systemd: { restart: shop-gateway }\n    verify: { health: gateway }\n    until: succeeded\n",
        &[
            "7:5 `until` repeats a reading, and `systemd` changes something here | Use `verify` to wait for a change to take effect, or `retry` to try it again.",
        ],
    );
    steps(
        "  - systemd: { restart: shop-gateway }\n    effect: read\n",
        &[
            "5:5 `systemd` changes something here, and the step has no `verify` | Add a reading that shows that it worked, such as `verify: { health: { service: … }, within: 5m }`.",
            "6:13 `systemd` knows that this is `once` | Take `effect` away.",
        ],
    );
    steps(
        "  - systemd: { restart: shop-gateway }\n    verify: {}\n",
        &[
            "6:13 `verify` names no action | Give exactly one of `systemd`, `health`, `command`, `shell`, `notify` and `set`.",
        ],
    );
}

#[test]
fn deadlines_need_a_step_that_meets_them() {
    let text = |deadlines: &str, step: &str| {
        format!("runbook: p1\ntitle: x\nseverity: p1\ndeadlines:\n{deadlines}steps:\n{step}")
    };
    whole(
        &text("  notify: { within: 15m }\n", "  - wait: 5s\n"),
        &["5:3 no step meets the deadline `notify` | Write `meets: notify` in the step whose success keeps it."],
    );
    whole(&text("  postmortem: { within: 15m, from: resolved }\n", "  - wait: 5s\n"), &[]);
    whole(
        &text("  notify: { within: 15m }\n", "  - wait: 5s\n    meets: notfy\n"),
        &[
            "5:3 no step meets the deadline `notify` | Write `meets: notify` in the step whose success keeps it.",
            "8:12 there is no deadline `notfy` | Did you mean `notify`?",
        ],
    );
    whole(
        &text("  post: { within: 1h, from: resolved }\n", "  - wait: 5s\n    meets: post\n"),
        &[
            "8:12 no step can meet `post`: it runs after the incident is resolved | Take `meets` away: completing the post-mortem meets it.",
        ],
    );
    whole(
        &text("  notify: { within: 15, warn_at: 20m }\n", "  - wait: 5s\n    meets: notify\n"),
        &["5:21 a length of time needs a unit | Write `15s` for seconds or `15m` for minutes."],
    );
    whole(
        &text("  notify: { within: 15m, warn_at: 20m }\n", "  - wait: 5s\n    meets: notify\n"),
        &[
            "5:35 `warn_at` comes after the deadline itself | It is counted from the same instant as `within` and must be the shorter.",
        ],
    );
}

#[test]
fn values_are_held_against_their_shapes() {
    steps(
        "  - health: { service: gateway, ready: yes, tries: 10, mode: fats }\n",
        &[
            "5:40 expected `true` or `false`, found `yes` | Write `true`.",
            "5:52 `10` is not between 1 and 9",
            "5:62 `fats` is not one of `fast` and `slow` | Did you mean `fast`?",
        ],
    );
    steps("  - health: { tries: '3' }\n", &["5:22 expected a whole number, found text | Take the quotes away."]);
    steps("  - notify: { to: incidents }\n", &["5:15 `notify` needs `message` | Add `message: …`: The text."]);
    steps("  - systemd: { status: shop-gateway, settle: 5 min }\n", &[]);
    steps(
        "  - systemd: { status: shop-gateway, settle: soon }\n",
        &["5:46 `soon` is not a length of time | Write a number and a unit, such as `90s`, `15m` or `24h`."],
    );
    steps("  - command: uptime\n    effect: read\n", &["5:14 expected a list, found text"]);
    steps(
        "  - wait: 5s\n    retry: { attempts: 0 }\n",
        &[
            "6:5 `retry` does not go with `wait` | Take it away, or put it on another step; `wait` would not heed it.",
            "6:24 `0` is not between 1 and 100",
        ],
    );
    steps(
        "  - wait: 5s\n    on_failure: contineu\n",
        &["6:17 `contineu` is not one of `ask`, `stop` and `continue` | Did you mean `continue`?"],
    );
    steps(
        "  - id: A b\n    wait: 5s\n",
        &[
            "5:9 `A b` is not a name | Use a lower-case letter, then lower-case letters, digits, `-` and `_`; at most 64.",
        ],
    );
    steps(
        "  - id: a\n    wait: 5s\n  - id: a\n    wait: 5s\n",
        &["7:9 two steps are called `a` | Give one of them another id."],
    );
    steps("  - ask: [a, b]\n", &["5:5 a question needs `name`, which is what is asked | Add `name: …?` to the step."]);
    steps(
        "  - name: x\n    ask: { choices: [a, b, a], suggest: c, auto: true }\n",
        &["6:28 the choice `a` is there twice", "6:41 `c` is not one of the choices | The choices are `a` and `b`."],
    );
    steps(
        "  - name: x\n    ask: { choices: [a], auto: true }\n",
        &["6:26 `auto` takes the suggested answer, and none is suggested | Add `suggest: …`, or take `auto` away."],
    );
}

#[test]
fn params_are_checked() {
    let text =
        |params: &str| format!("runbook: p1\ntitle: x\nseverity: p1\nparams:\n{params}steps: [{{ wait: 5s }}]\n");
    whole(
        &text("  service: { type: servce }\n"),
        &[
            "5:20 `servce` is not one of `text`, `integer`, `number`, `boolean`, `duration`, `service`, `unit` and `choice` | Did you mean `service`?",
        ],
    );
    whole(
        &text("  service: { type: service, default: gatway }\n"),
        &["5:38 there is no service `gatway` in the estate | Did you mean `gateway`?"],
    );
    whole(&text("  mode: { type: choice }\n"), &["5:11 a param of type `choice` needs `choices` | Add `choices: …`."]);
    whole(
        &text("  mode: { type: choice, choices: [a], default: b }\n"),
        &["5:48 `b` is not one of the choices | The choices are `a`."],
    );
    whole(&text("  a-b: { type: text }\n"), &["5:3 `params.a-b` would be a subtraction | Call it `a_b`."]);
}

#[test]
fn scripts_and_arguments_are_linted() {
    steps(
        "  - shell: |\n      echo `date {{ environment.branch }}`\n    effect: read\n",
        &["6:18 a value cannot stand inside back-ticks | Write `$( … )` instead of back-ticks."],
    );
    let params =
        "runbook: p1\ntitle: x\nseverity: p1\nparams: { host: { type: text }, service: { type: service } }\nsteps:\n";
    whole(
        &format!("{params}  - command: [ping, '{{{{ params.host }}}}']\n    effect: read\n"),
        &[
            "6:21 the program would take a value that starts with `-` for an option | Put `--` before it, write `--option={{ … }}`, or take a param of a closed type such as `service` or `choice`.",
        ],
    );
    for closed in [
        "[ping, --, '{{ params.host }}']",
        "[ping, '{{ params.service }}']",
        "[ping, '-H={{ params.host }}']",
        "['{{ params.host }}']",
        "[ping, '{{ params.host | int }}']",
    ] {
        whole(&format!("{params}  - command: {closed}\n    effect: read\n"), &[]);
    }
}

#[test]
fn every_problem_of_a_file_comes_at_once() {
    let broken = FULL
        .replace("severity: p1", "severity: p7")
        .replace("within: 15m", "within: soon")
        .replace("shop-*", "shp-*")
        .replace("steps.cause.answer == 'code'", "steps.cuase.answer == 'code'")
        .replace("on_failure: stop", "on_failure: halt")
        .replace("wait: 30s", "wait: 30")
        .replace("  - manual: Look at it.", "  - manul: Look at it.")
        .replace("effect: read", "efect: read");
    let all = said(&broken);
    assert_eq!(all.len(), 9, "{all:#?}"); // The last one also has no `verify` without its `effect`.
}

#[test]
fn a_report_reads_like_this() {
    let text =
        format!("{HEAD}  - id: restart\n    systemd: {{ restrat: shop-gateway }}\n  - id: restart\n    wait: 5s\n");
    let (source, result) = checked(&text);
    let shown = crate::domain::problem::render(
        &source,
        &result.expect_err("it is wrong"),
        crate::domain::problem::Style::Plain,
    );
    let expected = "\
error: unknown key `restrat` in `systemd`
 --> runbooks/p1.yaml:6:16
  |
6 |     systemd: { restrat: shop-gateway }
  |                ^^^^^^^ perhaps `restart`
  |
help: Did you mean `restart`?

error: `systemd` is not told what to do
 --> runbooks/p1.yaml:6:16
  |
6 |     systemd: { restrat: shop-gateway }
  |                ^^^^^^^
  |
help: Give exactly one of `status`, `restart` and `stop`.

error: two steps are called `restart`
 --> runbooks/p1.yaml:7:9
  |
7 |   - id: restart
  |         ^^^^^^^
  |
note: the first is here
 --> runbooks/p1.yaml:5:9
  |
5 |   - id: restart
  |         -------
help: Give one of them another id.

runbooks/p1.yaml: 3 problems
";
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long the checker takes is what is tested")]
fn two_thousand_steps_are_checked_quickly() {
    let mut text = HEAD.to_owned();
    for number in 0..2_000 {
        text.push_str(&format!("  - id: s{number}\n    when: 'true'\n    manual: \"{{{{ environment.branch }}}}\"\n"));
    }
    let begun = std::time::Instant::now();
    assert_eq!(said(&text), Vec::<String>::new());
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}

proptest::proptest! {
    #[test]
    fn no_mutation_of_a_runbook_makes_the_checker_panic(edits in proptest::collection::vec((0..FULL.len(), 0..30_usize, "(\\PC|[\n\t :{}\\[\\]&*!|>'\"#,%@-]){0,8}"), 1..4)) {
        let mut mutated = FULL.to_owned();
        for (from, length, text) in edits {
            let from = from.min(mutated.len());
            let end = (from + length).min(mutated.len());
            if mutated.is_char_boundary(from) && mutated.is_char_boundary(end) {
                mutated.replace_range(from..end, &text);
            }
        }
        let (source, result) = checked(&mutated);
        if let Err(problems) = result {
            assert!(!problems.is_empty());
            let _ = crate::domain::problem::render(&source, &problems, crate::domain::problem::Style::Plain);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        if let Ok(source) = file::text("p1.yaml", &bytes) {
            let _ = checked(&source.text);
        }
    }
}
