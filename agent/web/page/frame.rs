//! What surrounds every view: bar, banner, foot.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use model::view::Health;

use super::visit::Visit;
use super::when::{Range, Wall};
use super::{assets, bar, link, shape, status};

/// A view of the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Alerts,
    Workloads,
    Nodes,
    Targets,
    Logs,
    Aws,
    Rules,
    Explore,
    Own,
}

impl Place {
    /// What the bar has without a cluster.
    const ALONE: [Self; 8] = [
        Self::Overview,
        Self::Alerts,
        Self::Targets,
        Self::Logs,
        Self::Aws,
        Self::Rules,
        Self::Explore,
        Self::Own,
    ];

    /// With one; targets then stand behind it.
    const CLUSTER: [Self; 9] = [
        Self::Overview,
        Self::Alerts,
        Self::Workloads,
        Self::Nodes,
        Self::Logs,
        Self::Aws,
        Self::Rules,
        Self::Explore,
        Self::Own,
    ];

    /// What the bar shows: nothing that is not asked here.
    pub(super) fn all(visit: &Visit) -> impl Iterator<Item = Self> {
        let all: &[Self] = match visit.rooms.objects {
            Some(_) => &Self::CLUSTER,
            None => &Self::ALONE,
        };
        let has_aws = visit.rooms.aws.is_some();
        all.iter()
            .copied()
            .filter(move |place| has_aws || *place != Self::Aws)
    }

    /// What of it lies under the thumb.
    pub(super) fn is_near(self, visit: &Visit) -> bool {
        let third = visit
            .rooms
            .objects
            .as_ref()
            .map_or(Self::Targets, |_| Self::Workloads);
        self == third || matches!(self, Self::Overview | Self::Alerts | Self::Logs)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Alerts => "Alerts",
            Self::Workloads => "Workloads",
            Self::Nodes => "Nodes",
            Self::Targets => "Targets",
            Self::Logs => "Logs",
            Self::Aws => "AWS",
            Self::Rules => "Rules",
            Self::Explore => "Explore",
            Self::Own => "Self",
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Alerts => "/alerts",
            Self::Workloads => "/workloads",
            Self::Nodes => "/nodes",
            Self::Targets => "/targets",
            Self::Logs => "/logs",
            Self::Aws => "/aws",
            Self::Rules => "/rules",
            Self::Explore => "/explore",
            Self::Own => "/self",
        }
    }

    pub(super) fn keys(self) -> &'static str {
        match self {
            Self::Overview => "g o",
            Self::Alerts => "g a",
            Self::Workloads => "g w",
            Self::Nodes => "g n",
            Self::Targets => "g t",
            Self::Logs => "g l",
            Self::Aws => "g m",
            Self::Rules => "g r",
            Self::Explore => "g x",
            Self::Own => "g k",
        }
    }

    /// Whether the view shows a time, which a link to it then carries along.
    pub(super) fn has_time(self) -> bool {
        matches!(self, Self::Overview | Self::Logs | Self::Explore)
    }
}

/// A view, ready to be framed.
pub(super) struct Sheet {
    pub(super) here: Place,
    /// What the document is called besides the state: `Targets`, `CpuBusy`.
    pub(super) title: String,
    /// The time it shows, if it shows one; brings the picker.
    pub(super) range: Option<Range>,
    pub(super) main: Markup,
    /// The view's own keys, printed at its foot with a word each.
    pub(super) keys: Vec<(&'static str, &'static str)>,
    pub(super) code: StatusCode,
    /// It is not drawn anew by itself: somebody types into it, or it took long to make.
    pub(super) still: bool,
}

impl Sheet {
    pub(super) fn new(here: Place, main: Markup) -> Self {
        Self {
            here,
            title: here.word().to_owned(),
            range: None,
            main,
            keys: Vec::new(),
            code: StatusCode::OK,
            still: false,
        }
    }

    /// Nothing has this address: says so in the place where it would be.
    pub(super) fn missing(here: Place, sentence: &str, more: &Markup) -> Self {
        let main = html! {
            (status::line(Health::Unknown, sentence, more, &html! {}))
        };
        Self {
            title: "not here".to_owned(),
            code: StatusCode::NOT_FOUND,
            ..Self::new(here, main)
        }
    }
}

