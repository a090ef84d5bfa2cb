//! The errors of commands, printed on standard error: one line, then hints that say what to type instead.
//!
//! Not here: failures of steps, which are data in the log.

use crate::domain::core::suggest;
use crate::domain::core::text::printable;
use crate::domain::incident::Illegal;
use crate::domain::incident::command::{Refused, RefusedCause};
use crate::engine::EngineError;
use crate::store::StoreError;
use crate::surface::exit::Exit;

/// The error of a command: an exit code, a message, and hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// A lowercase fragment; empty when everything has been printed already.
    pub message: String,
    /// Sentences that say what to type instead.
    pub hints: Vec<String>,
}

/// The result of a command.
pub type Result<T = Exit> = std::result::Result<T, Failure>;

impl Failure {
    /// A mistake in the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::USAGE, message: message.into(), hints: Vec::new() }
    }

    /// An error of this program or its environment, such as the disk or a corrupt log.
    pub fn error(message: impl Into<String>) -> Self {
        Self { exit: Exit::ERROR, ..Self::usage(message) }
    }

    /// A file or a plan has problems.
    pub fn problems(message: impl Into<String>) -> Self {
        Self { exit: Exit::PROBLEMS, ..Self::usage(message) }
    }

    /// The person has no permission.
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self { exit: Exit::NOT_ALLOWED, ..Self::usage(message) }
    }

    /// The reader has closed standard output. This is not an error, so nothing is printed.
    pub fn reader_gone() -> Self {
        Self { exit: Exit::DONE, ..Self::usage("") }
    }

    /// Adds a sentence that says what to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Replaces `runbook` in the commands of hints by `command`, which includes the flags to repeat.
    #[must_use]
    pub fn typed_as(mut self, command: &str) -> Self {
        for hint in self.hints.iter_mut().filter(|hint| !hint.contains(&format!("`{command} "))) {
            *hint = hint.replace("`runbook ", &format!("`{command} "));
        }
        self
    }

    /// Adds a suggestion if one of the known names is similar.
    #[must_use]
    pub fn did_you_mean<'a>(self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match suggest::nearest(wrong, known) {
            Some(name) => self.hint(suggest::did_you_mean(name)),
            None => self,
        }
    }

    /// Prints the error on standard error.
    pub fn print(&self) {
        use std::io::Write as _;
        if self.message.is_empty() {
            return;
        }
        // If standard error is closed, the exit code still reports the error.
        let mut out = anstream::stderr().lock();
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
        let _ = writeln!(out, "{red}error:{red:#} {}", printable(&self.message));
        for hint in &self.hints {
            let _ = writeln!(out, "{cyan}hint:{cyan:#} {}", printable(hint));
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let exit = match refused.cause {
            RefusedCause::Usage => Exit::USAGE,
            RefusedCause::NotAllowed => Exit::NOT_ALLOWED,
        };
        Self { exit, message: refused.message, hints: refused.hint.into_iter().collect() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let damaged = matches!(error, StoreError::Damaged(_));
        let failure = Self::error(error.to_string());
        if damaged {
            failure.hint("`runbook verify` lists the intact incidents, if the file can be read. Keep a copy of the file to find the cause.")
        } else {
            failure
        }
    }
}

impl From<Illegal> for Failure {
    fn from(error: Illegal) -> Self {
        Self::error(error.to_string()).hint("`runbook verify` prints where the log becomes invalid.")
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(refused) => refused.into(),
            EngineError::Store(error) => error.into(),
            EngineError::Illegal(error) => error.into(),
            EngineError::NotFound(_) => Self::usage(error.to_string()).hint("`runbook incidents` lists them."),
            EngineError::Ambiguous { .. } => Self::usage(error.to_string()).hint("Type more letters of the id."),
            EngineError::ReportFile(error) => {
                Self { hints: error.hint.into_iter().collect(), ..Self::error(error.message) }
            }
            EngineError::Io { .. } => Self::error(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    /// For errors of writing standard output; all other errors are converted where they occur.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::reader_gone(),
            _ => Self::error(format!("standard output cannot be written: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_message_and_gets_its_exit_code() {
        let refused = Refused::not_allowed("`mallory` may not").hint("Ask `alice`.");
        let failure = Failure::from(refused);
        assert_eq!((failure.exit, failure.hints.len()), (Exit::NOT_ALLOWED, 1));
        assert_eq!(Failure::from(Refused::usage("no")).exit, Exit::USAGE);
    }

    #[test]
    fn a_hint_repeats_the_flags_that_select_the_log() {
        let failure = Failure::from(StoreError::Damaged("why".into())).typed_as("runbook --state s");
        assert!(failure.hints[0].starts_with("`runbook --state s verify` lists"), "{failure:?}");
        assert_eq!(failure.clone().typed_as("runbook --state s"), failure);
    }

    #[test]
    fn a_closed_pipe_is_not_an_error() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::DONE, ""));
    }
}
