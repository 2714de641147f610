//! What the engine promises around an answer: limits, times, staleness, what is asked of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model::select::Last;
use model::{
    Ask, AskError, Labels, Matcher, Metadata, Sample, Select, SelectError, Series, TimeRange, Timestamp,
};

use crate::script::{Memory, line};
use crate::{Count, Engine, Options, Outcome, QueryError, Stop, Value};

const MINUTE: Duration = Duration::from_secs(60);

fn minutes(count: i64) -> Timestamp {
    Timestamp(count * 60_000)
}

fn memory(lines: &[&str]) -> Arc<Memory> {
    let memory = Memory::shared();
    for text in lines {
        let (labels, items) = line(text).unwrap();
        memory.add_items(&labels, &items, Timestamp(0), MINUTE);
    }
    memory
}

fn engine(lines: &[&str], options: Options) -> Engine {
    Engine::new(memory(lines), options)
}

fn values(outcome: Result<Outcome, QueryError>) -> Vec<f64> {
    match outcome.unwrap().value {
        Value::Vector(points) => points.into_iter().map(|point| point.value).collect(),
        Value::Scalar { value, .. } => vec![value],
        Value::Matrix(series) => series
            .into_iter()
            .flat_map(|series| series.points)
            .map(|point| point.value)
            .collect(),
        Value::String { .. } => Vec::new(),
    }
}

#[test]
fn a_series_answers_as_long_as_its_source_says() {
    let memory = memory(&["cloud{x=\"1\"} 1", "local{x=\"1\"} 1"]);
    memory.set_staleness(&line("cloud{x=\"1\"}").unwrap().0, 15 * MINUTE);
    let engine = Engine::new(memory, Options::default());
    assert_eq!(values(engine.instant("cloud", minutes(14))), [1.0]);
    assert_eq!(values(engine.instant("cloud", minutes(15))), []);
    assert_eq!(values(engine.instant("local", minutes(14))), []);
    // A range is a range for everybody.
    assert_eq!(
        values(engine.instant("count_over_time(cloud[10m])", minutes(14))),
        []
    );
    assert_eq!(
        values(engine.range("cloud", minutes(12), minutes(16), MINUTE)),
        [1.0, 1.0, 1.0]
    );
}

#[test]
fn the_lookback_is_the_callers() {
    let engine = engine(&["x 1"], Options::default());
    let short = Options {
        lookback: MINUTE,
        ..Options::default()
    };
    assert_eq!(values(engine.instant("x", minutes(2))), [1.0]);
    assert_eq!(values(engine.instant_with("x", minutes(2), &short)), []);
}

#[test]
fn too_many_samples_are_refused_before_they_are_held() {
    let tight = |samples_max| Options {
        samples_max,
        ..Options::default()
    };
    let lines = ["x{i=\"1\"} 0+1x99", "x{i=\"2\"} 0+1x99"];
    let sum = "sum(sum_over_time(x[99m]))";
    assert_eq!(
        engine(&lines, tight(150)).instant(sum, minutes(99)),
        Err(QueryError::TooManySamples)
    );
    assert_eq!(
        values(engine(&lines, tight(210)).instant(sum, minutes(99))),
        [9900.0]
    );
    // A subquery of a thousand million steps is refused at once.
    let begun = Instant::now();
    let all = engine(&lines, Options::default());
    for expr in [
        "sum_over_time(x[100y:1ms])",
        "sum_over_time(vector(1)[100y:1ms])",
        "count_over_time(x[1y:1s])",
    ] {
        assert_eq!(
            all.instant(expr, minutes(99)),
            Err(QueryError::TooManySamples),
            "{expr}"
        );
    }
    let endless = all.range(
        "vector(1)",
        Timestamp(0),
        Timestamp(i64::MAX),
        Duration::from_millis(1),
    );
    assert_eq!(endless, Err(QueryError::TooManySamples));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_query_ends_at_its_timeout_and_when_told_to() {
    let engine = engine(&["x 0+1x1000"], Options::default());
    let slow = "sum_over_time(sum_over_time(x[10m:1s])[1d:1s])";
    // Tens of milliseconds are more than that on any machine.
    let timeout = Options {
        timeout: Duration::from_millis(1),
        ..Options::default()
    };
    let begun = Instant::now();
    assert_eq!(
        engine.instant_with(slow, minutes(999), &timeout),
        Err(QueryError::Timeout)
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let stop = Stop::default();
    let stopped = Options {
        stop: Some(stop.clone()),
        ..Options::default()
    };
    assert!(engine.instant_with("x", minutes(1), &stopped).is_ok());
    stop.set();
    assert_eq!(
        engine.instant_with("x", minutes(1), &stopped),
        Err(QueryError::Cancelled)
    );
}

#[test]
fn deep_and_long_expressions_are_evaluated_on_a_usual_stack() {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let run = || {
        let engine = engine(&["x 1"], Options::default());
        let depth = crate::NESTING_MAX - 2;
        for text in [
            format!("{}x{}", "(".repeat(depth), ")".repeat(depth)),
            format!("{}x{}", "abs(".repeat(depth), ")".repeat(depth)),
            format!("{}x{}", "sum(".repeat(depth), ")".repeat(depth)),
            format!(
                "{}x{}",
                "max_over_time(".repeat(depth - 1),
                "[1m:])".repeat(depth - 1)
            ),
            format!("{}x{}", "info(".repeat(depth), ")".repeat(depth)),
            format!("{}x{}", "limit_ratio(1, ".repeat(depth), ")".repeat(depth)),
            format!("{}x", "-".repeat(depth)),
            format!("{}x", "x^".repeat(depth)),
            format!("{}x", "x or ".repeat(usize::from(crate::HEIGHT_MAX) - 2)),
            format!(
                "{}max_over_time(x[max_of(1m, step())])",
                "x or ".repeat(usize::from(crate::HEIGHT_MAX) - 3)
            ),
            format!(
                "{}x[{}step()]{}",
                "max_over_time(".repeat(depth / 2),
                "1m+".repeat(90),
                ")".to_owned() + &"[1m:])".repeat(depth / 2 - 1)
            ),
        ] {
            assert_eq!(values(engine.instant(&text, Timestamp(0))), [1.0]);
            assert!(!engine.explain(&text, Timestamp(0), None).unwrap().is_empty());
        }
    };
    thread.spawn(run).unwrap().join().unwrap();
}

/// Counts what is asked.
struct Counting(Arc<Memory>, AtomicUsize);

impl Select for Counting {
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        most: usize,
    ) -> Result<Vec<Series>, SelectError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.select(matchers, range, most)
    }

    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        self.0.labels(matchers, range)
    }

    fn metadata(&self) -> Vec<Metadata> {
        self.0.metadata()
    }

    fn last(&self, page: Option<&str>) -> Vec<Last> {
        self.0.last(page)
    }
}

