//! Reads the values of the estate's secrets: from a variable, a file, a line of an environment file, or a systemd
//! credential.
//!
//! **Invariant:** a value leaves this file only as a `SecretString`, and an error never quotes a value.
//!
//! An unreadable secret is not an error here: its error is stored in its place, and a step that needs the secret fails
//! with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::settings::EnvironmentVariables;
use crate::actions::Secrets;
use crate::domain::config::estate::{Estate, SecretSource};
use crate::domain::redact::{LONGEST_SECRET, SHORTEST_SECRET};

/// Maximum size of a file that is read, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Reads every secret of the estate. Relative paths are relative to the project's directory.
///
/// A key that ends in `*` is a prefix: every line of the file whose key begins with it is a secret `<name>.<KEY>`. The
/// secret `<name>` itself then has no value.
pub fn read(estate: &Estate, directory: &Path, environment: &EnvironmentVariables) -> Secrets {
    let value = |source: &SecretSource| Ok(SecretString::from(find(source, directory, environment)?));
    let mut values = BTreeMap::new();
    for (name, source) in &estate.secrets {
        match (key_prefix(source), &source.file) {
            (Some(prefix), Some(file)) => match assignments_with_prefix(&directory.join(file), prefix) {
                Ok(found) => values.extend(found.into_iter().map(|(key, value)| {
                    (format!("{name}.{key}"), value.and_then(checked_length).map(SecretString::from))
                })),
                Err(reason) => drop(values.insert(name.clone(), Err(reason))),
            },
            _ => drop(values.insert(name.clone(), value(source))),
        }
    }
    Secrets::new(values)
}

/// The prefix, if the key of a source ends in `*`.
fn key_prefix(source: &SecretSource) -> Option<&str> {
    source.key.as_deref()?.strip_suffix('*')
}

/// Every assignment in an environment file whose key begins with the prefix.
fn assignments_with_prefix(path: &Path, prefix: &str) -> Result<BTreeMap<String, Result<String, String>>, String> {
    let shown = path.display();
    let text = contents(path).map_err(|reason| format!("`{shown}` {reason}"))?;
    let found: BTreeMap<_, _> = assignments(&text)
        .filter(|(key, value)| key.starts_with(prefix) && !value.is_empty())
        .map(|(key, value)| {
            (key.to_owned(), unquoted(value).map_err(|reason| format!("`{key}` in `{shown}` {reason}")))
        })
        .collect();
    if found.is_empty() { Err(format!("no `{prefix}*` in `{shown}` is set")) } else { Ok(found) }
}

fn find(source: &SecretSource, directory: &Path, environment: &EnvironmentVariables) -> Result<String, String> {
    let value = match (&source.env, &source.file, &source.credential) {
        (Some(name), None, None) => environment
            .get(name)
            .ok_or_else(|| format!("`{name}` is not set"))?
            .to_str()
            .ok_or_else(|| not_text(name))?
            .to_owned(),
        (None, Some(file), None) => in_file(&directory.join(file), source.key.as_deref())?,
        (None, None, Some(name)) => in_file(&credential(name, environment)?, None)?,
        _ => return Err("the estate names no source for it".to_owned()),
    };
    checked_length(value)
}

/// Checks that a value can be redacted: that it is neither too short nor too long.
fn checked_length(value: String) -> Result<String, String> {
    let visible = value.bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
    match (visible, value.len()) {
        (0, _) => Err("it is empty".to_owned()),
        (..SHORTEST_SECRET, _) => {
            Err(format!("it is shorter than {SHORTEST_SECRET} characters: too short to be redacted"))
        }
        (_, ..=LONGEST_SECRET) => Ok(value),
        _ => Err(format!("it is longer than {} KiB", LONGEST_SECRET / 1024)),
    }
}

fn not_text(name: &str) -> String {
    format!("`{name}` is not UTF-8 text")
}

/// The path of a systemd credential, as `LoadCredential=` creates it.
fn credential(name: &str, environment: &EnvironmentVariables) -> Result<PathBuf, String> {
    let directory = environment
        .get("CREDENTIALS_DIRECTORY")
        .ok_or("`CREDENTIALS_DIRECTORY` is not set: systemd sets it for a unit with `LoadCredential=`")?;
    if name.contains('/') || name.starts_with('.') {
        return Err(format!("`{}` cannot be a credential's name", name.escape_debug()));
    }
    Ok(Path::new(directory).join(name))
}

