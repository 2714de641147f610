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
        "Samples of the body left after relabelling.",
    ),
    (
        "scrape_series_added",
        "Series that the scrape before did not have.",
    ),
];

const LENGTH: usize = SERIES.len();
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
pub(crate) type Series = [Option<SeriesRef>; LENGTH];

/// Asks for those that are missing.
pub(crate) fn ask(series: &mut Series, keep: &dyn Keep, store: TargetRef, target: &Labels) {
    if series.iter().all(Option::is_some) {
        return;
    }
    for ((place, (name, help)), labels) in series.iter_mut().zip(SERIES).zip(labels(target)) {
        if place.is_some() {
            continue;
        }
        let desc = SeriesDesc {
            labels,
            kind: Kind::Gauge,
            family: Arc::from(name),
            help: Arc::from(help),
            unit: Arc::from(""),
        };
        let given = keep.series(store, &desc);
        *place = given
            .inspect_err(|error| tracing::debug!(%error, series = %desc.labels, "series refused"))
            .ok();
    }
}
