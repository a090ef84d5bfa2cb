//! What the reference says of an estate as a whole.

use super::Keys;

pub(in crate::domain) const ESTATE: Keys = &[
    ("estate", "text, required", "The shop's name."),
    ("default_environment", "name", "The environment of a run that names none. Without it, `--env` has to be typed."),
    ("environments", "mapping, required", "Where runbooks run, by name; see below."),
    ("services", "mapping", "What is kept running, by name; see below. Runbooks act on no other units."),
    (
        "datastores",
        "mapping",
        "What services lean on, by name: `{ kind, unit, port, url }`, `kind` required, `url` a secret.",
    ),
    (
        "channels",
        "mapping",
        "Where messages go, by name: `{ slack, token, api }` with a Slack channel and the bot's token as a secret, or `{ slack_webhook }` with a secret.",
    ),
    ("people", "mapping", "Who is known, by name: `{ name, account, slack }`; `account` is the account on the host."),
    ("roles", "mapping", "Who may agree to what, by role: `{ summary, people }`. A role without people is anybody's."),
    (
        "secrets",
        "mapping",
        "Where each secret is found, by name: `{ env }`, `{ file, key }` or `{ credential }`. A `key` that ends in `*` stands for every line of the file that begins so; such a family is only scrubbed.",
    ),
    ("senders", "mapping", "Who may post alerts, by name: each posts to `/hooks/<name>`; see below."),
    (
        "postmortem",
        "mapping",
        "`{ directory, template }`: where drafts are written, `postmortems` unless given, and a minijinja file in place of the built-in form.",
    ),
    ("report", "mapping", "`{ directory }`: where the reports of maintenance are written, `reports` unless given."),
    ("alerts", "mapping", "What is done about alerts in general; see below."),
    (
        "slack",
        "mapping",
        "The Slack app, `{ channel, app_token, signing_secret, strangers, channel_an_incident }`: `channel` is one of `channels`, `app_token` opens Socket Mode, `signing_secret` the addresses `/slack/command` and `/slack/interactive`. `strangers`, people of the workspace who are not under `people`, may do `nothing` unless it says `look` or `acknowledge`.",
    ),
    (
        "page",
        "`{ url, secret }`",
        "A page for each incident, served by `runbook serve` at `/incidents/<id>`: `url` is where people reach it (`https` except on this machine), `secret` makes the key in each link, without which nothing is shown.",
    ),
    (
        "logs",
        "`{ trace, span, parent, span_name }`",
        "By which fields the services' lines say where in a trace they belong, each a name or several: `traceId`, `spanId`, `parentSpanId`, `spanName` and their usual spellings unless given.",
    ),
];
