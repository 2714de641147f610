//! Metrics of AWS, as cheap and as true as they can be had: only what somebody uses, every minute of it, for a sum that is never passed.
//!
//! CloudWatch is paid by the metric and not by the point: what is asked for every five minutes has all its minutes for a fifth of the
//! price. The newest points may still change, and are provisional until they no longer do. Only the holder of the lease asks.

pub mod budget;
mod capacity;
pub mod catalogue;
pub mod config;
mod events;
pub mod fetch;
pub mod inventory;
pub mod marks;
mod metrics;
pub mod names;
pub mod outlook;
mod place;
pub mod plan;
mod purse;
#[cfg(test)]
mod tests;
mod track;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws::Aws;
use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatch::config::{Builder, IdentityCache};
use model::outside::Client;
use model::signature::Account;
use model::view::{Checkup, cloudwatch as view};
use model::{Clock, Keep, KeepNotes, Leadership, Ledger};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use budget::Spent;
use catalogue::Catalogue;
pub use config::Config;
use fetch::Reader;
use inventory::ask::{Asker, Endpoints, Refused};
use inventory::operations::METRIC_DATA;
pub use inventory::{Place, operations::policy, queue::Queue};
pub use marks::Marks;
use metrics::Metrics;
pub use place::Hot;
use place::{Common, Watch};
use plan::Plan;
use plan::need::{By, Need};
use purse::Purse;
pub use purse::Treasury;

const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked who leads, and what is wanted.
const LOOK: Duration = Duration::from_secs(5);
/// How often marks are put together though nothing has been read: what is silent for long is no longer waited for.
const GATHER: Duration = Duration::from_secs(60);
/// Until a place is tried again of which not even the account is known.
const AGAIN: Duration = Duration::from_secs(15);
const AGAIN_MAX: Duration = Duration::from_secs(300);

/// What the room is given.
pub struct Given {
    pub config: Config,
    pub aws: Arc<Aws>,
    /// Signs, and sends.
    pub client: Arc<dyn Client>,
    pub keep: Arc<dyn Keep>,
    pub clock: Arc<dyn Clock>,
    pub treasury: Arc<dyn Treasury>,
    pub leadership: watch::Receiver<Leadership>,
    pub needs: watch::Receiver<Arc<[Need]>>,
    pub hot: watch::Receiver<Arc<[Hot]>>,
}

/// The room; cheap to clone.
#[derive(Clone)]
pub struct CloudWatch(Arc<Inner>);

struct Inner {
    aws: Arc<Aws>,
    client: Arc<dyn Client>,
    common: Arc<Common>,
    marks: Arc<Marks>,
    watches: Mutex<Vec<Arc<Watch>>>,
    /// Places that are not watched yet, and why.
    unknown: Mutex<BTreeMap<String, Refused>>,
}

impl CloudWatch {
    #[must_use]
    pub fn new(given: Given, registry: &Registry) -> Self {
        let metrics = Arc::new(Metrics::new(registry));
        let purse = Purse::new(
            given.config.budget(),
            given.treasury,
            Arc::clone(&given.clock),
            Arc::clone(&metrics),
        );
        let common = Common {
            catalogue: Catalogue::with(&given.config.entries()),
            config: given.config,
            keep: given.keep,
            clock: given.clock,
            metrics,
            purse,
            needs: given.needs,
            hot: given.hot,
            leadership: given.leadership,
            reign: Mutex::default(),
            notes: OnceLock::new(),
            ledger: Mutex::new(Ledger {
                things: "samples",
                ..Ledger::default()
            }),
            moved: Notify::new(),
        };
        Self(Arc::new(Inner {
            aws: given.aws,
            client: given.client,
            common: Arc::new(common),
            marks: Arc::default(),
            watches: Mutex::default(),
            unknown: Mutex::default(),
        }))
    }

    /// Until when its series are complete.
    #[must_use]
    pub fn marks(&self) -> Arc<Marks> {
        Arc::clone(&self.0.marks)
    }

