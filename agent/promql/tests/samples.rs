//! Random series: counters with resets, gauges, odd numbers, gaps, stale markers, classic histograms.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use model::text::float;
use model::{Labels, LabelsBuilder, STALE, Series, Timestamp};
use promql::script::{Item, Memory};

/// Series whose samples are `step` apart, the first at 0.
#[derive(Clone)]
pub(crate) struct Samples {
    pub(crate) step: Duration,
    pub(crate) series: Vec<(Labels, Vec<Item>)>,
}

/// How the values of a series come about.
#[derive(Clone, Copy)]
enum Shape {
    Counter,
    Gauge,
    /// Few different values, so that there are equals.
    Steps,
    Odd,
    Huge,
    One,
}

/// Names and shapes; the same labels come under several names, so that operators find partners.
const FAMILIES: [(&str, Shape); 11] = [
    ("requests_total", Shape::Counter),
    ("errors_total", Shape::Counter),
    ("heat", Shape::Gauge),
    ("load", Shape::Gauge),
    ("level", Shape::Steps),
    ("odd", Shape::Odd),
    ("huge", Shape::Huge),
    ("dotted.name", Shape::Gauge),
    ("target_info", Shape::One),
    ("build_info", Shape::One),
    ("delay_sum", Shape::Counter),
];

const ODD: [f64; 14] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.5,
    -0.5,
    1e16,
    1e-9,
    3.0,
    100.0,
    0.999,
];

/// Nothing smaller than 1e-300: of the very smallest numbers Go has wrong logarithms on some processors.
const HUGE: [f64; 9] = [
    1e300,
    -1e300,
    f64::MAX,
    f64::MIN,
    1e-300,
    1e100,
    9_007_199_254_740_993.0,
    -4e18,
    1.0,
];

const BOUNDS: [&str; 8] = ["-1", "0", "0.1", "0.5", "1", "2.5", "10", "+Inf"];

impl Samples {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let step = [10, 15, 30, 60][rng.usize(..4)];
        let count = rng.usize(20..60);
        let mut series = Vec::new();
        for (name, shape) in FAMILIES {
            if rng.u8(..100) < 12 {
                continue;
            }
            for labels in sources(rng, name) {
                series.push((labels, items(rng, shape, count)));
            }
        }
        for labels in sources(rng, "delay_bucket").into_iter().take(3) {
            buckets(rng, &labels, count, &mut series);
        }
        series.sort_by(|one, two| one.0.cmp(&two.0));
        series.dedup_by(|one, two| one.0 == two.0);
        Self {
            step: Duration::from_secs(step),
            series,
        }
    }

    /// When the last samples are.
    pub(crate) fn end(&self) -> Timestamp {
        let count = self.series.iter().map(|(_, items)| items.len()).max();
        Timestamp(count.unwrap_or(0) as i64 * self.step.as_millis() as i64)
    }

    pub(crate) fn memory(&self) -> Arc<Memory> {
        let memory = Memory::shared();
        for (labels, items) in &self.series {
            memory.add_items(labels, items, Timestamp(0), self.step);
        }
        memory
    }

    /// As a block takes them.
    pub(crate) fn stored(&self) -> Vec<Series> {
        let times = || (0u32..).map(|nth| Timestamp(0) + self.step.saturating_mul(nth));
        let stored = |(labels, items): &(Labels, Vec<Item>)| {
            let pairs = items.iter().zip(times()).filter_map(|(item, time)| match item {
                Item::Value(value) => Some((time, *value)),
                _ => None,
            });
            let (times, values): (Vec<_>, Vec<_>) = pairs.unzip();
            Series {
                labels: labels.clone(),
                times: times.into(),
                values: values.into(),
                staleness: None,
            }
        };
        self.series.iter().map(stored).collect()
    }

    /// Without the series at a place.
    pub(crate) fn without(&self, nth: usize) -> Self {
        let mut fewer = self.clone();
        fewer.series.remove(nth);
        fewer
    }

    /// The `load` of a script.
    pub(crate) fn script(&self) -> String {
        let mut text = format!("load {}s\n", self.step.as_secs());
        for (labels, items) in &self.series {
            _ = writeln!(text, "  {labels} {}", written(items));
        }
        text
    }
}

