//! `runbook schema`: prints the JSON Schema of a file.

use crate::actions;
use crate::domain::runbook::json_schema;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::format::Format;
use crate::surface::cli::output::writer;
use crate::surface::exit::Exit;

/// Print the JSON Schema of runbooks or of the estate, for editors
///
/// Examples:
///   runbook schema > runbook.schema.json
///   runbook schema estate > estate.schema.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Schema {
    /// The kind of file
    #[arg(value_enum, default_value_t = SchemaKind::Runbook, value_name = "FILE")]
    kind: SchemaKind,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SchemaKind {
    /// A runbook
    Runbook,
    /// The estate, `estate.yaml`
    Estate,
}

impl Schema {
    /// Prints the schema; `-o jsonl` prints it on one line.
    pub fn run(self, session: &Session) -> Result {
        let schema = match self.kind {
            SchemaKind::Runbook => json_schema::runbook(&actions::forms()),
            SchemaKind::Estate => json_schema::estate(),
        };
        session.output.text(&writer::json(&schema, session.output.format() != Format::Jsonl))?;
        Ok(Exit::DONE)
    }
}
