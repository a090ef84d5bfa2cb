//! `runbook slack`.

use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::context::settings::Format;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::writer;
use crate::surface::exit::Exit;
use crate::surface::slack::connect::manifest;

/// Prints what Slack needs to know to make the app
///
/// Paste it at api.slack.com/apps, "Create New App", "From a manifest".
/// It asks for the least that the app can do with. Without an address the
/// app uses Socket Mode, and nothing has to reach this machine.
///
/// Examples:
///   runbook slack manifest > manifest.json
///   runbook slack manifest --address runbook.shop.example
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Slack {
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, clap::Subcommand)]
enum Of {
    /// The app's manifest, as JSON
    Manifest {
        /// Where Slack reaches this machine over HTTPS: a name, or an address
        #[arg(long, value_name = "HOST", value_parser = address)]
        address: Option<String>,
    },
}

impl Slack {
    /// Prints one document, whatever the output format.
    pub fn run(self, session: &Session) -> Result {
        let Of::Manifest { address } = self.of;
        let shop = Project::open(&session.settings)?;
        let estate = shop.estate(&session.output)?;
        let manifest = manifest::of(&estate.estate, estate.slack.as_ref(), address.as_deref());
        session.output.text(&writer::json(&manifest, session.output.format() != Format::Jsonl))?;
        Ok(Exit::DONE)
    }
}

fn address(typed: &str) -> std::result::Result<String, String> {
    let address = if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
    match url::Url::parse(&address) {
        Ok(url) if url.scheme() == "https" && url.query().is_none() => Ok(address),
        _ => Err("Slack posts to an address that begins with `https://`".to_owned()),
    }
}
