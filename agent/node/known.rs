//! Series that the store has given out, so that a warm round makes no labels: each value is matched against
//! the one that followed its predecessor last time, and only a surprise is looked up.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use model::{Keep, Labels, SeriesDesc, SeriesRef, TargetRef};

use crate::family::Family;

/// Rounds between two sweeps, and how long a series may be away before it is forgotten here.
const ROUNDS_KEPT: u64 = 64;

pub(crate) struct Known {
    target: TargetRef,
    /// Labels of the target, on every series.
    base: Labels,
    entries: Vec<Entry>,
    index: HashMap<u64, Vec<usize>>,
    hasher: RandomState,
    round: u64,
    /// The entry that was met last.
    last: Option<usize>,
    first: usize,
}

struct Entry {
    family: &'static Family,
    values: Box<[Box<str>]>,
    hash: u64,
    /// None when the store refused it.
    series: Option<SeriesRef>,
    /// Entry that came after this one in the last round.
    next: usize,
    round: u64,
}

impl Entry {
    fn is(&self, family: &'static Family, values: &[&str]) -> bool {
        std::ptr::eq(self.family, family)
            && self.values.len() == values.len()
            && self
                .values
                .iter()
                .zip(values)
                .all(|(known, value)| &**known == *value)
    }
}

impl Known {
    pub(crate) fn new(target: TargetRef, base: Labels) -> Self {
        Self {
            target,
            base,
            entries: Vec::new(),
            index: HashMap::new(),
            hasher: RandomState::new(),
            round: 0,
            last: None,
            first: 0,
        }
    }

    pub(crate) fn target(&self) -> TargetRef {
        self.target
    }

    /// The store has forgotten some: all are asked for again.
    pub(crate) fn forget(&mut self) {
        self.entries.clear();
        self.index.clear();
        self.first = 0;
    }

    pub(crate) fn begin(&mut self) {
        self.round += 1;
        self.last = None;
        if self.round.is_multiple_of(ROUNDS_KEPT) {
            self.sweep();
        }
    }

    /// The series of these values; none when the store refused it.
    pub(crate) fn series(
        &mut self,
        keep: &dyn Keep,
        family: &'static Family,
        values: &[&str],
    ) -> Option<SeriesRef> {
        let expected = match self.last {
            Some(last) => self.entries.get(last).map_or(0, |entry| entry.next),
            None => self.first,
        };
        let hit = self
            .entries
            .get(expected)
            .is_some_and(|entry| entry.is(family, values));
        let at = if hit {
            expected
        } else {
            self.surprise(keep, family, values)
        };
        self.last = Some(at);
        let entry = self.entries.get_mut(at)?;
        entry.round = self.round;
        entry.series
    }

    fn surprise(&mut self, keep: &dyn Keep, family: &'static Family, values: &[&str]) -> usize {
        let hash = self.hasher.hash_one((std::ptr::from_ref(family).addr(), values));
        let known = self.index.get(&hash).and_then(|candidates| {
            let found = |at: &&usize| {
                self.entries
                    .get(**at)
                    .is_some_and(|entry| entry.is(family, values))
            };
            candidates.iter().find(found).copied()
        });
        let at = known.unwrap_or_else(|| self.learn(keep, family, values, hash));
        match self.last.and_then(|last| self.entries.get_mut(last)) {
            Some(before) => before.next = at,
            None => self.first = at,
        }
        at
    }

    fn learn(&mut self, keep: &dyn Keep, family: &'static Family, values: &[&str], hash: u64) -> usize {
        let desc = self.describe(family, values);
        let series = match keep.series(self.target, &desc) {
            Ok(series) => Some(series),
            Err(error) => {
                tracing::debug!(%error, series = %desc.labels, "series refused");
                None
            }
        };
        let at = self.entries.len();
        self.entries.push(Entry {
            family,
            values: values.iter().map(|value| Box::from(*value)).collect(),
            hash,
            series,
            next: at + 1,
            round: self.round,
        });
        self.index.entry(hash).or_default().push(at);
        at
    }

