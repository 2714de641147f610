//! A request's samples, put together by target and time.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use model::column::Kept;
use model::{Column, Keep, Round, SeriesRef, TargetRef, Timestamp};

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
}

/// What became of all columns.
#[derive(Default)]
pub(crate) struct Committed {
    pub(crate) kept: Kept,
    /// Time of the newest sample.
    pub(crate) newest: Option<Timestamp>,
    /// Targets and times with series that the store has forgotten.
    pub(crate) damaged: BTreeMap<(u32, i64), Damage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Some refs are no longer good.
    Some,
    /// The target itself was retired or forgotten.
    Whole,
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
        let fits = |open: &Open| open.time == time && open.target == target;
        if !self.open.get(self.current).is_some_and(fits) && !self.turn(target, time) {
            return false;
        }
        if let Some(open) = self.open.get_mut(self.current) {
            open.series.push(series);
            open.values.push(value);
        }
        true
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
            let length = open.series.len();
            let kept = keep.commit(Column {
                target: id(open.target),
                time: Timestamp(open.time),
                round: Round::Part,
                series: open.series,
                values: open.values,
            });
            if kept.unknown > 0 {
                let whole = kept.unknown == length;
                let damage = if whole { Damage::Whole } else { Damage::Some };
                all.damaged.insert((open.target, open.time), damage);
            }
            all.kept = sum(&all.kept, &kept);
        }
        self.clear();
        all
    }
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
