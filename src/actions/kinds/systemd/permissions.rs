//! Checks whether an account may change a unit, without changing it.
//!
//! For this process's account, systemd gets the change with an invalid mode. It checks the permission first and then
//! rejects the mode, so the check is that of the real change and nothing happens. For another account, polkit is asked,
//! which replies only to root.
//!
//! **Invariant:** no job is ever queued: `isolate` is valid only for starting, `triggering` only for stopping
//! (`org.freedesktop.systemd1(5)`).
//!
//! Not here: polkit agents. An account that would have to authenticate counts as refused.

use std::collections::HashMap;
use std::time::Duration;

use zbus::{Connection, Variant, proxy};

use super::dbus;
use crate::actions::Context;

/// Time limit for polkit: it runs rules, and may have to be started.
const POLKIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The polkit actions of systemd: for units, for the symlinks of unit files, and for reading all unit files again.
pub(super) const MANAGE_UNITS: &str = "org.freedesktop.systemd1.manage-units";
pub(super) const MANAGE_UNIT_FILES: &str = "org.freedesktop.systemd1.manage-unit-files";
pub(super) const RELOAD_DAEMON: &str = "org.freedesktop.systemd1.reload-daemon";

/// Whether an account may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    Granted,
    /// Not allowed, or only after authentication.
    Refused,
    /// The check failed, for this reason.
    Unknown(String),
}

/// Whether this process may do `verb` to `unit`.
///
/// # Errors
/// If the manager cannot be reached.
pub async fn own(context: &Context, verb: &str, unit: &str) -> Result<Right, String> {
    let manager = dbus::manager(context).await.map_err(|reason| reason.text)?;
    let reply = match verb {
        "start" => manager.start_unit(unit, "triggering").await,
        "stop" => manager.stop_unit(unit, "isolate").await,
        "restart" => manager.restart_unit(unit, "isolate").await,
        "reload" => manager.reload_unit(unit, "isolate").await,
        other => return Ok(Right::Unknown(format!("the permission to {other} cannot be checked without the change"))),
    };
    Ok(match reply {
        Ok(_) => Right::Granted,
        Err(zbus::Error::MethodError(name, message, _)) => of_error(&name, message.as_deref().unwrap_or_default()),
        Err(zbus::Error::FDO(error)) => {
            let name = zbus::DBusError::name(&*error).to_string();
            of_error(&name, zbus::DBusError::description(&*error).unwrap_or_default())
        }
        Err(error) => Right::Unknown(error.to_string()),
    })
}

/// The permission that an error reply shows. Its message matters too: systemd has one name for every invalid argument.
fn of_error(name: &str, message: &str) -> Right {
    match name.rsplit('.').next().unwrap_or(name) {
        "AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed" => Right::Refused,
        // This systemd knows the mode and rejects it only for the verb, after the permission check.
        "InvalidArgs" if message.contains("only valid for") => Right::Granted,
        _ => Right::Unknown(message.to_owned()),
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

/// Asks polkit about a process of another account. Needs root.
#[derive(Debug)]
pub struct Polkit {
    authority: AuthorityProxy<'static>,
    process: u32,
    account: u32,
}

impl Polkit {
    /// Connects to polkit, for questions about the process with this id, of the user with this id.
    ///
    /// # Errors
    /// If there is no polkit on the system bus.
    pub async fn about(process: u32, account: u32) -> Result<Self, String> {
        let connecting = async {
            let connection = Connection::system().await?;
            AuthorityProxy::builder(&connection).cache_properties(zbus::proxy::CacheProperties::No).build().await
        };
        let authority = within(connecting).await?;
        Ok(Self { authority, process, account })
    }

    /// Whether the process may do `verb` to `unit`.
    pub async fn unit(&self, verb: &str, unit: &str) -> Right {
        self.check_authorization(MANAGE_UNITS, &HashMap::from([("verb", verb), ("unit", unit)])).await
    }

    /// Whether the process may do an action that names no unit: `manage-unit-files` or `reload-daemon`.
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

async fn within<T>(call: impl Future<Output = zbus::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(POLKIT_TIMEOUT, call).await {
        Ok(reply) => reply.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", POLKIT_TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_the_mode_means_that_the_permission_was_granted() {
        let right = |name: &str, message| of_error(&format!("org.freedesktop.DBus.Error.{name}"), message);
        assert_eq!(right("InvalidArgs", "Isolate is only valid for start."), Right::Granted);
        assert_eq!(right("AccessDenied", "Permission denied"), Right::Refused);
        assert_eq!(right("InteractiveAuthorizationRequired", ""), Right::Refused);
        // An older systemd that does not know the mode rejects it before the permission check.
        let old = "Job mode triggering invalid";
        assert_eq!(right("InvalidArgs", old), Right::Unknown(old.to_owned()));
    }
}
