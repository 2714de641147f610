//! `/routes`: where alerts go, and when. What is asked about one alert stands in the address.

use std::time::Duration;

use maud::{Markup, html};
use model::Labels;
use model::text::duration;
use model::view::{Health, RouteLine, Routing, Storm};

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::{status, words};

pub(super) fn view(visit: &Visit) -> Sheet {
    let asked = visit.asked("labels").trim().to_owned();
    let labels = read(&asked);
    let routing = (visit.rooms.routing)(
        labels.as_ref().ok().filter(|labels| !labels.is_empty()),
        visit.now,
    );
    let (health, sentence) = sentence(&routing, &asked, &labels);
    let more = html! {
        p {
            "An alert goes to the first route below that takes it, and on from there where it says so. "
            @for storm in &routing.storms { (of_storm(visit, storm)) }
            @if let Some(fallback) = &routing.fallback { "What a receiver does not take is told to " b { (fallback) } ". " }
            a href="/alerts" { "What fires" } "."
        }
    };
    let main = html! {
        (status::line(health, &sentence, &more, &html! {}))
        (form(&asked))
        @if labels.is_ok() && !routing.ways.is_empty() { (ways(&routing)) }
        (tree(&routing))
    };
    Sheet {
        title: "Routes".to_owned(),
        keys: vec![("/", "labels"), ("g a", "alerts"), ("g r", "rules")],
        ..Sheet::new(Place::Alerts, main)
    }
}

fn sentence(routing: &Routing, asked: &str, labels: &Result<Labels, String>) -> (Health, String) {
    if let Err(wrong) = labels {
        return (Health::Pending, format!("These are no labels: {wrong}"));
    }
    if routing.routes.is_empty() {
        return (Health::Unknown, "Nobody is told here".to_owned());
    }
    let lines = routing
        .ways
        .iter()
        .filter_map(|way| routing.routes.get(way.route));
    let told: Vec<&str> = lines
        .clone()
        .flat_map(|line| line.told.iter().map(String::as_str))
        .collect();
    if asked.is_empty() {
        let count = words::count(routing.routes.len(), "route");
        return (Health::Good, format!("{count}, from the first to the last"));
    }
    if lines.clone().any(|line| !line.muted_by.is_empty()) {
        return (Health::Pending, "It is kept back by hours now".to_owned());
    }
    match told.as_slice() {
        [] => (Health::Bad, "Nobody is told of it".to_owned()),
        names => (
            Health::Good,
            status::fit(format!("It is told to {}", names.join(", "))),
        ),
    }
}

fn form(asked: &str) -> Markup {
    html! {
        form.search action="/routes" role="search" aria-label="Labels of an alert" {
            label.grow {
                span { "Labels of an alert" }
                input type="search" name="labels" value=(asked) placeholder="alertname=Down team=db severity=page"
                    autocomplete="off" spellcheck="false" data-keys="/";
            }
            button.button.primary type="submit" { "Where does it go?" }
        }
    }
}

/// That many groups share a message of this receiver now.
fn of_storm(visit: &Visit, storm: &Storm) -> Markup {
    html! {
        b { (storm.receiver) } " is in a storm since " (visit.wall.second(storm.began)) ": "
        (words::count(storm.groups, "group")) " told in one message"
        @if storm.is_open { ", and new ones join it. " } @else { "; new ones have their own again. " }
    }
}

/// One below the other in time.
fn ways(routing: &Routing) -> Markup {
    let body = html! {
        ul.panel.list {
            @for way in &routing.ways {
                @if let Some(line) = routing.routes.get(way.route) {
                    li data-row {
                        div {
                            p { b { (receiver(line)) } " by " code { (line.matchers) } }
                            p.small {
                                "shares a message with all of " code { (way.group.to_string()) }
                                "; " (line.when())
                            }
                            @if !line.muted_by.is_empty() {
                                p.small { "kept back now by " (line.muted_by.join(", ")) }
                            }
                            @if !way.storms.is_empty() {
                                p.small { "told within a storm to " (way.storms.join(", ")) ", and its end will be" }
                            }
                        }
                    }
                }
            }
        }
    };
    let count = words::count(routing.ways.len(), "way");
    section("ways", "This alert", &html! { (count) }, &html! {}, &body)
}

