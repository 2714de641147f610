//! The rules that ship: read without complaint, and judged by us as promtool judges them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::shipped::files;
use crate::unreachable::UNREACHABLE;
use crate::{Group, Rule, load, unit};

const RUNBOOKS: &str = include_str!("../../../rules/runbooks.md");

/// What dashboards and rules of others ask for by these names.
const RECORDED: &str = "kubernetes-recorded.yaml";

/// All rules, each with its file.
fn shipped() -> Vec<(Arc<str>, Rule)> {
    let groups = load(&files()).unwrap();
    let of = |group: Group| {
        let file = group.file.clone();
        group.rules.into_iter().map(move |rule| (file.clone(), rule))
    };
    groups.into_iter().flat_map(of).collect()
}

#[test]
fn every_alert_says_what_it_is_how_grave_and_what_to_do() {
    let mut names = BTreeSet::new();
    for (file, rule) in &shipped() {
        if &**file == RECORDED {
            continue;
        }
        assert!(
            rule.alerting().is_some(),
            "{} is recorded in {file}; that is for {RECORDED}",
            rule.name
        );
        let severity = rule.labels_written();
        let grave = severity.value("severity").to_owned();
        assert!(
            names.insert((rule.name.to_string(), grave)),
            "{} is there twice, as grave",
            rule.name
        );
        assert!(
            ["critical", "warning", "info"].contains(&severity.value("severity")),
            "{}",
            rule.name
        );
        let annotations = rule.annotations_written();
        for name in ["summary", "description"] {
            assert!(!annotations.value(name).is_empty(), "{} has no {name}", rule.name);
        }
        let url = format!("{{{{ $externalURL }}}}/alerts/{}#runbook", rule.name);
        assert_eq!(annotations.value("runbook_url"), url);
        let section = RUNBOOKS
            .split("\n## ")
            .find(|section| section.lines().next() == Some(&rule.name));
        let section = section.unwrap_or_else(|| panic!("{} has no runbook", rule.name));
        for part in [
            "**Means**",
            "**Feels it**",
            "\n1. ",
            "\n2. ",
            "\n3. ",
            "**Causes**",
        ] {
            assert!(
                section.contains(part),
                "the runbook of {} has no {part}",
                rule.name
            );
        }
    }
    // The room's own.
    assert!(RUNBOOKS.contains(&format!("\n## {UNREACHABLE}\n")));
    let names: BTreeSet<String> = names.into_iter().map(|(name, _)| name).collect();
    let sections = RUNBOOKS.matches("\n## ").count();
    assert_eq!(sections, names.len() + 1, "a runbook without an alert");
}

#[test]
fn what_is_recorded_is_in_one_file_and_nothing_else_is_there() {
    let mut recorded = 0;
    for (file, rule) in &shipped() {
        if &**file == RECORDED {
            assert!(rule.alerting().is_none(), "{} is an alert in {file}", rule.name);
            recorded += 1;
        }
    }
    assert!(recorded > 20, "{recorded}");
}

#[test]
fn they_pass_their_unit_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/tests");
    let mut groups = 0;
    for (name, _) in files() {
        let report = unit::run(&folder.join(name), |_| true, &|_| unreachable!());
        assert!(report.has_passed() && report.warnings.is_empty(), "{report:#?}");
        groups += report.groups.len();
    }
    assert!(groups > 50, "{groups}");
}
