//! The store as its readers see it.

use std::sync::Arc;
use std::time::Duration;

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
        for pick in picks.iter() {
            let Some((times, values)) = readers.read(pick.series) else {
                continue;
            };
            samples += values.len();
            if samples > samples_max {
                return Err(SelectError::TooMany { limit: samples_max });
            }
            let staleness = readers.staleness(pick.series);
            match all.last_mut().filter(|last| last.labels == pick.labels) {
                Some(last) => {
                    (last.times, last.values) =
                        join(&(last.times.clone(), last.values.clone()), &(times, values));
                    last.staleness = last.staleness.max(staleness);
                }
                None => all.push(Series {
                    labels: pick.labels.clone(),
                    times,
                    values,
                    staleness,
                }),
            }
        }
        Ok(all)
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
        Ok(all)
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

/// A reader for each target of a selection.
struct Readers<'a> {
    by_target: HashMap<TargetRef, (&'a View, Reader<'a>)>,
    /// Where no history is kept, the targets themselves: their last values are all there is.
    last_only: Option<&'a HashMap<TargetRef, Arc<Target>>>,
}

impl<'a> Readers<'a> {
    fn new(
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
