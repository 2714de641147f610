//! What the dashboard of logs shows: the lines themselves, asked of OpenSearch, and whether they get there.

use serde_json::{Value, json};

use super::build::{Panel, dashboard};

/// All that a person has narrowed down.
const QUERY: &str = "(kubernetes.namespace:$namespace) AND (kubernetes.pod:$pod) AND (kubernetes.container:$container) AND (level:$level) AND ($search)";

/// What is said in the logs, and does it get there?
pub(super) fn logs() -> Value {
    let stats = [
        Panel {
            title: "Lines a second",
            about: "Lines that sinks have taken, all of them together.",
            unit: "short",
            targets: &[(
                "sum by (sink) (rate(skopos_logs_lines_total{instance=~\"$instance\"}[$__rate_interval]))",
                "{{sink}}",
            )],
        },
        Panel {
            title: "Not read yet",
            about: "Bytes in log files that no sink has taken up. Alert: LogSinkBlocked.",
            unit: "bytes",
            targets: &[(
                "sum by (sink) (skopos_logs_lag_bytes{instance=~\"$instance\"})",
                "{{sink}}",
            )],
        },
        Panel {
            title: "Until something is lost",
            about: "Time until the kubelet deletes what was not read, where it is shortest; nothing where nobody is behind. Alert: LogLinesSoonLost.",
            unit: "s",
            targets: &[(
                "min by (sink) (skopos_logs_seconds_until_loss{instance=~\"$instance\"} < 1e9) or on () vector(1e9)",
                "{{sink}}",
            )],
        },
        Panel {
            title: "Lost in the last day",
            about: "Bytes of files that were gone before they were read, or let go for room. Alert: LogBytesLost.",
            unit: "bytes",
            targets: &[(
                "sum(increase(skopos_logs_unread_at_unlink_bytes_total{instance=~\"$instance\"}[1d]) + increase(skopos_logs_shed_bytes_total[1d])) or vector(0)",
                "lost",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "Requests",
            about: "Requests to sinks by what came of them; everything but ok and partial is tried again.",
            unit: "reqps",
            targets: &[(
                "sum by (sink, result) (rate(skopos_logs_requests_total{instance=~\"$instance\"}[$__rate_interval])) or on () vector(0)",
                "{{sink}}: {{result}}",
            )],
        },
        Panel {
            title: "Sent again and never taken",
            about: "Records that a sink could not take then, and those that it never will. Alert: SkoposLogLinesDropped.",
            unit: "short",
            targets: &[
                (
                    "sum by (sink) (rate(skopos_logs_records_retried_total{instance=~\"$instance\"}[$__rate_interval])) or on () vector(0)",
                    "{{sink}}: again",
                ),
                (
                    "sum by (sink, reason) (rate(skopos_logs_dead_letters_total{instance=~\"$instance\"}[$__rate_interval])) or on () vector(0)",
                    "{{sink}}: {{reason}}",
                ),
            ],
        },
    ];
    let mut all = dashboard("skopos-logs", "Skopos / Logs", &stats, &graphs);
    if let Some(panels) = all["panels"].as_array_mut() {
        // What people look for comes first.
        for panel in panels.iter_mut() {
            let below = 30 + panel["gridPos"]["y"].as_u64().unwrap();
            panel["gridPos"]["y"] = json!(below);
        }
        let id = panels.len();
        panels.extend([volume(id + 1), lines(id + 2), errors(id + 3)]);
    }
    if let Some(variables) = all["templating"]["list"].as_array_mut() {
        variables.push(sink());
        for (name, label, field) in [
            ("namespace", "Namespace", "kubernetes.namespace"),
            ("pod", "Pod", "kubernetes.pod"),
            ("container", "Container", "kubernetes.container"),
            ("level", "Level", "level"),
        ] {
            variables.push(terms(name, label, field));
        }
        variables.push(search());
    }
    all
}

/// Below everything else: what the chosen pod says, of all its containers.
pub(super) fn add_lines_of_pod(dashboard: &mut Value) {
    if let Some(panels) = dashboard["panels"].as_array_mut() {
        let ends = panels.iter().map(|panel| {
            let place = |side: &str| panel["gridPos"][side].as_u64().unwrap_or_default();
            place("y") + place("h")
        });
        let y = ends.max().unwrap_or_default();
        let mut panel = lines(panels.len() + 1);
        panel["description"] = json!("The newest 500 lines of this pod; each opens to all its fields.");
        panel["gridPos"] = json!({"x": 0, "y": y, "w": 24, "h": 16});
        panel["targets"][0]["query"] =
            json!("(kubernetes.namespace:$namespace) AND (kubernetes.pod:$pod) AND ($search)");
        panels.push(panel);
    }
    if let Some(variables) = dashboard["templating"]["list"].as_array_mut() {
        variables.extend([sink(), search()]);
    }
}

fn sink() -> Value {
    json!({"name": "logs_ds", "label": "Logs", "type": "datasource", "query": "grafana-opensearch-datasource"})
}

fn search() -> Value {
    json!({"name": "search", "label": "Search", "type": "textbox", "query": "*", "current": {"text": "*", "value": "*"}})
}

fn source() -> Value {
    json!({"type": "grafana-opensearch-datasource", "uid": "${logs_ds}"})
}

/// The values of a field; all of them means also lines that do not have it, such as those of files.
fn terms(name: &str, label: &str, field: &str) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "datasource": source(), "refresh": 2, "sort": 1,
        "definition": format!("{field} terms"), "query": json!({"find": "terms", "field": field}).to_string(),
        "includeAll": true, "multi": true, "allValue": format!("* OR (*:* AND NOT _exists_:{field})"),
    })
}

