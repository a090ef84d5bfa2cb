//! The keys of a step: its bodies, and the modifiers beside them.

use super::{RunbookField, RunbookSection, RunbookShape};
use crate::domain::config::estate_schema::names;
use crate::domain::core::effect::EffectClass;
use crate::domain::runbook::OnFailure;

/// The most people who have to approve one change: more are not awake.
pub(in crate::domain) const MAX_PEOPLE: u32 = 5;

/// The most attempts of a step: with a doubled pause between them, more are never seen.
pub(in crate::domain) const MAX_ATTEMPTS: i64 = 100;

/// The most items of a `for_each` that run at the same time: as many as the steps of a `parallel`.
pub(in crate::domain) const MAX_AT_ONCE: i64 = 100;

/// The classes of effects.
pub(in crate::domain) const EFFECTS: &[(&str, EffectClass)] =
    &[("read", EffectClass::Read), ("repeatable", EffectClass::Repeatable), ("once", EffectClass::Once)];

static EFFECT_NAMES: [&str; EFFECTS.len()] = names(EFFECTS);

/// What a failure means for the run.
pub(in crate::domain) const ON_FAILURE: &[(&str, OnFailure)] =
    &[("ask", OnFailure::Ask), ("stop", OnFailure::Stop), ("continue", OnFailure::Continue)];

static ON_FAILURE_NAMES: [&str; ON_FAILURE.len()] = names(ON_FAILURE);

const ROLES_OR_PEOPLE: RunbookShape = RunbookShape::OneOrMany(&RunbookShape::NameOf("role or person"));

const CHOICES: RunbookShape = RunbookShape::List { item: &RunbookShape::Template, min: 1 };

const EFFECT: RunbookField = RunbookField::optional(
    "effect",
    RunbookShape::OneOf(&EFFECT_NAMES),
    "How often a program may run without harm, where the kind cannot know.",
);

const EVERY: RunbookField =
    RunbookField::with_default("every", RunbookShape::Duration, "5s", "The pause between two checks, at least 1s.");

pub(in crate::domain) static BODIES: RunbookSection = RunbookSection::new(
    "a step",
    "A step does exactly one of these",
    &[
        RunbookField::optional(
            "ask",
            RunbookShape::Either(&[RunbookShape::Empty, CHOICES, RunbookShape::Section(&ASK)]),
            "A question to a person; `name` is the question. A list holds the choices; without choices any text is an answer.",
        ),
        RunbookField::optional(
            "manual",
            RunbookShape::Template,
            "A person does it by hand and reports when it is done.",
        ),
        RunbookField::optional("wait", RunbookShape::Duration, "A timer."),
        RunbookField::optional(
            "parallel",
            RunbookShape::Steps { min: 1 },
            "All of them at the same time. They do not see each other's results; later steps see all.",
        ),
        RunbookField::optional(
            "start",
            RunbookShape::Either(&[RunbookShape::NameOf("runbook"), RunbookShape::Section(&START)]),
            "Another runbook, as a further run of the same incident.",
        ),
    ],
);

pub(in crate::domain) static MODIFIERS: RunbookSection = RunbookSection::new(
    "a step",
    "Other keys of a step",
    &[
        RunbookField::optional(
            "id",
            RunbookShape::Name,
            "Unique in the runbook. Later steps refer to `steps.<id>`. Made from `name` unless given.",
        ),
        RunbookField::optional(
            "name",
            RunbookShape::Template,
            "The name that people read. A question needs one; another step is called by what it does unless given.",
        ),
        RunbookField::optional(
            "phase",
            RunbookShape::Name,
            "`identify`, `assess`, `mitigate`, `notify`, or another word.",
        ),
        RunbookField::optional("why", RunbookShape::Template, "Why it is done; shown before a change."),
        RunbookField::optional("when", RunbookShape::Expression, "The step is skipped when it is false."),
        RunbookField::optional(
            "for_each",
            RunbookShape::Either(&[
                RunbookShape::Expression,
                RunbookShape::List {
                    item: &RunbookShape::Either(&[RunbookShape::Scalar, RunbookShape::Empty]),
                    min: 0,
                },
            ]),
            "The step is done once for each `item`, one after the other unless `max_parallel` is given.",
        ),
        RunbookField::optional(
            "max_parallel",
            RunbookShape::Integer { min: 1, max: MAX_AT_ONCE },
            "How many items of `for_each` run at the same time. When one fails and stops the run, no further one begins.",
        ),
        RunbookField::optional(
            "host",
            RunbookShape::Template,
            "One of the environment's `hosts`, or `local`; the environment's own `host` unless given.",
        ),
        RunbookField::optional(
            "approve",
            RunbookShape::Either(&[
                RunbookShape::Empty,
                RunbookShape::True,
                ROLES_OR_PEOPLE,
                RunbookShape::Section(&APPROVE),
            ]),
            "Who must approve first. Without a role or person, any known user can.",
        ),
        RunbookField::optional("timeout", RunbookShape::Duration, "How long one attempt may take."),
        RunbookField::optional(
            "retry",
            RunbookShape::Either(&[RunbookShape::Integer { min: 1, max: MAX_ATTEMPTS }, RunbookShape::Section(&RETRY)]),
            "Whether and when to try again: a number of attempts, or a mapping. `if` is an expression over `outcome`.",
        ),
        RunbookField::optional(
            "until",
            RunbookShape::Either(&[RunbookShape::Expression, RunbookShape::Section(&UNTIL)]),
            "A check is repeated until this holds. It sees `output`, `summary` and `succeeded`.",
        ),
        RunbookField::optional(
            "verify",
            RunbookShape::Section(&VERIFY),
            "How to know that a change has worked: a check that succeeds `within` a time and keeps succeeding for `hold`. Every step that changes something needs one; a message does not.",
        ),
        RunbookField::with_default(
            "on_failure",
            RunbookShape::OneOf(&ON_FAILURE_NAMES),
            "ask",
            "What a failure means for the run.",
        ),
        RunbookField::optional("undo", RunbookShape::Section(&UNDO), "How the change is reversed, on request."),
        RunbookField::optional(
            "meets",
            RunbookShape::NameOf("deadline"),
            "The deadline that the step meets by succeeding.",
        ),
        EFFECT,
    ],
);

