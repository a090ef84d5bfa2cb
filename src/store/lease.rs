//! Decides requests for leases. Pure, with `now` as an argument; shared by all backends.
//!
//! **Invariant:** epochs never decrease, and two holders never get the same epoch, even after a release.

use chrono::DateTime;

use super::{InitialLease, Lease, LeaseAnswer};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;

/// A request for a lease.
#[derive(Debug, Clone)]
pub(super) struct LeaseRequest {
    pub incident: IncidentId,
    pub holder: String,
    /// A holder whose process has ended.
    pub gone: Option<String>,
    pub now: Timestamp,
    /// When the lease expires unless it is renewed.
    pub until: Timestamp,
}

/// Decides a request, given the recorded lease.
pub(super) fn decide(recorded: Option<Lease>, request: LeaseRequest) -> LeaseAnswer {
    let LeaseRequest { incident, holder, gone, now, until } = request;
    let epoch = match recorded {
        None => 1,
        Some(lease) if lease.holder == holder && !is_released(&lease) => lease.epoch,
        Some(lease) => {
            let free = is_released(&lease) || lease.expires_at <= now || gone.as_ref() == Some(&lease.holder);
            if !free {
                return LeaseAnswer::Taken(lease);
            }
            lease.epoch.saturating_add(1)
        }
    };
    LeaseAnswer::Held(Lease { incident, holder, epoch, expires_at: until })
}

/// The lease that a new stream starts with.
pub(super) fn initial(incident: &IncidentId, InitialLease { holder, until }: InitialLease) -> Lease {
    Lease { incident: incident.clone(), holder, epoch: 1, expires_at: until }
}

/// The recorded lease after a release. It has the same epoch, so that the next holder gets a higher one.
pub(super) fn released(lease: &Lease) -> Lease {
    Lease { holder: String::new(), expires_at: DateTime::UNIX_EPOCH, ..lease.clone() }
}

/// Whether the recorded lease was released.
pub(super) fn is_released(lease: &Lease) -> bool {
    lease.holder.is_empty()
}
