//! Each check with rules that it must find, at their place, and near misses that it must leave alone.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Kind, Labels};

use super::*;

mod expressions;
mod files;
mod live;

/// A rule file of one alert that has all an alert should have.
fn alert(expr: &str) -> String {
    let expr = model::text::quote(expr);
    format!(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n    for: 5m\n    annotations: {{summary: a, runbook_url: \"https://a/b\"}}\n"
    )
}

fn record(expr: &str) -> String {
    let expr = model::text::quote(expr);
    format!("groups:\n- name: g\n  rules:\n  - record: a:b\n    expr: {expr}\n")
}

#[track_caller]
fn lint_files(files: &[&str], world: &World) -> Report {
    let files: Vec<(String, &str)> = files
        .iter()
        .enumerate()
        .map(|(nth, text)| (format!("{nth}.yaml"), *text))
        .collect();
    let (sources, complaints) = Sources::read(&files);
    assert!(complaints.is_empty(), "{complaints:#?}");
    lint(&sources, world)
}

/// Findings of one check: how grave, and what stands at the place, up to the end of its line.
#[track_caller]
fn of_check(check: &str, files: &[&str], world: &World) -> Vec<(Severity, String, String)> {
    let report = lint_files(files, world);
    let found = report
        .findings
        .into_iter()
        .filter(|finding| finding.check == check);
    found
        .map(|finding| {
            let excerpt = finding.excerpt.clone().unwrap_or_default();
            let place: String = excerpt.chars().skip(finding.column - 1).collect();
            assert!(!finding.advice.is_empty(), "{finding}");
            assert!(!finding.message.ends_with('.'), "{finding}");
            (finding.severity, place, finding.to_string())
        })
        .collect()
}

/// Exactly one finding of a check, which begins at `place`.
#[track_caller]
fn found_in(check: &str, files: &[&str], world: &World, severity: Severity, place: &str) {
    let found = of_check(check, files, world);
    let [(gravity, at, text)] = found.as_slice() else {
        panic!("{} findings of {check} in {files:#?}: {found:#?}", found.len());
    };
    assert_eq!(*gravity, severity, "{text}");
    assert!(
        at.starts_with(place),
        "{at:?} does not begin with {place:?}: {text}"
    );
}

#[track_caller]
fn clean_in(check: &str, files: &[&str], world: &World) {
    let found = of_check(check, files, world);
    assert!(found.is_empty(), "{files:#?}: {found:#?}");
}

/// The same, of an alert with this expression and of a recording rule with it.
#[track_caller]
fn found(check: &str, expr: &str, severity: Severity, place: &str) {
    for text in [alert(expr), record(expr)] {
        // A place in the file is one in a quoted text.
        let place = model::text::quote(place);
        let place = place.trim_matches('"');
        found_in(check, &[&text], &World::default(), severity, place);
    }
}

#[track_caller]
fn clean(check: &str, expr: &str) {
    for text in [alert(expr), record(expr)] {
        clean_in(check, &[&text], &World::default());
    }
}

/// Of alerts only.
#[track_caller]
fn alert_found(check: &str, expr: &str, severity: Severity, place: &str) {
    let place = model::text::quote(place);
    let place = place.trim_matches('"');
    found_in(check, &[&alert(expr)], &World::default(), severity, place);
    clean_in(check, &[&record(expr)], &World::default());
}

/// A world in which these series were seen.
fn seen(series: &[&str]) -> World {
    let mut live = Live {
        source: "http://a".to_owned(),
        ..Live::default()
    };
    for text in series {
        let expr = promql::parse(text).unwrap();
        let (matchers, _) = promql::selectors(&expr).remove(0);
        let labels = Labels::from_pairs(matchers.iter().map(|matcher| (&*matcher.name, &*matcher.value)));
        live.names.insert(labels.name().to_owned());
        let sighting = live.series.entry(labels.name().to_owned()).or_default();
        sighting.complete = true;
        sighting.labels.push(labels);
    }
    World {
        live: Ok(live),
        ..World::default()
    }
}

#[test]
fn a_finding_says_place_gravity_check_and_what_to_do() {
    let text = "groups:\n- name: g\n  rules:\n  - record: a:b\n    expr: |\n      sum(a)\n        / on (job) sum(b)\n";
    let report = lint_files(&[text], &World::default());
    let finding = report.findings.first().unwrap();
    let expected = "0.yaml:7:15: warning promql/impossible: neither side has the label job: `sum` leaves no labels\n  7 |         / on (job) sum(b)\n    |               ^\n  take it out of on (…)";
    assert_eq!(finding.to_string(), expected);
    assert_eq!((report.files, report.rules, report.findings.len()), (1, 1, 1));
    let json = serde_json::to_value(&report).unwrap();
    let one = &json["findings"][0];
    assert_eq!(
        (
            one["severity"].as_str(),
            one["rule"].as_str(),
            one["line"].as_u64()
        ),
        (Some("warning"), Some("a:b"), Some(7))
    );
    assert_eq!(json["skipped"][0]["check"], "promql/series");
}

#[test]
fn the_rules_that_ship_are_clean() {
    let (sources, complaints) = Sources::read(&crate::shipped::files());
    assert!(complaints.is_empty());
    let world = World {
        retention: Some((Duration::from_hours(15 * 24), "a test".to_owned())),
        external_labels: Some((Labels::from_pairs([("cluster", "a")]), "a test".to_owned())),
        ..World::default()
    };
    let report = lint(&sources, &world);
    let grave: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Info)
        .map(ToString::to_string)
        .collect();
    assert!(grave.is_empty(), "{}", grave.join("\n"));
    assert!(report.rules > 40);
}

#[test]
fn every_check_has_a_name_and_is_in_the_manual() {
    let manual = include_str!("../linting.md");
    for check in CHECKS {
        assert!(
            manual.contains(&format!("`{check}`")),
            "{check} is not in linting.md"
        );
    }
    assert!(CHECKS.is_sorted());
}

#[test]
fn the_tallest_expression_is_looked_at_on_a_small_stack() {
    let chain = vec!["a"; 499].join(" + ");
    let nested = format!("{}a{}", "sum(".repeat(150), ")".repeat(150));
    for expr in [chain, nested] {
        let text = record(&expr);
        let looked = std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || lint_files(&[&text], &World::default()).rules);
        assert_eq!(looked.unwrap().join().unwrap(), 1);
    }
}
