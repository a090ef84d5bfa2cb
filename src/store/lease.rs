//! Who may hold an incident next: the one decision about claims, the same for every backend.
//!
//! Pure; `now` is an argument.
//!
//! **Invariant:** an epoch never goes down and is never given to two holders, even when claims are given back.

use chrono::DateTime;

use super::{InitialLease, Lease, LeaseAnswer};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;

/// What a holder asks for.
#[derive(Debug, Clone)]
pub(super) struct LeaseRequest {
    /// The incident.
    pub incident: IncidentId,
    /// Who wants it.
    pub holder: String,
    /// A holder that has ended.
    pub gone: Option<String>,
    /// The instant of asking.
    pub now: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// The answer to a wish, given the claim that is on record.
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

/// The claim that a new stream begins with.
pub(super) fn begun(incident: &IncidentId, InitialLease { holder, until }: InitialLease) -> Lease {
    Lease { incident: incident.clone(), holder, epoch: 1, expires_at: until }
}

/// What stays on record when a claim is given back: its epoch, so that the next holder gets a higher one.
pub(super) fn released(claim: &Lease) -> Lease {
    Lease { holder: String::new(), expires_at: DateTime::UNIX_EPOCH, ..claim.clone() }
}

/// Whether the claim on record is one that was given back.
pub(super) fn is_released(claim: &Lease) -> bool {
    claim.holder.is_empty()
}
