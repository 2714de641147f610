//! The store against a map of maps that does the same in the plainest way, over random histories.

use std::collections::BTreeMap;

use model::{STALE, Timestamp, is_stale};
use proptest::prelude::*;

use crate::disk::Fake;
use crate::harness::House;

const TARGETS: [&str; 2] = ["one", "two"];
const SERIES: [&str; 5] = ["a", "b", "c x=1", "c x=2", "d"];

#[derive(Clone, Debug)]
enum Step {
    Commit {
        target: usize,
        whole: bool,
        later: i64,
        series: Vec<usize>,
        value: f64,
    },
    Rounds {
        target: usize,
        count: i64,
        series: Vec<usize>,
    },
    Retire {
        target: usize,
    },
    Restart,
    Kill,
    Maintain,
}

fn series() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..SERIES.len(), 0..SERIES.len())
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(1.0),
        Just(-2.5),
        Just(0.01),
        Just(1e15),
        Just(f64::INFINITY),
        any::<f64>()
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let target = 0..TARGETS.len();
    let later = prop_oneof![8 => 1..2000_i64, 1 => -3000..1_i64];
    prop_oneof![
        12 => (target.clone(), any::<bool>(), later, series(), value()).prop_map(
            |(target, whole, later, series, value)| Step::Commit { target, whole, later, series, value }
        ),
        3 => (target.clone(), 1..200_i64, series()).prop_map(|(target, count, series)| Step::Rounds {
            target, count, series
        }),
        1 => target.prop_map(|target| Step::Retire { target }),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        2 => Just(Step::Maintain),
    ]
}

type Samples = BTreeMap<i64, f64>;

/// What the store promises, in the plainest way.
#[derive(Default)]
struct Naive {
    /// By target and series.
    samples: BTreeMap<(usize, usize), Samples>,
    live: BTreeMap<usize, Vec<usize>>,
    last_whole: BTreeMap<usize, i64>,
}

impl Naive {
    fn last(&self, target: usize, series: usize) -> (i64, f64) {
        let last = self
            .samples
            .get(&(target, series))
            .and_then(|samples| samples.last_key_value());
        last.map_or((i64::MIN, STALE), |(time, value)| (*time, *value))
    }

    fn put(&mut self, target: usize, series: usize, time: i64, value: f64) {
        self.samples
            .entry((target, series))
            .or_default()
            .insert(time, value);
    }

    fn commit(&mut self, target: usize, whole: bool, time: i64, values: &[(usize, f64)]) {
        if whole && self.last_whole.get(&target).is_some_and(|last| time <= *last) {
            return;
        }
        if whole {
            for series in self.live.insert(target, Vec::new()).unwrap_or_default() {
                let (last, value) = self.last(target, series);
                let missing = values.iter().all(|(present, _)| *present != series);
                if missing && last < time && !is_stale(value) {
                    self.put(target, series, time, STALE);
                }
            }
            self.live
                .insert(target, values.iter().map(|(series, _)| *series).collect());
            self.last_whole.insert(target, time);
        }
        for (series, value) in values {
            if time > self.last(target, *series).0 {
                self.put(target, *series, time, *value);
            }
        }
    }

    fn retire(&mut self, target: usize, time: i64) {
        let all = 0..SERIES.len();
        let newest = all
            .clone()
            .map(|series| self.last(target, series).0)
            .max()
            .unwrap_or(time);
        let mut late = Vec::new();
        for series in all {
            let (last, value) = self.last(target, series);
            if is_stale(value) {
                continue;
            }
            if last < time {
                self.put(target, series, time, STALE)
            } else {
                late.push(series)
            }
        }
        let after = newest.saturating_add(1);
        for series in late {
            self.put(target, series, after, STALE);
        }
        self.live.remove(&target);
        self.last_whole.remove(&target);
    }

    /// As readers see it: both targets together.
    fn shown(&self, after: i64, until: i64) -> BTreeMap<String, Vec<(i64, u64)>> {
        let mut all = BTreeMap::new();
        for (series, text) in SERIES.iter().enumerate() {
            let mut joined: Samples = BTreeMap::new();
            for target in 0..TARGETS.len() {
                for (time, value) in self.samples.get(&(target, series)).into_iter().flatten() {
                    let known = joined.get(time).copied();
                    if known.is_none_or(|known| wins(*value, known)) {
                        joined.insert(*time, *value);
                    }
                }
            }
            let inside = joined
                .into_iter()
                .filter(|(time, _)| after < *time && *time <= until);
            let samples: Vec<(i64, u64)> = inside.map(|(time, value)| (time, value.to_bits())).collect();
            if !samples.is_empty() {
                all.insert(crate::harness::labels(text).to_string(), samples);
            }
        }
        all
    }
}

/// Of two targets' values at one time.
fn wins(value: f64, known: f64) -> bool {
    match (is_stale(value), is_stale(known)) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => value.total_cmp(&known).is_gt(),
    }
}

fn read(house: &House, after: i64, until: i64) -> BTreeMap<String, Vec<(i64, u64)>> {
    let range = model::TimeRange {
        after: Timestamp(after),
        until: Timestamp(until),
    };
    let all = model::Select::select(&*house.store, &[], range, usize::MAX).expect("reads");
    let labels = model::Select::labels(&*house.store, &[], range).expect("reads");
    assert!(all.iter().map(|series| &series.labels).eq(&labels));
    let samples = |series: &model::Series| {
        let pairs = series.times.iter().zip(&*series.values);
        pairs.map(|(time, value)| (time.0, value.to_bits())).collect()
    };
    all.iter()
        .map(|series| (series.labels.to_string(), samples(series)))
        .collect()
}