fn tree(routing: &Routing) -> Markup {
    let body = if routing.routes.is_empty() {
        empty("No receiver is named: see section notifier of the configuration.")
    } else {
        html! {
            div.panel.cut {
                table.cards {
                    caption.unseen { "Routes, a parent before its children" }
                    thead {
                        tr {
                            th scope="col" { "Takes" }
                            th scope="col" { "Receiver" }
                            th scope="col" { "One message for each" }
                            th.n scope="col" { "First" }
                            th.n scope="col" { "More" }
                            th.n scope="col" { "Again" }
                        }
                    }
                    tbody {
                        @for (nth, line) in routing.routes.iter().enumerate() { (row(routing, nth, line)) }
                    }
                }
            }
        }
    };
    section(
        "tree",
        "Routes",
        &html! { (words::count(routing.routes.len(), "route")) },
        &html! {},
        &body,
    )
}

fn row(routing: &Routing, nth: usize, line: &RouteLine) -> Markup {
    let is_taken = routing.ways.iter().any(|way| way.route == nth);
    // Deeper than this there is no room on a phone.
    let depth = "· ".repeat(line.depth.min(8));
    html! {
        tr data-row tabindex="-1" {
            td.wide {
                (depth)
                @if is_taken { mark { code { (line.matchers) } } } @else { code { (line.matchers) } }
                @if line.goes_on { " and goes on" }
            }
            td.name {
                span { (receiver(line)) }
                @if !line.hours.is_empty() { span.small { " (" (line.hours.join(", ")) ")" } }
            }
            td.wide.second {
                @match &line.group_by {
                    None => "alert",
                    Some(names) if names.is_empty() => "route",
                    Some(names) => (names.join(", ")),
                }
            }
            td.n data-label="First" { (spoken(line.group_wait)) }
            td.n data-label="More" { (spoken(line.group_interval)) }
            td.n data-label="Again" { (spoken(line.repeat_interval)) }
        }
    }
}

fn receiver(line: &RouteLine) -> String {
    if line.told.is_empty() {
        format!("{} (nobody is told)", line.receiver)
    } else {
        line.told.join(", ")
    }
}

fn spoken(time: Duration) -> String {
    if time.is_zero() {
        "at once".to_owned()
    } else {
        duration::spoken(time)
    }
}

/// `a=b c="d e", f=g`, with or without braces around.
fn read(text: &str) -> Result<Labels, String> {
    let text = text.trim();
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let mut rest = inside.unwrap_or(text).trim_start();
    let mut pairs: Vec<(String, String)> = Vec::new();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=').ok_or_else(|| format!("{rest:?} has no ="))?;
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!("{name:?} is no name of a label"));
        }
        let behind = behind.trim_start();
        let (value, left) = match behind.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted
                    .find('"')
                    .ok_or_else(|| format!("the value of {name} has no end"))?;
                (
                    quoted.get(..end).unwrap_or_default(),
                    quoted.get(end + 1..).unwrap_or_default(),
                )
            }
            None => {
                let end = behind.find([',', ' ']).unwrap_or(behind.len());
                behind.split_at(end)
            }
        };
        pairs.push((name.to_owned(), value.to_owned()));
        rest = left.trim_start_matches([',', ' ']);
    }
    Ok(Labels::from_pairs(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_people_write_them() {
        for (text, wanted) in [
            ("", "{}"),
            ("a=b", r#"{a="b"}"#),
            (r#"{a="b c", d=e}"#, r#"{a="b c", d="e"}"#),
            ("a=b c=d", r#"{a="b", c="d"}"#),
            (r#"a="x=y" b=z,"#, r#"{a="x=y", b="z"}"#),
        ] {
            assert_eq!(read(text).unwrap().to_string(), wanted, "{text}");
        }
        for text in ["a", "=b", "a b=c", r#"a="b"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
