//! Runs the scripts of this repository, and Prometheus' own where somebody has put them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Report, RunOptions, run};

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
    let (passed, failed, skipped) = (report.passed, report.failed.len(), report.skipped);
    println!("{name}: {passed} passed, {failed} failed, {skipped} skipped");
    for failure in &report.failed {
        println!("  {name}: {failure}");
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
        assert!(report.failed.is_empty(), "{} fails", script.display());
        assert!(
            report.passed > 0 && report.skipped == 0,
            "{} checks nothing",
            script.display()
        );
    }
}

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
    const CORE: [&str; 14] = [
        "aggregators",
        "at_modifier",
        "collision",
        "functions",
        "histograms",
        "literals",
        "name_label_dropping",
        "operators",
        "range_queries",
        "selectors",
        "staleness",
        "subquery",
        "trig_functions",
        "type_and_unit",
    ];
    let mut all = Report::default();
    for name in CORE {
        let script = Path::new(&folder).join(name).with_extension("test");
        let report = report(&script, true);
        all.passed += report.passed;
        all.skipped += report.skipped;
        all.failed.extend(report.failed);
    }
    println!(
        "all: {} passed, {} failed, {} skipped",
        all.passed,
        all.failed.len(),
        all.skipped
    );
    assert!(all.failed.is_empty());
}
