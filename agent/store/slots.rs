//! The series of one target: their places, last times and last values.

use std::sync::Arc;

use model::{STALE, SeriesRef, TargetRef, Timestamp, is_stale};

use crate::families::Family;
use crate::reference::{self, GENERATION_MAX, SLOTS_MAX};
use crate::row::Shape;

/// What is asked at every commit lies in columns of its own; the rest is cold.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    last_times: Vec<Timestamp>,
    last_values: Vec<f64>,
    stamps: Vec<u32>,
    /// How often each place was given out before.
    generations: Vec<u16>,
    cold: Vec<Option<About>>,
    free: Vec<u32>,
}

/// What is known of a series besides its samples.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) family: Arc<Family>,
    /// Its number in the index, which has its labels.
    pub(crate) entry: u32,
    pub(crate) born: Born,
}

/// When a series was first asked for, in whole seconds that have not come yet then: nobody asks for it more exactly, and
/// there are many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Born(u32);

impl Born {
    pub(crate) fn at(time: Timestamp) -> Self {
        let seconds = time.0.saturating_add(999).div_euclid(1000).max(0);
        Self(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// `MIN` for whatever is from before 1970.
    pub(crate) fn time(self) -> Timestamp {
        match self.0 {
            0 => Timestamp::MIN,
            seconds => Timestamp(i64::from(seconds) * 1000),
        }
    }
}

impl Slots {
    /// None when the target holds as many series as a ref can tell apart.
    pub(crate) fn add(&mut self, target: TargetRef, about: About) -> Option<SeriesRef> {
        if let Some(slot) = self.free.pop() {
            *self.cold.get_mut(slot as usize)? = Some(about);
            self.set(slot as usize, Timestamp::MIN, STALE);
            return Some(reference::make(target, self.generation(slot as usize), slot));
        }
        let slot = u32::try_from(self.cold.len())
            .ok()
            .filter(|slot| *slot < SLOTS_MAX)?;
        push(&mut self.last_times, Timestamp::MIN);
        push(&mut self.last_values, STALE);
        push(&mut self.stamps, 0);
        push(&mut self.generations, 0);
        push(&mut self.cold, Some(about));
        Some(reference::make(target, 0, slot))
    }

    pub(crate) fn remove(&mut self, series: SeriesRef) {
        let slot = reference::slot(series);
        if !self.holds(series) {
            return;
        }
        if let (Some(about), Some(generation)) = (self.cold.get_mut(slot), self.generations.get_mut(slot)) {
            *about = None;
            *generation += 1;
            // Its old refs could no longer be told from new ones; the place stays empty for good.
            if u32::from(*generation) < GENERATION_MAX {
                self.free.extend(u32::try_from(slot));
            }
        }
    }

    fn generation(&self, slot: usize) -> u32 {
        self.generations.get(slot).copied().map_or(0, u32::from)
    }

    /// Whether the ref, which is of this target, was given out and is not forgotten.
    pub(crate) fn holds(&self, series: SeriesRef) -> bool {
        self.about(series).is_some()
    }

    pub(crate) fn about(&self, series: SeriesRef) -> Option<&About> {
        let slot = reference::slot(series);
        let about = self.cold.get(slot)?.as_ref();
        about.filter(|_| self.generation(slot) == reference::generation(series))
    }

    pub(crate) fn about_mut(&mut self, series: SeriesRef) -> Option<&mut About> {
        let slot = reference::slot(series);
        let generation = self.generation(slot);
        let about = self.cold.get_mut(slot)?.as_mut();
        about.filter(|_| generation == reference::generation(series))
    }

    /// Time and value of the newest sample; `MIN` and stale when there is none.
    pub(crate) fn last(&self, series: SeriesRef) -> (Timestamp, f64) {
        let slot = reference::slot(series);
        let time = self.last_times.get(slot).copied().unwrap_or(Timestamp::MIN);
        (time, self.last_values.get(slot).copied().unwrap_or(STALE))
    }

    pub(crate) fn set(&mut self, slot: usize, time: Timestamp, value: f64) {
        if let Some(last) = self.last_times.get_mut(slot) {
            *last = time;
        }
        if let Some(last) = self.last_values.get_mut(slot) {
            *last = value;
        }
    }

    /// Takes a newer sample for each series; tells how many of them had ended or not begun.
    pub(crate) fn advance(&mut self, shape: &Shape, time: Timestamp, values: &[f64]) -> usize {
        let mut added = 0;
        if let Some((last_times, last_values)) = self.run(shape) {
            last_times.fill(time);
            for (last, value) in last_values.iter_mut().zip(values) {
                added += usize::from(is_stale(*last) && !is_stale(*value));
                *last = *value;
            }
            return added;
        }
        for (series, value) in shape.refs.iter().zip(values) {
            let slot = reference::slot(*series);
            if let Some(last) = self.last_values.get_mut(slot) {
                added += usize::from(is_stale(*last) && !is_stale(*value));
                *last = *value;
            }
            if let Some(last) = self.last_times.get_mut(slot) {
                *last = time;
            }
        }
        added
    }

    /// Last times and values of a shape whose places follow each other.
    fn run(&mut self, shape: &Shape) -> Option<(&mut [Timestamp], &mut [f64])> {
        let first = reference::slot(*shape.refs.first().filter(|_| shape.is_run)?);
        let places = first..first + shape.refs.len();
        Some((
            self.last_times.get_mut(places.clone())?,
            self.last_values.get_mut(places)?,
        ))
    }

    /// Whether all series of a shape are without a sample at `time` or later.
    pub(crate) fn all_before(&self, shape: &Shape, time: Timestamp) -> bool {
        shape.refs.iter().all(|series| self.last(*series).0 < time)
    }

    /// Marks a series; false when it already bears this stamp.
    pub(crate) fn stamp(&mut self, series: SeriesRef, stamp: u32) -> bool {
        let Some(last) = self.stamps.get_mut(reference::slot(series)) else {
            return false;
        };
        std::mem::replace(last, stamp) != stamp
    }

    pub(crate) fn bears(&self, series: SeriesRef, stamp: u32) -> bool {
        self.stamps.get(reference::slot(series)) == Some(&stamp)
    }

    /// For when stamps begin anew.
    pub(crate) fn clear_stamps(&mut self) {
        self.stamps.fill(0);
    }

    pub(crate) fn iter(&self, target: TargetRef) -> impl Iterator<Item = (SeriesRef, &About)> {
        let all = self.cold.iter().zip(&self.generations).zip(0..);
        all.filter_map(move |((about, generation), slot)| {
            let series = reference::make(target, u32::from(*generation), slot);
            Some((series, about.as_ref()?))
        })
    }

    /// Time of the oldest of the last values.
    pub(crate) fn oldest(&self, target: TargetRef) -> Option<Timestamp> {
        let times = self.iter(target).map(|(series, _)| self.last(series).0);
        times.filter(|time| *time > Timestamp::MIN).min()
    }

    /// Series held, and the few places that are given out no more.
    pub(crate) fn len(&self) -> usize {
        self.cold.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cold.iter().all(Option::is_none)
    }
}

/// Adds to a list that is to stay: it grows by an eighth, not to twice of what it was.
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 8).max(8));
    }
    list.push(item);
}
