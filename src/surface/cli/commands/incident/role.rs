//! `runbook role`: takes, assigns or releases a role.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Take, assign or release a role of an incident
///
/// Without a flag you take the role. The estate lists the roles; if it names
/// people for a role, only they may take it. You are identified by your
/// account on this host.
///
/// Examples:
///   runbook role lusab-fidok incident_commander
///   runbook role lusab-fidok incident_commander --give ben
///   runbook role lusab-fidok incident_commander --release
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Role {
    #[command(flatten)]
    target: IncidentArg,
    /// The role, by its name in the estate
    #[arg(value_name = "ROLE")]
    role: String,
    #[command(flatten)]
    change: RoleChange,
}

/// How the role changes.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
struct RoleChange {
    /// Take the role, also from another person
    #[arg(long)]
    take: bool,
    /// Assign the role to a person of the estate
    #[arg(long, value_name = "PERSON")]
    give: Option<String>,
    /// Release the role
    #[arg(long)]
    release: bool,
}

impl Role {
    /// Takes, assigns or releases the role.
    pub fn run(self, session: &Session) -> Result {
        let role = self.role;
        let (confirmation, request) = match self.change {
            RoleChange { give: Some(to), .. } => (format!("{to} has the role {role}"), Request::GiveRole { role, to }),
            RoleChange { release: true, .. } => (format!("role {role} released"), Request::ReleaseRole { role }),
            RoleChange { .. } => (format!("you have the role {role}"), Request::TakeRole { role }),
        };
        submit::only(session, &self.target, &confirmation, request)
    }
}
