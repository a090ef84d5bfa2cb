//! Environments and their hosts.

use super::pattern::{DESTINATION, LOCAL_HOST, MANAGER, SSH_OPTION};
use super::{Entries, EntryKey, EstateField, EstateShape, Items, Section};

pub(super) static ENVIRONMENT: Section = Section::new(
    "an environment",
    "An environment",
    &[
        EstateField::optional("branch", EstateShape::Text, "The branch that is deployed there."),
        EstateField::optional("domain", EstateShape::Text, "The name under which customers reach it."),
        EstateField::with_default(
            "host",
            HOST,
            "local",
            "Where steps act: `local` is the machine that `runbook` runs on; a mapping is one that is reached by SSH.",
        ),
        EstateField::optional(
            "hosts",
            EstateShape::Entries(&HOSTS),
            "Further hosts of the environment, for steps with `host`.",
        ),
        EstateField::optional(
            "hostname",
            EstateShape::Text,
            "A pattern that the host's name must match, such as `shop-1-*`; nothing is done on any other.",
        ),
        EstateField::with_default(
            "systemd",
            EstateShape::Pattern(&MANAGER),
            "system",
            "The manager of the units, or the address of its bus.",
        ),
        EstateField::optional("repository", EstateShape::Text, "The work tree of the shop's code."),
        EstateField::optional(
            "journal",
            EstateShape::Text,
            "A directory with journal files in place of the host's own.",
        ),
        EstateField::optional(
            "vars",
            EstateShape::Entries(&VARS),
            "Whatever else runbooks need, as `environment.vars.<name>`.",
        ),
    ],
);

const HOST: EstateShape =
    EstateShape::MappingOr { mapping: &EstateShape::Section(&SSH_HOST), other: &EstateShape::Pattern(&LOCAL_HOST) };

static HOSTS: Entries = Entries::by_name("hosts", HOST);
static VARS: Entries = Entries::by_name("vars", EstateShape::Any);

static SSH_HOST: Section = Section::new(
    "a host",
    "A host that is reached by SSH",
    &[
        EstateField::required(
            "ssh",
            EstateShape::Pattern(&DESTINATION),
            "Where it is, as ssh is told: `deploy@web1`, or a name of its configuration.",
        ),
        EstateField::optional(
            "port",
            EstateShape::PORT,
            "The port of its SSH server; the configuration says it unless given.",
        ),
        EstateField::optional(
            "config",
            EstateShape::Text,
            "The configuration file of ssh in place of the account's own, relative to the shop's directory.",
        ),
        EstateField::optional(
            "options",
            EstateShape::Entries(&OPTIONS),
            "Options of ssh, such as `IdentityFile` and `ProxyJump`.",
        ),
        EstateField::optional(
            "reaches",
            EstateShape::Items(&REACHES),
            "Patterns of names and addresses that are reached from there, besides its own loopback. See [hosts.md](hosts.md).",
        ),
    ],
);

static OPTIONS: Entries = Entries {
    plural: "options",
    by: "of ssh",
    key: EntryKey::Pattern(&SSH_OPTION),
    value: EstateShape::Text,
    may_be_null: false,
    needed: None,
};

static REACHES: Items = Items {
    item: EstateShape::Text,
    one: true,
    min: 0,
    max: 100,
    message: "a host has at most 100 patterns of what is reached from it",
    help: "",
};
