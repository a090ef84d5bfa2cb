//! A program that delivers one message each time it is run: an SMS gateway's, a pager's, anything's.
//!
//! The message comes on its standard input. Its environment is what the estate declares, the basics, and the message's
//! name in `RUNBOOK_MESSAGE`. Exit code 0 means delivered, 75 (`EX_TEMPFAIL` of sysexits.h) try again, 64 to 78 never.
//!
//! **Invariant:** nothing of a message is ever an argument or passes a shell.
//!
//! Deliberately absent: starting programs; who gives the message does that.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{MessageChannel, OutgoingMessage, Receipt, Undelivered, fleeting, permanent};
use crate::domain::core::text::{one_line, printable};

/// `EX_TEMPFAIL`: not delivered; trying again may help.
const TRY_AGAIN: i32 = 75;
/// The codes of sysexits.h, from `EX_USAGE` to `EX_CONFIG`: the command itself is wrong.
const WRONG: std::ops::RangeInclusive<i32> = 64..=78;

/// The result of a delivery program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramExit {
    /// The exit code; `None` if a signal or this process ended the program.
    pub code: Option<i32>,
    /// The last line of standard error, redacted.
    pub said: String,
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
        let ended = self.runner.run(&self.argv, env, input).await.map_err(permanent)?;
        let program = self.argv.first().map_or("", String::as_str);
        let said = one_line(&ended.said, 200);
        match ended.code {
            Some(0) => Ok(Receipt { message: None, place: None }),
            Some(code) if code != TRY_AGAIN && WRONG.contains(&code) => {
                Err(permanent(format!("`{program}` ended with {code}: {said}")))
            }
            Some(code) => Err(fleeting(format!("`{program}` ended with {code}: {said}"))),
            None => Err(fleeting(format!("`{program}` was ended before it was done: {said}"))),
        }
    }
}
