//! Mistakes in references, templates, changes, deadlines, values, params and scripts, one at a time.

use super::{HEAD, problems_of, steps, whole};

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
        &["7:11 step `a` has no output `unist` | Did you mean `units`?"],
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
fn a_change_needs_verify_and_only_a_check_can_be_repeated() {
    steps(
        "  - systemd: { restart: shop-gateway }\n",
        &[
            "5:5 `systemd` changes something here, and the step has no `verify` | Add a check that shows that it worked, such as `verify: { health: { service: … }, within: 5m }`.",
        ],
    );
    steps(
        "  - systemd: { restart: elsewhere.service }\n",
        &[
            "5:5 `systemd` changes something here, and the step has no `verify` | Add a check that shows that it worked, such as `verify: { health: { service: … }, within: 5m }`.",
            "5:25 the unit `elsewhere.service` is not in the estate | Runbooks act only on units that a service or datastore of the estate names.",
        ],
    );
    steps("  - notify: { to: incidents, message: x }\n", &[]);
    steps(
        "  - systemd: { restart: shop-gateway }\n    verify: { systemd: { stop: shop-gateway } }\n",
        &[
            "6:15 a check only reads, and `systemd` changes something here | Use a read-only action such as `health`, or add `effect: read` if this command only reads.",
        ],
    );
    steps("  - systemd: { restart: shop-gateway }\n    verify: { command: [x], effect: read }\n", &[]);
    steps(
        "  - systemd: { restart: shop-gateway }\n    verify: { health: gateway }\n    until: succeeded\n",
        &[
            "7:5 `until` repeats a check, and `systemd` changes something here | Use `verify` to wait for a change to take effect, or `retry` to try it again.",
        ],
    );
    steps(
        "  - systemd: { restart: shop-gateway }\n    effect: read\n",
        &[
            "5:5 `systemd` changes something here, and the step has no `verify` | Add a check that shows that it worked, such as `verify: { health: { service: … }, within: 5m }`.",
            "6:13 the effect of `systemd` is `once` | Take `effect` away.",
        ],
    );
    steps(
        "  - systemd: { restart: shop-gateway }\n    verify: {}\n",
        &[
            "6:13 `verify` names no action | Give exactly one of `systemd`, `health`, `command`, `shell`, `notify`, `set` and `store`.",
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
        &["5:3 no step meets the deadline `notify` | Write `meets: notify` in the step whose success meets it."],
    );
    whole(&text("  postmortem: { within: 15m, from: resolved }\n", "  - wait: 5s\n"), &[]);
    whole(
        &text("  notify: { within: 15m }\n", "  - wait: 5s\n    meets: notfy\n"),
        &[
            "5:3 no step meets the deadline `notify` | Write `meets: notify` in the step whose success meets it.",
            "8:12 there is no deadline `notfy` | Did you mean `notify`?",
        ],
    );
    whole(
        &text("  post: { within: 1h, from: resolved }\n", "  - wait: 5s\n    meets: post\n"),
        &[
            "8:12 no step can meet `post`: it runs after the incident is resolved | Take `meets` away: completing the post-mortem meets it.",
        ],
    );
    for (rule, why) in [
        ("{ within: 5m, role: commander }", "it is for a role | Take `meets` away: taking the role meets it."),
        ("{ every: 30m }", "it repeats | Take `meets` away: every message to stakeholders meets it."),
    ] {
        whole(
            &text(&format!("  other: {rule}\n"), "  - wait: 5s\n    meets: other\n"),
            &[&format!("8:12 no step can meet `other`: {why}")],
        );
    }
    whole(&text("  notify: 15m\n", "  - wait: 5s\n    meets: notify\n"), &["5:11 expected a deadline, found text"]);
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
fn values_are_checked_against_their_shapes() {
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
            "6:5 `retry` does not go with `wait` | Take it away, or put it on another step; `wait` ignores it.",
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
fn unsafe_interpolations_in_scripts_and_arguments_are_reported() {
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
fn nothing_is_interpolated_into_sql() {
    steps(
        "  - store: { datastore: cache, query: \"select '{{ environment.branch }}'\" }\n",
        &[
            "5:39 nothing is interpolated into SQL | Write `$1` there, and the value under `params: [ … ]`, which may be a template.",
        ],
    );
    steps("  - store: { datastore: cache, query: select $1, params: ['{{ environment.branch }}'] }\n", &[]);
}

#[test]
fn a_trigger_is_checked_against_the_params_and_the_alert() {
    let with = |on: &str| {
        let head = HEAD.replace("steps:", &format!("on: {on}\nparams: {{ rate: {{ type: number }} }}\nsteps:"));
        problems_of(&format!("{head}  - {{ id: a, wait: 5s }}\n")).join("\n")
    };
    assert_eq!(with("{ alert: [slow, 'pay*'], where: value > 5, start: auto, params: { rate: '{{ value }}' } }"), "");
    for (on, message) in [
        ("{ where: value > 5 }", "a trigger needs `alert`"),
        ("{ alert: slow, start: automatic }", "Did you mean `auto`?"),
        ("{ alert: slow, start: auto }", "nothing gives the param `rate` a value"),
        ("{ alert: slow, params: { rte: 1 } }", "there is no param `rte`"),
        ("{ alert: slow, where: steps.a.x == 5 }", "`steps` is not defined here"),
        ("{ alert: slow, where: 'value >' }", "unexpected end"),
        ("{ alert: slow, params: { rate: '{{ label.rate }}' } }", "Did you mean `labels`?"),
        ("[]\nx: 1", "unknown key `x`"),
    ] {
        let problems = with(on);
        assert!(problems.contains(message), "{on}: {problems}");
    }
}

#[test]
fn the_host_of_a_step_must_be_a_host_of_an_environment() {
    steps("  - { health: gateway, host: web2 }\n", &[]);
    steps("  - { health: gateway, host: local }\n", &[]);
    steps("  - { health: gateway, host: '{{ item }}', for_each: environment.hosts | list }\n", &[]);
    steps("  - { health: gateway, host: '{{ item }}', for_each: environment.hosts | list, max_parallel: 4 }\n", &[]);
    steps("  - { health: gateway, for_each: [1, 2], max_parallel: 0 }\n", &["5:56 `0` is not between 1 and 100"]);
    steps(
        "  - { health: gateway, max_parallel: 4 }\n",
        &[
            "5:38 `max_parallel` does nothing without `for_each` | Add `for_each: …`, or write the steps under `parallel: [ … ]`.",
        ],
    );
    steps("  - { health: gateway, host: web3 }\n", &["5:30 no environment has a host `web3` | Did you mean `web2`?"]);
    steps(
        "  - { wait: 5s, host: web2 }\n",
        &["5:17 `host` does not go with `wait` | Take it away, or put it on another step; `wait` ignores it."],
    );
}