    /// Who keeps what AWS says has happened; without them nobody asks.
    pub fn notes_to(&self, notes: Arc<dyn KeepNotes>) {
        _ = self.0.common.notes.set(notes);
    }

    pub async fn run(self, stop: CancellationToken) {
        if !self.0.common.config.enabled {
            return stop.cancelled().await;
        }
        let places = self
            .0
            .common
            .config
            .places()
            .into_iter()
            .flat_map(|(account, regions)| {
                let regions = if regions.is_empty() {
                    vec![None]
                } else {
                    regions.into_iter().map(Some).collect()
                };
                regions
                    .into_iter()
                    .map(move |region| (account.clone(), region))
                    .collect::<Vec<_>>()
            });
        let watches = places.map(|(account, region)| self.watch(account, region));
        let all = futures_util::future::join_all(watches);
        tokio::select! {
            () = stop.cancelled() => {}
            _ = all => {}
            () = self.gather() => {}
            () = self.0.common.follow() => {}
        }
        self.0.marks.clear();
    }

    /// Finds out where it is, and watches it for good.
    async fn watch(&self, account: Account, region: Option<String>) {
        let mut pause = AGAIN;
        let shown = format!("{account} {}", region.as_deref().unwrap_or("of the environment"));
        let watch = loop {
            if self.0.common.leads() {
                match self.find(&account, region.as_deref()).await {
                    Ok(watch) => break Arc::new(watch),
                    Err(refused) => {
                        tracing::warn!(place = shown, %refused, "CloudWatch cannot be asked");
                        self.0.unknown.lock().insert(shown.clone(), refused);
                    }
                }
                self.0.common.clock.sleep(pause).await;
                pause = (pause * 2).min(AGAIN_MAX);
            } else {
                self.0.common.clock.sleep(Duration::from_secs(1)).await;
            }
        };
        self.0.unknown.lock().remove(&shown);
        tracing::info!(place = %watch.place.instance(), "watching CloudWatch");
        self.0.watches.lock().push(Arc::clone(&watch));
        watch.run().await;
    }

    async fn find(&self, account: &Account, region: Option<&str>) -> Result<Watch, Refused> {
        let inner = &*self.0;
        let unknown = |why| Refused::Unknown {
            operation: METRIC_DATA.name,
            why,
        };
        let region = inner.aws.region(region, account).await.map_err(unknown)?;
        let shared = inner.aws.sdk_config(Some(&region), account).await;
        let ask = Asker {
            client: Arc::clone(&inner.client),
            account: account.clone(),
            region: region.as_str().into(),
            endpoints: Endpoints {
                named: inner.common.config.endpoints.clone(),
                all: shared.endpoint_url().map(str::to_owned),
                fips: shared.use_fips().unwrap_or(false),
                dual_stack: shared.use_dual_stack().unwrap_or(false),
            },
        };
        let whose = inventory::account(&ask).await?;
        let times = TimeoutConfig::builder()
            .operation_attempt_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .build();
        let mut builder = Builder::from(&shared)
            // Whether and when again is for the rounds to say.
            .retry_config(RetryConfig::disabled())
            .identity_cache(IdentityCache::no_cache())
            // Which minutes there are is reckoned by our clock: where AWS does not believe it, nothing else may go on with it.
            .disable_clock_skew_correction(true)
            .timeout_config(times);
        if let Some(endpoint) = inner.common.config.endpoints.get("monitoring") {
            builder = builder.endpoint_url(endpoint);
        }
        let client = aws_sdk_cloudwatch::Client::from_conf(builder.build());
        let reader = Reader::new(client, Arc::clone(&inner.common.clock));
        let place = Place::new(&whose, &region);
        Ok(Watch::new(place, Arc::clone(&inner.common), ask, reader))
    }

    /// Describes all places once and plans what they would be asked for, without buying anything.
    ///
    /// # Errors
    /// A place that cannot be asked; the first there is.
    pub async fn survey(&self) -> Result<view::Aws, Refused> {
        for (account, regions) in self.0.common.config.places() {
            let regions = if regions.is_empty() {
                vec![None]
            } else {
                regions.into_iter().map(Some).collect()
            };
            for region in regions {
                let watch = Arc::new(self.find(&account, region.as_deref()).await?);
                watch.survey().await;
                self.0.watches.lock().push(watch);
            }
        }
        Ok(self.view().unwrap_or_default())
    }

