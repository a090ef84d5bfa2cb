//! The keys of a deadline.

use super::{RunbookField, RunbookSection, RunbookShape};
use crate::domain::config::estate_schema::names;
use crate::domain::runbook::DeadlineFrom;

/// The instants that deadlines are counted from.
pub(in crate::domain) const FROM: &[(&str, DeadlineFrom)] =
    &[("opened", DeadlineFrom::Opened), ("resolved", DeadlineFrom::Resolved)];

static FROM_NAMES: [&str; FROM.len()] = names(FROM);

const CHANNELS: RunbookShape = RunbookShape::OneOrMany(&RunbookShape::NameOf("channel"));

pub(in crate::domain) static DEADLINE: RunbookSection = RunbookSection::new(
    "a deadline",
    "A deadline",
    &[
        RunbookField::optional("within", RunbookShape::Duration, "How long after `from`. Required without `every`."),
        RunbookField::optional(
            "every",
            RunbookShape::Duration,
            "In place of `within`: the longest time between two messages to stakeholders while the incident is open.",
        ),
        RunbookField::with_default(
            "from",
            RunbookShape::OneOf(&FROM_NAMES),
            "opened",
            "When the time begins. A step with `meets` meets a deadline from `opened`; completing the post-mortem meets one from `resolved`.",
        ),
        RunbookField::optional("warn_at", RunbookShape::Duration, "When to warn, counted from `from`."),
        RunbookField::optional(
            "fallback_at",
            RunbookShape::Duration,
            "When the engine notifies stakeholders itself if nobody has, and when a channel's fallbacks are tried for a message that meets the deadline; counted from `from`. The last fifth, at most two minutes, unless given.",
        ),
        RunbookField::optional(
            "role",
            RunbookShape::NameOf("role"),
            "In place of a step: the deadline is met when somebody takes this role.",
        ),
        RunbookField::optional(
            "to",
            CHANNELS,
            "With `every`: the channels of the stakeholders; a message of the runbook to any channel counts unless given.",
        ),
        RunbookField::optional(
            "escalate",
            CHANNELS,
            "The channels that are notified when the deadline comes near (`warn_at`) and when it is missed.",
        ),
    ],
);
