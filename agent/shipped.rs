//! What comes in the binary: rules and their runbooks, dashboards.

/// Name and text of each rule file.
pub(crate) const RULES: &[(&str, &str)] = &[
    ("rules/targets.yaml", include_str!("../rules/targets.yaml")),
    ("rules/node.yaml", include_str!("../rules/node.yaml")),
    (
        "rules/kubernetes-recorded.yaml",
        include_str!("../rules/kubernetes-recorded.yaml"),
    ),
    (
        "rules/kubernetes-workloads.yaml",
        include_str!("../rules/kubernetes-workloads.yaml"),
    ),
    (
        "rules/kubernetes-capacity.yaml",
        include_str!("../rules/kubernetes-capacity.yaml"),
    ),
    (
        "rules/kubernetes-nodes.yaml",
        include_str!("../rules/kubernetes-nodes.yaml"),
    ),
    (
        "rules/kubernetes-spot.yaml",
        include_str!("../rules/kubernetes-spot.yaml"),
    ),
    (
        "rules/kubernetes-limits.yaml",
        include_str!("../rules/kubernetes-limits.yaml"),
    ),
    (
        "rules/kubernetes-extensions.yaml",
        include_str!("../rules/kubernetes-extensions.yaml"),
    ),
    (
        "rules/kubernetes-control-plane.yaml",
        include_str!("../rules/kubernetes-control-plane.yaml"),
    ),
    ("rules/aws-rds.yaml", include_str!("../rules/aws-rds.yaml")),
    (
        "rules/aws-rds-proxy.yaml",
        include_str!("../rules/aws-rds-proxy.yaml"),
    ),
    (
        "rules/aws-elasticache.yaml",
        include_str!("../rules/aws-elasticache.yaml"),
    ),
    ("rules/aws-msk.yaml", include_str!("../rules/aws-msk.yaml")),
    ("rules/aws-alb.yaml", include_str!("../rules/aws-alb.yaml")),
    (
        "rules/aws-network.yaml",
        include_str!("../rules/aws-network.yaml"),
    ),
    ("rules/aws-budget.yaml", include_str!("../rules/aws-budget.yaml")),
    ("rules/logs.yaml", include_str!("../rules/logs.yaml")),
    ("rules/pair.yaml", include_str!("../rules/pair.yaml")),
    ("rules/skopos.yaml", include_str!("../rules/skopos.yaml")),
];

/// Grafana dashboards: name, and JSON.
const DASHBOARDS: &[(&str, &str)] = &[
    ("alb", include_str!("../dashboards/alb.json")),
    ("alerts", include_str!("../dashboards/alerts.json")),
    ("cluster", include_str!("../dashboards/cluster.json")),
    ("elasticache", include_str!("../dashboards/elasticache.json")),
    ("limits", include_str!("../dashboards/limits.json")),
    ("logs", include_str!("../dashboards/logs.json")),
    ("msk", include_str!("../dashboards/msk.json")),
    ("node", include_str!("../dashboards/node.json")),
    ("pair", include_str!("../dashboards/pair.json")),
    ("pod", include_str!("../dashboards/pod.json")),
    ("rds", include_str!("../dashboards/rds.json")),
    ("skopos", include_str!("../dashboards/skopos.json")),
    ("store", include_str!("../dashboards/store.json")),
    ("workload", include_str!("../dashboards/workload.json")),
];

/// Every expression that a shipped dashboard asks.
pub(crate) fn dashboard_expressions() -> Vec<String> {
    let mut found = Vec::new();
    for (_, text) in DASHBOARDS {
        if let Ok(dashboard) = serde_json::from_str(text) {
            collect(&dashboard, &mut found);
        }
    }
    found
}

/// Each shipped dashboard: what it asks.
pub(crate) fn dashboards() -> Vec<(&'static str, Vec<String>)> {
    let read = DASHBOARDS.iter().map(|(name, text)| {
        let mut found = Vec::new();
        if let Ok(dashboard) = serde_json::from_str(text) {
            collect(&dashboard, &mut found);
        }
        (*name, found)
    });
    read.collect()
}

fn collect(part: &serde_json::Value, found: &mut Vec<String>) {
    match part {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().filter(|_| name == "expr") {
                    Some(expr) => found.push(expr.to_owned()),
                    None => collect(value, found),
                }
            }
        }
        serde_json::Value::Array(parts) => parts.iter().for_each(|part| collect(part, found)),
        _ => {}
    }
}

const RUNBOOKS: &str = include_str!("../rules/runbooks.md");

/// The chapter of one alert, without its heading.
pub(crate) fn runbook(alert: &str) -> Option<String> {
    let mut chapter = RUNBOOKS.split("\n## ").skip(1);
    let chapter =
        chapter.find(|chapter| chapter.lines().next().is_some_and(|title| title.trim() == alert))?;
    Some(
        chapter
            .split_once('\n')
            .map(|(_, text)| text.trim().to_owned())
            .unwrap_or_default(),
    )
}
