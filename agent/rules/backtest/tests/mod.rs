//! What a back-test promises beside what `promises/backtest.rs` holds it to: that it finds what the manager did.

mod fake;
pub(crate) mod generate;
mod peer;
mod remote;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use model::{Labels, STALE, Sample, Select, Timestamp};
use promql::script::Memory;

use super::{Alert, Kept, Past, Report, Settings, Wrong, run};
use crate::{Options, load};

const BEGIN: Timestamp = Timestamp(1_700_000_000_000);
const STEP: Duration = Duration::from_secs(15);

fn minutes(count: u32) -> Duration {
    Duration::from_secs(60) * count
}

fn at(minute: u32) -> Timestamp {
    BEGIN + minutes(minute)
}

fn settings(from: Timestamp, until: Timestamp) -> Settings {
    Settings {
        from,
        until,
        warm_up: None,
        options: Options::default(),
        engine: promql::Options::default(),
        one_by_one: false,
    }
}

fn series(name: &str, instance: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", "j"), ("instance", instance)])
}

/// A sample each quarter of a minute within these minutes.
fn fill(memory: &Memory, name: &str, minutes: std::ops::Range<u32>, value: f64) {
    let nths = minutes.start * 4..minutes.end * 4;
    let samples = nths.map(|nth| Sample {
        time: BEGIN + STEP * nth,
        value,
    });
    memory.add(&series(name, "x"), samples.collect::<Vec<_>>());
}

fn end(memory: &Memory, name: &str, minute: u32) {
    let stale = Sample {
        time: at(minute),
        value: STALE,
    };
    memory.add(&series(name, "x"), [stale]);
}

fn kept(memory: &Arc<Memory>) -> Arc<dyn Past> {
    let samples = Arc::clone(memory) as Arc<dyn Select>;
    Arc::new(Kept::new(samples, promql::Options::default()))
}

async fn through(rules: &str, past: Arc<dyn Past>, settings: &Settings) -> Result<Report, Wrong> {
    let groups = load(&[("a.yaml", rules)]).unwrap();
    run(&groups, past, settings, |_| true, &mut |_| {}).await
}

/// How often each alert fired, and for how many minutes.
fn said(report: &Report) -> Vec<String> {
    let say = |alert: &Alert| {
        let firing = alert.firing.as_secs().div_ceil(60);
        let pending = alert.only_pending;
        format!("{} {}x {firing}m ({pending} pending)", alert.name, alert.fired)
    };
    report.alerts.iter().map(say).collect()
}

#[tokio::test]
async fn fired_pending_and_still_firing_are_told_apart() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..120, 1.0);
    for (from, until) in [(10, 20), (40, 41), (100, 120)] {
        fill(&memory, "bad", from..until, 1.0);
        end(&memory, "bad", until);
    }
    let rules = "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: bad > 0, for: 5m}]}]";
    let report = through(rules, kept(&memory), &settings(at(0), at(120)))
        .await
        .unwrap();
    assert_eq!(said(&report), ["A 2x 20m (1 pending)"]);
    let alert = &report.alerts[0];
    assert_eq!((alert.at_once, alert.still_firing), (1, 1));
    let [first, pending, last] = &*alert.episodes else {
        panic!("{alert:#?}")
    };
    assert_eq!(
        first.labels.to_string(),
        r#"{alertname="A", instance="x", job="j"}"#
    );
    assert_eq!(
        first.fired_at.map(|fired| fired.since(first.active_at)),
        Some(minutes(5))
    );
    assert_eq!((pending.fired_at, last.ended_at), (None, None));
    assert_eq!(alert.longest, at(120).since(last.fired_at.unwrap()));
    assert_eq!((alert.first, alert.last), (first.fired_at, last.fired_at));
    assert_eq!(report.gaps, []);
}

#[tokio::test]
async fn missing_data_is_what_the_rule_says_it_is() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..60, 1.0);
    fill(&memory, "bad", 50..60, 1.0);
    end(&memory, "bad", 60);
    fill(&memory, "up", 60..90, 0.0);
    fill(&memory, "up", 90..120, 1.0);
    let rules = "
