//! Samples counted as Prometheus counts them, held against a real one that got the same samples.

use std::time::Duration;

use fastrand::Rng;
use model::Timestamp;
use programs::{find_kept, percent};
use promql::{Count, Engine, Options};

use crate::prometheus::fed;
use crate::samples::Samples;
use crate::{count, differences, generate, seed};

const FEATURES: &str = "promql-per-step-stats,promql-experimental-functions,promql-duration-expr";

/// In all, and at each step: seconds and samples.
type Counted = (u64, Vec<(f64, u64)>);

#[test]
fn samples_are_counted_as_by_prometheus() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let first = seed();
    println!("seed {first}");
    let mut rng = Rng::with_seed(first);
    let samples = Samples::random(&mut rng);
    let folder = tempfile::tempdir().expect("a folder");
    let prometheus = fed(&program, folder.path(), FEATURES, &samples);
    let options = Options {
        count: Count::Steps,
        ..Options::default()
    };
    let engine = Engine::new(samples.memory(), options);
    let (mut compared, mut different) = (0, 0);
    for case in 0..count(600, 5_000) {
        let expr = generate::expression(&mut rng);
        // Which info series are read is ours to choose, and so how many samples; the rest is told of there.
        if expr.contains("info(") || differences::forgets_offset(&expr) || differences::pins_parameter(&expr)
        {
            continue;
        }
        let start = generate::time(&mut rng, samples.end());
        let step = Duration::from_secs(rng.u64(1..90));
        let steps = rng.i64(0..30);
        let end = Timestamp(start.0 + model::time::millis(step) * steps);
        let is_range = case % 2 == 0;
        let (path, ours) = if is_range {
            let [start, end] = [start, end].map(Timestamp::seconds);
            let step = step.as_secs();
            (
                format!("query_range?start={start}&end={end}&step={step}"),
                engine.range(
                    &expr,
                    Timestamp((start * 1000.0).round() as i64),
                    Timestamp((end * 1000.0).round() as i64),
                    Duration::from_secs(step),
                ),
            )
        } else {
            (
                format!("query?time={}", start.seconds()),
                engine.instant(&expr, start),
            )
        };
        let Ok(ours) = ours else { continue };
        let statistics = ours.statistics.expect("asked for");
        let by_step = statistics
            .by_step
            .iter()
            .map(|(time, samples)| (time.seconds(), *samples));
        let ours: Counted = (statistics.samples, by_step.collect());
        let path = format!("/api/v1/{path}&stats=all&query={}", percent(&expr));
        let (_, body) = prometheus.ask("GET", &path, &[]).expect("an answer");
        let Some(theirs) = read(&body) else { continue };
        compared += 1;
        if ours != theirs {
            different += 1;
            println!("{path}\n{expr}\n  ours   {ours:?}\n  theirs {theirs:?}");
        }
    }
    println!("{compared} compared, {different} different");
    assert!(compared > 300, "{compared}");
    assert_eq!(
        different, 0,
        "queries that are counted otherwise than by Prometheus"
    );
}

/// None of an error.
fn read(body: &str) -> Option<Counted> {
    let answer: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let samples = &answer["data"]["stats"]["samples"];
    let by_step = samples["totalQueryableSamplesPerStep"].as_array()?;
    let by_step = by_step
        .iter()
        .map(|step| Some((step[0].as_f64()?, step[1].as_u64()?)));
    Some((
        samples["totalQueryableSamples"].as_u64()?,
        by_step.collect::<Option<_>>()?,
    ))
}