/// Plays the steps; returns what is left of both, and the newest time.
fn play(steps: Vec<Step>) -> (House, Naive, i64) {
    let mut house = House::new();
    let mut naive = Naive::default();
    // Each target's newest time, and the newest of all.
    let mut now = [10_000_i64; TARGETS.len()];
    for step in steps {
        match step {
            Step::Commit {
                target,
                whole,
                later,
                mut series,
                value,
            } => {
                series.sort_unstable();
                series.dedup();
                let time = now[target] + later;
                now[target] = now[target].max(time);
                let values: Vec<(usize, f64)> = series
                    .iter()
                    .map(|series| (*series, value + *series as f64))
                    .collect();
                commit(&house, &mut naive, target, whole, time, &values);
            }
            Step::Rounds {
                target,
                count,
                mut series,
            } => {
                series.sort_unstable();
                series.dedup();
                for nth in 0..count {
                    now[target] += 15;
                    let values: Vec<(usize, f64)> = series
                        .iter()
                        .map(|series| (*series, (nth * (*series as i64)) as f64 / 100.0))
                        .collect();
                    commit(&house, &mut naive, target, true, now[target], &values);
                }
            }
            Step::Retire { target } => {
                now[target] += 1;
                let of = house.target(TARGETS[target]);
                model::Keep::retire(&*house.store, of, Timestamp(now[target]));
                naive.retire(target, now[target]);
                now[target] += 1;
            }
            Step::Restart => house.restart(),
            Step::Kill => house = house.killed(),
            Step::Maintain => house.store.maintain(),
        }
    }
    (house, naive, now.iter().copied().max().unwrap_or(0))
}

fn run(steps: Vec<Step>) {
    let (mut house, naive, now) = play(steps);
    assert_eq!(read(&house, i64::MIN, i64::MAX), naive.shown(i64::MIN, i64::MAX));
    let (low, high) = (10_500, now - 700);
    assert_eq!(read(&house, low, high), naive.shown(low, high));
    house.restart();
    assert_eq!(read(&house, low, high), naive.shown(low, high));
}

/// Opens what is left after a change to one of the files; whatever is read was once written.
fn run_broken(steps: Vec<Step>, change: impl Fn(&mut Vec<(std::path::PathBuf, Vec<u8>)>)) {
    let (house, naive, now) = play(steps);
    assert!(house.store.close());
    let mut files = house.disk.files();
    change(&mut files);
    let mut house = House::on(Fake::holding(files), house.config.clone());
    let written = |target: usize, series: usize, time: i64, bits: u64| {
        let samples = naive.samples.get(&(target, series));
        samples
            .and_then(|samples| samples.get(&time))
            .is_some_and(|value| value.to_bits() == bits)
    };
    for (labels, samples) in read(&house, i64::MIN, i64::MAX) {
        let series = SERIES
            .iter()
            .position(|text| crate::harness::labels(text).to_string() == labels);
        let series = series.expect("one of ours");
        assert!(samples.is_sorted_by(|a, b| a.0 < b.0));
        for (time, bits) in samples {
            assert!(
                (0..TARGETS.len()).any(|target| written(target, series, time, bits)),
                "{labels} at {time}"
            );
        }
    }
    // And it goes on from there.
    let of = house.target(TARGETS[0]);
    assert_eq!(house.whole(of, now + 5, &[("a", 1.0), ("new", 2.0)]).kept, 2);
    let all = house.all();
    house.restart();
    assert_eq!(house.all(), all);
}

fn commit(house: &House, naive: &mut Naive, target: usize, whole: bool, time: i64, values: &[(usize, f64)]) {
    let of = house.target(TARGETS[target]);
    let texts: Vec<(&str, f64)> = values
        .iter()
        .map(|(series, value)| (SERIES[*series], *value))
        .collect();
    let kept = if whole {
        house.whole(of, time, &texts)
    } else {
        house.part(of, time, &texts)
    };
    assert_eq!(
        kept.kept + kept.out_of_order + kept.duplicate + kept.unknown,
        values.len()
    );
    naive.commit(target, whole, time, values);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_read_as_the_naive_model_says(steps in prop::collection::vec(step(), 1..40)) {
        run(steps);
    }

    #[test]
    fn a_torn_tail_costs_only_what_stood_there(steps in prop::collection::vec(step(), 1..25), cut in 0..3000_usize) {
        run_broken(steps, |files| {
            if let Some((_, bytes)) = files.last_mut() {
                bytes.truncate(bytes.len().saturating_sub(cut));
            }
        });
    }

    #[test]
    fn a_changed_byte_anywhere_brings_nothing_that_was_not_written(
        steps in prop::collection::vec(step(), 1..25),
        place in any::<prop::sample::Index>(),
        with in 1..=255_u8,
    ) {
        run_broken(steps, |files| {
            let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
            if total == 0 {
                return;
            }
            let mut place = place.index(total);
            for (_, bytes) in files {
                if let Some(byte) = bytes.get_mut(place) {
                    // Its format is the one thing that may stop the store from opening.
                    *byte ^= if (8..12).contains(&place) { 0 } else { with };
                    return;
                }
                place -= bytes.len();
            }
        });
    }
}
