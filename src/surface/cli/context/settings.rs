//! The settings of a command: from flags, then `RUNBOOK_*` variables, then defaults of the host.
//!
//! **Invariant:** no other file of this crate reads the environment of the process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::actions::transport::process::AGENT;
use crate::domain::core::text::shell_word;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::cli::output::format::Format;
use crate::surface::terminal::{CharacterSet, Colour};

/// The default project directory.
const SYSTEM_DIRECTORY: &str = "/etc/runbook";
/// The variables that every child process gets, and the variable with the path of the ssh agent.
const PASSED_VARIABLES: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", AGENT];
/// The PATH if the process has none; systemd has the same default.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The flags that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Flags {
    /// The format of data on standard output
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "RUNBOOK_OUTPUT",
        hide_env_values = true
    )]
    pub output: Option<Format>,
    /// Print without colour, as `NO_COLOR` does
    #[arg(long, global = true)]
    pub no_color: bool,
    /// The directory that holds the log of incidents [env: RUNBOOK_STATE] [default: $XDG_STATE_HOME/runbook]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The project's directory, which holds `runbooks/` [env: RUNBOOK_DIR] [default: here or a parent directory]
    #[arg(short = 'C', long = "dir", global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// The environment of the process, read once.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentVariables {
    variables: BTreeMap<OsString, OsString>,
}

impl EnvironmentVariables {
    /// The environment of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsString> {
        self.variables.get(&OsString::from(name)).filter(|value| !value.is_empty())
    }

    /// A variable that is set, not empty, and UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str()
    }

    /// A variable that holds an absolute path. The XDG base directory specification ignores relative ones.
    fn absolute(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }
}

/// How the project's directory is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectSource {
    /// A flag or `RUNBOOK_DIR` names it.
    Named(PathBuf),
    /// The working directory and its parents are searched; this directory is the last choice.
    Found(PathBuf),
}

/// The resolved settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub format: Format,
    /// The state directory, or the reason why there is none.
    pub state: std::result::Result<PathBuf, String>,
    pub project: ProjectSource,
    /// The flags that a further command must repeat.
    pub repeat: Vec<String>,
    pub environment: EnvironmentVariables,
    pub working_directory: PathBuf,
    pub streams: Streams,
}

/// Which of the standard streams are terminals, and whether the terminal supports control sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Standard input is a terminal.
    pub input: bool,
    /// Standard output is a terminal.
    pub output: bool,
    /// The terminal supports control sequences: `TERM` is set and not `dumb`.
    pub capable: bool,
}

impl Streams {
    /// Whether an interactive screen can be shown.
    pub fn interactive(self) -> bool {
        self.input && self.output && self.capable
    }
}

impl Settings {
    /// Resolves the settings from flags and environment variables.
    pub fn resolve(flags: &Flags, environment: EnvironmentVariables) -> Result<Self> {
        let working_directory = std::env::current_dir()
            .map_err(|error| Failure::error(format!("the working directory cannot be read: {error}")))?;
        let named = flags.directory.clone().or_else(|| environment.get("RUNBOOK_DIR").map(PathBuf::from));
        let project = match named {
            Some(path) => ProjectSource::Named(working_directory.join(path)),
            None => ProjectSource::Found(PathBuf::from(SYSTEM_DIRECTORY)),
        };
        let capable = environment.text("TERM").is_some_and(|term| term != "dumb");
        let streams =
            Streams { input: std::io::stdin().is_terminal(), output: std::io::stdout().is_terminal(), capable };
        Ok(Self {
            format: flags.output.unwrap_or_default(),
            state: state(flags, &environment, &working_directory),
            project,
            repeat: repeated(flags),
            environment,
            working_directory,
            streams,
        })
    }

