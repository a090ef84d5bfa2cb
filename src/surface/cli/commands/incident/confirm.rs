//! `runbook confirm`.

use crate::domain::incident::command::Request;
use crate::domain::incident::event::{AlertEvent, Event};
use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;
use crate::surface::intake::senders::sns_subscription;

/// Confirms that a topic of AWS SNS may post its alerts here
///
/// A topic that subscribes is never confirmed by itself: its request is an
/// alert, and this command answers it. Only an address on a host of AWS SNS
/// is asked, and only once.
///
/// Examples:
///   runbook confirm lusab-fidok
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Confirm {
    #[command(flatten)]
    target: IncidentArg,
}

impl Confirm {
    /// Confirms the subscription.
    pub fn run(self, session: &Session) -> Result {
        let mut open_engine = session.open_read_only()?;
        let id = open_engine.find(Some(&self.target.incident))?;
        open_engine.prepare(&id)?;
        let log = open_engine.log(&id)?;
        let asked = log.iter().rev().find_map(|recorded| {
            let Event::Alert(AlertEvent::Fired { alert, .. }) = &recorded.event else { return None };
            (alert.name == sns_subscription::ASKED).then_some(alert)
        });
        let asked = asked.ok_or_else(|| Failure::usage(format!("no topic asks anything in `{id}`")))?;
        let topic = asked.labels.get("topic").cloned().unwrap_or_default();
        let address = asked.link.as_deref().ok_or_else(|| {
            Failure::usage("the request brings no address on a host of AWS SNS")
                .hint(format!("Confirm it there: `aws sns confirm-subscription --topic-arn {topic} --token …`."))
        })?;
        open_engine
            .wait(sns_subscription::confirm(address))
            .map_err(|why| Failure::error(format!("it is not confirmed: {why}")))?;
        open_engine.submit(&id, Request::Note(format!("confirmed that {topic} may post here")))?;
        session.output.print_message(&format!("{id}: {topic} may post here"));
        session.output.next(&[session.command(&format!("resolve {id} 'confirmed'"))]);
        Ok(Exit::DONE)
    }
}