groups:
- name: g
  interval: 1m
  rules:
  - {alert: Plain, expr: bad > 0}
  - {alert: Kept, expr: bad > 0, on_missing: keep}
  - {alert: Told, expr: bad > 7, on_missing: alert, for: 5m}";
    for one_by_one in [false, true] {
        let settings = Settings {
            one_by_one,
            ..settings(at(0), at(120))
        };
        let report = through(rules, kept(&memory), &settings).await.unwrap();
        assert_eq!(
            said(&report),
            [
                "Plain 1x 10m (0 pending)",
                "Kept 1x 40m (0 pending)",
                "Told 1x 25m (0 pending)"
            ]
        );
    }
}

#[tokio::test]
async fn what_began_before_is_known_at_the_start() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..120, 1.0);
    fill(&memory, "bad", 50..70, 1.0);
    let rules = "groups:
- name: g
  rules:
  - {record: r, expr: bad}
  - {alert: A, expr: bad > 0, for: 8m}
  - {alert: B, expr: 'count_over_time(r[15m]) > 30'}";
    let whole = through(rules, kept(&memory), &settings(at(0), at(120)))
        .await
        .unwrap();
    let mut part = through(rules, kept(&memory), &settings(at(60), at(120)))
        .await
        .unwrap();
    for (whole, part) in whole.alerts.iter().zip(&part.alerts) {
        assert_eq!(whole.episodes, part.episodes);
        assert!(part.firing < whole.firing, "only what was looked at counts");
    }
    assert!(part.warmed_up_from < at(60) - minutes(15), "{part:?}");
    // Without that, it is as if all began then.
    let cold = Settings {
        warm_up: Some(Duration::ZERO),
        ..settings(at(60), at(120))
    };
    part = through(rules, kept(&memory), &cold).await.unwrap();
    assert!(part.alerts[0].first > Some(at(67)), "{part:?}");
}

#[tokio::test]
async fn nothing_is_absent_while_nobody_was_there_to_see() {
    let memory = Memory::shared();
    for minutes in [60..120, 300..360] {
        for name in ["up", "good", "bad"] {
            fill(&memory, name, minutes.clone(), 1.0);
        }
    }
    let rules = "groups:
- name: g
  rules:
  - {alert: Gone, expr: 'absent_over_time(good[1m])', for: 1m}
  - {alert: Bad, expr: bad > 0}";
    let report = through(rules, kept(&memory), &settings(at(0), at(420)))
        .await
        .unwrap();
    // What fired fired on, as it does over a restart: nobody knew better.
    assert_eq!(
        said(&report),
        ["Gone 0x 0m (0 pending)", "Bad 1x 360m (0 pending)"]
    );
    let gaps: Vec<_> = report
        .gaps
        .iter()
        .map(|(first, last)| [first, last].map(|time| time.since(BEGIN).as_secs().div_ceil(60)))
        .collect();
    assert_eq!(gaps, [[0, 60], [120, 300], [360, 420]]);
    let nothing = through(rules, kept(&memory), &settings(at(500), at(600))).await;
    assert_eq!(nothing, Err(Wrong::NoHistory));
}

