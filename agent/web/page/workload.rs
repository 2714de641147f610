//! `/workloads/{namespace}/{name}`: one workload, its pods, what they use over time, what changed, what is wrong.

use std::time::Duration;

use maud::html;
use model::view::{PodState, PodsOf, Workload};
use model::{Change, Labels, Matcher};

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::{changes, graph, link, objects, status, words, workloads};

pub(super) fn view(visit: &Visit, namespace: &str, name: &str) -> Sheet {
    let Some(rooms) = visit.rooms.objects.as_ref() else {
        return Sheet::missing(Place::Workloads, "No cluster is asked here", &html! {});
    };
    let kind = visit.asked("kind");
    let all = (rooms.workloads)();
    let found = all
        .into_iter()
        .find(|one| one.namespace == namespace && one.name == name && (kind.is_empty() || one.kind == kind));
    let Some(one) = found else {
        let more =
            html! { p { "It may be gone, or was never there. " a href="/workloads" { "All workloads" } } };
        return Sheet::missing(
            Place::Workloads,
            &status::fit(format!("There is no workload {name} in {namespace}")),
            &more,
        );
    };
    let range = visit.range(Duration::from_secs(3600));
    let pods: Vec<PodState> = (rooms.pods)(&PodsOf::Namespace(namespace.to_owned()))
        .into_iter()
        .filter(|pod| owns(&one, pod))
        .collect();
    let standing = objects::standing(visit, |labels: &Labels| {
        objects::is_about_workload(labels, namespace, name)
    });
    let changed = changes::within(visit, &range, |change: &Change| {
        change.namespace == namespace && change.name == name
    });
    let marks = changes::marks(&changed);
    let usage = &one.usage;
    let more = html! {
        p {
            (one.kind) " in " (one.namespace) ": " (objects::cores(usage.cpu_cores)) " cores used"
            @if let Some(asked) = usage.cpu_request_cores { " of " (objects::cores(Some(asked))) " requested" }
            ", " (objects::bytes(usage.memory_bytes)) " of memory"
            @if let Some(limit) = usage.memory_limit_bytes { " of " (objects::bytes(Some(limit))) }
            ". " (words::count(usize::try_from(one.restarts_lately).unwrap_or(usize::MAX), "restart")) " in the last hour."
        }
    };
    let body = if pods.is_empty() {
        empty("It has no pod now.")
    } else {
        objects::pods_table(visit, &pods, true)
    };
    let main = html! {
        nav.crumbs aria-label="Path" {
            a href="/workloads" data-keys="u" { "Workloads" } " / "
            a href=(link::to("/workloads", &[("ns", namespace)])) { (namespace) }
        }
        (status::line(workloads::health(visit, &one), &sentence(&one), &more, &html! {}))
        @if let Some(complaint) = &range.complaint { p.complaint role="alert" { (complaint) } }
        (section("pods", "Pods", &html! { (words::count(pods.len(), "pod")) }, &html! {}, &body))
        (section("usage", "Usage", &html! { (range.names(&visit.wall).0.to_lowercase()) }, &html! {}, &html! {
            div.panel.two {
                @for one in objects::graphs(&range, &matchers(&one), usage) { (graph::marked(visit, &range, &one, &marks)) }
            }
        }))
        div.columns.even {
            (objects::changed(visit, &range, &changed, "workload"))
            (objects::alerts(visit, &standing, "workload"))
        }
    };
    Sheet {
        title: name.to_owned(),
        range: Some(range),
        keys: vec![("j", "next pod"), ("o", "open"), ("u", "up"), ("[", "earlier")],
        ..Sheet::new(Place::Workloads, main)
    }
}

fn sentence(one: &Workload) -> String {
    let pods = words::count(usize::try_from(one.pods_wanted).unwrap_or(usize::MAX), "pod");
    let text = match (one.pods_ready, one.pods_wanted) {
        (_, 0) => format!("{} is to have no pod", one.name),
        (ready, wanted) if ready >= wanted => format!("{} has all of its {pods} ready", one.name),
        (ready, _) => format!("{} has {ready} of {pods} ready", one.name),
    };
    status::fit(text)
}

fn owns(one: &Workload, pod: &PodState) -> bool {
    match &pod.owner {
        Some((kind, name)) => *kind == one.kind && *name == one.name,
        None => one.kind == "Pod" && pod.name == one.name,
    }
}

/// By name and not by what is there now, so that pods of before a deploy are in the picture.
fn matchers(one: &Workload) -> String {
    let name = objects::literal(&one.name);
    let pods = match one.kind.as_str() {
        "Deployment" => format!("{name}-[a-z0-9]+-[a-z0-9]{{5}}"),
        "StatefulSet" => format!("{name}-[0-9]+"),
        "DaemonSet" => format!("{name}-[a-z0-9]{{5}}"),
        "Pod" => name,
        _ => format!("{name}-.*"),
    };
    format!(
        "{}, {}",
        Matcher::equal("namespace", &one.namespace),
        format_args!("pod=~{}", model::text::quote(&pods))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_before_are_found_and_those_of_a_longer_name_are_not() {
        let one = Workload {
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            ..Workload::default()
        };
        assert_eq!(
            matchers(&one),
            r#"namespace="shop", pod=~"web-[a-z0-9]+-[a-z0-9]{5}""#
        );
        assert_eq!(sentence(&one), "web is to have no pod");
        assert_eq!(
            sentence(&Workload {
                pods_ready: 1,
                pods_wanted: 3,
                ..one
            }),
            "web has 1 of 3 pods ready"
        );
    }
}
