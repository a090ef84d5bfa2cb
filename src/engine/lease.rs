//! The lease: which process works on an incident, and whether that process is alive.
//!
//! A lease saves work; order is kept by the compare-and-swap in `append`. The lease of a dead process is free at once, because
//! its holder names the process so exactly that no later process matches.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Engine;
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::{Span, Timestamp};
use crate::store::{EventStore, InitialLease, Lease, LeaseAnswer, StoreError};

/// How long a claim is good without being renewed: long enough for a stalled disk, short enough for a person
/// who waits for another host to take over.
pub const LEASE: Span = Span(Duration::from_secs(15));
/// How often a claim is renewed: two renewals may be lost before it lapses.
pub const RENEWAL: Span = Span(Duration::from_secs(5));

/// The name of this process as a holder: host, boot, process and its start, so that none is ever reused.
pub fn holder(hostname: &str) -> String {
    let (boot, pid) = (boot_id(), std::process::id());
    format!("{hostname}/{boot}/{pid}/{}", started(pid).unwrap_or_default())
}

/// A name for one worker of this process.
fn worker(holder: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{holder}/{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether the process that a holder names has surely ended: on this host, in this boot or an earlier one.
fn is_dead(holder: &str, hostname: &str) -> bool {
    let mut parts = holder.split('/');
    let (Some(host), Some(boot), Some(pid), Some(start)) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let Ok(pid) = pid.parse::<u32>() else {
        return false;
    };
    host == hostname && (boot != boot_id() || started(pid).as_deref() != Some(start))
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// When a process started, in clock ticks since boot: field 22 of `/proc/<pid>/stat` (proc(5)). A zombie has ended.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

/// Whether the process that a holder names is alive, as far as can be known here.
pub fn is_alive(holder: &str, hostname: &str) -> bool {
    !is_dead(holder, hostname)
}

impl Engine {
    /// Whether another process works on the incident.
    pub async fn is_attended(&self, incident: &IncidentId) -> Result<bool, StoreError> {
        let parts = self.parts();
        let Some(claim) = parts.store.lease(incident).await? else { return Ok(false) };
        let good = claim.expires_at > parts.clock.now() && is_alive(&claim.holder, &parts.hostname);
        Ok(good && !claim.holder.starts_with(&parts.holder))
    }

    /// Whether a worker of this process holds the incident.
    pub async fn holds(&self, incident: &IncidentId) -> Result<bool, StoreError> {
        let claim = self.parts().store.lease(incident).await?;
        let ours = |claim: Lease| claim.holder.strip_prefix(&self.parts().holder).is_some_and(|n| n.starts_with('/'));
        Ok(claim.is_some_and(ours))
    }
}

/// A claim that is held and renewed.
#[derive(Debug)]
pub(super) struct HeldLease {
    claim: Lease,
    renew_at: Timestamp,
}

impl HeldLease {
    /// Takes the claim on an incident, or says whose it is.
    pub(super) async fn take(
        store: &dyn EventStore,
        incident: &IncidentId,
        holder: &str,
        hostname: &str,
        now: Timestamp,
    ) -> Result<Result<Self, Lease>, StoreError> {
        let worker = worker(holder);
        let gone = store.lease(incident).await?.map(|claim| claim.holder).filter(|other| is_dead(other, hostname));
        let claiming = store.acquire_lease(incident, &worker, gone.as_deref(), now, LEASE.after(now)).await?;
        Ok(match claiming {
            LeaseAnswer::Held(claim) => Ok(Self { claim, renew_at: RENEWAL.after(now) }),
            LeaseAnswer::Taken(claim) => Err(claim),
        })
    }

    /// The claim on an incident that is about to be opened, and what its first write has to say of it.
    pub(super) fn opening(incident: &IncidentId, holder: &str, now: Timestamp) -> (Self, InitialLease) {
        let hold = InitialLease { holder: worker(holder), until: LEASE.after(now) };
        let InitialLease { holder, until } = hold.clone();
        let claim = Lease { incident: incident.clone(), holder, epoch: 1, expires_at: until };
        (Self { claim, renew_at: RENEWAL.after(now) }, hold)
    }

    /// Higher than that of every worker before.
    pub(super) fn epoch(&self) -> u64 {
        self.claim.epoch
    }

    /// When it wants to be renewed.
    pub(super) fn renew_at(&self) -> Timestamp {
        self.renew_at
    }

    /// Whether nobody else can have taken it over yet.
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        now < self.claim.expires_at
    }

    /// Renews the lease when it is due. Returns the lease of the other holder when it was too late.
    pub(super) async fn renew(
        &mut self,
        store: &dyn EventStore,
        now: Timestamp,
    ) -> Result<Result<(), Lease>, StoreError> {
        if now < self.renew_at {
            return Ok(Ok(()));
        }
        let (incident, holder) = (&self.claim.incident, &self.claim.holder);
        match store.acquire_lease(incident, holder, None, now, LEASE.after(now)).await? {
            LeaseAnswer::Held(claim) if claim.epoch == self.claim.epoch => {
                *self = Self { claim, renew_at: RENEWAL.after(now) };
                Ok(Ok(()))
            }
            // A higher epoch means that somebody else has had it in between: what is true has to be read again first.
            LeaseAnswer::Held(claim) => {
                store.release(&claim).await?;
                Ok(Err(claim))
            }
            LeaseAnswer::Taken(claim) => Ok(Err(claim)),
        }
    }

    /// Gives it back.
    pub(super) async fn release(&self, store: &dyn EventStore) -> Result<(), StoreError> {
        store.release(&self.claim).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_others_that_have_its_number_are_gone() {
        let holder = holder("web1");
        assert!(!is_dead(&worker(&holder), "web1"));
        assert!(!is_dead(&worker(&holder), "web2"), "nothing is known of other hosts");
        let boot = boot_id();
        assert!(is_dead(&format!("web1/{boot}/{}/1/0", std::process::id()), "web1"), "another start");
        assert!(is_dead("web1/another-boot/1/1/0", "web1"));
        assert!(!is_dead("nonsense", "web1"));
    }
}
