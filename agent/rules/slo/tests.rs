//! Objectives: what they come to, how it behaves, and which mistakes are told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use programs::find;

use super::render;
use crate::lint::{Severity, Sources, World, lint};
use crate::{load, unit};

const SHOP: &str = include_str!("tests/shop.yaml");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("slo/tests")
}

/// The tests, of these rules, in a folder that lasts as long as what is given.
fn tests_of(rules: &str) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("test.yaml");
    let text = include_str!("tests/shop.test.yaml").replace("RULES", "rules.yaml");
    fs::write(&path, text).unwrap();
    fs::write(place.path().join("rules.yaml"), rules).unwrap();
    (place, path)
}

#[test]
fn what_is_rendered_is_the_golden_file() {
    let path = folder().join("shop.rules.yaml");
    let rendered = render("shop.yaml", SHOP).unwrap();
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        fs::write(&path, rendered).unwrap();
        return;
    }
    let golden = fs::read_to_string(path).unwrap();
    assert_eq!(golden, rendered, "run again with UPDATE_GOLDEN=1");
}

#[test]
fn a_file_of_objectives_is_a_file_of_those_rules() {
    let rendered = render("a", SHOP).unwrap();
    let (short, long) = (
        load(&[("a", SHOP)]).unwrap(),
        load(&[("a", rendered.as_str())]).unwrap(),
    );
    assert_eq!(short.len(), 6);
    for (short, long) in short.iter().zip(&long) {
        assert_eq!((&short.name, short.interval), (&long.name, long.interval));
        for (short, long) in short.rules.iter().zip(&long.rules) {
            assert_eq!((&short.name, &short.kind), (&long.name, &long.kind));
            assert_eq!(short.expr.canonical(), long.expr.canonical());
        }
        assert_eq!(short.rules.len(), long.rules.len());
    }
    assert_eq!(short.len(), long.len());
}

#[test]
fn objectives_and_rules_stand_in_one_file() {
    let both =
        format!("{SHOP}\ngroups: [{{name: g, rules: [{{record: 'a:b', expr: 'slo:objective:ratio'}}]}}]\n");
    assert_eq!(load(&[("a", both.as_str())]).unwrap().len(), 7);
    let twice = format!("{SHOP}\ngroups: [{{name: slo-checkout}}]\n");
    let complaints = load(&[("a", twice.as_str())]).unwrap_err();
    assert!(
        complaints[0].message.contains("already in this file"),
        "{complaints:?}"
    );
}

#[test]
fn burning_fires_little_traffic_does_not_and_recovery_ends_it() {
    // What is rendered is the same, as the test above says; promtool runs these tests on that.
    let (_place, path) = tests_of(SHOP);
    let report = unit::run(&path, |_| true, &|_| unreachable!());
    let failures: Vec<String> = report
        .groups
        .iter()
        .flat_map(|group| {
            group
                .failures
                .iter()
                .map(move |one| format!("{}: {one}", group.name))
        })
        .collect();
    assert!(
        report.has_passed(),
        "{:#?}\n{}",
        report.mistakes,
        failures.join("\n")
    );
    assert_eq!(report.groups.len(), 9);
}

#[test]
fn promtool_takes_what_is_rendered_and_agrees_with_its_tests() {
    let Some(promtool) = find("promtool") else {
        return;
    };
    let (place, path) = tests_of(&render("a", SHOP).unwrap());
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", path.to_str().unwrap()],
    ] {
        let output = Command::new(&promtool)
            .args(arguments)
            .current_dir(place.path())
            .output()
            .unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}");
    }
}

