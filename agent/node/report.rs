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
    base: Labels,
    /// None until the store gives them out, and again when it has forgotten them.
    series: [Option<SeriesRef>; SERIES.len()],
}

/// What there is to say of a round.
pub(crate) struct Said {
    pub(crate) up: bool,
    pub(crate) seconds: f64,
    pub(crate) samples: usize,
    pub(crate) added: usize,
}

impl Report {
    pub(crate) fn new(keep: &dyn Keep, base: &Labels) -> Self {
        let target = keep.target(&TargetDesc {
            name: "node/report".into(),
            page: None,
            staleness: None,
        });
        Self {
            target,
            base: base.clone(),
            series: [None; SERIES.len()],
        }
    }

    pub(crate) fn commit(&mut self, keep: &dyn Keep, time: Timestamp, said: &Said) {
        self.ask(keep);
        let samples = said.samples as f64;
        let values = [
            f64::from(said.up),
            said.seconds,
            samples,
            samples,
            said.added as f64,
        ];
        let rows = self.series.iter().zip(values);
        let (series, values) = rows
            .filter_map(|(series, value)| Some(((*series)?, value)))
            .unzip();
        let kept = keep.commit(Column {
            target: self.target,
            time,
            round: Round::Whole,
            series,
            values,
        });
        if kept.unknown > 0 {
            self.series = [None; SERIES.len()];
        }
    }

    fn ask(&mut self, keep: &dyn Keep) {
        for (place, (name, help)) in self.series.iter_mut().zip(SERIES) {
            if place.is_some() {
                continue;
            }
            let mut labels = self.base.to_builder();
            labels.set(model::labels::METRIC_NAME, name);
            let desc = SeriesDesc {
                labels: labels.build(),
                kind: Kind::Gauge,
                family: Arc::from(name),
                help: Arc::from(help),
                unit: Arc::from(""),
            };
            let series = keep.series(self.target, &desc);
            *place = series
                .inspect_err(|error| tracing::debug!(%error, name, "series refused"))
                .ok();
        }
    }
}
