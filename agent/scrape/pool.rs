//! All targets, and the change from one set of them to the next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::discovery::{ObjectTargets, TargetGroup};
use model::outside::Client;
use model::{Clock, Keep, Ledger, view};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Global, ScrapeConfig};
use crate::handing::Desk;
use crate::ledger::Account;
use crate::metrics::Metrics;
use crate::plan::{self, Found, Plan, Section};
use crate::target::{House, Target};

pub struct Pool {
    pub(crate) house: Arc<House>,
    pub(crate) wanted: Mutex<Wanted>,
    targets: Mutex<Targets>,
    changed: Notify,
    looked_for: watch::Sender<Arc<[ObjectTargets]>>,
    pub(crate) desk: Mutex<Desk>,
}

/// What is to be scraped, by where we know it from.
#[derive(Default)]
pub(crate) struct Wanted {
    /// By the configuration.
    configured: Vec<Section>,
    pub(crate) global: Global,
    /// By who runs here; each section stands for itself.
    found: Vec<ScrapeConfig>,
    /// By objects of the cluster that say what is scraped.
    observed: Vec<Observed>,
    /// Among the objects of the cluster.
    pub(crate) objects: Found,
    /// By another process, for the node that this one is on.
    pub(crate) given: Vec<Plan>,
    /// Whether what is on a node with an agent is handed to that.
    pub(crate) hands_out: bool,
}

/// A section that came from an object, and what it comes to; what is wrong with it may depend on `global`.
struct Observed {
    config: Arc<ScrapeConfig>,
    made: Result<Section, Vec<String>>,
}

impl Observed {
    fn new(config: &Arc<ScrapeConfig>, global: &Global) -> Self {
        Self {
            config: Arc::clone(config),
            made: Section::new(config.job_name.clone(), config, global),
        }
    }
}

/// What all of it comes to.
pub(crate) struct Sum {
    pub(crate) plans: Vec<Plan>,
    pools: Vec<view::ScrapePool>,
    /// What is wrong with what was found.
    wrong: Vec<String>,
}

#[derive(Default)]
struct Targets {
    /// In the order of the configuration.
    all: Vec<Arc<Target>>,
    /// Of these, the ones that nobody runs yet.
    waiting: Vec<Arc<Target>>,
    /// What is not scraped of what was to be, by section.
    pools: Vec<view::ScrapePool>,
}

impl Wanted {
    /// What is to be looked for among the objects, each once.
    pub(crate) fn looks_for(&self) -> Vec<ObjectTargets> {
        let observed = self
            .observed
            .iter()
            .filter_map(|observed| observed.made.as_ref().ok());
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        for objects in self
            .configured
            .iter()
            .chain(observed)
            .flat_map(Section::looks_for)
        {
            if seen.insert(objects) {
                all.push(objects.clone());
            }
        }
        all
    }

