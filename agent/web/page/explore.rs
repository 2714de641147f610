//! `/explore`: asks a question in PromQL, and shows the answer as a graph and a table, or where it is wrong.

use maud::{Markup, html};
use model::text;
use model::view::Health;
use model::{Histogram, Labels};
use promql::{HistogramSeries, VectorPoint};

use super::asking::{self, Answer, Wrong};
use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::when::Range;
use super::{link, status, words};

/// Rows of the table; more is a question to the API.
const ROWS_MAX: usize = 500;

const EXAMPLES: [(&str, &str); 6] = [
    (
        "CPU, % busy",
        r#"100 * (1 - avg(rate(node_cpu_seconds_total{mode="idle"}[1m])))"#,
    ),
    ("Memory left", "node_memory_MemAvailable_bytes"),
    (
        "Disks, how full",
        "1 - node_filesystem_avail_bytes / node_filesystem_size_bytes",
    ),
    (
        "Network in, by device",
        "rate(node_network_receive_bytes_total[1m])",
    ),
    ("What answers", "up"),
    (
        "Most series, by metric",
        r#"topk(10, count by (__name__) ({__name__=~".+"}))"#,
    ),
];

pub(super) fn view(visit: &Visit) -> Sheet {
    let range = visit.range(visit.window().max(std::time::Duration::from_secs(900)));
    let expr = visit.asked("expr").trim();
    let answer = (!expr.is_empty()).then(|| asking::instant(visit, expr, range.to));
    let (health, sentence) = sentence(answer.as_ref());
    let main = html! {
        (status::line(health, &sentence, &remarks(answer.as_ref()), &html! {}))
        @if let Some(complaint) = &range.complaint { p.complaint role="alert" { (complaint) } }
        (form(visit, expr, answer.as_ref()))
        @match &answer {
            None => (examples()),
            Some(Err(_)) => {},
            Some(Ok(asked)) => (shown(visit, &range, expr, asked)),
        }
    };
    Sheet {
        keys: vec![("g l", "logs"), ("[", "earlier"), ("]", "later"), ("−", "wider")],
        range: Some(range),
        ..Sheet::new(Place::Explore, main)
    }
}

type Asked = Result<asking::Asked, Wrong>;

fn sentence(answer: Option<&Asked>) -> (Health, String) {
    match answer {
        None => (Health::Unknown, "Ask for anything that is kept".to_owned()),
        Some(Err(wrong)) if wrong.place.is_some() => {
            (Health::Pending, "The expression has a mistake".to_owned())
        }
        Some(Err(_)) => (Health::Pending, "There is no answer".to_owned()),
        Some(Ok(asked)) => match &asked.answer {
            Answer::Points(points) => match points.len() + asked.histograms.len() {
                0 => (
                    Health::Unknown,
                    "Nothing answers: no series matches now".to_owned(),
                ),
                1 => (Health::Good, "1 series answers".to_owned()),
                many => (
                    Health::Good,
                    format!("{} series answer", text::count(many as u64)),
                ),
            },
            Answer::Scalar(value) => (Health::Good, format!("The answer is {}", words::plain(*value))),
            Answer::Text(_) => (Health::Good, "The answer is a text".to_owned()),
            Answer::Lines(lines) => (
                Health::Good,
                format!("{} with their samples", words::count(lines.len(), "range vector")),
            ),
        },
    }
}

fn remarks(answer: Option<&Asked>) -> Markup {
    html! {
        @match answer {
            Some(Ok(asked)) => {
                @for remark in &asked.remarks { p { (remark) } }
                @if asked.remarks.is_empty() { p { "As it stands at the end of the time shown." } }
            },
            Some(Err(wrong)) => p {
                @if let Some((line, column)) = wrong.place { "Line " (line) ", column " (column) ": " }
                (wrong.message)
            },
            None => p { "PromQL over everything Skopos keeps; dashboards and promtool ask the same at /api/v1/query." },
        }
    }
}

fn form(visit: &Visit, expr: &str, answer: Option<&Asked>) -> Markup {
    let place = match answer {
        Some(Err(wrong)) => wrong.place,
        _ => None,
    };
    html! {
        form.ask action="/explore" role="search" aria-label="Expression" {
            label.unseen for="expr" { "Expression in PromQL" }
            textarea.wrong-text[place.is_some()] id="expr" name="expr" rows="3" spellcheck="false" autocomplete="off" autocapitalize="off"
                data-submit data-keys="/" aria-describedby=[place.map(|_| "mistake")] { (expr) }
            @for name in ["from", "to"] {
                @if !visit.asked(name).is_empty() { input type="hidden" name=(name) value=(visit.asked(name)); }
            }
            div.acts {
                button.button.primary type="submit" { "Ask" }
                p.hint { "Ctrl and Enter asks too" }
            }
        }
        @if let (Some(Err(wrong)), Some((line, column))) = (answer, place) { (mistake(expr, wrong, line, column)) }
    }
}

/// The line with a mark under the place, as a compiler shows it.
fn mistake(expr: &str, wrong: &Wrong, line: usize, column: usize) -> Markup {
    let text = expr.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let number = line.to_string();
    let indent = " ".repeat(number.len());
    let caret = " ".repeat(column.saturating_sub(1));
    html! {
        pre.mistake id="mistake" tabindex="0" role="alert" {
            (number) " | " (text) "\n" (indent) " | " (caret) b { "^ " (wrong.message) }
        }
    }
}