    /// Puts the marks of all places together. What is wanted and has not come yet is waited for; while another replica asks, it
    /// judges.
    async fn gather(&self) {
        let common = &self.0.common;
        let mut since = None;
        // Who asks, what is wanted, and when that was last put together.
        let mut done: Option<(bool, Arc<[Need]>, Duration)> = None;
        let mut has_moved = true;
        loop {
            let (leads, running) = (common.leads(), common.clock.running());
            let needs = Arc::clone(&common.needs.borrow());
            let is_as_before = done.as_ref().is_some_and(|(led, wanted, at)| {
                *led == leads && Arc::ptr_eq(wanted, &needs) && running < *at + GATHER
            });
            if is_as_before && !has_moved {
                has_moved = self.moves().await;
                continue;
            }
            done = Some((leads, Arc::clone(&needs), running));
            let late = needs
                .iter()
                .filter(|need| !need.by.is_dashboard() && !common.catalogue.find(&need.name).is_empty());
            let mut expected = marks::Gathering::default();
            if leads {
                let since = *since.get_or_insert_with(|| common.clock.now());
                late.for_each(|need| expected.expect(&need.name, since, need.interval.unwrap_or_default()));
                let mut known = marks::Gathering::default();
                for watch in &*self.0.watches.lock() {
                    watch.marks(&mut known, since);
                }
                expected = expected.over(known);
            } else {
                since = None;
                late.for_each(|need| expected.elsewhere(&need.name));
            }
            self.0.marks.set(expected.done());
            has_moved = self.moves().await;
        }
    }

    /// Waits until something has been read, and for what else is read in the same moment; or for the next look.
    async fn moves(&self) -> bool {
        let common = &self.0.common;
        tokio::select! {
            () = common.moved.notified() => {
                common.clock.sleep(Duration::from_secs(1)).await;
                true
            }
            () = common.clock.sleep(LOOK) => false,
        }
    }

    /// Somebody looks at series with these names.
    pub fn looked(&self, names: &HashSet<Arc<str>>) {
        for watch in &*self.0.watches.lock() {
            watch.looked(names);
        }
    }

    /// What a page shows; none where it is off.
    #[must_use]
    pub fn view(&self) -> Option<view::Aws> {
        let common = &self.0.common;
        common.config.enabled.then(|| {
            let account = common.purse.account();
            let mut places: Vec<view::Place> =
                self.0.watches.lock().iter().map(|watch| watch.view()).collect();
            places.sort_by(|one, other| (&one.account, &one.region).cmp(&(&other.account, &other.region)));
            view::Aws {
                asks: common.asks(),
                spent: account.spent,
                forecast: account.forecast,
                budget: account.budget,
                stretch: [account.stretch.fast, account.stretch.slow, account.stretch.pages],
                problems: self
                    .0
                    .unknown
                    .lock()
                    .iter()
                    .map(|(place, refused)| format!("{place}: {refused}"))
                    .collect(),
                places,
            }
        })
    }

