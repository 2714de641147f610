//! Metrics that lines make: a sink that keeps nothing but counts.
//!
//! It has a reader of its own, so that a sink that is down does not silence alerts on lines, and a place reached of its own,
//! so that a line is counted once. After `kill -9` lines of the last second may be counted again, by counters that begin at 0.

mod config;
mod label;
mod rule;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use model::BoxFuture;
use parking_lot::Mutex;
use prometheus::{IntCounterVec, Registry};
use telemetry::metrics::counters;

use crate::batch::Batch;
use crate::parse::Parser;
use crate::segment::write::Kept;
use crate::sink::marks::Clerk;
use crate::sink::{self, Common, Ground, Kind, Landed, aside};
pub use config::{Config, Kind as MetricKind};
use rule::{Outcome, Rule};

/// The sink's name, which no other may have.
pub(crate) const NAME: &str = "metrics";
/// One batch is counted at a time.
const REQUESTS_MAX: usize = 1;

pub(crate) struct Destination {
    common: Common,
    rules: Mutex<Vec<Rule>>,
    uncounted: IntCounterVec,
}

/// Opens the place reached, and makes the metrics.
///
/// # Errors
/// The disk's own, or a metric whose name is taken.
pub(crate) fn open(
    configs: &[Config],
    registry: &Registry,
    ground: &Ground<'_>,
) -> io::Result<(Arc<dyn sink::Destination>, Clerk, Kept)> {
    let rules = configs.iter().enumerate().map(|(nth, config)| {
        Rule::new(config, registry).map_err(|why| io::Error::other(format!("logs.metrics[{nth}].{why}")))
    });
    let rules = rules.collect::<io::Result<Vec<Rule>>>()?;
    // It knows no ids: what it has counted is noted at once.
    let (common, clerk, kept) = sink::open(Kind::Metrics, NAME, REQUESTS_MAX, false, ground)?;
    let destination = Destination {
        common,
        rules: Mutex::new(rules),
        uncounted: counters(
            registry,
            "skopos_logs_metrics_uncounted_total",
            "Lines that a rule of logs.metrics is about and that it could not count, by reason: no_number, series_max.",
            &["metric", "reason"],
        ),
    };
    Ok((Arc::new(destination), clerk, kept))
}

