//! What the dashboard of alerts shows: what fires, who was told, and whether rules keep up.
//!
//! Thresholds are those of the shipped rules, read from their parsed expressions; they have no second home.

use std::fs;
use std::sync::LazyLock;

use promql::{Expr, Kind, Op};
use serde_json::{Value, json};

use super::build::{Panel, dashboard, tables};
use crate::harness::root;

/// Of the Okabe-Ito palette, as on the page.
const FINE: &str = "#009e73";
const WRONG: &str = "#d55e00";

/// Panels that turn from fine to wrong where an alert's expression does.
const BOUND: &[(&str, &str)] = &[
    ("Lost messages", "SkoposNotificationsLost"),
    ("Failed to send", "SkoposNotificationsFailing"),
    ("Failed evaluations", "SkoposRuleFailing"),
    ("Missed rounds", "SkoposRulesLate"),
    ("Rounds since the last evaluation", "SkoposRulesStopped"),
];

/// What fires, was anybody told, and do rules keep up?
pub(super) fn alerts() -> Value {
    let stats = [
        Panel {
            title: "Firing",
            about: "Alerts that fire now, by severity; silenced ones are among them.",
            unit: "short",
            targets: &[(
                "count by (severity) (ALERTS{alertstate=\"firing\"}) or on () vector(0)",
                "{{severity}}",
            )],
        },
        Panel {
            title: "Pending",
            about: "Alerts whose condition holds, and not for long enough yet, by severity.",
            unit: "short",
            targets: &[(
                "count by (severity) (ALERTS{alertstate=\"pending\"}) or on () vector(0)",
                "{{severity}}",
            )],
        },
        Panel {
            title: "Silenced or inhibited",
            about: "Alerts of which nobody is told: a silence or another alert keeps them quiet.",
            unit: "short",
            targets: &[(
                "max(alertmanager_alerts{state=\"suppressed\"}) or on () vector(0)",
                "alerts",
            )],
        },
        Panel {
            title: "Receivers that take nothing",
            about: "Receivers whose last message failed. Alert: SkoposNotificationsFailing.",
            unit: "short",
            targets: &[(
                "count(skopos_notifier_receiver_up == 0) or on () vector(0)",
                "receivers",
            )],
        },
        Panel {
            title: "Messages waiting",
            about: "Groups that wait to be told or are being told; more than a few for long says that a receiver is slow.",
            unit: "short",
            targets: &[("sum(skopos_notifier_queue_groups)", "groups")],
        },
        Panel {
            title: "Lost messages",
            about: "Messages of the last day that a receiver refused for good, or for which there was no room. Alert: SkoposNotificationsLost.",
            unit: "short",
            targets: &[(
                "sum(increase(skopos_notifier_dropped_total{reason=~\"rejected|evicted\"}[1d])) or on () vector(0)",
                "messages",
            )],
        },
        Panel {
            title: "Last heartbeat",
            about: "Time since a ping of the heartbeat was last taken, by whichever replica tells; empty where none is configured.",
            unit: "s",
            targets: &[(
                "time() - max(skopos_heartbeat_last_success_timestamp_seconds > 0)",
                "age",
            )],
        },
        Panel {
            title: "Slowest group",
            about: "Largest share of its interval that the last round of a group took; from 1 on rounds are missed. Alert: SkoposRulesLate.",
            unit: "percentunit",
            targets: &[(
                "max(prometheus_rule_group_last_duration_seconds / prometheus_rule_group_interval_seconds)",
                "share",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "Firing over time",
            about: "Alerts that fire, by name.",
            unit: "short",
            targets: &[(
                "count by (alertname) (ALERTS{alertstate=\"firing\"}) or on () vector(0)",
                "{{alertname}}",
            )],
        },
        Panel {
            title: "Pending over time",
            about: "Alerts that are pending, by name; one that comes and goes all day has the wrong threshold or too short a for.",
            unit: "short",
            targets: &[(
                "count by (alertname) (ALERTS{alertstate=\"pending\"}) or on () vector(0)",
                "{{alertname}}",
            )],
        },
        Panel {
            title: "Sent",
            about: "Messages that each receiver took, an hour.",
            unit: "short",
            targets: &[(
                "sum by (receiver) (increase(skopos_notifier_sent_total[1h])) or on () vector(0)",
                "{{receiver}}",
            )],
        },
        Panel {
            title: "Failed to send",
            about: "Attempts that failed within 10 minutes, by receiver and reason; they are tried again. Alert: SkoposNotificationsFailing.",
            unit: "short",
            targets: &[(
                "sum by (receiver, reason) (increase(skopos_notifier_failures_total[10m])) > 0 or on () vector(0)",
                "{{receiver}}: {{reason}}",
            )],
        },
        Panel {
            title: "Late",
            about: "Seconds from when a message was due until its receiver took it: of half of them, and of all but one in a hundred.",
            unit: "s",
            targets: &[
                (
                    "histogram_quantile(0.5, sum by (le) (rate(skopos_notifier_latency_seconds_bucket[$__rate_interval])))",
                    "half",
                ),
                (
                    "histogram_quantile(0.99, sum by (le) (rate(skopos_notifier_latency_seconds_bucket[$__rate_interval])))",
                    "99 of 100",
                ),
            ],
        },
        Panel {
            title: "Receivers",
            about: "Whether the last message to each receiver was taken: 1. Alert: SkoposNotificationsFailing.",
            unit: "short",
            targets: &[(
                "min by (receiver) (skopos_notifier_receiver_up) or on () vector(1)",
                "{{receiver}}",
            )],
        },
        Panel {
            title: "Not sent",
            about: "Messages that were dropped within 10 minutes, by reason; coalesced, overtaken, regrouped and handed_over were told in another message. Alert: SkoposNotificationsLost.",
            unit: "short",
            targets: &[(
                "sum by (reason) (increase(skopos_notifier_dropped_total[10m]))",
                "{{reason}}",
            )],
        },
        Panel {
            title: "Heartbeat",
            about: "Pings within 10 minutes by what became of them; withheld says that something stood still.",
            unit: "short",
            targets: &[(
                "sum by (outcome) (increase(skopos_heartbeat_pings_total[10m]))",
                "{{outcome}}",
            )],
        },
        Panel {
            title: "Duration of rounds",
            about: "Share of its interval that the last round of each group took; from 1 on rounds are missed. Alert: SkoposRulesLate.",
            unit: "percentunit",
            targets: &[(
                "prometheus_rule_group_last_duration_seconds / prometheus_rule_group_interval_seconds",
                "{{rule_group}}",
            )],
        },
        Panel {
            title: "Slowest rules",
            about: "Seconds that the rules of the five slowest groups took in their last round, and the slowest hundredth of all rules; /rules has each of them.",
            unit: "s",
            targets: &[
                (
                    "topk(5, prometheus_rule_group_last_rule_duration_sum_seconds)",
                    "{{rule_group}}",
                ),
                (
                    "histogram_quantile(0.99, sum by (le) (rate(prometheus_rule_evaluation_duration_histogram_seconds_bucket[$__rate_interval])))",
                    "one rule, 99 of 100",
                ),
            ],
        },
        Panel {
            title: "Failed evaluations",
            about: "Evaluations that failed within 10 minutes, by group; their alerts stay as they are. Alert: SkoposRuleFailing.",
            unit: "short",
            targets: &[(
                "sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[10m]))",
                "{{rule_group}}",
            )],
        },
        Panel {
            title: "Missed rounds",
            about: "Rounds left out within 10 minutes because the one before was not done. Alert: SkoposRulesLate.",
            unit: "short",
            targets: &[(
                "sum by (rule_group) (increase(prometheus_rule_group_iterations_missed_total[10m]))",
                "{{rule_group}}",
            )],
        },
        Panel {
            title: "Rounds since the last evaluation",
            about: "How many intervals ago each group was last evaluated; 1 is all that there should be. Alert: SkoposRulesStopped.",
            unit: "short",
            targets: &[(
                "(time() - prometheus_rule_group_last_evaluation_timestamp_seconds) / prometheus_rule_group_interval_seconds",
                "{{rule_group}}",
            )],
        },
    ];
    let below = [
        Panel {
            title: "Firing now",
            about: "What fires, and for how long its condition has held. The page has why, and what to do.",
            unit: "s",
            targets: &[(
                "sort_desc(time() - (ALERTS_FOR_STATE and ignoring (alertstate) ALERTS{alertstate=\"firing\"}))",
                "",
            )],
        },
        Panel {
            title: "Pending now",
            about: "What will fire if its condition holds on, and for how long it has held.",
            unit: "s",
            targets: &[(
                "sort_desc(time() - (ALERTS_FOR_STATE and ignoring (alertstate) ALERTS{alertstate=\"pending\"}))",
                "",
            )],
        },
    ];
    let mut dashboard = dashboard("skopos-alerts", "Skopos / Alerts", &stats, &graphs);
    let panels = dashboard["panels"].as_array_mut().expect("a list of panels");
    for (title, alert) in BOUND {
        let panel = panels.iter_mut().find(|panel| panel["title"] == *title);
        bind(panel.expect("a panel of this title"), threshold(alert));
    }
    tables(&mut dashboard, &below);
    dashboard
}

/// Grafana colours what is at a step or above it, and the rules fire above: where nothing is allowed, the step is the
/// least that is something.
pub(super) fn bind(panel: &mut Value, threshold: f64) {
    let step = if threshold == 0.0 { 1e-9 } else { threshold };
    steps(panel, FINE, WRONG, step);
}

/// The same where an alert fires at a number or below it.
pub(super) fn bind_below(panel: &mut Value, threshold: f64) {
    steps(panel, WRONG, FINE, threshold + 1e-9);
}

fn steps(panel: &mut Value, below: &str, above: &str, step: f64) {
    defaults_of(panel)["thresholds"] = json!({
        "mode": "absolute",
        "steps": [{"color": below, "value": null}, {"color": above, "value": step}],
    });
    if panel["type"] == "stat" {
        defaults_of(panel)["color"] = json!({"mode": "thresholds"});
    } else {
        defaults_of(panel)["custom"] = json!({"thresholdsStyle": {"mode": "line"}});
    }
}

fn defaults_of(panel: &mut Value) -> &mut Value {
    &mut panel["fieldConfig"]["defaults"]
}

/// Names and expressions of all alerts that are shipped.
pub(super) fn shipped() -> &'static [(String, String)] {
    static SHIPPED: LazyLock<Vec<(String, String)>> = LazyLock::new(read);
    &SHIPPED
}

fn read() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(root().join("rules")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".yaml") {
            texts.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    let groups = rules::load(&texts).unwrap();
    let all = groups.iter().flat_map(|group| &group.rules);
    all.map(|rule| (rule.name.to_string(), rule.expr.written().to_owned()))
        .collect()
}

/// The number that a shipped alert compares with.
pub(super) fn threshold(alert: &str) -> f64 {
    let (_, expr) = shipped()
        .iter()
        .find(|(name, _)| name == alert)
        .unwrap_or_else(|| panic!("no rule is named {alert}"));
    let found = bound(&promql::parse(expr).unwrap());
    found.unwrap_or_else(|| panic!("{alert} compares with no number: {expr}"))
}

/// The number that the first comparison of an expression is held to.
fn bound(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        Kind::Paren(inner) => bound(inner),
        Kind::Binary(binary) if binary.op.is_comparison() => number(&binary.right),
        Kind::Binary(binary) => bound(&binary.left).or_else(|| bound(&binary.right)),
        _ => None,
    }
}

/// `10`, or the 10 of `10 * interval`.
fn number(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        Kind::Number(number) => Some(*number),
        Kind::Paren(inner) => number(inner),
        Kind::Binary(binary) if binary.op == Op::Mul => {
            number(&binary.left).or_else(|| number(&binary.right))
        }
        _ => None,
    }
}

#[test]
fn thresholds_are_the_numbers_of_the_rules() {
    let of = |text: &str| bound(&promql::parse(text).unwrap());
    assert_eq!(of("sum(increase(x[10m])) > 3 or y > 4"), Some(3.0));
    assert_eq!(of("time() - x > 10 * y"), Some(10.0));
    assert_eq!(of("x > y"), None);
    assert_eq!(threshold("SkoposRulesStopped"), 10.0);
}
