//! The rules that ship: read without complaint, and judged by us as promtool judges them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::unreachable::UNREACHABLE;
use crate::{Group, load, unit};

const FILES: [(&str, &str); 5] = [
    ("targets.yaml", include_str!("../../../rules/targets.yaml")),
    ("node.yaml", include_str!("../../../rules/node.yaml")),
    ("logs.yaml", include_str!("../../../rules/logs.yaml")),
    ("pair.yaml", include_str!("../../../rules/pair.yaml")),
    ("skopos.yaml", include_str!("../../../rules/skopos.yaml")),
];
const RUNBOOKS: &str = include_str!("../../../rules/runbooks.md");

fn shipped() -> Vec<Group> {
    load(&FILES).unwrap()
}

#[test]
fn every_alert_says_what_it_is_how_grave_and_what_to_do() {
    let mut names = BTreeSet::new();
    for rule in shipped().iter().flat_map(|group| &group.rules) {
        assert!(
            rule.alerting().is_some(),
            "{} is recorded; nothing needs it",
            rule.name
        );
        assert!(
            names.insert(rule.name.to_string()),
            "{} is there twice",
            rule.name
        );
        let severity = rule.labels_written();
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
    let sections = RUNBOOKS.matches("\n## ").count();
    assert_eq!(sections, names.len() + 1, "a runbook without an alert");
}

#[test]
fn they_pass_their_unit_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/tests");
    let mut groups = 0;
    for (name, _) in FILES {
        let report = unit::run(&folder.join(name), |_| true, &|_| unreachable!());
        assert!(report.has_passed() && report.warnings.is_empty(), "{report:#?}");
        groups += report.groups.len();
    }
    assert!(groups > 50, "{groups}");
}
