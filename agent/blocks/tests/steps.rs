//! Random lives of a series that has native histograms.

use model::histogram::{CUSTOM, Histogram, Reset};
use model::{STALE, Value};
use proptest::prelude::*;

use crate::histograms::{side, value};

/// None or several spans on each side, or bounds.
pub(crate) fn any_layout() -> impl Strategy<Value = Histogram> {
    let spans = || proptest::collection::vec((0..5i32, 0..4u32), 0..4);
    let threshold = prop_oneof![Just(0.0), Just(2f64.powi(-128)), Just(0.3)];
    let exponential = (-4..=8i32, -35..35i32, threshold, spans(), spans()).prop_map(
        |(schema, offset, zero_threshold, a, b)| {
            let shifted = |spans: Vec<(i32, u32)>| {
                let first = usize::from(!spans.is_empty());
                let head = spans.iter().take(first).map(|(_, length)| (offset, *length));
                let all: Vec<_> = head.chain(spans.iter().skip(first).copied()).collect();
                side(&all, &[])
            };
            Histogram {
                schema,
                zero_threshold,
                positive: shifted(a),
                negative: shifted(b),
                ..Histogram::default()
            }
        },
    );
    let custom = (
        proptest::collection::btree_set(-5..400_000i64, 0..8),
        any::<bool>(),
    )
        .prop_map(|(bounds, odd)| {
            let scale = if odd { 7.0 } else { 1000.0 };
            Histogram {
                schema: CUSTOM,
                positive: side(&[(0, bounds.len() as u32 + 1)], &[]),
                bounds: bounds.into_iter().map(|bound| bound as f64 / scale).collect(),
                ..Histogram::default()
            }
        });
    prop_oneof![3 => exponential, 1 => custom]
}

/// What happens to a series from one sample to the next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Count(Vec<u32>),
    /// By what no whole number is.
    Weigh(Vec<u32>),
    Shrink,
    Told,
    Gauge(bool),
    Layout(Box<Histogram>),
    Integers(bool),
    Float(f64),
    Stale,
    StaleHistogram,
}

pub(crate) fn any_step() -> impl Strategy<Value = Step> {
    let more = || proptest::collection::vec(prop_oneof![0..3u32, 0..1_000_000u32], 1..6);
    prop_oneof![
        12 => more().prop_map(Step::Count),
        4 => more().prop_map(Step::Weigh),
        1 => Just(Step::Shrink),
        1 => Just(Step::Told),
        1 => any::<bool>().prop_map(Step::Gauge),
        2 => any_layout().prop_map(|layout| Step::Layout(Box::new(layout))),
        1 => any::<bool>().prop_map(Step::Integers),
        2 => any::<f64>().prop_map(Step::Float),
        1 => Just(Step::Stale),
        1 => Just(Step::StaleHistogram),
    ]
}

fn fill(layout: &Histogram, by: &mut dyn Iterator<Item = f64>) -> Histogram {
    let mut filled = layout.clone();
    let is_custom = filled.schema == CUSTOM;
    let mut total = 0.0;
    for side in [&mut filled.positive, &mut filled.negative] {
        let length: u32 = side.spans.iter().map(|span| span.length).sum();
        side.counts.resize(length as usize, 0.0);
        for count in &mut side.counts {
            *count += by.next().unwrap_or_default();
            total += *count;
        }
    }
    if !is_custom {
        filled.zero_count += by.next().unwrap_or_default();
    }
    filled.count = total + filled.zero_count;
    filled.sum += by.next().unwrap_or_default();
    filled
}

/// Follows the steps from an empty histogram.
pub(crate) fn follow(start: Histogram, steps: &[Step]) -> Vec<Value> {
    let mut now = Histogram {
        integers: true,
        ..fill(&start, &mut std::iter::empty())
    };
    let mut values = Vec::new();
    for step in steps {
        let gauge = now.reset == Reset::Gauge;
        if !gauge {
            now.reset = Reset::Unknown;
        }
        match step {
            Step::Count(more) => now = fill(&now, &mut more.iter().map(|more| f64::from(*more)).cycle()),
            Step::Weigh(more) => {
                now = fill(&now, &mut more.iter().map(|more| f64::from(*more) / 7.0).cycle())
            }
            Step::Shrink => now = fill(&empty(&now), &mut std::iter::once(1.0)),
            Step::Told if !gauge => now.reset = Reset::Yes,
            Step::Told => {}
            Step::Gauge(gauge) => now.reset = if *gauge { Reset::Gauge } else { Reset::Unknown },
            Step::Layout(layout) => {
                let (reset, integers) = (now.reset, now.integers);
                now = fill(layout, &mut [3.0, 1.0].into_iter().cycle());
                (now.reset, now.integers) = (reset, integers);
            }
            Step::Integers(integers) => now.integers = *integers,
            Step::Float(float) => values.push(Value::Float(*float)),
            Step::Stale => values.push(Value::Float(STALE)),
            Step::StaleHistogram => values.push(value(Histogram {
                sum: STALE,
                ..Histogram::default()
            })),
        }
        if !matches!(step, Step::Float(_) | Step::Stale | Step::StaleHistogram) {
            assert_eq!(now.check(), Ok(()), "the test's own");
            values.push(value(now.clone()));
        }
    }
    values
}

fn empty(histogram: &Histogram) -> Histogram {
    let mut empty = histogram.clone();
    empty.positive.counts.clear();
    empty.negative.counts.clear();
    (empty.zero_count, empty.sum) = (0.0, 0.0);
    empty
}
