//! The store against a map of maps that does the same in the plainest way, over random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Describe, STALE, TargetRef, Timestamp, is_stale};
use proptest::prelude::*;

use crate::disk::Fake;
use crate::feeding::Basket;
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
    Say {
        target: usize,
        ahead: i64,
        series: Vec<usize>,
        value: f64,
    },
    Settle {
        target: usize,
        ahead: i64,
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
        Just(STALE),
        any::<f64>()
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let target = 0..TARGETS.len();
    let later = prop_oneof![6 => 1..2000_i64, 3 => 2000..50_000_i64, 1 => -3000..1_i64];
    let ahead = -2000..60_000_i64;
    prop_oneof![
        12 => (target.clone(), any::<bool>(), later, series(), value()).prop_map(
            |(target, whole, later, series, value)| Step::Commit { target, whole, later, series, value }
        ),
        3 => (target.clone(), 1..200_i64, series()).prop_map(|(target, count, series)| Step::Rounds {
            target, count, series
        }),
        5 => (target.clone(), ahead.clone(), series(), value()).prop_map(
            |(target, ahead, series, value)| Step::Say { target, ahead, series, value }
        ),
        1 => (target.clone(), ahead).prop_map(|(target, ahead)| Step::Settle { target, ahead }),
        1 => target.prop_map(|target| Step::Retire { target }),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        2 => Just(Step::Maintain),
    ]
}

type Samples = BTreeMap<i64, f64>;
type Shown = BTreeMap<String, Vec<(i64, u64)>>;

