//! Who may hold an incident next: the one decision about claims, the same for every backend.
//!
//! Pure; `now` is an argument.
//!
//! **Invariant:** an epoch never goes down and is never given to two holders, even when claims are given back.

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
    pub until: Timestamp,
}

/// Decides a request, given the recorded lease.
pub(super) fn answer(current: Option<Lease>, wish: LeaseRequest) -> LeaseAnswer {
    let LeaseRequest { incident, holder, gone, now, until } = wish;
    let epoch = match current {
        None => 1,
        Some(claim) if claim.holder == holder && !is_released(&claim) => claim.epoch,
        Some(claim) => {
            let free = is_released(&claim) || claim.expires_at <= now || gone.as_ref() == Some(&claim.holder);
            if !free {
                return LeaseAnswer::Taken(claim);
            }
            claim.epoch.saturating_add(1)
        }
    };
    LeaseAnswer::Held(Lease { incident, holder, epoch, expires_at: until })
}

/// The lease that a new stream starts with.
pub(super) fn begun(incident: &IncidentId, InitialLease { holder, until }: InitialLease) -> Lease {
    Lease { incident: incident.clone(), holder, epoch: 1, expires_at: until }
}

/// What is recorded after a release: the epoch stays, so that the next holder gets a higher one.
pub(super) fn released(claim: &Lease) -> Lease {
    Lease { holder: String::new(), expires_at: DateTime::UNIX_EPOCH, ..claim.clone() }
}

/// Whether the recorded lease was released.
pub(super) fn is_released(claim: &Lease) -> bool {
    claim.holder.is_empty()
}
