//! The series that answer a question, and how that list follows the index: of what came and went only that is looked at.

use std::sync::Arc;

use model::{Labels, SeriesRef};

use crate::index::Index;
use crate::reference;

#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) labels: Labels,
    pub(crate) series: SeriesRef,
    /// Its number in the index.
    pub(crate) id: u32,
    /// In a sorted list: it says the same labels as the one before, so that nobody has to look at them again.
    pub(crate) repeats: bool,
}

#[derive(Debug)]
pub(crate) struct Picked {
    /// Sorted, each once.
    pub(crate) labels: Arc<[Labels]>,
    /// Those of one target follow each other in the order in which the target has them, since labels are in quite another
    /// order, and samples would be gathered from all over the memory.
    pub(crate) series: Box<[Spot]>,
}

/// A series of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) series: SeriesRef,
    /// Where its labels are.
    pub(crate) place: u32,
    id: u32,
}

/// What has come and gone since an answer was given.
pub(crate) enum Change {
    Nothing(Arc<Picked>),
    Some {
        old: Arc<Picked>,
        /// Of each of its series, whether it is still there.
        stays: Vec<bool>,
        came: Vec<Pick>,
    },
    All(Vec<Pick>),
}

impl Change {
    /// For an answer that is the first.
    pub(crate) fn all(ids: &[u32], index: &Index) -> Self {
        Self::All(ids.iter().filter_map(|id| index.pick(*id)).collect())
    }

    /// For an answer that was given before, and now is `ids`.
    pub(crate) fn since(old: Arc<Picked>, ids: &[u32], index: &Index) -> Self {
        let mut known = vec![false; ids.len()];
        let mut stays = |spot: &Spot| {
            // A number that was given out again is another series.
            let at = ids.binary_search(&spot.id).ok();
            let at = at.filter(|_| index.series(spot.id) == Some(spot.series));
            match at.and_then(|at| known.get_mut(at)) {
                Some(known) => {
                    *known = true;
                    true
                }
                None => false,
            }
        };
        let stays: Vec<bool> = old.series.iter().map(&mut stays).collect();
        let new = ids.iter().zip(&known).filter(|(_, known)| !**known);
        let came: Vec<Pick> = new.filter_map(|(id, _)| index.pick(*id)).collect();
        if came.is_empty() && stays.iter().all(|stays| *stays) {
            return Self::Nothing(old);
        }
        Self::Some { old, stays, came }
    }

    /// The answer as it is now; the very same when nothing has changed.
    pub(crate) fn made(self) -> Arc<Picked> {
        match self {
            Self::Nothing(old) => old,
            Self::Some { old, stays, came } => Arc::new(old.changed(&stays, came)),
            Self::All(came) => {
                let nothing = Picked {
                    labels: Arc::default(),
                    series: Box::default(),
                };
                Arc::new(nothing.changed(&[], came))
            }
        }
    }
}

impl Picked {
    fn changed(&self, stays: &[bool], mut came: Vec<Pick>) -> Self {
        sort(&mut came);
        let left = || self.series.iter().zip(stays).filter(|(_, stays)| **stays);
        let mut used = vec![false; self.labels.len()];
        for (spot, _) in left() {
            if let Some(used) = used.get_mut(spot.place as usize) {
                *used = true;
            }
        }
        let mut merging = Merging {
            old: &self.labels,
            used: &used,
            next: 0,
            moved: vec![u32::MAX; self.labels.len()],
            labels: Vec::with_capacity(self.labels.len() + came.len()),
        };
        let mut series: Vec<Spot> = came
            .into_iter()
            .map(|pick| Spot {
                series: pick.series,
                place: merging.place(pick.labels, pick.repeats),
                id: pick.id,
            })
            .collect();
        merging.take_old(self.labels.len());
        series.extend(left().map(|(spot, _)| {
            Spot {
                place: merging
                    .moved
                    .get(spot.place as usize)
                    .copied()
                    .unwrap_or(u32::MAX),
                ..*spot
            }
        }));
        series.sort_unstable_by_key(|spot| (reference::target(spot.series), reference::slot(spot.series)));
        Self {
            labels: merging.labels.into(),
            series: series.into(),
        }
    }
}

