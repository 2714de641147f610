//! What is known of resources, and until when everything is complete.

use super::{
    Arc, BTreeMap, Class, Column, Duration, FACTS, FORGOTTEN, Gathering, HashMap, Round, SeriesDesc,
    SeriesKind, TargetDesc, Timestamp, Watch, inventory, minute,
};

impl Watch {
    /// What is known of resources, said as all that there is.
    pub(super) fn say_facts(&self) {
        let common = &self.common;
        let (now, running) = (common.clock.now(), common.clock.running());
        let mut known = self.state.lock();
        let known = &mut *known;
        if known.facts_at.is_some_and(|at| running < at + FACTS) {
            return;
        }
        let Some(described_at) = known.described_at else {
            return;
        };
        known.facts_at = Some(running);
        self.account_for(&known.inventory, now);
        let is_known = now.since(described_at) < FORGOTTEN;
        let watched = self.watched(&known.inventory);
        let mut facts = if is_known {
            watched.series(&self.place, &common.config.tags)
        } else {
            Vec::new()
        };
        if is_known {
            // Whether or not it is watched, it uses up what the account may have.
            facts.extend(inventory::quotas::series(&known.inventory, &self.place));
        }
        facts.extend(known.notices.series(&self.place, now));
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

    /// Up to when what rules read is complete, where it has been asked for since then.
    pub(crate) fn marks(&self, gathering: &mut Gathering, since: Timestamp) {
        let known = self.state.lock();
        let now = self.common.clock.now();
        let stretch = self.common.purse.stretch();
        let pace = self.pace(Arc::default());
        // Of each name the earliest time, and the longest interval.
        let mut by_name: Vec<Option<(Timestamp, Duration)>> = vec![None; known.plan.names.len()];
        for planned in known
            .plan
            .planned
            .iter()
            .filter(|planned| planned.class != Class::Pages)
        {
            let Some(track) = known.tracks.get(&planned.series) else {
                continue;
            };
            if track.is_quiet(now) || stretch.of(planned.class).is_infinite() {
                continue;
            }
            let Some(asked) = track.asked() else { continue };
            let interval = pace.interval(planned, &known.plan, Some(track), now);
            let interval = interval.unwrap_or(planned.interval);
            let complete = minute(asked - planned.series.lag);
            if let Some(mark) = by_name.get_mut(planned.name) {
                let (earliest, longest) = mark.unwrap_or((complete, interval));
                *mark = Some((earliest.min(complete), longest.max(interval)));
            }
        }
        for (name, mark) in known.plan.names.iter().zip(by_name) {
            if let Some((complete, interval)) = mark {
                gathering.add(name, complete, interval, since);
            }
        }
    }

    pub(super) fn say_marks(&self) {
        let metrics = &self.common.metrics;
        let now = self.common.clock.now();
        {
            let known = self.state.lock();
            let mut by_namespace: BTreeMap<&str, (Timestamp, u32)> = BTreeMap::new();
            let planned = &known.plan.planned;
            for same in planned.chunk_by(|one, other| one.series.namespace == other.series.namespace) {
                let (mut complete, mut absent, mut is_any) = (now, 0, false);
                let tracked = same
                    .iter()
                    .filter(|planned| planned.class != Class::Pages)
                    .filter_map(|planned| Some((planned, known.tracks.get(&planned.series)?)));
                for (planned, track) in tracked {
                    is_any = true;
                    match track.asked() {
                        _ if track.is_quiet(now) => absent += 1,
                        Some(asked) => complete = complete.min(minute(asked - planned.series.lag)),
                        None => {}
                    }
                }
                if let Some(first) = same.first().filter(|_| is_any) {
                    by_namespace.insert(&first.series.namespace, (complete, absent));
                }
            }
            for (namespace, (complete, absent)) in by_namespace {
                let labels = [namespace, &*self.place.account, &*self.place.region];
                metrics
                    .watermark
                    .with_label_values(&labels)
                    .set(complete.seconds());
                metrics.absent.with_label_values(&labels).set(f64::from(absent));
            }
        }
        self.common.moved.notify_one();
    }
}
