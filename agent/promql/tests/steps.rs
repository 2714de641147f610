//! A range is as many instants: whoever asks for many steps at once gets what each step would give by itself, bit for bit.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use model::{Labels, Timestamp};
use promql::{Engine, Options, Outcome, QueryError, Value};

use crate::samples::Samples;
use crate::{count, generate, seed};

/// Values by their bits.
type Step = BTreeMap<Labels, u64>;

#[test]
fn a_step_of_a_range_is_the_instant_at_its_time() {
    let first = seed();
    println!("seed {first}");
    let (mut compared, mut failed) = (0, 0);
    for seed in first..first + count(40, 2_000) as u64 {
        let mut rng = Rng::with_seed(seed);
        let samples = Samples::random(&mut rng);
        let engine = Engine::new(samples.memory(), Options::default());
        for _ in 0..20 {
            let expr = generate::expression(&mut rng);
            if promql::parse(&expr).is_ok_and(|parsed| promql::differs_in_range(&parsed)) {
                continue;
            }
            let start = generate::time(&mut rng, samples.end());
            let step = Duration::from_millis(rng.u64(1..200) * 500);
            let steps = rng.u32(1..40);
            let end = start + step * (steps - 1);
            // A range may fail as a whole for what is wrong at one step; never the other way round.
            let Ok(range) = engine.range(&expr, start, end, step) else {
                failed += 1;
                continue;
            };
            let by_step = by_step(range);
            for nth in 0..steps {
                let time = start + step * nth;
                let alone = alone(engine.instant(&expr, time));
                let within = by_step.get(&time).cloned().unwrap_or_default();
                assert_eq!(
                    alone,
                    Ok(within),
                    "seed {seed}: {expr} at {} ms, step {nth} of {steps} from {} ms by {} ms",
                    time.0,
                    start.0,
                    step.as_millis()
                );
                compared += 1;
            }
        }
    }
    println!("{compared} steps compared, {failed} ranges failed");
    assert!(
        compared > 10 * failed && compared > 5_000,
        "{compared} compared, {failed} failed"
    );
}

fn by_step(range: Outcome) -> BTreeMap<Timestamp, Step> {
    let Value::Matrix(all) = range.value else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::<Timestamp, Step>::new();
    for series in all {
        for point in series.points {
            let step = found.entry(point.time).or_default();
            step.insert(series.labels.clone(), bits(point.value));
        }
    }
    found
}

fn alone(instant: Result<Outcome, QueryError>) -> Result<Step, QueryError> {
    Ok(match instant?.value {
        Value::Vector(points) => points
            .into_iter()
            .map(|point| (point.labels, bits(point.value)))
            .collect(),
        Value::Scalar { value, .. } => Step::from([(Labels::empty(), bits(value))]),
        Value::String { .. } | Value::Matrix(_) => Step::new(),
    })
}

/// Which NaN it is depends on the processor.
fn bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}