#[test]
fn equal_selectors_are_read_once_and_a_range_query_reads_all_steps_at_once() {
    let counting = Arc::new(Counting(memory(&["x 0+1x100"]), AtomicUsize::new(0)));
    let engine = Engine::new(Arc::clone(&counting) as Arc<dyn Select>, Options::default());
    let expr = "rate(x[5m]) > 0 and rate(x[5m]) < 1";
    assert_eq!(
        values(engine.range(expr, minutes(10), minutes(50), MINUTE)).len(),
        41
    );
    assert_eq!(counting.1.load(Ordering::Relaxed), 1);
}

#[test]
fn a_range_answer_is_sorted_by_labels_and_leaves_gaps_out() {
    let engine = engine(&["b 1 2", "a 1 _ stale 4"], Options::default());
    let outcome = engine
        .range("{__name__=~\"a|b\"}", Timestamp(0), minutes(3), MINUTE)
        .unwrap();
    let Value::Matrix(series) = outcome.value else {
        panic!("a matrix")
    };
    let names: Vec<_> = series.iter().map(|series| series.labels.name()).collect();
    assert_eq!(names, ["a", "b"]);
    let at = |minute, value| Sample {
        time: minutes(minute),
        value,
    };
    assert_eq!(series[0].points, [at(0, 1.0), at(1, 1.0), at(3, 4.0)]);
}

#[test]
fn only_scalars_and_vectors_have_a_range_answer() {
    let engine = engine(&["x 1"], Options::default());
    let error = engine
        .range("x[5m]", Timestamp(0), minutes(1), MINUTE)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"
    );
    assert!(
        engine
            .range("x", Timestamp(0), minutes(1), Duration::ZERO)
            .is_err()
    );
    assert_eq!(values(engine.range("x", minutes(1), Timestamp(0), MINUTE)), []);
}

#[test]
fn names_go_at_the_end_when_that_is_asked_for() {
    let expr = "sum by (__name__) (rate({__name__=~\"._total\"}[3m]))";
    let lines = ["a_total 0+60x9", "b_total 0+120x9"];
    let late = Options {
        delayed_name_removal: true,
        ..Options::default()
    };
    // Grouping by the name still works, but at the end both lose it and are the same.
    assert!(engine(&lines, late.clone()).instant(expr, minutes(5)).is_err());
    let renamed = "sum by (n) (label_replace(rate({__name__=~\"._total\"}[3m]), \"n\", \"$1\", \"__name__\", \"(.).*\"))";
    assert_eq!(
        values(engine(&lines, late).instant(renamed, minutes(5))),
        [1.0, 2.0]
    );
    assert!(
        engine(&lines, Options::default())
            .instant(renamed, minutes(5))
            .is_err()
    );
}

