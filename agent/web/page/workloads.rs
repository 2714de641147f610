//! `/workloads`: what runs in the cluster, whether it has its pods, and what it uses of what it asked for.

use std::cmp::Ordering;

use maud::{Markup, html};
use model::text;
use model::view::{Health, Workload};

use super::frame::{Place, Sheet, empty, section};
use super::objects::{self, ROWS_MAX, share};
use super::sort::{self, Key};
use super::visit::Visit;
use super::{link, shape, status, words};

/// Workloads on the overview.
const TALKERS: usize = 8;

const KEYS: [Key<Workload>; 8] = [
    Key {
        name: "name",
        word: "Workload",
        numeric: false,
        compare: |a, b| (&a.name, &a.namespace).cmp(&(&b.name, &b.namespace)),
    },
    Key {
        name: "ns",
        word: "Namespace",
        numeric: false,
        compare: |a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)),
    },
    Key {
        name: "pods",
        word: "Pods",
        numeric: true,
        compare: |a, b| a.pods_wanted.cmp(&b.pods_wanted),
    },
    Key {
        name: "cpu",
        word: "CPU, cores",
        numeric: true,
        compare: |a, b| order(a.usage.cpu_cores, b.usage.cpu_cores),
    },
    Key {
        name: "cpu-share",
        word: "% of request",
        numeric: true,
        compare: |a, b| order(cpu_share(a), cpu_share(b)),
    },
    Key {
        name: "memory",
        word: "Memory",
        numeric: true,
        compare: |a, b| order(a.usage.memory_bytes, b.usage.memory_bytes),
    },
    Key {
        name: "memory-share",
        word: "% of limit",
        numeric: true,
        compare: |a, b| order(memory_share(a), memory_share(b)),
    },
    Key {
        name: "restarts",
        word: "Restarts, 1 h",
        numeric: true,
        compare: |a, b| a.restarts_lately.cmp(&b.restarts_lately),
    },
];

/// What is not measured is less than all that is.
fn order(a: Option<f64>, b: Option<f64>) -> Ordering {
    a.unwrap_or(f64::NEG_INFINITY)
        .total_cmp(&b.unwrap_or(f64::NEG_INFINITY))
}

fn cpu_share(workload: &Workload) -> Option<f64> {
    let usage = &workload.usage;
    usage
        .cpu_cores
        .zip(usage.cpu_request_cores)
        .map(|(used, of)| used / of)
}

fn memory_share(workload: &Workload) -> Option<f64> {
    let usage = &workload.usage;
    usage
        .memory_bytes
        .zip(usage.memory_limit_bytes)
        .map(|(used, of)| used / of)
}

pub(super) fn view(visit: &Visit) -> Sheet {
    let Some(all) = visit.rooms.objects.as_ref().map(|objects| (objects.workloads)()) else {
        let main = html! {
            (status::line(Health::Unknown, "No cluster is asked here", &html! {}, &html! {}))
            (section("workloads", "Workloads", &html! {}, &html! {}, &empty("Outside of a pod, kubernetes.kubeconfig names the cluster to ask.")))
        };
        return Sheet::new(Place::Workloads, main);
    };
    let mut namespaces: Vec<String> = all.iter().map(|one| one.namespace.clone()).collect();
    namespaces.sort();
    namespaces.dedup();
    let asked = visit.asked("ns");
    let mut found: Vec<Workload> = all
        .into_iter()
        .filter(|one| asked.is_empty() || one.namespace == asked)
        .collect();
    let (itself, sentence) = sentence(&found);
    let worst = found.iter().map(|one| health(visit, one)).max().unwrap_or(itself);
    let (ready, wanted) = found.iter().fold((0, 0), |(ready, wanted), one| {
        (ready + one.pods_ready, wanted + one.pods_wanted)
    });
    let more = html! {
        p { (text::count(ready)) " of " (text::count(wanted)) " pods are ready" @if !asked.is_empty() { " in " (asked) } "." }
    };
    found.sort_by(|a, b| {
        (health(visit, b).cmp(&health(visit, a)))
            .then_with(|| order(b.usage.cpu_cores, a.usage.cpu_cores))
            .then_with(|| a.name.cmp(&b.name))
    });
    sort::sort(visit, &KEYS, &mut found);
    let remark = html! { (words::count(found.len(), "workload")) @if visit.asked("sort").is_empty() { ", what is not well first" } };
    let body = match (found.is_empty(), asked) {
        (false, _) => table(visit, &found),
        (true, "") => {
            empty("No workload is known yet: nothing has been told of the cluster's objects (kube_state).")
        }
        (true, asked) => empty(&format!("No workload is known in the namespace {asked}.")),
    };
    let main = html! {
        (status::line(itself.max(worst), &sentence, &more, &html! {}))
        (narrow(asked, &namespaces))
        (section("workloads", "Workloads", &remark, &html! {}, &html! { (sort::choices(visit, &KEYS)) (body) }))
    };
    Sheet {
        keys: vec![("j", "next"), ("o", "open"), ("g n", "nodes"), ("g h", "changes")],
        ..Sheet::new(Place::Workloads, main)
    }
}

