//! `/nodes` and `/nodes/{name}`: whether each node is ready, what runs on it, and how full it is.

use std::time::Duration;

use maud::{Markup, html};
use model::view::{Health, NodeLimit, NodeState, PodState, PodsOf};
use model::{Change, Labels};

use super::frame::{Place, Sheet, empty, section};
use super::objects::{self, share};
use super::sort::{self, Key};
use super::unit::Unit;
use super::visit::Visit;
use super::{changes, shape, status, words};

const KEYS: [Key<NodeState>; 8] = [
    Key {
        name: "name",
        word: "Node",
        numeric: false,
        compare: |a, b| a.name.cmp(&b.name),
    },
    Key {
        name: "state",
        word: "State",
        numeric: false,
        compare: |a, b| state(a).cmp(&state(b)),
    },
    Key {
        name: "pods",
        word: "Pods",
        numeric: true,
        compare: |a, b| a.pods.cmp(&b.pods),
    },
    Key {
        name: "cpu",
        word: "CPU",
        numeric: true,
        compare: |a, b| cpu(a).total_cmp(&cpu(b)),
    },
    Key {
        name: "memory",
        word: "Memory",
        numeric: true,
        compare: |a, b| memory(a).total_cmp(&memory(b)),
    },
    Key {
        name: "disk",
        word: "Fullest disk",
        numeric: true,
        compare: |a, b| disk(a).total_cmp(&disk(b)),
    },
    Key {
        name: "type",
        word: "Type and zone",
        numeric: false,
        compare: |a, b| (&a.instance_type, &a.zone).cmp(&(&b.instance_type, &b.zone)),
    },
    // The oldest is the largest age.
    Key {
        name: "age",
        word: "Age",
        numeric: true,
        compare: |a, b| b.created.cmp(&a.created),
    },
];

/// What is not measured is less than all that is.
fn of(used: Option<f64>, all: Option<f64>) -> f64 {
    used.zip(all).map_or(f64::NEG_INFINITY, |(used, all)| used / all)
}

fn cpu(node: &NodeState) -> f64 {
    of(node.cpu_cores, node.cpu_allocatable_cores)
}

fn memory(node: &NodeState) -> f64 {
    of(node.memory_bytes, node.memory_allocatable_bytes)
}

fn disk(node: &NodeState) -> f64 {
    node.disk.as_ref().map_or(f64::NEG_INFINITY, |(share, _)| *share)
}

/// Conditions that are true, or what else there is to say.
fn state(node: &NodeState) -> String {
    let mut words: Vec<String> = Vec::new();
    if !node.is_ready {
        words.push("not ready".to_owned());
    }
    words.extend(node.conditions.iter().cloned());
    if node.is_cordoned {
        words.push("cordoned".to_owned());
    }
    match words.is_empty() {
        true => "ready".to_owned(),
        false => words.join(", "),
    }
}

fn is_about(labels: &Labels, name: &str) -> bool {
    ["node", "nodename", "instance"]
        .iter()
        .any(|label| labels.value(label) == name)
}

pub(super) fn health(visit: &Visit, node: &NodeState) -> Health {
    let itself = match node.is_ready && node.conditions.is_empty() && !node.is_cordoned {
        true => Health::Good,
        false => Health::Pending,
    };
    objects::health(
        &objects::standing(visit, |labels| is_about(labels, &node.name)),
        itself,
    )
}

