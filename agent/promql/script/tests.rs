//! Runs the scripts of this repository, and Prometheus' own where somebody has put them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Report, RunOptions, Verdict, run};

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut scripts: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    scripts.sort();
    scripts
}

fn report(script: &Path, delayed_name_removal: bool) -> Report {
    let options = RunOptions {
        delayed_name_removal,
        repeat: true,
    };
    let report = run(&fs::read_to_string(script).unwrap(), &options)
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let name = script.file_name().unwrap_or_default().display();
    let (passed, failed, skipped) = (report.passed(), report.failed(), report.skipped());
    println!("{name}: {passed} passed, {failed} failed, {skipped} skipped");
    for check in &report.checks {
        if let Verdict::Failed(why) = &check.verdict {
            println!("  {name}:{}: {}: {why}", check.line, check.expr);
        }
    }
    report
}

#[test]
fn our_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/promql");
    let scripts = scripts(&folder);
    assert!(
        scripts.len() >= 10,
        "{} has {} scripts",
        folder.display(),
        scripts.len()
    );
    for script in scripts {
        let report = report(&script, false);
        assert_eq!(report.failed(), 0, "{} fails", script.display());
        assert!(
            report.passed() > 0 && report.skipped() == 0,
            "{} checks nothing",
            script.display()
        );
    }
}

/// In the scripts of Prometheus 3.5.3.
const EVALUATIONS: usize = 1_478;

/// `SKOPOS_PROMETHEUS_SCRIPTS` names the folder that holds them; without it there is nothing to run.
#[test]
fn scripts_of_prometheus_pass() {
    let Some(folder) = std::env::var_os("SKOPOS_PROMETHEUS_SCRIPTS") else {
        // Past the runner's capture, so that a pass without them is not silent; `tests/run` brings them.
        _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the PromQL scripts of Prometheus (tests/run brings them)"
        );
        return;
    };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for script in scripts(Path::new(&folder)) {
        let report = report(&script, true);
        passed += report.passed();
        failed += report.failed();
        skipped += report.skipped();
    }
    println!("all: {passed} passed, {failed} failed, {skipped} skipped");
    assert_eq!(failed, 0);
    assert_eq!(passed + skipped, EVALUATIONS, "every evaluation has a verdict");
}