fn examples() -> Markup {
    let body = html! {
        ul.panel.list {
            @for (word, expr) in EXAMPLES {
                li data-row {
                    div {
                        p { a.strong href=(link::explore(expr)) { (word) } }
                        p.small.break { code { (expr) } }
                    }
                }
            }
        }
    };
    section("examples", "To begin with", &html! {}, &html! {}, &body)
}

fn shown(visit: &Visit, range: &Range, expr: &str, asked: &asking::Asked) -> Markup {
    let answer = &asked.answer;
    let graph = serde_json::json!({
        "title": "", "kind": "plain", "many": true,
        "lines": [{ "label": "", "expr": expr }],
        "from": range.from.millis(), "to": range.to.millis(), "live": range.live,
        "step": super::graph::step(range).as_secs_f64(),
    });
    let drawable = match answer {
        // There is no line through histograms.
        Answer::Points(points) => !points.is_empty() || asked.histograms.is_empty(),
        Answer::Scalar(_) => true,
        Answer::Text(_) | Answer::Lines(_) => false,
    };
    let graph = html! {
        div.panel.one {
            figure.g.tall data-graph=(graph.to_string()) {
                div.plot data-keep role="img" aria-label="The answer over time; the table below holds its values" {
                    noscript { p { "The graph is drawn with JavaScript; the table below holds the values at its end." } }
                }
            }
        }
    };
    html! {
        @if drawable { (section("graph", "Over time", &html! {}, &html! {}, &graph)) }
        (section("table", "Values", &html! { "at " (visit.wall.second(range.to)) }, &html! {}, &values(visit, asked)))
    }
}

fn values(visit: &Visit, asked: &asking::Asked) -> Markup {
    if asked.histograms.is_empty() {
        return floats(visit, &asked.answer);
    }
    let alone = match &asked.answer {
        Answer::Points(points) => points.is_empty(),
        Answer::Lines(lines) => lines.is_empty(),
        Answer::Scalar(_) | Answer::Text(_) => false,
    };
    html! {
        @if !alone { (floats(visit, &asked.answer)) }
        (histograms(visit, &asked.histograms))
    }
}

/// The newest of each series.
fn histograms(visit: &Visit, all: &[HistogramSeries]) -> Markup {
    html! {
        div.panel.cut {
            table.cards.answers {
                caption.unseen { "Native histograms" }
                thead { tr { th scope="col" { "Series" } th scope="col" { "Native histogram" } } }
                tbody {
                    @for one in all.iter().take(ROWS_MAX) {
                        tr data-row {
                            th.wide.break scope="row" { (series(&one.labels)) }
                            td.wide.break data-label="Native histogram" {
                                @if let Some((time, histogram)) = one.points.last() {
                                    (distribution(histogram)) span.dim { (visit.wall.milli(*time)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How many there were, and in which bounds; three digits of each are enough for people.
fn distribution(histogram: &Histogram) -> Markup {
    let short = |value: f64| text::float::go(format!("{value:.2e}").parse().unwrap_or(value));
    let buckets = histogram.buckets().into_iter().map(|bucket| {
        let left = if bucket.lower_inclusive { '[' } else { '(' };
        let right = if bucket.upper_inclusive { ']' } else { ')' };
        let (lower, upper) = (short(bucket.lower), short(bucket.upper));
        format!("{left}{lower}, {upper}{right} {}", words::plain(bucket.count))
    });
    html! {
        b { (words::plain(histogram.count)) } " observed, their sum " (short(histogram.sum))
        ": " code { (buckets.collect::<Vec<_>>().join(" · ")) } " "
    }
}

fn floats(visit: &Visit, answer: &Answer) -> Markup {
    match answer {
        Answer::Scalar(value) => html! { p.panel.empty { b { (text::float::api(*value)) } } },
        Answer::Text(text) => html! { pre.panel.pad { (text) } },
        Answer::Points(points) if points.is_empty() => empty(
            "No series: the name may be misspelt, or nothing was kept in this time. A wider time may find it.",
        ),
        Answer::Points(points) => table(points),
        Answer::Lines(lines) => html! {
            div.panel.cut {
                table.cards {
                    caption.unseen { "Samples" }
                    thead { tr { th scope="col" { "Series" } th.n scope="col" { "Samples" } th.n scope="col" { "Last" } } }
                    tbody {
                        @for line in lines.iter().take(ROWS_MAX) {
                            tr data-row {
                                th.wide.break scope="row" { (series(&line.labels)) }
                                td.n data-label="Samples" { (line.points.len()) }
                                td.n data-label="Last" {
                                    @if let Some(last) = line.points.last() {
                                        (text::float::api(last.value)) " " span.dim { (visit.wall.milli(last.time)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        },
    }
}

fn table(points: &[VectorPoint]) -> Markup {
    html! {
        div.panel.cut {
            table.cards.answers {
                caption.unseen { "Values" }
                thead { tr { th scope="col" { "Series" } th.n scope="col" { "Value" } } }
                tbody {
                    @for point in points.iter().take(ROWS_MAX) {
                        tr data-row {
                            th.wide.break scope="row" { (series(&point.labels)) }
                            td.n data-label="Value" { (text::float::api(point.value)) }
                        }
                    }
                }
            }
            @if points.len() > ROWS_MAX {
                p.note { "The first " (ROWS_MAX) " of " (text::count(points.len() as u64)) "; aggregate to see the rest." }
            }
        }
    }
}

fn series(labels: &Labels) -> Markup {
    let written = labels.to_string();
    html! {
        @if labels.name().is_empty() { code { (if written.is_empty() { "{}" } else { written.as_str() }) } }
        @else { a href=(link::explore(&written)) { code { (written) } } }
    }
}