    /// Where the points went.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.common.ledger.lock().clone()
    }

    /// What is planned at the moment, by place.
    #[must_use]
    pub fn plans(&self) -> Vec<(Place, Arc<Plan>)> {
        let watches = self.0.watches.lock();
        watches
            .iter()
            .map(|watch| (watch.place.clone(), watch.plan()))
            .collect()
    }

    #[must_use]
    pub fn checkups(&self) -> Vec<Checkup> {
        const ROOM: &str = "cloudwatch";
        let common = &self.0.common;
        if !common.config.enabled {
            return vec![Checkup::off(
                ROOM,
                "cloudwatch",
                "cloudwatch.enabled is false: nothing of AWS is watched",
            )];
        }
        match common.asks() {
            view::Asks::Here => {}
            view::Asks::Other => return vec![Checkup::off(ROOM, "cloudwatch", "the other replica asks AWS")],
            view::Asks::Nobody => {
                let seen = "nobody is known to lead: AWS is not asked until somebody is";
                let advice =
                    "the check `lease` of the room `pair` says why; what was missed is asked for afterwards";
                return vec![Checkup::warn(ROOM, "cloudwatch", seen).advise(advice)];
            }
        }
        let mut wrong: Vec<String> = self.0.unknown.lock().values().map(ToString::to_string).collect();
        let mut series = 0;
        for watch in &*self.0.watches.lock() {
            series += watch.plan().planned.len();
            wrong.extend(watch.problems().iter().map(ToString::to_string));
        }
        let is_heard = self.0.watches.lock().iter().any(|watch| watch.listens());
        if !is_heard && wrong.is_empty() && common.config.queue().is_some() {
            wrong
                .push("cloudwatch.interruption_queue is in no account and region that is watched".to_owned());
        }
        let account = common.purse.account();
        let is_skewed = |refused: &Refused| matches!(refused, Refused::Skewed { .. });
        let is_skewed = self.0.unknown.lock().values().any(is_skewed)
            || self
                .0
                .watches
                .lock()
                .iter()
                .any(|watch| watch.problems().iter().any(is_skewed));
        let seen = format!(
            "{series} series; ${:.2} spent this month, ${:.2} expected by its end",
            account.spent, account.forecast
        );
        let asked = match wrong.is_empty() {
            true => Checkup::ok(ROOM, "cloudwatch", seen),
            false => Checkup::warn(ROOM, "cloudwatch", seen)
                .advise(match is_skewed {
                    true => "set the clock of this host by NTP; AWS believes nobody who is more than five minutes off",
                    false => "grant what is missing; `skopos cloudwatch policy` prints the least policy",
                })
                .list(wrong),
        };
        let stretch = account.stretch;
        let said = |budget: f64| {
            format!(
                "${:.2} of ${budget:.2} spent, ${:.2} expected",
                account.spent, account.forecast
            )
        };
        let budget = match account.budget {
            _ if account.unkept.is_some() => Checkup::fail(
                ROOM,
                "budget",
                format!(
                    "nothing is bought, since what it costs cannot be written down: {}",
                    account.unkept.as_deref().unwrap_or_default()
                ),
            )
            .advise("make room on the disk of --data-dir"),
            None => Checkup::off(ROOM, "budget", "cloudwatch.max_usd_per_month is 0: no limit"),
            Some(budget) if stretch.fast > 1.0 => Checkup::fail(
                ROOM,
                "budget",
                format!(
                    "{}; what wakes people is asked for {:.1} times less often",
                    said(budget),
                    stretch.fast
                ),
            )
            .advise("raise cloudwatch.max_usd_per_month, or watch less (cloudwatch.services, only_tags)"),
            Some(budget) if stretch.slow > 1.0 => Checkup::warn(
                ROOM,
                "budget",
                format!(
                    "{}; what only rules read waits {:.1} times as long",
                    said(budget),
                    stretch.slow
                ),
            )
            .advise("raise cloudwatch.max_usd_per_month, or watch less (cloudwatch.services, only_tags)"),
            Some(budget) => Checkup::ok(ROOM, "budget", said(budget)),
        };
        vec![asked, budget]
    }
}

/// What the configuration asks for by itself.
#[must_use]
pub fn listed_needs(config: &Config) -> Vec<Need> {
    let own = config.metrics.iter().map(|wanted| {
        let labels = wanted
            .labels
            .iter()
            .map(|(name, value)| model::Matcher::equal(name, value));
        let interval = if wanted.interval.is_zero() {
            plan::need::INTERVAL_MIN
        } else {
            wanted.interval
        };
        Need::new(
            &wanted.name,
            &labels.collect::<Vec<_>>(),
            Some(interval),
            By::List,
        )
    });
    let added = config::listed(config);
    let added = added
        .iter()
        .map(|(name, interval)| Need::new(name, &[], Some(*interval), By::List));
    own.chain(added).collect()
}
