//! A stand-in for the program `aws`: it records its calls and gives configured answers.
//!
//! It answers as the AWS command line does: JSON on standard output and status 0, or a message on standard error and
//! status 254.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

/// Appends the number of its arguments and the arguments to `calls`; answers from `answers/<service>.<operation>` or refuses.
const PROGRAM: &str = r#"#!/bin/sh
here=$(dirname "$0")/..
printf '%s\0' "$#" "$@" >> "$here/calls"
answer=$here/answers/$1.$2
if [ -f "$answer.error" ]; then cat "$answer.error" >&2; exit 254; fi
if [ -f "$answer.json" ]; then cat "$answer.json"; exit 0; fi
echo "" >&2
echo "An error occurred (AccessDenied) when calling $1 $2: the stand-in has no answer" >&2
exit 254
"#;

/// The stand-in; its directory is removed with the value.
pub struct Aws {
    directory: TempDir,
}

impl Aws {
    /// A stand-in without answers, which refuses everything.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for part in ["bin", "answers"] {
            fs::create_dir(directory.path().join(part)).expect("a directory can be made");
        }
        let program = directory.path().join("bin/aws");
        fs::write(&program, PROGRAM).expect("a file can be written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program can be made executable");
        Self { directory }
    }

    /// The directory that holds `aws`, to be put first in `PATH`.
    pub fn bin(&self) -> PathBuf {
        self.directory.path().join("bin")
    }

    /// A value for `PATH` with the stand-in first.
    pub fn path(&self) -> String {
        format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.bin().display())
    }

    /// Sets the answer of `aws <service> <operation> …`.
    pub fn answers(&self, service: &str, operation: &str, answer: &Value) -> &Self {
        self.put(service, operation, "json", &format!("{answer:#}\n"))
    }

    /// Makes `aws <service> <operation> …` fail with status 254 and this message.
    pub fn fails(&self, service: &str, operation: &str, message: &str) -> &Self {
        self.put(service, operation, "error", &format!("\n{message}\n"))
    }

    /// Every call so far, each as its arguments without the program's name.
    pub fn calls(&self) -> Vec<Vec<String>> {
        let written = fs::read(self.directory.path().join("calls")).unwrap_or_default();
        let mut words = written.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let mut calls = Vec::new();
        while let Some(count) = words.next().and_then(|word| word.parse().ok()) {
            calls.push(words.by_ref().take(count).collect());
        }
        calls
    }

    fn put(&self, service: &str, operation: &str, kind: &str, text: &str) -> &Self {
        let file = self.directory.path().join(format!("answers/{service}.{operation}.{kind}"));
        fs::write(file, text).expect("a file can be written");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::process::Command;

    #[test]
    fn it_gives_the_configured_answers_and_records_its_calls() {
        let aws = Aws::new();
        aws.answers("cloudwatch", "describe-alarms", &json!({"MetricAlarms": []}));
        let call = |arguments: &[&str]| Command::new(aws.bin().join("aws")).args(arguments).output().unwrap();
        let answered = call(&["cloudwatch", "describe-alarms", "--alarm-names", "a b\nc", ""]);
        assert!(answered.status.success());
        assert_eq!(serde_json::from_slice::<Value>(&answered.stdout).unwrap(), json!({"MetricAlarms": []}));
        assert_eq!(call(&["ec2", "terminate-instances"]).status.code(), Some(254));
        assert_eq!(aws.calls()[0], ["cloudwatch", "describe-alarms", "--alarm-names", "a b\nc", ""]);
        assert_eq!(aws.calls().len(), 2);
    }
}
