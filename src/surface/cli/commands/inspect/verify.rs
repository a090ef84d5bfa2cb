//! `runbook verify`: verifies the integrity of the log.

use crate::domain::core::id::IncidentId;
use crate::store::Audit;
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::table::single_line;
use crate::surface::exit::Exit;

/// How many incidents are read from the store per query.
const PAGE: u32 = 200;

/// Checks that the log is whole: that no event was changed, lost or put in
///
/// Reads every byte of one incident, or of all. Ends with 1 when a chain is
/// broken, and says where.
///
/// Examples:
///   runbook verify
///   runbook verify lusab-fidok
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Verify {
    /// The incident: its id, or how that begins [default: all]
    #[arg(value_name = "INCIDENT")]
    incident: Option<String>,
}

impl Verify {
    /// Verifies the logs and prints the result.
    pub fn run(self, station: &Session) -> Result {
        if self.incident.is_none() && !station.has_log()? {
            station.output.say("there are no incidents");
            return Ok(Exit::DONE);
        }
        let desk = station.look()?;
        let ids = match &self.incident {
            Some(typed) => vec![desk.find(Some(typed))?],
            None => all(&desk)?,
        };
        let mut audits: Vec<Audit> = Vec::new();
        for id in &ids {
            audits.push(audit(&desk, id)?);
        }
        if station.output.is_table() {
            audits.iter().try_for_each(|audit| station.output.text(&line(audit)))?;
        } else {
            station.output.list(&audits)?;
        }
        let broken = audits.iter().filter(|audit| audit.broken.is_some()).count();
        station.output.say(&match broken {
            0 => format!("{} whole", counted(audits.len())),
            broken => format!("{broken} of {} broken", counted(audits.len())),
        });
        station.output.next(&[station.command("incidents")]);
        Ok(if broken == 0 { Exit::DONE } else { Exit::ERROR })
    }
}

/// Checks the hash chain and, if it is intact, that the events form a valid history.
fn audit(desk: &OpenEngine<'_>, id: &IncidentId) -> Result<Audit> {
    let mut audit = desk.wait(desk.store().audit(id))?;
    if audit.broken.is_none() {
        let folded = crate::domain::incident::fold(&desk.log(id)?);
        audit.broken = folded.err().map(|illegal| (illegal.seq, illegal.reason));
    }
    Ok(audit)
}

fn all(desk: &OpenEngine<'_>) -> Result<Vec<IncidentId>> {
    let mut ids = Vec::new();
    loop {
        let offset = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let page = desk.wait(desk.store().incidents(PAGE, offset))?;
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
