//! The newest exemplars of all series, so many in all: a ring, so that what is kept does not depend on who sends most
//! series.
//!
//! Refused is what Prometheus refuses (tsdb/exemplar.go there): what is older than the newest of its series, and labels
//! that are too long. The newest once more is nothing new: a target shows the same one in every scrape.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use blocks::matching::Ready;
use hashbrown::HashMap;
use model::exemplar::LABELS_LETTERS_MAX;
use model::{Exemplar, Exemplars, Labels, Matcher, NoExemplar, SelectError, Timestamp};
use parking_lot::Mutex;
use prometheus::{Gauge, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge};

use crate::store::Store;

/// As far as samples may be.
const AHEAD: Duration = Duration::from_mins(10);

#[derive(Debug)]
pub(crate) struct Ring {
    most: usize,
    held: Mutex<Held>,
    accounts: Accounts,
}

/// Grows as they come.
#[derive(Debug, Default)]
struct Held {
    /// Oldest first.
    by_series: HashMap<Labels, VecDeque<Exemplar>>,
    /// Whose came when, oldest first: each exemplar is in here once.
    order: VecDeque<Labels>,
}

/// By Prometheus' names, and a reason for each that is refused.
#[derive(Debug)]
struct Accounts {
    appended: IntCounter,
    held: Gauge,
    series: Gauge,
    oldest: Gauge,
    out_of_order: IntCounter,
    refused: IntCounterVec,
}

impl Ring {
    pub(crate) fn new(most: usize, registry: &Registry) -> Self {
        let accounts = Accounts::new(registry);
        gauge(
            registry,
            "prometheus_tsdb_exemplar_max_exemplars",
            "Most exemplars held at a time.",
        )
        .set(most as f64);
        Self {
            most,
            held: Mutex::default(),
            accounts,
        }
    }

    /// `series` is asked for its labels where one may be kept.
    pub(crate) fn add(
        &self,
        series: impl FnOnce() -> Option<Labels>,
        exemplar: Exemplar,
        now: Timestamp,
    ) -> Result<(), NoExemplar> {
        let done = self.take(series, exemplar, now);
        match done {
            Ok(()) => self.accounts.appended.inc(),
            Err(why) => {
                self.accounts.refused.with_label_values(&[why.reason()]).inc();
                if why == NoExemplar::OutOfOrder {
                    self.accounts.out_of_order.inc();
                }
            }
        }
        done
    }

    fn take(
        &self,
        series: impl FnOnce() -> Option<Labels>,
        exemplar: Exemplar,
        now: Timestamp,
    ) -> Result<(), NoExemplar> {
        if self.most == 0 {
            return Err(NoExemplar::Off);
        }
        if exemplar.time > now + AHEAD {
            return Err(NoExemplar::OutOfBounds);
        }
        if letters(&exemplar.labels) > LABELS_LETTERS_MAX {
            return Err(NoExemplar::TooLong);
        }
        let series = series().ok_or(NoExemplar::UnknownSeries)?;
        let mut held = self.held.lock();
        let of = held.by_series.entry(series.clone()).or_default();
        match of.back() {
            Some(newest) if newest.repeats(&exemplar) => return Err(NoExemplar::Duplicate),
            Some(newest) if order(&exemplar, newest) == Ordering::Less => {
                return Err(NoExemplar::OutOfOrder);
            }
            _ => {}
        }
        of.push_back(exemplar);
        held.order.push_back(series);
        if held.order.len() > self.most {
            held.forget_oldest();
        }
        self.accounts.show(&held);
        Ok(())
    }

