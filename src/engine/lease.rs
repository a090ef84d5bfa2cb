//! The lease: which worker handles an incident, and whether the process of that worker is alive.
//!
//! A lease avoids double work. The order of events does not depend on it: each append compares and swaps the sequence number.
//! The lease of a dead process can be taken at once, because no later process has the same holder name.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Engine;
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::{Span, Timestamp};
use crate::store::{EventStore, InitialLease, Lease, LeaseAnswer, StoreError};

/// How long a lease is valid without renewal: long enough for a stalled disk, short enough for a person who waits until
/// another host takes over.
pub const LEASE: Span = Span(Duration::from_secs(15));
/// How often a lease is renewed: three times per lease. A worker whose renewal fails stops.
pub const RENEWAL: Span = Span(Duration::from_secs(5));

/// The holder name of this process: host, boot, process id and start time. It is never reused.
pub fn holder(hostname: &str) -> String {
    let (boot, pid) = (boot_id(), std::process::id());
    format!("{hostname}/{boot}/{pid}/{}", start_time(pid).unwrap_or_default())
}

/// A unique holder name for one worker of this process.
fn worker_holder(holder: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{holder}/{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether the holder's process has certainly ended. That is known only of processes of this host.
fn is_dead(holder: &str, hostname: &str) -> bool {
    let mut parts = holder.split('/');
    let (Some(host), Some(boot), Some(pid), Some(start)) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let Ok(pid) = pid.parse::<u32>() else {
        return false;
    };
    host == hostname && (boot != boot_id() || start_time(pid).as_deref() != Some(start))
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// When a process started, in clock ticks since boot: field 22 of `/proc/<pid>/stat` (proc(5)). None for a zombie.
fn start_time(pid: u32) -> Option<String> {
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

/// Whether the holder's process may be alive. A process of another host counts as alive.
pub fn is_alive(holder: &str, hostname: &str) -> bool {
    !is_dead(holder, hostname)
}

impl Engine {
    /// Whether another live process holds a valid lease of the incident.
    pub async fn is_held_elsewhere(&self, incident: &IncidentId) -> Result<bool, StoreError> {
        let parts = self.parts();
        let Some(lease) = parts.store.lease(incident).await? else { return Ok(false) };
        let valid = lease.expires_at > parts.clock.now() && is_alive(&lease.holder, &parts.hostname);
        Ok(valid && !self.is_own(&lease))
    }

    /// Whether a worker of this process holds the lease of the incident.
    pub async fn holds(&self, incident: &IncidentId) -> Result<bool, StoreError> {
        let lease = self.parts().store.lease(incident).await?;
        Ok(lease.is_some_and(|lease| self.is_own(&lease)))
    }

    fn is_own(&self, lease: &Lease) -> bool {
        lease.holder.strip_prefix(&self.parts().holder).is_some_and(|worker| worker.starts_with('/'))
    }
}

/// A lease that a worker of this process holds and renews.
#[derive(Debug)]
pub(super) struct HeldLease {
    lease: Lease,
    renew_at: Timestamp,
}

impl HeldLease {
    /// Takes the lease of an incident. Returns the lease of the other holder when it is taken.
    pub(super) async fn take(
        store: &dyn EventStore,
        incident: &IncidentId,
        holder: &str,
        hostname: &str,
        now: Timestamp,
    ) -> Result<Result<Self, Lease>, StoreError> {
        let worker = worker_holder(holder);
        let dead = store.lease(incident).await?.map(|lease| lease.holder).filter(|other| is_dead(other, hostname));
        let answer = store.acquire_lease(incident, &worker, dead.as_deref(), now, LEASE.after(now)).await?;
        Ok(match answer {
            LeaseAnswer::Held(lease) => Ok(Self { lease, renew_at: RENEWAL.after(now) }),
            LeaseAnswer::Taken(lease) => Err(lease),
        })
    }

    /// The lease of a new incident, and the part of the first write that registers it.
    pub(super) fn opening(incident: &IncidentId, holder: &str, now: Timestamp) -> (Self, InitialLease) {
        let initial = InitialLease { holder: worker_holder(holder), until: LEASE.after(now) };
        let InitialLease { holder, until } = initial.clone();
        let lease = Lease { incident: incident.clone(), holder, epoch: 1, expires_at: until };
        (Self { lease, renew_at: RENEWAL.after(now) }, initial)
    }

    /// A number that is higher than that of every earlier holder.
    pub(super) fn epoch(&self) -> u64 {
        self.lease.epoch
    }

    /// When the next renewal is due.
    pub(super) fn renew_at(&self) -> Timestamp {
        self.renew_at
    }

    /// Whether the lease has not expired, so that no other process can have taken it.
    pub(super) fn is_valid(&self, now: Timestamp) -> bool {
        now < self.lease.expires_at
    }

    /// Renews the lease when that is due. Returns the current lease when another holder had taken it.
    pub(super) async fn renew(
        &mut self,
        store: &dyn EventStore,
        now: Timestamp,
    ) -> Result<Result<(), Lease>, StoreError> {
        if now < self.renew_at {
            return Ok(Ok(()));
        }
        let (incident, holder) = (&self.lease.incident, &self.lease.holder);
        match store.acquire_lease(incident, holder, None, now, LEASE.after(now)).await? {
            LeaseAnswer::Held(lease) if lease.epoch == self.lease.epoch => {
                *self = Self { lease, renew_at: RENEWAL.after(now) };
                Ok(Ok(()))
            }
            // A higher epoch: another worker held the lease in between, and may have written. This worker's state is stale.
            LeaseAnswer::Held(lease) => {
                store.release(&lease).await?;
                Ok(Err(lease))
            }
            LeaseAnswer::Taken(lease) => Ok(Err(lease)),
        }
    }

    /// Releases the lease for other workers.
    pub(super) async fn release(&self, store: &dyn EventStore) -> Result<(), StoreError> {
        store.release(&self.lease).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_dead_when_its_process_of_this_host_has_ended() {
        let holder = holder("web1");
        assert!(!is_dead(&worker_holder(&holder), "web1"));
        assert!(!is_dead(&worker_holder(&holder), "web2"), "nothing is known of other hosts");
        let boot = boot_id();
        assert!(
            is_dead(&format!("web1/{boot}/{}/1/0", std::process::id()), "web1"),
            "another process with the same id"
        );
        assert!(is_dead("web1/another-boot/1/1/0", "web1"));
        assert!(!is_dead("nonsense", "web1"));
    }
}
