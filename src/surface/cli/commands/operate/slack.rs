//! `runbook slack`: prints the manifest of the Slack app.

use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::format::Format;
use crate::surface::cli::output::writer;
use crate::surface::exit::Exit;
use crate::surface::slack::connect::manifest;

/// Print the manifest of the Slack app
///
/// Paste it at api.slack.com/apps, "Create New App", "From a manifest". It
/// requests only the scopes that the app needs. Without an address the app
/// uses Socket Mode, for which this machine needs no public address.
///
/// Examples:
///   runbook slack manifest > manifest.json
///   runbook slack manifest --address runbook.shop.example
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Slack {
    #[command(subcommand)]
    document: Document,
}

#[derive(Debug, clap::Subcommand)]
enum Document {
    /// The app's manifest, as JSON
    Manifest {
        /// The public host name or address at which Slack reaches this machine over HTTPS
        #[arg(long, value_name = "HOST", value_parser = address)]
        address: Option<String>,
    },
}

impl Slack {
    /// Prints the manifest as JSON; `-o jsonl` prints it on one line.
    pub fn run(self, session: &Session) -> Result {
        let Document::Manifest { address } = self.document;
        let project = Project::open(&session.settings)?;
        let estate = project.estate(&session.output)?;
        let manifest = manifest::of(&estate.estate, estate.slack.as_ref(), address.as_deref());
        session.output.text(&writer::json(&manifest, session.output.format() != Format::Jsonl))?;
        Ok(Exit::DONE)
    }
}

fn address(typed: &str) -> std::result::Result<String, String> {
    let address = if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
    match url::Url::parse(&address) {
        Ok(url) if url.scheme() == "https" && url.query().is_none() => Ok(address),
        _ => Err("Slack sends requests only to an address that begins with `https://`".to_owned()),
    }
}
