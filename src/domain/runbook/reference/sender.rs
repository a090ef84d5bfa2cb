//! What the reference says of the senders of an estate.

use super::Keys;

pub(in crate::domain) const SENDER: Keys = &[
    (
        "form",
        "`alertmanager` `grafana` `sns` `github` `pagerduty` `mapping`",
        "What it speaks. Its name says so unless given, and a `mapping` does.",
    ),
    (
        "auth",
        "mapping with one key, required",
        "How it proves who it is; see below. A sender of the form `sns` may go without: then AWS's own signature is needed.",
    ),
    ("topics", "text, or a list of them", "The ARNs of the SNS topics that may post."),
    (
        "certificate",
        "text",
        "A file with the certificate of SNS, for a host that reaches no network. It is fetched unless given.",
    ),
    ("environment", "name", "What its alerts are about when they do not say."),
    ("catch_up", "address", "An Alertmanager that is asked after a down-time what fires."),
    (
        "severities",
        "mapping of words to `p1` `p2` `p3` `p4`",
        "What its own words mean. `critical`, `warning`, `info` and their like are known.",
    ),
    ("mapping", "mapping", "How the body of a sender is read that has no form of its own; see below."),
    (
        "workflows",
        "mapping",
        "For `github`, by the file of a workflow: `{ failure, success, environment }`, the alert that a run becomes which fails or succeeds. A success resolves the failure on the same branch. Pull requests and forks are left out.",
    ),
];

pub(in crate::domain) const AUTH: Keys = &[
    ("bearer", "`{ secret }`", "`Authorization: Bearer …`."),
    ("basic", "`{ user, password: { secret } }`", "`Authorization: Basic …`."),
    ("header", "`{ name, secret }`", "A token in a header of its own."),
    ("github", "`{ secret }`", "HMAC-SHA256 in `X-Hub-Signature-256`."),
    (
        "grafana",
        "`{ secret, timestamp_header }`",
        "HMAC-SHA256 in `X-Grafana-Alerting-Signature`; with `timestamp_header` as Grafana has it, old posts are refused.",
    ),
    ("pagerduty", "`{ secret }`", "HMAC-SHA256 in `X-PagerDuty-Signature`."),
    ("standard", "`{ secret }`", "A Standard Webhook; the secret is `whsec_…`."),
    ("none", "`true`", "Whoever reaches the port is believed; only on loopback, and not behind a proxy."),
];

pub(in crate::domain) const MAPPING: Keys = &[
    ("each", "expression", "The list in `body` whose every `item` is an alert; without it the body is one."),
    ("name", "expression, required", "The alert's name."),
    (
        "firing",
        "expression",
        "What the sender calls this firing, the same when it is resolved. Computed from name and labels unless given.",
    ),
    ("summary", "expression", "One line for people."),
    ("severity", "expression", "A word; see `severities`."),
    ("starts_at", "expression", "When it began: RFC 3339, or seconds or milliseconds since 1970."),
    ("ends_at", "expression", "When it ended."),
    ("value", "expression", "The value that was measured."),
    ("link", "expression", "Where the sender shows it."),
    ("runbook", "expression", "The runbook that it names."),
    ("environment", "expression", "The environment."),
    ("service", "expression", "The service."),
    (
        "status",
        "`{ value, firing, resolved }`",
        "An expression, and the words that it gives for either. Another word is taken for firing, with a warning; without `status` every alert fires.",
    ),
    ("labels", "expression, or a mapping of free names to expressions", "What it is about."),
    ("annotations", "expression, or a mapping of free names to expressions", "What is said of it."),
    (
        "recurs",
        "`true` or `false`",
        "Whether `firing` comes back when the same thing fires again; `true` unless given, which is the safe side.",
    ),
];
