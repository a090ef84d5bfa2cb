//! `runbook man`: prints manual pages.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::surface::cli::Cli;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;

/// Print the manual page, or write one for every command
///
/// Examples:
///   runbook man | man -l -
///   runbook man --into /usr/local/share/man/man1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Man {
    /// The directory to write the pages to
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

impl Man {
    /// Prints the manual page, or writes one per command.
    pub fn run(self, session: &Session) -> Result {
        let mut command = Cli::command();
        command.build();
        let Some(directory) = self.into else {
            session.output.text(&page(&command)?)?;
            return Ok(Exit::DONE);
        };
        let unwritable = |error| Failure::error(format!("`{}` cannot be written: {error}", directory.display()));
        std::fs::create_dir_all(&directory).map_err(unwritable)?;
        let visible =
            command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
        for command in std::iter::once(&command).chain(visible) {
            let name = command.get_display_name().unwrap_or_else(|| command.get_name());
            std::fs::write(directory.join(format!("{name}.1")), page(command)?).map_err(unwritable)?;
        }
        session.output.print_message(&format!("the manual pages are in `{}`", directory.display()));
        session.output.next(&[format!("man -l {}/runbook.1", directory.display())]);
        Ok(Exit::DONE)
    }
}

fn page(command: &clap::Command) -> Result<String> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Every exit code with its meaning, for the end of the help.
pub fn exit_codes() -> String {
    let lines = Exit::ALL.iter().map(|(exit, meaning)| format!("{:>3}  {meaning}", exit.code()));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
