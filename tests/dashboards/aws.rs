//! What the dashboards of AWS show: databases, caches, brokers, load balancers.
//!
//! Names are those of YACE. What only a dashboard asks for is bought each hour, sixty points for one price: a new
//! metric here costs for every resource there is. Thresholds are those of the shipped rules.

use serde_json::{Value, json};

use super::alerts::{bind, bind_below, threshold};

mod alb;
mod elasticache;
mod msk;
mod rds;

pub(super) use alb::alb;
pub(super) use elasticache::elasticache;
pub(super) use msk::msk;
pub(super) use rds::rds;

/// Where the alert fires above its number, and where it fires below.
struct Bounds {
    above: &'static [(&'static str, &'static str)],
    below: &'static [(&'static str, &'static str)],
}

/// What is chosen beside the account and the region: variable, what it is called, label, and a series that has it.
struct Chosen {
    variable: &'static str,
    called: &'static str,
    label: &'static str,
    series: &'static str,
}

/// Thresholds, variables, a pace that suits CloudWatch, and the alerts of what is looked at.
fn finish(dashboard: &mut Value, chosen: &Chosen, bounds: &Bounds) {
    let panels = dashboard["panels"].as_array_mut().expect("a list of panels");
    for (title, alert) in bounds.above {
        bind(named(panels, title), threshold(alert));
    }
    for (title, alert) in bounds.below {
        bind_below(named(panels, title), threshold(alert));
    }
    let Chosen {
        variable: name,
        called,
        label,
        series,
    } = chosen;
    let here = format!("{series}{{account_id=~\"$account\",region=~\"$region\"}}");
    dashboard["templating"]["list"] = json!([
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        variable("account", "Account", series, "account_id"),
        variable("region", "Region", &format!("{series}{{account_id=~\"$account\"}}"), "region"),
        variable(name, called, &here, label),
    ]);
    dashboard["annotations"]["list"][0]["expr"] = json!(format!(
        "ALERTS{{alertstate=\"firing\",account_id=~\"$account\",region=~\"$region\",{label}=~\"${name}\"}}"
    ));
    // CloudWatch is minutes behind, and of what only dashboards use it is asked each hour.
    dashboard["refresh"] = json!("1m");
    dashboard["time"] = json!({"from": "now-24h", "to": "now"});
}

fn named<'a>(panels: &'a mut [Value], title: &str) -> &'a mut Value {
    let found = panels.iter_mut().find(|panel| panel["title"] == *title);
    found.unwrap_or_else(|| panic!("no panel is called {title}"))
}

/// All of them, until somebody chooses.
fn variable(name: &str, label: &str, series: &str, from: &str) -> Value {
    let query = format!("label_values({series}, {from})");
    json!({
        "name": name, "label": label, "type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "refresh": 2, "sort": 1, "definition": query, "query": {"query": query, "refId": "A"},
        "includeAll": true, "multi": true, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
    })
}
