//! Why blocks go, and how far back the rest goes.

use std::time::Duration;

use model::{Column, Keep, Round, Timestamp};
use prometheus::Registry;
use store::{Config, Retention, Store};

use crate::harness::{HandClock, desc, target};

const HOUR: i64 = 3_600_000;
/// A window begins then.
const BEGUN: i64 = 1_000 * 2 * HOUR;

/// A sample each half hour for so many hours, sealed and tended all the time. Blocks that went for age and for size, and
/// how old the oldest sample is in hours.
fn kept(hours: i64, retention: Retention) -> (f64, f64, i64) {
    let (folder, clock, registry) = (
        tempfile::tempdir().unwrap(),
        HandClock::at(BEGUN),
        Registry::new(),
    );
    let config = Config {
        retention,
        ..Config::default()
    };
    let store = Store::open(folder.path(), config, clock.clone(), &registry).unwrap();
    let id = store.target(&target("node"));
    let series = store.series(id, &desc("a")).unwrap();
    for half in 0..=2 * hours {
        let time = Timestamp(BEGUN + half * HOUR / 2);
        clock.set(time.0);
        store.commit(Column {
            target: id,
            time,
            round: Round::Part,
            series: vec![series],
            values: vec![half as f64],
        });
        store.seal();
        store.maintain();
    }
    let families = registry.gather();
    let sum = |name: &str, reason: Option<&str>| {
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let wanted = |labels: &[prometheus::proto::LabelPair]| {
            reason.is_none() || labels.iter().any(|label| Some(label.value()) == reason)
        };
        let fits = family
            .get_metric()
            .iter()
            .filter(|metric| wanted(metric.get_label()));
        fits.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum::<f64>()
    };
    let expired = |reason| sum("skopos_store_expired_blocks_total", Some(reason));
    let oldest = sum("prometheus_tsdb_lowest_timestamp_seconds", None) * 1000.0;
    (
        expired("age"),
        expired("size"),
        (BEGUN + hours * HOUR - oldest as i64) / HOUR,
    )
}

#[test]
fn blocks_that_go_for_their_size_are_told_from_those_that_are_old() {
    let retention = |hours, size| Retention {
        time: Duration::from_hours(hours),
        size,
    };
    let (age, size, back) = kept(12, retention(240, 0));
    assert_eq!((age, size, back), (0.0, 0.0, 12));
    let (age, size, back) = kept(24, retention(6, 0));
    assert!(age > 0.0 && size == 0.0 && back < 12, "{age} {size} {back}");
    // The newest block stays however large it is.
    let (age, size, back) = kept(24, retention(240, 1));
    assert!(age == 0.0 && size > 5.0 && back < 6, "{age} {size} {back}");
}
