//! A channel that runs a program for each message, for example the client of an SMS gateway or a pager.
//!
//! The message is its standard input. Its environment holds the base environment, the estate's variables, and the message's key
//! in `RUNBOOK_MESSAGE`. Exit code 0 means delivered, 64 to 78 (sysexits.h) a permanent failure; after 75 (`EX_TEMPFAIL`)
//! and all other codes the message is tried again.
//!
//! **Invariant:** no part of a message is ever an argument or passes through a shell.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{MessageChannel, OutgoingMessage, Receipt, Undelivered, permanent, temporary};
use crate::domain::core::text::{one_line, printable};

/// `EX_TEMPFAIL`: not delivered; another attempt may help.
const TEMPORARY_FAILURE: i32 = 75;
/// The codes of sysexits.h, from `EX_USAGE` to `EX_CONFIG`: another attempt fails too.
const PERMANENT_FAILURES: std::ops::RangeInclusive<i32> = 64..=78;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramExit {
    /// The exit code; `None` if a signal or this process ended the program.
    pub code: Option<i32>,
    /// The last line of standard error, redacted.
    pub last_line: String,
}

/// Starts programs; implemented by the engine.
#[async_trait]
pub trait Runner: std::fmt::Debug + Send + Sync {
    /// Runs a program until it ends, with these additional variables and this input. The error says why it did not
    /// start.
    async fn run(&self, argv: &[String], env: BTreeMap<String, String>, input: Vec<u8>) -> Result<ProgramExit, String>;
}

/// A channel that runs a program.
#[derive(Debug)]
pub struct ProgramChannel {
    argv: Vec<String>,
    env: Environment,
    runner: Arc<dyn Runner>,
}

/// Its `Debug` form hides the values, since they may be secrets.
struct Environment(BTreeMap<String, String>);

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ProgramChannel {
    /// Runs `argv` for each message, with these variables.
    pub fn new(argv: Vec<String>, env: BTreeMap<String, String>, runner: Arc<dyn Runner>) -> Self {
        Self { argv, env: Environment(env), runner }
    }
}

#[async_trait]
impl MessageChannel for ProgramChannel {
    async fn send(&self, message: &OutgoingMessage) -> Result<Receipt, Undelivered> {
        let mut env = self.env.0.clone();
        env.insert("RUNBOOK_MESSAGE".to_owned(), message.key.clone());
        let input = format!("{}\n", printable(&message.text)).into_bytes();
        let exit = self.runner.run(&self.argv, env, input).await.map_err(permanent)?;
        let program = self.argv.first().map_or("", String::as_str);
        let stderr = one_line(&exit.last_line, 200);
        match exit.code {
            Some(0) => Ok(Receipt { message: None, place: None }),
            Some(code) if code != TEMPORARY_FAILURE && PERMANENT_FAILURES.contains(&code) => {
                Err(permanent(format!("`{program}` ended with {code}: {stderr}")))
            }
            Some(code) => Err(temporary(format!("`{program}` ended with {code}: {stderr}"))),
            None => Err(temporary(format!("`{program}` was ended before it was done: {stderr}"))),
        }
    }
}
