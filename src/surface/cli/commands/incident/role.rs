//! `runbook role`.

use crate::domain::incident::command::Request;
use crate::surface::cli::context::args::IncidentArg;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::follow::submit;
use crate::surface::cli::output::error::Result;

/// Takes a role of an incident, hands it to somebody or gives it back
///
/// Without a flag it is taken. Roles stand in the estate; one with people
/// listed is theirs. Who is who is known by the account on the host.
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
    /// The role, as the estate calls it
    #[arg(value_name = "ROLE")]
    role: String,
    #[command(flatten)]
    change: RoleChange,
}

/// What happens to the role.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
struct RoleChange {
    /// Takes it, from whoever has it
    #[arg(long)]
    take: bool,
    /// Hands it to a person of the estate
    #[arg(long, value_name = "PERSON")]
    give: Option<String>,
    /// Gives it back
    #[arg(long)]
    release: bool,
}

impl Role {
    /// Takes, assigns or releases the role.
    pub fn run(self, session: &Session) -> Result {
        let role = self.role;
        let (said, request) = match self.change {
            RoleChange { give: Some(to), .. } => (format!("{to} has the role {role}"), Request::GiveRole { role, to }),
            RoleChange { release: true, .. } => (format!("nobody has the role {role}"), Request::ReleaseRole { role }),
            RoleChange { .. } => (format!("you have the role {role}"), Request::TakeRole { role }),
        };
        submit::only(session, &self.target, &said, request)
    }
}
