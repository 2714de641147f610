//! Native histograms and a real Prometheus: it answers of our blocks what was put in, and we read of its own what it
//! answers.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use blocks::{Block, Blocks, Samples};
use model::histogram::{CUSTOM, Histogram, Reset};
use model::{Mixed, STALE, TimeRange, Value};
use programs::{Prometheus, find, free_port, percent};
use serde_json::Value as Json;

use crate::components::{query, run};
use crate::harness::{HOUR, House, hours, labels};
use crate::histograms::{counted, side, value, with};

/// The first hour of 2026.
const START: i64 = 490_896;
/// Of a Prometheus that scrapes every second.
const SCRAPES: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);

/// A sample as the API tells it: a float by its bits, or count, sum and the buckets that hold something, each with the
/// number that says which of its bounds are part of it.
#[derive(Clone, Debug)]
enum Told {
    Float(f64),
    Histogram(f64, f64, Vec<(u8, [f64; 3])>),
}

impl PartialEq for Told {
    /// Bounds are computed, and may differ in their last bit.
    fn eq(&self, other: &Self) -> bool {
        let near = |a: f64, b: f64| a == b || (a - b).abs() <= 4.0 * f64::EPSILON * a.abs();
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => same(*a, *b),
            (Self::Histogram(count, sum, all), Self::Histogram(others, other_sum, other)) => {
                let bucket = |((rule, a), (other, b)): (&(u8, [f64; 3]), &(u8, [f64; 3]))| {
                    rule == other && near(a[0], b[0]) && near(a[1], b[1]) && a[2] == b[2]
                };
                same(*count, *others)
                    && same(*sum, *other_sum)
                    && all.len() == other.len()
                    && all.iter().zip(other).all(bucket)
            }
            _ => false,
        }
    }
}

/// By labels, and then by time.
type Answer = BTreeMap<String, BTreeMap<i64, Told>>;

fn number(json: &Json) -> f64 {
    json.as_str().expect("a text").parse().expect("a number")
}

fn time(json: &Json) -> i64 {
    (json.as_f64().expect("a time") * 1000.0).round() as i64
}

/// Series with histograms among what a range selector gives.
fn told(result: &Json) -> Answer {
    let mut answer = Answer::new();
    for series in result.as_array().expect("a matrix") {
        let Some(histograms) = series["histograms"].as_array() else {
            continue;
        };
        let name = series["metric"].as_object().expect("labels").iter();
        let name: Vec<(String, String)> = name
            .map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned()))
            .collect();
        let labels = model::Labels::from_pairs(name);
        let samples = answer.entry(labels.to_string()).or_default();
        for pair in histograms {
            let buckets = pair[1]["buckets"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let buckets = buckets.iter().map(|bucket| {
                let rule = bucket[0].as_u64().expect("a rule") as u8;
                (rule, [number(&bucket[1]), number(&bucket[2]), number(&bucket[3])])
            });
            let histogram = Told::Histogram(
                number(&pair[1]["count"]),
                number(&pair[1]["sum"]),
                buckets.collect(),
            );
            samples.insert(time(&pair[0]), histogram);
        }
        for pair in series["values"].as_array().into_iter().flatten() {
            samples.insert(time(&pair[0]), Told::Float(number(&pair[1])));
        }
    }
    answer
}

/// As it would be told.
fn ours(all: &[Mixed]) -> Answer {
    let one = |value: &Value| match value {
        Value::Float(value) if model::is_stale(*value) => None,
        Value::Float(value) => Some(Told::Float(*value)),
        Value::Histogram(histogram) => {
            let rule = |lower, upper| match (lower, upper) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            let buckets = histogram.buckets().into_iter().map(|one| {
                let rule = rule(one.lower_inclusive, one.upper_inclusive);
                (rule, [one.lower, one.upper, one.count])
            });
            Some(Told::Histogram(histogram.count, histogram.sum, buckets.collect()))
        }
    };
    let series = all.iter().map(|mixed| {
        let samples = mixed.samples.iter();
        let told = samples.filter_map(|(time, value)| Some((time.0, one(value)?)));
        (mixed.labels.to_string(), told.collect())
    });
    series.collect()
}

/// Says the first difference, not all of both.
fn same(got: &Answer, wanted: &Answer) {
    assert!(
        got.keys().eq(wanted.keys()),
        "{:?} {:?}",
        got.keys(),
        wanted.keys()
    );
    for (name, wanted) in wanted {
        let got = &got[name];
        let different = got.iter().zip(wanted).find(|(got, wanted)| got != wanted);
        assert_eq!(different, None, "{name}");
        assert_eq!(got.len(), wanted.len(), "{name}");
    }
}