/// Values as scripts and promtool read them.
pub(crate) fn written(items: &[Item]) -> String {
    let item = |item: &Item| match item {
        Item::Value(value) if model::is_stale(*value) => "stale".to_owned(),
        Item::Value(value) => float::go(*value),
        Item::Missing | Item::Histogram => "_".to_owned(),
    };
    items.iter().map(item).collect::<Vec<_>>().join(" ")
}

/// A few label sets of a name.
fn sources(rng: &mut Rng, name: &str) -> Vec<Labels> {
    let mut all = Vec::new();
    for job in ["api", "db"] {
        for instance in ["i1", "i2", "i3"] {
            if rng.u8(..100) < 30 {
                continue;
            }
            let mut labels = LabelsBuilder::default();
            labels
                .set("__name__", name)
                .set("job", job)
                .set("instance", instance);
            match rng.u8(..10) {
                0..4 => {
                    labels.set("zone", ["a", "b"][rng.usize(..2)]);
                }
                4 => {
                    labels.set("quoted", ["x\"y\\z", "ß\n☃", "1.50"][rng.usize(..3)]);
                }
                5 => {
                    labels.set("dotted.label", "v");
                }
                _ => {}
            }
            if name.ends_with("_info") {
                labels
                    .set("version", ["1", "2"][rng.usize(..2)])
                    .set("zone", ["a", "b", ""][rng.usize(..3)]);
            }
            all.push(labels.build());
        }
    }
    all
}

fn items(rng: &mut Rng, shape: Shape, count: usize) -> Vec<Item> {
    let mut value = match shape {
        Shape::Counter => f64::from(rng.u32(..1000)),
        _ => f64::from(rng.i32(-100..100)) / 4.0,
    };
    let constant = rng.u8(..10) == 0;
    let whole = rng.bool();
    let mut next = |rng: &mut Rng| {
        if constant {
            return value;
        }
        let amount = if whole {
            f64::from(rng.u32(..10))
        } else {
            rng.f64() * 10.0
        };
        match shape {
            Shape::Counter if rng.u8(..100) < 7 => value = amount,
            Shape::Counter => value += amount,
            Shape::Gauge => value += if rng.bool() { amount } else { -amount },
            Shape::Steps => value = f64::from(rng.i32(-1..3)),
            Shape::Odd => value = ODD[rng.usize(..ODD.len())],
            Shape::Huge => value = HUGE[rng.usize(..HUGE.len())],
            Shape::One => value = 1.0,
        }
        value
    };
    let all: Vec<f64> = (0..count).map(|_| next(rng)).collect();
    punched(rng, all)
}

/// With gaps and stale markers; some series come late or leave early.
fn punched(rng: &mut Rng, all: Vec<f64>) -> Vec<Item> {
    let gaps = [0, 0, 5, 30][rng.usize(..4)];
    let stale = [0, 0, 0, 8][rng.usize(..4)];
    let late = if rng.u8(..8) == 0 {
        rng.usize(..all.len())
    } else {
        0
    };
    let early = if rng.u8(..8) == 0 {
        rng.usize(..all.len())
    } else {
        all.len()
    };
    let item = |(nth, value): (usize, f64)| {
        if nth < late || nth > early || rng.u8(..100) < gaps {
            Item::Missing
        } else if nth == early || rng.u8(..100) < stale {
            Item::Value(STALE)
        } else {
            Item::Value(value)
        }
    };
    all.into_iter().enumerate().map(item).collect()
}

/// A classic histogram: each bucket counts those below it too, but for a few that do not.
fn buckets(rng: &mut Rng, labels: &Labels, count: usize, series: &mut Vec<(Labels, Vec<Item>)>) {
    let twisted = rng.u8(..4) == 0;
    let mut below = vec![0.0; count];
    for bound in BOUNDS {
        if rng.u8(..100) < 15 {
            continue;
        }
        let (mut total, sparse) = (0.0, rng.bool());
        let values = below.iter_mut().map(|below| {
            if !sparse || rng.u8(..4) == 0 {
                total += f64::from(rng.u32(..20));
            }
            let twist = if twisted && rng.u8(..4) == 0 { 30.0 } else { 0.0 };
            *below += total;
            *below - twist
        });
        let values: Vec<f64> = values.collect();
        let mut labels = labels.to_builder();
        labels.set("le", if rng.u8(..60) == 0 { "much" } else { bound });
        series.push((labels.build(), punched(rng, values)));
    }
}
