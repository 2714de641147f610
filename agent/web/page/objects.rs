//! What views of workloads, nodes and pods have in common: their tables, shares, alerts, and where they are.

use maud::{Markup, html};
use model::AlertState;
use model::view::{Health, PodState, Usage};
use model::{Labels, Timestamp};

use super::changes::Lettered;
use super::frame::{empty, section};
use super::graph::{Graph, Line};
use super::unit::Unit;
use super::visit::{Standing, Visit};
use super::when::Range;
use super::{changes, graph, incident, link, shape, words};

/// Rows of one table; more would help nobody.
pub(super) const ROWS_MAX: usize = 300;
/// Labels of alerts that name a workload.
const WORKLOADS: [&str; 6] = [
    "workload",
    "deployment",
    "statefulset",
    "daemonset",
    "job_name",
    "cronjob",
];

pub(super) fn workload_link(namespace: &str, name: &str) -> String {
    format!("/workloads/{}/{}", link::encode(namespace), link::encode(name))
}

pub(super) fn pod_link(namespace: &str, name: &str) -> String {
    format!("/pods/{}/{}", link::encode(namespace), link::encode(name))
}

pub(super) fn node_link(name: &str) -> String {
    format!("/nodes/{}", link::encode(name))
}

/// Alerts of which this is true by their labels, what fires first.
pub(super) fn standing<'a>(visit: &'a Visit, about: impl Fn(&Labels) -> bool) -> Vec<Standing<'a>> {
    [AlertState::Firing, AlertState::Pending]
        .into_iter()
        .flat_map(|state| visit.standing(state))
        .filter(|one| about(&one.alert.labels))
        .collect()
}

/// Whether an alert is about a workload, or about one of its pods.
pub(super) fn is_about_workload(labels: &Labels, namespace: &str, name: &str) -> bool {
    let is_named = WORKLOADS.iter().any(|label| labels.value(label) == name);
    let pod = labels.value("pod");
    let is_pod = pod
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || is_suffix(rest));
    labels.value("namespace") == namespace && (is_named || is_pod)
}

/// `-7c9d8f6b54-x2k4q`, `-0`: what a name gets at its end when it becomes a pod's; one more word is another workload.
fn is_suffix(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix('-') else {
        return false;
    };
    let mut parts = rest.split('-');
    let has_digit = |part: &str| part.bytes().any(|byte| byte.is_ascii_digit());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(first), None, None) => has_digit(first) || first.len() == 5,
        (Some(first), Some(second), None) => has_digit(first) && second.len() == 5,
        _ => false,
    }
}

