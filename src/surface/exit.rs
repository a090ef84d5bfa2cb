//! What the exit code of `runbook` says, for scripts and for people who type `echo $?`.
//!
//! Deliberately absent: how a code is arrived at. Each face decides that from what it knows.
//!
//! **Invariant:** a code, once released, keeps its meaning.

use std::process::{ExitCode, Termination};

/// How the program ended, in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exit(u8);

impl Exit {
    /// What was asked is done.
    pub const DONE: Self = Self(0);
    /// Our own error: the store, the disk, a damaged log.
    pub const ERROR: Self = Self(1);
    /// What was typed makes no sense, or not as things stand.
    pub const USAGE: Self = Self(2);
    /// The run was cancelled by a person, or ran out of time.
    pub const CANCELLED: Self = Self(3);
    /// The person may not do that.
    pub const NOT_ALLOWED: Self = Self(4);
    /// The run ended without success; or something that was looked at is not well.
    pub const FAILED: Self = Self(5);
    /// The run waits for a person; what it waits for has been printed.
    pub const WAITING: Self = Self(6);
    /// A file, a plan or a host has problems; all of them have been printed.
    pub const PROBLEMS: Self = Self(7);
    /// Interrupted by a signal: 128 + 2, as shells have it. The run goes on when somebody watches it.
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
