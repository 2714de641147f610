//! A request's samples, put together by target and time.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use model::column::Kept;
use model::{Column, Histogram, Histograms, Keep, Round, STALE, SeriesRef, TargetRef, Timestamp};

/// More targets and times than any honest request has; each takes some 200 bytes.
const COLUMNS_MAX: usize = 100_000;

#[derive(Default)]
pub(crate) struct Columns {
    open: Vec<Open>,
    by_key: HashMap<(u32, i64), usize>,
    current: usize,
    /// Length of the first column of the request before: mostly the next has one like it.
    first_length: usize,
}

struct Open {
    target: u32,
    time: i64,
    series: Vec<SeriesRef>,
    values: Vec<f64>,
    /// None is the end of its series.
    histograms: Vec<(SeriesRef, Option<Arc<Histogram>>)>,
}

/// What became of all columns.
#[derive(Default)]
pub(crate) struct Committed {
    pub(crate) kept: Kept,
    pub(crate) histograms: Kept,
    /// Time of the newest sample.
    pub(crate) newest: Option<Timestamp>,
    pub(crate) damaged: Damaged,
}

/// Targets and times with series that the store has forgotten.
#[derive(Default)]
pub(crate) struct Damaged {
    pub(crate) samples: BTreeMap<(u32, i64), Damage>,
    pub(crate) histograms: BTreeMap<(u32, i64), Damage>,
}

impl Damaged {
    pub(crate) fn targets(&self) -> impl Iterator<Item = u32> {
        let all = self.samples.keys().chain(self.histograms.keys());
        all.map(|(target, _)| *target)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Some refs are no longer good.
    Some,
    /// The target itself was retired or forgotten.
    Whole,
}

impl Damage {
    fn of(kept: &Kept, length: usize) -> Option<Self> {
        let damage = if kept.unknown == length {
            Self::Whole
        } else {
            Self::Some
        };
        (kept.unknown > 0).then_some(damage)
    }
}

impl Columns {
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.by_key.clear();
        self.current = 0;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.open.capacity() * size_of::<Open>() + self.by_key.capacity() * size_of::<(u32, i64, usize)>()
    }

    /// False when there are too many targets and times.
    #[inline]
    pub(crate) fn push(&mut self, target: u32, series: SeriesRef, time: i64, value: f64) -> bool {
        if let Some(open) = self.at(target, time) {
            open.series.push(series);
            open.values.push(value);
            return true;
        }
        false
    }

    /// The same of a histogram, or of the end of a series that has them.
    pub(crate) fn push_histogram(
        &mut self,
        target: u32,
        series: SeriesRef,
        time: i64,
        histogram: Option<Arc<Histogram>>,
    ) -> bool {
        let open = self.at(target, time);
        open.is_some_and(|open| {
            open.histograms.push((series, histogram));
            true
        })
    }

    #[inline]
    fn at(&mut self, target: u32, time: i64) -> Option<&mut Open> {
        let fits = |open: &Open| open.time == time && open.target == target;
        if !self.open.get(self.current).is_some_and(fits) && !self.turn(target, time) {
            return None;
        }
        self.open.get_mut(self.current)
    }

    fn turn(&mut self, target: u32, time: i64) -> bool {
        if let Some(known) = self.by_key.get(&(target, time)) {
            self.current = *known;
            return true;
        }
        if self.open.len() >= COLUMNS_MAX {
            return false;
        }
        self.current = self.open.len();
        self.by_key.insert((target, time), self.current);
        let room = if self.current == 0 { self.first_length } else { 0 };
        self.open.push(Open {
            target,
            time,
            series: Vec::with_capacity(room),
            values: Vec::with_capacity(room),
            histograms: Vec::new(),
        });
        true
    }

    /// Commits everything, oldest first, so that no series' samples come out of order by how they were sent.
    pub(crate) fn commit(&mut self, keep: &dyn Keep, id: impl Fn(u32) -> TargetRef) -> Committed {
        let mut all = Committed::default();
        self.first_length = self.open.first().map_or(0, |open| open.series.len());
        self.open.sort_by_key(|open| open.time);
        all.newest = self.open.last().map(|open| Timestamp(open.time));
        for open in self.open.drain(..) {
            let (target, time) = (id(open.target), Timestamp(open.time));
            if !open.series.is_empty() {
                let length = open.series.len();
                let kept = keep.commit(Column {
                    target,
                    time,
                    round: Round::Part,
                    series: open.series,
                    values: open.values,
                });
                let damage = Damage::of(&kept, length);
                let place = (open.target, open.time);
                all.damaged.samples.extend(damage.map(|damage| (place, damage)));
                all.kept = sum(&all.kept, &kept);
            }
            if !open.histograms.is_empty() {
                let length = open.histograms.len();
                let kept = commit_histograms(keep, target, time, open.histograms);
                let damage = Damage::of(&kept, length);
                let place = (open.target, open.time);
                all.damaged
                    .histograms
                    .extend(damage.map(|damage| (place, damage)));
                all.histograms = sum(&all.histograms, &kept);
            }
        }
        self.clear();
        all
    }
}

/// Ends go in as the stale markers that they are, the others as a column with one of each series. Where a series has
/// several at one time, which is no honest request, each of the later ones goes in by itself.
fn commit_histograms(
    keep: &dyn Keep,
    target: TargetRef,
    time: Timestamp,
    mut all: Vec<(SeriesRef, Option<Arc<Histogram>>)>,
) -> Kept {
    all.sort_by_key(|(series, _)| *series);
    let (mut ended, mut later) = (Vec::new(), Vec::new());
    let mut histograms: Vec<(SeriesRef, Arc<Histogram>)> = Vec::with_capacity(all.len());
    for (series, histogram) in all {
        match histogram {
            None => ended.push(series),
            Some(again) if histograms.last().is_some_and(|(last, _)| *last == series) => {
                later.push((series, again));
            }
            Some(histogram) => histograms.push((series, histogram)),
        }
    }
    let mut kept = Kept::default();
    if !ended.is_empty() {
        kept = keep.commit(Column {
            target,
            time,
            round: Round::Part,
            values: vec![STALE; ended.len()],
            series: ended,
        });
    }
    let later = later.into_iter().map(|one| vec![one]);
    for histograms in std::iter::once(histograms).chain(later) {
        if histograms.is_empty() {
            continue;
        }
        let column = Histograms {
            target,
            time,
            histograms,
        };
        kept = sum(&kept, &keep.histograms(column));
    }
    kept
}

pub(crate) fn sum(a: &Kept, b: &Kept) -> Kept {
    Kept {
        kept: a.kept + b.kept,
        added: a.added + b.added,
        ended: a.ended + b.ended,
        out_of_order: a.out_of_order + b.out_of_order,
        duplicate: a.duplicate + b.duplicate,
        unknown: a.unknown + b.unknown,
        refused: a.refused + b.refused,
    }
}
