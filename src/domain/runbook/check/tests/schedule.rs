//! Mistakes in schedules, one at a time.

use super::whole;

/// Checks a runbook with this `on`. The estate has no default environment.
fn scheduled(on: &str, expected: &[&str]) {
    whole(&format!("runbook: p1\ntitle: x\nseverity: maintenance\non: {on}\nsteps: [{{ wait: 5s }}]\n"), expected);
}

#[test]
fn a_valid_schedule_has_no_problem() {
    scheduled("{ schedule: 0 9 * * mon, timezone: Africa/Lusaka, environments: staging }", &[]);
    scheduled("[{ schedule: 0 9 L * *, timezone: UTC, environments: [staging], overlap: queue, catch_up: none }]", &[]);
}

#[test]
fn a_mistake_is_reported_at_its_place() {
    scheduled(
        "{ schedule: 0 9 * * mon, timezone: Africa/Lusak, environments: staging }",
        &["4:40 `Africa/Lusak` is no time zone | Did you mean `Africa/Lusaka`?"],
    );
    scheduled(
        "{ schedule: every monday, timezone: UTC, environments: staging }",
        &[
            "4:17 `every monday` is no cron expression | Write minute, hour, day of the month, month and day of the week: `0 9 * * mon`.",
        ],
    );
    scheduled(
        "{ schedule: 0 9 31 feb *, timezone: UTC, environments: staging }",
        &["4:17 `0 9 31 feb *` has no occurrence | No day of the calendar fits it."],
    );
    scheduled(
        "{ schedule: 0 9 * * mon }",
        &[
            "4:7 a schedule needs `timezone` | Add `timezone: …`.",
            "4:7 the schedule has no environment, and the estate has no default | Add `environments: [staging]`.",
        ],
    );
    scheduled(
        "{ schedule: 0 9 * * mon, timezone: UTC, environments: stagin, overlap: skipp }",
        &[
            "4:59 there is no environment `stagin` in the estate | Did you mean `staging`?",
            "4:76 `skipp` is not one of `skip`, `queue` and `allow` | Did you mean `skip`?",
        ],
    );
    scheduled(
        "{ schedule: 0 9 * * mon, timezone: UTC, environments: staging, alert: x }",
        &[
            "4:68 unknown key `alert` in a schedule | The keys of a schedule are `schedule`, `timezone`, `overlap`, `catch_up`, `environments` and `params`.",
        ],
    );
}

#[test]
fn an_environment_has_one_schedule() {
    scheduled(
        "[{ schedule: 0 9 * * mon, timezone: UTC, environments: staging }, { schedule: 0 9 * * thu, timezone: UTC, environments: [staging] }]",
        &[
            "4:71 `staging` has a schedule already | Join the two into one expression, such as `0 9 * * mon,thu`, or make another runbook.",
        ],
    );
}

#[test]
fn a_schedule_is_for_planned_work_and_planned_work_has_no_deadlines_and_no_alerts() {
    whole(
        "runbook: p1\ntitle: x\nseverity: p3\non: { schedule: 0 9 * * mon, timezone: UTC, environments: staging }\nsteps: [{ wait: 5s }]\n",
        &["4:5 a schedule starts planned work, and this is an incident's runbook | Write `severity: maintenance`."],
    );
    whole(
        "runbook: p1\ntitle: x\nseverity: maintenance\ndeadlines:\n  post: { within: 1h, from: resolved }\nsteps: [{ wait: 5s }]\n",
        &["4:1 maintenance has no deadlines: nothing is wrong | Take them away, or write a severity from p1 to p4."],
    );
    scheduled(
        "{ alert: x }",
        &[
            "4:5 an alert opens an incident, and this is planned work | Write `schedule` in place of `alert`, or a severity from p1 to p4.",
        ],
    );
}

#[test]
fn a_scheduled_run_needs_a_value_for_every_param() {
    let params = "params: { host: { type: text }, most: { type: integer, default: 3 } }";
    whole(
        &format!(
            "runbook: p1\ntitle: x\nseverity: maintenance\non: {{ schedule: 0 9 * * mon, timezone: UTC, environments: staging, params: {{ most: many, other: 1 }} }}\n{params}\nsteps: [{{ wait: 5s }}]\n"
        ),
        &[
            "4:7 nothing gives the param `host` a value | Add `params: { host: … }` here, or give the param a default.",
            "4:84 expected a whole number, found text",
            "4:90 there is no param `other` | Declare it under `params`: `other: { type: text }`.",
        ],
    );
}
