//! The longest way to a notice, by what stands before it.

use super::{said, whole};

/// A runbook with a notice that has to be out within a quarter of an hour, behind these steps.
fn behind(steps: &str) -> Vec<String> {
    said(&text("{ within: 15m }", steps))
}

fn text(deadline: &str, steps: &str) -> String {
    format!(
        "runbook: p1\ntitle: Down\nseverity: p1\ndeadlines:\n  told: {deadline}\nsteps:\n{steps}  - id: notice\n    \
         notify: {{ to: [incidents], message: down }}\n    meets: told\n"
    )
}

#[track_caller]
fn endless(steps: &str, why: &str) {
    let said = behind(steps);
    assert!(said.len() == 1 && said[0].contains("`told` may never be met") && said[0].contains(why), "{said:#?}");
}

#[test]
fn a_notice_that_comes_first_or_behind_short_readings_is_in_time() {
    assert_eq!(behind(""), [""; 0]);
    assert_eq!(behind("  - { id: a, health: gateway, timeout: 14m, on_failure: continue }\n"), [""; 0]);
}

#[test]
fn what_waits_for_a_person_has_no_end() {
    endless("  - { id: cause, name: Why?, ask: }\n", "`cause` comes before and asks a person");
    endless("  - { id: by_hand, manual: do it }\n", "waits for a person to do something");
    endless("  - { id: a, health: gateway }\n", "asks a person when it fails");
    endless("  - { id: a, health: gateway, on_failure: stop }\n", "stops the run when it fails");
    endless("  - { id: a, health: gateway, on_failure: continue, approve: commander }\n", "waits for people to agree");
    endless("  - { id: a, start: failover }\n", "starts `failover`, whose length is not known");
}

#[test]
fn a_notice_that_may_be_left_out_is_none_unless_there_is_another() {
    let text = text("{ within: 15m }", "");
    let only_when =
        text.replace("    meets: told\n", "    meets: told\n    on_failure: continue\n    when: params.loud\n");
    let only_when = only_when.replace("deadlines:", "params: { loud: { type: boolean, default: true } }\ndeadlines:");
    let found = said(&only_when);
    assert!(found.len() == 1 && found[0].contains("`notice` is left out unless its `when` is true"), "{found:#?}");
    let both = format!("{only_when}  - {{ id: again, notify: {{ to: [incidents], message: down }}, meets: told }}\n");
    assert_eq!(said(&both), [""; 0]);
    assert_eq!(said(&only_when.replace("{ within: 15m }", "{ within: 15m, fallback_at: 13m }")), [""; 0]);
}

#[test]
fn an_agreement_that_lapses_has_an_end() {
    let step = |expires: &str| {
        format!(
            "  - {{ id: a, health: gateway, on_failure: continue, approve: {{ by: commander, expires: {expires} }} }}\n"
        )
    };
    assert_eq!(behind(&step("5m")), [""; 0]);
    assert!(behind(&step("20m"))[0].contains("a (agreement) 20m"));
}

#[test]
fn every_attempt_pause_and_item_counts_and_the_longest_are_named() {
    let steps = "  - { id: a, health: gateway, timeout: 2m, retry: { attempts: 3, backoff: 1m }, on_failure: continue }\n  \
         - { id: b, health: gateway, for_each: [1, 2, 3], on_failure: continue }\n  - { id: c, wait: 3m }\n";
    whole(
        &text("{ within: 15m }", steps),
        &[
            "5:3 `told` is due after 15m, and its step may begin only after 16m | The longest on the way: a 9m 30s, b 3m 30s, c 3m. Move `notice` before what may take so long, give that a shorter `timeout` or `on_failure: continue`, or write `fallback_at` to have stakeholders told by then in any case.",
        ],
    );
    let long = behind("  - { id: b, health: gateway, for_each: params, on_failure: continue }\n");
    assert!(long[0].contains("may begin only after 3h 53m 20s") && long[0].contains("b 3h 53m 20s"), "{long:?}");
}

#[test]
fn of_a_group_the_longest_counts() {
    let group = |one: &str, other: &str| {
        let step = |id: &str, timeout: &str| {
            format!("      - {{ id: {id}, health: gateway, timeout: {timeout}, on_failure: continue }}\n")
        };
        format!("  - id: group\n    parallel:\n{}{}", step("a", one), step("b", other))
    };
    assert_eq!(behind(&group("10m", "12m")), [""; 0]);
    assert!(behind(&group("10m", "16m"))[0].contains("group 16m 10s"));
}

#[test]
fn the_engine_keeps_the_deadline_where_it_may_and_has_the_time() {
    let steps = "  - { id: cause, name: Why?, ask: }\n";
    whole(&text("{ within: 15m, fallback_at: 13m }", steps), &[]);
    whole(
        &text("{ within: 15m, fallback_at: 890s }", steps),
        &["5:3 `fallback_at` leaves 10s for other ways, and each may take 10s | Leave at least 30s."],
    );
}

#[test]
fn deadlines_of_roles_and_of_updates_are_met_by_no_step() {
    let rules = |rule: &str| {
        format!("runbook: p1\ntitle: Down\nseverity: p1\ndeadlines:\n  it: {rule}\nsteps:\n  - wait: 1s\n")
    };
    whole(&rules("{ within: 5m, role: commander, escalate: incidents }"), &[]);
    whole(&rules("{ every: 30m, warn_at: 25m, to: incidents }"), &[]);
    whole(
        &rules("{ within: 5m, role: comander }"),
        &["5:27 there is no role `comander` in the estate | Did you mean `commander`?"],
    );
    whole(
        &rules("{ every: 30m, within: 5m }"),
        &[
            "5:21 a deadline has either `within` or `every` | `every` repeats as long as the incident is open; `within` does not.",
        ],
    );
    whole(&rules("{ every: 5s }"), &["5:16 `every` is shorter than 1m"]);
    whole(
        &rules("{ every: 30m, from: resolved }"),
        &["5:9 nobody is told any more after the incident is resolved | Take it away."],
    );
}
