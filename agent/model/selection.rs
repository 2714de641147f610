//! What a query reads, in few allocations: one list of label sets, one buffer of values, and each column of times once.

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::{Labels, SelectError, Series, Timestamp};

/// Series with their samples, sorted by labels.
///
/// The label sets of all series that match are one list, also of those without a sample. Who answers the same question
/// over the same series again gives the very same list, so that what was found out about it is known by its address.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    candidates: Arc<[Labels]>,
    /// Rising by candidate.
    spots: Vec<Spot>,
    columns: Vec<Arc<[Timestamp]>>,
    values: Vec<f64>,
}

/// Where a series' samples lie.
#[derive(Clone, Copy, Debug)]
struct Spot {
    candidate: u32,
    column: u32,
    /// Of the values, as many as there are times.
    start: usize,
    staleness: Option<Duration>,
}

/// One series of a selection or a scan.
#[derive(Clone, Copy, Debug)]
pub struct One<'s> {
    /// Its place in [`Selection::candidates`].
    pub candidate: usize,
    pub labels: &'s Labels,
    /// Two series with the same column have the same times.
    pub column: usize,
    pub times: &'s [Timestamp],
    pub values: &'s [f64],
    /// How long after a sample this series still answers, when its source says so.
    pub staleness: Option<Duration>,
}

impl Selection {
    /// Takes the samples of `candidates` in any order; no two of them have the same labels.
    #[must_use]
    pub fn of(candidates: Arc<[Labels]>) -> Filling {
        Filling {
            places: vec![None; candidates.len()],
            selection: Self {
                candidates,
                ..Self::default()
            },
        }
    }

    #[must_use]
    pub fn candidates(&self) -> &Arc<[Labels]> {
        &self.candidates
    }

    /// How many series have samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spots.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spots.is_empty()
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.spots.iter().map(|spot| self.times(spot).len()).sum()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = One<'_>> {
        self.spots.iter().map(|spot| self.one(spot))
    }

    fn one(&self, spot: &Spot) -> One<'_> {
        static NOBODY: LazyLock<Labels> = LazyLock::new(Labels::empty);
        let times = self.times(spot);
        let labels = self.candidates.get(spot.candidate as usize);
        One {
            candidate: spot.candidate as usize,
            labels: labels.unwrap_or_else(|| &NOBODY),
            column: spot.column as usize,
            times,
            values: self
                .values
                .get(spot.start..spot.start + times.len())
                .unwrap_or_default(),
            staleness: spot.staleness,
        }
    }

    fn times(&self, spot: &Spot) -> &[Timestamp] {
        self.columns
            .get(spot.column as usize)
            .map(|times| &**times)
            .unwrap_or_default()
    }

    /// The same as series that stand alone.
    #[must_use]
    pub fn into_series(self) -> Vec<Series> {
        self.iter().map(|one| one.to_series(&self.columns)).collect()
    }
}

/// Series that are read one after the other, in whatever order is the quickest.
pub trait Scan {
    /// As [`Selection::candidates`].
    fn candidates(&self) -> &Arc<[Labels]>;