pub(super) fn view(visit: &Visit) -> Sheet {
    let Some(mut found) = visit.rooms.objects.as_ref().map(|objects| (objects.nodes)()) else {
        let main = html! {
            (status::line(Health::Unknown, "No cluster is asked here", &html! {}, &html! {}))
            (section("nodes", "Nodes", &html! {}, &html! {}, &empty("Outside of a pod, kubernetes.kubeconfig names the cluster to ask.")))
        };
        return Sheet::new(Place::Nodes, main);
    };
    let (itself, sentence) = sentence(&found);
    let worst = found
        .iter()
        .map(|node| health(visit, node))
        .max()
        .unwrap_or(itself);
    found.sort_by(|a, b| {
        health(visit, b)
            .cmp(&health(visit, a))
            .then_with(|| a.name.cmp(&b.name))
    });
    sort::sort(visit, &KEYS, &mut found);
    let body = if found.is_empty() {
        empty("No node is known yet: nothing has been told of the cluster's objects (kube_state).")
    } else {
        html! {
            div.panel.cut {
                table.cards.objects {
                    caption.unseen { "Nodes" }
                    thead { tr { (sort::heads(visit, &KEYS)) } }
                    tbody { @for node in found.iter().take(objects::ROWS_MAX) { (row(visit, node)) } }
                }
                (objects::beyond(found.len(), "node"))
            }
        }
    };
    let fullest = found
        .iter()
        .filter_map(|node| node.disk.as_ref().map(|disk| (disk, &node.name)))
        .max_by(|a, b| a.0.0.total_cmp(&b.0.0));
    let more = html! {
        @if let Some(((share, place), name)) = fullest {
            p { "The fullest disk is " (place) " on " a href=(objects::node_link(name)) { (name) } ", at " (Unit::Share.write(*share)) "." }
        }
    };
    let main = html! {
        (status::line(itself.max(worst), &sentence, &more, &html! {}))
        (section("nodes", "Nodes", &html! { (words::count(found.len(), "node")) }, &html! {}, &html! { (sort::choices(visit, &KEYS)) (body) }))
    };
    Sheet {
        keys: vec![
            ("j", "next"),
            ("o", "open"),
            ("g w", "workloads"),
            ("g h", "changes"),
        ],
        ..Sheet::new(Place::Nodes, main)
    }
}

fn sentence(found: &[NodeState]) -> (Health, String) {
    let all = found.len();
    let not: Vec<&NodeState> = found.iter().filter(|node| !node.is_ready).collect();
    match not.as_slice() {
        _ if all == 0 => (Health::Unknown, "No node is known".to_owned()),
        [] if all == 1 => (Health::Good, "The only node is ready".to_owned()),
        [] => (Health::Good, format!("All {all} nodes are ready")),
        [one] => (
            Health::Pending,
            status::fit(format!("{} is not ready, {} of {all} are", one.name, all - 1)),
        ),
        several => (
            Health::Pending,
            format!("{} of {all} nodes are not ready", several.len()),
        ),
    }
}

fn row(visit: &Visit, node: &NodeState) -> Markup {
    let health = health(visit, node);
    html! {
        tr data-row data-event[health > Health::Unknown] {
            th.name scope="row" {
                (shape::works(health))
                a href=(objects::node_link(&node.name)) { (node.name) }
            }
            td.second data-label="State" { (state(node)) }
            td.n data-label="Pods" {
                (node.pods) @if let Some(all) = node.pods_allocatable { "/" (all) }
            }
            td.n data-label="CPU" { (share(node.cpu_cores, node.cpu_allocatable_cores)) }
            td.n data-label="Memory" { (share(node.memory_bytes, node.memory_allocatable_bytes)) }
            td.n data-label="Disk" title=[node.disk.as_ref().map(|(_, place)| place)] {
                (share(node.disk.as_ref().map(|(share, _)| *share), Some(1.0)))
            }
            td.second.hide { (words::or_dash(&node.instance_type)) @if !node.zone.is_empty() { ", " (node.zone) } }
            td.n.hide { (objects::age(visit, node.created)) }
        }
    }
}

