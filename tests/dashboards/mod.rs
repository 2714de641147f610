//! The dashboards are written by this generator and kept in `dashboards/`; a drift fails, `UPDATE_GOLDEN=1`
//! writes them anew. Every target of every panel is asked of a running Skopos and must answer.

mod build;

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Skopos, root};

#[test]
fn the_kept_files_are_what_the_generator_writes() {
    for (name, dashboard) in build::all() {
        let path = root().join("dashboards").join(name);
        let text = serde_json::to_string_pretty(&dashboard).unwrap() + "\n";
        if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap_or_default(),
            text,
            "{name} drifted (UPDATE_GOLDEN=1 rewrites it)"
        );
    }
}

#[test]
fn every_panel_has_title_description_unit_and_data_source() {
    for (name, dashboard) in build::all() {
        assert!(dashboard["uid"].as_str().is_some_and(|uid| uid.len() <= 40));
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            assert!(!title.is_empty());
            assert!(
                panel["description"].as_str().is_some_and(|text| text.len() > 20),
                "{name}: {title}: description"
            );
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{name}: {title}: unit"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
        }
    }
}

/// Panels that measure something, without rows.
fn panels(dashboard: &Value) -> Vec<Value> {
    let panels = dashboard["panels"].as_array().unwrap();
    panels
        .iter()
        .filter(|panel| panel["type"] != "row")
        .cloned()
        .collect()
}

#[tokio::test]
async fn every_target_of_every_panel_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.log");
    fs::write(&file, "one line\n").unwrap();
    let config = format!(
        "node: {{ interval: 1s }}\nglobal: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nlogs: {{ files: ['{}'] }}\n",
        file.display()
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("some rounds", Duration::from_secs(20), async |skopos| {
            skopos
                .value("count_over_time(up{job=\"skopos\"}[1m])")
                .await
                .is_some_and(|rounds| rounds >= 5.0)
        })
        .await;
    // Not every machine has these; an empty answer is right there, an error is not.
    let optional = [
        "node_pressure",
        "node_timex",
        "node_disk",
        "node_hwmon",
        "ALERTS",
        "dropped",
        "failures",
        "node_filesystem",
    ];
    for (name, dashboard) in build::all() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().unwrap() {
                let expr = target["expr"]
                    .as_str()
                    .unwrap()
                    .replace("$__rate_interval", "1m")
                    .replace("$instance", ".*");
                let answer = skopos.query(&expr).await;
                let may_be_empty = optional.iter().any(|word| expr.contains(word));
                assert!(
                    may_be_empty || !answer.is_empty(),
                    "{name}: {}: no data for {expr}",
                    panel["title"]
                );
            }
        }
    }
    assert_eq!(skopos.stop().await, 0);
}
