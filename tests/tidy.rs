//! Style is a test: what can be checked by reading the tree is checked here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::root;

/// `name → floor` from the comments of the workspace's members.
fn floors() -> BTreeMap<String, u32> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let line = regex::Regex::new(r#"^\s+"agent/(\w+)",\s+# floor (\d)"#).unwrap();
    let floor = |text: &str| {
        let found = line.captures(text)?;
        Some((found[1].to_owned(), found[2].parse().unwrap()))
    };
    manifest.lines().filter_map(floor).collect()
}

/// Names under `[dependencies]`, not those for tests.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let lines = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn dependencies_go_down_the_floors_and_never_sideways() {
    let floors = floors();
    let folders = fs::read_dir(root().join("agent"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir());
    let folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    assert_eq!(
        folders.len(),
        floors.len(),
        "every room is a member with a floor, in Cargo.toml"
    );
    for folder in folders {
        let room = folder.file_name().unwrap().to_str().unwrap();
        let floor = floors[room];
        for needed in dependencies(&folder.join("Cargo.toml")) {
            if let Some(below) = floors.get(&needed) {
                assert!(
                    below < &floor,
                    "{room} (floor {floor}) may not depend on {needed} (floor {below})"
                );
            }
        }
    }
}

#[test]
fn members_stand_in_floor_order() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let order = manifest
        .lines()
        .filter_map(|line| line.split("# floor ").nth(1)?.chars().next());
    assert!(order.collect::<Vec<_>>().is_sorted());
}

fn sources(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" && name != ".git" && name != "data" {
            sources(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// A ratchet: it may be lowered.
const LINES_MAX: usize = 900;

#[test]
fn no_file_has_grown_into_a_heap() {
    let mut files = Vec::new();
    sources(&root().join("agent"), "rs", &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines before its tests",
            file.display()
        );
        assert!(
            text.starts_with("//!"),
            "{} does not say what it does in its first line",
            file.display()
        );
    }
}

#[test]
fn every_rule_file_is_shipped_and_every_alert_has_a_runbook() {
    let shipped = fs::read_to_string(root().join("agent/shipped.rs")).unwrap();
    let runbooks = fs::read_to_string(root().join("rules/runbooks.md")).unwrap();
    let alert = regex::Regex::new(r"(?m)^\s*-?\s*alert:\s*(\w+)").unwrap();
    let mut alerts = 0;
    for entry in fs::read_dir(root().join("rules")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with(".yaml") {
            continue;
        }
        assert!(
            shipped.contains(&format!("\"../rules/{name}\"")),
            "rules/{name} is not in agent/shipped.rs"
        );
        for found in alert.captures_iter(&fs::read_to_string(entry.path()).unwrap()) {
            alerts += 1;
            assert!(
                runbooks.contains(&format!("## {}\n", &found[1])),
                "{} has no runbook",
                &found[1]
            );
        }
    }
    assert!(alerts > 0);
}

/// Whoever is told of a loss is told a reason, and looks it up.
#[test]
fn every_reason_for_a_loss_is_in_the_runbook() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let runbooks = read("rules/runbooks.md");
    let quoted = regex::Regex::new(r#""([a-z_]+)""#).unwrap();
    for (file, from, to, alert) in [
        (
            "agent/store/accounts.rs",
            "const REASONS",
            "\"replaced\"",
            "SkoposSamplesDropped",
        ),
        (
            "agent/remote/queue/index.rs",
            "mod reason {",
            "\n}",
            "RemoteWriteDropping",
        ),
    ] {
        let text = read(file);
        let list = text
            .split(from)
            .nth(1)
            .and_then(|rest| rest.split(to).next())
            .unwrap();
        let chapter = runbooks.split(&format!("## {alert}\n")).nth(1).unwrap();
        let chapter = chapter.split("\n## ").next().unwrap();
        let mut reasons = 0;
        for found in quoted.captures_iter(list) {
            reasons += 1;
            assert!(
                chapter.contains(&format!("`{}`", &found[1])),
                "the runbook of {alert} does not explain {}",
                &found[1]
            );
        }
        assert!(reasons >= 4, "{file}: {reasons} reasons found");
    }
}

#[test]
fn every_dashboard_is_shipped() {
    let shipped = fs::read_to_string(root().join("agent/shipped.rs")).unwrap();
    let mut dashboards = 0;
    for entry in fs::read_dir(root().join("dashboards")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        dashboards += usize::from(name.ends_with(".json"));
        assert!(
            shipped.contains(&format!("include_str!(\"../dashboards/{name}\")")),
            "dashboards/{name} is not in agent/shipped.rs: what it asks would not count as used"
        );
    }
    assert!(dashboards > 0);
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut files = Vec::new();
    for ending in ["rs", "md", "yaml", "toml", "js", "css", "sh"] {
        sources(root(), ending, &mut files);
    }
    let path = regex::Regex::new(r"(^|[\s`('\x22])/(home|root|work|Users)/\w").unwrap();
    for file in files.iter().filter(|file| !file.ends_with("tests/tidy.rs")) {
        for line in fs::read_to_string(file).unwrap().lines() {
            let example =
                line.contains("/home/node") || line.contains("mountpoint") || line.contains("fstype");
            assert!(
                example || !path.is_match(line),
                "{}: a path of one machine: {line}",
                file.display()
            );
        }
    }
}
