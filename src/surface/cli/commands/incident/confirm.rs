//! `runbook confirm`: confirms an SNS subscription.

use crate::domain::incident::command::Request;
use crate::domain::incident::event::{AlertEvent, Event};
use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;
use crate::surface::intake::senders::sns_subscription;

/// Confirm an SNS subscription, so that the topic may send its alerts
///
/// A subscription is never confirmed automatically: its request becomes an
/// alert, and this command confirms it. It sends one request, and only to an
/// address on a host of AWS SNS.
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
        let request = log.iter().rev().find_map(|recorded| {
            let Event::Alert(AlertEvent::Fired { alert, .. }) = &recorded.event else { return None };
            (alert.name == sns_subscription::ASKED).then_some(alert)
        });
        let request =
            request.ok_or_else(|| Failure::usage(format!("`{id}` has no request to confirm a subscription")))?;
        let topic = request.labels.get("topic").cloned().unwrap_or_default();
        let address = request.link.as_deref().ok_or_else(|| {
            Failure::usage("the request has no address on a host of AWS SNS").hint(format!(
                "Confirm it with the AWS CLI: `aws sns confirm-subscription --topic-arn {topic} --token …`."
            ))
        })?;
        open_engine
            .wait(sns_subscription::confirm(address))
            .map_err(|why| Failure::error(format!("the subscription was not confirmed: {why}")))?;
        open_engine.submit(&id, Request::Note(format!("confirmed that {topic} may post here")))?;
        session.output.print_message(&format!("{id}: {topic} may send alerts"));
        session.output.next(&[session.command(&format!("resolve {id} 'confirmed'"))]);
        Ok(Exit::DONE)
    }
}
