//! The whole estate, and its small sections: post-mortems, reports, the Slack app, the page, logs.

use super::alerts::ALERTS;
use super::channel::CHANNEL;
use super::environment::ENVIRONMENT;
use super::inventory::{DATASTORE, PERSON, ROLE, SECRET_REF, SECRET_SOURCE, SERVICE};
use super::pattern::BASE_ADDRESS;
use super::sender::SENDER;
use super::{Entries, EstateField, EstateShape, Part, Section};

/// `estate.yaml`.
pub static ESTATE: Section = Section::new(
    "an estate",
    "The estate, `estate.yaml`",
    &[
        EstateField::required("estate", EstateShape::Text, "The name of the estate, such as the shop's."),
        EstateField::optional(
            "default_environment",
            EstateShape::NameIn(Part::Environments),
            "The environment of a run that names none. Without it, `--env` is required.",
        ),
        EstateField::required(
            "environments",
            EstateShape::Entries(&ENVIRONMENTS),
            "The environments in which runbooks run.",
        ),
        EstateField::optional(
            "services",
            EstateShape::Entries(&SERVICES),
            "The services. Runbooks act on no other units than those of services and datastores.",
        ),
        EstateField::optional(
            "datastores",
            EstateShape::Entries(&DATASTORES),
            "The datastores that services depend on.",
        ),
        EstateField::optional("channels", EstateShape::Entries(&CHANNELS), "The destinations of messages."),
        EstateField::optional("people", EstateShape::Entries(&PEOPLE), "The people, and how each is identified."),
        EstateField::optional(
            "roles",
            EstateShape::Entries(&ROLES),
            "The roles of people in an incident. An approval can require a role.",
        ),
        EstateField::optional("secrets", EstateShape::Entries(&SECRETS), "The source of each secret's value."),
        EstateField::optional(
            "senders",
            EstateShape::Entries(&SENDERS),
            "The monitoring systems that may post alerts, each to `/hooks/<name>`.",
        ),
        EstateField::optional("postmortem", EstateShape::Section(&POSTMORTEM), "Where post-mortems are written."),
        EstateField::optional("report", EstateShape::Section(&REPORT), "Where the reports of maintenance are written."),
        EstateField::optional(
            "alerts",
            EstateShape::Section(&ALERTS),
            "How alerts are assigned to incidents, and which changes may happen automatically.",
        ),
        EstateField::optional("slack", EstateShape::Section(&SLACK), "The Slack app that people use."),
        EstateField::optional(
            "page",
            EstateShape::Section(&PAGE),
            "A page for each incident, served by `runbook serve` at `/incidents/<id>`.",
        ),
        EstateField::optional(
            "logs",
            EstateShape::Section(&LOGS),
            "The fields of the services' log lines that identify traces and spans.",
        ),
    ],
);

static ENVIRONMENTS: Entries = Entries {
    needed: Some("an estate needs at least one environment"),
    ..Entries::by_name("environments", EstateShape::Section(&ENVIRONMENT))
};
static SERVICES: Entries = Entries::by_name("services", EstateShape::Section(&SERVICE));
static DATASTORES: Entries = Entries::by_name("datastores", EstateShape::Section(&DATASTORE));
static CHANNELS: Entries = Entries::by_name("channels", EstateShape::Section(&CHANNEL));
static PEOPLE: Entries = Entries::by_name("people", EstateShape::Section(&PERSON));
static ROLES: Entries = Entries::by_name("roles", EstateShape::Section(&ROLE));
static SECRETS: Entries = Entries::by_name("secrets", EstateShape::Section(&SECRET_SOURCE));
static SENDERS: Entries = Entries::by_name("senders", EstateShape::Section(&SENDER));

static POSTMORTEM: Section = Section::new(
    "`postmortem`",
    "Post-mortems",
    &[
        EstateField::optional(
            "directory",
            EstateShape::Text,
            "The directory of the drafts, relative to the project directory. Default: `postmortems`.",
        ),
        EstateField::optional(
            "template",
            EstateShape::Text,
            "A minijinja file in place of the built-in template, relative to the project directory.",
        ),
    ],
);

static REPORT: Section = Section::new(
    "`report`",
    "Reports of maintenance",
    &[EstateField::optional(
        "directory",
        EstateShape::Text,
        "The directory, relative to the project directory. Default: `reports`.",
    )],
);

static SLACK: Section = Section::new(
    "`slack`",
    "The Slack app",
    &[
        EstateField::required(
            "channel",
            EstateShape::NameIn(Part::Channels),
            "The channel where incidents are shown: one with `slack` and the bot's `token`.",
        ),
        EstateField::optional(
            "app_token",
            EstateShape::Section(&SECRET_REF),
            "The app-level token, for a connection in Socket Mode. This, `signing_secret` or both are needed.",
        ),
        EstateField::optional(
            "signing_secret",
            EstateShape::Section(&SECRET_REF),
            "The secret with which Slack signs requests, for the addresses `/slack/command` and `/slack/interactive`.",
        ),
        EstateField::with_default(
            "strangers",
            EstateShape::OneOf(&["nothing", "look", "acknowledge"]),
            "nothing",
            "What users of the workspace may do who are not under `people`: `look` is to see incidents, `acknowledge` to acknowledge them too.",
        ),
        EstateField::with_default(
            "channel_an_incident",
            EstateShape::Boolean,
            "false",
            "Whether each incident has a Slack channel of its own too.",
        ),
    ],
);

static PAGE: Section = Section::new(
    "`page`",
    "The page of an incident",
    &[
        EstateField::required(
            "url",
            EstateShape::Pattern(&BASE_ADDRESS),
            "The address under which people reach `runbook serve`; `https` except on this machine.",
        ),
        EstateField::required(
            "secret",
            EstateShape::SecretKey,
            "The secret from which the key in each link is made. Without the key, the page is not shown.",
        ),
    ],
);

static LOGS: Section = Section::new(
    "`logs`",
    "Traces in logs",
    &[
        EstateField::optional(
            "trace",
            ONE_OR_MANY_TEXTS,
            "The id of the trace. Default: `traceId` and its usual spellings.",
        ),
        EstateField::optional(
            "span",
            ONE_OR_MANY_TEXTS,
            "The id of the span. Default: `spanId` and its usual spellings.",
        ),
        EstateField::optional(
            "parent",
            ONE_OR_MANY_TEXTS,
            "The id of the parent span. Default: `parentSpanId` and its usual spellings.",
        ),
        EstateField::optional(
            "span_name",
            ONE_OR_MANY_TEXTS,
            "The name of the span. Default: `spanName` and its usual spellings.",
        ),
    ],
);

const ONE_OR_MANY_TEXTS: EstateShape = EstateShape::OneOrMany(&EstateShape::Text);
