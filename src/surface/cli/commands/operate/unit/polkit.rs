//! The polkit rule: allows an account exactly the needed verbs per unit.
//!
//! **Invariant:** every unit name is a string literal in which everything but printable ASCII is escaped.

use std::fmt::Write as _;

use crate::domain::host::unit_permission::Grant;

/// The beginning of the rule.
const HEAD: &str = "\
// Allows exactly what this project's runbooks do to systemd units. Printed by `runbook unit polkit`: print it again when the
// estate or a runbook has changed. Install it as /etc/polkit-1/rules.d/50-runbook.rules; it needs polkit 0.106 or later.
polkit.addRule(function (action, subject) {
";

/// The part that allows verbs of units.
const UNITS: &str =
    "    // Allowed for every unit, this action would let the account start a unit that it has written, and so become root.
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
    let mut line = |line: &str| writeln!(text, "{line}").expect("writing into a string cannot fail");
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
        (grant.unit_files, "manage-unit-files", "Enabling and disabling units"),
        (grant.daemon_reload, "reload-daemon", "Reloading all unit files"),
    ] {
        if used {
            line(&format!(
                "    // {what} does not name a unit to polkit, so it can only be allowed for all units. Consider whether you want that."
            ));
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
                write!(quoted, "\\u{unit:04x}").expect("writing into a string cannot fail");
            }
        }
        quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_name_cannot_end_its_string_literal() {
        assert_eq!(quoted("a\"];\n//\\"), r#""a\"];\n//\\""#);
        assert_eq!(quoted("\u{2028}\u{7f}𝄞"), r#""\u2028\u007f\ud834\udd1e""#);
    }

    #[test]
    fn without_any_use_nothing_is_allowed() {
        assert!(!rule(&Grant::default(), "deploy").contains("YES"));
    }
}