    /// Each list of matchers is one way to be asked for.
    fn select(
        &self,
        selectors: &[Vec<Matcher>],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SelectError> {
        let ready: Result<Vec<Vec<Ready>>, _> =
            selectors.iter().map(|matchers| Ready::all(matchers)).collect();
        let ready = ready?;
        let fits = |labels: &Labels| {
            ready
                .iter()
                .any(|all| all.iter().all(|one| one.accepts(labels.value(&one.name))))
        };
        let held = self.held.lock();
        let mut found: Vec<(Labels, Vec<Exemplar>)> = Vec::new();
        for (labels, all) in &held.by_series {
            let within = all.iter().filter(|one| start <= one.time && one.time <= end);
            let mut within = within.peekable();
            if within.peek().is_some() && fits(labels) {
                found.push((labels.clone(), within.cloned().collect()));
            }
        }
        drop(held);
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }
}

impl Held {
    fn forget_oldest(&mut self) {
        let Some(series) = self.order.pop_front() else {
            return;
        };
        let Some(of) = self.by_series.get_mut(&series) else {
            return;
        };
        of.pop_front();
        if of.is_empty() {
            self.by_series.remove(&series);
        }
    }
}

impl Exemplars for Store {
    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SelectError> {
        self.exemplars.select(selectors, start, end)
    }
}

impl Accounts {
    fn new(registry: &Registry) -> Self {
        let c = |name, help| counter(registry, name, help);
        let g = |name, help| gauge(registry, name, help);
        let refused = counters(
            registry,
            "skopos_store_exemplars_refused_total",
            "Exemplars that were handed in and not kept.",
            &["reason"],
        );
        // There from the start, since a counter that appears with its first drop hides that drop from `increase`.
        for why in NoExemplar::ALL {
            refused.with_label_values(&[why.reason()]);
        }
        Self {
            appended: c(
                "prometheus_tsdb_exemplar_exemplars_appended_total",
                "Exemplars kept.",
            ),
            held: g(
                "prometheus_tsdb_exemplar_exemplars_in_storage",
                "Exemplars held now.",
            ),
            series: g(
                "prometheus_tsdb_exemplar_series_with_exemplars_in_storage",
                "Series of which exemplars are held now.",
            ),
            oldest: g(
                "prometheus_tsdb_exemplar_last_exemplars_timestamp_seconds",
                "Time of the exemplar that was taken longest ago of those held.",
            ),
            out_of_order: c(
                "prometheus_tsdb_exemplar_out_of_order_exemplars_total",
                "Exemplars refused because there was a newer one of their series.",
            ),
            refused,
        }
    }