fn target(metrics: &Value, buckets: &Value) -> Value {
    json!({
        "refId": "A", "queryType": "lucene", "query": QUERY, "metrics": [metrics], "bucketAggs": buckets,
        "timeField": "@timestamp", "datasource": source(),
    })
}

fn over_time(id: &str) -> Value {
    json!({"id": id, "type": "date_histogram", "field": "@timestamp", "settings": {"interval": "auto", "min_doc_count": "0"}})
}

fn most(id: &str, field: &str, size: u32) -> Value {
    let settings =
        json!({"size": size.to_string(), "order": "desc", "orderBy": "_count", "min_doc_count": "1"});
    json!({"id": id, "type": "terms", "field": field, "settings": settings})
}

fn volume(id: usize) -> Value {
    let bars =
        json!({"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": {"mode": "normal"}});
    json!({
        "id": id, "type": "timeseries", "title": "Lines by level", "datasource": source(),
        "description": "How many lines there are of each level, of what is narrowed down above.",
        "gridPos": {"x": 0, "y": 0, "w": 16, "h": 8},
        "targets": [target(&json!({"id": "1", "type": "count"}), &json!([most("2", "level", 6), over_time("3")]))],
        "fieldConfig": {"defaults": {"unit": "short", "min": 0, "custom": bars}, "overrides": []},
    })
}

fn errors(id: usize) -> Value {
    let mut target = target(
        &json!({"id": "1", "type": "count"}),
        &json!([most("2", "kubernetes.pod", 20)]),
    );
    target["query"] = json!(format!("{QUERY} AND level:(error OR fatal)"));
    json!({
        "id": id, "type": "table", "title": "Pods with most errors", "datasource": source(),
        "description": "Lines of the levels error and fatal, by pod, of what is narrowed down above.",
        "gridPos": {"x": 16, "y": 0, "w": 8, "h": 8}, "targets": [target],
        "fieldConfig": {"defaults": {"unit": "short"}, "overrides": []},
    })
}

fn lines(id: usize) -> Value {
    json!({
        "id": id, "type": "logs", "title": "Lines", "datasource": source(),
        "description": "The newest 500 lines of what is narrowed down above; each opens to all its fields.",
        "gridPos": {"x": 0, "y": 8, "w": 24, "h": 22},
        "targets": [target(&json!({"id": "1", "type": "logs", "settings": {"size": "500"}}), &json!([over_time("2")]))],
        "options": {"showTime": true, "wrapLogMessage": true, "enableLogDetails": true, "sortOrder": "Descending", "dedupStrategy": "none"},
        "fieldConfig": {"defaults": {"unit": "short"}, "overrides": []},
    })
}

/// The search that the data source makes of a target, everything being narrowed down to nothing.
pub(super) fn search_of(target: &Value, variables: &Value) -> Value {
    let mut query = target["query"].as_str().unwrap().to_owned();
    for variable in variables.as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        let value = variable["allValue"].as_str().unwrap_or("*");
        query = query.replace(&format!("${name}"), value);
    }
    let range = json!({"range": {"@timestamp": {"gte": "now-1d", "lte": "now", "format": "strict_date_optional_time"}}});
    let wanted = json!({"query_string": {"analyze_wildcard": true, "query": query}});
    let mut search = json!({"size": 0, "query": {"bool": {"filter": [range, wanted]}}});
    if target["metrics"][0]["type"] == "logs" {
        search["size"] = json!(
            target["metrics"][0]["settings"]["size"]
                .as_str()
                .unwrap()
                .parse::<u32>()
                .unwrap()
        );
        search["sort"] = json!([{"@timestamp": {"order": "desc", "unmapped_type": "boolean"}}]);
    }
    let mut inner = json!(null);
    for bucket in target["bucketAggs"].as_array().unwrap().iter().rev() {
        let mut aggregation = match bucket["type"].as_str().unwrap() {
            "terms" => json!({"terms": {
                "field": bucket["field"], "size": bucket["settings"]["size"].as_str().unwrap().parse::<u32>().unwrap(),
                "order": {"_count": "desc"}, "min_doc_count": 1,
            }}),
            _ => {
                json!({"date_histogram": {"field": bucket["field"], "fixed_interval": "60s", "min_doc_count": 0}})
            }
        };
        if !inner.is_null() {
            aggregation["aggs"] = inner;
        }
        inner = json!({bucket["id"].as_str().unwrap(): aggregation});
    }
    search["aggs"] = inner;
    search
}
