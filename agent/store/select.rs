//! The store as its readers see it.

use std::cmp::Ordering;
use std::sync::Arc;

use blocks::Blocks;
use model::select::{Last, Latest};
use model::selection::{Filling, Scan};
use model::{
    Labels, Matcher, Metadata, Mixed, Select, SelectError, Selection, Series, SeriesRef, TimeRange,
    Timestamp, is_stale,
};

use crate::config::History;
use crate::latest::Rounds;
use crate::picked::{Picked, Spot};
use crate::read::{Reader, Times, Values, View, join};
use crate::reference;
use crate::scan::Scanned;
use crate::store::Store;
use crate::target::{LOOKUP, Target};

impl Select for Store {
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Series>, SelectError> {
        self.selection(matchers, range, samples_max)
            .map(Selection::into_series)
    }

    fn selection(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Selection, SelectError> {
        let found = self.remembered(matchers, range, samples_max)?;
        // Looked at after the memory: what has gone from there meanwhile is here.
        let Some(blocks) = self.blocks_behind(range) else {
            return Ok(found);
        };
        let older = blocks
            .select(matchers, range, samples_max - found.samples())
            .map_err(|error| match error {
                SelectError::TooMany { .. } => SelectError::TooMany { limit: samples_max },
                other => other,
            })?;
        Ok(merged(older, found.into_series(), |series| &series.labels, continued).into())
    }

    fn scan(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Box<dyn Scan + '_>, SelectError> {
        let picked = self.selections.pick(&self.index, matchers)?;
        let is_apart = picked.labels.len() == picked.series.len();
        if is_apart && self.config.history == History::Full {
            let mut views = Vec::new();
            self.each_target(&picked, |target, series| {
                views.push((target.map(|target| View::new(target, range)), series.len()));
                Ok(())
            })?;
            // Looked at after the memory: what goes from there from now on, the views still hold.
            if self.blocks_behind(range).is_none() {
                return Ok(Box::new(Scanned::new(picked, views, samples_max)));
            }
        }
        Ok(Box::new(self.selection(matchers, range, samples_max)?))
    }

    fn mixed(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Mixed>, SelectError> {
        if self.may_have_histograms(range) {
            self.mixed_of(matchers, range, samples_max)
        } else {
            Ok(Vec::new())
        }
    }

    fn has_histograms(&self, matchers: &[Matcher], range: TimeRange) -> Result<bool, SelectError> {
        Ok(self.may_have_histograms(range) && self.any_mixed(matchers, range)?)
    }

    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        let picked = self.selections.pick(&self.index, matchers)?;
        let mut there = vec![false; picked.labels.len()];
        self.each_target(&picked, |target, series| {
            let Some(target) = target else { return Ok(()) };
            let view = View::new(target, range);
            let mut reader = Reader::new(&view);
            for spot in series {
                if let Some(there) = there.get_mut(spot.place as usize).filter(|there| !**there) {
                    *there = match self.config.history {
                        History::Full => reader.any(spot.series),
                        History::None => last(target, &view, spot.series).next().is_some(),
                    };
                }
            }
            Ok(())
        })?;
        let all = picked.labels.iter().zip(there).filter(|(_, there)| *there);
        let all: Vec<Labels> = all.map(|(labels, _)| labels.clone()).collect();
        match self.blocks_behind(range) {
            Some(blocks) => Ok(merged(
                blocks.labels(matchers, range)?,
                all,
                |labels| labels,
                |older, _| older,
            )),
            None => Ok(all),
        }
    }

    fn metadata(&self) -> Vec<Metadata> {
        self.families.lock().all()
    }

    fn last(&self, page: Option<&str>) -> Vec<Last> {
        let targets = self.all_targets();
        targets
            .iter()
            .filter_map(|target| self.last_of(target, page))
            .collect()
    }

    fn latest(&self, page: Option<&str>) -> Box<dyn Latest> {
        Box::new(Rounds::of(self, page))
    }
}

impl Store {
    fn last_of(&self, target: &Target, page: Option<&str>) -> Option<Last> {
        let (of, row) = {
            let state = target.state.lock();
            let wanted = page.is_none() || state.desc.page == page;
            (state.desc.page, state.shown().filter(|_| wanted)?.clone())
        };
        let mut series = Vec::with_capacity(row.values.len());
        for (some, values) in row.shape.refs.chunks(LOOKUP).zip(row.values.chunks(LOOKUP)) {
            for (found, value) in target.look_up(some, &self.index).into_iter().zip(values) {
                if let Some((_, labels, family)) = found.filter(|_| !is_stale(*value)) {
                    series.push((labels, family.metadata.clone(), *value));
                }
            }
        }
        Some(Last {
            target: target.name.clone(),
            page: of,
            time: row.time,
            series,
        })
    }

    /// Blocks, if there are any in the range.
    pub(crate) fn blocks_behind(&self, range: TimeRange) -> Option<&Blocks> {
        let blocks = &self.sealing.as_ref()?.blocks;
        blocks.span().filter(|span| span.meets(range)).map(|_| blocks)
    }

