//! What is handed on, and in which order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use model::{Column, Describe, Fed, Feed, Keep, Round, SeriesRef, TargetRef, Timestamp};

use crate::harness::{House, map, target};

/// Keeps what it is handed.
#[derive(Default)]
pub(crate) struct Basket(Mutex<Vec<Fed>>);

impl Feed for Basket {
    fn fed(&self, fed: Fed) {
        self.0.lock().unwrap().push(fed);
    }
}

impl Basket {
    pub(crate) fn of(house: &House) -> Arc<Self> {
        let basket = Arc::new(Self::default());
        assert!(house.store.feed_to(basket.clone()));
        basket
    }

    pub(crate) fn take(&self) -> Vec<Fed> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Another store that got all of it, as a receiver would: in parts, series by their descriptions.
pub(crate) fn replayed(house: &House, fed: &[Fed]) -> House {
    let other = House::new();
    let mut known: HashMap<(TargetRef, SeriesRef), SeriesRef> = HashMap::new();
    for one in fed {
        let of = other.store.target(&target(&format!("of {}", one.target.0)));
        let asked: Vec<Option<SeriesRef>> = house
            .store
            .describe(&one.series)
            .into_iter()
            .zip(&*one.series)
            .map(|(desc, series)| {
                let again = desc.map(|desc| other.store.series(of, &desc).expect("within the limits"));
                if let Some(again) = again {
                    known.insert((of, *series), again);
                }
                known.get(&(of, *series)).copied()
            })
            .collect();
        let series: Vec<SeriesRef> = asked
            .into_iter()
            .map(|series| series.expect("described"))
            .collect();
        let length = series.len();
        let kept = other.store.commit(Column {
            target: of,
            time: one.time,
            round: Round::Part,
            series,
            values: one.values.to_vec(),
        });
        assert_eq!(kept.kept, length, "each is later than the one before");
    }
    other
}

fn lines(fed: &[Fed]) -> Vec<String> {
    let line = |fed: &Fed| {
        let values = fed.values.iter().map(|value| match model::is_stale(*value) {
            true => "-".to_owned(),
            false => value.to_string(),
        });
        format!("{} {}", fed.time.0, values.collect::<Vec<_>>().join(" "))
    };
    fed.iter().map(line).collect()
}

#[test]
fn what_is_kept_is_handed_on_with_the_markers_before_the_round_that_caused_them() {
    let house = House::new();
    let basket = Basket::of(&house);
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 2.0)]);
    house.whole(node, 20, &[("a", 3.0)]);
    house.whole(node, 20, &[("a", 4.0)]);
    house.part(node, 15, &[("a", 9.0), ("late", 5.0)]);
    house.whole(node, 30, &[]);
    house.part(node, 40, &[("a", 6.0)]);
    house.store.retire(node, Timestamp(50));
    let fed = basket.take();
    assert_eq!(
        lines(&fed),
        ["10 1 2", "20 -", "20 3", "15 5", "30 -", "40 6", "50 - -"]
    );
    assert!(
        fed.iter()
            .all(|one| one.target == node && one.series.len() == one.values.len())
    );
    assert_eq!(replayed(&house, &fed).all(), house.all());
}

#[test]
fn the_same_list_of_series_has_the_same_number_and_is_not_copied() {
    let house = House::new();
    let basket = Basket::of(&house);
    let node = house.target("node");
    for time in [10, 20, 30] {
        house.whole(node, time, &[("a", 1.0), ("b", 2.0)]);
    }
    house.whole(node, 40, &[("b", 1.0), ("a", 2.0)]);
    let fed = basket.take();
    let shapes: Vec<u64> = fed.iter().map(|one| one.shape).collect();
    assert!(shapes[0] == shapes[1] && shapes[1] == shapes[2] && shapes[2] != shapes[3]);
    assert!(Arc::ptr_eq(&fed[0].series, &fed[2].series));
}

#[test]
fn what_comes_from_the_log_is_not_handed_on_again() {
    let mut house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 2.0)]);
    house.restart();
    let basket = Basket::of(&house);
    assert!(
        !house.store.feed_to(Arc::new(Basket::default())),
        "one is all there is"
    );
    let node = house.target("node");
    house.whole(node, 20, &[("a", 2.0)]);
    assert_eq!(lines(&basket.take()), ["20 -", "20 2"]);
    assert_eq!(house.all(), map(&[("a", "10:1 20:2"), ("b", "10:2 20:-")]));
}

#[test]
fn series_are_described_in_the_order_asked_and_forgotten_ones_are_none() {
    let house = House::new();
    let (node, other) = (house.target("node"), house.target("other"));
    let (a, b, c) = (
        house.series(node, "a x=1"),
        house.series(other, "b"),
        house.series(node, "c"),
    );
    let asked = [c, b, SeriesRef(u64::MAX), a, SeriesRef(a.0 + (1 << 22))];
    let names = house.store.describe(&asked).into_iter().map(|desc| {
        let desc = desc?;
        assert_eq!(&*desc.help, "Of a test.");
        Some(desc.labels.to_string())
    });
    let said: Vec<Option<String>> = names.collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(said, [some("c"), some("b"), None, some("a{x=\"1\"}"), None]);
}