/// What the store promises, in the plainest way.
#[derive(Default)]
struct Naive {
    /// By target and series.
    samples: BTreeMap<(usize, usize), Samples>,
    provisional: BTreeMap<(usize, usize), Samples>,
    /// Whatever stood there at some time: series, time, bits.
    ever: BTreeSet<(usize, i64, u64)>,
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
        self.ever.insert((series, time, value.to_bits()));
        self.samples
            .entry((target, series))
            .or_default()
            .insert(time, value);
    }

    fn say(&mut self, target: usize, time: i64, values: &[(usize, f64)]) {
        for (series, value) in values {
            if time > self.last(target, *series).0 {
                self.ever.insert((*series, time, value.to_bits()));
                let points = self.provisional.entry((target, *series)).or_default();
                points.insert(time, *value);
            }
        }
    }

    /// Takes the points of a series before `time`, and of these returns the ones whose gap is there.
    fn decided(&mut self, target: usize, series: usize, time: i64) -> Samples {
        let last = self.last(target, series).0;
        let points = self.provisional.entry((target, series)).or_default();
        let later = points.split_off(&time);
        let before = std::mem::replace(points, later);
        let gap = |time: &i64| last < time - 20_000;
        before.into_iter().filter(|(time, _)| gap(time)).collect()
    }

    /// A sample of a series is about to come.
    fn make_way(&mut self, target: usize, series: usize, time: i64) {
        for (at, value) in self.decided(target, series, time) {
            self.put(target, series, at, value);
        }
        self.provisional
            .entry((target, series))
            .or_default()
            .remove(&time);
    }

    fn settle(&mut self, target: usize, before: i64) {
        for series in 0..SERIES.len() {
            let points = self.provisional.entry((target, series)).or_default();
            let later = points.split_off(&before);
            for (at, value) in std::mem::replace(points, later) {
                self.put(target, series, at, value);
            }
        }
    }

    fn points(&self) -> usize {
        self.provisional.values().map(BTreeMap::len).sum()
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
                    self.make_way(target, series, time);
                    if !is_stale(self.last(target, series).1) {
                        self.put(target, series, time, STALE);
                    }
                }
            }
            self.live
                .insert(target, values.iter().map(|(series, _)| *series).collect());
            self.last_whole.insert(target, time);
        }
        for (series, value) in values {
            if time > self.last(target, *series).0 {
                self.make_way(target, *series, time);
                self.put(target, *series, time, *value);
            }
        }
    }

    fn retire(&mut self, target: usize, time: i64) {
        let all = 0..SERIES.len();
        for series in all.clone() {
            for (at, value) in self.decided(target, series, time) {
                self.put(target, series, at, value);
            }
            self.provisional.remove(&(target, series));
        }
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
    fn shown(&self, after: i64, until: i64) -> Shown {
        self.joined([&self.samples, &self.provisional], after, until)
    }

    fn proper(&self) -> Shown {
        self.joined([&self.samples, &BTreeMap::new()], i64::MIN, i64::MAX)
    }

    fn joined(&self, of: [&BTreeMap<(usize, usize), Samples>; 2], after: i64, until: i64) -> Shown {
        let mut all = BTreeMap::new();
        for (series, text) in SERIES.iter().enumerate() {
            let mut joined: Samples = BTreeMap::new();
            for target in 0..TARGETS.len() {
                let samples = of.iter().flat_map(|kind| kind.get(&(target, series)));
                for (time, value) in samples.flatten() {
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

/// A target, a time, and a value for each of some label sets.
type Heard = (usize, i64, Vec<(String, f64)>);

/// What the store fed to whoever listened, across restarts.
struct Listener {
    basket: Arc<Basket>,
    targets: BTreeMap<TargetRef, usize>,
    heard: Vec<Heard>,
}

impl Listener {
    fn to(house: &House) -> Self {
        Self {
            basket: Basket::of(house),
            targets: BTreeMap::new(),
            heard: Vec::new(),
        }
    }

    /// Before the store goes that can say what the refs are.
    fn gather(&mut self, house: &House) {
        for fed in self.basket.take() {
            let labels = house.store.describe(&fed.series).into_iter();
            let labels = labels.map(|desc| desc.expect("nothing is forgotten").labels.to_string());
            let target = self.targets[&fed.target];
            let values = labels.zip(fed.values.iter().copied()).collect();
            self.heard.push((target, fed.time.0, values));
        }
    }

    fn change(&mut self, house: &House) {
        self.basket = Basket::of(house);
        self.targets.clear();
    }

    /// Another store that hears the same, in parts.
    fn replayed(&self) -> House {
        let house = House::new();
        for (target, time, values) in &self.heard {
            let of = house.target(TARGETS[*target]);
            let texts: Vec<(&str, f64)> = values
                .iter()
                .map(|(labels, value)| (text_of(labels), *value))
                .collect();
            assert_eq!(house.part(of, *time, &texts).kept, texts.len(), "in order");
        }
        house
    }
}

fn text_of(labels: &str) -> &'static str {
    let same = |text: &&str| crate::harness::labels(text).to_string() == labels;
    SERIES.into_iter().find(same).expect("one of ours")
}

fn read(house: &House, after: i64, until: i64) -> Shown {
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

/// Plays the steps; returns what is left of all three, and the newest time.
fn play(steps: Vec<Step>) -> (House, Naive, Listener, i64) {
    let mut house = House::new();
    let mut listener = Listener::to(&house);
    let mut naive = Naive::default();
    // Each target's newest time, and the newest of all.
    let mut now = [10_000_i64; TARGETS.len()];
    for step in steps {
        if let Step::Commit { target, .. }
        | Step::Rounds { target, .. }
        | Step::Say { target, .. }
        | Step::Settle { target, .. }
        | Step::Retire { target } = step
        {
            listener.targets.insert(house.target(TARGETS[target]), target);
        }
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
            Step::Say {
                target,
                ahead,
                mut series,
                value,
            } => {
                series.sort_unstable();
                series.dedup();
                let time = now[target] + ahead;
                let values: Vec<(usize, f64)> = series.iter().map(|series| (*series, value)).collect();
                let texts: Vec<(&str, f64)> = series.iter().map(|series| (SERIES[*series], value)).collect();
                let kept = house.provisional(house.target(TARGETS[target]), time, &texts);
                assert_eq!(kept.kept + kept.out_of_order + kept.duplicate, values.len());
                naive.say(target, time, &values);
            }
            Step::Settle { target, ahead } => {
                let before = now[target] + ahead;
                house
                    .store
                    .settle(house.target(TARGETS[target]), Timestamp(before));
                naive.settle(target, before);
            }
            Step::Restart => {
                listener.gather(&house);
                house.restart();
                listener.change(&house);
            }
            Step::Kill => {
                listener.gather(&house);
                house = house.killed();
                listener.change(&house);
            }
            Step::Maintain => house.store.maintain(),
        }
    }
    listener.gather(&house);
    let written = naive.ever.iter().map(|(_, time, _)| *time);
    let newest = written.chain(now).max().unwrap_or(0);
    (house, naive, listener, newest)
}

fn run(steps: Vec<Step>) {
    let (mut house, naive, listener, now) = play(steps);
    assert_eq!(house.store.ledger().in_flight, naive.points() as u64);
    assert_eq!(read(&listener.replayed(), i64::MIN, i64::MAX), naive.proper());
    assert_eq!(read(&house, i64::MIN, i64::MAX), naive.shown(i64::MIN, i64::MAX));
    let (low, high) = (10_500, now - 700);
    assert_eq!(read(&house, low, high), naive.shown(low, high));
    house.restart();
    assert_eq!(read(&house, low, high), naive.shown(low, high));
}

/// Opens what is left after a change to one of the files; whatever is read was once written.
fn run_broken(steps: Vec<Step>, change: impl Fn(&mut Vec<(std::path::PathBuf, Vec<u8>)>)) {
    let (house, naive, _, now) = play(steps);
    assert!(house.store.close());
    let mut files = house.disk.files();
    change(&mut files);
    let mut house = House::on(Fake::holding(files), house.config.clone());
    for (labels, samples) in read(&house, i64::MIN, i64::MAX) {
        let text = text_of(&labels);
        let series = SERIES.iter().position(|of| *of == text).expect("one of ours");
        assert!(samples.is_sorted_by(|a, b| a.0 < b.0));
        for (time, bits) in samples {
            assert!(naive.ever.contains(&(series, time, bits)), "{labels} at {time}");
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
                    *byte ^= with;
                    return;
                }
                place -= bytes.len();
            }
        });
    }
}
