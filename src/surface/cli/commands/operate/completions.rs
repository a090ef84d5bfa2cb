//! `runbook completions`: prints shell completions.

use clap::CommandFactory;

use crate::surface::cli::Cli;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::exit::Exit;

/// Print the completions for a shell
///
/// Examples:
///   runbook completions bash > /etc/bash_completion.d/runbook
///   runbook completions fish > ~/.config/fish/completions/runbook.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints the completions.
    pub fn run(self, session: &Session) -> Result {
        let mut bytes = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "runbook", &mut bytes);
        session.output.text(&String::from_utf8_lossy(&bytes))?;
        Ok(Exit::DONE)
    }
}
