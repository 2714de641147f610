//! All targets, and the change from one set of them to the next.

use std::collections::HashMap;
use std::sync::Arc;

use model::outside::Client;
use model::{Clock, Keep, Ledger, view};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Global, ScrapeConfig};
use crate::ledger::Account;
use crate::metrics::Metrics;
use crate::plan;
use crate::target::{House, Target};

pub struct Pool {
    house: Arc<House>,
    targets: Mutex<Targets>,
    changed: Notify,
}

#[derive(Default)]
struct Targets {
    /// In the order of the configuration.
    all: Vec<Arc<Target>>,
    /// Of these, the ones that nobody runs yet.
    waiting: Vec<Arc<Target>>,
}

impl Pool {
    pub fn new(
        client: Arc<dyn Client>,
        keep: Arc<dyn Keep>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Arc<Self> {
        Arc::new(Self {
            house: Arc::new(House {
                client,
                keep,
                clock,
                metrics: Metrics::new(registry),
                account: Account::new(),
            }),
            targets: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Goes over to these targets: those that stay as they are run on, those that are gone end.
    ///
    /// # Errors
    /// Everything that is wrong, each a sentence with its place; nothing has changed then.
    pub fn apply(&self, configs: &[ScrapeConfig], global: &Global) -> Result<(), Vec<String>> {
        let plans = plan::plans(configs, global)?;
        let mut targets = self.targets.lock();
        let named = |target: Arc<Target>| (Arc::clone(&target.plan.name), target);
        let mut old: HashMap<_, _> = std::mem::take(&mut targets.all).into_iter().map(named).collect();
        let mut new = Vec::with_capacity(plans.len());
        for plan in plans {
            match old.remove(&plan.name) {
                Some(same) if same.plan == plan => targets.all.push(same),
                other => {
                    // Same name means same series; only how they are read is another.
                    if let Some(other) = other {
                        other.leave();
                    }
                    new.push((targets.all.len(), plan));
                }
            }
        }
        // Those that are gone end before others may claim their series.
        for gone in old.into_values() {
            gone.retire();
        }
        for (nth, (place, plan)) in new.into_iter().enumerate() {
            let target = Target::new(plan, Arc::clone(&self.house));
            targets.all.insert(place + nth, Arc::clone(&target));
            targets.waiting.push(target);
        }
        self.house.metrics.targets.set(targets.all.len() as f64);
        drop(targets);
        self.changed.notify_one();
        Ok(())
    }

    /// Scrapes until it is stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut running = JoinSet::new();
        loop {
            for target in std::mem::take(&mut self.targets.lock().waiting) {
                running.spawn(target.run(stop.child_token()));
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.changed.notified() => {}
                Some(ended) = running.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a target's task broke off");
                    }
                }
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// In the order of the configuration.
    #[must_use]
    pub fn view(&self) -> Vec<view::Target> {
        // Not under the lock: a target may be reading a long body.
        let all = self.targets.lock().all.clone();
        all.iter().map(|target| target.view()).collect()
    }

    /// Where the samples went.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.house.account.ledger()
    }
}
