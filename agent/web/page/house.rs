//! `/graph`: the house as it runs: its rooms, what lies between them, and how full that is now.

mod picture;
mod plan;

use maud::{Markup, html};
use model::view::{Graph, Health, Joint};

use super::frame::{Place, Sheet, empty, section};
use super::sort::{self, Key};
use super::visit::Visit;
use super::{shape, status, words};

/// From this share on a queue is nearly full.
const NEARLY: f64 = 0.8;

/// A joint with its number, which its row keeps in every order.
struct Row {
    number: usize,
    joint: Joint,
}

const KEYS: [Key<Row>; 7] = [
    Key {
        name: "from",
        word: "From",
        numeric: false,
        compare: |a, b| a.joint.from.cmp(&b.joint.from),
    },
    Key {
        name: "to",
        word: "To",
        numeric: false,
        compare: |a, b| a.joint.to.cmp(&b.joint.to),
    },
    Key {
        name: "carries",
        word: "Carries",
        numeric: false,
        compare: |a, b| a.joint.carries.cmp(&b.joint.carries),
    },
    Key {
        name: "size",
        word: "Size",
        numeric: false,
        compare: |a, b| a.joint.size.cmp(&b.joint.size),
    },
    Key {
        name: "full",
        word: "When full",
        numeric: false,
        compare: |a, b| a.joint.when_full.cmp(&b.joint.when_full),
    },
    Key {
        name: "fill",
        word: "Fill",
        numeric: true,
        compare: |a, b| {
            let fill = |row: &Row| row.joint.fill.unwrap_or(-1.0);
            fill(a).total_cmp(&fill(b))
        },
    },
    Key {
        name: "now",
        word: "Now",
        numeric: false,
        compare: |a, b| a.joint.now.cmp(&b.joint.now),
    },
];

pub(super) fn view(visit: &Visit) -> Sheet {
    let graph = (visit.rooms.graph)();
    let (health, sentence) = sentence(&graph);
    let queues = graph.joints.iter().filter(|joint| joint.fill.is_some()).count();
    let more = html! {
        @if !graph.places.is_empty() {
            p {
                "Role " (graph.role) ": " (words::count(graph.places.len(), "place")) ", "
                (words::count(graph.joints.len(), "joint")) ", " (words::count(queues, "queue")) " among them. "
                code { "skopos graph" } " prints the same. " a href="/self" { "Skopos itself" } "."
            }
        }
    };
    let legend = html! { "solid: a queue, filled as it is now; dotted: a call; dashed box: outside" };
    let none = "The house has not been drawn: no room is running.";
    let main = html! {
        (status::line(health, &sentence, &more, &html! {}))
        @if graph.places.is_empty() {
            (section("picture", "The house", &html! {}, &html! {}, &empty(none)))
        } @else {
            (section("picture", "The house", &legend, &html! {}, &picture::draw(&graph)))
            (section("joints", "Joints", &html! { (words::count(graph.joints.len(), "joint")) }, &html! {}, &table(visit, &graph)))
        }
    };
    Sheet {
        keys: vec![("j", "next"), ("g k", "Skopos itself"), ("g t", "targets")],
        title: "the house".to_owned(),
        ..Sheet::new(Place::Own, main)
    }
}

fn sentence(graph: &Graph) -> (Health, String) {
    let of = |health| graph.joints.iter().filter(move |joint| state(joint) == health);
    let named = |joint: &Joint| format!("{} → {}", joint.from, joint.to);
    // What the room says, or else that its queue is full.
    let at = |joint: &Joint| match joint.fill {
        Some(fill) if joint.health < state(joint) || joint.now.is_empty() => {
            format!(": {} full", percent(fill))
        }
        _ if joint.now.is_empty() => String::new(),
        _ => format!(": {}", joint.now),
    };
    let (bad, pending): (Vec<_>, Vec<_>) = (of(Health::Bad).collect(), of(Health::Pending).collect());
    match (bad.as_slice(), pending.as_slice()) {
        _ if graph.places.is_empty() => (Health::Unknown, "There is no house to show".to_owned()),
        ([only], _) => (
            Health::Bad,
            status::fit(format!("{} fails{}", named(only), at(only))),
        ),
        ([first, ..], _) => {
            let text = format!("{} joints fail, first {}{}", bad.len(), named(first), at(first));
            (Health::Bad, status::fit(text))
        }
        ([], [only]) => (
            Health::Pending,
            status::fit(format!("{} is in doubt{}", named(only), at(only))),
        ),
        ([], [first, ..]) => {
            let text = format!(
                "{} joints are in doubt, first {}{}",
                pending.len(),
                named(first),
                at(first)
            );
            (Health::Pending, status::fit(text))
        }
        ([], []) => (
            Health::Good,
            "Every queue has room and nothing between the rooms fails".to_owned(),
        ),
    }
}