    /// The variables that every child process gets: PATH, HOME, LANG, TZ. The path of the ssh agent is included, but only
    /// ssh connections get it.
    pub fn base_environment(&self) -> BTreeMap<String, String> {
        let mut base_environment: BTreeMap<String, String> = PASSED_VARIABLES
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), self.environment.text(name)?.to_owned())))
            .collect();
        base_environment.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
        base_environment
    }

    /// `runbook`, with the flags that a further command must repeat.
    pub fn command(&self) -> String {
        let mut command = vec!["runbook".to_owned()];
        command.extend(self.repeat.iter().cloned());
        command.join(" ")
    }

    /// The maximum line width; none when standard output is not a terminal and `COLUMNS` is not set.
    pub fn width(&self) -> Option<usize> {
        let columns = self.environment.text("COLUMNS").and_then(|columns| columns.parse().ok());
        if !self.streams.output {
            return columns;
        }
        crossterm::terminal::size().ok().map(|(width, _)| usize::from(width)).filter(|width| *width > 0).or(columns)
    }

    /// The colours of the terminal; none if it supports none or the user has disabled them.
    pub fn colour(&self) -> Colour {
        let wanted = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
        if wanted && self.streams.capable { Colour::Sixteen } else { Colour::None }
    }

    /// The character set of the locale. As in POSIX, the first variable that is set decides.
    pub fn charset(&self) -> CharacterSet {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| self.environment.text(name));
        let utf8 = locale.is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").ends_with("utf8"));
        if utf8 { CharacterSet::Unicode } else { CharacterSet::Ascii }
    }

    /// A path as a person would type it: relative if it is below the working directory.
    pub fn shown(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.working_directory) {
            Ok(rest) if rest.as_os_str().is_empty() => PathBuf::from("."),
            Ok(rest) => rest.to_owned(),
            Err(_) => path.to_owned(),
        }
    }
}

fn state(flags: &Flags, environment: &EnvironmentVariables, base: &Path) -> std::result::Result<PathBuf, String> {
    let named = flags.state.clone().or_else(|| environment.get("RUNBOOK_STATE").map(PathBuf::from));
    named
        .map(|path| base.join(path))
        .or_else(|| environment.absolute("XDG_STATE_HOME").map(|home| home.join("runbook")))
        .or_else(|| environment.absolute("HOME").map(|home| home.join(".local/state/runbook")))
        .ok_or_else(|| "neither `XDG_STATE_HOME` nor `HOME` is set".to_owned())
}

/// The flags that select another log or project; without them, a further command would not find the incident.
fn repeated(flags: &Flags) -> Vec<String> {
    let pairs = [("--state", &flags.state), ("--dir", &flags.directory)];
    pairs
        .into_iter()
        .filter_map(|(flag, path)| Some([flag.to_owned(), shell_word(&path.as_ref()?.to_string_lossy())]))
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> EnvironmentVariables {
        EnvironmentVariables { variables: pairs.iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    #[test]
    fn a_flag_overrides_a_variable_and_a_variable_overrides_the_default() {
        let base = Path::new("/work");
        let host = environment(&[("HOME", "/home/ada"), ("XDG_STATE_HOME", "/x"), ("RUNBOOK_STATE", "there")]);
        let flags = Flags { state: Some("here".into()), ..Flags::default() };
        assert_eq!(state(&flags, &host, base).unwrap(), Path::new("/work/here"));
        assert_eq!(state(&Flags::default(), &host, base).unwrap(), Path::new("/work/there"));
        let host = environment(&[("HOME", "/home/ada"), ("XDG_STATE_HOME", "relative")]);
        assert_eq!(state(&Flags::default(), &host, base).unwrap(), Path::new("/home/ada/.local/state/runbook"));
        assert!(state(&Flags::default(), &environment(&[]), base).is_err());
    }

    #[test]
    fn a_further_command_repeats_the_flags_that_select_log_and_project() {
        let flags = Flags { state: Some("/tmp/a b".into()), directory: Some("shop".into()), ..Flags::default() };
        assert_eq!(repeated(&flags), ["--state", "'/tmp/a b'", "--dir", "shop"]);
    }
}