#[test]
fn rules_get_points_and_learn_whose_fault_it_is() {
    let engine = engine(&["x{a=\"b\"} 7"], Options::default());
    let ask = |expr: &str| {
        let mut answer = engine.ask(expr, Timestamp(0));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match answer.as_mut().poll(&mut context) {
            std::task::Poll::Ready(answer) => answer,
            std::task::Poll::Pending => panic!("the engine answers at once"),
        }
    };
    let answer = ask("x").unwrap();
    assert_eq!((answer.points.len(), answer.points[0].value), (1, 7.0));
    let scalar = ask("1 + 1").unwrap();
    assert_eq!((scalar.points[0].labels.len(), scalar.points[0].value), (0, 2.0));
    assert!(matches!(ask("x ="), Err(AskError::BadQuestion(_))));
    assert!(matches!(ask("\"text\""), Err(AskError::BadQuestion(_))));
    assert!(matches!(
        ask("x / on () group_left {a=\"b\"} + on () x[1m]"),
        Err(AskError::BadQuestion(_))
    ));
}

#[test]
fn times_at_the_ends_of_all_time_do_not_panic() {
    let engine = engine(&["x 1"], Options::default());
    for time in [i64::MIN, i64::MIN + 1, -1, i64::MAX] {
        for expr in [
            "x",
            "x offset 1y",
            "x offset -1y",
            "rate(x[1y])",
            "sum_over_time(x[1y:10w])",
            "x @ -1e12",
            "hour()",
        ] {
            _ = engine.instant(expr, Timestamp(time));
            _ = engine.range(
                expr,
                Timestamp(time),
                Timestamp(time.saturating_add(10)),
                Duration::from_millis(3),
            );
        }
    }
}

#[test]
fn notes_are_few_and_have_their_place() {
    let lines: Vec<String> = (0..200).map(|nth| format!("gauge_{nth} 1 2 3")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let outcome = engine(&lines, Options::default())
        .instant("sum(rate({__name__=~\"gauge_1\"}[3m])) +\n count({__name__=~\"gauge.*\"} * 0 > bool quantile(2, gauge_1))", minutes(2));
    assert!(outcome.is_err(), "names that go make two alike");
    let late = Options {
        delayed_name_removal: true,
        ..Options::default()
    };
    let outcome = engine(&lines, late)
        .instant(
            "sum(\n  rate({__name__=~\"gauge.*\"}[3m])) + quantile(2, gauge_1)",
            minutes(2),
        )
        .unwrap();
    assert_eq!(
        outcome.warnings,
        ["PromQL warning: quantile value should be between 0 and 1, got 2 (2:47)"]
    );
    assert_eq!(outcome.infos.len(), 33);
    assert!(
        outcome.infos[0].ends_with(": \"gauge_0\" (2:8)"),
        "{}",
        outcome.infos[0]
    );
    assert_eq!(outcome.infos[32], "168 more info annotations omitted");
}

#[test]
fn what_a_query_took_is_counted_where_that_is_asked_for() {
    let lines = ["a{x=\"1\"} 1 2 3 4 5", "a{x=\"2\"} 1 _ _ 4 5"];
    let options = Options {
        count: Count::Steps,
        ..Options::default()
    };
    let counted = engine(&lines, options);
    let took = |expr: &str, from: i64, to: i64| {
        let outcome = counted.range(expr, minutes(from), minutes(to), MINUTE).unwrap();
        let took = outcome.statistics.unwrap();
        assert_eq!(
            took.samples,
            took.by_step.iter().map(|(_, samples)| samples).sum()
        );
        took.by_step
            .iter()
            .map(|(_, samples)| *samples)
            .collect::<Vec<_>>()
    };
    assert_eq!(took("sum(a)", 0, 2), [2, 2, 2]);
    // A sample counts at every step that sees it, and once for each selector.
    assert_eq!(
        took("count_over_time(a[2m]) + sum(a) * 0", 2, 4),
        [2 + 2, 3 + 2, 4 + 2]
    );
    assert_eq!(took("a @ 60", 0, 2), [2, 2, 2]);
    // Of a subquery its results count.
    assert_eq!(took("max_over_time(sum(a)[2m:1m])", 1, 3), [2, 2, 2]);
    assert_eq!(took("1 + time()", 0, 1), [0, 0]);

    let whole = Options {
        count: Count::Whole,
        ..Options::default()
    };
    let outcome = counted.instant_with("a[3m]", minutes(4), &whole).unwrap();
    let took = outcome.statistics.unwrap();
    assert_eq!((took.samples, took.by_step.len()), (5, 0));
    assert!(took.peak >= 5);
    assert_eq!(
        counted
            .instant_with("a", minutes(4), &Options::default())
            .unwrap()
            .statistics,
        None
    );
}
