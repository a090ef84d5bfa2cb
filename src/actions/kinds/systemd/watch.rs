//! Receives systemd's signals about changed units, instead of polling.
//!
//! A signal means only that a unit must be read again, since it may leave out properties.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use futures_util::StreamExt;
use zbus::{MatchRule, MessageStream, message};

use super::dbus;
use crate::actions::Context;

/// The parent path of all unit objects.
const UNITS: &str = "/org/freedesktop/systemd1/unit";

/// Signals that may be queued: enough for the start of a whole host. Further ones stay in the bus.
const QUEUE: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// Waits for changes of some units.
#[derive(Debug)]
pub struct UnitWatch {
    signals: MessageStream,
    paths: HashSet<String>,
}

impl UnitWatch {
    /// Subscribes to the units' changes.
    ///
    /// # Errors
    /// The bus that cannot be reached, and why.
    pub async fn take(names: &[&str], context: &Context) -> Result<Self, String> {
        let manager = dbus::manager(context).await.map_err(|reason| reason.text)?;
        let failed = |error: zbus::Error| {
            format!("the systemd manager at `{}` reports no changes: {error}", context.environment.systemd.0)
        };
        let mut signals = listen(manager.inner().connection()).await.map_err(failed)?;
        signals.set_max_queued(QUEUE);
        let paths = names.iter().map(|name| format!("{UNITS}/{}", label(name))).collect();
        Ok(Self { signals, paths })
    }

    /// Waits until one of the units changes. Returns false if the bus is gone.
    pub async fn changed(&mut self) -> bool {
        while let Some(signal) = self.signals.next().await {
            let Ok(signal) = signal else { return false };
            if signal.header().path().is_some_and(|path| self.paths.contains(path.as_str())) {
                return true;
            }
        }
        false
    }
}

async fn listen(connection: &zbus::Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender("org.freedesktop.systemd1")
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .path_namespace(UNITS)
        .build()?;
    MessageStream::for_match_rule(rule, connection, None).await
}

/// A unit's name in an object path. Bytes other than letters and digits, and a leading digit, are escaped in
/// hexadecimal, as systemd's `bus_label_escape` does.
fn label(name: &str) -> String {
    let mut label = String::with_capacity(name.len() * 2);
    for (at, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            label.push(char::from(byte));
        } else {
            label.push_str(&format!("_{byte:02x}"));
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_escaped_as_systemd_does() {
        assert_eq!(label("pakashop-gateway.service"), "pakashop_2dgateway_2eservice");
        assert_eq!(label("3d@1.service"), "_33d_401_2eservice");
    }
}