#[tokio::test]
async fn a_question_that_is_too_much_is_asked_in_parts() {
    let memory = Memory::shared();
    let mut rng = Rng::with_seed(7);
    history(&memory, &mut rng);
    for seed in 0..10 {
        let rules = generate::rules(&mut Rng::with_seed(seed), true);
        let whole = through(&rules, kept(&memory), &settings(at(0), at(180)))
            .await
            .unwrap();
        let engine = promql::Options {
            samples_max: 2_000,
            ..promql::Options::default()
        };
        let narrow = Settings {
            engine: engine.clone(),
            ..settings(at(0), at(180))
        };
        let samples = Arc::clone(&memory) as Arc<dyn Select>;
        let past = Arc::new(Kept::new(samples, engine));
        let parts = through(&rules, past, &narrow).await;
        match parts {
            Ok(parts) => compare(&parts, &whole, &rules),
            Err(error) => assert!(matches!(error, Wrong::TooMuch(_)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn evaluations_that_fail_are_counted_and_change_nothing() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..60, 1.0);
    fill(&memory, "bad", 0..60, 1.0);
    fill(&memory, "one", 0..60, 1.0);
    // For ten minutes two series match.
    let second = (20 * 4..30 * 4).map(|nth| Sample {
        time: BEGIN + STEP * nth,
        value: 1.0,
    });
    memory.add(&series("one", "y"), second.collect::<Vec<_>>());
    let stale = Sample {
        time: at(30),
        value: STALE,
    };
    memory.add(&series("one", "y"), [stale]);
    let rules = "groups:
- name: g
  interval: 1m
  rules:
  - {record: r, expr: bad * on(job) one}
  - {alert: A, expr: bad * on(job) one > 0}
  - {alert: B, expr: r > 0}";
    let report = through(rules, kept(&memory), &settings(at(0), at(60)))
        .await
        .unwrap();
    // Its alert stays as it is; what is not recorded for more than five minutes is gone.
    assert_eq!(
        said(&report),
        ["A 1x 60m0s (0 pending)", "B 2x 54m0s (0 pending)"].map(|text| text.replace("m0s", "m"))
    );
    let failures: Vec<_> = report
        .failures
        .iter()
        .map(|failure| {
            (
                &*failure.rule,
                failure.times,
                failure.first.since(BEGIN).as_secs() / 60,
            )
        })
        .collect();
    assert_eq!(failures, [("r", 10, 20), ("A", 10, 20)]);
    assert!(report.failures[0].message.contains("many-to-many"), "{report:?}");
}

#[tokio::test]
async fn only_wanted_alerts_are_gone_through() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..60, 1.0);
    let rules = "groups: [{name: g, rules: [{alert: A, expr: up > 0}, {alert: B, expr: up > 0}]}]";
    let groups = load(&[("a.yaml", rules)]).unwrap();
    let settings = settings(at(0), at(60));
    let report = run(&groups, kept(&memory), &settings, |name| name == "B", &mut |_| {})
        .await
        .unwrap();
    assert_eq!(report.alerts.len(), 1);
    let none = run(&groups, kept(&memory), &settings, |_| false, &mut |_| {}).await;
    assert_eq!(none, Err(Wrong::NoAlerts));
}

#[tokio::test]
async fn what_rules_give_each_other_is_bounded() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..600, 1.0);
    let rules = "groups: [{name: g, rules: [{record: r, expr: up}, {alert: A, expr: 'count_over_time(r[5m]) > 100'}]}]";
    let report = through(rules, kept(&memory), &settings(at(0), at(600)))
        .await
        .unwrap();
    assert_eq!(said(&report), ["A 0x 0m (0 pending)"]);
    // A range that reaches back too far for what may be held.
    let long = rules.replace("[5m]", "[8h]");
    let narrow = Settings {
        engine: promql::Options {
            samples_max: 1_000,
            ..promql::Options::default()
        },
        ..settings(at(0), at(600))
    };
    let wrong = through(&long, kept(&memory), &narrow).await;
    assert!(matches!(wrong, Err(Wrong::TooMuch(_))), "{wrong:?}");
}

/// That two reports are the same, or where they are not.
#[track_caller]
fn compare(one: &Report, two: &Report, about: &str) {
    for (one, two) in one.alerts.iter().zip(&two.alerts) {
        let differs: Vec<_> = (one
            .episodes
            .iter()
            .filter(|episode| !two.episodes.contains(episode)))
        .chain(
            two.episodes
                .iter()
                .filter(|episode| !one.episodes.contains(episode)),
        )
        .collect();
        assert!(differs.is_empty(), "{}: {differs:#?}\n{about}", one.name);
    }
    assert_eq!(one.failures, two.failures, "{about}");
    assert!(one == two, "{about}");
}

/// Three hours of random samples, with ends and holes.
fn history(memory: &Memory, rng: &mut Rng) {
    fill(memory, "up", 0..180, 1.0);
    for name in generate::METRICS {
        for instance in generate::INSTANCES {
            let (mut value, mut there) = (f64::from(rng.u8(0..6)), true);
            let mut samples = Vec::new();
            for nth in 0..180 * 4 {
                let time = BEGIN + STEP * nth;
                match rng.u8(..100) {
                    0..8 => value = f64::from(rng.u8(0..6)),
                    8..10 if there => {
                        there = false;
                        // Its end is told, or it only stops.
                        if rng.bool() {
                            samples.push(Sample { time, value: STALE });
                        }
                        continue;
                    }
                    8..16 => there = true,
                    _ => {}
                }
                if there {
                    samples.push(Sample { time, value });
                }
            }
            memory.add(&series(name, instance), samples);
        }
    }
}
