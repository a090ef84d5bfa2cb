//! Channels: where messages go.

use super::inventory::SECRET_REF;
use super::pattern::{ADDRESS, MAILBOX, SECURE_ADDRESS, VARIABLE_KEY};
use super::{Alternative, Alternatives, Entries, EntryKey, EstateField, EstateShape, Items, Part, Section};

pub(super) static CHANNEL: Section = Section {
    ways: Some(&Alternatives {
        ways: &[
            Alternative { key: "slack", with: &["token"], may: &["api"] },
            Alternative::alone("slack_webhook"),
            Alternative::alone("email"),
            Alternative::alone("webhook"),
            Alternative::alone("command"),
        ],
        none: "the channel has no way out",
        two: "the channel has two ways out",
        two_help: "Make two channels of it, and name the second in `fallback` of the first.",
    }),
    ..Section::new(
        "a channel",
        "A channel has exactly one way out",
        &[
            EstateField::optional(
                "slack",
                EstateShape::Text,
                "A Slack channel by the Web API: `\"#incidents\"`; with `token`.",
            ),
            EstateField::optional("token", EstateShape::Section(&SECRET_REF), "The bot's token."),
            EstateField::optional(
                "api",
                EstateShape::Pattern(&ADDRESS),
                "The address of the Web API, when it is not Slack's own.",
            ),
            EstateField::optional(
                "slack_webhook",
                EstateShape::Section(&SECRET_REF),
                "An incoming webhook of Slack, which has no threads.",
            ),
            EstateField::optional("email", EstateShape::Section(&EMAIL), "Letters by SMTP."),
            EstateField::optional(
                "webhook",
                EstateShape::Section(&WEBHOOK),
                "A post that is signed as Standard Webhooks has it.",
            ),
            EstateField::optional(
                "command",
                EstateShape::MappingOr { mapping: &EstateShape::Section(&PROGRAM), other: &EstateShape::Items(&ARGV) },
                "A program, run once a message, which comes on its standard input. A list stands for `argv`.",
            ),
            EstateField::optional(
                "fallback",
                EstateShape::OneOrMany(&EstateShape::NameIn(Part::Channels)),
                "What is tried in its place, in this order.",
            ),
        ],
    )
};

static EMAIL: Section = Section::new(
    "`email`",
    "A channel, `email`",
    &[
        EstateField::required("to", EstateShape::Items(&RECIPIENTS), "The addresses, or people who have one."),
        EstateField::required("from", EstateShape::Pattern(&MAILBOX), "The sender's address."),
        EstateField::required("server", EstateShape::Text, "The name or address of the SMTP server."),
        EstateField::optional(
            "port",
            EstateShape::PORT,
            "Its port; 587 with `starttls`, 465 with `implicit` and 25 with `none` unless given.",
        ),
        EstateField::with_default(
            "tls",
            EstateShape::OneOf(&["starttls", "implicit", "none"]),
            "starttls",
            "How the connection is kept secret. `none` is for a server on this machine alone.",
        ),
        EstateField::optional("user", EstateShape::Text, "The account; with `password`."),
        EstateField::optional("password", EstateShape::Section(&SECRET_REF), "Its password; with `user`."),
        EstateField::optional(
            "trust",
            EstateShape::Text,
            "A PEM file of authorities to trust in place of the system's.",
        ),
    ],
);

/// A channel is no mailing list.
static RECIPIENTS: Items = Items {
    item: EstateShape::Recipient,
    one: true,
    min: 1,
    max: 50,
    message: "a message goes to 1 to 50 people, this one to {}",
    help: "",
};

static WEBHOOK: Section = Section::new(
    "`webhook`",
    "A channel, `webhook`",
    &[
        EstateField::required(
            "url",
            EstateShape::Pattern(&SECURE_ADDRESS),
            "Where it is posted to; `https` except to this machine.",
        ),
        EstateField::required("secret", EstateShape::SecretKey, "What it is signed with."),
    ],
);

static PROGRAM: Section = Section::new(
    "`command`",
    "A channel, `command`",
    &[
        EstateField::required("argv", EstateShape::Items(&ARGV), "The program and its arguments."),
        EstateField::optional(
            "env",
            EstateShape::Entries(&VARIABLES),
            "Environment variables; the safest way to hand over a secret.",
        ),
    ],
);

static ARGV: Items =
    Items { item: EstateShape::Text, one: false, min: 1, max: usize::MAX, message: "no program is given", help: "" };

static VARIABLES: Entries = Entries {
    plural: "variables",
    by: "by name",
    key: EntryKey::Pattern(&VARIABLE_KEY),
    value: EstateShape::MappingOr { mapping: &EstateShape::Section(&SECRET_REF), other: &EstateShape::Text },
    may_be_null: false,
    needed: None,
};
