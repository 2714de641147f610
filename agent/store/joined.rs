//! Everything that targets have of a range, series by series in the order of their labels: what a block is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use blocks::Samples;
use hashbrown::HashMap;
use model::{Histogram, Series, SeriesRef, TargetRef, Timestamp};

use crate::picked::Pick;
use crate::read::{Reader, Times, Values, View, join};
use crate::reference;

/// The series of picks that have samples; those of several targets that say the same labels are one.
pub(crate) fn joined<'a>(
    picks: impl Iterator<Item = Pick> + 'a,
    readers: &'a mut Readers<'_>,
) -> impl Iterator<Item = Samples> {
    let mut picks = picks.peekable();
    std::iter::from_fn(move || {
        loop {
            let first = picks.next()?;
            let mut found = readers.read(first.series);
            while let Some(pick) = picks.next_if(|pick| pick.repeats) {
                found.add(readers.read(pick.series));
            }
            if let Some(((times, values), histograms)) = found.done() {
                let series = Series {
                    labels: first.labels,
                    times,
                    values,
                    staleness: None,
                };
                return Some(Samples { series, histograms });
            }
        }
    })
}

/// What is found of one series.
#[derive(Default)]
struct Found {
    floats: (Times, Values),
    histograms: BTreeMap<Timestamp, Arc<Histogram>>,
}

impl Found {
    fn add(&mut self, other: Self) {
        if !other.floats.0.is_empty() {
            self.floats = join(&self.floats, &other.floats);
        }
        for (time, histogram) in other.histograms {
            self.histograms.entry(time).or_insert(histogram);
        }
    }

    /// None where there is nothing. A float gives way to a histogram of the same time, which says more.
    fn done(self) -> Option<((Times, Values), Vec<(Timestamp, Arc<Histogram>)>)> {
        let Self {
            mut floats,
            histograms,
        } = self;
        if histograms.is_empty() {
            return (!floats.0.is_empty()).then_some((floats, Vec::new()));
        }
        let pairs = floats.0.iter().copied().zip(floats.1.iter().copied());
        let (times, values): (Vec<_>, Vec<_>) =
            pairs.filter(|(time, _)| !histograms.contains_key(time)).unzip();
        floats = (times.into(), values.into());
        Some((floats, histograms.into_iter().collect()))
    }
}

/// A reader for each target, for whoever reads series in the order of their labels.
pub(crate) struct Readers<'a> {
    by_target: HashMap<TargetRef, (Reader<'a>, &'a View)>,
    values: Vec<f64>,
}

impl<'a> Readers<'a> {
    pub(crate) fn new(views: &'a HashMap<TargetRef, View>) -> Self {
        let readers = views.iter().map(|(id, view)| (*id, (Reader::new(view), view)));
        Self {
            by_target: readers.collect(),
            values: Vec::new(),
        }
    }

    fn read(&mut self, series: SeriesRef) -> Found {
        let Some((reader, view)) = self.by_target.get_mut(&reference::target(series)) else {
            return Found::default();
        };
        self.values.clear();
        let column = reader.read(series, &mut self.values);
        let floats = column.map(|column| (reader.times(column).clone(), self.values.as_slice().into()));
        let histograms = view.histograms(series).map(|(time, one)| (time, Arc::new(one)));
        Found {
            floats: floats.unwrap_or_default(),
            histograms: histograms.collect(),
        }
    }
}
