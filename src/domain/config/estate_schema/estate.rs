//! The estate as a whole, and its sections that stand once: post-mortems, reports, the Slack app, the page, logs.

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
        EstateField::required("estate", EstateShape::Text, "The shop's name."),
        EstateField::optional(
            "default_environment",
            EstateShape::NameIn(Part::Environments),
            "The environment of a run that names none. Without it, `--env` has to be typed.",
        ),
        EstateField::required("environments", EstateShape::Entries(&ENVIRONMENTS), "Where runbooks run."),
        EstateField::optional(
            "services",
            EstateShape::Entries(&SERVICES),
            "What is kept running. Runbooks act on no other units.",
        ),
        EstateField::optional("datastores", EstateShape::Entries(&DATASTORES), "What services lean on."),
        EstateField::optional("channels", EstateShape::Entries(&CHANNELS), "Where messages go."),
        EstateField::optional("people", EstateShape::Entries(&PEOPLE), "Who is known."),
        EstateField::optional(
            "roles",
            EstateShape::Entries(&ROLES),
            "Who may agree to what. A role without people is anybody's.",
        ),
        EstateField::optional("secrets", EstateShape::Entries(&SECRETS), "Where each secret is found."),
        EstateField::optional(
            "senders",
            EstateShape::Entries(&SENDERS),
            "Who may post alerts: each posts to `/hooks/<name>`.",
        ),
        EstateField::optional("postmortem", EstateShape::Section(&POSTMORTEM), "Where post-mortems are written."),
        EstateField::optional("report", EstateShape::Section(&REPORT), "Where the reports of maintenance are written."),
        EstateField::optional("alerts", EstateShape::Section(&ALERTS), "What is done about alerts in general."),
        EstateField::optional("slack", EstateShape::Section(&SLACK), "The Slack app that people use."),
        EstateField::optional(
            "page",
            EstateShape::Section(&PAGE),
            "A page for each incident, served by `runbook serve` at `/incidents/<id>`.",
        ),
        EstateField::optional(
            "logs",
            EstateShape::Section(&LOGS),
            "By which fields the services' lines say where in a trace they belong.",
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
            "The directory of the drafts, relative to the shop's directory; `postmortems` unless given.",
        ),
        EstateField::optional(
            "template",
            EstateShape::Text,
            "A minijinja file in place of the built-in form, relative to the shop's directory.",
        ),
    ],
);

static REPORT: Section = Section::new(
    "`report`",
    "Reports of maintenance",
    &[EstateField::optional(
        "directory",
        EstateShape::Text,
        "The directory, relative to the shop's directory; `reports` unless given.",
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
            "The app-level token, which opens Socket Mode. This, `signing_secret` or both are needed.",
        ),
        EstateField::optional(
            "signing_secret",
            EstateShape::Section(&SECRET_REF),
            "What requests are signed with; it opens the addresses `/slack/command` and `/slack/interactive`.",
        ),
        EstateField::with_default(
            "strangers",
            EstateShape::OneOf(&["nothing", "look", "acknowledge"]),
            "nothing",
            "What people of the workspace may do who are not under `people`.",
        ),
        EstateField::with_default(
            "channel_an_incident",
            EstateShape::Boolean,
            "false",
            "Whether each incident gets a channel of its own besides.",
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
            "It makes the key in each link, without which nothing is shown.",
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
            "Which trace: `traceId` and its usual spellings unless given.",
        ),
        EstateField::optional("span", ONE_OR_MANY_TEXTS, "Which span: `spanId` and its usual spellings unless given."),
        EstateField::optional(
            "parent",
            ONE_OR_MANY_TEXTS,
            "Which span began that one: `parentSpanId` and its usual spellings unless given.",
        ),
        EstateField::optional(
            "span_name",
            ONE_OR_MANY_TEXTS,
            "What the span does: `spanName` and its usual spellings unless given.",
        ),
    ],
);

const ONE_OR_MANY_TEXTS: EstateShape = EstateShape::OneOrMany(&EstateShape::Text);
