//! `skopos lint rules`: exit codes, what is printed, and whom it asks.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::harness::components::{Prometheus, find, free_port, run};
use crate::harness::{Skopos, root, skopos::command};

const RULES: &str = "
groups:
- name: g
  rules:
  - record: job:up:sum
    expr: sum by (job) (up) / on (instance) up
  - alert: A
    expr: node_laod1 > 5
    for: 5m
    annotations: {summary: a}
";

#[test]
fn the_rules_that_ship_are_clean() {
    let mut lint = command(root());
    lint.args(["lint", "rules", "--fail-on", "warning"]);
    for entry in fs::read_dir(root().join("rules")).unwrap().flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            lint.arg(entry.path());
        }
    }
    let (code, text) = run(&mut lint);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("0 bugs, 0 warnings"), "{text}");
}

#[test]
fn the_exit_code_says_how_grave_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    fs::write(folder.path().join("bad.yml"), "grups: []\n").unwrap();
    let lint = |arguments: &[&str]| run(command(folder.path()).args(["lint", "rules"]).args(arguments));

    let (code, text) = lint(&["rules.yml"]);
    assert_eq!(code, 1, "{text}");
    let place = "rules.yml:6:35: bug promql/impossible: the two sides never match";
    assert!(
        text.starts_with(place) && text.contains("alerts/annotation"),
        "{text}"
    );
    assert!(
        text.contains("not looked for: promql/series, because neither"),
        "{text}"
    );
    assert!(
        text.ends_with("1 bug, 0 warnings, 1 info in 2 rules of 1 file\n"),
        "{text}"
    );

    let (code, text) = lint(&["rules.yml", "--min-severity", "bug"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        !text.contains("alerts/annotation") && text.contains("1 info (not shown)"),
        "{text}"
    );

    let good = RULES.replace("/ on (instance) up", "");
    fs::write(folder.path().join("good.yml"), good).unwrap();
    assert_eq!(lint(&["good.yml"]).0, 0);
    assert_eq!(lint(&["good.yml", "--fail-on", "info"]).0, 1);
    let (code, text) = lint(&["good.yml", "bad.yml", "none.yml"]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("did you mean \"groups\"?") && text.contains("none.yml: cannot be read"),
        "{text}"
    );
    for wrong in [
        &["rules.yml", "--fail-on", "grave"][..],
        &[],
        &["rules.yml", "--url", "x", "--data-dir", "y"],
    ] {
        assert_eq!(lint(wrong).0, 64, "{wrong:?}");
    }
    let (code, text) = lint(&["rules.yml", "--url", "http://127.0.0.1:1"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("for the names of its metrics"), "{text}");
}

#[test]
fn a_configuration_says_intervals_labels_and_retention() {
    let folder = tempfile::tempdir().unwrap();
    let config = "global: { scrape_interval: 1m, external_labels: { cluster: a } }\n\
                  store: { retention: { time: 1d } }\n";
    fs::write(folder.path().join("skopos.yaml"), config).unwrap();
    let rules = "groups: [{name: g, rules: [{record: 'a:b', expr: 'rate(a_total[1m]) + rate(a_total[2d])', labels: {cluster: b}}]}]";
    fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let (code, text) = run(command(folder.path()).args(["lint", "rules", "rules.yml", "-c", "skopos.yaml"]));
    assert_eq!(code, 1, "{text}");
    for check in ["promql/rate", "promql/range_query", "labels/conflict"] {
        assert!(text.contains(check), "{check}: {text}");
    }
    assert!(text.contains("one comes every 1m"), "{text}");
}

#[tokio::test]
async fn a_running_process_and_its_files_say_what_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    let skopos = Skopos::start(folder.path(), "node: { interval: 1s }\nlogs: { files: [] }\n");
    skopos
        .wait_for("some rounds", Duration::from_secs(20), async |skopos| {
            skopos.value("node_load1").await.is_some()
        })
        .await;
    let url = skopos.url("");
    let lint = |arguments: &[&str]| {
        let all = [&["lint", "rules", "rules.yml", "--json"], arguments].concat();
        let output = command(folder.path()).args(all).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.code(),
            serde_json::from_slice::<Value>(&output.stdout).expect(&error),
        )
    };
    let misspelt = |report: &Value| {
        let all = report["findings"].as_array().unwrap().clone();
        let found = all
            .into_iter()
            .find(|finding| finding["check"] == "promql/series");
        let found = found.unwrap_or_else(|| panic!("{report:#}"));
        assert_eq!(
            (&found["line"], &found["column"]),
            (&Value::from(8), &Value::from(11))
        );
        assert_eq!(found["advice"], "did you mean node_load1?");
    };
    let (code, report) = lint(&["--url", &url]);
    assert_eq!(code, Some(1), "{report:#}");
    misspelt(&report);
    let (code, report) = lint(&["--data-dir", "data"]);
    assert_eq!(code, Some(1), "{report:#}");
    misspelt(&report);
    assert_eq!(skopos.stop().await, 0);
}

/// Types, intervals, external labels and retention come by the API that all have.
#[test]
fn a_real_prometheus_is_asked_the_same() {
    let Some(program) = find("prometheus") else {
        return;
    };
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = format!("127.0.0.1:{}", free_port());
    let config = format!(
        "global: {{ scrape_interval: 1s, external_labels: {{ cluster: a }} }}\nscrape_configs: [{{ job_name: own, scrape_interval: 2s, static_configs: [{{ targets: ['{address}'] }}] }}]\n"
    );
    let prometheus = Prometheus::start_at(address, &program, data.path(), &config, &[]);
    let mut tries = 0;
    while !prometheus
        .get("/api/v1/query?query=go_goroutines")
        .contains("own")
    {
        tries += 1;
        assert!(tries < 200, "nothing is scraped");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let expressions = [
        ("rate(go_goroutines[1m])", "promql/counter", "is a gauge"),
        ("sum(process_cpu_seconds_total)", "promql/counter", "is a counter"),
        (
            "rate(process_cpu_seconds_total[3s])",
            "promql/rate",
            "one comes every 2s (job own of http://",
        ),
        ("up{jbo='own'}", "promql/series", "did you mean job?"),
        (
            "go_goroutines / on (quantile) go_gc_duration_seconds",
            "promql/vector_matching",
            "has no label quantile",
        ),
        ("go_gorountines", "promql/series", "did you mean go_goroutines?"),
        ("up offset 150y", "promql/offset", "samples are kept for 100y"),
    ];
    for (nth, (expr, check, said)) in expressions.into_iter().enumerate() {
        let rules = format!(
            "groups:\n- name: g\n  rules:\n  - record: 'a:b{nth}'\n    expr: |\n      {expr}\n    labels: {{cluster: b}}\n"
        );
        fs::write(folder.path().join("rules.yml"), rules).unwrap();
        let url = prometheus.url();
        let (_, text) = run(command(folder.path()).args(["lint", "rules", "rules.yml", "--url", &url]));
        assert!(text.contains(check) && text.contains(said), "{expr}: {text}");
        assert!(
            text.contains("labels/conflict") && !text.contains("not looked for"),
            "{text}"
        );
    }
}