    /// Calls `visit` with each series that has samples, once, until it says that it has enough.
    ///
    /// # Errors
    /// See [`SelectError`].
    fn each(&mut self, visit: &mut dyn FnMut(One<'_>) -> ControlFlow<()>) -> Result<(), SelectError>;
}

impl Scan for Selection {
    fn candidates(&self) -> &Arc<[Labels]> {
        &self.candidates
    }

    fn each(&mut self, visit: &mut dyn FnMut(One<'_>) -> ControlFlow<()>) -> Result<(), SelectError> {
        // Whoever has enough has no error.
        match self.iter().try_for_each(visit) {
            ControlFlow::Continue(()) | ControlFlow::Break(()) => Ok(()),
        }
    }
}

impl One<'_> {
    fn to_series(self, columns: &[Arc<[Timestamp]>]) -> Series {
        Series {
            labels: self.labels.clone(),
            times: columns.get(self.column).cloned().unwrap_or_default(),
            values: self.values.into(),
            staleness: self.staleness,
        }
    }
}

impl From<Vec<Series>> for Selection {
    fn from(all: Vec<Series>) -> Self {
        let candidates = all.iter().map(|series| series.labels.clone()).collect();
        let mut filling = Self::of(candidates);
        let samples = all.iter().map(|series| series.values.len()).sum();
        filling.selection.values.reserve_exact(samples);
        let mut before: Option<(usize, &Arc<[Timestamp]>)> = None;
        for (candidate, series) in all.iter().enumerate() {
            let known = before.filter(|(_, times)| Arc::ptr_eq(times, &series.times));
            let column = known.map_or_else(|| filling.column(series.times.clone()), |(column, _)| column);
            before = Some((column, &series.times));
            filling.values().extend_from_slice(&series.values);
            filling.end(candidate, column, series.staleness);
        }
        filling.done()
    }
}

/// A selection that is being read.
#[derive(Debug)]
pub struct Filling {
    selection: Selection,
    /// What each candidate has so far.
    places: Vec<Option<Spot>>,
}

impl Filling {
    /// Times that series have in common; tells by which number they name them.
    pub fn column(&mut self, times: Arc<[Timestamp]>) -> usize {
        self.selection.columns.push(times);
        self.selection.columns.len() - 1
    }

    /// Values are added at its end, and then [`Filling::end`]ed; what is there may not change.
    pub fn values(&mut self) -> &mut Vec<f64> {
        &mut self.selection.values
    }

    /// The values last added, as many as its column has times, are those of a candidate.
    pub fn end(&mut self, candidate: usize, column: usize, staleness: Option<Duration>) {
        let length = self.selection.columns.get(column).map_or(0, |times| times.len());
        let start = self.selection.values.len().checked_sub(length);
        if let (Some(place), Some(start), true) = (self.places.get_mut(candidate), start, length > 0) {
            *place = Some(Spot {
                candidate: u32::try_from(candidate).unwrap_or(u32::MAX),
                column: u32::try_from(column).unwrap_or(u32::MAX),
                start,
                staleness,
            });
        }
    }

    /// What a candidate has so far, if it has something.
    #[must_use]
    pub fn known(&self, candidate: usize) -> Option<Series> {
        let spot = self.places.get(candidate)?.as_ref()?;
        Some(self.selection.one(spot).to_series(&self.selection.columns))
    }

    #[must_use]
    pub fn done(mut self) -> Selection {
        self.selection.spots = self.places.into_iter().flatten().collect();
        self.selection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, times: &[i64], values: &[f64]) -> Series {
        Series {
            labels: Labels::from_pairs([("__name__", name)]),
            times: times.iter().copied().map(Timestamp).collect(),
            values: values.into(),
            staleness: (name == "b").then_some(Duration::from_secs(9)),
        }
    }

    #[test]
    fn series_come_back_as_they_were() {
        let mut all = vec![
            series("a", &[1, 2, 3], &[1.0, 2.0, 3.0]),
            series("b", &[2], &[20.0]),
            series("c", &[1, 2, 3], &[4.0, 5.0, 6.0]),
        ];
        all[2].times = all[0].times.clone();
        let selection = Selection::from(all.clone());
        assert_eq!((selection.len(), selection.samples()), (3, 7));
        for (back, was) in selection.into_series().into_iter().zip(&all) {
            assert_eq!(back.labels, was.labels);
            assert_eq!((&back.times, &back.values), (&was.times, &was.values));
            assert_eq!(back.staleness, was.staleness);
        }
    }

    #[test]
    fn candidates_are_read_in_any_order_and_some_have_nothing() {
        let candidates: Arc<[Labels]> = ["a", "b", "c"]
            .map(|name| Labels::from_pairs([("__name__", name)]))
            .into();
        let mut filling = Selection::of(candidates.clone());
        let times = filling.column([Timestamp(1), Timestamp(2)].into());
        filling.values().extend([7.0, 8.0]);
        filling.end(2, times, None);
        filling.values().extend([5.0, 6.0]);
        filling.end(0, times, None);
        assert!(filling.known(1).is_none());
        assert_eq!(
            filling.known(2).map(|series| series.values.to_vec()),
            Some(vec![7.0, 8.0])
        );
        let selection = filling.done();
        assert!(Arc::ptr_eq(selection.candidates(), &candidates));
        let read: Vec<_> = selection
            .iter()
            .map(|one| (one.candidate, one.labels.name(), one.values.to_vec()))
            .collect();
        assert_eq!(read, [(0, "a", vec![5.0, 6.0]), (2, "c", vec![7.0, 8.0])]);
    }
}
