//! Calls, what they cost, and what becomes of what they bring.

use std::cell::LazyCell;
use std::collections::hash_map::Entry;

use super::{
    AGAIN, AGAIN_MAX, Answer, Arc, BTreeMap, Batch, BySeries, CALLS_MAX, Column, Duration, Refused, Round,
    SeriesDesc, SeriesKind, SeriesRef, TargetDesc, TargetRef, Timestamp, Track, Watch, Window, budget,
    inventory, join_all, minute,
};
use crate::purse::Unpaid;

/// Series and their values at one time.
type Cells = (Vec<SeriesRef>, Vec<f64>);

impl Watch {
    pub(super) async fn read(&self) {
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
    pub(super) async fn call(&self, batch: Batch) -> bool {
        let common = &self.common;
        let api = inventory::operations::METRIC_DATA.name;
        let count = batch.series.len();
        if !common.leads() {
            return false;
        }
        match common.purse.pay(count) {
            Ok(()) => {}
            Err(Unpaid::TooDear) => {
                common.metrics.called(&self.place, api, "budget");
                self.pause();
                return false;
            }
            Err(unkept @ Unpaid::Unkept(_)) => {
                let refused = Refused::Unpaid {
                    operation: api,
                    why: unkept.to_string(),
                };
                self.refused(&mut self.state.lock(), &refused);
                self.pause();
                return false;
            }
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
                    Refused::Throttled { .. }
                        | Refused::Denied { .. }
                        | Refused::Unknown { .. }
                        | Refused::Skewed { .. }
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
    pub(super) fn pause(&self) {
        let running = self.common.clock.running();
        let mut known = self.state.lock();
        let last = known.pause.map(|(_, pause)| pause);
        let pause = last.map_or(AGAIN, |last| (last * 2).min(AGAIN_MAX));
        known.pause = Some((running + pause, pause));
    }

    pub(super) fn paid(&self, batch: &Batch, pages: usize) {
        let api = inventory::operations::METRIC_DATA.name;
        let mut by_namespace: BTreeMap<&str, usize> = BTreeMap::new();
        for same in batch
            .series
            .chunk_by(|one, other| one.namespace == other.namespace)
        {
            if let Some(first) = same.first() {
                *by_namespace.entry(&first.namespace).or_default() += same.len() * pages;
            }
        }
        for (namespace, count) in by_namespace {
            self.common.metrics.paid(api, namespace, budget::cost(count));
        }
    }

    /// Hands on what came: what stands as it is, what may still change as provisional.
    pub(super) fn take(&self, batch: &Batch, answer: &Answer) {
        let common = &self.common;
        let now = common.clock.now();
        let mut known = self.state.lock();
        let known = &mut *known;
        let plan = Arc::clone(&known.plan);
        // Looked up for what has come for the first time.
        let intervals: LazyCell<BySeries<Duration>, _> = LazyCell::new(|| {
            let planned = plan.planned.iter();
            planned
                .map(|planned| (Arc::clone(&planned.series), planned.interval))
                .collect()
        });
        let mut columns: BTreeMap<(TargetRef, bool, Timestamp), Cells> = BTreeMap::new();
        for (series, got) in batch.series.iter().zip(&answer.got) {
            let track = match known.tracks.entry(Arc::clone(series)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    // It may have left the plan meanwhile.
                    let placed = intervals
                        .get(series)
                        .and_then(|interval| self.place_series(series, *interval));
                    let Some((target, reference)) = placed else {
                        continue;
                    };
                    new.insert(Track::new(target, reference))
                }
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

    pub(super) fn place_series(
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
}
