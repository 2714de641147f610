//! What a query took, counted as Prometheus counts it (util/stats/query_stats.go there).

use std::cell::RefCell;
use std::time::Duration;

use model::Timestamp;

/// What of a query is counted, besides its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    #[default]
    Nothing,
    /// Everything but the steps.
    Whole,
    /// The samples of each step, too.
    Steps,
}

/// What a query took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Until the expression was parsed.
    pub preparing: Duration,
    /// To read and evaluate.
    pub evaluating: Duration,
    /// To put the answer in order.
    pub sorting: Duration,
    /// Samples that selectors saw: for an instant one those it gives at each step, for a range those in each window,
    /// however often the same ones are seen. Of a subquery its results count so, and not what they were made of.
    pub samples: u64,
    /// The same for each step, where that is counted.
    pub by_step: Vec<(Timestamp, u64)>,
    /// Most samples and results that were held at a time, as [`crate::Options::samples_max`] counts them.
    pub peak: usize,
}

/// Samples seen so far, by steps; none while nobody counts.
#[derive(Default)]
pub(crate) struct Tally(RefCell<Option<Vec<u64>>>);

impl Tally {
    pub(crate) fn new(count: Count) -> Self {
        Self(RefCell::new((count != Count::Nothing).then(Vec::new)))
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn add(&self, step: usize, samples: usize) {
        let mut tally = self.0.borrow_mut();
        let Some(by_step) = tally.as_mut() else { return };
        if by_step.len() <= step {
            by_step.resize(step + 1, 0);
        }
        if let Some(sum) = by_step.get_mut(step) {
            *sum += samples as u64;
        }
    }

    /// What `run` sees is not counted here but given with what it returns.
    pub(crate) fn aside<T>(&self, run: impl FnOnce() -> T) -> (T, usize) {
        let outer = self.0.take();
        if outer.is_none() {
            return (run(), 0);
        }
        self.0.replace(Some(Vec::new()));
        let done = run();
        let inner = self.0.replace(outer).unwrap_or_default();
        (done, inner.iter().sum::<u64>() as usize)
    }

    pub(crate) fn into_steps(self) -> Vec<u64> {
        self.0.into_inner().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_aside_is_counted_by_who_asked() {
        let tally = Tally::new(Count::Steps);
        tally.add(2, 3);
        let (found, aside) = tally.aside(|| {
            tally.add(7, 10);
            tally.aside(|| tally.add(0, 100)).1
        });
        assert_eq!((found, aside), (100, 10));
        tally.add(0, 1);
        assert_eq!(tally.into_steps(), [1, 0, 3]);

        let none = Tally::new(Count::Nothing);
        none.add(0, 1);
        assert_eq!(none.aside(|| none.add(0, 1)).1, 0);
        assert!(!none.is_wanted() && none.into_steps().is_empty());
    }
}