fn narrow(asked: &str, namespaces: &[String]) -> Markup {
    html! {
        @if namespaces.len() > 1 || !asked.is_empty() {
            form.search action="/workloads" {
                label { "Namespace"
                    select name="ns" {
                        option value="" { "all" }
                        @for one in namespaces { option value=(one) selected[one == asked] { (one) } }
                    }
                }
                button.button type="submit" { "Show" }
            }
        }
    }
}

/// Whether all have the pods that they are to have.
fn sentence(found: &[Workload]) -> (Health, String) {
    let lacking: Vec<&Workload> = found
        .iter()
        .filter(|one| one.pods_ready < one.pods_wanted)
        .collect();
    let all = found.len();
    match lacking.as_slice() {
        _ if all == 0 => (Health::Unknown, "No workload is known".to_owned()),
        [] if all == 1 => (Health::Good, "The only workload has all of its pods".to_owned()),
        [] => (
            Health::Good,
            format!("All {all} workloads have the pods they want"),
        ),
        [one] => (
            Health::Pending,
            status::fit(format!(
                "{} has {} of {} ready{}",
                one.name,
                one.pods_ready,
                words::count(usize::try_from(one.pods_wanted).unwrap_or(usize::MAX), "pod"),
                if all > 1 { ", all others have theirs" } else { "" }
            )),
        ),
        several => (
            Health::Pending,
            format!("{} of {all} workloads lack pods", several.len()),
        ),
    }
}

pub(super) fn health(visit: &Visit, one: &Workload) -> Health {
    let itself = match one.pods_ready < one.pods_wanted {
        true => Health::Pending,
        false => Health::Good,
    };
    let about = |labels: &model::Labels| objects::is_about_workload(labels, &one.namespace, &one.name);
    objects::health(&objects::standing(visit, about), itself)
}

/// Those that use most CPU, for the overview.
pub(super) fn talkers(visit: &Visit, mut all: Vec<Workload>) -> Markup {
    all.sort_by(|a, b| order(b.usage.cpu_cores, a.usage.cpu_cores).then_with(|| a.name.cmp(&b.name)));
    let shown = all.get(..all.len().min(TALKERS)).unwrap_or_default();
    let remark = html! { (shown.len()) " of " (words::count(all.len(), "workload")) ", most CPU first" };
    let body = html! {
        div.panel.cut {
            table.cards.objects {
                caption.unseen { "Workloads that use most" }
                thead { tr { @for key in &KEYS { th.n[key.numeric].hide[key.name == "restarts"] scope="col" { (key.word) } } } }
                tbody { @for one in shown { (row(visit, one)) } }
            }
        }
    };
    section(
        "talkers",
        "Top talkers",
        &remark,
        &html! { a href="/workloads?sort=-cpu" { "all workloads" } },
        &body,
    )
}

fn table(visit: &Visit, found: &[Workload]) -> Markup {
    html! {
        div.panel.cut {
            table.cards.objects {
                caption.unseen { "Workloads" }
                thead { tr { (sort::heads(visit, &KEYS)) } }
                tbody { @for one in found.iter().take(ROWS_MAX) { (row(visit, one)) } }
            }
            (objects::beyond(found.len(), "workload"))
        }
    }
}

fn row(visit: &Visit, one: &Workload) -> Markup {
    let health = health(visit, one);
    let usage = &one.usage;
    html! {
        tr data-row data-event[health > Health::Unknown] {
            th.name scope="row" {
                (shape::health(health))
                a href=(objects::workload_link(&one.namespace, &one.name)) { (one.name) }
                " " span.place { (one.kind) }
            }
            td.second.wide { a href=(link::to("/workloads", &[("ns", &one.namespace)])) { (one.namespace) } }
            td.n data-label="Pods" { (one.pods_ready) "/" (one.pods_wanted) }
            td.n data-label="CPU" { (objects::cores(usage.cpu_cores)) }
            td.n data-label="Of request" { (share(usage.cpu_cores, usage.cpu_request_cores)) }
            td.n data-label="Memory" { (objects::bytes(usage.memory_bytes)) }
            td.n data-label="Of limit" { (share(usage.memory_bytes, usage.memory_limit_bytes)) }
            td.n.hide { (one.restarts_lately) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(name: &str, ready: u64, wanted: u64) -> Workload {
        Workload {
            name: name.to_owned(),
            pods_ready: ready,
            pods_wanted: wanted,
            ..Workload::default()
        }
    }

    #[test]
    fn the_sentence_names_the_one_that_lacks_pods_and_counts_several() {
        let of = |all: &[Workload]| sentence(all).1;
        assert_eq!(
            of(&[workload("a", 1, 1), workload("b", 2, 2)]),
            "All 2 workloads have the pods they want"
        );
        assert_eq!(
            of(&[workload("a", 1, 3), workload("b", 2, 2)]),
            "a has 1 of 3 pods ready, all others have theirs"
        );
        assert_eq!(
            of(&[workload("a", 1, 3), workload("b", 0, 2)]),
            "2 of 2 workloads lack pods"
        );
        assert_eq!(sentence(&[]).0, Health::Unknown);
    }
}
