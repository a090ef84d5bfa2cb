//! Environments and their hosts.

use super::pattern::{DESTINATION, LOCAL_HOST, MANAGER, SSH_OPTION};
use super::{Entries, EntryKey, EstateField, EstateShape, Items, Section};

pub(super) static ENVIRONMENT: Section = Section::new(
    "an environment",
    "An environment",
    &[
        EstateField::optional("branch", EstateShape::Text, "The branch that is deployed there."),
        EstateField::optional("domain", EstateShape::Text, "The domain name that customers use."),
        EstateField::with_default(
            "host",
            HOST,
            "local",
            "The host on which steps act: `local` is the machine that `runbook` runs on; a mapping is a host reached by SSH.",
        ),
        EstateField::optional(
            "hosts",
            EstateShape::Entries(&HOSTS),
            "Further hosts of the environment, for steps with `host`.",
        ),
        EstateField::optional(
            "hostname",
            EstateShape::Text,
            "A pattern that the host's name must match, such as `shop-1-*`. Steps do not run on any other host.",
        ),
        EstateField::with_default(
            "systemd",
            EstateShape::Pattern(&MANAGER),
            "system",
            "The systemd manager of the units: `system`, `user`, or the address of its D-Bus.",
        ),
        EstateField::optional("repository", EstateShape::Text, "The work tree of the deployed code."),
        EstateField::optional(
            "journal",
            EstateShape::Text,
            "A directory with journal files, in place of the host's journal.",
        ),
        EstateField::optional(
            "vars",
            EstateShape::Entries(&VARS),
            "Any other values that runbooks need; they use them as `environment.vars.<name>`.",
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
            "The destination as `ssh` takes it: `deploy@web1`, or a host of its configuration.",
        ),
        EstateField::optional(
            "port",
            EstateShape::PORT,
            "The port of its SSH server. Default: the port in the configuration of ssh.",
        ),
        EstateField::optional(
            "config",
            EstateShape::Text,
            "A configuration file of ssh in place of the account's, relative to the project directory.",
        ),
        EstateField::optional(
            "options",
            EstateShape::Entries(&OPTIONS),
            "Options of ssh, such as `IdentityFile` and `ProxyJump`.",
        ),
        EstateField::optional(
            "reaches",
            EstateShape::Items(&REACHES),
            "Patterns of names and addresses that are connected to from this host, besides its loopback. See [hosts.md](hosts.md).",
        ),
    ],
);

static OPTIONS: Entries = Entries {
    plural: "options",
    keyed_by: "of ssh",
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
    message: "`reaches` has at most 100 patterns",
    help: "",
};
