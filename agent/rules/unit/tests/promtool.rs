//! The same verdicts as promtool's, from a promtool that is run beside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use programs::{file, find_kept};

use super::run;

/// Of the 14 files of promtool 3.5.3.
const PASSING: usize = 5;
const FAILING: usize = 9;

/// Where Debian keeps promtool's own tests, and the first of them.
const OWN: &str =
    "debian/usr/share/gocode/src/github.com/prometheus/prometheus/cmd/promtool/testdata/unittest.yml";

fn tests_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_test = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| line.starts_with("tests:"))
    };
    let mut tests: Vec<PathBuf> = entries.filter(is_test).collect();
    tests.sort();
    tests
}

/// Returns promtool's verdict, after holding ours to it.
fn compared(promtool: &Path, test: &Path) -> bool {
    let (code, text) = programs::run(Command::new(promtool).args(["test", "rules"]).arg(test));
    assert!([0, 1].contains(&code), "{}: {code}: {text}", test.display());
    let ours = run(test, |_| true, &|_| unreachable!());
    let verdicts = (ours.has_passed(), code == 0);
    assert_eq!(verdicts.0, verdicts.1, "ours {ours:?}, promtool's {text}");
    code == 0
}

/// Paragraphs with native histograms, which we refuse.
fn has_histograms(paragraph: &&str) -> bool {
    paragraph.contains("\"{{")
}

/// What we say of a file with native histograms is that, and nothing else.
fn refused(test: &Path) {
    let report = run(test, |_| true, &|_| unreachable!());
    let failures: Vec<_> = report.groups.iter().flat_map(|group| &group.failures).collect();
    assert!(!failures.is_empty() && report.mistakes.is_empty(), "{report:?}");
    for failure in failures {
        assert!(
            failure.what.contains("native histograms are not evaluated"),
            "{failure}"
        );
    }
}

#[test]
fn the_verdict_on_its_own_files_is_promtools() {
    let (Some(promtool), Some(own)) = (find_kept("promtool"), file(OWN)) else {
        return;
    };
    // A copy, in which files with native histograms lack them.
    let copy = tempfile::tempdir().unwrap();
    let mut with_histograms = 0;
    for entry in fs::read_dir(own.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let to = copy.path().join(path.file_name().unwrap());
        let text = fs::read_to_string(&path).unwrap();
        let kept: Vec<&str> = text.split("\n\n").filter(|part| !has_histograms(part)).collect();
        let kept = kept.join("\n\n");
        if text.lines().any(|line| line.starts_with("tests:")) && kept != text {
            with_histograms += 1;
            refused(&path);
            fs::write(to, kept).unwrap();
        } else {
            fs::write(to, text).unwrap();
        }
    }
    let (mut passed, mut failed) = (0, 0);
    for test in tests_in(copy.path()) {
        match compared(&promtool, &test) {
            true => passed += 1,
            false => failed += 1,
        }
    }
    println!(
        "{passed} pass and {failed} fail with both, {with_histograms} of them without their native histograms"
    );
    assert_eq!((passed, failed, with_histograms), (PASSING, FAILING, 1));
}

#[test]
fn the_verdict_on_the_tests_of_shipped_rules_is_promtools() {
    let Some(promtool) = find_kept("promtool") else {
        return;
    };
    let tests = tests_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/tests"));
    assert!(tests.len() >= 4);
    for test in tests {
        assert!(compared(&promtool, &test), "{} fails", test.display());
    }
}

/// Small files, each about one thing: `### name`, then its text.
const CASES: &str = include_str!("cases.txt");

/// Where our verdict is another, and why.
const OTHERWISE: [(&str, &str); 9] = [
    ("experimental", "functions need no flag"),
    ("bool_str", "a quoted yes is a yes"),
    ("lab_02", "a blank may stand in front of a series' labels"),
    ("lab_20", "a series may bear a comment"),
    ("lab_21", "words that PromQL reserves are names of series, too"),
    ("lab_22", "the same"),
    ("lab_23", "the same"),
    ("lab_24", "the same"),
    ("val_str", "and a quoted number a number"),
];

#[test]
fn the_verdict_on_small_files_is_promtools() {
    let Some(promtool) = find_kept("promtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for case in CASES.split("### ").skip(1) {
        let (name, text) = case.split_once('\n').unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        if !["rules.yml", "d.yml", "ext.yml", "q.yml", "t.yml"].contains(&name) {
            names.push(name);
        }
    }
    let mut all = Command::new(promtool);
    all.current_dir(folder.path())
        .args(["test", "--junit=verdicts.xml", "rules"])
        .args(&names);
    programs::run(&mut all);
    let verdicts = fs::read_to_string(folder.path().join("verdicts.xml")).unwrap();
    let theirs = |name: &str| {
        let suite = verdicts
            .split(&format!("<testsuite name=\"{name}\" "))
            .nth(1)
            .unwrap();
        let head = suite.split('>').next().unwrap();
        head.contains("failures=\"0\"") && head.contains("errors=\"0\"")
    };
    let (mut passed, mut failed, mut differ) = (0, 0, Vec::new());
    for name in names {
        let ours = run(&folder.path().join(name), |_| true, &|_| unreachable!());
        match (ours.has_passed(), theirs(name)) {
            (true, true) => passed += 1,
            (false, false) => failed += 1,
            _ => differ.push((name.trim_end_matches(".yml"), super::said(&ours))),
        }
    }
    println!(
        "{passed} pass and {failed} fail with both, {} differ",
        differ.len()
    );
    assert!(passed >= 70 && failed >= 100, "{passed} pass, {failed} fail");
    let mut known: Vec<&str> = OTHERWISE.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    let found: Vec<&str> = differ.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, known, "{differ:#?}");
}
