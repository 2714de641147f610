//! Rule groups as `/api/v1/rules` and the metrics of rules show them, beside a real Prometheus with the same files.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::Skopos;
use crate::harness::components::{Prometheus, find_kept, percent};

const FIRST: &str = r#"
groups:
- name: b
  interval: 1s
  limit: 3
  labels: { team: x, "dotted.name": z }
  rules:
  - { alert: Firing, expr: 'vector(1)', labels: { severity: page, team: y }, annotations: { summary: 'at {{ $value }}' } }
  - { alert: Pending, expr: 'sum  (  vector(2))>1', for: 1h }
  - { alert: Idle, expr: 'vector(1) > 1', for: 90s, keep_firing_for: 5m, labels: { severity: '{{ $value }}' } }
  - { record: 'a:b', expr: "sum by (x) (\n  vector(1)\n)", labels: { c: d } }
  - { record: plain, expr: 1 + 1 }
- name: a
  interval: 1s
  query_offset: 2s
  rules:
  - { record: late, expr: time() }
  - { alert: Firing, expr: 'vector(0.001) * 150' }
- name: empty
  rules: []
"#;

const SECOND: &str = r#"
groups:
- name: b
  interval: 1s
  limit: 1
  rules:
  - { record: many, expr: 'vector(1) or label_replace(vector(2), "x", "y", "", "")' }
  - { record: twins, expr: 'label_replace(vector(1), "x", "y", "", "") or vector(2)', labels: { x: z } }
"#;

/// Without what is of the moment, what is ours alone, and what is said of errors in words of our own.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Array(all) => all.iter_mut().for_each(|one| *one = timeless(one.take())),
        Value::Object(map) => {
            for key in ["evaluationTime", "lastEvaluation", "activeAt", "id", "lastError"] {
                map.remove(key);
            }
            for (_, one) in map.iter_mut() {
                *one = timeless(one.take());
            }
        }
        _ => {}
    }
    value
}

async fn rules(url: &str, query: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{url}/api/v1/rules{query}")).await.unwrap();
    let status = answer.status().as_u16();
    (status, timeless(answer.json().await.unwrap()))
}

/// Names of groups, page by page.
async fn pages(url: &str, size: usize) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let (_, answer) = rules(url, &format!("?group_limit={size}{token}")).await;
        let groups = answer["data"]["groups"].as_array().unwrap().iter();
        pages.push(groups.map(|group| group["name"].to_string()).collect());
        let Some(next) = answer["data"]["groupNextToken"].as_str() else {
            return pages;
        };
        token = format!("&group_next_token={next}");
    }
}

/// Names, types and labels of the metrics of rules; buckets and quantiles are part of the name.
async fn metrics(url: &str) -> BTreeSet<String> {
    let answer = reqwest::get(format!("{url}/metrics")).await.unwrap();
    let text = answer.text().await.unwrap();
    let lines = text.lines().filter(|line| line.contains("prometheus_rule_"));
    let lines = lines.filter(|line| !line.starts_with("# HELP"));
    let named = lines.map(|line| match line.strip_prefix("# TYPE ") {
        Some(kind) => kind.to_owned(),
        None => line.rsplit_once(' ').unwrap().0.to_owned(),
    });
    named.collect()
}

fn written(folder: &Path) -> Vec<String> {
    let files = [("one.yaml", FIRST), ("two.yaml", SECOND)].map(|(name, text)| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    });
    files.to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_shown_as_prometheus_shows_them() {
    let Some(program) = find_kept("prometheus") else {
        return;
    };
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = written(folder.path());
    let named = format!("rule_files: ['{}', '{}']\n", files[0], files[1]);
    let prometheus = Prometheus::start(&program, data.path(), &named, &[]);
    let config = format!(
        "{named}node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nrules: {{ shipped: false }}\n"
    );
    let skopos = Skopos::start(folder.path(), &config);
    let (ours, theirs) = (skopos.url(""), prometheus.url());
    // Prometheus shows the state of alerts from the second round on.
    let is_settled = async |url: &str| {
        let (_, answer) = rules(url, "").await;
        let text = answer.to_string();
        text.contains("\"pending\"") && text.contains("\"err\"") && !text.contains("\"unknown\"")
    };
    skopos
        .wait_for("both have evaluated all", Duration::from_secs(60), async |_| {
            is_settled(&ours).await && is_settled(&theirs).await
        })
        .await;
    let one = percent(&files[0]);
    for query in [
        "",
        "?type=alert",
        "?type=record",
        "?type=ALERT",
        "?type=recording",
        "?rule_name[]=Firing",
        "?rule_name[]=Firing&rule_name[]=plain&type=record",
        "?rule_name[]=none",
        "?rule_group[]=a&rule_group[]=empty",
        &format!("?file[]={one}"),
        &format!("?file[]={one}&rule_group[]=b&rule_name[]=Idle"),
        "?file[]=one.yaml",
        "?match[]={severity=\"page\"}",
        "?match[]={team=~\".%2B\"}&match[]={c=\"d\"}",
        "?match[]={severity=\"{{ $value }}\"}",
        "?match[]=plain",
        "?exclude_alerts=true",
        "?exclude_alerts=T&type=alert",
        "?exclude_alerts=0",
        "?group_limit=10",
    ] {
        let (ours, theirs) = (rules(&ours, query).await, rules(&theirs, query).await);
        assert_eq!(ours, theirs, "{query}");
        assert_eq!(
            ours.0,
            if query == "?type=recording" { 400 } else { 200 },
            "{query}"
        );
    }
    for query in [
        "?match[]={",
        "?match[]={team=\"\",severity=\"\"}",
        "?match[]={a=~\"(\"}",
        "?exclude_alerts=maybe",
        "?group_limit=0",
        "?group_limit=-1",
        "?group_limit=many",
        "?group_next_token=x",
        "?group_limit=1&group_next_token=x",
    ] {
        let (ours, theirs) = (rules(&ours, query).await, rules(&theirs, query).await);
        assert_eq!(
            (ours.0, &ours.1["errorType"]),
            (theirs.0, &theirs.1["errorType"]),
            "{query}"
        );
        assert_eq!(ours.0, 400, "{query}");
    }
    for size in 1..4 {
        assert_eq!(pages(&ours, size).await, pages(&theirs, size).await, "{size}");
    }
    // A group without rules has no state to wait for: its numbers come with its first round.
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let (mut ours, mut theirs) = (metrics(&ours).await, metrics(&theirs).await);
        // Prometheus has this one of a group only after its second round.
        for all in [&mut ours, &mut theirs] {
            all.retain(|line| !line.starts_with("prometheus_rule_group_last_restore_duration_seconds"));
        }
        // Those of later versions of Prometheus.
        ours.retain(|line| !line.contains("_duration_histogram_seconds"));
        let differ: Vec<_> = ours.symmetric_difference(&theirs).collect();
        if differ.is_empty() {
            assert!(ours.len() > 30, "{ours:?}");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{differ:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(skopos.stop().await, 0);
}
