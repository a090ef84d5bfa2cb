//! Channels: the destinations of messages.

use super::inventory::SECRET_REF;
use super::pattern::{ADDRESS, MAILBOX, SECURE_ADDRESS, VARIABLE_KEY};
use super::{Alternative, Alternatives, Entries, EntryKey, EstateField, EstateShape, Items, Part, Section};

pub(super) static CHANNEL: Section = Section {
    about: "Exactly one of `slack`, `slack_webhook`, `email`, `webhook` and `command`, which is how messages are sent.",
    alternatives: Some(&Alternatives {
        list: &[
            Alternative { key: "slack", required: &["token"], optional: &["api"] },
            Alternative::alone("slack_webhook"),
            Alternative::alone("email"),
            Alternative::alone("webhook"),
            Alternative::alone("command"),
        ],
        message_if_none: "the channel has no route",
        message_if_two: "the channel has two routes",
        help_if_two: "Make two channels of it, and name the second in `fallback` of the first.",
    }),
    ..Section::new(
        "a channel",
        "A channel",
        &[
            EstateField::optional(
                "slack",
                EstateShape::Text,
                "A Slack channel, posted to with the Web API: `\"#incidents\"`. It needs `token`.",
            ),
            EstateField::optional("token", EstateShape::Section(&SECRET_REF), "The bot's token for `slack`."),
            EstateField::optional(
                "api",
                EstateShape::Pattern(&ADDRESS),
                "The address of the Web API for `slack`, if it is not Slack's.",
            ),
            EstateField::optional(
                "slack_webhook",
                EstateShape::Section(&SECRET_REF),
                "The address of an incoming webhook of Slack, which has no threads.",
            ),
            EstateField::optional("email", EstateShape::Section(&EMAIL), "E-mail by SMTP."),
            EstateField::optional(
                "webhook",
                EstateShape::Section(&WEBHOOK),
                "A POST request with a signature of Standard Webhooks.",
            ),
            EstateField::optional(
                "command",
                EstateShape::MappingOr { mapping: &EstateShape::Section(&PROGRAM), other: &EstateShape::Items(&ARGV) },
                "A program that is run once for each message. It reads the message from standard input. A list is short for `argv`.",
            ),
            EstateField::optional(
                "fallback",
                EstateShape::OneOrMany(&EstateShape::NameIn(Part::Channels)),
                "The channels that are tried when this one fails, in this order.",
            ),
        ],
    )
};

static EMAIL: Section = Section::new(
    "`email`",
    "A channel, `email`",
    &[
        EstateField::required(
            "to",
            EstateShape::Items(&RECIPIENTS),
            "The recipients: addresses, or people with `email`.",
        ),
        EstateField::required("from", EstateShape::Pattern(&MAILBOX), "The sender's address."),
        EstateField::required("server", EstateShape::Text, "The name or address of the SMTP server."),
        EstateField::optional(
            "port",
            EstateShape::PORT,
            "The port of the server. Default: 587 with `starttls`, 465 with `implicit`, 25 with `none`.",
        ),
        EstateField::with_default(
            "tls",
            EstateShape::OneOf(&["starttls", "implicit", "none"]),
            "starttls",
            "The encryption of the connection. `none` is only for a server on this machine.",
        ),
        EstateField::optional("user", EstateShape::Text, "The account; it needs `password`."),
        EstateField::optional("password", EstateShape::Section(&SECRET_REF), "The password of `user`."),
        EstateField::optional(
            "trust",
            EstateShape::Text,
            "A PEM file of authorities to trust in place of the system's.",
        ),
    ],
);

/// The limit keeps a channel from being used as a mailing list.
static RECIPIENTS: Items = Items {
    item: EstateShape::Recipient,
    one: true,
    min: 1,
    max: 50,
    message: "an e-mail has 1 to 50 recipients, this one has {}",
    help: "",
};

static WEBHOOK: Section = Section::new(
    "`webhook`",
    "A channel, `webhook`",
    &[
        EstateField::required(
            "url",
            EstateShape::Pattern(&SECURE_ADDRESS),
            "The address it is posted to; `https` except to this machine.",
        ),
        EstateField::required("secret", EstateShape::SecretKey, "The secret it is signed with."),
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
            "Environment variables: texts, or `{ secret: name }`, which is how a secret reaches the program.",
        ),
    ],
);

static ARGV: Items =
    Items { item: EstateShape::Text, one: false, min: 1, max: usize::MAX, message: "no program is given", help: "" };

static VARIABLES: Entries = Entries {
    plural: "variables",
    keyed_by: "by name",
    key: EntryKey::Pattern(&VARIABLE_KEY),
    value: EstateShape::MappingOr { mapping: &EstateShape::Section(&SECRET_REF), other: &EstateShape::Text },
    may_be_null: false,
    needed: None,
};
