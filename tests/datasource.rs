//! Rules ask a real Prometheus, and what they record goes back to it.

use std::time::Duration;

use serde_json::Value;

use crate::harness::Skopos;
use crate::harness::components::write::Written;
use crate::harness::components::{Prometheus, find_kept, free_port};

const RULES: &str = "
groups:
  - name: shop
    interval: 1s
    rules:
      - { record: 'shop:heat:sum', expr: sum(heat) }
      - { alert: Hot, expr: heat > 50, labels: { severity: warning } }
      - { alert: AllHot, expr: 'shop:heat:sum > 90' }
";

fn heat(prometheus: &Prometheus) {
    let now = model::Timestamp(jiff::Timestamp::now().as_millisecond());
    let series = [("a", 60.0), ("b", 40.0)].map(|(host, value)| {
        (
            model::Labels::from_pairs([("__name__", "heat"), ("host", host)]),
            value,
        )
    });
    let written = series.each_ref().map(|(labels, value)| Written {
        labels,
        samples: vec![(now, *value)],
    });
    prometheus.write(&written);
}

async fn rule(skopos: &Skopos, name: &str) -> Value {
    let groups = skopos.api("/api/v1/rules").await;
    let groups = groups["groups"].as_array().cloned().unwrap_or_default();
    let mut rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
    rules.find(|rule| rule["name"] == name).unwrap_or(Value::Null)
}

#[tokio::test]
async fn rules_over_a_prometheus_fire_record_and_stay_while_it_is_away() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let receives = ["--web.enable-remote-write-receiver"];
    let address = format!("127.0.0.1:{}", free_port());
    let prometheus = Prometheus::start_at(address.clone(), &program, data.path(), "", &receives);
    heat(&prometheus);
    std::fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    let skopos = Skopos::start(
        folder.path(),
        &format!(
            "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nrule_files: [rules.yaml]\n\
             rules: {{ shipped: false, datasource: {{ url: 'http://{address}', timeout: 2s, retries: 1 }} }}\n\
             remote_write: [{{ url: 'http://{address}/api/v1/write' }}]\n"
        ),
    );
    let limit = Duration::from_secs(60);
    skopos
        .wait_for(
            "Hot and, by way of Prometheus, AllHot fire",
            limit,
            async |skopos| {
                rule(skopos, "Hot").await["state"] == "firing"
                    && rule(skopos, "AllHot").await["state"] == "firing"
            },
        )
        .await;
    let hot = rule(&skopos, "Hot").await;
    assert_eq!(hot["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(hot["alerts"][0]["labels"]["host"], "a");
    let recorded = prometheus.get("/api/v1/query?query=shop:heat:sum");
    assert!(recorded.contains("\"100\""), "{recorded}");
    assert!(prometheus.get("/api/v1/query?query=ALERTS").contains("Hot"));
    // This process itself has never seen what the rules read.
    assert_eq!(skopos.value("heat").await, None);
    let id = hot["id"].as_str().unwrap();
    let why = skopos.api(&format!("/api/v1/rules/{id}/explain")).await;
    let first = why["why"][0].as_str().unwrap();
    assert!(first.contains(&format!("asks http://{address}")), "{first}");

    drop(prometheus);
    skopos
        .wait_for("the rule says that nobody answers", limit, async |skopos| {
            rule(skopos, "Hot").await["health"] == "err"
        })
        .await;
    let hot = rule(&skopos, "Hot").await;
    assert_eq!(hot["state"], "firing");
    let error = hot["lastError"].as_str().unwrap();
    assert!(
        error.starts_with(&format!("asking http://{address}: cannot connect")),
        "{error}"
    );
    let prometheus = Prometheus::start_at(address, &program, data.path(), "", &receives);
    heat(&prometheus);
    skopos
        .wait_for(
            "it goes on once Prometheus is there again",
            limit,
            async |skopos| rule(skopos, "Hot").await["health"] == "ok",
        )
        .await;
    assert_eq!(
        rule(&skopos, "Hot").await["alerts"][0]["activeAt"],
        hot["alerts"][0]["activeAt"]
    );
    let (_, page) = skopos.get("/metrics").await;
    for outcome in ["answered", "no_answer"] {
        assert!(page.contains(&format!(
            "skopos_rules_datasource_questions_total{{outcome=\"{outcome}\"}}"
        )));
    }
    assert_eq!(skopos.stop().await, 0);
}
