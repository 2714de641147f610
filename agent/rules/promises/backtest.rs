//! A back-test finds what the manager did: random rules over random samples, alive in virtual time and then once more
//! over what was kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use model::{AlertState, Labels, Select, Timestamp};

use super::house::House;
use crate::backtest::tests::generate::{self, INSTANCES, METRICS};
use crate::backtest::{self, Kept, Settings};
use crate::{Options, load};

/// Labels, active since, fired at, ended at.
type Episode = (Labels, Timestamp, Option<Timestamp>, Option<Timestamp>);

fn cases() -> u64 {
    std::env::var_os("SKOPOS_TEST_LONG").map_or(12, |_| 400)
}

#[tokio::test(start_paused = true)]
async fn the_episodes_are_those_of_the_manager() {
    let (mut episodes, mut pending, mut failures) = (0, 0, 0);
    for seed in 0..cases() {
        let mut rng = Rng::with_seed(seed);
        let rules = generate::rules(&mut rng, true);
        let options = Options {
            evaluation_interval: Duration::from_secs(10),
            query_offset: Duration::from_secs(7 * rng.u64(..2)),
            ..Options::default()
        };
        let mut house = House::with(&rules, options.clone());
        let from = house.now();
        let alive = live(&mut house, &mut rng).await;
        let settings = Settings {
            from,
            until: house.now(),
            warm_up: Some(Duration::ZERO),
            options,
            engine: promql::Options::default(),
            one_by_one: false,
        };
        let failed = house.metric("prometheus_rule_evaluation_failures_total");
        let samples = Arc::clone(&house.store) as Arc<dyn Select>;
        house.stop().await;
        let groups = load(&[("a.yaml", rules.as_str())]).unwrap();
        for one_by_one in [false, true] {
            let settings = Settings {
                one_by_one,
                ..settings.clone()
            };
            let past = Arc::new(Kept::new(Arc::clone(&samples), promql::Options::default()));
            let report = backtest::run(&groups, past, &settings, |_| true, &mut |_| {})
                .await
                .unwrap();
            let found = report.alerts.iter().flat_map(|alert| &alert.episodes);
            let found: BTreeSet<Episode> = found
                .map(|one| (one.labels.clone(), one.active_at, one.fired_at, one.ended_at))
                // Alive nobody says when a pending one ended.
                .map(|(labels, active, fired, ended)| {
                    (labels, active, fired, ended.filter(|_| fired.is_some()))
                })
                .collect();
            let differs: Vec<_> = found.symmetric_difference(&alive).collect();
            assert!(
                differs.is_empty(),
                "{differs:#?}\nseed {seed}, one by one {one_by_one}:\n{rules}"
            );
            assert_eq!(
                report.failures.iter().map(|failure| failure.times).sum::<u64>() as f64,
                failed,
                "seed {seed}:\n{rules}\n{:?}",
                report.failures
            );
            failures += report.failures.len();
        }
        episodes += alive.iter().filter(|(_, _, fired, _)| fired.is_some()).count();
        pending += alive.iter().filter(|(_, _, fired, _)| fired.is_none()).count();
    }
    println!("{episodes} episodes, {pending} pending only, {failures} failing rules");
    assert!(episodes > 100 && pending > 30, "{episodes} and {pending}");
}

/// Half an hour of random samples under the manager, and what came of it.
async fn live(house: &mut House, rng: &mut Rng) -> BTreeSet<Episode> {
    let mut fired: BTreeSet<Episode> = BTreeSet::new();
    let mut ended: BTreeSet<(Labels, Timestamp)> = BTreeSet::new();
    let mut pending: BTreeSet<(Labels, Timestamp)> = BTreeSet::new();
    let mut there: BTreeSet<(&str, &str)> = BTreeSet::new();
    house.set("up", "heart", 1.0);
    for _ in 0..360 {
        for name in METRICS {
            for instance in INSTANCES {
                match rng.u8(..100) {
                    0..5 => {
                        house.set(name, instance, f64::from(rng.u8(0..6)));
                        there.insert((name, instance));
                    }
                    5 if there.remove(&(name, instance)) => house.end(name, instance),
                    _ => {}
                }
            }
        }
        house.seconds(5).await;
        for event in house.told() {
            let key = (event.labels.clone(), event.starts_at);
            let end = (event.state == AlertState::Resolved).then_some(event.ends_at);
            if end.is_some() && ended.insert(key) {
                fired.remove(&(event.labels.clone(), event.active_at, Some(event.starts_at), None));
            }
            // Its end is told again while it is pending anew.
            if end.is_none() || event.active_at <= event.starts_at {
                fired.insert((event.labels, event.active_at, Some(event.starts_at), end));
            }
        }
        let view = house.manager.view();
        let rules = view.iter().flat_map(|group| &group.rules);
        for alert in rules.flat_map(|rule| &rule.alerts) {
            if alert.state == AlertState::Pending {
                pending.insert((alert.labels.clone(), alert.active_at));
            }
        }
    }
    let have_fired: BTreeSet<_> = fired
        .iter()
        .map(|(labels, active, ..)| (labels.clone(), *active))
        .collect();
    let only = pending.difference(&have_fired);
    let only: Vec<Episode> = only
        .map(|(labels, active)| (labels.clone(), *active, None, None))
        .collect();
    fired.into_iter().chain(only).collect()
}