/// One that scrapes itself twice: its native histograms, and its classic ones made native with the bounds they have.
fn that_scrapes_itself(house: &House) -> Option<Prometheus> {
    let program = find("prometheus")?;
    let port = free_port();
    let config = format!(
        "global: {{ scrape_interval: 1s }}\n\
         scrape_configs:\n\
         - {{ job_name: native, static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}\n\
         - {{ job_name: custom, convert_classic_histograms_to_nhcb: true, \
         static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}\n"
    );
    let args = [
        "--web.enable-admin-api",
        "--enable-feature=native-histograms",
        &format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    Some(Prometheus::start(&program, house.path(), &config, &args))
}

#[test]
fn we_read_what_a_prometheus_scraped() {
    let house = House::new();
    let Some(prometheus) = that_scrapes_itself(&house) else {
        return;
    };
    let begun = Instant::now();
    let enough = || {
        let counts = query(&prometheus, "query=count_over_time(up%5B1h%5D)");
        let all = counts.as_array().expect("a vector");
        all.len() == 2 && all.iter().all(|one| number(&one["value"][1]) >= SCRAPES as f64)
    };
    // Each question is something to measure.
    while !enough() {
        assert!(begun.elapsed() < PATIENCE, "it does not scrape itself");
        thread::park_timeout(Duration::from_millis(100));
    }
    let path = "/api/v1/admin/tsdb/snapshot";
    let (code, text) = prometheus.ask("POST", path, &[]).expect("an answer");
    assert_eq!(code, 200, "{text}");
    let answer: Json = serde_json::from_str(&text).expect("JSON");
    let name = answer["data"]["name"].as_str().expect("a name");
    let folder = house.path().join("snapshots").join(name);
    let (blocks, failed) = Blocks::look(&folder, house.clock.clone()).expect("listed");
    assert!(failed.is_empty() && blocks.has_histograms(), "{failed:?}");
    blocks
        .all()
        .iter()
        .for_each(|block| block.verify().expect("whole"));
    let read = blocks.mixed(&[], TimeRange::ALL, usize::MAX).expect("read");
    assert_eq!(blocks.counts().foreign_chunks, 0);
    let got = ours(&read);

    // It goes on scraping: what it has that is newer is not in the block.
    let selector = percent("{__name__=~\".+\"}[1h]");
    let mut wanted = told(&query(&prometheus, &format!("query={selector}")));
    wanted.retain(|name, _| got.contains_key(name));
    for (name, samples) in &mut wanted {
        let last = got[name].keys().last().copied().unwrap_or_default();
        samples.retain(|time, _| *time <= last);
    }
    same(&got, &wanted);
    let histograms = || read.iter().flat_map(|mixed| &mixed.samples);
    let schemas = |custom: bool| {
        let is = |value: &Value| matches!(value, Value::Histogram(one) if (one.schema == CUSTOM) == custom);
        histograms().filter(|(_, value)| is(value)).count()
    };
    assert!(schemas(false) > 2 * SCRAPES && schemas(true) > 2 * SCRAPES);
    println!(
        "histograms: {} exponential, {} custom",
        schemas(false),
        schemas(true)
    );

    written_again(&read, wanted);
}

/// What a Prometheus has written is written by us, and read by another.
fn written_again(read: &[Mixed], wanted: Answer) {
    let house = House::new();
    let blocks = house.open();
    let times = || {
        read.iter()
            .flat_map(|mixed| &mixed.samples)
            .map(|(time, _)| time.0 / HOUR)
    };
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        return;
    };
    let again = read.iter().map(|mixed| {
        let samples = mixed.samples.iter().map(|(time, value)| (time.0, value.clone()));
        with(mixed.labels.clone(), samples)
    });
    let span = hours(first - first % 2, last - last % 2 + 2);
    let meta = blocks.write(span, again).expect("written").expect("a block");
    same(
        &ours(&blocks.mixed(&[], TimeRange::ALL, usize::MAX).expect("read")),
        &wanted,
    );
    let Some(prometheus) = over(&house) else { return };
    let query = format!(
        "query={}&time={}",
        percent("{__name__=~\".+\"}[10h]"),
        span.end.0 / 1000 + 3600
    );
    same(&told(&crate::components::query(&prometheus, &query)), &wanted);
    assert!(meta.stats.num_histogram_samples > 0);
}

fn over(house: &House) -> Option<Prometheus> {
    let program = find("prometheus")?;
    Some(Prometheus::start(&program, house.path(), "global: {}\n", &[]))
}