    pub(crate) fn sum(&mut self) -> Sum {
        let (mut plans, mut pools, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for section in &mut self.configured {
            let sifted = section.sift(&self.objects, self.hands_out);
            pools.push(sifted.shown(section.job()));
            plans.extend(sifted.plans);
        }
        for config in &self.found {
            if self
                .configured
                .iter()
                .any(|section| section.job() == config.job_name)
            {
                continue;
            }
            match plan::sections(std::slice::from_ref(config), &self.global) {
                Ok(sections) => plans.extend(sections.iter().flat_map(|section| section.sift_named().plans)),
                Err(mistakes) => wrong.extend(mistakes),
            }
        }
        for observed in &mut self.observed {
            let job = &observed.config.job_name;
            if self.configured.iter().any(|section| section.job() == job) {
                wrong.push(format!("{job}: is a job of scrape_configs, which stands"));
                continue;
            }
            match &mut observed.made {
                Ok(section) => {
                    let sifted = section.sift(&self.objects, self.hands_out);
                    pools.push(sifted.shown(section.job()));
                    plans.extend(sifted.plans);
                }
                Err(mistakes) => wrong.extend(mistakes.iter().cloned()),
            }
        }
        plans.extend(self.given.iter().cloned());
        Sum {
            plans: plan::each_once(plans),
            pools,
            wrong,
        }
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
            looked_for: watch::Sender::new(Arc::default()),
            desk: Mutex::default(),
        })
    }

    /// Goes over to these targets: those that stay as they are run on, those that are gone end.
    ///
    /// # Errors
    /// Everything that is wrong, each a sentence with its place; nothing has changed then.
    pub fn apply(&self, configs: &[ScrapeConfig], global: &Global) -> Result<(), Vec<String>> {
        let sections = plan::sections(configs, global)?;
        let mut wanted = self.wanted.lock();
        if wanted.global != *global {
            for observed in &mut wanted.observed {
                *observed = Observed::new(&observed.config, global);
            }
        }
        (wanted.configured, wanted.global) = (sections, global.clone());
        self.look_for(&mut wanted);
        // What is wrong in what was found has been said when it was found.
        let sum = wanted.sum();
        self.go_over(&wanted, sum);
        Ok(())
    }

    /// Goes over to these sections that objects of the cluster ask for, beside those of the configuration; one that is the same
    /// allocation as before goes on untouched. What is wrong with one of them is returned, and the others stand. A job of the
    /// configuration is the user's own word.
    pub fn observe(&self, configs: &[Arc<ScrapeConfig>]) -> Vec<String> {
        let mut wanted = self.wanted.lock();
        let before = std::mem::take(&mut wanted.observed);
        let mut known: HashMap<usize, Observed> = before
            .into_iter()
            .map(|observed| (Arc::as_ptr(&observed.config).addr(), observed))
            .collect();
        for config in configs {
            let same = known.remove(&Arc::as_ptr(config).addr());
            let observed = same.unwrap_or_else(|| Observed::new(config, &wanted.global));
            wanted.observed.push(observed);
        }
        self.look_for(&mut wanted);
        let sum = wanted.sum();
        self.go_over(&wanted, sum)
    }

    fn look_for(&self, wanted: &mut Wanted) {
        let looked_for = wanted.looks_for();
        wanted.objects.retain(|objects, _| looked_for.contains(objects));
        self.looked_for.send_if_modified(|known| {
            let is_other = **known != *looked_for;
            if is_other {
                *known = looked_for.into();
            }
            is_other
        });
    }

    /// What is to be looked for among the objects of the cluster, now and from now on.
    #[must_use]
    pub fn looked_for(&self) -> watch::Receiver<Arc<[ObjectTargets]>> {
        self.looked_for.subscribe()
    }

    /// Goes over to what was found of these; of others what was found before stands.
    pub fn found(&self, all: Vec<(ObjectTargets, Vec<Arc<TargetGroup>>)>) {
        let mut wanted = self.wanted.lock();
        let looked_for = self.looked_for.borrow().clone();
        let all = all
            .into_iter()
            .filter(|(objects, _)| looked_for.contains(objects));
        wanted.objects.extend(all);
        let sum = wanted.sum();
        self.go_over(&wanted, sum);
    }

    /// Goes over to these targets that were found, beside those of the configuration. What is wrong with one of them is
    /// returned, and the others stand. A job of the configuration is the user's own word: what was found for it is left out.
    pub fn find(&self, found: Vec<ScrapeConfig>) -> Vec<String> {
        let mut wanted = self.wanted.lock();
        wanted.found = found;
        let sum = wanted.sum();
        self.go_over(&wanted, sum)
    }

    /// What is wrong with what was found.
    pub(crate) fn go_over(&self, wanted: &Wanted, sum: Sum) -> Vec<String> {
        let Sum { plans, pools, wrong } = sum;
        let mut targets = self.targets.lock();
        let (plans, handed) = match wanted.hands_out {
            true => self.keep_back(plans),
            false => (plans, HashSet::new()),
        };
        tell(&targets.pools, &pools);
        targets.pools = pools;
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
        for (name, gone) in old {
            match handed.contains(&name) {
                // Whoever has it now goes on with its series.
                true => gone.leave(),
                false => gone.retire(),
            }
        }
        for (nth, (place, plan)) in new.into_iter().enumerate() {
            let target = Target::new(plan, Arc::clone(&self.house));
            targets.all.insert(place + nth, Arc::clone(&target));
            targets.waiting.push(target);
        }
        self.house.metrics.targets.set(targets.all.len() as f64);
        drop(targets);
        self.changed.notify_one();
        wrong
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
        let here = all.iter().map(|target| target.view());
        here.chain(self.read_by_agents()).collect()
    }

    /// What is not scraped of what the configuration names, a section each, in its order.
    #[must_use]
    pub fn sifted(&self) -> Vec<view::ScrapePool> {
        self.targets.lock().pools.clone()
    }

    /// Where the samples went.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.house.account.ledger()
    }
}

/// Says once what cannot be scraped.
fn tell(before: &[view::ScrapePool], now: &[view::ScrapePool]) {
    let known: HashSet<&String> = before.iter().flat_map(|pool| &pool.failed).collect();
    for failed in now.iter().flat_map(|pool| &pool.failed) {
        if !known.contains(failed) {
            tracing::warn!(failed, "not scraped");
        }
    }
}