pub(in crate::domain) static ASK: RunbookSection = RunbookSection::new(
    "a question",
    "A question, `ask`",
    &[
        RunbookField::optional("choices", CHOICES, "The answers to choose from; any text is an answer unless given."),
        RunbookField::optional("suggest", RunbookShape::Template, "The suggested answer."),
        RunbookField::with_default(
            "auto",
            RunbookShape::Boolean,
            "false",
            "Whether an automatic run takes `suggest` without asking a person.",
        ),
        RunbookField::with_default(
            "many",
            RunbookShape::Boolean,
            "false",
            "Whether several choices can be given; the answer is then a list.",
        ),
    ],
);

pub(in crate::domain) static START: RunbookSection = RunbookSection::new(
    "`start`",
    "",
    &[
        RunbookField::required("runbook", RunbookShape::NameOf("runbook"), "Its id."),
        RunbookField::optional("params", RunbookShape::Params, "Its params, as templates."),
    ],
);

pub(in crate::domain) static APPROVE: RunbookSection = RunbookSection::new(
    "an approval",
    "An approval, `approve`",
    &[
        RunbookField::optional("by", ROLES_OR_PEOPLE, "Who can approve; any known user unless given."),
        RunbookField::optional(
            "count",
            RunbookShape::Either(&[RunbookShape::Integer { min: 1, max: MAX_PEOPLE as i64 }, RunbookShape::Template]),
            "How many different people must approve; one unless given.",
        ),
        RunbookField::with_default(
            "not_requester",
            RunbookShape::Boolean,
            "false",
            "Whether the person who started the run is excluded.",
        ),
        RunbookField::optional(
            "expires",
            RunbookShape::Duration,
            "How long the request is open. Then the step has failed, and `on_failure` decides.",
        ),
    ],
);

pub(in crate::domain) static RETRY: RunbookSection = RunbookSection::new(
    "a retry",
    "",
    &[
        RunbookField::required(
            "attempts",
            RunbookShape::Integer { min: 1, max: MAX_ATTEMPTS },
            "The number of attempts, the first included.",
        ),
        RunbookField::with_default(
            "backoff",
            RunbookShape::Duration,
            "5s",
            "The pause before the second attempt; doubled before each further one.",
        ),
        RunbookField::optional(
            "if",
            RunbookShape::Expression,
            "A condition over `outcome`: only retried when it is true.",
        ),
    ],
);

pub(in crate::domain) static UNTIL: RunbookSection = RunbookSection::new(
    "`until`",
    "",
    &[
        RunbookField::required(
            "condition",
            RunbookShape::Expression,
            "A condition over `output`, `summary` and `succeeded` of the latest check.",
        ),
        EVERY,
    ],
);

pub(in crate::domain) static VERIFY: RunbookSection = RunbookSection {
    has_action: true,
    ..RunbookSection::new(
        "`verify`",
        "",
        &[
            RunbookField::with_default(
                "within",
                RunbookShape::Duration,
                "1m",
                "How long the check may take to succeed.",
            ),
            RunbookField::with_default(
                "hold",
                RunbookShape::Duration,
                "0s",
                "How long the check must keep succeeding.",
            ),
            EVERY,
            EFFECT,
        ],
    )
};

pub(in crate::domain) static UNDO: RunbookSection =
    RunbookSection { has_action: true, ..RunbookSection::new("`undo`", "", &[EFFECT]) };