impl sink::Destination for Destination {
    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        "/metrics".to_owned()
    }

    fn requests_max(&self) -> usize {
        REQUESTS_MAX
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn fly(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Landed> {
        Box::pin(aside(move || {
            self.count(&batch, Instant::now());
            let stored = batch.rows.len() as u64;
            Landed {
                batch,
                stored,
                letters: 0,
            }
        }))
    }
}

impl Destination {
    fn count(&self, batch: &Batch, now: Instant) {
        static USUAL: Parser = Parser::Auto;
        for rule in self.rules.lock().iter_mut() {
            let marks = batch.marks.iter().enumerate();
            let about: Vec<bool> = marks.map(|(nth, mark)| rule.is_about(batch, nth, mark)).collect();
            if !about.contains(&true) {
                continue;
            }
            let (mut no_number, mut full) = (0, 0);
            for nth in 0..batch.rows.len() {
                let Some((row, text)) = batch.record(nth) else {
                    continue;
                };
                let file = usize::from(row.file);
                let (true, Some(mark)) = (about.get(file) == Some(&true), batch.marks.get(file)) else {
                    continue;
                };
                let plan = batch.plan(file);
                let parser = plan.map_or(&USUAL, |plan| &plan.way(row.stream).parser);
                match rule.take(&row, text, mark, parser, now) {
                    Outcome::Other | Outcome::Counted => {}
                    Outcome::NoNumber => no_number += 1,
                    Outcome::Full => full += 1,
                }
            }
            for (reason, lines) in [("no_number", no_number), ("series_max", full)] {
                if lines > 0 {
                    let labels = [rule.name.as_str(), reason];
                    self.uncounted.with_label_values(&labels).inc_by(lines);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::batch::Row;
    use crate::mark::Form;
    use crate::sink::document::tests::mark;

    const POD: &str = "/var/log/pods/shop_api-0_u-1/web/0.log";

    /// Counts lines of a container by these rules, and returns all series as `name{labels} value`.
    fn counted(rules: &str, lines: &[&str]) -> Vec<String> {
        let registry = Registry::new();
        let rules: Vec<Config> = serde_json::from_str(rules).unwrap();
        for rule in &rules {
            assert_eq!(rule.check(), Vec::<String>::new());
        }
        let folder = tempfile::tempdir().unwrap();
        let account = Arc::new(crate::account::Account::new(
            &crate::account::Metrics::new(&Registry::new()),
            NAME,
        ));
        let clock: Arc<dyn model::Clock> = telemetry::clock::RuntimeClock::system();
        let ground = Ground {
            folder: folder.path(),
            clock: &clock,
            account: &account,
            metrics: &Arc::new(sink::metrics::Metrics::new(&Registry::new())),
        };
        let rules = rules
            .iter()
            .map(|rule| Rule::new(rule, &registry).unwrap())
            .collect();
        let (common, ..) = sink::open(Kind::Metrics, NAME, 1, false, &ground).unwrap();
        let destination = Destination {
            common,
            rules: Mutex::new(rules),
            uncounted: counters(&registry, "uncounted", "not", &["metric", "reason"]),
        };
        let mut batch = Batch {
            marks: vec![mark(POD, Form::Cri), mark("/var/log/app.log", Form::Plain)],
            ..Batch::default()
        };
        for line in lines {
            let (file, line) = match line.strip_prefix("app.log: ") {
                Some(line) => (1, line),
                None => (0, *line),
            };
            if !batch.rows.is_empty() {
                batch.text.push(b'\n');
            }
            batch.text.extend_from_slice(line.as_bytes());
            let level = crate::level::of_line(line.as_bytes()).unwrap_or_default();
            batch.rows.push(Row {
                end: u32::try_from(batch.text.len()).unwrap(),
                level: crate::batch::level_code(level),
                stream: 1,
                file,
                ..Row::default()
            });
        }
        destination.count(&batch, Instant::now());
        let mut series = Vec::new();
        for family in registry.gather() {
            for metric in family.get_metric() {
                let labels: Vec<String> = metric
                    .get_label()
                    .iter()
                    .map(|label| format!("{}={}", label.name(), label.value()))
                    .collect();
                let value = match metric.get_histogram() {
                    histogram if histogram.get_sample_count() > 0 => {
                        format!(
                            "{} in {}",
                            histogram.get_sample_sum(),
                            histogram.get_sample_count()
                        )
                    }
                    _ => metric.get_counter().get_value().to_string(),
                };
                series.push(format!("{}{{{}}} {value}", family.name(), labels.join(",")));
            }
        }
        series.sort_unstable();
        series
    }

    #[test]
    fn lines_are_counted_by_level_words_and_place() {
        let rules = r#"[
            {"name": "errors_total", "level": "error", "labels": {"ns": "{namespace}", "pod": "{pod}"}},
            {"name": "slow_total", "text": "took (?<ms>\\d+) ms", "match": {"container": "web"}, "labels": {"ms": "{fields.ms}"}},
            {"name": "files_total", "match": {"path": "/var/log/*.log"}, "labels": {"file": "{file}"}}
        ]"#;
        let lines = [
            "ERROR no",
            "INFO took 5 ms",
            "took 5 ms",
            "app.log: ERROR took 7 ms",
        ];
        assert_eq!(
            counted(rules, &lines),
            [
                "errors_total{ns=,pod=} 1",
                "errors_total{ns=shop,pod=api-0} 1",
                "files_total{file=/var/log/app.log} 1",
                "slow_total{ms=5} 2",
            ]
        );
    }

    #[test]
    fn fields_of_lines_are_added_up_and_sorted_and_what_is_no_number_is_said() {
        let rules = r#"[
            {"name": "bytes_total", "value": "size", "labels": {"code": "{fields.code}"}},
            {"name": "took", "type": "histogram", "value": "took.ms", "buckets": [1, 10]}
        ]"#;
        let lines = [
            r#"{"msg":"x","size":5,"code":200,"took":{"ms":3}}"#,
            r#"{"size":"7","code":200,"took":{"ms":"0.5"}}"#,
            r#"level=info msg=x size=1 code=500"#,
            r#"{"msg":"x","size":-1}"#,
            "prose",
        ];
        assert_eq!(
            counted(rules, &lines),
            [
                "bytes_total{code=200} 12",
                "bytes_total{code=500} 1",
                "took{} 3.5 in 2",
                "uncounted{metric=bytes_total,reason=no_number} 2",
                "uncounted{metric=took,reason=no_number} 3",
            ]
        );
    }

    #[test]
    fn there_are_never_more_series_than_allowed_and_idle_ones_make_room() {
        let rules = r#"[{"name": "a_total", "text": "^(?<who>\\w+)$", "labels": {"who": "{fields.who}"}, "series_max": 2}]"#;
        assert_eq!(
            counted(rules, &["a", "b", "c", "a", "d"]),
            [
                "a_total{who=a} 2",
                "a_total{who=b} 1",
                "uncounted{metric=a_total,reason=series_max} 2",
            ]
        );
        let config: Vec<Config> = serde_json::from_str(rules).unwrap();
        let registry = Registry::new();
        let mut rule = Rule::new(&config[0], &registry).unwrap();
        let (begun, row, mark) = (Instant::now(), Row::default(), mark(POD, Form::Cri));
        let mut take = |text: &str, seconds| {
            let now = begun + Duration::from_secs(seconds);
            rule.take(&row, text.as_bytes(), &mark, &Parser::Auto, now)
        };
        assert_eq!(take("a", 0), Outcome::Counted);
        assert_eq!(take("b", 800), Outcome::Counted);
        assert_eq!(take("c", 899), Outcome::Full);
        assert_eq!(take("c", 900), Outcome::Counted);
        assert_eq!(take("a", 901), Outcome::Full);
        assert_eq!(registry.gather()[0].get_metric().len(), 2);
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        let config: Config = serde_json::from_str(r#"{"name": "a_total"}"#).unwrap();
        let registry = Registry::new();
        Rule::new(&config, &registry).unwrap();
        assert!(
            Rule::new(&config, &registry)
                .err()
                .unwrap()
                .contains("name: \"a_total\" cannot be used")
        );
    }
}
