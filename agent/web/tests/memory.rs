//! A store of a few series, held in memory, with families and pages.

use std::sync::Arc;

use model::histogram::{Buckets, Span};
use model::labels::METRIC_NAME;
use model::select::Last;
use model::{
    Exemplar, Exemplars, Histogram, Kind, Labels, Matcher, Metadata, Mixed, Sample, Select, SelectError,
    Series, TimeRange, Timestamp, Value,
};
use promql::script;

type Pairs = Vec<(&'static str, &'static str)>;

#[derive(Default)]
pub(super) struct Memory {
    samples: script::Memory,
    metadata: Vec<Metadata>,
    last: Vec<Last>,
    mixed: Vec<Mixed>,
}

impl Memory {
    /// Native histograms a second apart, the last of them at `end`: each of two durations more.
    pub(super) fn histograms(mut self, labels: &[(&str, &str)], end: Timestamp, count: u32) -> Self {
        let one = |nth: u32| Histogram {
            count: f64::from(nth) * 2.0,
            sum: f64::from(nth) * 0.9,
            zero_threshold: 0.001,
            zero_count: f64::from(nth),
            positive: Buckets {
                spans: vec![Span { offset: 0, length: 1 }],
                counts: vec![f64::from(nth)],
            },
            ..Histogram::default()
        };
        let sample = |nth: u32| {
            let time = Timestamp(end.0 - 1000 * i64::from(count - nth));
            (time, Value::Histogram(Arc::new(one(nth))))
        };
        self.mixed.push(Mixed {
            labels: Labels::from_pairs(labels.iter().copied()),
            samples: (1..=count).map(sample).collect(),
            staleness: None,
        });
        self
    }

    /// Values a second apart, the last of them at `end`.
    pub(super) fn series(self, labels: &[(&str, &str)], end: Timestamp, values: &[f64]) -> Self {
        let first = end.0 - 1000 * (values.len() as i64 - 1);
        let times = (first..=end.0).step_by(1000).map(Timestamp);
        let samples = times
            .zip(values)
            .map(|(time, value)| Sample { time, value: *value });
        self.samples
            .add(&Labels::from_pairs(labels.iter().copied()), samples);
        self
    }

    pub(super) fn family(mut self, family: &str, kind: Kind, help: &str) -> Self {
        self.metadata.push(metadata(family, kind, help));
        self
    }

    pub(super) fn target(
        mut self,
        target: &str,
        page: Option<&'static str>,
        series: Vec<(Pairs, Metadata, f64)>,
    ) -> Self {
        let series = series
            .into_iter()
            .map(|(labels, metadata, value)| (Labels::from_pairs(labels), metadata, value));
        self.last.push(Last {
            target: target.into(),
            page,
            time: Timestamp(0),
            series: series.collect(),
        });
        self
    }
}

pub(super) fn metadata(family: &str, kind: Kind, help: &str) -> Metadata {
    Metadata {
        family: family.into(),
        kind,
        help: help.into(),
        unit: "".into(),
    }
}

/// Two requests to the shop.
pub(super) struct Requests;

impl Exemplars for Requests {
    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SelectError> {
        let series = Labels::from_pairs([(METRIC_NAME, "shop_requests_total"), ("job", "shop")]);
        let one = |trace: &str, value, time| Exemplar {
            labels: Labels::from_pairs([("trace_id", trace)]),
            value,
            time: Timestamp(time),
            timed: true,
        };
        let all = [one("a", 0.25, 1_000), one("\"b\"", f64::INFINITY, 2_500)];
        let within = all.into_iter().filter(|one| start <= one.time && one.time <= end);
        let fits = |all: &Vec<Matcher>| all.iter().all(|one| *one.value == *series.value(&one.name));
        let asked = selectors.iter().any(fits);
        Ok(asked
            .then(|| (series.clone(), within.collect()))
            .into_iter()
            .collect())
    }
}

impl Select for Memory {
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Series>, SelectError> {
        self.samples.select(matchers, range, samples_max)
    }

    fn mixed(&self, matchers: &[Matcher], range: TimeRange, _: usize) -> Result<Vec<Mixed>, SelectError> {
        let fits = |labels: &Labels| matchers.iter().all(|one| *one.value == *labels.value(&one.name));
        let mut all: Vec<Mixed> = self
            .mixed
            .iter()
            .filter(|one| fits(&one.labels))
            .cloned()
            .collect();
        for one in &mut all {
            one.samples.retain(|(time, _)| range.contains(*time));
        }
        all.retain(|one| !one.samples.is_empty());
        Ok(all)
    }

    fn has_histograms(&self, matchers: &[Matcher], range: TimeRange) -> Result<bool, SelectError> {
        self.mixed(matchers, range, usize::MAX).map(|all| !all.is_empty())
    }

    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        self.samples.labels(matchers, range)
    }

    fn metadata(&self) -> Vec<Metadata> {
        self.metadata.clone()
    }

    fn last(&self, page: Option<&str>) -> Vec<Last> {
        let wanted = |target: &&Last| page.is_none() || target.page == page;
        self.last.iter().filter(wanted).cloned().collect()
    }
}

/// The machine of the golden files: a node, a shop that is down, a label that is no word.
pub(super) fn estate(now: Timestamp) -> Memory {
    let node = [("instance", "vm:9464"), ("job", "node")];
    let shop = [("instance", "shop:8080"), ("job", "shop")];
    let named =
        |name, rest: &[(&'static str, &'static str)]| -> Pairs { [&[(METRIC_NAME, name)], rest].concat() };
    let cpu = |mode| {
        [
            named("node_cpu_seconds_total", &node),
            vec![("mode", mode), ("cpu", "0")],
        ]
        .concat()
    };
    let odd = named("shop_latency", &[("http.route", "/a\"b\\c"), ("job", "shop")]);
    let gauge = |family| metadata(family, Kind::Gauge, "");
    let help = "Seconds the CPUs spent in each mode.";
    let seconds = metadata("node_cpu_seconds_total", Kind::Counter, help);
    Memory::default()
        .series(&named("up", &node), now, &[1.0, 1.0, 1.0])
        .series(&named("up", &shop), now, &[1.0, 0.0, 0.0])
        .series(&cpu("user"), now, &[10.0, 10.5, 11.0])
        .series(&cpu("idle"), now, &[100.0, 101.0, 102.0])
        .series(&odd, now, &[f64::INFINITY, 0.25, 1e-7])
        .histograms(&named("shop_duration_seconds", &shop), now, 3)
        .family("node_cpu_seconds_total", Kind::Counter, help)
        .family(
            "shop_latency",
            Kind::Unknown,
            "Latency \"of\" the shop\nin seconds.",
        )
        .family("up", Kind::Gauge, "")
        .target(
            "node",
            Some("node"),
            vec![
                (cpu("user"), seconds.clone(), 11.0),
                (cpu("idle"), seconds, 102.0),
                (named("up", &node), gauge("up"), 1.0),
                (
                    named("scrape_duration_seconds", &node),
                    gauge("scrape_duration_seconds"),
                    0.25,
                ),
            ],
        )
        .target(
            "scrape/shop/shop:8080",
            None,
            vec![(named("up", &shop), gauge("up"), 0.0)],
        )
}