fn in_file(path: &Path, key: Option<&str>) -> Result<String, String> {
    let shown = path.display();
    let text = contents(path).map_err(|reason| format!("`{shown}` {reason}"))?;
    match key {
        None => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Some(key) => assigned(&text, key).map_err(|reason| format!("`{key}` in `{shown}` {reason}")),
    }
}

/// The text of a regular file. Opening does not block; a pipe or a device is refused.
fn contents(path: &Path) -> Result<String, String> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("the flag is one low bit");
    let file: File = File::options()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(|error| format!("cannot be read: {error}"))?;
    let metadata = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut text = String::new();
    let read =
        file.take(FILE_LIMIT + 1).read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    if read as u64 > FILE_LIMIT {
        return Err(format!("is larger than {} MiB", FILE_LIMIT / 1024 / 1024));
    }
    Ok(text)
}

/// The value of a key in an environment file. As in systemd and shells, the last assignment counts.
fn assigned(text: &str, key: &str) -> Result<String, String> {
    let value =
        assignments(text).filter(|(name, _)| *name == key).map(|(_, value)| value).last().ok_or("is not set")?;
    unquoted(value)
}

/// Every `KEY=value` line, with the value as written.
fn assignments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='));
    pairs.map(|(name, value)| (name.trim(), value.trim()))
}

fn unquoted(value: &str) -> Result<String, String> {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        // A comment after an unquoted value begins with a blank and `#`.
        return Ok(value.split(" #").next().unwrap_or(value).trim_end().to_owned());
    };
    let mut out = String::new();
    let mut rest = value[1..].chars();
    while let Some(character) = rest.next() {
        match character {
            end if end == quote => return Ok(out),
            '\\' if quote == '"' => match rest.next() {
                Some('n') => out.push('\n'),
                Some(escaped) => out.push(escaped),
                None => break,
            },
            other => out.push(other),
        }
    }
    Err("has no closing quote on its line".to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn an_environment_file_is_read_as_systemd_reads_it() {
        let text = "# A=no\nA=first\nexport A=last # why\nB=\"two\\nlines \\\"q\\\"\"\nC='it # is'\nD=\"open\nE=\n";
        let value = |key| assigned(text, key);
        assert_eq!(value("A").unwrap(), "last");
        assert_eq!(value("B").unwrap(), "two\nlines \"q\"");
        assert_eq!(value("C").unwrap(), "it # is");
        assert_eq!(value("D").unwrap_err(), "has no closing quote on its line");
        assert_eq!(value("E").unwrap(), "");
        assert_eq!(value("F").unwrap_err(), "is not set");
    }

    #[test]
    fn an_unreadable_secret_has_its_error_and_the_others_have_their_values() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), "xoxb-1\n").unwrap();
        std::fs::write(directory.path().join("long"), "x".repeat(LONGEST_SECRET + 1)).unwrap();
        let file = |name: &str| SecretSource { file: Some(name.to_owned()), ..SecretSource::default() };
        let mut estate = Estate::default();
        estate.secrets.insert("token".into(), file("token"));
        estate.secrets.insert("long".into(), file("long"));
        estate.secrets.insert("device".into(), file("/dev/zero"));
        std::fs::write(directory.path().join("short"), "a\n").unwrap();
        estate.secrets.insert("short".into(), file("short"));
        estate.secrets.insert("gone".into(), file("gone"));
        estate
            .secrets
            .insert("cred".into(), SecretSource { credential: Some("../x".into()), ..SecretSource::default() });
        std::fs::write(directory.path().join("env"), "PAY_A=first-one\nPAY_B='second one'\nOTHER=x\n").unwrap();
        let prefix = SecretSource { key: Some("PAY_*".into()), ..file("env") };
        estate.secrets.insert("pay".into(), prefix);
        let secrets = read(&estate, directory.path(), &EnvironmentVariables::default());
        assert_eq!(secrets.get("token").unwrap().expose_secret(), "xoxb-1");
        assert_eq!(secrets.get("pay.PAY_B").unwrap().expose_secret(), "second one");
        assert_eq!(secrets.iter().filter(|(name, _)| name.starts_with("pay")).count(), 2);
        assert!(secrets.get("long").unwrap_err().contains("longer than 32 KiB"));
        assert!(secrets.get("device").unwrap_err().contains("is not a regular file"));
        assert!(secrets.get("short").unwrap_err().contains("too short"));
        assert!(secrets.get("gone").unwrap_err().contains("cannot be read"));
        assert!(secrets.get("cred").unwrap_err().contains("CREDENTIALS_DIRECTORY"));
    }
}
