//! A graph: title, unit, the value now and a place that `graph.js` draws into.
//!
//! What is drawn comes from the query API; without JavaScript the values now are the answer.

use std::time::Duration;

use maud::{Markup, html};
use model::{Labels, text};
use serde::Serialize;

use super::asking;
use super::unit::Unit;
use super::visit::Visit;
use super::when::{Range, Wall};

/// Points a line is asked for at most; more than pixels would be waste.
const POINTS_MAX: u32 = 240;
/// The shortest window that holds two readings even when one is missed.
const RATE_SHORTEST: Duration = Duration::from_secs(45);

/// One line of a graph.
pub(super) struct Line {
    pub(super) label: &'static str,
    pub(super) expr: String,
}

/// What is drawn, over which time.
pub(super) struct Graph {
    pub(super) title: String,
    /// Printed after the title: `% busy`, `GiB of 31`.
    pub(super) unit: String,
    /// How numbers are written.
    pub(super) kind: Unit,
    pub(super) lines: Vec<Line>,
    /// Upper end of the axis when it has one.
    pub(super) most: Option<f64>,
    /// What the axis holds at least, so that nothing much does not look like much.
    pub(super) least: Option<f64>,
    pub(super) threshold: Option<(f64, String)>,
    /// Labels of the series that is meant, when the expression gives several.
    pub(super) chosen: Option<Labels>,
    /// Expression whose value is the time of the last reading: young graphs draw a dot for each of them.
    pub(super) readings: Option<&'static str>,
}

/// What `graph.js` is told.
#[derive(Serialize)]
struct Told<'a> {
    title: &'a str,
    kind: &'static str,
    lines: Vec<ToldLine<'a>>,
    most: Option<f64>,
    least: Option<f64>,
    threshold: Option<f64>,
    #[serde(rename = "thresholdText")]
    threshold_text: Option<&'a str>,
    chosen: Option<&'a Labels>,
    readings: Option<&'a str>,
    from: i64,
    to: i64,
    live: bool,
    step: f64,
    /// Times of changes in milliseconds, with their letters.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    marks: &'a [(i64, char)],
}

#[derive(Serialize)]
struct ToldLine<'a> {
    label: &'a str,
    expr: &'a str,
}

/// Distance of two points.
pub(super) fn step(range: &Range) -> Duration {
    let step = range.window() / POINTS_MAX;
    // Whole seconds, so that neighbouring views ask for the same points.
    Duration::from_secs(step.as_secs().max(1))
}

/// The `rate` to use on a counter over this range: between the last two readings while one can see them,
/// over a point's own width later.
pub(super) fn rate(range: &Range, counter: &str) -> String {
    let step = step(range);
    let (function, window) = if step <= Duration::from_secs(15) {
        ("irate", RATE_SHORTEST)
    } else {
        ("rate", RATE_SHORTEST.max(step * 2))
    };
    format!("{function}({counter}[{}])", text::duration::short(window))
}

pub(super) fn figure(visit: &Visit, range: &Range, graph: &Graph) -> Markup {
    marked(visit, range, graph, &[])
}

/// With a dashed line and a letter at each change.
pub(super) fn marked(visit: &Visit, range: &Range, graph: &Graph, marks: &[(i64, char)]) -> Markup {
    let at = if range.live { visit.now } else { range.to };
    let values: Vec<Option<f64>> = graph
        .lines
        .iter()
        .map(|line| asking::number(visit, &line.expr, at, graph.chosen.as_ref()))
        .collect();
    let told = Told {
        title: &graph.title,
        kind: match graph.kind {
            Unit::Share => "share",
            Unit::Percent => "percent",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "bytes/s",
            Unit::Seconds => "seconds",
            Unit::Plain => "plain",
        },
        lines: graph
            .lines
            .iter()
            .map(|line| ToldLine {
                label: line.label,
                expr: &line.expr,
            })
            .collect(),
        most: graph.most,
        least: graph.least,
        threshold: graph.threshold.as_ref().map(|(value, _)| *value),
        threshold_text: graph.threshold.as_ref().map(|(_, text)| text.as_str()),
        chosen: graph.chosen.as_ref(),
        readings: graph.readings,
        from: range.from.millis(),
        to: range.to.millis(),
        live: range.live,
        step: step(range).as_secs_f64(),
        marks,
    };
    let told = serde_json::to_string(&told).unwrap_or_default();
    html! {
        figure.g data-graph=(told) {
            figcaption {
                h3 { (graph.title) }
                span.unit { (graph.unit) }
                span.legend data-keep {
                    @for (nth, (line, value)) in graph.lines.iter().zip(&values).enumerate() {
                        span.key {
                            @if graph.lines.len() > 1 { i class={ "stroke s" (nth + 1) } {} (line.label) " " }
                            b data-value=(nth) { (write(graph.kind, *value)) }
                        }
                    }
                }
            }
            div.plot data-keep role="img" aria-label=(spoken(graph, &values, range)) {
                noscript { p { (spoken(graph, &values, range)) " The line over time is drawn with JavaScript." } }
            }
        }
    }
}

fn write(kind: Unit, value: Option<f64>) -> String {
    match (kind, value) {
        (_, None) => "–".to_owned(),
        // The unit stands beside the title.
        (Unit::Percent, Some(value)) if value.is_finite() => super::words::plain(value.round()),
        (kind, Some(value)) => short(kind, value),
    }
}

/// As narrow as it can be: the legend has little room.
fn short(kind: Unit, value: f64) -> String {
    match kind {
        Unit::Plain if value.abs() < 10.0 => {
            let number = format!("{value:.1}");
            number.strip_suffix(".0").unwrap_or(&number).to_owned()
        }
        kind => kind.write(value),
    }
}

/// The graph in words, for those who do not see it.
fn spoken(graph: &Graph, values: &[Option<f64>], range: &Range) -> String {
    let parts = graph.lines.iter().zip(values).map(|(line, value)| match value {
        Some(value) => format!("{} {}", line.label, short(graph.kind, *value)),
        None => format!("{} not measured", line.label),
    });
    let when = if range.live { "now" } else { "at the end" };
    let unit = if graph.unit.is_empty() {
        String::new()
    } else {
        format!(" ({})", graph.unit)
    };
    format!(
        "{}{unit} {when}: {}.",
        graph.title,
        parts.collect::<Vec<_>>().join(", ")
    )
}

/// Marks below a drawing that has a time axis, as percentages of its width.
pub(super) fn marks(wall: &Wall, range: &Range, most: u64) -> Vec<(f64, String)> {
    let window = range.window().as_secs_f64();
    wall.marks(range.from, range.to, most)
        .into_iter()
        .map(|at| {
            (
                at.since(range.from).as_secs_f64() / window * 100.0,
                wall.mark(at, range.window()),
            )
        })
        // Words at the very edge would be cut.
        .filter(|(at, _)| (6.0..=94.0).contains(at))
        .collect()
}
