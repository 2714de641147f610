//! Who holds the lease: read, decide, write over the state that was read. Pure; the task does the asking.
//!
//! A lease is stale only when *we* have seen it unchanged for its whole duration, by running time: no clock is
//! compared with another. Who has seen nothing for as long has not seen that: when the arbiter was away, its holder, who could
//! not renew it either, has the time to do so. The holder counts its own time from before it asked, everybody else from after they saw
//! the answer, so that the holder always stops first.

use std::sync::Arc;
use std::time::Duration;

use model::{ArbiterError, Lease, Revision};

use crate::config::Config;

/// After so many lost races in a row the usual pause is made.
const HASTY_MAX: u32 = 2;

pub(crate) struct Elector {
    name: Arc<str>,
    lease_duration: Duration,
    renew_deadline: Duration,
    retry: Duration,
    seen: Option<Seen>,
    /// When the arbiter last said what the lease is.
    told_at: Option<Duration>,
    held: Option<Held>,
    /// Epoch of a take-over that was not answered: it may have happened.
    tried: Option<u64>,
    /// Since when there has been no lease at all.
    missing_since: Option<Duration>,
    look: Option<Look>,
    next: Duration,
    /// Whether the state that we would write over is in doubt.
    in_doubt: bool,
    hasty: u32,
    pub(crate) transitions: u64,
}

struct Seen {
    lease: Lease,
    /// None: it has been deleted since.
    revision: Option<Revision>,
    changed_at: Duration,
}

#[derive(Clone, Copy)]
struct Held {
    epoch: u64,
    since: Duration,
    /// Before the last successful write was asked for.
    renewed_at: Duration,
}

/// The last time that the arbiter could tell who holds the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) at: Duration,
    /// Somebody else does.
    pub(crate) other: bool,
}

/// What the rest of the room says about standing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stand {
    /// Whether we may take a lease that is free.
    pub(crate) may: bool,
    /// Whether one that we hold should be given back.
    pub(crate) yields: bool,
    /// The other replica says that it holds a lease that we cannot find.
    pub(crate) peer_holds: bool,
    /// It was just heard to hold none, or there is no other.
    pub(crate) peer_is_free: bool,
    /// The highest epoch seen anywhere.
    pub(crate) epoch: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Read,
    Write {
        lease: Lease,
        over: Option<Revision>,
        /// Nobody held it, or somebody else, or we did in an earlier life.
        takes: bool,
    },
}

type Read = Result<Option<(Lease, Revision)>, ArbiterError>;

impl Elector {
    pub(crate) fn new(name: Arc<str>, config: &Config) -> Self {
        Self {
            name,
            lease_duration: config.lease_duration,
            renew_deadline: config.renew_deadline,
            retry: config.retry,
            seen: None,
            told_at: None,
            held: None,
            tried: None,
            missing_since: None,
            look: None,
            next: Duration::ZERO,
            in_doubt: true,
            hasty: 0,
            transitions: 0,
        }
    }

    /// Whether we hold it and may still act on that.
    pub(crate) fn here(&self, now: Duration) -> bool {
        self.good_until().is_some_and(|until| now < until)
    }

    pub(crate) fn good_until(&self) -> Option<Duration> {
        self.held.map(|held| held.renewed_at + self.renew_deadline)
    }

    /// Epoch of the lease we hold, and since when.
    pub(crate) fn held(&self) -> Option<(u64, Duration)> {
        self.held.map(|held| (held.epoch, held.since))
    }

    pub(crate) fn look(&self) -> Option<Look> {
        self.look
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.seen.as_ref().map(|seen| &seen.lease)
    }

    /// When to ask again.
    pub(crate) fn next(&self) -> Duration {
        self.next
    }

    pub(crate) fn ask_soon(&mut self, now: Duration) {
        self.next = self.next.min(now);
    }

    /// What to ask now, if it is time.
    pub(crate) fn begin(&mut self, now: Duration, stand: Stand) -> Option<Ask> {
        if now < self.next {
            return None;
        }
        self.next = now + self.retry;
        if let Some((lease, over)) = stand.yields.then(|| self.give_back()).flatten() {
            let takes = false;
            return Some(Ask::Write { lease, over, takes });
        }
        Some(match (&self.held, self.in_doubt) {
            (Some(_), false) => self.renewal(stand),
            _ => Ask::Read,
        })
    }

    /// What follows from an answer that was asked for at `asked`.
    pub(crate) fn read(&mut self, asked: Duration, now: Duration, read: Read, stand: Stand) -> Option<Ask> {
        self.next = now + self.retry;
        let was_blind = self
            .told_at
            .is_none_or(|told| now.saturating_sub(told) >= self.lease_duration);
        if read.is_ok() {
            self.told_at = Some(now);
        }
        match read {
            Err(_) => None,
            Ok(None) => self.missing(now, stand),
            Ok(Some((lease, revision))) => {
                self.in_doubt = false;
                self.missing_since = None;
                let changed_at = match &self.seen {
                    Some(seen) if seen.lease == lease && seen.revision.is_some() && !was_blind => {
                        seen.changed_at
                    }
                    _ => now,
                };
                self.seen = Some(Seen {
                    lease,
                    revision: Some(revision),
                    changed_at,
                });
                self.decide(asked, now, stand)
            }
        }
    }

