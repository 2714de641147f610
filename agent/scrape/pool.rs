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
use crate::plan::{self, Plan};
use crate::target::{House, Target};

pub struct Pool {
    house: Arc<House>,
    wanted: Mutex<Wanted>,
    targets: Mutex<Targets>,
    changed: Notify,
}

/// What is to be scraped, by where we know it from.
#[derive(Default)]
struct Wanted {
    /// By the configuration.
    configured: Vec<Plan>,
    global: Global,
    /// By who runs here; each section stands for itself.
    found: Vec<ScrapeConfig>,
}

#[derive(Default)]
struct Targets {
    /// In the order of the configuration.
    all: Vec<Arc<Target>>,
    /// Of these, the ones that nobody runs yet.
    waiting: Vec<Arc<Target>>,
}

impl Wanted {
    /// All of it, and what is wrong with what was found.
    fn all(&self) -> (Vec<Plan>, Vec<String>) {
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        for section in &self.found {
            if self.configured.iter().any(|plan| plan.job == section.job_name) {
                continue;
            }
            match plan::plans(std::slice::from_ref(section), &self.global) {
                Ok(plans) => found.extend(plans),
                Err(mistakes) => wrong.extend(mistakes),
            }
        }
        let all = self.configured.iter().cloned().chain(found);
        (plan::each_once(all), wrong)
    }
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
            wanted: Mutex::default(),
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
        let mut wanted = self.wanted.lock();
        (wanted.configured, wanted.global) = (plans, global.clone());
        // What is wrong in what was found has been said when it was found.
        let (plans, _) = wanted.all();
        self.go_over(plans);
        Ok(())
    }

    /// Goes over to these targets that were found, beside those of the configuration. What is wrong with one of them is
    /// returned, and the others stand. A job of the configuration is the user's own word: what was found for it is left out.
    pub fn find(&self, found: Vec<ScrapeConfig>) -> Vec<String> {
        let mut wanted = self.wanted.lock();
        wanted.found = found;
        let (plans, wrong) = wanted.all();
        self.go_over(plans);
        wrong
    }

    fn go_over(&self, plans: Vec<Plan>) {
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