    /// What is in memory.
    fn remembered(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Selection, SelectError> {
        let picked = self.selections.pick(&self.index, matchers)?;
        let mut filling = Selection::of(picked.labels.clone());
        self.each_target(&picked, |target, series| {
            let Some(target) = target else { return Ok(()) };
            let view = View::new(target, range);
            match self.config.history {
                History::Full => read(&view, series, &mut filling),
                History::None => read_last(target, &view, series, &mut filling),
            }
            if filling.values().len() > samples_max {
                return Err(SelectError::TooMany { limit: samples_max });
            }
            Ok(())
        })?;
        Ok(filling.done())
    }

    /// Calls `visit` with each target, if it is still there, and the series of it that were picked.
    pub(crate) fn each_target(
        &self,
        picked: &Picked,
        mut visit: impl FnMut(Option<&Target>, &[Spot]) -> Result<(), SelectError>,
    ) -> Result<(), SelectError> {
        let of = |spot: &Spot| reference::target(spot.series);
        let runs = || picked.series.chunk_by(|one, next| of(one) == of(next));
        // Together, so that nobody waits for the list while samples are read.
        let targets: Vec<Option<Arc<Target>>> = {
            let known = self.targets.read();
            let find = |run: &[Spot]| known.by_id.get(&of(run.first()?)).cloned();
            runs().map(find).collect()
        };
        let mut known = targets.iter().zip(runs());
        known.try_for_each(|(target, run)| visit(target.as_deref(), run))
    }
}

/// Adds the samples of some series of a target.
fn read(view: &View, series: &[Spot], filling: &mut Filling) {
    let mut reader = Reader::new(view);
    // The numbers by which the selection names the reader's columns.
    let mut columns: Vec<usize> = Vec::new();
    for spot in series {
        let place = spot.place as usize;
        if let Some(known) = filling.known(place) {
            let mut values = Vec::new();
            if let Some(column) = reader.read(spot.series, &mut values) {
                join_into(
                    filling,
                    place,
                    view,
                    Some(known),
                    (reader.times(column).clone(), values.into()),
                );
            }
            continue;
        }
        let Some(column) = reader.read(spot.series, filling.values()) else {
            continue;
        };
        while columns.len() <= column {
            let next = filling.column(reader.times(columns.len()).clone());
            columns.push(next);
        }
        if let Some(column) = columns.get(column) {
            filling.end(place, *column, view.staleness);
        }
    }
}

/// The same where no history is kept: the last values of a target are all there is.
fn read_last(target: &Target, view: &View, series: &[Spot], filling: &mut Filling) {
    for spot in series {
        let place = spot.place as usize;
        let (times, values): (Vec<_>, Vec<_>) = last(target, view, spot.series).unzip();
        if times.is_empty() {
            continue;
        }
        join_into(
            filling,
            place,
            view,
            filling.known(place),
            (times.into(), values.into()),
        );
    }
}

/// What another target has under the same labels, and this one.
fn join_into(filling: &mut Filling, place: usize, view: &View, known: Option<Series>, new: (Times, Values)) {
    let staleness = known.as_ref().and_then(|known| known.staleness);
    let (times, values) = match known {
        Some(known) => join(&(known.times, known.values), &new),
        None => new,
    };
    let column = filling.column(times);
    filling.values().extend_from_slice(&values);
    filling.end(place, column, staleness.max(view.staleness));
}

/// The last value of a series, and what is provisional behind it.
fn last(target: &Target, view: &View, series: SeriesRef) -> impl Iterator<Item = (Timestamp, f64)> {
    let held = {
        let state = target.state.lock();
        state.slots.holds(series).then(|| state.slots.last(series))
    };
    let sample = held.filter(|(time, _)| view.range.contains(*time));
    // A sample may have come after the view was taken.
    let after = held.map_or(Timestamp::MAX, |(time, _)| time);
    let provisional = view.provisional(series).filter(move |(at, _)| *at > after);
    sample.into_iter().chain(provisional)
}

/// Two sorted lists as one; what is in both is made one by `both`.
fn merged<T>(
    older: Vec<T>,
    newer: Vec<T>,
    labels: impl Fn(&T) -> &Labels,
    both: impl Fn(T, T) -> T,
) -> Vec<T> {
    if older.is_empty() {
        return newer;
    }
    let mut all = Vec::with_capacity(older.len().max(newer.len()));
    let (mut older, mut newer) = (older.into_iter().peekable(), newer.into_iter().peekable());
    loop {
        let order = match (older.peek(), newer.peek()) {
            (Some(old), Some(new)) => labels(old).cmp(labels(new)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return all,
        };
        match order {
            Ordering::Less => all.extend(older.next()),
            Ordering::Greater => all.extend(newer.next()),
            Ordering::Equal => all.extend(older.next().zip(newer.next()).map(|(old, new)| both(old, new))),
        }
    }
}

/// A series from a block, and what memory has of it.
fn continued(older: Series, newer: Series) -> Series {
    let follows = older.times.last() < newer.times.first();
    let (times, values) = if follows {
        (
            older.times.iter().chain(newer.times.iter()).copied().collect(),
            older.values.iter().chain(newer.values.iter()).copied().collect(),
        )
    } else {
        join(&(older.times, older.values), &(newer.times, newer.values))
    };
    Series {
        times,
        values,
        ..newer
    }
}