/// Of every kind there is: all that a chunk may end for.
fn estate(start: i64) -> Vec<Samples> {
    let at = |nth: u32| start * HOUR + i64::from(nth) * 15_000;
    let named = |name: &str| labels(&[("__name__", name)]);
    let each = |of: &dyn Fn(u32) -> Histogram| -> Vec<(i64, Value)> {
        (0..400).map(|nth| (at(nth), value(of(nth)))).collect()
    };
    let floats = |nth: u32| {
        let part = f64::from(nth) / 3.0;
        Histogram {
            count: part * 3.5,
            sum: -part,
            zero_count: part,
            positive: side(&[(-300, 2), (7, 1)], &[part, 0.0, part / 2.0]),
            negative: side(&[(0, 1)], &[part]),
            integers: false,
            schema: 8,
            ..counted(0)
        }
    };
    let custom = |nth: u32, integers: bool| {
        let part = f64::from(nth) / if integers { 1.0 } else { 7.0 };
        Histogram {
            count: part * 3.0,
            sum: part * 2.0,
            schema: CUSTOM,
            positive: side(&[(0, 1), (1, 2)], &[part, part, part]),
            bounds: vec![0.005, 0.1, if nth < 200 { 1.0 } else { 2.5e9 }],
            integers,
            ..Histogram::default()
        }
    };
    let gauge = |nth: u32| Histogram {
        reset: Reset::Gauge,
        ..counted(nth * 7919 % 101)
    };
    let resets = |nth: u32| Histogram {
        schema: if nth < 300 { 3 } else { -4 },
        zero_threshold: if nth < 250 { 0.001 } else { 2f64.powi(-128) },
        ..counted(nth % 90)
    };
    let growing = |nth: u32| {
        let counts: Vec<f64> = (0..=nth / 20)
            .map(|bucket| f64::from(nth - bucket * 20))
            .collect();
        Histogram {
            count: counts.iter().sum(),
            sum: f64::NAN,
            zero_count: 0.0,
            positive: side(&[(-4, counts.len() as u32)], &counts),
            negative: side(&[], &[]),
            ..counted(0)
        }
    };
    let mut between = each(&counted);
    for nth in (0..400).step_by(50) {
        let float = if nth % 100 == 0 {
            STALE
        } else {
            f64::from(nth as u32)
        };
        between[nth].1 = Value::Float(float);
    }
    let mut all = vec![
        with(named("between"), between),
        with(named("counted"), each(&counted)),
        with(named("custom"), each(&|nth| custom(nth, true))),
        with(named("custom_floats"), each(&|nth| custom(nth, false))),
        with(named("floats"), each(&floats)),
        with(named("gauge"), each(&gauge)),
        with(named("growing"), each(&growing)),
        with(named("resets"), each(&resets)),
    ];
    all.sort_by(|a, b| a.series.labels.cmp(&b.series.labels));
    all
}

fn as_mixed(all: Vec<Samples>) -> Vec<Mixed> {
    let one = |samples: Samples| {
        let floats = samples.series.times.iter().zip(samples.series.values.iter());
        let floats = floats.map(|(time, value)| (*time, Value::Float(*value)));
        let histograms = samples.histograms.into_iter();
        let histograms = histograms.map(|(time, histogram)| (time, Value::Histogram(histogram)));
        let mut all: Vec<_> = floats.chain(histograms).collect();
        all.sort_by_key(|(time, _)| *time);
        Mixed {
            labels: samples.series.labels,
            samples: all,
            staleness: None,
        }
    };
    all.into_iter().map(one).collect()
}

#[test]
fn a_prometheus_reads_what_we_wrote() {
    let (Some(promtool), Some(_)) = (find("promtool"), find("prometheus")) else {
        return;
    };
    let house = House::new();
    let blocks = house.open();
    let meta = blocks.write(hours(START, START + 2), estate(START));
    let meta = meta.expect("written").expect("a block");
    let wanted = ours(&as_mixed(estate(START)));
    let ask = |wanted: &Answer, seconds: i64| {
        let Some(prometheus) = over(&house) else { return };
        let selector = percent("{__name__=~\".+\"}[3h]");
        let got = query(&prometheus, &format!("query={selector}&time={seconds}"));
        same(&told(&got), wanted);
        // What it computes of them needs their resets: 0 to 89, again and again, up to 399 % 90.
        let increase = percent("histogram_count(increase(resets[3h]))");
        let one = query(&prometheus, &format!("query={increase}&time={seconds}"));
        assert!(number(&one[0]["value"][1]) > 4.0 * (4.0 * 89.0), "{one}");
    };
    ask(&wanted, (START + 2) * 3600);
    let list = run(Command::new(&promtool).args(["tsdb", "list"]).arg(house.path()));
    assert!(list.contains(&meta.ulid.to_string()), "{list}");
    let analyzed = run(Command::new(&promtool)
        .args(["tsdb", "analyze", "--extended"])
        .arg(house.path())
        .arg(meta.ulid.to_string()));
    assert!(analyzed.contains("Total Series: 8"), "{analyzed}");

    // The same with every second sample in a block of its own, which becomes one with the others.
    let second = |all: Vec<Samples>| -> Vec<Samples> {
        let each = as_mixed(all).into_iter().map(|mixed| {
            let samples = mixed.samples.into_iter().step_by(2);
            with(mixed.labels, samples.map(|(time, value)| (time.0, value)))
        });
        each.collect()
    };
    blocks
        .write(hours(START, START + 2), second(estate(START)))
        .expect("written");
    let made = blocks
        .maintain()
        .compacted
        .expect("planned")
        .made
        .expect("a block");
    assert_eq!(made.stats, meta.stats);
    let path = house.path().join(made.ulid.to_string());
    Block::open(&path).expect("opens").verify().expect("whole");
    ask(&wanted, (START + 2) * 3600);
}
