//! The same is found behind the API of a Prometheus as in files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use model::Sample;
use model::outside::{Client, ClientError, Response};
use promql::script::Memory;
use serde_json::json;

use super::fake::{Fake, json_response};
use super::{BEGIN, STEP, at, compare, end, fill, generate, history, kept, said, series, settings, through};
use crate::backtest::{Past, Remote, Wrong};

fn remote(fake: &Arc<Fake>) -> Arc<dyn Past> {
    let client = Arc::clone(fake) as Arc<dyn Client>;
    Arc::new(Remote::new(
        client,
        "http://fake/",
        Duration::from_secs(60),
        1 << 20,
    ))
}

#[tokio::test]
async fn the_report_over_http_is_that_over_files() {
    let cases = std::env::var_os("SKOPOS_TEST_LONG").map_or(12, |_| 300);
    let mut episodes = 0;
    for seed in 0..cases {
        let mut rng = Rng::with_seed(seed);
        let memory = Memory::shared();
        history(&memory, &mut rng);
        let rules = generate::rules(&mut rng, true);
        let settings = settings(at(30), at(180));
        let near = through(&rules, kept(&memory), &settings).await.unwrap();
        let far = through(&rules, remote(&Fake::new(&memory)), &settings)
            .await
            .unwrap();
        compare(&far, &near, &format!("seed {seed}:\n{rules}"));
        episodes += near
            .alerts
            .iter()
            .map(|alert| alert.episodes.len())
            .sum::<usize>();
    }
    assert!(episodes > 300, "{episodes}");
}

#[tokio::test]
async fn expressions_are_evaluated_there_unless_they_read_what_rules_give() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..120, 1.0);
    fill(&memory, "bad", 10..20, 1.0);
    end(&memory, "bad", 20);
    let fake = Fake::new(&memory);
    let rules = "groups:
- name: g
  rules:
  - {record: r, expr: sum(bad)}
  - {alert: A, expr: r > 0}
  - {alert: B, expr: 'r > 0 and on() bad'}";
    let report = through(rules, remote(&fake), &settings(at(0), at(120)))
        .await
        .unwrap();
    assert_eq!(said(&report), ["A 1x 10m (0 pending)", "B 1x 10m (0 pending)"]);
    let asked = fake.asked.lock().clone();
    let asked: BTreeSet<_> = asked.iter().map(|expr| expr.split("[").next().unwrap()).collect();
    // Of what the rules give nothing is asked; of `bad` samples, and where it is seen.
    assert_eq!(
        asked.into_iter().collect::<Vec<_>>(),
        [
            "count(count_over_time(up",
            "max(timestamp(up))",
            "sum(bad)",
            "{__name__=\"bad\",}"
        ]
    );
}

fn page(status: u16) -> Result<Response, ClientError> {
    Ok(Response {
        status,
        headers: vec![("content-type".to_owned(), "text/html".to_owned())],
        body: b"<html>".to_vec(),
    })
}

const RULES: &str = "groups: [{name: g, rules: [{alert: A, expr: up > 0}]}]";

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_what_does_not_is_said() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..60, 1.0);
    let settings = settings(at(0), at(60));
    let fake = Fake::new(&memory);
    let refused = || Err(ClientError::Connect("connection refused".to_owned()));
    *fake.first.lock() = vec![page(502), refused(), page(429)];
    let report = through(RULES, remote(&fake), &settings).await.unwrap();
    assert_eq!(report.alerts[0].fired, 1);
    let cases = [
        (
            vec![refused(), refused(), refused(), refused()],
            "connection refused",
        ),
        (vec![page(502), page(502), page(502), page(502)], "it answers 502"),
        (vec![page(404)], "query_range answers 404 and no JSON"),
    ];
    for (first, words) in cases {
        *fake.first.lock() = first;
        let wrong = through(RULES, remote(&fake), &settings).await;
        let Err(Wrong::Away(why)) = wrong else {
            panic!("{wrong:?}")
        };
        assert!(
            why.starts_with("asking http://fake: ") && why.contains(words),
            "{why}"
        );
    }
}

#[tokio::test]
async fn an_expression_that_always_fails_is_not_asked_for_ever() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..600, 1.0);
    memory.add(
        &series("up", "y"),
        (0..2400).map(|nth| Sample {
            time: BEGIN + STEP * nth,
            value: 1.0,
        }),
    );
    let fake = Fake::new(&memory);
    let rules = "groups: [{name: g, rules: [{alert: A, expr: up * on(job) up > 0}]}]";
    let report = through(rules, remote(&fake), &settings(at(0), at(600)))
        .await
        .unwrap();
    let failure = &report.failures[0];
    assert!(failure.times >= 2399, "{failure:?}");
    assert!(failure.message.contains("many-to-many"), "{failure:?}");
    assert!(
        report.notes[0].contains("failed 1000 times in a row"),
        "{report:?}"
    );
    let asked = fake.asked.lock().len();
    assert!(asked < 2_500, "{asked} requests");
}

#[tokio::test]
async fn what_an_answer_says_is_told() {
    let memory = Memory::shared();
    fill(&memory, "up", 0..60, 1.0);
    let fake = Fake::new(&memory);
    let settings = settings(at(0), at(60));
    // Also about a single step.
    let no = json!({"status": "error", "error": "no such thing"});
    *fake.first.lock() = (0..20).map(|_| Ok(json_response(400, &no))).collect();
    let wrong = through(RULES, remote(&fake), &settings).await;
    assert_eq!(wrong, Err(Wrong::Unanswered("no such thing".to_owned())));

    fake.first.lock().clear();
    *fake.warnings.lock() = vec!["a store is away".to_owned()];
    let report = through(RULES, remote(&fake), &settings).await.unwrap();
    assert_eq!(report.notes, ["http://fake warned: a store is away"]);
}

#[tokio::test]
async fn a_long_time_is_asked_about_in_parts() {
    let minutes = 30 * 24 * 60;
    let memory = Memory::shared();
    memory.add(
        &series("up", "x"),
        (0..minutes).map(|minute| Sample {
            time: at(minute),
            value: 1.0,
        }),
    );
    let fake = Fake::new(&memory);
    let rules = "groups: [{name: g, interval: 1h, rules: [{alert: A, expr: up > 0}]}]";
    let report = through(rules, remote(&fake), &settings(at(0), at(minutes)))
        .await
        .unwrap();
    assert_eq!((report.alerts[0].fired, report.evaluations), (1, 720));
    assert_eq!(report.gaps, []);
}