    fn show(&self, held: &Held) {
        self.held.set(held.order.len() as f64);
        self.series.set(held.by_series.len() as f64);
        let oldest = held.order.front().and_then(|series| held.by_series.get(series));
        if let Some(oldest) = oldest.and_then(VecDeque::front) {
            self.oldest.set(oldest.time.seconds());
        }
    }
}

/// Letters, not bytes.
fn letters(labels: &Labels) -> usize {
    labels
        .iter()
        .map(|(name, value)| name.chars().count() + value.chars().count())
        .sum()
}

/// By time, then value, then labels.
fn order(one: &Exemplar, other: &Exemplar) -> Ordering {
    let key = |exemplar: &Exemplar| exemplar.time;
    key(one)
        .cmp(&key(other))
        .then(one.value.total_cmp(&other.value))
        .then_with(|| one.labels.cmp(&other.labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemplar(trace: &str, time: i64, value: f64) -> Exemplar {
        Exemplar {
            labels: Labels::from_pairs([("trace_id", trace)]),
            value,
            time: Timestamp(time),
            timed: true,
        }
    }

    fn series(name: &str) -> Labels {
        Labels::from_pairs([("__name__", name)])
    }

    fn add(ring: &Ring, name: &str, exemplar: Exemplar) -> Result<(), NoExemplar> {
        ring.add(|| Some(series(name)), exemplar, Timestamp(0))
    }

    fn all(ring: &Ring) -> Vec<(String, Vec<i64>)> {
        let found = ring
            .select(&[Vec::new()], Timestamp::MIN, Timestamp::MAX)
            .unwrap();
        let times = |all: Vec<Exemplar>| all.iter().map(|one| one.time.0).collect();
        found
            .into_iter()
            .map(|(labels, all)| (labels.name().to_owned(), times(all)))
            .collect()
    }

    #[test]
    fn the_oldest_of_all_series_give_way() {
        let ring = Ring::new(3, &Registry::new());
        add(&ring, "a", exemplar("1", 10, 1.0)).unwrap();
        add(&ring, "b", exemplar("2", 5, 1.0)).unwrap();
        add(&ring, "b", exemplar("3", 6, 1.0)).unwrap();
        add(&ring, "b", exemplar("4", 7, 1.0)).unwrap();
        assert_eq!(all(&ring), [("b".to_owned(), vec![5, 6, 7])]);
        add(&ring, "a", exemplar("5", 11, 1.0)).unwrap();
        assert_eq!(
            all(&ring),
            [("a".to_owned(), vec![11]), ("b".to_owned(), vec![6, 7])]
        );
        assert_eq!(ring.accounts.held.get(), 3.0);
        assert_eq!(ring.accounts.series.get(), 2.0);
        assert_eq!(ring.accounts.oldest.get(), 0.006);
    }

    #[test]
    fn what_repeats_is_old_or_long_is_refused_and_counted() {
        let ring = Ring::new(9, &Registry::new());
        let mut untimed = exemplar("1", 10, 1.0);
        untimed.timed = false;
        add(&ring, "a", untimed.clone()).unwrap();
        untimed.time = Timestamp(20);
        assert_eq!(add(&ring, "a", untimed), Err(NoExemplar::Duplicate));
        add(&ring, "a", exemplar("2", 20, 3.0)).unwrap();
        for (why, late) in [
            (NoExemplar::Duplicate, exemplar("2", 20, 3.0)),
            (NoExemplar::OutOfOrder, exemplar("1", 19, 9.0)),
            (NoExemplar::OutOfOrder, exemplar("9", 20, 2.0)),
            (NoExemplar::OutOfOrder, exemplar("1", 20, 3.0)),
            (NoExemplar::OutOfBounds, exemplar("1", 600_001, 1.0)),
            (NoExemplar::TooLong, exemplar(&"ä".repeat(121), 30, 1.0)),
        ] {
            assert_eq!(add(&ring, "a", late.clone()), Err(why), "{late:?}");
        }
        // `trace_id` has eight letters, and an umlaut is one.
        add(&ring, "a", exemplar(&"ä".repeat(120), 30, 1.0)).unwrap();
        let unknown = ring.add(|| None, exemplar("1", 1, 1.0), Timestamp(0));
        assert_eq!(unknown, Err(NoExemplar::UnknownSeries));
        assert_eq!(all(&ring), [("a".to_owned(), vec![10, 20, 30])]);
        assert_eq!(ring.accounts.out_of_order.get(), 3);
        let duplicates = ring.accounts.refused.with_label_values(&["duplicate"]).get();
        assert_eq!((ring.accounts.appended.get(), duplicates), (3, 2));
        assert_eq!(
            add(&Ring::new(0, &Registry::new()), "a", exemplar("1", 1, 1.0)),
            Err(NoExemplar::Off)
        );
    }

    #[test]
    fn selectors_are_ways_to_be_asked_for_and_both_ends_are_in() {
        let ring = Ring::new(9, &Registry::new());
        for (name, time) in [("a", 1), ("b", 2), ("c", 3)] {
            add(&ring, name, exemplar("x", time, 1.0)).unwrap();
        }
        let by = |op, value: &str| vec![Matcher::new("__name__", op, value)];
        let ask = |selectors: &[Vec<Matcher>], start, end| {
            let found = ring.select(selectors, Timestamp(start), Timestamp(end));
            found.map(|found| {
                found
                    .iter()
                    .map(|(labels, _)| labels.name().to_owned())
                    .collect::<String>()
            })
        };
        let either = [by(model::MatchOp::Equal, "a"), by(model::MatchOp::Matches, "c|d")];
        assert_eq!(ask(&either, 0, 9).unwrap(), "ac");
        assert_eq!(ask(&either, 1, 2).unwrap(), "a");
        assert_eq!(ask(&either, 3, 3).unwrap(), "c");
        assert_eq!(ask(&[by(model::MatchOp::NotEqual, "a")], 0, 9).unwrap(), "bc");
        assert!(ask(&[by(model::MatchOp::Matches, "(")], 0, 9).is_err());
    }
}
