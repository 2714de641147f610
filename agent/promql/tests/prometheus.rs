//! Range answers, held against a real Prometheus that got the same samples by remote write, with what it wants to have
//! said.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use model::{Labels, Timestamp};
use programs::write::Written;
use programs::{Prometheus, find_kept, percent};
use promql::{Engine, Options};
use tempfile::TempDir;

use crate::answer::Answer;
use crate::samples::Samples;
use crate::{count, differences, generate, seed, shrink};

/// Questions asked of the same samples.
const CASES: usize = 150;

const EARLY: &str = "promql-experimental-functions,promql-duration-expr";
const LATE: &str = "promql-experimental-functions,promql-duration-expr,promql-delayed-name-removal";

/// Durations, and the same to be computed; promtool has no switch for them.
const COMPUTED: [(&str, &str); 5] = [
    ("[1m]", "[30s * 2]"),
    ("[5m]", "[-(1 - 5) * 60 + 2 ^ 2 ^ 0 * 30]"),
    ("[2m]", "[7m % 5m]"),
    ("[10m:", "[1h / 6:"),
    (" offset 1m", " offset (2m - 60)"),
];

struct Case {
    expr: String,
    start: i64,
    end: i64,
    step: i64,
    /// Whether names go at the end.
    late: bool,
}

impl Case {
    fn random(rng: &mut Rng, end: Timestamp) -> Self {
        let mut expr = generate::expression(rng);
        if rng.u8(..10) == 0 {
            for (plain, computed) in COMPUTED {
                expr = expr.replace(plain, computed);
            }
        }
        let start = generate::time(rng, end).0;
        let step = [1000, 7000, 15_000, 30_000, 60_000, 60_000, 90_000, 1500][rng.usize(..8)];
        Self {
            expr,
            start,
            end: start + step * rng.i64(0..30) + rng.i64(0..step),
            step,
            late: rng.bool(),
        }
    }

    fn ours(&self, engine: &Engine, expr: &str) -> Answer {
        let options = Options {
            delayed_name_removal: self.late,
            ..Options::default()
        };
        let span = (Timestamp(self.start), Timestamp(self.end));
        let step = Duration::from_millis(self.step.unsigned_abs());
        Answer::ours(engine.range_with(expr, span, step, &options), true)
    }

    fn theirs(&self, prometheus: &Prometheus, expr: &str) -> Answer {
        let seconds = |millis: i64| millis as f64 / 1000.0;
        let path = format!(
            "/api/v1/query_range?query={}&start={}&end={}&step={}",
            percent(expr),
            seconds(self.start),
            seconds(self.end),
            seconds(self.step)
        );
        let (_, body) = prometheus.ask("GET", &path, &[]).expect("an answer");
        read(&body)
    }
}

/// With names that go at once, and with names that go at the end.
struct Both([(Prometheus, TempDir); 2]);

impl Both {
    fn start(program: &Path, samples: &Samples) -> Self {
        let start = |features| {
            let folder = tempfile::tempdir().expect("a folder");
            (fed(program, folder.path(), features, samples), folder)
        };
        Self([start(EARLY), start(LATE)])
    }

    fn of(&self, case: &Case) -> &Prometheus {
        let [early, late] = &self.0;
        if case.late { &late.0 } else { &early.0 }
    }
}

#[test]
fn range_answers_are_those_of_prometheus() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let (first, rounds) = (seed(), count(CASES, 5100) / CASES);
    println!("seeds from {first}, {rounds} of {CASES} range queries");
    let mut tally = differences::Tally::default();
    let mut different = 0;
    for seed in (first..).take(rounds) {
        let mut rng = Rng::with_seed(seed);
        let samples = Samples::random(&mut rng);
        let both = Both::start(&program, &samples);
        let engine = Engine::new(samples.memory(), Options::default());
        for _ in 0..CASES {
            let case = Case::random(&mut rng, samples.end());
            let (ours, theirs) = (
                case.ours(&engine, &case.expr),
                case.theirs(both.of(&case), &case.expr),
            );
            let Some(why) = tally.judge(&case.expr, &ours, &theirs) else {
                continue;
            };
            println!(
                "seed {seed}: {} from {} to {} step {} ms: {why}",
                case.expr, case.start, case.end, case.step
            );
            different += 1;
            if different <= count(5, 40) {
                println!("{}", shrunk(&program, &both, &samples, &case));
            }
        }
    }
    println!("{tally}");
    assert_eq!(different, 0, "range queries with another answer than Prometheus'");
}

