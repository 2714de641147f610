//! Instant answers, held against `promtool test rules`, which prints what it got where nothing was expected.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use fastrand::Rng;
use model::Timestamp;
use promql::script::labels;
use promql::{Engine, Options};

use crate::answer::Answer;
use crate::samples::{Samples, written};
use crate::{count, differences, generate, seed, shrink};

const FEATURES: &str = "--enable-feature=promql-delayed-name-removal,promql-experimental-functions";

/// Expressions asked of the same samples.
const CASES: usize = 50;
/// Groups of them in one run of promtool.
const GROUPS: usize = 16;

pub(crate) type Case = (String, Timestamp);

pub(crate) struct Group {
    pub(crate) seed: u64,
    pub(crate) samples: Samples,
    pub(crate) cases: Vec<Case>,
}

impl Group {
    fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let samples = Samples::random(&mut rng);
        let end = samples.end();
        let case = |_| {
            let expr = generate::expression(&mut rng);
            (expr, generate::time(&mut rng, end))
        };
        let cases = (0..CASES).map(case).collect();
        Self { seed, samples, cases }
    }

    pub(crate) fn ours(&self) -> Vec<Answer> {
        let options = Options {
            delayed_name_removal: true,
            ..Options::default()
        };
        let engine = Engine::new(self.samples.memory(), options);
        let answer = |(expr, time): &Case| Answer::ours(engine.instant(expr, *time), false);
        self.cases.iter().map(answer).collect()
    }
}

#[test]
fn instant_answers_are_those_of_promtool() {
    let Some(promtool) = programs::find_kept("promtool") else {
        return;
    };
    let (first, groups) = (seed(), count(400, 20_000) / CASES);
    println!("seeds from {first}, {groups} of {CASES} expressions");
    let mut tally = differences::Tally::default();
    let mut failures = Vec::new();
    let seeds: Vec<u64> = (0..groups as u64).map(|nth| first + nth).collect();
    for seeds in seeds.chunks(GROUPS) {
        let groups: Vec<Group> = seeds.iter().map(|seed| Group::random(*seed)).collect();
        let theirs = ask(&promtool, &groups);
        for (group, theirs) in groups.iter().zip(&theirs) {
            let pairs = group.ours().into_iter().zip(theirs);
            for ((expr, time), (ours, theirs)) in group.cases.iter().zip(pairs) {
                let Some(why) = tally.judge(expr, &ours, theirs) else {
                    continue;
                };
                println!("seed {}: {expr} at {} ms: {why}", group.seed, time.0);
                failures.push((group.seed, group.samples.clone(), (expr.clone(), *time)));
            }
        }
    }
    println!("{tally}");
    for (seed, samples, case) in failures.iter().take(count(5, 40)) {
        println!("seed {seed}:\n{}", shrink::instant(&promtool, samples, case));
    }
    assert_eq!(
        failures.len(),
        0,
        "expressions with another answer than promtool's"
    );
}

/// The answers to all cases of all groups.
pub(crate) fn ask(promtool: &Path, groups: &[Group]) -> Vec<Vec<Answer>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tests.yaml");
    std::fs::write(&file, document(groups)).expect("written");
    let output = Command::new(promtool)
        .args(["test", "rules", FEATURES])
        .arg(&file)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("promtool runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let mut told = records(&text);
    let mut nth = 0;
    let mut all = Vec::new();
    for group in groups {
        let mut answers = Vec::new();
        for _ in 0..=group.cases.len() {
            answers.push(told.remove(&nth));
            nth += 1;
        }
        // The last one of each group is known: without it, the group was not run.
        let ran = matches!(answers.pop(), Some(Some(Answer::Series { .. })));
        let (seed, head) = (group.seed, text.chars().take(2000).collect::<String>());
        assert!(ran, "promtool did not run the group of seed {seed}: {head}");
        let empty = || Answer::Series {
            series: BTreeMap::new(),
            notes: None,
        };
        all.push(
            answers
                .into_iter()
                .map(|answer| answer.unwrap_or_else(empty))
                .collect(),
        );
    }
    all
}

/// Every expression has its number behind it as a comment, which comes back with its answer.
fn document(groups: &[Group]) -> String {
    let mut text = "evaluation_interval: 1m\ntests:\n".to_owned();
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut nth = 0;
    for group in groups {
        let step = group.samples.step.as_secs();
        _ = writeln!(text, "- interval: {step}s\n  input_series:");
        for (labels, items) in &group.samples.series {
            let series = quoted(&labels.to_string());
            _ = writeln!(
                text,
                "  - {{series: {series}, values: {}}}",
                quoted(&written(items))
            );
        }
        text.push_str("  promql_expr_test:\n");
        // All samples are there before the first question; promtool loads until the latest question's minute.
        let end = (group.samples.end().0 / 60_000 + 10) * 60_000;
        let last = ("vector(42)".to_owned(), Timestamp(end));
        for (expr, time) in group.cases.iter().chain([&last]) {
            let expr = quoted(&format!("{expr} # {nth}"));
            _ = writeln!(text, "  - {{expr: {expr}, eval_time: {}}}", duration(*time));
            nth += 1;
        }
    }
    text
}

fn duration(time: Timestamp) -> String {
    match time.0 {
        0 => "0s".to_owned(),
        millis => format!("{}s{}ms", millis / 1000, millis % 1000),
    }
}

/// Answers by their numbers. What is empty, as was expected, is not told.
fn records(text: &str) -> BTreeMap<usize, Answer> {
    let mut all = BTreeMap::new();
    for record in text.split("    expr: \"").skip(1) {
        let (_, rest) = record.rsplit_once(" # ").expect("the number");
        let (nth, rest) = rest.split_once("\", time: ").expect("the time");
        let answer = if let Some((_, error)) = rest.split_once(", err: ") {
            Answer::Error(error.trim().to_owned())
        } else {
            let (_, got) = rest.split_once("        got: ").expect("what it got");
            Answer::Series {
                series: samples(got.trim_end()),
                notes: None,
            }
        };
        all.insert(nth.parse().expect("a number"), answer);
    }
    all
}

/// `{a="b"} 1E+00, {a="c"} 2E+00`
fn samples(text: &str) -> BTreeMap<model::Labels, Vec<(i64, f64)>> {
    let mut all = BTreeMap::new();
    let mut rest = text;
    while rest.starts_with('{') {
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.bytes().position(|byte| {
            let end = byte == b'}' && !quoted;
            if byte == b'"' && !escaped {
                quoted = !quoted;
            }
            escaped = byte == b'\\' && !escaped;
            end
        });
        let (metric, value) = rest.split_at(end.expect("an end") + 1);
        let (value, next) = value.split_once(", ").unwrap_or((value, ""));
        let number = model::text::float::parse(value.trim()).expect("a number");
        let metric = labels(metric).expect("labels");
        assert!(all.insert(metric, vec![(0, number)]).is_none(), "{text}");
        rest = next;
    }
    all
}
