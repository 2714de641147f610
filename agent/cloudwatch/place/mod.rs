//! The watch over one account in one region: what is there, what is asked for, what has come.
//!
//! Two rounds go beside each other, so that a service that does not answer holds up no points: one describes what is there, the other
//! asks for what is due. Nothing is asked while somebody else leads, and nothing that the budget does not allow.

mod describe;
mod plan;
mod queue;
mod read;
mod say;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::join_all;
use model::view::cloudwatch as view;
use model::{
    Clock, Column, Keep, KeepNotes, Kind as SeriesKind, Labels, Leadership, Ledger, Round, SeriesDesc,
    SeriesRef, TargetDesc, TargetRef, Timestamp,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::budget::{self, Rates};
use crate::catalogue::Catalogue;
use crate::config::{Config, anchored};
use crate::events;
use crate::fetch::{Answer, Batch, PERIOD, POINTS_MAX, QUERIES_MAX, Reader};
use crate::inventory::ask::{Asker, Refused};
use crate::inventory::queue::Queue;
use crate::inventory::{self, Inventory, Part, Place, Resource, State};
use crate::marks::Gathering;
use crate::metrics::Metrics;
use crate::plan::need::{By, Need};
use crate::plan::{BySeries, Class, Plan, Planned};
use crate::purse::Purse;
use crate::track::{Track, Window};

/// Series of one window may begin so much earlier than each other.
const SPREAD: Duration = Duration::from_secs(1_800);
/// What is close to happening is looked at so often.
const URGENT: Duration = Duration::from_secs(60);
/// How often what is known of resources is said again.
const FACTS: Duration = Duration::from_secs(60);
/// What has not been described for so long is no longer said.
const FORGOTTEN: Duration = Duration::from_secs(1_800);
/// Calls of one place that are under way at a time.
const CALLS_MAX: usize = 4;
/// Waits after a failure: at first, and at most.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_MAX: Duration = Duration::from_secs(300);
/// Until AWS Health is asked again: when it is not for us, and when it did not answer.
const HEALTH_CLOSED: Duration = Duration::from_secs(86_400);
const HEALTH_AWAY: Duration = Duration::from_secs(3_600);
/// Behind the whole interval, so that the last minute has a chance to be there.
const PHASE: Duration = Duration::from_secs(15);

/// An alert that is about to fire, or does.
#[derive(Clone, Debug, PartialEq)]
pub struct Hot {
    pub alert: Arc<str>,
    pub labels: Labels,
}

/// The time in which nobody else can have led.
#[derive(Debug, Default)]
pub(crate) struct Reign {
    nth: u64,
    /// As they were last seen.
    epoch: u64,
    here: bool,
}

/// What all places share.
pub(crate) struct Common {
    pub(crate) config: Config,
    pub(crate) catalogue: Catalogue,
    pub(crate) keep: Arc<dyn Keep>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) purse: Purse,
    pub(crate) needs: watch::Receiver<Arc<[Need]>>,
    pub(crate) hot: watch::Receiver<Arc<[Hot]>>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) reign: Mutex<Reign>,
    pub(crate) notes: OnceLock<Arc<dyn KeepNotes>>,
    /// Of points.
    pub(crate) ledger: Mutex<Ledger>,
    /// Some mark may have moved.
    pub(crate) moved: Notify,
}

impl Common {
    pub(crate) fn leads(&self) -> bool {
        self.leadership.borrow().may_lead(self.clock.running())
    }

    pub(crate) fn asks(&self) -> view::Asks {
        match self.leads() {
            true => view::Asks::Here,
            false if self.leadership.borrow().holder.is_some() => view::Asks::Other,
            false => view::Asks::Nobody,
        }
    }

    /// Other than before where another replica may have led meanwhile. Who makes a lost Lease anew while it leads stays the one.
    pub(crate) fn reign(&self) -> u64 {
        let mut reign = self.reign.lock();
        let now = self.leadership.borrow();
        if now.epoch != reign.epoch && !(reign.here && now.here) {
            reign.nth += 1;
        }
        (reign.epoch, reign.here) = (now.epoch, now.here);
        reign.nth
    }

