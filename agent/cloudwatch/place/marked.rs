//! Until when the series of a place are complete: for rules that read them, and as series of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Timestamp;

use super::{Hot, Watch, minute};
use crate::marks::Gathering;
use crate::plan::Class;

impl Watch {
    /// Up to when what rules read is complete.
    pub(crate) fn marks(&self, gathering: &mut Gathering) {
        let known = self.state.lock();
        let now = self.common.clock.now();
        let stretch = self.common.purse.stretch();
        let hot: Arc<[Hot]> = Arc::default();
        for planned in known
            .plan
            .planned
            .iter()
            .filter(|planned| planned.class != Class::Pages)
        {
            let Some(track) = known.tracks.get(&planned.series.labels) else {
                continue;
            };
            if track.is_quiet(now) || stretch.of(planned.class).is_infinite() {
                continue;
            }
            let Some(asked) = track.asked() else { continue };
            let interval = self.interval(planned, &known.plan, Some(track), &hot, now);
            let interval = interval.unwrap_or(planned.interval);
            gathering.add(
                planned.series.labels.name(),
                minute(asked - planned.series.lag),
                interval,
            );
        }
    }

    pub(super) fn say_marks(&self) {
        let metrics = &self.common.metrics;
        let now = self.common.clock.now();
        {
            let known = self.state.lock();
            let mut by_namespace: BTreeMap<&str, (Timestamp, u32)> = BTreeMap::new();
            for planned in known
                .plan
                .planned
                .iter()
                .filter(|planned| planned.class != Class::Pages)
            {
                let Some(track) = known.tracks.get(&planned.series.labels) else {
                    continue;
                };
                let entry = by_namespace.entry(&planned.series.namespace).or_insert((now, 0));
                match track.asked() {
                    _ if track.is_quiet(now) => entry.1 += 1,
                    Some(asked) => entry.0 = entry.0.min(minute(asked - planned.series.lag)),
                    None => {}
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
