//! `skopos explain`: why an alert fires or does not, and what happened as a unit test that promtool runs, too.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::fakes::slack::Slack;
use crate::harness::components::{find, run};
use crate::harness::{Skopos, skopos::command};

const RULES: &str = "
groups:
  - name: explained
    interval: 1s
    rules:
      - record: mode:cpu:rate
        expr: sum by (mode) (rate(node_cpu_seconds_total[10s]))
      - alert: Loaded
        expr: node_load1 > -1
        for: 2s
        annotations: { summary: 'load is {{ $value }}' }
      - alert: Idle
        expr: mode:cpu:rate{mode=\"idle\"} >= 0 and on () count(count_over_time(node_load5[10s]) >= 2) > 0
        for: 3s
        labels: { severity: page }
        annotations: { summary: '{{ $labels.mode }} cores' }
      - alert: Overloaded
        expr: node_load1 > 1e6
      - alert: Mistyped
        expr: node_laod1 > 1
";

fn explain(folder: &Path, url: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = command(folder)
        .args(["explain", "--url", url])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn a_running_process_says_why_and_writes_a_test_that_promtool_passes() {
    let folder = tempfile::tempdir().unwrap();
    let slack = Slack::start().await.unwrap();
    fs::write(folder.path().join("explained.yaml"), RULES).unwrap();
    let config = format!(
        "node: {{ interval: 1s }}
rule_files: [explained.yaml]
rules: {{ shipped: false }}
logs: {{ files: [] }}
notifier: {{ group_wait: 0s, group_interval: 1s, slack: {{ webhook_url: '{}' }} }}
",
        slack.url()
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("both alerts fire", Duration::from_secs(40), async |skopos| {
            let alerts = skopos.api("/api/v1/alerts").await;
            let alerts = alerts["alerts"].as_array().unwrap().clone();
            let fires = |name: &str| {
                alerts
                    .iter()
                    .any(|alert| alert["labels"]["alertname"] == name && alert["state"] == "firing")
            };
            fires("Loaded") && fires("Idle") && slack.posted().len() >= 2
        })
        .await;
    let url = skopos.url("");
    let ask = |arguments: &[&str]| explain(folder.path(), &url, arguments);

    let (code, text, wrong) = ask(&["Overloaded"]);
    assert_eq!(code, 0, "{wrong}");
    assert!(
        text.contains("it does not fire: node_load1 is ") && text.contains("and not above 1000000"),
        "{text}"
    );
    let (_, text, _) = ask(&["Mistyped"]);
    let known = "no series match node_laod1: the metric is not known; did you mean node_load1?";
    assert!(text.contains(known), "{text}");
    let (_, text, _) = ask(&["Loaded", "-n", "3", "-v"]);
    assert!(
        text.contains("1 alert is firing") && text.contains("told to slack at "),
        "{text}"
    );
    assert!(
        text.contains("\nTimeline\n") && text.contains("    pending  "),
        "{text}"
    );
    let (_, text, _) = ask(&["Idle", "--json"]);
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(all[0]["state"], "firing", "{text}");
    assert_eq!(all[0]["evaluations"].as_array().unwrap().len(), 5);
    let (code, _, wrong) = ask(&["Loadd"]);
    assert_eq!(code, 1);
    assert!(
        wrong.contains("has no rule \"Loadd\"; did you mean Loaded?"),
        "{wrong}"
    );

    // A sample that came a moment later than the evaluation that it is of moves a beginning: rarely, and not of both.
    let mut whole = 0;
    for (alert, arguments, firing) in [
        ("Loaded", &["--as-test"][..], true),
        ("Idle", &["--as-test"], true),
        ("Loaded", &["--as-test", "--since", "1s"], true),
        (
            "Idle",
            &["--as-test", "--since", "1s", "--with-rules", "own.yaml"],
            true,
        ),
        ("Overloaded", &["--as-test"], false),
        ("Mistyped", &["--as-test"], false),
    ] {
        let (code, test, doubts) = ask(&[&[alert], arguments].concat());
        if arguments.len() == 1 && firing {
            if code == 1 {
                assert!(doubts.contains("not the same as what happened: at "), "{doubts}");
                continue;
            }
            whole += 1;
            assert!(
                test.contains("exp_alerts: []") && test.contains("exp_alerts:\n"),
                "{test}"
            );
        }
        assert_eq!((code, doubts.as_str()), (0, ""), "{test}");
        assert_eq!(test.contains("exp_labels"), firing, "{test}");
        fs::write(folder.path().join("test.yaml"), &test).unwrap();
        let (code, text) = run(command(folder.path()).args(["test", "rules", "test.yaml"]));
        assert_eq!(code, 0, "{text}\n{test}");
        // What is in force is what fires: under another rule the test fails.
        if firing {
            let other = fs::read_to_string(folder.path().join("explained.yaml")).unwrap();
            let other = other.replace("> -1", "> 1e9").replace(">= 0 and", "> 1e9 and");
            fs::write(folder.path().join("other.yaml"), other).unwrap();
            let changed = test
                .replace("explained.yaml", "other.yaml")
                .replace("own.yaml", "other.yaml");
            fs::write(folder.path().join("changed.yaml"), changed).unwrap();
            let (code, text) = run(command(folder.path()).args(["test", "rules", "changed.yaml"]));
            assert_eq!(code, 1, "{text}");
        }
        if let Some(promtool) = find("promtool") {
            let (code, text) =
                run(Command::new(promtool)
                    .current_dir(folder.path())
                    .args(["test", "rules", "test.yaml"]));
            assert_eq!(code, 0, "{text}\n{test}");
        }
    }
    assert!(whole > 0, "no beginning was told as it was");
    skopos.stop().await;
}
