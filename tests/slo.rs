//! `skopos slo render`, and every other command that takes a file with `slos:` as one of rules.

use std::fs;
use std::time::Duration;

use crate::harness::components::run;
use crate::harness::{Skopos, root, skopos::command};

#[test]
fn plain_rules_are_printed_and_mistakes_end_with_64() {
    let folder = tempfile::tempdir().unwrap();
    let shop = root().join("agent/rules/slo/tests");
    fs::copy(shop.join("shop.yaml"), folder.path().join("shop.yaml")).unwrap();
    let golden = fs::read_to_string(shop.join("shop.rules.yaml")).unwrap();
    let render = |file: &str| run(command(folder.path()).args(["slo", "render", file]));
    assert_eq!(render("shop.yaml"), (0, golden));

    let bad = "slos:\n  - { name: a, objective: 0.999, total: t, errors: e }\n";
    fs::write(folder.path().join("bad.yaml"), bad).unwrap();
    fs::write(folder.path().join("rules.yaml"), "groups: []\n").unwrap();
    for (file, said) in [
        (
            "bad.yaml",
            "bad.yaml:2:27: an objective of 0.999 of 100 events allows nearly all",
        ),
        ("rules.yaml", "there is no objective in this file"),
        ("gone.yaml", "gone.yaml"),
    ] {
        let (code, text) = render(file);
        assert_eq!(code, 64, "{file}: {text}");
        assert!(text.contains(said), "{file}: {text}");
    }
}

#[test]
fn objectives_are_checked_linted_and_tested_like_rules() {
    let folder = tempfile::tempdir().unwrap();
    let shop = root().join("agent/rules/slo/tests");
    fs::copy(shop.join("shop.yaml"), folder.path().join("shop.yaml")).unwrap();
    let test = "rule_files: [shop.yaml]
tests:
  - interval: 1m
    input_series: [{ series: 'http_requests_total{job=\"checkout\",code=\"500\"}', values: '0+9x30' }]
    promql_expr_test:
      - expr: slo:sli_error:ratio_rate5m
        eval_time: 20m
        exp_samples: [{ labels: 'slo:sli_error:ratio_rate5m{slo=\"checkout\"}', value: 1 }]
";
    fs::write(folder.path().join("test.yaml"), test).unwrap();
    for (arguments, said) in [
        (["check", "shop.yaml"].as_slice(), "shop.yaml: ok, "),
        (
            &["lint", "rules", "shop.yaml", "--fail-on", "warning"],
            "of 1 file",
        ),
        (&["test", "rules", "test.yaml"], "1 "),
    ] {
        let (code, text) = run(command(folder.path()).args(arguments));
        assert_eq!(code, 0, "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn a_running_process_evaluates_them() {
    let folder = tempfile::tempdir().unwrap();
    let slo = "slos: [{ name: own, objective: 99, total: vector(1), errors: vector(0.5), min_traffic: 0 }]\n";
    fs::write(folder.path().join("own.yaml"), slo).unwrap();
    let skopos = Skopos::start(folder.path(), "rule_files: ['own.yaml']\nlogs: { files: [] }\n");
    skopos
        .wait_for("the ratio of errors", Duration::from_secs(60), async |skopos| {
            let query = "/api/v1/query?query=slo:sli_error:ratio_rate5m";
            let answer = skopos.api(query).await.to_string();
            answer.contains("\"own\"") && answer.contains("\"0.5\"")
        })
        .await;
    let groups = skopos.api("/api/v1/rules").await.to_string();
    assert!(
        groups.contains("\"slo-own\"") && groups.contains("ErrorBudgetBurnsFast"),
        "{groups}"
    );
}
