//! The worst case of a deadline, by the steps before the one that meets it.

use super::{problems_of, whole};

/// The problems of a runbook whose notice is due after 15 minutes and comes after these steps.
fn before_notice(steps: &str) -> Vec<String> {
    problems_of(&text("{ within: 15m }", steps))
}

fn text(deadline: &str, steps: &str) -> String {
    format!(
        "runbook: p1\ntitle: Down\nseverity: p1\ndeadlines:\n  notified: {deadline}\nsteps:\n{steps}  - id: notice\n    \
         notify: {{ to: [incidents], message: down }}\n    meets: notified\n"
    )
}

#[track_caller]
fn endless(steps: &str, why: &str) {
    let problems = before_notice(steps);
    assert!(
        problems.len() == 1 && problems[0].contains("`notified` may never be met") && problems[0].contains(why),
        "{problems:#?}"
    );
}

#[test]
fn a_notice_is_in_time_first_or_after_short_checks() {
    assert_eq!(before_notice(""), [""; 0]);
    assert_eq!(before_notice("  - { id: a, health: gateway, timeout: 14m, on_failure: continue }\n"), [""; 0]);
}

#[test]
fn a_step_that_waits_for_a_person_has_no_known_end() {
    endless("  - { id: cause, name: Why?, ask: }\n", "`cause` comes before and asks a person");
    endless("  - { id: by_hand, manual: do it }\n", "waits for a person to do something");
    endless("  - { id: a, health: gateway }\n", "asks a person when it fails");
    endless("  - { id: a, health: gateway, on_failure: stop }\n", "stops the run when it fails");
    endless(
        "  - { id: a, health: gateway, on_failure: continue, approve: commander }\n",
        "waits for people to approve",
    );
    endless("  - { id: a, start: failover }\n", "starts `failover`, whose length is not known");
}

#[test]
fn a_notice_with_a_condition_meets_no_deadline_unless_there_is_another() {
    let text = text("{ within: 15m }", "");
    let only_when =
        text.replace("    meets: notified\n", "    meets: notified\n    on_failure: continue\n    when: params.loud\n");
    let only_when = only_when.replace("deadlines:", "params: { loud: { type: boolean, default: true } }\ndeadlines:");
    let found = problems_of(&only_when);
    assert!(found.len() == 1 && found[0].contains("`notice` is left out unless its `when` is true"), "{found:#?}");
    let both =
        format!("{only_when}  - {{ id: again, notify: {{ to: [incidents], message: down }}, meets: notified }}\n");
    assert_eq!(problems_of(&both), [""; 0]);
    assert_eq!(problems_of(&only_when.replace("{ within: 15m }", "{ within: 15m, fallback_at: 13m }")), [""; 0]);
}

#[test]
fn an_approval_that_expires_has_an_end() {
    let step = |expires: &str| {
        format!(
            "  - {{ id: a, health: gateway, on_failure: continue, approve: {{ by: commander, expires: {expires} }} }}\n"
        )
    };
    assert_eq!(before_notice(&step("5m")), [""; 0]);
    assert!(before_notice(&step("20m"))[0].contains("a (approval) 20m"));
}

#[test]
fn every_attempt_pause_and_item_counts_and_the_longest_are_named() {
    let steps = "  - { id: a, health: gateway, timeout: 2m, retry: { attempts: 3, backoff: 1m }, on_failure: continue }\n  \
         - { id: b, health: gateway, for_each: [1, 2, 3], on_failure: continue }\n  - { id: c, wait: 3m }\n";
    whole(
        &text("{ within: 15m }", steps),
        &[
            "5:3 `notified` is due after 15m, and its step may begin only after 16m | The longest on the way: a 9m 30s, b 3m 30s, c 3m. Move `notice` before what may take so long, give that a shorter `timeout` or `on_failure: continue`, or write `fallback_at` to have stakeholders notified by then in any case.",
        ],
    );
    let long = before_notice("  - { id: b, health: gateway, for_each: params, on_failure: continue }\n");
    assert!(long[0].contains("may begin only after 3h 53m 20s") && long[0].contains("b 3h 53m 20s"), "{long:?}");
}

#[test]
fn the_longest_step_of_a_group_counts() {
    let group = |one: &str, other: &str| {
        let step = |id: &str, timeout: &str| {
            format!("      - {{ id: {id}, health: gateway, timeout: {timeout}, on_failure: continue }}\n")
        };
        format!("  - id: group\n    parallel:\n{}{}", step("a", one), step("b", other))
    };
    assert_eq!(before_notice(&group("10m", "12m")), [""; 0]);
    assert!(before_notice(&group("10m", "16m"))[0].contains("group 16m 10s"));
}

#[test]
fn a_fallback_meets_the_deadline_if_it_has_enough_time() {
    let steps = "  - { id: cause, name: Why?, ask: }\n";
    whole(&text("{ within: 15m, fallback_at: 13m }", steps), &[]);
    whole(
        &text("{ within: 15m, fallback_at: 890s }", steps),
        &["5:3 `fallback_at` leaves 10s for fallback channels, and each may take 10s | Leave at least 30s."],
    );
}

#[test]
fn deadlines_for_roles_and_updates_need_no_step() {
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
        &["5:9 stakeholders are not notified after the incident is resolved | Take it away."],
    );
}