fn table(visit: &Visit, graph: &Graph) -> Markup {
    if graph.joints.is_empty() {
        return empty("Nothing lies between the rooms: none of them hands anything on.");
    }
    let mut rows: Vec<Row> = (1..)
        .zip(graph.joints.iter().cloned())
        .map(|(number, joint)| Row { number, joint })
        .collect();
    // What is wrong stands first until another order is asked for; the rest goes the way things go.
    rows.sort_by_key(|row| std::cmp::Reverse(state(&row.joint).max(Health::Unknown)));
    sort::sort(visit, &KEYS, &mut rows);
    html! {
        div.panel.cut {
            table.cards {
                caption.unseen { "Joints" }
                thead { tr { (sort::heads(visit, &KEYS)) } }
                tbody { @for row in &rows { (drawn(row)) } }
            }
        }
    }
}

fn drawn(row: &Row) -> Markup {
    let joint = &row.joint;
    let health = state(joint);
    let loud = matches!(health, Health::Bad | Health::Pending);
    html! {
        tr id={ "joint-" (row.number) } data-row data-event[loud] {
            th.name scope="row" { (shape::works(health)) (place(&joint.from)) }
            td.to data-label="To" { (place(&joint.to)) }
            td data-label="Carries" { (joint.carries) }
            td.second data-label="Size" { (words::or_dash(&joint.size)) }
            td.second data-label="When full" { (if joint.when_full.is_empty() { "a call: returns at once" } else { joint.when_full.as_str() }) }
            td.n data-label="Fill" { (fill(joint)) }
            td.wide.second.wrong[health == Health::Bad] { (joint.now) }
        }
    }
}

fn fill(joint: &Joint) -> Markup {
    let Some(fill) = joint.fill else {
        return html! { "–" };
    };
    html! {
        span.fill {
            svg.hr aria-hidden="true" width="56" height="12" {
                rect.track x="0" y="2" width="100%" height="8" rx="1" {}
                rect class=(picture::full(fill)) x="0" y="2" width=(format!("{:.1}%", fill.clamp(0.0, 1.0) * 100.0)) height="8" rx="1" {}
            }
            span { (percent(fill)) }
        }
    }
}

fn place(name: &str) -> Markup {
    html! {
        @match place_link(name) {
            Some(href) => a href=(href) { (name) },
            None => span { (name) },
        }
    }
}

/// Where more is to be seen of a place, if anywhere.
fn place_link(name: &str) -> Option<&'static str> {
    match name {
        "node" | "scrape" => Some("/targets"),
        "store" | "promql" => Some("/explore"),
        "rules" => Some("/rules"),
        "logs" | "segments" => Some("/logs"),
        "notifier" => Some("/self#receivers"),
        "receiver" | "nodes" => Some("/self#senders"),
        "remote" => Some("/self#destinations"),
        "pair" | "peer" | "lease" => Some("/self#pair"),
        _ => None,
    }
}

/// How a joint is: what it says of itself, or that it is nearly full.
fn state(joint: &Joint) -> Health {
    match (joint.health, fullness(joint.fill.unwrap_or(0.0))) {
        (health, Health::Good) => health,
        (health, full) => health.max(full),
    }
}

fn fullness(fill: f64) -> Health {
    match fill {
        1.0.. => Health::Bad,
        NEARLY.. => Health::Pending,
        _ => Health::Good,
    }
}

/// Two that are not nothing and not everything are not written as if they were.
fn percent(fill: f64) -> String {
    match fill * 100.0 {
        0.0 => "0 %".to_owned(),
        share @ ..1.0 if share > 0.0 => "<1 %".to_owned(),
        share @ 99.0..100.0 => format!("{:.0} %", share.floor()),
        share => format!("{share:.0} %"),
    }
}

/// A whole sentence, for those who point at an arrow or cannot see it.
fn spoken(joint: &Joint) -> String {
    let mut text = format!("{} to {}: {}", joint.from, joint.to, joint.carries);
    if !joint.size.is_empty() {
        text.push_str(&format!(", at most {}", joint.size));
    }
    if let Some(fill) = joint.fill {
        text.push_str(&format!(", {} full", percent(fill)));
    }
    if !joint.when_full.is_empty() {
        text.push_str(&format!("; when full: {}", joint.when_full));
    }
    if !joint.now.is_empty() {
        text.push_str(&format!("; now: {}", joint.now));
    }
    text
}
