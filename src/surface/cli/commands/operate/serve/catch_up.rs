//! What fires at the senders that can be asked: found out at the start, and again whenever posts could not be taken in.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::config::estate::Estate;
use crate::domain::config::sender::Sender;
use crate::surface::intake::server::{Server, catch_up};

/// How long after a failed look at what fires now it is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Looks out at every sender of the estate that can be asked, until `stop` or the token that this gives is cancelled.
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

/// Finds out what fires at a sender now, and again whenever posts could not be taken in.
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
