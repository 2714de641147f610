//! The lease in the world outside: conflicts, long absences, answers lost after the write, deletion.

use std::sync::Arc;
use std::time::Duration;

use model::{Arbiter, ArbiterError, BoxFuture, Lease, Revision};
use parking_lot::Mutex;

use super::net::Net;
use super::process::Gate;
use super::world::Log;

pub const NAME: &str = "arbiter";
/// Longest wait for an answer of it.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Default)]
struct State {
    lease: Option<Lease>,
    revision: u64,
    away: bool,
    /// So many writes happen and are not answered.
    silent_writes: u32,
}

/// The record itself.
pub struct Office {
    state: Mutex<State>,
    net: Arc<Net>,
    log: Arc<Log>,
}

/// One process's way to it.
pub struct Way {
    office: Arc<Office>,
    from: Arc<str>,
    gate: Arc<Gate>,
}

impl Office {
    pub fn new(net: Arc<Net>, log: Arc<Log>) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { state, net, log })
    }

    pub fn way(self: &Arc<Self>, from: Arc<str>, gate: Arc<Gate>) -> Arc<Way> {
        Arc::new(Way {
            office: Arc::clone(self),
            from,
            gate,
        })
    }

    pub fn set_away(&self, away: bool) {
        self.state.lock().away = away;
    }

    pub fn swallow_answers(&self, writes: u32) {
        self.state.lock().silent_writes = writes;
    }

    pub fn delete(&self) {
        self.state.lock().lease = None;
    }

    pub fn lease(&self) -> Option<Lease> {
        self.state.lock().lease.clone()
    }
}

impl State {
    fn read(&self) -> Option<(Lease, Revision)> {
        let lease = self.lease.clone()?;
        Some((lease, Revision(self.revision.to_string())))
    }

    fn write(&mut self, lease: Lease, over: Option<&Revision>) -> Result<Revision, ArbiterError> {
        let stands = self.read().map(|(_, revision)| revision);
        if stands.as_ref() != over {
            return Err(ArbiterError::Lost);
        }
        self.revision += 1;
        self.lease = Some(lease);
        Ok(Revision(self.revision.to_string()))
    }
}

impl Way {
    /// One exchange; what is done there is done, whether or not its answer comes back.
    async fn ask<T>(
        &self,
        act: impl FnOnce(&mut State) -> (Result<T, ArbiterError>, bool) + Send,
    ) -> Result<T, ArbiterError> {
        self.gate.open().await;
        let net = &self.office.net;
        let away = |why: &str| Err(ArbiterError::Away(why.to_owned()));
        let begun = tokio::time::Instant::now();
        tokio::time::sleep(net.latency(&self.from, NAME)).await;
        let reached = !net.is_cut(&self.from, NAME) && !self.office.state.lock().away;
        let answer = reached.then(|| act(&mut self.office.state.lock()));
        let answer = match answer {
            Some((answer, true)) if !net.is_cut(NAME, &self.from) => {
                tokio::time::sleep(net.latency(NAME, &self.from)).await;
                answer
            }
            _ => {
                tokio::time::sleep_until(begun + PATIENCE).await;
                away("no answer")
            }
        };
        self.gate.open().await;
        answer
    }
}

impl Arbiter for Way {
    fn read(&self) -> BoxFuture<'_, Result<Option<(Lease, Revision)>, ArbiterError>> {
        Box::pin(self.ask(|state| (Ok(state.read()), true)))
    }

    fn write(&self, lease: Lease, over: Option<Revision>) -> BoxFuture<'_, Result<Revision, ArbiterError>> {
        Box::pin(async move {
            let words = format!(
                "{} epoch {}",
                lease.holder.as_deref().unwrap_or("nobody"),
                lease.epoch
            );
            let before = self.office.lease();
            let changes =
                before.is_none_or(|before| before.holder != lease.holder || before.epoch != lease.epoch);
            let written = self
                .ask(|state| {
                    let written = state.write(lease, over.as_ref());
                    let answered = state.silent_writes == 0;
                    state.silent_writes = state.silent_writes.saturating_sub(1);
                    (written, answered)
                })
                .await;
            if changes {
                let end = written
                    .as_ref()
                    .map_or_else(ToString::to_string, |_| "written".to_owned());
                self.office
                    .log
                    .say(|| format!("lease {}: {words}: {end}", self.from));
            }
            written
        })
    }
}
