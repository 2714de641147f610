//! What the overview says of a cluster: how its nodes and workloads do, what changed last, and who uses most.

use std::time::Duration;

use maud::{Markup, html};
use model::text;
use model::view::{Health, NodeState, Workload};

use super::frame::section;
use super::unit::Unit;
use super::visit::Visit;
use super::{aws, budget, changes, nodes, shape, words, workloads};

/// Changes shown here; the rest is a click away.
const CHANGES_SHOWN: usize = 5;
/// Changes are kept for so long.
const DAY: Duration = Duration::from_hours(24);

/// Nothing where no cluster is asked, or nothing is known of it.
pub(super) fn draw(visit: &Visit) -> Markup {
    let Some(objects) = visit.rooms.objects.as_ref() else {
        return alone(visit);
    };
    let (workloads, nodes) = ((objects.workloads)(), (objects.nodes)());
    if workloads.is_empty() && nodes.is_empty() {
        return alone(visit);
    }
    let changed = changes::within(visit, &visit.range(DAY), |_| true);
    let last = changed
        .get(..changed.len().min(CHANGES_SHOWN))
        .unwrap_or_default();
    html! {
        section.panel.three.strip aria-label="The cluster" {
            (of_nodes(visit, &nodes))
            (of_workloads(visit, &workloads))
            (of_changes(visit, &changed))
            (of_aws(visit))
        }
        @if !last.is_empty() {
            (section("changed", "What changed", &html! { "newest first" }, &html! { a href="/changes" { "all changes" } },
                &html! { div.panel { (changes::list(visit, last)) } }))
        }
        (workloads::talkers(visit, workloads))
    }
}

/// Without a cluster.
fn alone(visit: &Visit) -> Markup {
    html! { @if visit.rooms.aws.is_some() { section.panel.three.strip aria-label="AWS" { (of_aws(visit)) } } }
}

/// Nothing where nothing of AWS is asked.
fn of_aws(visit: &Visit) -> Markup {
    let Some(estate) = visit.rooms.aws.as_ref() else {
        return html! {};
    };
    let watched = (estate.watched)();
    let (health, fact) = aws::state(visit, &watched);
    cell("/aws", "AWS", health, &fact, &budget::said(&watched))
}

fn cell(place: &str, title: &str, health: Health, fact: &str, more: &str) -> Markup {
    html! {
        div.cell {
            p.small { (shape::health(health)) " " a href=(place) { (title) } }
            p.strong { (fact) }
            p.small { (more) }
        }
    }
}

fn of_nodes(visit: &Visit, all: &[NodeState]) -> Markup {
    let worst = all.iter().map(|node| nodes::health(visit, node)).max();
    let ready = all.iter().filter(|node| node.is_ready).count();
    let fullest = all
        .iter()
        .filter_map(|node| node.disk.as_ref().map(|disk| (disk, &node.name)));
    let disk = match fullest.max_by(|a, b| a.0.0.total_cmp(&b.0.0)) {
        Some(((share, _), name)) => format!("fullest: a disk of {name} at {}", Unit::Share.write(*share)),
        None => "no disk is measured".to_owned(),
    };
    let more = nodes::nearest_limit(all).unwrap_or(disk);
    let fact = format!("{ready} of {} ready", all.len());
    cell("/nodes", "Nodes", worst.unwrap_or(Health::Unknown), &fact, &more)
}

fn of_workloads(visit: &Visit, all: &[Workload]) -> Markup {
    let worst = all.iter().map(|one| workloads::health(visit, one)).max();
    let whole = all.iter().filter(|one| one.pods_ready >= one.pods_wanted).count();
    let (ready, wanted) = all.iter().fold((0, 0), |(ready, wanted), one| {
        (ready + one.pods_ready, wanted + one.pods_wanted)
    });
    let fact = format!("{whole} of {} have their pods", all.len());
    let more = format!("{} of {} pods ready", text::count(ready), text::count(wanted));
    cell(
        "/workloads",
        "Workloads",
        worst.unwrap_or(Health::Unknown),
        &fact,
        &more,
    )
}

fn of_changes(visit: &Visit, changed: &[changes::Lettered]) -> Markup {
    let (fact, more) = match changed.first() {
        None => ("none in 24 h".to_owned(), "deploys, scalings, nodes".to_owned()),
        Some(last) => (
            format!("{} in 24 h", words::count(changed.len(), "change")),
            format!(
                "the last: {}, {}",
                last.change.name,
                visit.wall.ago(last.change.time)
            ),
        ),
    };
    let is_watched = visit
        .rooms
        .objects
        .as_ref()
        .is_some_and(|objects| objects.changes.is_some());
    match is_watched {
        true => cell("/changes", "Changes", Health::Good, &fact, &more),
        false => cell(
            "/changes",
            "Changes",
            Health::Unknown,
            "not looked for",
            "kubernetes.changes.enabled is false",
        ),
    }
}
