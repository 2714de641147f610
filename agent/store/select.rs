//! The store as its readers see it.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use blocks::Blocks;
use hashbrown::HashMap;
use model::select::{Last, Latest};
use model::{
    Labels, Matcher, Metadata, Select, SelectError, Series, SeriesRef, TargetRef, TimeRange, is_stale,
};

use crate::config::History;
use crate::latest::Rounds;
use crate::read::{Reader, Times, Values, View, join};
use crate::reference;
use crate::selection::Pick;
use crate::store::Store;
use crate::target::{LOOKUP, Target};

impl Select for Store {
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Series>, SelectError> {
        let picks = self.selections.pick(&self.index, matchers)?;
        let targets = self.targets_of(&picks);
        let views = views(&targets, range);
        let mut readers = Readers::new(self.config.history, &targets, &views);
        let mut all: Vec<Series> = Vec::with_capacity(picks.len());
        let mut samples = 0;
        for series in joined(&picks, &mut readers) {
            samples += series.values.len();
            if samples > samples_max {
                return Err(SelectError::TooMany { limit: samples_max });
            }
            all.push(series);
        }
        let Some(blocks) = self.blocks_behind(range) else {
            return Ok(all);
        };
        // Looked at after the memory: what has gone from there meanwhile is here.
        let older = blocks
            .select(matchers, range, samples_max - samples)
            .map_err(|error| match error {
                SelectError::TooMany { .. } => SelectError::TooMany { limit: samples_max },
                other => other,
            })?;
        Ok(merged(older, all, |series| &series.labels, continued))
    }

    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        let picks = self.selections.pick(&self.index, matchers)?;
        let targets = self.targets_of(&picks);
        let views = views(&targets, range);
        let mut readers = Readers::new(self.config.history, &targets, &views);
        let mut all: Vec<Labels> = Vec::new();
        for pick in picks.iter() {
            if all.last() != Some(&pick.labels) && readers.any(pick.series) {
                all.push(pick.labels.clone());
            }
        }
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
    fn blocks_behind(&self, range: TimeRange) -> Option<&Blocks> {
        let blocks = &self.sealing.as_ref()?.blocks;
        blocks.span().filter(|span| span.meets(range)).map(|_| blocks)
    }

    fn targets_of(&self, picks: &[Pick]) -> HashMap<TargetRef, Arc<Target>> {
        let known = self.targets.read();
        let mut targets = HashMap::new();
        let mut previous = None;
        for pick in picks {
            let id = reference::target(pick.series);
            if previous.replace(id) == Some(id) {
                continue;
            }
            if let Some(target) = known.by_id.get(&id) {
                targets.entry(id).or_insert_with(|| target.clone());
            }
        }
        targets
    }
}

fn views(targets: &HashMap<TargetRef, Arc<Target>>, range: TimeRange) -> HashMap<TargetRef, View> {
    targets
        .iter()
        .map(|(id, target)| (*id, View::new(target, range)))
        .collect()
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

/// The series of picks that have samples; those of several targets that say the same labels are one.
pub(crate) fn joined<'a>(picks: &'a [Pick], readers: &'a mut Readers<'_>) -> impl Iterator<Item = Series> {
    let mut picks = picks.iter().peekable();
    std::iter::from_fn(move || {
        let mut found: Option<Series> = None;
        loop {
            let same = |pick: &&Pick| found.is_none() || pick.repeats;
            let Some(pick) = picks.next_if(same) else {
                return found;
            };
            let Some((times, values)) = readers.read(pick.series) else {
                continue;
            };
            let staleness = readers.staleness(pick.series);
            found = Some(match found {
                Some(one) => {
                    let (times, values) = join(&(one.times, one.values), &(times, values));
                    Series {
                        times,
                        values,
                        staleness: one.staleness.max(staleness),
                        labels: one.labels,
                    }
                }
                None => Series {
                    labels: pick.labels.clone(),
                    times,
                    values,
                    staleness,
                },
            });
        }
    })
}

/// A reader for each target of a selection.
pub(crate) struct Readers<'a> {
    by_target: HashMap<TargetRef, (&'a View, Reader<'a>)>,
    /// Where no history is kept, the targets themselves: their last values are all there is.
    last_only: Option<&'a HashMap<TargetRef, Arc<Target>>>,
}

impl<'a> Readers<'a> {
    pub(crate) fn new(
        history: History,
        targets: &'a HashMap<TargetRef, Arc<Target>>,
        views: &'a HashMap<TargetRef, View>,
    ) -> Self {
        let readers = views.iter().map(|(id, view)| (*id, (view, Reader::new(view))));
        Self {
            by_target: readers.collect(),
            last_only: (history == History::None).then_some(targets),
        }
    }

    fn read(&mut self, series: SeriesRef) -> Option<(Times, Values)> {
        let id = reference::target(series);
        let (view, reader) = self.by_target.get_mut(&id)?;
        let Some(targets) = self.last_only else {
            return reader.read(series);
        };
        let (time, value) = {
            let state = targets.get(&id)?.state.lock();
            state.slots.holds(series).then(|| state.slots.last(series))?
        };
        let last = view.range.contains(time).then_some((time, value));
        // A sample may have come after the view was taken.
        let provisional = view.provisional(series).filter(|(at, _)| *at > time);
        let samples = last.into_iter().chain(provisional);
        let (times, values): (Vec<_>, Vec<_>) = samples.unzip();
        (!times.is_empty()).then(|| (times.into(), values.into()))
    }

    fn any(&mut self, series: SeriesRef) -> bool {
        if self.last_only.is_some() {
            return self.read(series).is_some();
        }
        let reader = self.by_target.get_mut(&reference::target(series));
        reader.is_some_and(|(_, reader)| reader.any(series))
    }

    fn staleness(&self, series: SeriesRef) -> Option<Duration> {
        let (view, _) = self.by_target.get(&reference::target(series))?;
        view.staleness
    }
}
