//! Which label sets are the same for a purpose: grouping, matching, or being one and the same series.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};
use model::Labels;
use model::labels::METRIC_NAME;

use super::grid::{Head, Names, names_metric};

/// The labels that count.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Only those named, or all but those named.
    only: bool,
    names: Vec<Box<str>>,
}

impl Key {
    pub(crate) fn only(names: &[String]) -> Self {
        Self {
            only: true,
            names: names.iter().map(|name| name.as_str().into()).collect(),
        }
    }

    /// All but `names` and the metric's name.
    pub(crate) fn without(names: &[String]) -> Self {
        Self {
            only: false,
            names: names
                .iter()
                .map(String::as_str)
                .chain([METRIC_NAME])
                .map(Into::into)
                .collect(),
        }
    }

    /// All but one label; the metric's name counts.
    pub(crate) fn except(name: &str) -> Self {
        Self {
            only: false,
            names: vec![name.into()],
        }
    }

    pub(crate) fn whole() -> Self {
        Self {
            only: false,
            names: Vec::new(),
        }
    }

    /// Whether the metric's name counts.
    pub(crate) fn sees_name(&self) -> bool {
        self.counts(METRIC_NAME)
    }

    fn counts(&self, name: &str) -> bool {
        self.names.iter().any(|known| **known == *name) == self.only
    }

    fn pairs<'l>(&'l self, labels: &'l Labels, hide_name: bool) -> impl Iterator<Item = (&'l str, &'l str)> {
        labels
            .iter()
            .filter(move |(name, _)| self.counts(name) && !(hide_name && names_metric(name)))
    }

    /// The labels that count, as a label set.
    pub(crate) fn labels(&self, names: Names, head: &Head) -> Labels {
        let hidden = names.hides(head);
        head.labels
            .retain(|name| self.counts(name) && !(hidden && names_metric(name)))
    }
}

/// Gives equal label sets equal numbers, counting from 0.
pub(crate) struct Interner<'h> {
    key: &'h Key,
    names: Names,
    hashes: DefaultHashBuilder,
    table: HashTable<(u64, usize)>,
    /// The first of each number.
    first: Vec<&'h Head>,
}

impl<'h> Interner<'h> {
    pub(crate) fn new(key: &'h Key, names: Names) -> Self {
        Self {
            key,
            names,
            hashes: DefaultHashBuilder::default(),
            table: HashTable::new(),
            first: Vec::new(),
        }
    }

    pub(crate) fn number(&mut self, head: &'h Head) -> usize {
        let (hash, found) = self.look_up(head);
        if let Some(number) = found {
            return number;
        }
        let number = self.first.len();
        self.first.push(head);
        self.table.insert_unique(hash, (hash, number), |(hash, _)| *hash);
        number
    }

    /// The number, if an equal label set has one.
    pub(crate) fn find(&self, head: &Head) -> Option<usize> {
        self.look_up(head).1
    }

    fn look_up(&self, head: &Head) -> (u64, Option<usize>) {
        let (key, names) = (self.key, self.names);
        let hidden = names.hides(head);
        let mut hasher = self.hashes.build_hasher();
        for pair in key.pairs(&head.labels, hidden) {
            pair.hash(&mut hasher);
        }
        let hash = hasher.finish();
        let found = self.table.find(hash, |(known, number)| {
            *known == hash
                && self.first.get(*number).is_some_and(|first| {
                    key.pairs(&first.labels, names.hides(first))
                        .eq(key.pairs(&head.labels, hidden))
                })
        });
        (hash, found.map(|(_, number)| *number))
    }

    /// The first label set of each number, in order.
    pub(crate) fn first(&self) -> &[&'h Head] {
        &self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Names = Names { delayed: false };

    fn head(pairs: &[(&str, &str)]) -> Head {
        Head::new(Labels::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn grouping_sees_only_its_labels() {
        let heads = [
            head(&[("__name__", "a"), ("x", "1"), ("y", "1")]),
            head(&[("__name__", "b"), ("x", "1"), ("y", "2")]),
            head(&[("y", "2")]),
        ];
        let numbers = |key: &Key| {
            let mut interner = Interner::new(key, NOW);
            heads.iter().map(|head| interner.number(head)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&Key::only(&["x".to_owned()])), [0, 0, 1]);
        assert_eq!(numbers(&Key::without(&["y".to_owned()])), [0, 0, 1]);
        assert_eq!(numbers(&Key::only(&["y".to_owned()])), [0, 1, 1]);
        assert_eq!(numbers(&Key::only(&[])), [0, 0, 0]);
        assert_eq!(numbers(&Key::whole()), [0, 1, 2]);
    }

    #[test]
    fn a_dropped_name_does_not_count() {
        let key = Key::whole();
        let heads = [head(&[("__name__", "a")]), head(&[("__name__", "b")])].map(|head| Head {
            nameless: true,
            ..head
        });
        let mut now = Interner::new(&key, NOW);
        assert_eq!([now.number(&heads[0]), now.number(&heads[1])], [0, 0]);
        let mut later = Interner::new(&key, Names { delayed: true });
        assert_eq!([later.number(&heads[0]), later.number(&heads[1])], [0, 1]);
    }
}
