//! `runbook schema`.

use crate::actions;
use crate::domain::runbook::schema;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::context::settings::Format;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::writer;
use crate::surface::exit::Exit;

/// Prints the JSON Schema of runbooks, for editors
///
/// Examples:
///   runbook schema > runbook.schema.json
///   runbook schema estate > estate.schema.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Schema {
    /// Which file's
    #[arg(value_enum, default_value_t = Of::Runbook, value_name = "FILE")]
    of: Of,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Of {
    /// A runbook's
    Runbook,
    /// The one that describes the shop
    Estate,
}

impl Schema {
    /// Prints one document, whatever the output format.
    pub fn run(self, session: &Session) -> Result {
        let schema = match self.of {
            Of::Runbook => schema::runbook(&actions::forms()),
            Of::Estate => schema::estate(),
        };
        session.output.text(&writer::json(&schema, session.output.format() != Format::Jsonl))?;
        Ok(Exit::DONE)
    }
}
