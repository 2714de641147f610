//! The series that every target has about its being read.

use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::{Keep, Kind, Labels, SeriesDesc, SeriesRef, TargetRef};

/// Name and help, in the order of [`Values`].
const SERIES: [(&str, &str); 5] = [
    ("up", "Whether the last scrape was answered and read."),
    ("scrape_duration_seconds", "How long the scrape took."),
    ("scrape_samples_scraped", "Samples in the body."),
    (
        "scrape_samples_post_metric_relabeling",
        "Samples left after relabelling.",
    ),
    (
        "scrape_series_added",
        "Series that the scrape before did not have.",
    ),
];

pub(crate) const LENGTH: usize = SERIES.len();
pub(crate) type Values = [f64; LENGTH];

/// The labels of those series, which no body may claim.
pub(crate) fn labels(target: &Labels) -> Vec<Labels> {
    let named = |(name, _): &(&str, &str)| {
        let mut labels = target.to_builder();
        labels.set(METRIC_NAME, name);
        labels.build()
    };
    SERIES.iter().map(named).collect()
}

/// As the store knows them; none for one that it refused.
pub(crate) fn series(keep: &dyn Keep, store: TargetRef, target: &Labels) -> [Option<SeriesRef>; LENGTH] {
    let mut given = labels(target).into_iter();
    SERIES.map(|(name, help)| {
        let desc = SeriesDesc {
            labels: given.next()?,
            kind: Kind::Gauge,
            family: Arc::from(name),
            help: Arc::from(help),
            unit: Arc::from(""),
        };
        keep.series(store, &desc)
            .inspect_err(|error| tracing::warn!(%error, series = %desc.labels, "series refused"))
            .ok()
    })
}
