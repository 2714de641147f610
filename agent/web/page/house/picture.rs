//! The house as a picture: boxes for places, arrows for joints, a queue as a box on its arrow that fills.

use maud::{Markup, html};
use model::view::{Graph, Health, Joint};

use super::plan::{self, Boxed, Line, Plan};
use super::{place_link, spoken, state};
use crate::page::words;

const QUEUE_WIDTH: f64 = 36.0;
/// From the box to what is drawn on the line.
const STEP: f64 = 12.0;

pub(super) fn draw(graph: &Graph) -> Markup {
    let Plan {
        width,
        height,
        boxes,
        lines,
    } = plan::lay(graph);
    let (width, height) = (format!("{width:.0}"), format!("{height:.0}"));
    html! {
        div.panel.picture tabindex="0" role="region" aria-label="Picture of the house, as wide as it is" {
            svg.house width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="group"
                aria-label={ (words::count(graph.places.len(), "place")) " and " (words::count(graph.joints.len(), "joint"))
                    " between them; the table below says the same" } {
                @for line in &lines {
                    @if let Some(joint) = graph.joints.get(line.joint) { (arrow(line, joint)) }
                }
                @for one in &boxes { (place(graph, one)) }
            }
        }
    }
}

fn place(graph: &Graph, one: &Boxed) -> Markup {
    let Some(place) = graph.places.get(one.place) else {
        return html! {};
    };
    let (x, y) = (one.x + one.width / 2.0, one.y + one.height / 2.0);
    let (head, rest) = words::cut(&place.name, plan::NAME_LETTERS_MAX);
    let name = html! {
        text x=(tenth(x)) y=(tenth(y)) dy="4.5" { (head) @if rest > 0 { "…" } }
    };
    html! {
        g.place.outside[place.outside] {
            title { (place.name) @if place.outside { ", outside" } }
            rect x=(tenth(one.x)) y=(tenth(one.y)) width=(tenth(one.width)) height=(tenth(one.height)) rx="6" {}
            @match place_link(&place.name) {
                Some(href) => a href=(href) { (name) },
                None => (name),
            }
        }
    }
}

fn arrow(line: &Line, joint: &Joint) -> Markup {
    let (health, (x, y)) = (state(joint), line.label);
    let kind = match health {
        Health::Good => "good",
        Health::Unknown => "none",
        Health::Pending => "pend",
        Health::Bad => "fire",
    };
    let is_loud = health != Health::Good;
    let (head, rest) = words::cut(&joint.carries, plan::LABEL_LETTERS_MAX);
    html! {
        g class={ "joint " (kind) @if joint.when_full.is_empty() { " call" } } {
            title { (spoken(joint)) }
            path.wire d=(line.path) {}
            polygon.tip points=(line.tip) {}
            @if let Some(fill) = joint.fill { (queue(x + STEP, y, fill)) }
            @if is_loud { (mark(health, x + STEP + 5.0, y - 11.0)) }
            a href={ "#joint-" (line.joint + 1) } {
                text x=(tenth(x + STEP + if is_loud { 15.0 } else { 0.0 })) y=(tenth(y - 7.0)) {
                    (head) @if rest > 0 { "…" }
                }
            }
        }
    }
}

fn queue(x: f64, y: f64, fill: f64) -> Markup {
    html! {
        g.hr {
            rect.track x=(tenth(x)) y=(tenth(y - 4.0)) width=(tenth(QUEUE_WIDTH)) height="8" rx="1" {}
            rect class=(full(fill)) x=(tenth(x)) y=(tenth(y - 4.0)) width=(tenth(QUEUE_WIDTH * fill.clamp(0.0, 1.0)))
                height="8" rx="1" {}
        }
    }
}

/// Fine, nearly full, full: the colour of what is in a queue.
pub(super) fn full(fill: f64) -> &'static str {
    match super::fullness(fill) {
        Health::Bad => "bad",
        Health::Pending => "near",
        _ => "fine",
    }
}

/// The shapes of the page, drawn around a point.
fn mark(health: Health, x: f64, y: f64) -> Markup {
    let corner = |dx: f64, dy: f64| format!("{:.1},{:.1}", x + dx, y + dy);
    html! {
        @match health {
            Health::Good => {},
            Health::Unknown => circle.sign cx=(tenth(x)) cy=(tenth(y)) r="4" {},
            Health::Pending => polygon.sign points=(format!("{} {} {} {}", corner(0.0, -6.0), corner(6.0, 0.0), corner(0.0, 6.0), corner(-6.0, 0.0))) {},
            Health::Bad => polygon.sign points=(format!("{} {} {}", corner(0.0, -6.0), corner(6.0, 5.0), corner(-6.0, 5.0))) {},
        }
    }
}

fn tenth(number: f64) -> String {
    format!("{number:.1}")
}