/// The worst of its alerts, or what it says of itself.
pub(super) fn health(standing: &[Standing<'_>], itself: Health) -> Health {
    match standing.first().map(|one| one.alert.state) {
        Some(AlertState::Firing) => Health::Bad,
        Some(AlertState::Pending) => itself.max(Health::Pending),
        _ => itself,
    }
}

/// The section of alerts, with a sentence where there is none.
pub(super) fn alerts(visit: &Visit, standing: &[Standing<'_>], what: &str) -> Markup {
    let body = if standing.is_empty() {
        empty(&format!("No alert is firing or pending for this {what}."))
    } else {
        html! { ul.panel.list { @for one in standing { (incident::row(visit, one)) } } }
    };
    section(
        "alerts",
        "Alerts",
        &html! {},
        &html! { a href="/alerts" { "all alerts" } },
        &body,
    )
}

/// The section of changes, with the letters that the graphs have.
pub(super) fn changed(visit: &Visit, range: &Range, found: &[Lettered], what: &str) -> Markup {
    const SHOWN: usize = 10;
    let body = if found.is_empty() {
        empty(&format!(
            "This {what} has not changed {}.",
            range.spoken(&visit.wall)
        ))
    } else {
        let shown = found.get(..found.len().min(SHOWN)).unwrap_or_default();
        html! { div.panel { (changes::list(visit, shown)) } }
    };
    section(
        "changes",
        "What changed",
        &html! {},
        &html! { a href="/changes" { "all changes" } },
        &body,
    )
}

pub(super) fn cores(value: Option<f64>) -> String {
    value.map_or_else(
        || "–".to_owned(),
        |value| words::plain((value * 1000.0).round() / 1000.0),
    )
}

pub(super) fn bytes(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| Unit::Bytes.write(value))
}

/// What is used of what there is: a grey bar and a number. Whether that is too much is for rules to say.
pub(super) fn share(used: Option<f64>, of: Option<f64>) -> Markup {
    let share = used
        .zip(of)
        .filter(|(_, of)| *of > 0.0)
        .map(|(used, of)| used / of);
    html! {
        @match share {
            Some(share) => (bar(share, None)),
            None => span.dim { "–" },
        }
    }
}

/// How full a limit is; past the tick, where its alert fires, it is no longer grey.
pub(super) fn bar(share: f64, tick: Option<f64>) -> Markup {
    let percent = |share: f64| format!("{:.1}%", (share * 100.0).clamp(0.0, 100.0));
    let class = match tick {
        Some(tick) if share > tick => "near",
        _ => "fine",
    };
    html! {
        span.share {
            svg.hr width="48" height="12" aria-hidden="true" {
                rect.track x="0" y="2" width="100%" height="8" rx="1" {}
                rect class=(class) x="0" y="2" width=(percent(share)) height="8" rx="1" {}
                @if let Some(tick) = tick { rect.tick x=(percent(tick.min(0.97))) y="0" width="1.5" height="12" {} }
            }
            span { (Unit::Share.write(share)) }
        }
    }
}

pub(super) fn age(visit: &Visit, created: Option<Timestamp>) -> String {
    created.map_or_else(
        || "–".to_owned(),
        |at| model::text::duration::spoken(visit.now.since(at)),
    )
}

/// What a pod is doing, in one or two words.
pub(super) fn doing(pod: &PodState) -> &str {
    match pod.waiting.first() {
        Some((_, reason)) => reason,
        None if pod.phase == "Running" && !pod.is_ready => "not ready",
        None => words::or_dash(&pod.phase),
    }
}

pub(super) fn pod_health(visit: &Visit, pod: &PodState) -> Health {
    let about =
        |labels: &Labels| labels.value("pod") == pod.name && labels.value("namespace") == pod.namespace;
    let itself = match pod.phase.as_str() {
        "Running" if pod.is_ready => Health::Good,
        "Succeeded" | "" => Health::Unknown,
        _ => Health::Pending,
    };
    health(&standing(visit, about), itself)
}

/// Those that are not well first.
pub(super) fn pods_table(visit: &Visit, pods: &[PodState], with_node: bool) -> Markup {
    let mut pods: Vec<(Health, &PodState)> = pods.iter().map(|pod| (pod_health(visit, pod), pod)).collect();
    pods.sort_by(|a, b| {
        b.0.cmp(&a.0)
            .then_with(|| (&a.1.namespace, &a.1.name).cmp(&(&b.1.namespace, &b.1.name)))
    });
    html! {
        div.panel.cut {
            table.cards.objects {
                caption.unseen { "Pods" }
                thead {
                    tr {
                        th scope="col" { "Pod" }
                        th scope="col" { "State" }
                        th.hide scope="col" { @if with_node { "Node" } @else { "Namespace" } }
                        th.n scope="col" { "CPU, cores" }
                        th.n scope="col" { "Memory" }
                        th.n scope="col" { "% of limit" }
                        th.n scope="col" { "Restarts" }
                        th.n.hide scope="col" { "Age" }
                    }
                }
                tbody {
                    @for (health, pod) in pods.iter().take(ROWS_MAX) {
                        tr data-row data-event[*health > Health::Unknown] {
                            th.name scope="row" {
                                (shape::works(*health))
                                a href=(pod_link(&pod.namespace, &pod.name)) { (pod.name) }
                            }
                            td.second data-label="State" { (doing(pod)) }
                            td.second.hide {
                                @if !with_node { (pod.namespace) }
                                @else if pod.node.is_empty() { "–" }
                                @else { a href=(node_link(&pod.node)) { (pod.node) } }
                            }
                            td.n data-label="CPU" { (cores(pod.usage.cpu_cores)) }
                            td.n data-label="Memory" { (bytes(pod.usage.memory_bytes)) }
                            td.n data-label="Of limit" { (share(pod.usage.memory_bytes, pod.usage.memory_limit_bytes)) }
                            td.n data-label="Restarts" { (pod.restarts) }
                            td.n.hide { (age(visit, pod.created)) }
                        }
                    }
                }
            }
            (beyond(pods.len(), "pod"))
        }
    }
}

/// What a table leaves out.
pub(super) fn beyond(all: usize, one: &str) -> Markup {
    html! {
        @if all > ROWS_MAX {
            p.note.small { "and " (words::count(all - ROWS_MAX, &format!("more {one}"))) }
        }
    }
}

/// CPU and memory of containers, with what they asked for and may have. `matchers` say which: `namespace="shop", pod="web-1"`.
pub(super) fn graphs(range: &Range, matchers: &str, usage: &Usage) -> [Graph; 2] {
    let each = |expr: &str| format!("sum(max by (namespace, pod, container) ({expr}))");
    let used = format!(r#"{matchers}, container!="", container!="POD""#);
    let asked = |resource: &str| {
        each(&format!(
            r#"kube_pod_container_resource_requests{{{matchers}, resource="{resource}"}}"#
        ))
    };
    let graph =
        |title: &str, unit: &str, used: String, requested: String, limit: Option<(f64, String)>| Graph {
            title: title.to_owned(),
            unit: unit.to_owned(),
            kind: Unit::Plain,
            lines: vec![
                Line {
                    label: "used",
                    expr: used,
                },
                Line {
                    label: "requested",
                    expr: requested,
                },
            ],
            most: None,
            least: None,
            threshold: limit.map(|(limit, said)| (limit, format!("limit {said}"))),
            chosen: None,
            readings: None,
        };
    let cpu = graph::rate(range, &format!("container_cpu_usage_seconds_total{{{used}}}"));
    let memory = format!("container_memory_working_set_bytes{{{used}}}");
    let mebibytes = |expr: &str| format!("{expr} / 2^20");
    let cpu_limit = usage.cpu_limit_cores.map(|limit| (limit, cores(Some(limit))));
    let memory_limit = usage.memory_limit_bytes;
    let memory_limit = memory_limit.map(|limit| (limit / 1_048_576.0, bytes(Some(limit))));
    [
        graph("CPU", "cores", each(&cpu), asked("cpu"), cpu_limit),
        graph(
            "Memory",
            "MiB",
            mebibytes(&each(&memory)),
            mebibytes(&asked("memory")),
            memory_limit,
        ),
    ]
}

/// A name as it stands in a regular expression.
pub(super) fn literal(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for letter in name.chars() {
        if !letter.is_alphanumeric() && !matches!(letter, '-' | '_') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_of_the_workload_that_it_is_named_after_and_of_no_longer_name() {
        let about = |pod: &str| {
            let labels = Labels::from_pairs([("namespace", "shop"), ("pod", pod)]);
            is_about_workload(&labels, "shop", "web")
        };
        for pod in ["web", "web-0", "web-12", "web-x2k4q", "web-7c9d8f6b54-x2k4q"] {
            assert!(about(pod), "{pod}");
        }
        for pod in ["web-admin-7c9d8f6b54-x2k4q", "web-proxy-0", "webs-0"] {
            assert!(!about(pod), "{pod}");
        }
        let other = Labels::from_pairs([("namespace", "other"), ("deployment", "web")]);
        assert!(!is_about_workload(&other, "shop", "web"));
    }

    #[test]
    fn a_name_is_no_expression() {
        assert_eq!(literal("web.v2-a"), r"web\.v2-a");
    }
}