/// Pause between two looks at a view that moves, in milliseconds.
const LOOK_EVERY: u32 = 5000;

pub(super) fn response(visit: &Visit, sheet: &Sheet) -> Response {
    let mut response = (sheet.code, document(visit, sheet).into_string()).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // With less, a browser would hide from us that our own form was sent from our own page.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn document(visit: &Visit, sheet: &Sheet) -> Markup {
    let (health, state) = status::short(visit);
    let moves = !sheet.still && sheet.range.as_ref().is_none_or(|range| range.live);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (shape::glyph(health)) " " (state) " · " (sheet.title) " · Skopos " (visit.name()) }
                link rel="icon" href=(assets::address("mark.svg"));
                link rel="stylesheet" href=(assets::address("uplot.min.css"));
                link rel="stylesheet" href=(assets::address("page.css"));
                @for script in ["uplot.min.js", "graph.js", "live.js", "acts.js", "silence.js", "keys.js"] {
                    script defer src=(assets::address(script)) {}
                }
            }
            body data-every=[moves.then_some(LOOK_EVERY)] data-now=(visit.now.millis()) data-zone=(visit.wall.zone_name())
                data-permalink=(permalink(visit, sheet)) {
                a.skip href="#main" { "Skip to the answer" }
                (bar::top(visit, sheet))
                (refused(visit))
                main id="main" tabindex="-1" { (sheet.main) }
                (foot(visit, sheet))
                (bar::thumb(visit, sheet))
                (bar::sheets(visit, sheet))
                output.toast id="toast" aria-live="polite" hidden {}
            }
        }
    }
}

/// A newer configuration that is not in force: said on every view until it is mended.
fn refused(visit: &Visit) -> Markup {
    let refused = &visit.config.refused;
    html! {
        aside.refused id="refused" aria-label="Configuration" hidden[refused.is_empty()] {
            @if let Some(first) = refused.first() {
                p {
                    (shape::works(Health::Bad)) " "
                    b { "A newer configuration was refused" }
                    "; the one of " (visit.wall.second(visit.config.loaded_at)) " goes on. "
                    a href="/self#configuration" { "all of it" }
                }
                // The whole of it, with its place marked, is a click away.
                pre { (first.lines().next().unwrap_or_default()) }
            }
        }
    }
}

fn foot(visit: &Visit, sheet: &Sheet) -> Markup {
    html! {
        footer.foot {
            p { "This view " code { (short_address(visit, sheet)) } }
            ul.keys aria-label="Keys of this view" {
                @for (keys, word) in &sheet.keys { li { kbd { (keys) } " " (word) } }
                li { kbd { "y" } " copy link" }
                li { button.plain type="button" popovertarget="keys" data-keys="?" { kbd { "?" } " all keys" } }
            }
        }
    }
}

/// As it is, with the time of the wall's clock.
fn short_address(visit: &Visit, sheet: &Sheet) -> String {
    address(visit, sheet.range.as_ref(), |time| {
        visit.wall.second(time).replace(", ", ",")
    })
}

/// Shows the same tomorrow: all times absolute.
fn permalink(visit: &Visit, sheet: &Sheet) -> String {
    address(visit, sheet.range.as_ref(), Wall::absolute)
}

fn address(visit: &Visit, range: Option<&Range>, write: impl Fn(model::Timestamp) -> String) -> String {
    let times = range.map(|range| (write(range.from), write(range.to)));
    let mut pairs: Vec<(&str, &str)> = visit.asked_besides_time().collect();
    if let Some((from, to)) = &times {
        pairs.extend([("from", from.as_str()), ("to", to.as_str())]);
    }
    link::to(&visit.path, &pairs)
}

/// A section with its heading, a grey remark beside it and something at the right end.
pub(super) fn section(id: &str, title: &str, remark: &Markup, right: &Markup, body: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-title" } {
            header.head {
                h2 id={ (id) "-title" } { (title) }
                p.remark { (remark) }
                div.right { (right) }
            }
            (body)
        }
    }
}

/// One sentence instead of an empty box.
pub(super) fn empty(sentence: &str) -> Markup {
    html! { p.panel.empty { (sentence) } }
}
