//! The watch over one account in one region: what is there, what is asked for, what has come.
//!
//! Two rounds go beside each other, so that a service that does not answer holds up no points: one describes what is there, the other
//! asks for what is due. Nothing is asked while somebody else leads, and nothing that the budget does not allow.

mod marked;
mod shown;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::join_all;
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
use crate::inventory::{self, Inventory, Part, Place, Resource, State};
use crate::metrics::Metrics;
use crate::plan::need::{By, Need};
use crate::plan::{Class, Plan, Planned};
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
/// Behind the whole interval, so that the last minute has a chance to be there.
const PHASE: Duration = Duration::from_secs(15);

/// An alert that is about to fire, or does.
#[derive(Clone, Debug, PartialEq)]
pub struct Hot {
    pub alert: Arc<str>,
    pub labels: Labels,
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
}

#[derive(Default)]
struct Known {
    inventory: Inventory,
    plan: Arc<Plan>,
    tracks: HashMap<Labels, Track>,
    facts: Option<(TargetRef, HashMap<Labels, SeriesRef>)>,
    facts_at: Option<Timestamp>,
    described_at: Option<Timestamp>,
    listed_at: Option<Timestamp>,
    problems: BTreeMap<&'static str, Refused>,
    /// Until when nothing is asked after a failure, and how long that was.
    pause: Option<(Timestamp, Duration)>,
    calls: u64,
}

impl Watch {
    pub(crate) fn new(place: Place, common: Arc<Common>, ask: Asker, reader: Reader) -> Self {
        let tags = common.config.only_tags.iter();
        let tags =
            tags.filter_map(|(key, value)| Some((key.clone(), regex::Regex::new(&anchored(value)).ok()?)));
        Self {
            place,
            ask,
            reader,
            state: Mutex::default(),
            changed: Notify::new(),
            tags: tags.collect(),
            common,
        }
    }

    pub(crate) async fn run(&self) {
        tokio::join!(self.describe_on(), self.read_on());
    }

    /// Once, without buying anything.
    pub(crate) async fn survey(&self) {
        self.describe().await;
        self.make_plan();
    }

    // What is there.

    async fn describe_on(&self) {
        let clock = &self.common.clock;
        loop {
            if self.common.leads() {
                self.describe().await;
            }
            let wait = match self.common.leads() {
                true => self.common.config.discover_interval,
                false => AGAIN,
            };
            clock.sleep(wait).await;
        }
    }

    async fn describe(&self) {
        let common = &self.common;
        let parts = Part::ALL.into_iter().filter(|part| common.config.watches(*part));
        let asked =
            parts.map(|part| async move { (part, part.describe(&self.ask, &self.place.account).await) });
        let said = join_all(asked).await;
        let now = common.clock.now();
        let mut is_other = false;
        {
            let mut known = self.state.lock();
            for (part, said) in said {
                let api = part.operation().name;
                match &said {
                    Ok((_, missed)) => {
                        common.metrics.called(&self.place, api, "ok");
                        known.problems.remove(api);
                        for missed in missed {
                            self.refused(&mut known, missed);
                        }
                    }
                    Err(refused) => self.refused(&mut known, refused),
                }
                is_other |= known.inventory.take(part, said, now);
            }
            known.described_at = Some(now);
        }
        self.tell_events(now).await;
        let list_interval = common.config.list_interval;
        let listed_at = self.state.lock().listed_at;
        if listed_at.is_none_or(|at| now.since(at) >= list_interval) {
            is_other |= self.list(now).await;
        }
        if is_other {
            let mut known = self.state.lock();
            known.tracks.values_mut().for_each(Track::rearm);
        }
        // Facts are new in any case.
        self.state.lock().facts_at = None;
        self.changed.notify_one();
    }

