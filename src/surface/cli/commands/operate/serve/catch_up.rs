//! Asks senders which alerts are firing: at the start, and after alerts were refused because the log could not be written.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::config::estate::Estate;
use crate::domain::config::sender::Sender;
use crate::surface::intake::server::{Server, catch_up};

/// The time between two checks, and between two attempts.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// Starts one task per sender that has `catch_up`. The tasks end when `stop` or the returned token is cancelled.
pub(super) fn begin(server: &Arc<Server>, estate: &Estate, stop: &CancellationToken) -> CancellationToken {
    let token = stop.child_token();
    for (name, sender) in estate.senders.clone().into_iter().filter(|(_, sender)| sender.catch_up.is_some()) {
        let (server, token) = (Arc::clone(server), token.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = catch_up_with(&server, &name, &sender) => {}
                () = token.cancelled() => {}
            }
        });
    }
    token
}

/// Catches up with one sender now, and again whenever alerts were refused.
#[expect(clippy::disallowed_methods, reason = "a retry of a request to another process waits in real time")]
async fn catch_up_with(server: &Server, name: &str, sender: &Sender) {
    let mut caught_up_at = None;
    loop {
        let refused = server.refused();
        if caught_up_at != Some(refused) {
            match catch_up::catch_up(server, name, sender).await {
                Ok(alerts) => {
                    tracing::info!(sender = name, alerts = alerts.len(), "caught up with the firing alerts");
                    caught_up_at = Some(refused);
                }
                Err(why) => tracing::warn!(sender = name, %why, "the firing alerts cannot be read"),
            }
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