/// What differs of an expression, and their answer, or none.
fn difference(
    prometheus: &Prometheus,
    samples: &Samples,
    case: &Case,
    expr: &str,
) -> Option<(String, Answer)> {
    let engine = Engine::new(samples.memory(), Options::default());
    let (ours, theirs) = (case.ours(&engine, expr), case.theirs(prometheus, expr));
    let why = differences::Tally::default().judge(expr, &ours, &theirs)?;
    Some((why, theirs))
}

/// The shortest part of the expression with a difference, over as few series as show it.
fn shrunk(program: &Path, both: &Both, samples: &Samples, case: &Case) -> String {
    let parts = shrink::parts(&case.expr);
    let found = parts
        .into_iter()
        .find_map(|part| Some((difference(both.of(case), samples, case, &part)?, part)));
    let Some(((mut why, mut theirs), part)) = found else {
        return format!("{}: differs no more", case.expr);
    };
    let mut still = |samples: &Samples| {
        let folder = tempfile::tempdir().expect("a folder");
        let prometheus = fed(
            program,
            folder.path(),
            if case.late { LATE } else { EARLY },
            samples,
        );
        let Some(different) = difference(&prometheus, samples, case, &part) else {
            return false;
        };
        (why, theirs) = different;
        true
    };
    let mut left = shrink::seen(samples, &part);
    if !still(&left) {
        left = samples.clone();
    }
    // A part at a time, then smaller parts: each try is a process.
    let mut size = left.series.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < left.series.len() && left.series.len() > 1 {
            let mut fewer = left.clone();
            fewer.series.drain(from..(from + size).min(left.series.len()));
            if fewer.series.is_empty() || !still(&fewer) {
                from += size;
            } else {
                left = fewer;
            }
        }
        size /= 2;
    }
    let names = if case.late { "at the end" } else { "at once" };
    format!(
        "{}\n# Names go {names}. Ours: {why}\neval range from {}ms to {}ms step {}ms {part}\n{}",
        left.script(),
        case.start,
        case.end,
        case.step,
        theirs.script(case.start, case.end, case.step),
    )
}

fn read(body: &str) -> Answer {
    let answer: serde_json::Value = serde_json::from_str(body).expect("JSON");
    if answer["status"] != "success" {
        return Answer::Error(answer["error"].as_str().unwrap_or_default().to_owned());
    }
    let texts = |of: &str| {
        let all = answer[of].as_array().into_iter().flatten();
        all.filter_map(|text| text.as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let mut series = BTreeMap::new();
    for one in answer["data"]["result"].as_array().expect("a matrix") {
        let metric = one["metric"].as_object().expect("labels");
        let labels = Labels::from_pairs(
            metric
                .iter()
                .filter_map(|(name, value)| Some((name, value.as_str()?))),
        );
        let points = one["values"].as_array().into_iter().flatten().map(|point| {
            let time = point[0].as_f64().expect("a time");
            let value = model::text::float::parse(point[1].as_str().expect("a value"));
            ((time * 1000.0).round() as i64, value.expect("a number"))
        });
        series.insert(labels, points.collect());
    }
    Answer::Series {
        series,
        notes: Some([texts("warnings"), texts("infos")].concat()),
    }
}

/// A Prometheus that got these samples.
pub(crate) fn fed(program: &Path, folder: &Path, features: &str, samples: &Samples) -> Prometheus {
    /// Whatever is an hour older than the newest sample is too old for it.
    const AT_ONCE: i64 = 30 * 60_000;
    let features = format!("--enable-feature={features}");
    let args = [features.as_str(), "--web.enable-remote-write-receiver"];
    let prometheus = Prometheus::start(program, folder, "global: {}\n", &args);
    let stored = samples.stored();
    let last = stored.iter().filter_map(|one| one.times.last()).max();
    let parts = last.map_or(0, |last| last.0 / AT_ONCE + 1);
    for part in 0..parts {
        let of_part = |time: &Timestamp| time.0 / AT_ONCE == part;
        let all = stored.iter().map(|one| {
            let samples = one.times.iter().copied().zip(one.values.iter().copied());
            Written {
                labels: &one.labels,
                samples: samples.filter(|(time, _)| of_part(time)).collect(),
            }
        });
        prometheus.write(&all.filter(|one| !one.samples.is_empty()).collect::<Vec<_>>());
    }
    prometheus
}
