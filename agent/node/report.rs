//! The series that every target has about its being read: `up` and `scrape_*`.

use std::sync::Arc;

use model::{Column, Keep, Kind, Labels, Round, SeriesDesc, SeriesRef, TargetDesc, TargetRef, Timestamp};

/// Name and help, in the order in which a report gives the values.
const SERIES: [(&str, &str); 5] = [
    ("up", "Whether the last reading gave anything."),
    ("scrape_duration_seconds", "How long the reading took."),
    ("scrape_samples_scraped", "Samples read."),
    (
        "scrape_samples_post_metric_relabeling",
        "Samples left after relabelling.",
    ),
    (
        "scrape_series_added",
        "Series that were not there the time before.",
    ),
];

/// A target of its own without a page, so that `/metrics/node` shows what node_exporter does.
pub(crate) struct Report {
    target: TargetRef,
    series: Vec<(usize, SeriesRef)>,
}

impl Report {
    pub(crate) fn new(keep: &dyn Keep, base: &Labels) -> Self {
        let target = keep.target(&TargetDesc {
            name: "node/report".into(),
            page: None,
            staleness: None,
        });
        let series = SERIES.iter().enumerate().filter_map(|(nth, (name, help))| {
            let mut labels = base.to_builder();
            labels.set(model::labels::METRIC_NAME, name);
            let desc = SeriesDesc {
                labels: labels.build(),
                kind: Kind::Gauge,
                family: Arc::from(*name),
                help: Arc::from(*help),
                unit: Arc::from(""),
            };
            let series = keep.series(target, &desc);
            series
                .inspect_err(|error| tracing::warn!(%error, name, "series refused"))
                .ok()
                .map(|series| (nth, series))
        });
        Self {
            target,
            series: series.collect(),
        }
    }

    pub(crate) fn commit(
        &self,
        keep: &dyn Keep,
        time: Timestamp,
        up: bool,
        seconds: f64,
        samples: usize,
        added: usize,
    ) {
        let samples = samples as f64;
        let values = [f64::from(up), seconds, samples, samples, added as f64];
        let rows = self
            .series
            .iter()
            .filter_map(|(nth, series)| Some((*series, *values.get(*nth)?)));
        let (series, values) = rows.unzip();
        keep.commit(Column {
            target: self.target,
            time,
            round: Round::Whole,
            series,
            values,
        });
    }
}
