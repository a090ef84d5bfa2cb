//! The exit codes of `runbook`.
//!
//! **Invariant:** the meaning of a released code does not change.
//!
//! Not here: choosing a code, which each command does.

use std::process::{ExitCode, Termination};

/// An exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exit(u8);

impl Exit {
    /// The request is done.
    pub const DONE: Self = Self(0);
    /// An error of this program: the store, the disk, a damaged log.
    pub const ERROR: Self = Self(1);
    /// The command line is wrong, or does not apply in the current state.
    pub const USAGE: Self = Self(2);
    /// A person cancelled the run, or it timed out.
    pub const CANCELLED: Self = Self(3);
    /// The person has no permission.
    pub const NOT_ALLOWED: Self = Self(4);
    /// The run ended without success, or a check found something down.
    pub const FAILED: Self = Self(5);
    /// The run waits for a person. The question has been printed.
    pub const WAITING: Self = Self(6);
    /// A file, a plan or a host has problems. All of them have been printed.
    pub const PROBLEMS: Self = Self(7);
    /// Interrupted by a signal: 128 + 2, as in shells. The run continues with the next `runbook watch` or `runbook serve`.
    pub const INTERRUPTED: Self = Self(130);

    /// Every code with its meaning, for the manual.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::DONE, "done"),
        (Self::ERROR, "an error of runbook itself, its store or its disk"),
        (Self::USAGE, "a mistake in what was typed"),
        (Self::CANCELLED, "the run was cancelled or timed out"),
        (Self::NOT_ALLOWED, "not allowed for this person"),
        (Self::FAILED, "the run ended without success, or something is down"),
        (Self::WAITING, "the run waits for a person"),
        (Self::PROBLEMS, "a file, a plan or the host has problems"),
        (Self::INTERRUPTED, "interrupted; `runbook watch` goes on"),
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.0)
    }
}