/// Puts sorted label sets between those that were there.
struct Merging<'a> {
    old: &'a [Labels],
    used: &'a [bool],
    /// Old ones before this have been taken, or left out.
    next: usize,
    /// Where the old ones have gone.
    moved: Vec<u32>,
    labels: Vec<Labels>,
}

impl Merging<'_> {
    fn take_old(&mut self, until: usize) {
        while self.next < until {
            if let (Some(true), Some(labels)) = (self.used.get(self.next), self.old.get(self.next)) {
                let place = self.push(labels.clone());
                if let Some(moved) = self.moved.get_mut(self.next) {
                    *moved = place;
                }
            }
            self.next += 1;
        }
    }

    /// Where the next new one belongs, which may be where an old one is.
    fn place(&mut self, labels: Labels, repeats: bool) -> u32 {
        if repeats {
            return u32::try_from(self.labels.len().saturating_sub(1)).unwrap_or(u32::MAX);
        }
        let at = self.old.partition_point(|old| *old < labels);
        self.take_old(at);
        if self.old.get(at) == Some(&labels) && self.used.get(at) == Some(&true) {
            self.take_old(at + 1);
            return self.moved.get(at).copied().unwrap_or(u32::MAX);
        }
        self.push(labels)
    }

    fn push(&mut self, labels: Labels) -> u32 {
        self.labels.push(labels);
        u32::try_from(self.labels.len() - 1).unwrap_or(u32::MAX)
    }
}

pub(crate) fn sort(picks: &mut [Pick]) {
    picks.sort_unstable_by(|a, b| a.labels.cmp(&b.labels).then(a.series.cmp(&b.series)));
    let mut before: Option<&Labels> = None;
    for pick in picks {
        pick.repeats = before == Some(&pick.labels);
        before = Some(&pick.labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::History;
    use model::TargetRef;
    use proptest::prelude::*;

    fn shown(picked: &Picked) -> Vec<(SeriesRef, String)> {
        let labels = |spot: &Spot| picked.labels[spot.place as usize].to_string();
        picked
            .series
            .iter()
            .map(|spot| (spot.series, labels(spot)))
            .collect()
    }

    proptest! {
        #[test]
        fn an_answer_that_followed_is_the_answer_anew(
            before in prop::collection::vec((0..30_u32, 0..3_u32), 0..40),
            gone in prop::collection::vec(0..40_u32, 0..20),
            after in prop::collection::vec((0..30_u32, 0..3_u32), 0..20),
        ) {
            let mut index = Index::new(History::Full);
            let mut slots = 0..;
            let mut insert = |index: &mut Index, (value, target): (u32, u32)| {
                let labels = Labels::from_pairs([("a", value.to_string())]);
                if index.find(&labels, TargetRef(target)).own.is_none() {
                    let slot = slots.next().unwrap_or_default();
                    index.insert(&labels, reference::make(TargetRef(target), 0, slot));
                }
            };
            before.iter().for_each(|series| insert(&mut index, *series));
            let ids = index.ids(&[]);
            let old = Change::all(&ids, &index).made();
            let same = Change::since(old.clone(), &ids, &index).made();
            prop_assert!(Arc::ptr_eq(&old, &same));
            index.remove(&gone);
            after.iter().for_each(|series| insert(&mut index, *series));
            let ids = index.ids(&[]);
            let (wanted, followed) = (Change::all(&ids, &index).made(), Change::since(old, &ids, &index).made());
            prop_assert!(followed.labels.is_sorted_by(|one, next| one < next));
            prop_assert_eq!(shown(&followed), shown(&wanted));
            prop_assert_eq!(&followed.labels, &wanted.labels);
        }
    }
}
