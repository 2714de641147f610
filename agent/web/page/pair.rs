//! The other replica, who sends samples here, and where samples are sent: parts of `/self`, and a sentence of `/`.

use std::net::IpAddr;

use maud::{Markup, html};
use model::text::{self, duration};
use model::view::{Destination, Health, Pair, Sender};

use super::frame::{empty, section};
use super::sort::{self, Key};
use super::visit::Visit;
use super::{shape, words};

/// More would help nobody; the rest is counted.
const SENDERS_SHOWN: usize = 100;

const KEYS: [Key<Sender>; 6] = [
    Key {
        name: "sender",
        word: "Sender",
        numeric: false,
        compare: |a, b| a.name.cmp(&b.name),
    },
    Key {
        name: "role",
        word: "Role",
        numeric: false,
        compare: |a, b| a.role.cmp(&b.role),
    },
    // The oldest is what one looks for.
    Key {
        name: "heard",
        word: "Heard",
        numeric: true,
        compare: |a, b| b.heard.cmp(&a.heard),
    },
    Key {
        name: "elsewhere",
        word: "By the other",
        numeric: true,
        compare: |a, b| b.heard_elsewhere.cmp(&a.heard_elsewhere),
    },
    Key {
        name: "series",
        word: "Series",
        numeric: true,
        compare: |a, b| a.series.cmp(&b.series),
    },
    Key {
        name: "samples",
        word: "Samples",
        numeric: true,
        compare: |a, b| a.samples.cmp(&b.samples),
    },
];

/// What is not as it should be between processes, the gravest first: `web-1 has been silent for 4 min`.
pub(super) fn doubts(visit: &Visit) -> Vec<String> {
    let mut doubts = Vec::new();
    let silent: Vec<&Sender> = visit.senders.iter().filter(|sender| sender.silent).collect();
    match silent.as_slice() {
        [] => {}
        [only] => doubts.push(match only.heard.max(only.heard_elsewhere) {
            Some(heard) => format!(
                "{} has been silent for {}",
                short(&only.name),
                duration::spoken(visit.now.since(heard))
            ),
            None => format!("{} is silent", short(&only.name)),
        }),
        _ => doubts.push(format!(
            "{} of {} are silent",
            silent.len(),
            words::count(visit.senders.len(), "sender")
        )),
    }
    if let Some(pair) = visit.pair.as_ref().filter(|pair| !pair.in_step) {
        doubts.push(match pair.peer_heard {
            Some(heard) => format!(
                "{} was last heard {}, out of step",
                short(&pair.peer),
                visit.wall.ago(heard)
            ),
            None => format!("{} has not been heard yet, out of step", short(&pair.peer)),
        });
    }
    if let Some(pair) = visit.pair.as_ref().filter(|pair| !pair.arbiter_error.is_empty()) {
        doubts.push(format!("nobody can say who leads: {}", pair.arbiter_error));
    }
    doubts
}

/// Said first on the overview when this replica does not lead, or something between processes is in doubt.
pub(super) fn remark(visit: &Visit) -> Markup {
    let mut parts = Vec::new();
    let mut health = Health::Unknown;
    if let Some(pair) = &visit.pair {
        if !(pair.here && pair.speaks) {
            parts.push(leads(pair));
        }
        if !pair.in_step {
            parts.push("the two are out of step".to_owned());
            health = Health::Pending;
        }
    }
    let silent = visit.senders.iter().filter(|sender| sender.silent).count();
    if silent > 0 {
        let verb = if silent == 1 { "is" } else { "are" };
        parts.push(format!(
            "{silent} of {} {verb} silent",
            words::count(visit.senders.len(), "sender")
        ));
        health = Health::Pending;
    }
    html! {
        @if !parts.is_empty() {
            p.between-processes { (shape::works(health)) a href="/self#pair" { (sentence(&parts.join("; "))) } "." }
        }
    }
}

/// `skopos-0 leads and this replica follows`.
fn leads(pair: &Pair) -> String {
    match (pair.here, pair.speaks, &pair.holder) {
        (true, true, _) => "this replica leads".to_owned(),
        (true, false, _) => "this replica holds the lease, and the other one tells people".to_owned(),
        (false, true, Some(holder)) => {
            format!(
                "{} holds the lease, and this replica tells people meanwhile",
                short(holder)
            )
        }
        (false, true, None) => "nobody holds the lease, and this replica tells people meanwhile".to_owned(),
        (false, false, Some(holder)) => format!("{} leads and this replica follows", short(holder)),
        (false, false, None) => "nobody is known to lead".to_owned(),
    }
}

/// A host's name without its domain, for a sentence.
fn short(name: &str) -> &str {
    let first = name.split('.').next().unwrap_or(name);
    if name.parse::<IpAddr>().is_ok() || first.is_empty() {
        name
    } else {
        first
    }
}

pub(super) fn sections(visit: &Visit) -> Markup {
    html! {
        (pair(visit))
        (senders(visit))
        (destinations(visit))
    }
}

