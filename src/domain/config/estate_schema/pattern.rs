//! The patterns of texts in an estate: addresses, paths, units, names of variables.

use super::Pattern;
use crate::domain::config::host::{LOCAL, is_destination};
use crate::domain::core::id::is_name;

/// The longest name of a systemd unit, which is systemd's limit.
const MAX_UNIT: usize = 255;

/// The longest e-mail address, from RFC 5321.
const MAX_MAILBOX: usize = 254;

/// The longest name of a variable or of a header: longer than any in use.
const MAX_KEY: usize = 128;

/// The unchanged text, if it fits.
fn accepted(text: &str, fits: bool) -> Option<String> {
    fits.then(|| text.to_owned())
}

pub(super) static ADDRESS: Pattern = Pattern {
    message: "`{}` is not an address",
    help: "Write it with its scheme, such as `http://127.0.0.1:8000`.",
    ..Pattern::new("address", "^https?://\\S+$", |text| {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
        let fits = !rest.is_empty() && !rest.contains(char::is_whitespace);
        accepted(text.trim_end_matches('/'), fits)
    })
};

/// An address to which messages and keys may be sent: `https`, or this machine.
pub(super) static SECURE_ADDRESS: Pattern = Pattern {
    wider: Some(&ADDRESS),
    message: "`http` is only for an address of this machine",
    help: "Write `https://…`.",
    ..Pattern::new("address", "^https?://\\S+$", |text| {
        let host = text.strip_prefix("http://").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        accepted(text, host.is_none_or(is_loopback_address))
    })
};

/// The beginning of a link.
pub(super) static BASE_ADDRESS: Pattern = Pattern {
    wider: Some(&SECURE_ADDRESS),
    message: "a link cannot begin with an address that has a `?` or a `#`",
    help: "Write the address without them, such as `https://runbook.shop.example`.",
    ..Pattern::new("address", "^https?://[^\\s?#]+$", |text| accepted(text, !text.contains(['?', '#'])))
};

fn is_loopback_address(host: &str) -> bool {
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host == *name || host.starts_with(&format!("{name}:")))
}

/// Whether a host without a port is this machine.
pub(in crate::domain) fn is_loopback_host(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

pub(super) static PATH: Pattern = Pattern {
    message: "the path `{}` does not start with `/`",
    help: "Write `/{}`.",
    ..Pattern::new("path", "^/", |text| accepted(text, text.starts_with('/')))
};

pub(super) static UNIT: Pattern = Pattern {
    message: "`{}` is not the name of a unit",
    help: "Write the whole name, such as `shop-gateway.service`.",
    ..Pattern::new("unit", "^[A-Za-z0-9:_.\\\\@][A-Za-z0-9:_.\\\\@-]*$", |text| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '\\' | '@' | '-');
        accepted(text, text.len() <= MAX_UNIT && text.chars().all(fits) && !text.starts_with('-'))
    })
};

/// An e-mail address. Only its server knows whether it exists.
pub(in crate::domain) static MAILBOX: Pattern = Pattern {
    message: "`{}` is no e-mail address",
    help: "Write only the address, such as `oncall@shop.example`.",
    ..Pattern::new("e-mail address", "^[^\\s<>,;\"]+@[^\\s<>,;\"@]+$", |text| {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | ',' | ';' | '"');
        let whole = text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        accepted(text, whole && text.len() <= MAX_MAILBOX && text.chars().all(plain))
    })
};

const VARIABLE_REGEX: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
/// The message does not quote the text, because it may be the secret.
const NO_VARIABLE: &str = "this is not the name of a variable";
const WRITE_THE_NAME: &str = "Write the variable's name, never its value.";

/// The name of an environment variable, as a key.
pub(super) static VARIABLE_KEY: Pattern = Pattern {
    message: NO_VARIABLE,
    ..Pattern::new("variable", VARIABLE_REGEX, |text| accepted(text, is_variable(text)))
};

/// The name of an environment variable that holds a secret.
pub(super) static VARIABLE: Pattern = Pattern {
    message: NO_VARIABLE,
    help: WRITE_THE_NAME,
    ..Pattern::new("variable", VARIABLE_REGEX, |text| accepted(text, is_variable(text)))
};

/// The name of a variable in a file, or with a trailing `*` a prefix of names.
pub(super) static VARIABLES: Pattern = Pattern {
    message: NO_VARIABLE,
    help: WRITE_THE_NAME,
    ..Pattern::new("variable, or `PREFIX_*`", "^[A-Za-z_][A-Za-z0-9_]*\\*?$", |text| {
        accepted(text, is_variable(text.strip_suffix('*').unwrap_or(text)))
    })
};

