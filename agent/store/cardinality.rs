//! Counts what the label index holds: where so many series come from.

use std::cmp::Reverse;

use hashbrown::HashMap;
use model::Timestamp;
use model::labels::METRIC_NAME;
use model::view::{Cardinality, Counted};

use crate::index::Index;
use crate::store::Store;

/// Series by their pairs: label, value, how many.
#[derive(Default)]
pub(crate) struct Tally {
    by_metric: Vec<Counted>,
    values_by_label: HashMap<Box<str>, (u64, u64)>,
    by_pair: Vec<Counted>,
    pairs: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, name: &str, value: &str, series: u64) {
        self.pairs += 1;
        let (values, bytes) = match self.values_by_label.get_mut(name) {
            Some(known) => known,
            None => self.values_by_label.entry(name.into()).or_default(),
        };
        *values += 1;
        *bytes += value.len() as u64 * series;
        if name == METRIC_NAME {
            self.by_metric.push(counted(value.to_owned(), series));
        }
        self.by_pair.push(counted(format!("{name}={value}"), series));
    }
}

fn counted(name: String, value: u64) -> Counted {
    Counted { name, value }
}

/// The greatest, and by name among equals.
fn top(mut all: Vec<Counted>, most: usize) -> Vec<Counted> {
    let order = |one: &Counted| (Reverse(one.value), one.name.clone());
    all.sort_by_cached_key(order);
    all.truncate(most);
    all
}

impl Store {
    /// Looks at every label there is, with `most` entries of each list to show. Commits of new series wait meanwhile.
    #[must_use]
    pub fn cardinality(&self, most: usize) -> Cardinality {
        let (series, tally) = {
            let index = self.index.read();
            (index.len() as u64, index.tally())
        };
        // What is still open is one piece of each series.
        let (mut chunks, mut newest) = (series, Timestamp::MIN);
        for target in self.all_targets() {
            let state = target.state.lock();
            let blocks = state.blocks.iter().map(|block| block.series() as u64);
            chunks += blocks.sum::<u64>();
            newest = newest.max(state.newest);
        }
        let labels = tally.values_by_label.iter();
        let each = |count: fn(&(u64, u64)) -> u64| {
            let all = labels
                .clone()
                .map(|(name, counts)| counted(name.to_string(), count(counts)));
            top(all.collect(), most)
        };
        Cardinality {
            series,
            pairs: tally.pairs,
            chunks,
            oldest: self.head_oldest(),
            newest: (newest > Timestamp::MIN).then_some(newest),
            values_by_label: each(|(values, _)| *values),
            bytes_by_label: each(|(_, bytes)| *bytes),
            by_metric: top(tally.by_metric, most),
            by_pair: top(tally.by_pair, most),
        }
    }
}

impl Index {
    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.each_pair(|name, value, series| tally.add(name, value, series));
        tally
    }
}