fn pair(visit: &Visit) -> Markup {
    let house = html! { a href="/graph" data-keys="g g" { "the house as a picture" } };
    let Some(pair) = &visit.pair else {
        let alone = "There is no other replica: this process leads always, and tells people itself.";
        return section("pair", "The pair", &html! {}, &house, &empty(alone));
    };
    let heard = pair
        .peer_heard
        .map_or_else(|| "not yet".to_owned(), |heard| visit.wall.ago(heard));
    let leading = if pair.holder.is_some() || pair.speaks {
        Health::Good
    } else {
        Health::Pending
    };
    let peer = match (pair.in_step, pair.unshared) {
        (true, 0) => "in step, and has everything".to_owned(),
        (true, unshared) => format!("in step; {} on the way", words::count(unshared, "change")),
        (false, unshared) => format!("out of step; {} not shared yet", words::count(unshared, "change")),
    };
    let body = html! {
        ul.panel.list {
            li data-row {
                (shape::works(leading))
                div {
                    p { (sentence(&leads(pair))) }
                    p.small { "this is " (pair.name) ", " (pair.state) }
                }
                span.age { "epoch " (pair.epoch) }
            }
            li data-row data-event[!pair.in_step] {
                (shape::works(if pair.in_step { Health::Good } else { Health::Bad }))
                div {
                    p { (pair.peer) @if pair.peer_speaks { " tells people" } }
                    p.small { span.wrong[!pair.in_step] { (peer) } }
                }
                span.age { "heard " (heard) }
            }
            li data-row {
                (shape::works(if pair.arbiter_error.is_empty() { Health::Good } else { Health::Bad }))
                div {
                    p { "The lease" }
                    p.small {
                        @if pair.arbiter_error.is_empty() { "can be asked for" }
                        @else { span.wrong { (pair.arbiter_error) } }
                    }
                }
            }
        }
    };
    section("pair", "The pair", &html! {}, &house, &body)
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        // Names are written as they are.
        Some(first)
            if ["this ", "the ", "nobody "]
                .iter()
                .any(|word| text.starts_with(word)) =>
        {
            first.to_uppercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

fn senders(visit: &Visit) -> Markup {
    let mut senders = visit.senders.clone();
    let all = senders.len();
    let body = if senders.is_empty() {
        empty(&if visit.rooms.write.is_none() {
            format!("Nobody sends samples here: role {} takes none.", visit.own.role)
        } else {
            "Nobody has sent samples since start: they are taken at /api/v1/write.".to_owned()
        })
    } else {
        senders.sort_by(|a, b| b.silent.cmp(&a.silent).then_with(|| a.name.cmp(&b.name)));
        sort::sort(visit, &KEYS, &mut senders);
        html! {
            div.panel.cut {
                table.cards {
                    caption.unseen { "Senders" }
                    thead { tr { (sort::heads(visit, &KEYS)) } }
                    tbody { @for sender in senders.iter().take(SENDERS_SHOWN) { (sender_row(visit, sender)) } }
                }
                @if all > SENDERS_SHOWN { p.note { "and " (all - SENDERS_SHOWN) " more" } }
            }
        }
    };
    section(
        "senders",
        "Who sends samples here",
        &html! { (words::count(all, "sender")) },
        &html! {},
        &body,
    )
}

fn sender_row(visit: &Visit, sender: &Sender) -> Markup {
    let health = match (sender.silent, sender.heard) {
        (true, _) => Health::Bad,
        (false, Some(_)) => Health::Good,
        (false, None) => Health::Unknown,
    };
    let ago =
        |heard: Option<model::Timestamp>| heard.map_or_else(|| "–".to_owned(), |heard| visit.wall.ago(heard));
    html! {
        tr data-row data-event[sender.silent] {
            th.name.break scope="row" { (shape::works(health)) span { (sender.name) } }
            td data-label="Role" { (sender.role) }
            td.n.wrong[sender.silent] data-label="Heard" { @if sender.silent { "silent, " } (ago(sender.heard)) }
            td.n data-label="By the other" { (ago(sender.heard_elsewhere)) }
            td.n data-label="Series" { (text::count(sender.series as u64)) }
            td.n data-label="Samples" { (text::count(sender.samples)) }
        }
    }
}

fn destinations(visit: &Visit) -> Markup {
    let all = (visit.rooms.destinations)();
    let body = if all.is_empty() {
        empty("Samples stay here: no destination is configured to send them to.")
    } else {
        html! {
            div.panel.cut {
                table.cards {
                    caption.unseen { "Destinations" }
                    thead {
                        tr {
                            th scope="col" { "Destination" }
                            th scope="col" { "Where" }
                            th scope="col" { "Speaks" }
                            th.n scope="col" { "Waiting" }
                            th.n scope="col" { "Samples" }
                            th.n scope="col" { "Oldest" }
                            th.n scope="col" { "Last success" }
                        }
                    }
                    tbody { @for one in &all { (destination(visit, one)) } }
                }
            }
        }
    };
    let remark = html! { (words::count(all.len(), "destination")) };
    section(
        "destinations",
        "Where samples are sent",
        &remark,
        &html! {},
        &body,
    )
}

fn destination(visit: &Visit, one: &Destination) -> Markup {
    let ago = |time: Option<model::Timestamp>, otherwise: &str| {
        time.map_or_else(|| otherwise.to_owned(), |time| visit.wall.ago(time))
    };
    html! {
        tr data-row data-event[one.health == Health::Bad] {
            th.name scope="row" { (shape::works(one.health)) span { (one.name) } }
            td.wide.second.break { (one.url) }
            td data-label="Speaks" { (one.protocol) }
            td.n data-label="Waiting" { (text::bytes(one.waiting_bytes as f64)) }
            td.n data-label="Samples" { (text::count(one.waiting_samples)) }
            td.n data-label="Oldest" { (ago(one.oldest, "none waits")) }
            td.n data-label="Last success" { (ago(one.last_success, "not yet")) }
        }
        @if !one.last_error.is_empty() {
            tr.under { td colspan="7" { span.wrong { (one.last_error) } } }
        }
    }
}
