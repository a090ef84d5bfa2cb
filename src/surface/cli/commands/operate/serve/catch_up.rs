//! What fires at the senders that can be asked: found out at the start, and again whenever posts could not be taken in.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::config::estate::Estate;
use crate::domain::config::sender::Sender;
use crate::surface::intake::server::{Server, catch_up};

/// How long to wait after each check or failed attempt.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Starts catching up with every sender that supports it, until `stop` or the returned token is cancelled.
pub(super) fn begin(server: &Arc<Server>, estate: &Estate, stop: &CancellationToken) -> CancellationToken {
    let until = stop.child_token();
    for (name, sender) in estate.senders.clone().into_iter().filter(|(_, sender)| sender.catch_up.is_some()) {
        let (server, until) = (Arc::clone(server), until.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = read_back(&server, &name, &sender) => {}
                () = until.cancelled() => {}
            }
        });
    }
    until
}

/// Catches up with one sender now, and again after the log has refused writes.
#[expect(clippy::disallowed_methods, reason = "asking another process again counts real time")]
async fn read_back(server: &Server, name: &str, sender: &Sender) {
    let mut missed = None;
    loop {
        let refused = server.refused();
        if missed != Some(refused) {
            match catch_up::catch_up(server, name, sender).await {
                Ok(taken) => {
                    tracing::info!(sender = name, alerts = taken.len(), "caught up with what fires");
                    missed = Some(refused);
                }
                Err(why) => tracing::warn!(sender = name, %why, "what fires cannot be found out"),
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