/// Whether a text can name an environment variable.
fn is_variable(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty()
        && text.len() <= MAX_KEY
        && text.chars().all(fits)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// The name of a header; its normal form is in lower case.
pub(super) static HEADER: Pattern = Pattern {
    message: "`{}` is not the name of a header",
    ..Pattern::new("header", "^[A-Za-z0-9_-]+$", |text| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        accepted(&text.to_ascii_lowercase(), text.chars().all(fits) && text.len() <= MAX_KEY)
    })
};

/// The ARN of an SNS topic.
pub(super) static TOPIC: Pattern = Pattern {
    message: "`{}` is not the ARN of a topic",
    help: "Write it whole, such as `arn:aws:sns:eu-west-1:123456789012:alarms`.",
    ..Pattern::new("ARN", "^arn:[^:]+:sns:[^:]+:[^:]+:[^:]+$", |text| {
        // arn:partition:sns:region:account:name
        let parts: Vec<&str> = text.split(':').collect();
        let fits = parts.len() == 6 && parts[0] == "arn" && parts[2] == "sns";
        accepted(text, fits && parts.iter().all(|part| !part.is_empty()))
    })
};

/// The file of a workflow of GitHub.
pub(super) static WORKFLOW_FILE: Pattern = Pattern {
    message: "`{}` is not the file of a workflow",
    help: "Write its name below `.github/workflows`, such as `deploy.yml`.",
    ..Pattern::new("file", "^[^/]*\\.ya?ml$", |text| {
        accepted(text, (text.ends_with(".yml") || text.ends_with(".yaml")) && !text.contains('/'))
    })
};

/// A kind, or a kind and one of its verbs. The name is not compared with the list of kinds: an unknown one allows nothing.
pub(super) static ACTION: Pattern = Pattern {
    message: "`{}` is no action",
    help: "Write a kind and its verb, such as `systemd.restart`.",
    ..Pattern::new("kind, or `kind.verb`", "^[a-z][a-z0-9_-]*(\\.[a-z][a-z0-9_-]*)?$", |text| {
        let parts: Vec<&str> = text.split('.').collect();
        accepted(text, parts.len() <= 2 && parts.iter().all(|part| is_name(part)))
    })
};

/// A systemd manager.
pub(super) static MANAGER: Pattern = Pattern {
    message: "`{}` is no systemd manager",
    help: "Write `system`, `user`, or a D-Bus address such as `unix:path=/run/user/1000/bus`.",
    words: &["system", "user"],
    ..Pattern::new("`system`, `user` or `unix:…`", "^(system|user|unix:.*)$", |text| {
        accepted(text, matches!(text, "system" | "user") || text.starts_with("unix:"))
    })
};

/// The name of this machine in place of a host.
pub(super) static LOCAL_HOST: Pattern = Pattern {
    message: "`{}` is no host",
    help: "Write `local`, or `{ ssh: deploy@host }` for one that is reached by SSH.",
    ..Pattern::new("`local`", "^local$", |text| accepted(text, text == LOCAL))
};

/// A destination of ssh.
pub(super) static DESTINATION: Pattern = Pattern {
    message: "`{}` is no destination of ssh",
    help: "Write `host` or `user@host`; the port has a key of its own, `port`.",
    ..Pattern::new(
        "`user@host` or a name",
        "^([A-Za-z0-9._+][A-Za-z0-9._+-]*@)?[A-Za-z0-9._:][A-Za-z0-9._:-]*$",
        |text| accepted(text, is_destination(text)),
    )
};

/// The options of ssh that an estate may set: those that a connection needs. None of them starts a program, forwards an
/// agent, or weakens the check of host keys.
const SSH_OPTIONS: &[&str] = &[
    "AddressFamily",
    "BindAddress",
    "BindInterface",
    "CertificateFile",
    "Ciphers",
    "Compression",
    "GlobalKnownHostsFile",
    "HostKeyAlgorithms",
    "HostKeyAlias",
    "HostName",
    "IdentitiesOnly",
    "IdentityAgent",
    "IdentityFile",
    "KexAlgorithms",
    "MACs",
    "ProxyJump",
    "PubkeyAcceptedAlgorithms",
    "RekeyLimit",
    "UserKnownHostsFile",
];

/// An option of ssh; its normal form has the case of the manual.
pub(in crate::domain) static SSH_OPTION: Pattern = Pattern {
    message: "`{}` is no option that an estate may set",
    help: "These may be set: {words}.",
    words: SSH_OPTIONS,
    ..Pattern::new("option", "", |text| {
        SSH_OPTIONS.iter().find(|name| name.eq_ignore_ascii_case(text)).map(|name| (*name).to_owned())
    })
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_matches_a_pattern_matches_its_wider_pattern() {
        for text in ["https://a/b", "http://127.0.0.1:1", "http://[::1]/x", "https://a?b"] {
            assert!((ADDRESS.read)(text).is_some(), "{text}");
        }
        assert!((SECURE_ADDRESS.read)("http://a").is_none() && (BASE_ADDRESS.read)("https://a#b").is_none());
    }
}
