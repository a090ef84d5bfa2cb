//! The checker as a whole: the places, messages and remedies for a runbook.

mod form;
mod mistake;
mod schedule;
mod worst_case;

pub(in crate::domain) use self::form::FORMS;
use super::*;
use crate::domain::core::effect::EffectClass;
use crate::domain::core::time::Span;
use crate::domain::runbook::{DeadlineFrom, OnFailure, ParamKind, StepBody};

pub(in crate::domain) const ESTATE: &str = "\
estate: Example
environments:
  staging: { branch: main, vars: { root: /opt }, hosts: { web2: { ssh: web2 } } }
services:
  gateway: { unit: shop-gateway.service }
  backend: { unit: shop-backend.service }
datastores:
  cache: { kind: redis }
channels:
  incidents: { slack_webhook: { secret: hook } }
roles: { commander: }
secrets: { hook: { env: HOOK }, payments: { file: /x, key: 'PAY_*' } }
";

pub(in crate::domain) fn checked(text: &str) -> (Source, Result<Runbook, Vec<Problem>>) {
    let estate =
        crate::domain::config::estate_check::check(&Source::new("estate.yaml", ESTATE)).expect("the estate is right");
    let runbooks = ["p1".to_owned(), "p2".to_owned(), "failover".to_owned()];
    let context = CheckContext { estate: Some(&estate), forms: FORMS, runbooks: &runbooks, peers: &[] };
    let source = Source::new("runbooks/p1.yaml", text);
    let result = check(&source, &context);
    (source, result)
}

/// The problems of a text, one a line: `line:column message | remedy`.
fn problems_of(text: &str) -> Vec<String> {
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
    assert_eq!(problems_of(&format!("{HEAD}{steps}")), expected, "\n{steps}");
}

#[track_caller]
fn whole(text: &str, expected: &[&str]) {
    assert_eq!(problems_of(text), expected, "\n{text}");
}

pub(in crate::domain) const FULL: &str = r##"runbook: p1
title: Live platform down
severity: p1
summary: Customers cannot use the site.
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
    until: succeeded
"##;

#[test]
fn a_runbook_without_problems_is_resolved() {
    let runbook = checked(FULL).1.unwrap_or_else(|_| panic!("{:#?}", problems_of(FULL)));
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
        Some((Span::seconds(300), Span::seconds(30)))
    );
    assert_eq!(runbook.steps[7].meets.as_deref(), Some("notify"));
    assert_eq!(runbook.step("each").and_then(|step| step.for_each.as_deref()), Some(r#"["gateway","backend"]"#));
    let StepBody::Action(script) = &runbook.finally[1].body else { panic!("an action") };
    assert_eq!((script.scripts.as_slice(), script.effect), (&["script".to_owned()][..], EffectClass::Read));
    let again: Runbook = serde_json::from_value(serde_json::to_value(&runbook).expect("writes")).expect("reads");
    assert_eq!(again, runbook);
}

#[test]
fn the_keys_of_the_document_are_checked() {
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
            "3:11 `P1` is not one of `p1`, `p2`, `p3`, `p4` and `maintenance` | Did you mean `p1`?",
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
            "5:5 the step does nothing | Give it exactly one of `ask`, `manual`, `wait`, `parallel`, `start`, `systemd`, `health`, `command`, `shell`, `notify`, `set` and `store`.",
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
        &["5:5 `systemd` has no operation | Give exactly one of `status`, `restart` and `stop`."],
    );
    steps(
        "  - systemd: { status: shop-gateway, stop: shop-gateway }\n    verify: { health: gateway }\n",
        &["5:38 `systemd` has two operations, `status` and `stop` | Make two steps of it."],
    );
    for body in ["manual: x", "start: p2"] {
        let kind = body.split(':').next().expect("a key");
        steps(
            &format!("  - {body}\n    approve: commander\n"),
            &[&format!(
                "6:5 `approve` does not go with `{kind}` | Take it away, or put it on another step; `{kind}` ignores it."
            )],
        );
    }
    steps("  - wait: 5s\n    wait: 6s\n", &["6:5 duplicate key `wait` | Take one of the two away."]);
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
        "  - store: { datastore: cash, query: select 1 }\n",
        &["5:25 there is no datastore `cash` in the estate | Did you mean `cache`?"],
    );
    steps(
        "  - ask: [a]\n    name: x\n    approve: comander\n",
        &[
            "7:5 `approve` does not go with `ask` | Take it away, or put it on another step; `ask` ignores it.",
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
fn all_problems_of_a_file_are_reported_together() {
    let broken = FULL
        .replace("severity: p1", "severity: p7")
        .replace("within: 15m", "within: soon")
        .replace("shop-*", "shp-*")
        .replace("steps.cause.answer == 'code'", "steps.cuase.answer == 'code'")
        .replace("on_failure: stop", "on_failure: halt")
        .replace("wait: 30s", "wait: 30")
        .replace("  - manual: Look at it.", "  - manul: Look at it.")
        .replace("effect: read", "efect: read");
    let all = problems_of(&broken);
    // Without `effect`, the last step also lacks `verify`, and `until` does not fit it.
    assert_eq!(all.len(), 10, "{all:#?}");
}

#[test]
fn problems_are_rendered_with_their_source() {
    let text =
        format!("{HEAD}  - id: restart\n    systemd: {{ restrat: shop-gateway }}\n  - id: restart\n    wait: 5s\n");
    let (source, result) = checked(&text);
    let shown = crate::domain::core::diagnostic::render(
        &source,
        &result.expect_err("it is wrong"),
        crate::domain::core::diagnostic::Style::Plain,
    );
    let expected = "\
error: unknown key `restrat` in `systemd`
 --> runbooks/p1.yaml:6:16
  |
6 |     systemd: { restrat: shop-gateway }
  |                ^^^^^^^ perhaps `restart`
  |
help: Did you mean `restart`?

error: `systemd` has no operation
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
fn a_runbook_may_have_two_thousand_steps() {
    let mut text = HEAD.to_owned();
    for number in 0..2_000 {
        text.push_str(&format!("  - id: s{number}\n    when: 'true'\n    manual: \"{{{{ environment.branch }}}}\"\n"));
    }
    assert_eq!(problems_of(&text), Vec::<String>::new());
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
            let _ = crate::domain::core::diagnostic::render(&source, &problems, crate::domain::core::diagnostic::Style::Plain);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        if let Ok(source) = reader::text("p1.yaml", &bytes) {
            let _ = checked(&source.text);
        }
    }
}
