//! The keys of an environment and of its hosts.

use super::Keys;

pub(in crate::domain) const ENVIRONMENT: Keys = &[
    ("branch", "text", "The branch that is deployed there."),
    ("domain", "text", "The name under which customers reach it."),
    (
        "host",
        "`local`, or a mapping",
        "Where steps act: `local`, the default, is the machine that `runbook` runs on; a mapping is one that is reached by SSH.",
    ),
    ("hosts", "mapping of names to: hosts", "Further hosts of the environment, for steps with `host`."),
    ("hostname", "pattern", "The name that the host must have, such as `shop-1-*`; nothing is done on any other."),
    (
        "systemd",
        "`system`, `user` or `unix:…`",
        "The manager of the units, or the address of its bus; `system` unless given.",
    ),
    ("repository", "text", "The work tree of the shop's code."),
    ("journal", "text", "A directory with journal files in place of the host's own."),
    ("vars", "mapping of free names to: any value", "Whatever else runbooks need, as `environment.vars.<name>`."),
];

pub(in crate::domain) const HOST: Keys = &[
    (
        "ssh",
        "`user@host` or a name, required",
        "Where it is, as ssh is told: `deploy@web1`, or a name of its configuration.",
    ),
    ("port", "whole number, 1 to 65535", "The port of its SSH server; the configuration says it unless given."),
    (
        "config",
        "path",
        "The configuration file of ssh in place of the account's own, relative to the shop's directory.",
    ),
    ("options", "mapping of names to: text", "Options of ssh, such as `IdentityFile` and `ProxyJump`."),
    (
        "reaches",
        "pattern, or a list of them",
        "Names and addresses that are reached from there, besides its own loopback. See [hosts.md](hosts.md).",
    ),
];
