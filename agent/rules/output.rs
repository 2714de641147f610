//! What a rule gives to the store: one target per rule, one whole column per evaluation, so that the store
//! itself ends what the rule no longer gives.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::{Column, Keep, Kind, Labels, Round, SeriesDesc, SeriesRef, TargetDesc, TargetRef, Timestamp};

use crate::metrics::Metrics;

pub(crate) const ALERTS: &str = "ALERTS";
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

pub(crate) struct Output {
    target: TargetRef,
    /// Those of the last column.
    series: HashMap<Labels, SeriesRef>,
}

impl Output {
    /// The same name gives the same target, also over a reload.
    pub(crate) fn open(keep: &dyn Keep, name: &str) -> Self {
        let target = keep.target(&TargetDesc {
            name: name.into(),
            page: None,
            staleness: None,
        });
        Self {
            target,
            series: HashMap::new(),
        }
    }

    /// The last column had nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    pub(crate) fn commit(
        &mut self,
        keep: &dyn Keep,
        metrics: &Metrics,
        at: Timestamp,
        samples: Vec<(Labels, f64)>,
    ) {
        let mut column = Column {
            target: self.target,
            time: at,
            round: Round::Whole,
            series: Vec::with_capacity(samples.len()),
            values: Vec::with_capacity(samples.len()),
        };
        let mut known = std::mem::take(&mut self.series);
        for (labels, value) in samples {
            let series = match known.remove(&labels) {
                Some(series) => series,
                None => match keep.series(self.target, &describe(&labels)) {
                    Ok(series) => series,
                    Err(error) => {
                        metrics.samples_dropped.with_label_values(&["refused"]).inc();
                        tracing::warn!(%error, %labels, "the store refused a series of a rule");
                        continue;
                    }
                },
            };
            column.series.push(series);
            column.values.push(value);
            self.series.insert(labels, series);
        }
        let kept = keep.commit(column);
        for (reason, count) in [
            ("out_of_order", kept.out_of_order),
            ("duplicate", kept.duplicate),
            ("unknown", kept.unknown),
        ] {
            metrics
                .samples_dropped
                .with_label_values(&[reason])
                .inc_by(count as u64);
        }
    }

    /// The rule is gone: its series end.
    pub(crate) fn retire(self, keep: &dyn Keep, at: Timestamp) {
        keep.retire(self.target, at);
    }
}

fn describe(labels: &Labels) -> SeriesDesc {
    let name = labels.name();
    let (kind, help) = match name {
        ALERTS => (Kind::Gauge, "1 for every alert that is pending or firing."),
        ALERTS_FOR_STATE => (Kind::Gauge, "When the alert began to be true, in Unix seconds."),
        _ => (Kind::Unknown, "Recorded by a rule."),
    };
    SeriesDesc {
        labels: labels.clone(),
        kind,
        family: Arc::from(name),
        help: Arc::from(help),
        unit: Arc::from(""),
    }
}

/// The first label set that is there twice, if any is.
pub(crate) fn repeated<'a>(samples: impl IntoIterator<Item = &'a Labels>) -> Option<&'a Labels> {
    let mut seen = HashSet::new();
    samples.into_iter().find(|labels| !seen.insert(*labels))
}