    /// What has happened since the last time.
    async fn tell_events(&self, now: Timestamp) {
        let common = &self.common;
        let Some(notes) = common.notes.get() else {
            return;
        };
        for (told, part) in events::TOLD.into_iter().zip([Part::Databases, Part::Caches]) {
            if !common.config.watches(part) || !common.leads() {
                continue;
            }
            let (operation, _) = told;
            match events::tell(&self.ask, &self.place, told, notes, now).await {
                Ok(count) => {
                    common.metrics.called(&self.place, operation.name, "ok");
                    common
                        .metrics
                        .events
                        .with_label_values(&[operation.service.word()])
                        .inc_by(count as u64);
                    self.state.lock().problems.remove(operation.name);
                }
                Err(refused) => self.refused(&mut self.state.lock(), &refused),
            }
        }
    }

    /// Tags, and what is found by its metrics.
    async fn list(&self, now: Timestamp) -> bool {
        let common = &self.common;
        match inventory::tags(&self.ask).await {
            Ok(tags) => {
                common
                    .metrics
                    .called(&self.place, inventory::operations::TAGGED.name, "ok");
                let mut known = self.state.lock();
                known.problems.remove(inventory::operations::TAGGED.name);
                known.inventory.take_tags(tags);
            }
            Err(refused) => self.refused(&mut self.state.lock(), &refused),
        }
        let needs = Arc::clone(&common.needs.borrow());
        // One metric of each set of dimensions is enough to find all of them.
        let mut wanted: BTreeMap<(Arc<str>, Vec<Arc<str>>), (&'static str, Arc<str>)> = BTreeMap::new();
        for found in needs.iter().flat_map(|need| common.catalogue.find(&need.name)) {
            let kind = match &*found.entry.resource {
                "kafka_topic" => "kafka_topic",
                "kafka_group" => "kafka_group",
                "listed" => "listed",
                _ => continue,
            };
            let key = (Arc::clone(&found.entry.namespace), found.entry.dimensions.clone());
            wanted.entry(key).or_insert((kind, Arc::clone(found.metric)));
        }
        let api = inventory::operations::METRICS.name;
        let (mut all, mut is_whole) = (Vec::new(), true);
        for ((namespace, names), (kind, metric)) in wanted {
            let paid = || {
                common.purse.request();
                common.metrics.paid(api, &namespace, 0.0);
            };
            match self.reader.list(&namespace, &metric, &names, paid).await {
                Ok(found) => {
                    common.metrics.called(&self.place, api, "ok");
                    all.extend(
                        found
                            .into_iter()
                            .map(|dimensions| self.found(kind, &namespace, dimensions)),
                    );
                }
                Err(refused) => {
                    is_whole = false;
                    self.refused(&mut self.state.lock(), &refused);
                }
            }
        }
        let mut known = self.state.lock();
        if !is_whole {
            return false;
        }
        known.problems.remove(api);
        known.listed_at = Some(now);
        known.inventory.take_listed(all)
    }

    /// Of something that its metrics have shown: what it belongs to, by the name of the cluster.
    fn found(
        &self,
        kind: &'static str,
        namespace: &Arc<str>,
        dimensions: Vec<(Arc<str>, Arc<str>)>,
    ) -> Resource {
        let arn = match kind {
            "listed" => Arc::clone(namespace),
            _ => {
                let known = self.state.lock();
                let cluster = dimensions.first().map(|(_, name)| Arc::clone(name));
                let mut all = known.inventory.resources();
                let is_it = |resource: &&Resource| {
                    resource.kind == "kafka_cluster"
                        && resource.dimensions.first().map(|(_, name)| name) == cluster.as_ref()
                };
                all.find(is_it)
                    .map(|cluster| Arc::clone(&cluster.arn))
                    .unwrap_or_default()
            }
        };
        Resource {
            kind,
            family: kind,
            arn,
            dimensions,
            state: State::Live,
            ..Resource::default()
        }
    }

    fn refused(&self, known: &mut Known, refused: &Refused) {
        let api = operation(refused);
        self.common.metrics.called(&self.place, api, refused.reason());
        let is_new = known.problems.get(api) != Some(refused);
        if is_new {
            tracing::warn!(place = %self.place.instance(), %refused, "AWS does not answer");
        }
        known.problems.insert(api, refused.clone());
    }

    /// How old is what is known of each part.
    fn account_for(&self, inventory: &Inventory, now: Timestamp) {
        let metrics = &self.common.metrics;
        for (part, seen) in inventory.parts() {
            let labels = [part.operation().name, &self.place.account, &self.place.region];
            if let Some(at) = seen.at {
                let age = now.since(at).as_secs_f64();
                metrics.inventory_age.with_label_values(&labels).set(age);
                #[expect(clippy::cast_precision_loss, reason = "a number of resources")]
                metrics
                    .resources
                    .with_label_values(&labels)
                    .set(seen.resources.len() as f64);
            }
        }
    }

    // What is asked for.

    async fn read_on(&self) {
        let common = Arc::clone(&self.common);
        let mut needs = common.needs.clone();
        let mut hot = common.hot.clone();
        needs.mark_changed();
        let mut led = false;
        loop {
            let leads = common.leads();
            if !leads {
                if led {
                    self.forget();
                }
                led = false;
                common.clock.sleep(Duration::from_secs(1)).await;
                continue;
            }
            if !led || needs.has_changed().unwrap_or(false) {
                needs.mark_unchanged();
            }
            led = true;
            self.make_plan();
            self.read().await;
            self.say_facts();
            let until = self.next_due();
            tokio::select! {
                () = common.clock.sleep(until) => {}
                () = self.changed.notified() => {}
                Ok(()) = needs.changed() => {
                    // What has to be found by its metrics may be other now.
                    self.state.lock().listed_at = None;
                }
                Ok(()) = hot.changed() => {}
            }
        }
    }

    /// Somebody else asks now: when this replica does again, it begins with what the other has brought.
    fn forget(&self) {
        let mut known = self.state.lock();
        known.tracks.clear();
        known.facts = None;
        known.facts_at = None;
        self.common.purse.forget();
        self.common.metrics.forget();
        self.common.moved.notify_one();
    }

    fn make_plan(&self) {
        let common = &self.common;
        let needs = Arc::clone(&common.needs.borrow());
        let mut known = self.state.lock();
        let watched = BTreeMap::from([(self.place.clone(), self.watched(&known.inventory))]);
        let plan = Plan::make(&common.catalogue, &watched, &needs, common.config.pages_interval);
        let labels: HashSet<&Labels> = plan
            .planned
            .iter()
            .map(|planned| &planned.series.labels)
            .collect();
        known.tracks.retain(|known, _| labels.contains(known));
        drop(labels);
        common.metrics.planned(&self.place, &plan);
        let now = common.clock.now();
        let rates = Rates::of(&plan, |planned| {
            let track = known.tracks.get(&planned.series.labels);
            track.map_or(planned.interval, |track| track.interval(planned.interval, now))
        });
        common.purse.plan(&self.place, rates);
        known.plan = Arc::new(plan);
    }

    /// Without what has not the tags that are wanted.
    fn watched(&self, inventory: &Inventory) -> Inventory {
        if self.tags.is_empty() {
            return inventory.clone();
        }
        inventory.only(|resource| {
            let tags = inventory.tags_of(resource);
            self.tags
                .iter()
                .all(|(key, value)| tags.get(key).is_some_and(|tag| value.is_match(tag)))
        })
    }

    /// How often a series is asked for at the moment.
    fn interval(
        &self,
        planned: &Planned,
        plan: &Plan,
        track: Option<&Track>,
        hot: &[Hot],
        now: Timestamp,
    ) -> Option<Duration> {
        let stretch = self.common.purse.stretch().of(planned.class);
        let is_urgent = track.is_some_and(|track| track.is_urgent);
        if planned.class != Class::Pages
            && hot.iter().any(|hot| concerns(hot, planned, plan))
            && self.common.purse.has_spare(QUERIES_MAX)
        {
            return Some(URGENT.min(planned.interval));
        }
        if is_urgent {
            return Some(URGENT);
        }
        if stretch.is_infinite() {
            return None;
        }
        let quiet = track.map_or(planned.interval, |track| track.interval(planned.interval, now));
        Some(stretched(quiet, stretch))
    }

    /// What is due now, in calls.
    fn due(&self, now: Timestamp) -> Vec<Batch> {
        let common = &self.common;
        let hot = Arc::clone(&common.hot.borrow());
        let known = self.state.lock();
        if known.pause.is_some_and(|(until, _)| now < until) {
            return Vec::new();
        }
        let end = minute(now);
        let earliest = minute(now - common.config.back_fill);
        let mut due: Vec<(Timestamp, &Planned)> = Vec::new();
        for planned in &known.plan.planned {
            let track = known.tracks.get(&planned.series.labels);
            let Some(interval) = self.interval(planned, &known.plan, track, &hot, now) else {
                continue;
            };
            if track.is_none_or(|track| track.due(interval, PHASE) <= now) {
                let start = track.map_or(earliest, |track| track.start(earliest));
                due.push((start, planned));
            }
        }
        // Those of one window first; among them the plan's own order stays.
        due.sort_by_key(|(start, _)| start.millis() / model::time::millis(SPREAD));
        let mut batches: Vec<Batch> = Vec::new();
        for (start, planned) in due {
            let is_room = batches.last().is_some_and(|batch| {
                let start = batch.start.min(start);
                let minutes =
                    usize::try_from(end.since(start).as_secs() / PERIOD.as_secs()).unwrap_or(usize::MAX);
                let series = batch.series.len() + 1;
                series <= QUERIES_MAX
                    && minutes.saturating_mul(series) <= POINTS_MAX
                    && start.since(batch.start).max(batch.start.since(start)) <= SPREAD
            });
            match batches.last_mut() {
                Some(batch) if is_room => {
                    batch.start = batch.start.min(start);
                    batch.series.push(Arc::clone(&planned.series));
                }
                _ => batches.push(Batch {
                    series: vec![Arc::clone(&planned.series)],
                    start,
                    end,
                }),
            }
        }
        batches
    }

    async fn read(&self) {
        let common = &self.common;
        common.purse.weigh();
        let mut batches = self.due(common.clock.now());
        while !batches.is_empty() {
            let rest = batches.split_off(CALLS_MAX.min(batches.len()));
            let calls = batches.into_iter().map(|batch| self.call(batch));
            let went_well = join_all(calls).await;
            if !went_well.into_iter().all(|went_well| went_well) || !common.leads() {
                break;
            }
            batches = rest;
        }
        self.say_marks();
    }

    /// One call and what it brought. False: others would fare no better.
    async fn call(&self, batch: Batch) -> bool {
        let common = &self.common;
        let api = inventory::operations::METRIC_DATA.name;
        let count = batch.series.len();
        if !common.leads() {
            return false;
        }
        if !common.purse.pay(count) {
            common.metrics.called(&self.place, api, "budget");
            self.pause();
            return false;
        }
        match self.reader.read(&batch).await {
            Ok(answer) => {
                // Whether more pages are paid again is not known: they are counted as if.
                for _ in 1..answer.pages {
                    _ = common.purse.pay(count);
                }
                self.paid(&batch, answer.pages);
                self.take(&batch, &answer);
                let mut known = self.state.lock();
                known.calls += 1;
                match &answer.refused {
                    Some(refused) => self.refused(&mut known, refused),
                    None => {
                        common.metrics.called(&self.place, api, "ok");
                        known.problems.remove(api);
                        known.pause = None;
                    }
                }
                answer.refused.is_none()
            }
            Err(refused) => {
                if matches!(
                    refused,
                    Refused::Throttled { .. } | Refused::Denied { .. } | Refused::Unknown { .. }
                ) {
                    common.purse.refund(count);
                } else {
                    // Nobody knows whether AWS has counted it.
                    self.paid(&batch, 1);
                }
                self.refused(&mut self.state.lock(), &refused);
                self.pause();
                false
            }
        }
    }

    /// Nothing is asked for a while, and longer each time.
    fn pause(&self) {
        let now = self.common.clock.now();
        let mut known = self.state.lock();
        let last = known.pause.map(|(_, pause)| pause);
        let pause = last.map_or(AGAIN, |last| (last * 2).min(AGAIN_MAX));
        known.pause = Some((now + pause, pause));
    }

    fn paid(&self, batch: &Batch, pages: usize) {
        let api = inventory::operations::METRIC_DATA.name;
        let mut by_namespace: BTreeMap<&str, usize> = BTreeMap::new();
        for series in &batch.series {
            *by_namespace.entry(&series.namespace).or_default() += pages;
        }
        for (namespace, count) in by_namespace {
            self.common.metrics.paid(api, namespace, budget::cost(count));
        }
    }

    /// Hands on what came: what stands as it is, what may still change as provisional.
    fn take(&self, batch: &Batch, answer: &Answer) {
        let common = &self.common;
        let now = common.clock.now();
        let mut known = self.state.lock();
        let known = &mut *known;
        let intervals: HashMap<&Labels, Duration> = known
            .plan
            .planned
            .iter()
            .map(|planned| (&planned.series.labels, planned.interval))
            .collect();
        let mut columns: BTreeMap<(TargetRef, bool, Timestamp), (Vec<SeriesRef>, Vec<f64>)> = BTreeMap::new();
        for (series, got) in batch.series.iter().zip(&answer.got) {
            let Some(interval) = intervals.get(&series.labels) else {
                continue;
            };
            if !known.tracks.contains_key(&series.labels) {
                let Some((target, reference)) = self.place_series(series, *interval) else {
                    continue;
                };
                known
                    .tracks
                    .insert(series.labels.clone(), Track::new(target, reference));
            }
            let Some(track) = known.tracks.get_mut(&series.labels) else {
                continue;
            };
            let window = Window {
                start: batch.start,
                end: batch.end,
                settled: minute(now - common.config.settled_after),
                complete: minute(now - series.lag),
            };
            let (points, seen) = track.take(got, series.zero_when_silent, &window, now);
            common.metrics.seen(&seen);
            let proper = points.proper.into_iter().map(|point| (true, point));
            let provisional = points.provisional.into_iter().map(|point| (false, point));
            for (is_proper, (time, value)) in proper.chain(provisional) {
                let (refs, values) = columns.entry((track.target, !is_proper, time)).or_default();
                refs.push(track.series);
                values.push(value);
            }
        }
        let mut is_forgotten = false;
        // Proper ones first, each in the order of time.
        for ((target, is_provisional, time), (series, values)) in columns {
            let round = if is_provisional {
                Round::Provisional
            } else {
                Round::Part
            };
            let taken = series.len();
            let kept = common.keep.commit(Column {
                target,
                time,
                round,
                series,
                values,
            });
            let mut ledger = common.ledger.lock();
            ledger.taken += taken as u64;
            ledger.given += kept.kept as u64;
            for (reason, count) in [
                ("out_of_order", kept.out_of_order),
                // The store has it already: from before a restart, or from the other replica.
                ("duplicate", kept.duplicate),
                ("unknown", kept.unknown),
                ("refused", kept.refused),
            ] {
                common
                    .metrics
                    .dropped
                    .with_label_values(&[reason])
                    .inc_by(count as u64);
                *ledger.dropped.entry(reason).or_default() += count as u64;
            }
            drop(ledger);
            is_forgotten |= kept.unknown > 0;
        }
        if is_forgotten {
            // The store has let go of some: all are asked of it anew.
            known.tracks.clear();
        }
    }

    fn place_series(
        &self,
        series: &crate::plan::Series,
        interval: Duration,
    ) -> Option<(TargetRef, SeriesRef)> {
        let common = &self.common;
        let seconds = interval.as_secs();
        let name = format!(
            "cloudwatch/{}/{}/{seconds}s",
            self.place.instance(),
            series.namespace
        );
        let target = common.keep.target(&TargetDesc {
            name: name.into(),
            page: Some("cloudwatch"),
            // Until the next points are due, there too where only what no longer changes is sent.
            staleness: Some(interval + common.config.settled_after + Duration::from_secs(120)),
        });
        let name: Arc<str> = series.labels.name().into();
        let about = format!("{} of {}: {}", series.metric, series.namespace, series.statistic);
        let asked = common.keep.series(
            target,
            &SeriesDesc {
                labels: series.labels.clone(),
                kind: SeriesKind::Gauge,
                family: name,
                help: about.into(),
                unit: "".into(),
            },
        );
        match asked {
            Ok(reference) => Some((target, reference)),
            Err(error) => {
                common.metrics.dropped.with_label_values(&[error.reason()]).inc();
                None
            }
        }
    }

    /// What is known of resources, said as all that there is.
    fn say_facts(&self) {
        let common = &self.common;
        let now = common.clock.now();
        let mut known = self.state.lock();
        let known = &mut *known;
        if known.facts_at.is_some_and(|at| now.since(at) < FACTS) {
            return;
        }
        let Some(described_at) = known.described_at else {
            return;
        };
        known.facts_at = Some(now);
        self.account_for(&known.inventory, now);
        let is_known = now.since(described_at) < FORGOTTEN;
        let watched = self.watched(&known.inventory);
        let mut facts = if is_known {
            watched.series(&self.place, &common.config.tags)
        } else {
            Vec::new()
        };
        facts.extend(crate::capacity::series(
            &common.config.capacities,
            &watched,
            &self.place,
        ));
        let (target, references) = known.facts.get_or_insert_with(|| {
            let target = common.keep.target(&TargetDesc {
                name: format!("cloudwatch/{}", self.place.instance()).into(),
                page: Some("cloudwatch"),
                staleness: None,
            });
            (target, HashMap::new())
        });
        let mut column = Column {
            target: *target,
            time: now,
            round: Round::Whole,
            series: Vec::with_capacity(facts.len()),
            values: Vec::with_capacity(facts.len()),
        };
        let mut still = HashMap::with_capacity(facts.len());
        for (labels, value) in facts {
            let reference = match references.get(&labels) {
                Some(reference) => *reference,
                None => {
                    let kind = if labels.name().ends_with("_total") {
                        SeriesKind::Counter
                    } else {
                        SeriesKind::Gauge
                    };
                    let desc = SeriesDesc {
                        kind,
                        family: labels.name().into(),
                        help: "As AWS describes it.".into(),
                        unit: "".into(),
                        labels: labels.clone(),
                    };
                    match common.keep.series(*target, &desc) {
                        Ok(reference) => reference,
                        Err(error) => {
                            common.metrics.dropped.with_label_values(&[error.reason()]).inc();
                            continue;
                        }
                    }
                }
            };
            column.series.push(reference);
            column.values.push(value);
            still.insert(labels, reference);
        }
        *references = still;
        if common.keep.commit(column).unknown > 0 {
            known.facts = None;
        }
    }

    /// How long there is nothing to do.
    fn next_due(&self) -> Duration {
        let common = &self.common;
        let now = common.clock.now();
        let hot = Arc::clone(&common.hot.borrow());
        let known = self.state.lock();
        let facts = known.facts_at.map_or(now, |at| at + FACTS);
        let due = known.plan.planned.iter().filter_map(|planned| {
            let track = known.tracks.get(&planned.series.labels)?;
            let interval = self.interval(planned, &known.plan, Some(track), &hot, now)?;
            Some(track.due(interval, PHASE))
        });
        let due = due.min().unwrap_or(facts);
        let due = known.pause.map_or(due, |(until, _)| due.max(until));
        due.min(facts).since(now).clamp(Duration::from_millis(200), FACTS)
    }

    /// Somebody looks at these metrics: what is asked for only now and then is asked for now.
    pub(crate) fn looked(&self, names: &HashSet<Arc<str>>) {
        let now = self.common.clock.now();
        let mut known = self.state.lock();
        let known = &mut *known;
        let mut is_any = false;
        for planned in known
            .plan
            .planned
            .iter()
            .filter(|planned| planned.class == Class::Pages)
        {
            if !names.contains(planned.series.labels.name()) {
                continue;
            }
            if let Some(track) = known.tracks.get_mut(&planned.series.labels)
                && track
                    .asked()
                    .is_none_or(|asked| now.since(asked) >= Duration::from_secs(300))
                && self.common.purse.has_spare(QUERIES_MAX)
            {
                track.is_urgent = true;
                is_any = true;
            }
        }
        if is_any {
            self.changed.notify_one();
        }
    }
}

fn operation(refused: &Refused) -> &'static str {
    match refused {
        Refused::Throttled { operation, .. }
        | Refused::Denied { operation, .. }
        | Refused::Unknown { operation, .. }
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
