//! Whether an account may do something to a unit, found out without doing it.
//!
//! Of another account, polkit is asked, which takes such a question from root alone. Of our own, systemd itself is asked
//! for the change in a mode that the verb does not have: it looks at the rights first and refuses the mode after, so
//! the answer is the very one that the change would get, and nothing happens.
//!
//! Deliberately absent: agents. Whoever would have to prove who it is may not do it in the night.
//!
//! **Invariant:** no job is ever queued here: `isolate` is for starting alone, `triggering` for stopping alone
//! (`org.freedesktop.systemd1(5)`).

use std::collections::HashMap;
use std::time::Duration;

use zbus::{Connection, Variant, proxy};

use super::dbus;
use crate::actions::Context;

/// Limit for polkit: it runs rules, and may have to be started.
const POLKIT_LIMIT: Duration = Duration::from_secs(10);

/// The polkit action for units.
const MANAGE_UNITS: &str = "org.freedesktop.systemd1.manage-units";

/// Whether an account may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    Granted,
    /// Not allowed, or only after authentication.
    Refused,
    /// It is unknown, for this reason.
    Unknown(String),
}

/// Whether this process may do `verb` to `unit`.
///
/// # Errors
/// If the manager cannot be reached.
pub async fn own(context: &Context, verb: &str, unit: &str) -> Result<Right, String> {
    let manager = dbus::manager(context).await.map_err(|reason| reason.text)?;
    let asked = match verb {
        "start" => manager.start_unit(unit, "triggering").await,
        "stop" => manager.stop_unit(unit, "isolate").await,
        "restart" => manager.restart_unit(unit, "isolate").await,
        "reload" => manager.reload_unit(unit, "isolate").await,
        other => return Ok(Right::Unknown(format!("`{other}` cannot be asked about without doing it"))),
    };
    Ok(match asked {
        Ok(_) => Right::Granted,
        Err(zbus::Error::MethodError(name, said, _)) => judged(&name, said.as_deref().unwrap_or_default()),
        Err(zbus::Error::FDO(error)) => {
            let name = zbus::DBusError::name(&*error).to_string();
            judged(&name, zbus::DBusError::description(&*error).unwrap_or_default())
        }
        Err(error) => Right::Unknown(error.to_string()),
    })
}

/// Interprets an error by its name and message.
fn judged(name: &str, said: &str) -> Right {
    match name.rsplit('.').next().unwrap_or(name) {
        "AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed" => Right::Refused,
        // This systemd knows the mode and rejects it only for the verb, after the permission check.
        "InvalidArgs" if said.contains("only valid for") => Right::Granted,
        _ => Right::Unknown(said.to_owned()),
    }
}

#[proxy(
    interface = "org.freedesktop.PolicyKit1.Authority",
    default_service = "org.freedesktop.PolicyKit1",
    default_path = "/org/freedesktop/PolicyKit1/Authority"
)]
trait Authority {
    fn check_authorization(
        &self,
        subject: &(&str, HashMap<&str, Variant<'_>>),
        action: &str,
        details: &HashMap<&str, &str>,
        flags: u32,
        cancellation: &str,
    ) -> zbus::Result<(bool, bool, HashMap<String, String>)>;
}

/// Asks polkit, as root, about a process of another account.
#[derive(Debug)]
pub struct Polkit {
    authority: AuthorityProxy<'static>,
    process: u32,
    account: u32,
}

impl Polkit {
    /// Connects, to ask about a process id of a user id.
    ///
    /// # Errors
    /// If there is no polkit on the system bus.
    pub async fn about(process: u32, account: u32) -> Result<Self, String> {
        let connected = async {
            let connection = Connection::system().await?;
            AuthorityProxy::builder(&connection).cache_properties(zbus::proxy::CacheProperties::No).build().await
        };
        let authority = within(connected).await?;
        Ok(Self { authority, process, account })
    }

    /// Whether the process may do `verb` to `unit`.
    pub async fn unit(&self, verb: &str, unit: &str) -> Right {
        self.check_authorization(MANAGE_UNITS, &HashMap::from([("verb", verb), ("unit", unit)])).await
    }

    /// Whether the process may do something that names no unit: `manage-unit-files`, `reload-daemon`.
    pub async fn whole(&self, action: &str) -> Right {
        self.check_authorization(&format!("org.freedesktop.systemd1.{action}"), &HashMap::new()).await
    }

    async fn check_authorization(&self, action: &str, details: &HashMap<&str, &str>) -> Right {
        let account = i32::try_from(self.account).unwrap_or(-1);
        // With a start time of 0, polkit reads it itself.
        let process = HashMap::from([
            ("pid", Variant::from(self.process)),
            ("start-time", Variant::from(0_u64)),
            ("uid", Variant::from(account)),
        ]);
        let subject = ("unix-process", process);
        match within(self.authority.check_authorization(&subject, action, details, 0, "")).await {
            Ok((true, _, _)) => Right::Granted,
            Ok((false, _, _)) => Right::Refused,
            Err(reason) => Right::Unknown(reason),
        }
    }
}

async fn within<T>(asked: impl Future<Output = zbus::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(POLKIT_LIMIT, asked).await {
        Ok(answered) => answered.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", POLKIT_LIMIT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_is_refused_after_the_rights_were_looked_at_says_that_they_are_there() {
        let judged = |name: &str, said| judged(&format!("org.freedesktop.DBus.Error.{name}"), said);
        assert_eq!(judged("InvalidArgs", "Isolate is only valid for start."), Right::Granted);
        assert_eq!(judged("AccessDenied", "Permission denied"), Right::Refused);
        assert_eq!(judged("InteractiveAuthorizationRequired", ""), Right::Refused);
        // An older systemd that does not know the mode rejects it before the permission check.
        let old = "Job mode triggering invalid";
        assert_eq!(judged("InvalidArgs", old), Right::Unknown(old.to_owned()));
    }
}