pub(super) fn one(visit: &Visit, name: &str) -> Sheet {
    let Some(rooms) = visit.rooms.objects.as_ref() else {
        return Sheet::missing(Place::Nodes, "No cluster is asked here", &html! {});
    };
    let Some(node) = (rooms.nodes)().into_iter().find(|node| node.name == name) else {
        let more = html! { p { "It may have left the cluster. " a href="/nodes" { "All nodes" } } };
        return Sheet::missing(
            Place::Nodes,
            &status::fit(format!("There is no node {name}")),
            &more,
        );
    };
    let range = visit.range(Duration::from_hours(24));
    let pods: Vec<PodState> = (rooms.pods)(&PodsOf::Node(name.to_owned()))
        .into_iter()
        .filter(PodState::is_active)
        .collect();
    let standing = objects::standing(visit, |labels| is_about(labels, name));
    let changed = changes::within(visit, &range, |change: &Change| {
        change.object == "Node" && change.name == name
    });
    let text = match node.is_ready {
        true if state(&node) == "ready" => {
            format!("{name} is ready and runs {}", words::count(pods.len(), "pod"))
        }
        true => format!("{name} is ready, {}", state(&node).replace(", ", " and ")),
        false => format!("{name} is {}", state(&node).replace(", ", " and ")),
    };
    let body = match pods.is_empty() {
        true => empty("No pod runs on it."),
        false => objects::pods_table(visit, &pods, false),
    };
    let main = html! {
        nav.crumbs aria-label="Path" { a href="/nodes" data-keys="u" { "Nodes" } }
        (status::line(health(visit, &node), &status::fit(text), &html! {}, &html! {}))
        (facts(visit, &node))
        (limits(&node))
        div.columns.even {
            (objects::changed(visit, &range, &changed, "node"))
            (objects::alerts(visit, &standing, "node"))
        }
        (section("pods", "Pods on it", &html! { (words::count(pods.len(), "pod")) }, &html! {}, &body))
    };
    Sheet {
        title: name.to_owned(),
        range: Some(range),
        keys: vec![("j", "next pod"), ("o", "open"), ("u", "up"), ("g n", "nodes")],
        ..Sheet::new(Place::Nodes, main)
    }
}

fn facts(visit: &Visit, node: &NodeState) -> Markup {
    let used = |used: Option<f64>, all: Option<f64>, write: &dyn Fn(Option<f64>) -> String| {
        format!("{} of {}", write(used), write(all))
    };
    let disk = node.disk.as_ref().map_or_else(
        || "–".to_owned(),
        |(share, place)| format!("{} full: {place}", Unit::Share.write(*share)),
    );
    let pods = match node.pods_allocatable {
        Some(all) => format!("{} of {all}", node.pods),
        None => node.pods.to_string(),
    };
    let placed = [&node.instance_type, &node.zone].map(String::as_str).into_iter();
    let placed: Vec<&str> = placed.filter(|word| !word.is_empty()).collect();
    html! {
        dl.at-a-glance {
            div { dt { "Pods" } dd { (pods) } }
            div { dt { "CPU" } dd { (used(node.cpu_cores, node.cpu_allocatable_cores, &objects::cores)) " cores" } }
            div { dt { "Memory" } dd { (used(node.memory_bytes, node.memory_allocatable_bytes, &objects::bytes)) } }
            div { dt { "Fullest disk" } dd { (disk) } }
            div { dt { "Type and zone" } dd { (words::or_dash(&placed.join(", "))) } }
            div { dt { "Kubelet" } dd { (words::or_dash(&node.kubelet)) } }
            div { dt { "Age" } dd { (objects::age(visit, node.created)) } }
        }
    }
}

/// From here on a limit is near enough to be said elsewhere, too.
const NEAR: f64 = 0.85;

/// What of all nodes is nearest to its limit, or past it, in a few words; nothing while all is far.
pub(super) fn nearest_limit(all: &[NodeState]) -> Option<String> {
    let exceeded = all.iter().filter_map(|node| Some((node, node.exceeded.first()?)));
    if let Some((node, excess)) = exceeded.min_by(|a, b| a.0.name.cmp(&b.0.name)) {
        return Some(format!("past a limit: {} of {}", excess.what, node.name));
    }
    let limits = all.iter().filter_map(|node| Some((node, node.limits.first()?)));
    let (node, limit) = limits.max_by(|a, b| a.1.share().total_cmp(&b.1.share()))?;
    (limit.share() >= NEAR).then(|| {
        let share = Unit::Share.write(limit.share());
        format!("near a limit: {} of {} at {share}", limit.what, node.name)
    })
}

