//! What is due, and how often: as planned, stretched by the budget, more often where something is close to happening.

use std::cell::OnceCell;

use super::{
    Arc, BTreeMap, Batch, Class, Duration, FACTS, HashSet, Hot, Inventory, PERIOD, PHASE, POINTS_MAX, Plan,
    Planned, Purse, QUERIES_MAX, Rates, SPREAD, Timestamp, Track, URGENT, Watch, concerns, minute, stretched,
};
use crate::budget::Stretch;

impl Watch {
    pub(super) async fn read_on(&self) {
        let common = Arc::clone(&self.common);
        let mut needs = common.needs.clone();
        let mut hot = common.hot.clone();
        needs.mark_changed();
        // In which reign this replica asked last.
        let mut led = None;
        loop {
            let reign = common.reign();
            if led.is_some_and(|led| led != reign) {
                self.forget();
                led = None;
            }
            if !common.leads() {
                common.clock.sleep(Duration::from_secs(1)).await;
                continue;
            }
            needs.mark_unchanged();
            led = Some(reign);
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

    /// Somebody else has asked, or does: when this replica does again, it begins with what the other has brought. While nobody can
    /// say who leads, nobody asks, and what was asked for stays known: it is not bought again when that is over.
    pub(super) fn forget(&self) {
        let mut known = self.state.lock();
        known.tracks.clear();
        known.planned = None;
        known.facts = None;
        known.facts_at = None;
        self.common.purse.forget();
        self.common.metrics.forget();
        self.common.moved.notify_one();
    }

    pub(super) fn make_plan(&self) {
        let common = &self.common;
        let needs = Arc::clone(&common.needs.borrow());
        let mut known = self.state.lock();
        let known = &mut *known;
        let version = Some(known.inventory.version());
        if known.planned != version || !Arc::ptr_eq(&known.plan.needs, &needs) {
            let watched = BTreeMap::from([(self.place.clone(), self.watched(&known.inventory))]);
            let plan = Plan::make(&common.catalogue, &watched, &needs, common.config.pages_interval);
            let mut tracks = std::mem::take(&mut known.tracks);
            let still = plan.planned.iter().filter_map(|planned| {
                let track = tracks.remove(&planned.series)?;
                Some((Arc::clone(&planned.series), track))
            });
            known.tracks = still.collect();
            common.metrics.planned(&self.place, &plan);
            known.plan = Arc::new(plan);
            known.planned = version;
        }
        let now = common.clock.now();
        let rates = Rates::of(&known.plan, |planned| {
            let track = known.tracks.get(&planned.series);
            track.map_or(planned.interval, |track| track.interval(planned.interval, now))
        });
        common.purse.plan(&self.place, rates);
    }

    /// Without what has not the tags that are wanted.
    pub(super) fn watched(&self, inventory: &Inventory) -> Inventory {
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

    /// By what it is told how often each series is asked for at the moment.
    pub(super) fn pace(&self, hot: Arc<[Hot]>) -> Pace<'_> {
        Pace {
            purse: &self.common.purse,
            stretch: self.common.purse.stretch(),
            hot,
            has_spare: OnceCell::new(),
        }
    }
}

/// What is the same for all series of a place, looked up once for all of them.
pub(super) struct Pace<'a> {
    purse: &'a Purse,
    stretch: Stretch,
    hot: Arc<[Hot]>,
    has_spare: OnceCell<bool>,
}

impl Pace<'_> {
    fn has_spare(&self) -> bool {
        *self.has_spare.get_or_init(|| self.purse.has_spare(QUERIES_MAX))
    }

    /// How often a series is asked for at the moment; none: not at all.
    pub(super) fn interval(
        &self,
        planned: &Planned,
        plan: &Plan,
        track: Option<&Track>,
        now: Timestamp,
    ) -> Option<Duration> {
        let stretch = self.stretch.of(planned.class);
        let is_urgent = track.is_some_and(|track| track.is_urgent);
        if planned.class != Class::Pages
            && self.hot.iter().any(|hot| concerns(hot, planned, plan))
            && self.has_spare()
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
}

impl Watch {
    /// What is due now, in calls.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Batch> {
        let common = &self.common;
        let pace = self.pace(Arc::clone(&common.hot.borrow()));
        let known = self.state.lock();
        if known
            .pause
            .is_some_and(|(until, _)| common.clock.running() < until)
        {
            return Vec::new();
        }
        let end = minute(now);
        let earliest = minute(now - common.config.back_fill);
        let mut due: Vec<(Timestamp, &Planned)> = Vec::new();
        for planned in &known.plan.planned {
            let track = known.tracks.get(&planned.series);
            let Some(interval) = pace.interval(planned, &known.plan, track, now) else {
                continue;
            };
            if track.is_none_or(|track| track.due(interval, PHASE, now) <= now) {
                // Where the clock has gone back there may be nothing to ask for yet.
                let start = track
                    .map_or(earliest, |track| track.start(earliest))
                    .min(end - PERIOD);
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

    /// How long there is nothing to do.
    pub(super) fn next_due(&self) -> Duration {
        let common = &self.common;
        let (now, running) = (common.clock.now(), common.clock.running());
        let pace = self.pace(Arc::clone(&common.hot.borrow()));
        let known = self.state.lock();
        let facts = known
            .facts_at
            .map_or(Duration::ZERO, |at| (at + FACTS).saturating_sub(running));
        let due = known.plan.planned.iter().filter_map(|planned| {
            let track = known.tracks.get(&planned.series)?;
            let interval = pace.interval(planned, &known.plan, Some(track), now)?;
            Some(track.due(interval, PHASE, now))
        });
        let due = due.min().map_or(facts, |due| due.since(now));
        let pause = known
            .pause
            .map_or(Duration::ZERO, |(until, _)| until.saturating_sub(running));
        due.max(pause).min(facts).clamp(Duration::from_millis(200), FACTS)
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
            if let Some(track) = known.tracks.get_mut(&planned.series)
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