    fn describe(&self, family: &'static Family, values: &[&str]) -> SeriesDesc {
        let (name, help) = family.text(values);
        let mut labels = self.base.to_builder();
        labels.set(model::labels::METRIC_NAME, &name);
        for (label, value) in family.labels.iter().zip(values) {
            labels.set(label, value);
        }
        SeriesDesc {
            labels: labels.build(),
            kind: family.kind,
            family: name.into(),
            help: help.into(),
            unit: Arc::from(""),
        }
    }

    /// Forgets series that stayed away, as those of devices that went, and asks again for refused ones.
    fn sweep(&mut self) {
        let oldest = self.round.saturating_sub(ROUNDS_KEPT);
        self.entries
            .retain(|entry| entry.round >= oldest && entry.series.is_some());
        self.index.clear();
        for (at, entry) in self.entries.iter_mut().enumerate() {
            entry.next = at + 1;
            self.index.entry(entry.hash).or_default().push(at);
        }
        self.first = 0;
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// One round's values as they come in.
pub(crate) struct Emit<'a> {
    pub(crate) keep: &'a dyn Keep,
    pub(crate) known: &'a mut Known,
    pub(crate) series: Vec<SeriesRef>,
    pub(crate) values: Vec<f64>,
    /// Values of series that the store refused.
    pub(crate) refused: u64,
}

impl Emit<'_> {
    pub(crate) fn put(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        match self.known.series(self.keep, family, labels) {
            Some(series) => {
                self.series.push(series);
                self.values.push(value);
            }
            None => self.refused += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::TargetDesc;

    use super::*;
    use crate::recorder::Recorder;

    static SIZE: Family = Family::gauge("size", "Size.", &["device"]);
    static FREE: Family = Family::gauge("free", "Free.", &["device"]);

    fn round(known: &mut Known, keep: &Recorder, rows: &[(&'static Family, &str)]) -> Vec<SeriesRef> {
        known.begin();
        rows.iter()
            .filter_map(|(family, device)| known.series(keep, family, &[device]))
            .collect()
    }

    fn known(keep: &Recorder) -> Known {
        let target = keep.target(&TargetDesc {
            name: "node".into(),
            page: None,
            staleness: None,
        });
        Known::new(target, Labels::from_pairs([("job", "node")]))
    }

    #[test]
    fn a_series_is_asked_for_once_whatever_the_order() {
        let keep = Recorder::default();
        let mut known = known(&keep);
        let first = round(&mut known, &keep, &[(&SIZE, "a"), (&FREE, "a"), (&SIZE, "b")]);
        let second = round(&mut known, &keep, &[(&SIZE, "b"), (&SIZE, "a"), (&FREE, "a")]);
        assert_eq!(second, [first[2], first[0], first[1]]);
        assert_eq!(keep.asked(), 3);
    }

    #[test]
    fn a_refused_series_is_asked_for_again_after_a_while() {
        let keep = Recorder::default();
        keep.limit(1);
        let mut known = known(&keep);
        assert_eq!(round(&mut known, &keep, &[(&SIZE, "a"), (&SIZE, "b")]).len(), 1);
        keep.limit(10);
        for _ in 0..ROUNDS_KEPT {
            round(&mut known, &keep, &[(&SIZE, "a"), (&SIZE, "b")]);
        }
        assert_eq!(round(&mut known, &keep, &[(&SIZE, "a"), (&SIZE, "b")]).len(), 2);
    }

    #[test]
    fn devices_that_went_away_are_forgotten() {
        let keep = Recorder::default();
        let mut known = known(&keep);
        for nth in 0..1_000 {
            round(
                &mut known,
                &keep,
                &[(&SIZE, "eth0"), (&SIZE, &format!("veth{nth}"))],
            );
        }
        assert!(known.len() <= 2 * ROUNDS_KEPT as usize + 1, "{}", known.len());
    }
}
