//! The rule for polkit: exactly what is granted, unit by unit and verb by verb.
//!
//! **Invariant:** whatever a unit is called, in the rule it is a string: everything beyond printable ASCII is escaped.

use std::fmt::Write as _;

use crate::domain::host::unit_permission::Grant;

const HEAD: &str = "\
// What this shop's runbooks do to systemd units, and nothing else. Made by `runbook unit polkit`: print it again when the
// estate or a runbook has changed. Goes to /etc/polkit-1/rules.d/50-runbook.rules; needs polkit 0.106 or later.
polkit.addRule(function (action, subject) {
";

const UNITS: &str =
    "    // Allowed whole, this action would let the account start a unit of its own making, that is, be root.
    if (action.id === \"org.freedesktop.systemd1.manage-units\") {
        var units = allowed[action.lookup(\"verb\")];
        if (Array.isArray(units) && units.indexOf(action.lookup(\"unit\")) !== -1) {
            return polkit.Result.YES;
        }
    }
";

/// The text of the rule.
pub(super) fn rule(grant: &Grant, account: &str) -> String {
    let mut text = HEAD.to_owned();
    let mut line = |line: &str| writeln!(text, "{line}").expect("a string takes everything");
    line(&format!("    if (subject.user !== {}) {{", quoted(account)));
    line("        return polkit.Result.NOT_HANDLED;\n    }");
    let granted: Vec<_> = grant.units.iter().filter(|(_, units)| !units.is_empty()).collect();
    if !granted.is_empty() {
        line("    var allowed = {");
        for (verb, units) in granted {
            let units: Vec<String> = units.iter().map(|unit| format!("            {}", quoted(unit))).collect();
            line(&format!("        {}: [\n{}\n        ],", quoted(verb), units.join(",\n")));
        }
        line("    };");
        line(UNITS.trim_end());
    }
    for (used, action, what) in [
        (grant.unit_files, "manage-unit-files", "Enabling and disabling"),
        (grant.daemon_reload, "reload-daemon", "Reading all unit files again"),
    ] {
        if used {
            line(&format!("    // {what} names no unit to polkit: it can only be allowed whole. Think twice."));
            line(&format!("    if (action.id === \"org.freedesktop.systemd1.{action}\") {{"));
            line("        return polkit.Result.YES;\n    }");
        }
    }
    line("    return polkit.Result.NOT_HANDLED;\n});");
    text
}

/// A JavaScript string literal for old and new engines: JSON in pure ASCII.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut units = [0; 2];
    json.chars().fold(String::new(), |mut quoted, character| {
        if character.is_ascii_graphic() || character == ' ' {
            quoted.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                write!(quoted, "\\u{unit:04x}").expect("a string takes everything");
            }
        }
        quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_stays_one_whatever_is_in_it() {
        assert_eq!(quoted("a\"];\n//\\"), r#""a\"];\n//\\""#);
        assert_eq!(quoted("\u{2028}\u{7f}𝄞"), r#""\u2028\u007f\ud834\udd1e""#);
    }

    #[test]
    fn where_nothing_is_used_nothing_is_allowed() {
        assert!(!rule(&Grant::default(), "deploy").contains("YES"));
    }
}
