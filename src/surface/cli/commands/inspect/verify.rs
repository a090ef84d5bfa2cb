//! `runbook verify`: verifies the integrity of the log.

use crate::domain::core::id::IncidentId;
use crate::store::Audit;
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::table::single_line;
use crate::surface::exit::Exit;

/// How many incidents one query lists.
const PAGE_SIZE: u32 = 200;

/// Verify the integrity of the log
///
/// Checks that no event of an incident was changed, lost or inserted. Reads
/// all events of one incident, or of all incidents. If a chain of hashes is
/// broken, prints where and exits with 1.
///
/// Examples:
///   runbook verify
///   runbook verify lusab-fidok
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Verify {
    /// The incident: its id, or the beginning of its id [default: all]
    #[arg(value_name = "INCIDENT")]
    incident: Option<String>,
}

impl Verify {
    /// Verifies the logs and prints the result.
    pub fn run(self, session: &Session) -> Result {
        if self.incident.is_none() && !session.has_log()? {
            session.output.print_message("there are no incidents");
            return Ok(Exit::DONE);
        }
        let open_engine = session.open_read_only()?;
        let ids = match &self.incident {
            Some(typed) => vec![open_engine.find(Some(typed))?],
            None => all_ids(&open_engine)?,
        };
        let mut audits: Vec<Audit> = Vec::new();
        for id in &ids {
            audits.push(audit(&open_engine, id)?);
        }
        if session.output.is_table() {
            audits.iter().try_for_each(|audit| session.output.text(&line(audit)))?;
        } else {
            session.output.list(&audits)?;
        }
        let broken = audits.iter().filter(|audit| audit.broken.is_some()).count();
        session.output.print_message(&match broken {
            0 => format!("{} whole", counted(audits.len())),
            broken => format!("{broken} of {} broken", counted(audits.len())),
        });
        session.output.next(&[session.command("incidents")]);
        Ok(if broken == 0 { Exit::DONE } else { Exit::ERROR })
    }
}

/// Checks the hash chain and, if it is intact, that the events can be folded.
fn audit(open_engine: &OpenEngine<'_>, id: &IncidentId) -> Result<Audit> {
    let mut audit = open_engine.wait(open_engine.store().audit(id))?;
    if audit.broken.is_none() {
        let folded = crate::domain::incident::fold(&open_engine.log(id)?);
        audit.broken = folded.err().map(|illegal| (illegal.seq, illegal.reason));
    }
    Ok(audit)
}

fn all_ids(open_engine: &OpenEngine<'_>) -> Result<Vec<IncidentId>> {
    let mut ids = Vec::new();
    loop {
        let offset = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let page = open_engine.wait(open_engine.store().incidents(PAGE_SIZE, offset))?;
        if page.is_empty() {
            return Ok(ids);
        }
        ids.extend(page.into_iter().map(|summary| summary.id));
    }
}

fn line(audit: &Audit) -> String {
    match &audit.broken {
        None => format!(
            "{}  {} events  whole  {}\n",
            audit.incident,
            audit.events,
            audit.head.get(..12).unwrap_or(&audit.head)
        ),
        Some((seq, reason)) => format!("{}  broken at event {seq}: {}\n", audit.incident, single_line(reason)),
    }
}

fn counted(incidents: usize) -> String {
    if incidents == 1 { "1 incident".to_owned() } else { format!("{incidents} incidents") }
}