    pub(crate) fn wrote(
        &mut self,
        asked: Duration,
        now: Duration,
        (lease, takes): (Lease, bool),
        answer: Result<Revision, ArbiterError>,
    ) {
        self.next = now + self.retry;
        match answer {
            Ok(revision) => {
                self.told_at = Some(now);
                let epoch = lease.epoch;
                let since = match self.held {
                    Some(held) if !takes => held.since,
                    _ => now,
                };
                self.transitions += u64::from(takes);
                self.held = lease.holder.is_some().then_some(Held {
                    epoch,
                    since,
                    renewed_at: asked,
                });
                self.look = Some(Look {
                    at: asked,
                    other: false,
                });
                self.seen = Some(Seen {
                    lease,
                    revision: Some(revision),
                    changed_at: now,
                });
                self.tried = None;
                self.missing_since = None;
                self.hasty = 0;
                self.in_doubt = false;
            }
            Err(ArbiterError::Lost) => {
                self.in_doubt = true;
                self.hasty += 1;
                if self.hasty <= HASTY_MAX {
                    self.next = now;
                } else {
                    self.hasty = 0;
                }
            }
            Err(ArbiterError::Away(_)) => {
                self.in_doubt = true;
                if takes {
                    self.tried = Some(lease.epoch);
                }
            }
        }
    }

    /// Somebody holds it with a later epoch than ours.
    pub(crate) fn depose(&mut self, now: Duration) {
        self.held = None;
        self.in_doubt = true;
        self.next = now;
    }

    /// Gives it back, if we hold it.
    pub(crate) fn give_back(&mut self) -> Option<(Lease, Option<Revision>)> {
        let held = self.held.take()?;
        let seen = self.seen.as_ref()?;
        let lease = Lease {
            holder: None,
            epoch: held.epoch,
            duration_millis: seen.lease.duration_millis,
            renewals: seen.lease.renewals + 1,
        };
        Some((lease, seen.revision.clone()))
    }

    fn decide(&mut self, asked: Duration, now: Duration, stand: Stand) -> Option<Ask> {
        let seen = self.seen.as_ref()?;
        let lease = &seen.lease;
        match &lease.holder {
            Some(holder) if *holder == self.name => {
                let ours = self.held.is_some_and(|held| held.epoch == lease.epoch);
                if ours {
                    return Some(self.renewal(stand));
                }
                self.held = None;
                // Ours, as it turns out; or that of an earlier life of this name, which is over.
                if self.tried == Some(lease.epoch) {
                    return Some(self.write(lease.epoch, true));
                }
                stand.may.then(|| self.take(stand))
            }
            Some(_) => {
                self.held = None;
                let stale_at = seen.changed_at + self.duration(lease);
                if now < stale_at {
                    self.look = Some(Look {
                        at: asked,
                        other: true,
                    });
                    self.next = self.next.min(stale_at);
                    return None;
                }
                stand.may.then(|| self.take(stand))
            }
            None => {
                self.held = None;
                stand.may.then(|| self.take(stand))
            }
        }
    }

    /// There is no lease. Who held it makes it anew; for as long as that one's time may run, nobody else does, unless
    /// the other is heard to say that it holds none.
    fn missing(&mut self, now: Duration, stand: Stand) -> Option<Ask> {
        self.in_doubt = false;
        let since = *self.missing_since.get_or_insert(now);
        if let Some(seen) = &mut self.seen {
            seen.revision = None;
        }
        let over = now >= since + self.lease_duration;
        let free = stand.may && !stand.peer_holds && (stand.peer_is_free || over);
        if !over {
            self.next = self.next.min(since + self.lease_duration);
        }
        let epoch = stand.epoch.max(self.tried.unwrap_or(0));
        if !self.here(now) {
            // Ours ran out before it vanished: somebody else may have had one since.
            self.held = None;
        }
        (free || self.held.is_some()).then(|| self.take(Stand { epoch, ..stand }))
    }

    fn renewal(&self, stand: Stand) -> Ask {
        match self.held {
            // Where a later epoch is known, ours counts for nothing: we need one that is later still.
            Some(held) if stand.epoch <= held.epoch => self.write(held.epoch, false),
            _ => self.take(stand),
        }
    }

    fn take(&self, stand: Stand) -> Ask {
        let seen = self.seen.as_ref().map_or(0, |seen| seen.lease.epoch);
        let held = self.held.map_or(0, |held| held.epoch);
        self.write(stand.epoch.max(seen).max(held) + 1, true)
    }

    fn write(&self, epoch: u64, takes: bool) -> Ask {
        let renewals = self.seen.as_ref().map_or(0, |seen| seen.lease.renewals);
        Ask::Write {
            lease: Lease {
                holder: Some(Arc::clone(&self.name)),
                epoch,
                duration_millis: u64::try_from(self.lease_duration.as_millis()).unwrap_or(u64::MAX),
                renewals: renewals + 1,
            },
            over: self.seen.as_ref().and_then(|seen| seen.revision.clone()),
            takes,
        }
    }

    /// The longer one of what its holder promised and what we are told.
    fn duration(&self, lease: &Lease) -> Duration {
        self.lease_duration
            .max(Duration::from_millis(lease.duration_millis))
    }
}
