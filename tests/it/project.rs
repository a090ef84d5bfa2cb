//! A project directory, and the program under test on it: as one command, or as a running `serve`.
//!
//! The program gets `PATH`, `HOME` and the variables of the test, and no other environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use runbook::actions::transport::process::output_detached;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::real::daemon::{Daemon, get};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_runbook");

/// A project with its own state directory; both are removed with the value.
pub struct Project {
    directory: TempDir,
    /// Each as `NAME=value`.
    variables: Vec<String>,
}

impl Project {
    /// A project with this estate and no runbooks.
    pub fn new(estate: &str, variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let variables = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let project = Self { directory, variables };
        fs::create_dir(project.path("runbooks")).unwrap();
        fs::create_dir(project.state()).unwrap();
        project.write("runbooks/estate.yaml", estate);
        project
    }

    /// Sets a variable; the last value of a name counts.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push(format!("{name}={value}"));
    }

    /// A path in the project's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A command of the program, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_below(&[], arguments)
    }

    /// The same, started by another program: variables and arguments before ours.
    pub fn command_below(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/env");
        command.args(self.arguments(wrapper, arguments)).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        output_detached(&mut self.command(arguments)).unwrap()
    }

    /// The standard output of a command, which must succeed.
    pub fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}\n{stderr}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The output of a command as JSON, `null` without any.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["-o", "json"], arguments].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Starts `serve` with these arguments, and waits until it answers on the port.
    pub fn serve(&self, port: u16, arguments: &[&str]) -> Daemon {
        let arguments = self.arguments(&[], &[&["serve"], arguments].concat());
        let serve = Daemon::start(Path::new("/usr/bin/env"), &arguments, None, &self.path("serve.log"));
        // With a token, the answer without one is 401.
        serve.wait(|| get(port, "/health/ready").is_some_and(|(status, _)| status == 200 || status == 401));
        serve
    }

    /// The arguments of `env`.
    fn arguments(&self, wrapper: &[&str], arguments: &[&str]) -> Vec<String> {
        let home = format!("HOME={}", self.directory.path().display());
        let (state, directory) = (self.state().display().to_string(), self.directory.path().display().to_string());
        let options = ["--state", &state, "--dir", &directory];
        let environment =
            ["-i", "PATH=/usr/bin:/bin", &home].map(str::to_owned).into_iter().chain(self.variables.clone());
        let program =
            wrapper.iter().chain(&[PROGRAM]).chain(&options).chain(arguments).map(|argument| (*argument).to_owned());
        environment.chain(program).collect()
    }
}

/// Makes a running `serve` reload its files, and waits until it logs this about them.
pub fn reload(serve: &Daemon, expected: &str) {
    let count = || serve.log_end().matches(expected).count();
    let before = count();
    serve.signal(Signal::HUP);
    serve.wait_for(expected, || count() > before);
}
