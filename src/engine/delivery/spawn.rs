//! Starts the programs that deliver messages, with the same code that starts the programs of steps.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::DELIVERY_LIMIT;
use crate::actions::transport::process;
use crate::actions::transport::process::{Ending, Job};
use crate::actions::{Context, Progress, Secrets};
use crate::clock::SharedClock;
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Span;
use crate::domain::redact::Redactor;
use crate::notify::command::{ProgramExit, Runner};

/// The values that a delivery program is started with.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) secrets: Arc<Secrets>,
    pub(super) redactor: Arc<Redactor>,
    pub(super) clock: SharedClock,
    pub(super) base_environment: Arc<BTreeMap<String, String>>,
    pub(super) directory: PathBuf,
}

#[async_trait]
impl Runner for Programs {
    async fn run(&self, argv: &[String], env: BTreeMap<String, String>, input: Vec<u8>) -> Result<ProgramExit, String> {
        let context = self.context();
        let mut job = Job { input: Some(input), ..Job::new(argv, &context) };
        job.environment.extend(env);
        let (exit, printed) = process::run(&job, &context).await.map_err(|error| error.to_string())?;
        let code = match exit.ending {
            Ending::Code(code) => Some(code),
            Ending::Signal(_) | Ending::TimedOut | Ending::Cancelled | Ending::Lost => None,
        };
        let last_line = printed.stderr().lines().next_back().unwrap_or_default().to_owned();
        Ok(ProgramExit { code, last_line })
    }
}

impl Programs {
    /// A context without a step, with a deadline after [`DELIVERY_LIMIT`].
    fn context(&self) -> Context {
        Context {
            place: (RunId(0), StepKey::main("message")),
            environment_name: String::new(),
            environment: Arc::new(Environment::default()),
            estate: Arc::new(Estate::default()),
            clock: Arc::clone(&self.clock),
            secrets: Arc::clone(&self.secrets),
            redactor: Arc::clone(&self.redactor),
            base_environment: Arc::clone(&self.base_environment),
            directory: self.directory.clone(),
            progress: Progress::none(),
            cancel: CancellationToken::new(),
            deadline: Some(Span(DELIVERY_LIMIT).after(self.clock.now())),
        }
    }
}
