//! Tests of several modules together that start no service: the language, the engine on a store in memory, the command line,
//! golden logs and post-mortems. They run in seconds.
//!
//! Not here: tests that start real services, see `tests/it`.

#![expect(clippy::disallowed_methods, reason = "tests start the program itself and wait in real time")]
#![expect(clippy::unwrap_used, reason = "a test fails where its helpers do")]

mod build_flags;
mod cli;
mod engine;
mod golden;
mod language;
mod machine;
mod postmortem;
mod targets;

#[expect(dead_code, reason = "the other suite uses it")]
#[path = "../support/engine_fixture.rs"]
mod engine_fixture;
