//! A store of a few series, held in memory.

use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::select::Last;
use model::{Kind, Labels, MatchOp, Matcher, Metadata, Select, SelectError, Series, TimeRange, Timestamp};
use regex::Regex;

type Pairs = Vec<(&'static str, &'static str)>;

#[derive(Default)]
pub(super) struct Memory {
    series: Vec<Series>,
    metadata: Vec<Metadata>,
    pub(super) last: Vec<Last>,
}

impl Memory {
    /// Values a second apart, the last of them at `end`.
    pub(super) fn series(mut self, labels: &[(&str, &str)], end: Timestamp, values: &[f64]) -> Self {
        let first = end.0 - 1000 * (values.len() as i64 - 1);
        let times: Vec<Timestamp> = (0..values.len())
            .map(|nth| Timestamp(first + 1000 * nth as i64))
            .collect();
        self.series.push(Series {
            labels: Labels::from_pairs(labels.iter().copied()),
            times: times.into(),
            values: values.into(),
            staleness: None,
        });
        self.series.sort_by(|one, other| one.labels.cmp(&other.labels));
        self
    }

    /// One sample; the caller adds series in order.
    pub(super) fn unsorted(mut self, labels: &[(&str, &str)]) -> Self {
        self.series.push(Series {
            labels: Labels::from_pairs(labels.iter().copied()),
            times: [Timestamp(1)].into(),
            values: [1.0].into(),
            staleness: None,
        });
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

fn matches(matchers: &[Matcher], labels: &Labels) -> Result<bool, SelectError> {
    for matcher in matchers {
        let value = labels.value(&matcher.name);
        let regex = || {
            Regex::new(&format!("^(?s:{})$", matcher.value)).map_err(|why| SelectError::BadRegex {
                pattern: matcher.value.to_string(),
                why: why.to_string(),
            })
        };
        let holds = match matcher.op {
            MatchOp::Equal => *value == *matcher.value,
            MatchOp::NotEqual => *value != *matcher.value,
            MatchOp::Matches => regex()?.is_match(value),
            MatchOp::NotMatches => !regex()?.is_match(value),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Select for Memory {
    fn select(&self, matchers: &[Matcher], range: TimeRange, _: usize) -> Result<Vec<Series>, SelectError> {
        let mut found = Vec::new();
        for series in &self.series {
            if !matches(matchers, &series.labels)? {
                continue;
            }
            let kept = series
                .times
                .iter()
                .zip(&*series.values)
                .filter(|(time, _)| range.contains(**time));
            let (times, values): (Vec<_>, Vec<_>) = kept.unzip();
            if !times.is_empty() {
                found.push(Series {
                    times: times.into(),
                    values: values.into(),
                    ..series.clone()
                });
            }
        }
        Ok(found)
    }

    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        let found = self.select(matchers, range, usize::MAX)?;
        Ok(found.into_iter().map(|series| series.labels).collect())
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

#[test]
fn a_range_leaves_out_its_start() {
    let memory = estate(Timestamp(10_000));
    let range = |after, until| TimeRange {
        after: Timestamp(after),
        until: Timestamp(until),
    };
    let up = [Matcher::equal(METRIC_NAME, "up")];
    let found = memory.select(&up, range(8_000, 9_000), usize::MAX).unwrap();
    assert_eq!(
        found
            .iter()
            .map(|series| series.times.to_vec())
            .collect::<Vec<_>>(),
        [[Timestamp(9_000)]; 2]
    );
    assert!(memory.labels(&up, range(10_000, 20_000)).unwrap().is_empty());
    let _: Arc<dyn Select> = Arc::new(memory);
}