    /// Misses no change of who leads.
    pub(crate) async fn follow(&self) {
        let mut leadership = self.leadership.clone();
        loop {
            leadership.mark_unchanged();
            self.reign();
            if leadership.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

pub(crate) struct Watch {
    pub(crate) place: Place,
    pub(crate) common: Arc<Common>,
    ask: Asker,
    reader: Reader,
    state: Mutex<Known>,
    /// What is there has changed, or somebody looks.
    changed: Notify,
    tags: Vec<(String, regex::Regex)>,
    /// Where what EC2 announces is taken from, if it is in this place.
    queue: Option<Queue>,
}

#[derive(Default)]
struct Known {
    inventory: Inventory,
    plan: Arc<Plan>,
    /// The inventory's version that it was made of; its needs it holds itself.
    planned: Option<u64>,
    tracks: BySeries<Track>,
    facts: Option<(TargetRef, HashMap<Labels, SeriesRef>)>,
    /// When facts were last said, in running time: the clock may go back.
    facts_at: Option<Duration>,
    described_at: Option<Timestamp>,
    listed_at: Option<Duration>,
    /// From when on AWS Health is asked, in running time.
    health_opens: Duration,
    notices: queue::Notices,
    problems: BTreeMap<&'static str, Refused>,
    /// Until when nothing is asked after a failure, in running time, and how long that was.
    pause: Option<(Duration, Duration)>,
    calls: u64,
}

impl Watch {
    pub(crate) fn new(place: Place, common: Arc<Common>, ask: Asker, reader: Reader) -> Self {
        let tags = common.config.only_tags.iter();
        let tags =
            tags.filter_map(|(key, value)| Some((key.clone(), regex::Regex::new(&anchored(value)).ok()?)));
        Self {
            ask,
            reader,
            state: Mutex::default(),
            changed: Notify::new(),
            tags: tags.collect(),
            queue: common.config.queue().filter(|queue| queue.is_in(&place)),
            place,
            common,
        }
    }

    pub(crate) async fn run(&self) {
        tokio::join!(self.describe_on(), self.read_on(), self.listen_on());
    }

    /// Once, without buying anything.
    pub(crate) async fn survey(&self) {
        self.describe().await;
        self.make_plan();
    }

    pub(crate) fn view(&self) -> view::Place {
        let known = self.state.lock();
        let problems = known.problems.values().map(ToString::to_string).collect();
        let plan = &known.plan;
        let newest = known.tracks.values().filter_map(Track::newest).max();
        view::Place {
            account: self.place.account.to_string(),
            region: self.place.region.to_string(),
            problems,
            described_at: known.described_at,
            newest,
            series: plan.planned.len(),
            monthly: plan.monthly(),
            calls: known.calls,
            resources: known
                .inventory
                .resources()
                .filter(|resource| !resource.info.is_empty())
                .map(|resource| view::Resource {
                    family: resource.family.to_owned(),
                    name: resource
                        .dimensions
                        .last()
                        .map(|(_, value)| value.to_string())
                        .unwrap_or_default(),
                    is_live: resource.state == State::Live,
                    info: resource
                        .info
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), value.clone()))
                        .collect(),
                })
                .collect(),
            shares: plan
                .bill()
                .into_iter()
                .map(|(by, share)| view::Share {
                    by: by.word(),
                    namespace: share.namespace.to_string(),
                    is_alert: matches!(by, By::Alert { .. }),
                    series: share.series,
                    interval: share.interval,
                    monthly: share.dollars,
                })
                .collect(),
        }
    }

    pub(crate) fn listens(&self) -> bool {
        self.queue.is_some()
    }

    pub(crate) fn problems(&self) -> Vec<Refused> {
        self.state.lock().problems.values().cloned().collect()
    }

    /// What is watched of what is there.
    pub(crate) fn inventory(&self) -> Inventory {
        self.watched(&self.state.lock().inventory)
    }

    /// As it is planned now.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.state.lock().plan)
    }
}

fn operation(refused: &Refused) -> &'static str {
    match refused {
        Refused::Throttled { operation, .. }
        | Refused::Denied { operation, .. }
        | Refused::Unknown { operation, .. }
        | Refused::Skewed { operation, .. }
        | Refused::Unpaid { operation, .. }
        | Refused::Away { operation, .. }
        | Refused::Garbled { operation, .. }
        | Refused::Refused { operation, .. } => operation,
    }
}

/// The alert reads this series, and is about its resource.
fn concerns(hot: &Hot, planned: &Planned, plan: &Plan) -> bool {
    let is_read = planned
        .by
        .iter()
        .filter_map(|need| plan.needs.get(*need))
        .any(|need| match &need.by {
            By::Alert { name, .. } => *name == hot.alert,
            _ => false,
        });
    let is_same = |(name, value): (&str, &str)| {
        !name.starts_with("dimension_") || hot.labels.get(name).is_none_or(|said| said == value)
    };
    is_read && planned.series.labels.iter().all(is_same)
}

fn stretched(interval: Duration, by: f64) -> Duration {
    if by <= 1.0 {
        return interval;
    }
    let minutes = (interval.as_secs_f64() * by / 60.0).ceil();
    Duration::from_secs_f64(minutes * 60.0)
}

/// The whole minute at or before.
fn minute(time: Timestamp) -> Timestamp {
    let period = model::time::millis(PERIOD);
    Timestamp(time.millis().div_euclid(period) * period)
}
