//! Lines that become metrics, and alerts on them, from a whole process.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::harness::Skopos;

const PATIENCE: Duration = Duration::from_secs(30);

fn config(folder: &Path) -> String {
    format!(
        r#"
global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
node: {{ enabled: false }}
rule_files: [lines.yaml]
logs:
  files: []
  containers: {}/pods
  filters:
  - {{ match: {{ container: noise }}, exclude: true }}
  metrics:
  - name: shop_payments_failed_total
    match: {{ namespace: shop }}
    level: error
    text: 'payment (?<id>\d+) failed: (?<why>\w+)'
    labels: {{ namespace: "{{namespace}}", why: "{{fields.why}}" }}
"#,
        folder.display()
    )
}

const RULES: &str = r#"
groups:
- name: lines
  rules:
  - alert: PaymentsFail
    expr: sum by (why) (increase(shop_payments_failed_total[1m])) > 0
    labels: { severity: critical }
    annotations: { summary: "payments fail: {{ $labels.why }}" }
"#;

fn write(folder: &Path, container: &str, lines: &[&str]) {
    let folder = folder.join(format!("pods/shop_checkout-0_uid/{container}"));
    fs::create_dir_all(&folder).unwrap();
    let file = File::options()
        .create(true)
        .append(true)
        .open(folder.join("0.log"));
    let mut file = file.unwrap();
    for line in lines {
        writeln!(file, "2026-11-27T10:00:00.000Z stderr F {line}").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_counted_and_an_alert_on_them_fires() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lines.yaml"), RULES).unwrap();
    let failed = [
        "INFO fine",
        "ERROR payment 1 failed: timeout",
        "ERROR payment 2 failed: timeout",
    ];
    write(folder.path(), "app", &failed);
    write(folder.path(), "noise", &failed);
    let skopos = Skopos::start(folder.path(), &config(folder.path()));
    skopos
        .wait_for("both lines, none of them twice", PATIENCE, async |skopos| {
            skopos.value("shop_payments_failed_total").await == Some(2.0)
        })
        .await;
    write(
        folder.path(),
        "app",
        &["ERROR payment 3 failed: timeout", "INFO payment 4 failed: not"],
    );
    skopos
        .wait_for("the alert", PATIENCE, async |skopos| {
            let answer = skopos.api("/api/v1/alerts").await;
            let alerts = answer["alerts"].as_array().cloned().unwrap_or_default();
            alerts.iter().any(|alert| {
                let label = |name: &str, want: &str| alert["labels"][name].as_str() == Some(want);
                label("alertname", "PaymentsFail") && label("why", "timeout") && alert["state"] == "firing"
            })
        })
        .await;
    skopos
        .wait_for("all three lines", PATIENCE, async |skopos| {
            let expr = r#"shop_payments_failed_total{namespace="shop",why="timeout"}"#;
            skopos.value(expr).await == Some(3.0)
        })
        .await;
    let metrics = skopos.get("/metrics").await.1;
    let excluded = metrics
        .lines()
        .find(|line| line.starts_with("skopos_logs_dropped_total{reason=\"excluded\",sink=\"segments\"}"));
    assert!(excluded.is_some_and(|line| line.ends_with(" 3")), "{excluded:?}");
    assert_eq!(skopos.stop().await, 0);

    // What has been counted is not counted again.
    let skopos = Skopos::start_in(folder.path(), &config(folder.path()), &[]);
    write(folder.path(), "app", &["ERROR payment 5 failed: timeout"]);
    skopos
        .wait_for("the next line", PATIENCE, async |skopos| {
            let metrics = skopos.get("/metrics").await.1;
            metrics.contains("shop_payments_failed_total{namespace=\"shop\",why=\"timeout\"} 1")
        })
        .await;
    assert_eq!(skopos.stop().await, 0);
}
