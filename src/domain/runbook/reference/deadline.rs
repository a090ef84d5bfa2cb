//! What the reference says of deadlines and agreement.

use super::Keys;

pub(super) const DEADLINE: Keys = &[
    ("within", "duration, required without `every`", "How long after `from`."),
    (
        "every",
        "duration",
        "In place of `within`: stakeholders hear again and again, as long as the incident is open. Each message to them begins the time anew.",
    ),
    (
        "from",
        "`opened` or `resolved`",
        "When the time begins to run. `opened` unless given. A step with `meets` keeps a deadline from `opened`; completing the post-mortem keeps one from `resolved`.",
    ),
    ("warn_at", "duration", "When to warn, counted from `from`."),
    (
        "fallback_at",
        "duration",
        "When the engine tells stakeholders itself if nobody has, and when the fallbacks of a channel are tried for a message that keeps the deadline; counted from `from`. The last fifth, at most two minutes, unless given.",
    ),
    ("role", "role of the estate", "In place of a step: it is kept when somebody takes this role."),
    (
        "to",
        "channel or list",
        "With `every`: where stakeholders are told; any message of the runbook counts unless given.",
    ),
    ("escalate", "channel or list", "Who hears when it comes near (`warn_at`) and when it is missed."),
];

pub(super) const APPROVE: Keys = &[
    ("by", "role or person of the estate, or a list", "Any of them; anybody when it is left out."),
    ("count", "1 to 5, or a template", "How many different people; one unless given."),
    ("not_requester", "`true` or `false`", "Whether who started the run does not count."),
    (
        "expires",
        "duration",
        "How long the question stands. Then the step has failed, and `on_failure` says what that means.",
    ),
];

/// What the linter holds a deadline to.
pub(super) const LONGEST: &str = "\
A runbook that can come to its notice after the deadline is refused. The longest way to the first step that `meets` a deadline
(one without `when`, where there is one) is added up as if every step before were wanted, used its whole `timeout`, failed, and
were tried as often as it may be: `timeout` and ten seconds for ending it, `verify.within`, every attempt of `retry` with the
pauses between, `wait`, every item of a `for_each` (200 where the list is not written out), the longest of a `parallel`, every step of a
runbook that is started. What has no end that is known is longer than every deadline: a question, something done by hand, an agreement
that does not lapse into `on_failure: continue`, and a step whose failure asks a person or stops the run. What a mode asks besides
(`guided` before each change) is not counted.

With `fallback_at` the deadline is kept in another way, and the longest way does not matter: at that time the engine tells stakeholders
itself, in the runbook's words if all that they speak of is known and else in its own. At least 30 seconds must be left then.";