/// What no page of Kubernetes shows: how much of what it may have at most is used, and what EC2 held back.
fn limits(node: &NodeState) -> Markup {
    if node.limits.is_empty() && node.exceeded.is_empty() {
        return html! {};
    }
    let held = node.exceeded.iter().map(|excess| {
        let amount = words::plain(excess.amount.ceil());
        format!("{}: {amount} {}", excess.what, excess.unit)
    });
    let held = held.collect::<Vec<_>>().join("; ");
    let remark = match held.is_empty() {
        true => html! { "nothing held back in the last hour" },
        false => html! { "past what EC2 allows in the last hour: " b { (held) } },
    };
    let body = html! {
        div.panel.cut {
            table.cards {
                caption.unseen { "Limits of this node" }
                thead { tr { th scope="col" { "Limit" } th.n scope="col" { "Used" } th.n scope="col" { "Of" } th.n scope="col" { "Share" } } }
                tbody {
                    @for limit in &node.limits {
                        tr {
                            th.name scope="row" { (limit.what) }
                            td.n data-label="Used" { (figure(limit, limit.used)) }
                            td.n data-label="Of" { (figure(limit, limit.most)) }
                            td.n data-label="Share" { (share(Some(limit.used), Some(limit.most))) }
                        }
                    }
                }
            }
        }
    };
    section("limits", "Limits", &remark, &html! {}, &body)
}

fn figure(limit: &NodeLimit, value: f64) -> String {
    match limit.what.starts_with("space") {
        true => Unit::Bytes.write(value),
        false => words::plain(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, is_ready: bool) -> NodeState {
        NodeState {
            name: name.to_owned(),
            is_ready,
            ..NodeState::default()
        }
    }

    #[test]
    fn the_sentence_names_the_node_that_is_not_ready() {
        assert_eq!(
            sentence(&[node("a", true), node("b", true)]).1,
            "All 2 nodes are ready"
        );
        assert_eq!(
            sentence(&[node("a", true), node("b", false)]).1,
            "b is not ready, 1 of 2 are"
        );
        assert_eq!(
            sentence(&[node("a", false), node("b", false)]).1,
            "2 of 2 nodes are not ready"
        );
    }

    #[test]
    fn a_limit_that_is_near_is_said_and_one_that_was_passed_before_it() {
        let full = |name: &str, used| NodeState {
            limits: vec![NodeLimit {
                what: "pods",
                used,
                most: 20.0,
            }],
            ..node(name, true)
        };
        assert_eq!(nearest_limit(&[]), None);
        assert_eq!(nearest_limit(&[full("a", 16.0), node("b", true)]), None);
        let near = [full("a", 16.0), full("b", 19.0)];
        assert_eq!(
            nearest_limit(&near).as_deref(),
            Some("near a limit: pods of b at 95\u{202f}%")
        );
        let excess = model::view::NodeExcess {
            what: "IOPS of a volume",
            amount: 7.5,
            unit: "s",
        };
        let past = NodeState {
            exceeded: vec![excess],
            ..full("a", 3.0)
        };
        let all = [past.clone(), full("b", 19.0)];
        assert_eq!(
            nearest_limit(&all).as_deref(),
            Some("past a limit: IOPS of a volume of a")
        );
        let drawn = limits(&past).into_string();
        assert!(
            drawn.contains("IOPS of a volume: 8 s") && drawn.contains("pods"),
            "{drawn}"
        );
        assert!(limits(&node("c", true)).into_string().is_empty());
    }

    #[test]
    fn a_state_says_all_that_is_true() {
        let one = NodeState {
            conditions: vec!["DiskPressure".to_owned()],
            is_cordoned: true,
            ..node("a", true)
        };
        assert_eq!(state(&one), "DiskPressure, cordoned");
        assert_eq!(state(&node("a", true)), "ready");
    }
}