#[test]
fn what_is_rendered_can_be_meant() {
    let rendered = render("a", SHOP).unwrap();
    for text in [rendered.as_str(), SHOP] {
        let reads = "groups: [{name: g, rules: [{record: 'a:b', expr: 'slo:sli_error:ratio_rate1h{slo=\"checkout\"}'}]}]";
        let (sources, _) = Sources::read(&[("a", text), ("b", reads)]);
        let report = lint(&sources, &World::default());
        let grave = report
            .findings
            .iter()
            .filter(|finding| finding.severity > Severity::Info);
        assert_eq!(grave.count(), 0, "{:#?}", report.findings);
        assert_eq!(report.files, 2);
    }
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let slo =
        |keys: &str| format!("slos:\n  - name: a\n    objective: 99\n    total: t\n    errors: e\n{keys}");
    for (text, place, message, advice) in [
        (
            slo("").replace("name: a", "nam: a"),
            "2:5",
            "unknown key \"nam\"",
            "did you mean \"name\"?",
        ),
        (
            slo("").replace("name: a\n    ", ""),
            "2:5",
            "has no name",
            "label slo",
        ),
        (
            slo("").replace("name: a", "name: 'a b'"),
            "2:11",
            "cannot be the name",
            "letters",
        ),
        (
            slo("").replace("99", "0.999"),
            "3:16",
            "allows nearly all of them to fail",
            "did you mean 99.9?",
        ),
        (slo("").replace("99", "100"), "3:16", "is no objective", "99.9"),
        (slo("    window: 1d\n"), "6:13", "the window is 1d", "28d"),
        (
            slo("").replace("    total: t\n", ""),
            "2:5",
            "has no total",
            "total:",
        ),
        (
            slo("").replace("    errors: e\n", ""),
            "2:5",
            "neither what is good",
            "errors:",
        ),
        (slo("    good: g\n"), "5:13", "this one has both", "keep one"),
        (
            slo("").replace("total: t", "total: sum(rate(t[$window])"),
            "4:32",
            "unexpected end of input",
            "",
        ),
        (
            slo("").replace("total: t", "total: sum(rtae(t[$window]))"),
            "4:16",
            "unknown function",
            "did you mean",
        ),
        (
            slo("").replace("total: t", "total: t[5m]"),
            "4:12",
            "this is range vector",
            "sum(rate(",
        ),
        (
            slo("").replace("total: t", "total: sum by (x) (rate(t[$window]))"),
            "5:13",
            "other labels than the total: none and not x",
            "same labels",
        ),
        (
            slo("").replace("total: t", "total: sum(rate(t[5m]))"),
            "4:12",
            "this range is the same for all windows",
            "[$window]",
        ),
        (
            slo("").replace("errors: e", "errors: sum(e_total)"),
            "5:13",
            "e_total looks like a counter, and no rate of it is taken",
            "rate(…[$window])",
        ),
        (slo("    window: thirty\n"), "6:13", "thirty", ""),
        (
            slo("    objctive: 9\n"),
            "6:5",
            "unknown key \"objctive\"",
            "did you mean \"objective\"?",
        ),
        (slo("").replace("99", "-1"), "3:16", "is no objective", "99.9"),
        (
            slo("").replace("99", "99.9%"),
            "3:16",
            "a number is needed here",
            "",
        ),
        (slo("    min_traffic: -1\n"), "6:18", "a number of events", "100"),
        (
            slo("    annotations: { summary: '{{ $vlaue }}' }\n"),
            "6:33",
            "undefined variable",
            "did you mean",
        ),
        (
            slo("    severities: { fats: page }\n"),
            "6:19",
            "unknown key",
            "did you mean \"fast\"?",
        ),
        ("groups: []\n".to_owned(), "", "no objective in this file", "slos"),
    ] {
        let complaints = render("f", &text).unwrap_err();
        let [complaint] = complaints.as_slice() else {
            panic!("{text}: {complaints:#?}");
        };
        let at = format!("{}:{}", complaint.line, complaint.column);
        assert!(place.is_empty() || at == place, "{text}: {complaint}");
        assert!(complaint.message.contains(message), "{text}: {complaint}");
        let suggestion = complaint.suggestion.clone().unwrap_or_default();
        assert!(suggestion.contains(advice), "{text}: {complaint}");
    }
    // All of them, of all objectives; and twice the same name, in one file or in two.
    let twice = format!("{}  - name: a\n    objective: 0\n", slo(""));
    assert_eq!(render("f", &twice).unwrap_err().len(), 4);
    let complaints = load(&[("f", slo("")), ("g", slo(""))]).unwrap_err();
    let said: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(
        said.len() == 1 && said[0].starts_with("g:2:11: an objective \"a\" is already in f"),
        "{said:?}"
    );
}

#[test]
fn little_traffic_is_never_less_than_what_one_error_takes() {
    let of = |keys: &str| {
        let text = format!("slos: [{{name: a, objective: 99.9, total: t, errors: e{keys}}}]");
        let least = |line: &str| line.split_once(">= ").map(|(_, least)| least.to_owned());
        render("f", &text)
            .unwrap()
            .lines()
            .filter_map(least)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(""), ["70", "167", "334", "1000"]);
    assert_eq!(of(", min_traffic: 300"), ["300", "300", "334", "1000"]);
    assert_eq!(of(", min_traffic: 0"), Vec::<String>::new());
}

#[test]
fn thresholds_that_cannot_be_reached_are_left_out() {
    let of = |objective: &str| {
        let text = format!("slos: [{{name: a, objective: {objective}, total: t, errors: e}}]");
        render("f", &text).unwrap()
    };
    // 14.4 times a budget of 10 % is more than everything.
    assert!(of("90").contains("> 6 * 0.1") && !of("90").contains("14.4"));
    assert!(!of("80").contains("ErrorBudgetBurnsFast") && of("80").contains("ErrorBudgetBurnsSlowly"));
}
