//! The series that every target has about its being read, `up` and `scrape_*`: of sources that are no scrapes.

use std::sync::Arc;

use crate::{Column, Keep, Kind, Labels, Round, SeriesDesc, SeriesRef, TargetDesc, TargetRef, Timestamp};

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

/// A target of its own without a page, so that the page of the source shows what the exporter does whose place it takes.
pub struct Report {
    target: TargetRef,
    base: Labels,
    /// None until the store gives them out, and again when it has forgotten them.
    series: [Option<SeriesRef>; SERIES.len()],
}

/// What there is to say of a round.
pub struct Said {
    pub up: bool,
    pub seconds: f64,
    pub samples: usize,
    pub added: usize,
}

impl Report {
    /// `name` is that of the target, for example `node/report`.
    #[must_use]
    pub fn new(keep: &dyn Keep, name: &str, base: &Labels) -> Self {
        let target = keep.target(&TargetDesc {
            name: name.into(),
            page: None,
            staleness: None,
        });
        Self {
            target,
            base: base.clone(),
            series: [None; SERIES.len()],
        }
    }

    pub fn commit(&mut self, keep: &dyn Keep, time: Timestamp, said: &Said) {
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
            labels.set(crate::labels::METRIC_NAME, name);
            let desc = SeriesDesc {
                labels: labels.build(),
                kind: Kind::Gauge,
                family: Arc::from(name),
                help: Arc::from(help),
                unit: Arc::from(""),
            };
            // One that is refused is asked for again with the next report.
            *place = keep.series(self.target, &desc).ok();
        }
    }
}
