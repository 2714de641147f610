//! `/pods/{namespace}/{pod}`: what is true of it, its past on one axis, and its lines with its events between them.

use std::time::Duration;

use maud::{Markup, html};
use model::view::{LogPage, LogQuery, PodQuery, PodState, PodsOf};
use model::{Change, Labels, Level, LogRecord, Matcher, TimeRange, Timestamp, labels};

use super::changes::{self, Lettered};
use super::frame::{Place, Sheet, empty, section};
use super::graph::{self, Graph, Line};
use super::lines::{self, Links};
use super::unit::Unit;
use super::visit::Visit;
use super::when::Range;
use super::{link, objects, status, words};

/// Lines and events that are shown, the newest.
const LINES: usize = 200;
const SAMPLES_MAX: usize = 100_000;
/// Two samples of a state that are further apart have a time between them of which nothing is known.
const GAP: Duration = Duration::from_secs(90);

pub(super) fn view(visit: &Visit, namespace: &str, name: &str) -> Sheet {
    let Some(rooms) = visit.rooms.objects.as_ref() else {
        return Sheet::missing(Place::Workloads, "No cluster is asked here", &html! {});
    };
    let meant = PodsOf::One {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let Some(pod) = (rooms.pods)(&meant).into_iter().next() else {
        let logs = link::to("/logs", &[("ns", namespace), ("pod", name)]);
        let more = html! { p { "It may be gone; what it wrote may still be among " a href=(logs) { "its lines" } ". " a href="/workloads" { "All workloads" } } };
        return Sheet::missing(
            Place::Workloads,
            &status::fit(format!("There is no pod {name} in {namespace}")),
            &more,
        );
    };
    let range = visit.range(Duration::from_secs(3600));
    let standing = objects::standing(visit, |labels: &Labels| {
        labels.value("pod") == name && labels.value("namespace") == namespace
    });
    let owner = pod.owner.as_ref().map_or("", |(_, owner)| owner.as_str());
    let changed = changes::within(visit, &range, |change: &Change| {
        (change.namespace == namespace
            && (change.name == owner || change.object == "Pod" && change.name == name))
            || (change.object == "Node" && change.name == pod.node)
    });
    let found = written(visit, &range, &pod);
    let main = html! {
        nav.crumbs aria-label="Path" {
            a href="/workloads" { "Workloads" } " / "
            a href=(link::to("/workloads", &[("ns", namespace)])) { (namespace) }
            @if !owner.is_empty() { " / " a href=(objects::workload_link(namespace, owner)) data-keys="u" { (owner) } }
        }
        (status::line(objects::pod_health(visit, &pod), &sentence(&pod), &more(&pod), &html! {}))
        @if let Some(complaint) = &range.complaint { p.complaint role="alert" { (complaint) } }
        (facts(visit, &pod))
        (past(visit, &range, &pod, &changed, &found))
        @if !standing.is_empty() { (objects::alerts(visit, &standing, "pod")) }
        (said(visit, &range, &found))
    };
    Sheet {
        title: name.to_owned(),
        range: Some(range),
        keys: vec![
            ("←", "cursor"),
            ("e", "next event"),
            ("n", "next match"),
            ("u", "up to the workload"),
        ],
        ..Sheet::new(Place::Workloads, main)
    }
}

/// What is true of it now, the worst first.
fn sentence(pod: &PodState) -> String {
    let name = &pod.name;
    let killed = pod.ended.iter().find(|(_, reason, _)| reason == "OOMKilled");
    let text = match (pod.waiting.first(), pod.phase.as_str()) {
        (Some((_, reason)), _) if killed.is_some() => {
            format!("{name} is waiting ({reason}) after an OOM kill")
        }
        (Some((_, reason)), _) => format!("{name} is waiting: {reason}"),
        (None, "Running") if pod.is_ready => format!("{name} is running and ready"),
        (None, "Running") => format!("{name} is running and not ready"),
        (None, "Succeeded") => format!("{name} has done its work"),
        (None, "") => format!("{name} is known, and nothing of its state"),
        (None, phase) => format!("{name} is {}", phase.to_lowercase()),
    };
    status::fit(text)
}

fn more(pod: &PodState) -> Markup {
    let restarts = |count: u64| words::count(usize::try_from(count).unwrap_or(usize::MAX), "restart");
    html! {
        p {
            (restarts(pod.restarts)) ", " (pod.restarts_lately) " of them in the last hour."
            @for (container, reason, code) in &pod.ended {
                " The last run of " (container) " ended: " (reason)
                @if let Some(code) = code { ", exit code " (code) }
                "."
            }
        }
    }
}

fn facts(visit: &Visit, pod: &PodState) -> Markup {
    let usage = &pod.usage;
    let limits = |request: Option<f64>, limit: Option<f64>, write: fn(Option<f64>) -> String| {
        let part = |word: &str, value: Option<f64>| match value {
            Some(_) => format!("{word} {}", write(value)),
            None => format!("no {word}"),
        };
        format!("{}, {}", part("request", request), part("limit", limit))
    };
    html! {
        dl.at-a-glance {
            div { dt { "Node" } dd {
                @if pod.node.is_empty() { "none yet" } @else { a href=(objects::node_link(&pod.node)) { (pod.node) } }
            } }
            div { dt { "Image" } dd { (words::or_dash(&words::list_short(&pod.images, 2))) } }
            div { dt { "Memory" } dd { (limits(usage.memory_request_bytes, usage.memory_limit_bytes, objects::bytes)) } }
            div { dt { "CPU" } dd { (limits(usage.cpu_request_cores, usage.cpu_limit_cores, objects::cores)) } }
            div { dt { "Age" } dd { (objects::age(visit, pod.created)) } }
        }
    }
}

/// Everything on one axis.
fn past(visit: &Visit, range: &Range, pod: &PodState, changed: &[Lettered], found: &LogPage) -> Markup {
    let matchers = format!(
        "{}, {}",
        Matcher::equal("namespace", &pod.namespace),
        Matcher::equal("pod", &pod.name)
    );
    let marks = changes::marks(changed);
    let [cpu, memory] = objects::graphs(range, &matchers, &pod.usage);
    let body = html! {
        (hatches())
        div.panel.lanes data-from=(range.from.millis()) data-to=(range.to.millis()) {
            div.cursor data-keep aria-hidden="true" {}
            @if !changed.is_empty() { (changes_lane(visit, range, changed)) }
            @for (container, stretches) in states(visit, range, pod) { (state_lane(visit, range, &container, &stretches)) }
            @for one in [Some(memory), Some(cpu), storage(visit, range, pod, &matchers)].into_iter().flatten() { div.value-lane { (graph::marked(visit, range, &one, &marks)) } }
            (events_lane(visit, range, found))
            @if !found.histogram.is_empty() { (lines::lane(&visit.wall, range, &found.histogram)) }
        }
    };
    let remark = html! { (visit.wall.minute(range.from)) " to " (visit.wall.minute(range.to)) };
    section("past", &range.names(&visit.wall).0, &remark, &html! {}, &body)
}

/// What it has written on its node's disk; nothing where no kubelet says it.
fn storage(visit: &Visit, range: &Range, pod: &PodState, matchers: &str) -> Option<Graph> {
    const FAMILY: &str = "kube_summary_pod_ephemeral_storage_used_bytes";
    let of_pod = [
        Matcher::equal(labels::METRIC_NAME, FAMILY),
        Matcher::equal("namespace", &pod.namespace),
        Matcher::equal("pod", &pod.name),
    ];
    let time = TimeRange {
        after: range.from,
        until: range.to,
    };
    let found = visit.rooms.select.select(&of_pod, time, SAMPLES_MAX).ok()?;
    (!found.is_empty()).then(|| Graph {
        title: "Files on its node".to_owned(),
        unit: "MiB".to_owned(),
        kind: Unit::Plain,
        lines: vec![
            Line {
                label: "written",
                expr: format!("max({FAMILY}{{{matchers}}}) / 2^20"),
            },
            Line {
                label: "limit",
                expr: format!(
                    r#"sum(max by (container) (kube_pod_container_resource_limits{{{matchers}, resource="ephemeral_storage"}})) / 2^20"#
                ),
            },
        ],
        most: None,
        least: None,
        threshold: None,
        chosen: None,
        readings: None,
    })
}

fn hatches() -> Markup {
    html! {
        svg.unseen width="0" height="0" aria-hidden="true" {
            defs {
                pattern id="thin" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(30)" {
                    rect.thin width="1.5" height="6" {}
                }
            }
        }
    }
}

fn place(range: &Range, at: Timestamp) -> f64 {
    let window = range.window().as_secs_f64().max(0.001);
    (at.since(range.from).as_secs_f64() / window * 100.0).min(100.0)
}

fn changes_lane(visit: &Visit, range: &Range, changed: &[Lettered]) -> Markup {
    let said: Vec<String> = changed
        .iter()
        .map(|one| format!("{} {}", visit.wall.minute(one.change.time), one.change))
        .collect();
    html! {
        div.lane {
            p.gutter { b { "Changes" } }
            div.drawn { svg.band role="img" aria-label=(said.join("; ")) width="100%" height="16" {
                @for one in changed {
                    @let x = place(range, one.change.time);
                    line.mark x1={ (format!("{x:.2}")) "%" } x2={ (format!("{x:.2}")) "%" } y1="0" y2="16" {}
                    @if let Some(letter) = one.letter {
                        text x={ (format!("{x:.2}")) "%" } dx="4" y="12" { (letter) }
                    }
                }
            } }
        }
        @if let Some(last) = changed.first() {
            p.note.small { @if let Some(letter) = last.letter { b { (letter) } " " } (last.change.to_string()) ", " (visit.wall.minute(last.change.time)) }
        }
    }
}

/// A time in which a container ran, or waited.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    word: &'static str,
    from: Timestamp,
    to: Timestamp,
}

/// By container: when it ran, when it waited, and when nothing was measured.
fn states(visit: &Visit, range: &Range, pod: &PodState) -> Vec<(String, Vec<Stretch>)> {
    let time = TimeRange {
        after: range.from,
        until: range.to,
    };
    let mut all: std::collections::BTreeMap<String, Vec<Stretch>> = std::collections::BTreeMap::new();
    for (family, word) in [
        ("kube_pod_container_status_running", "running"),
        ("kube_pod_container_status_waiting", "waiting"),
    ] {
        let matchers = [
            Matcher::equal(labels::METRIC_NAME, family),
            Matcher::equal("namespace", &pod.namespace),
            Matcher::equal("pod", &pod.name),
        ];
        let series = visit
            .rooms
            .select
            .select(&matchers, time, SAMPLES_MAX)
            .unwrap_or_default();
        for one in series {
            let samples = one.times.iter().copied().zip(one.values.iter().copied());
            let container = one.labels.value("container").to_owned();
            let (stretches, gaps) = stretches(word, samples, range);
            let own = all.entry(container).or_default();
            own.extend(stretches);
            // Both families are read at the same times: one of them says when nothing was.
            if word == "running" {
                own.extend(gaps);
            }
        }
    }
    all.into_iter().collect()
}

/// When the value was 1, and when there was none.
fn stretches(
    word: &'static str,
    samples: impl Iterator<Item = (Timestamp, f64)>,
    range: &Range,
) -> (Vec<Stretch>, Vec<Stretch>) {
    let (mut stretches, mut gaps): (Vec<Stretch>, Vec<Stretch>) = (Vec::new(), Vec::new());
    let (mut last, mut is_open) = (range.from, false);
    let gap = |from, to| Stretch {
        word: "not measured",
        from,
        to,
    };
    for (time, value) in samples {
        if time.since(last) > GAP {
            gaps.push(gap(last, time));
            is_open = false;
        }
        let is_true = value == 1.0;
        match stretches.last_mut().filter(|_| is_open) {
            // It lasts until the sample that says otherwise.
            Some(open) => open.to = time,
            None if is_true => stretches.push(Stretch {
                word,
                from: time,
                to: time,
            }),
            None => {}
        }
        (last, is_open) = (time, is_true);
    }
    if range.to.since(last) > GAP {
        gaps.push(gap(last, range.to));
    } else if let Some(open) = stretches.last_mut().filter(|_| is_open) {
        open.to = range.to;
    }
    (stretches, gaps)
}

fn state_lane(visit: &Visit, range: &Range, container: &str, stretches: &[Stretch]) -> Markup {
    const SPOKEN: usize = 12;
    let said: Vec<String> = stretches
        .iter()
        .take(SPOKEN)
        .map(|one| {
            format!(
                "{} {} to {}",
                one.word,
                visit.wall.second(one.from),
                visit.wall.second(one.to)
            )
        })
        .collect();
    html! {
        div.lane {
            p.gutter { b { (words::or_dash(container)) } }
            div.drawn { svg.band role="img" aria-label={ (container) ": " (said.join(", ")) } width="100%" height="16" {
                rect.track x="0" y="0" width="100%" height="16" {}
                @for one in stretches {
                    @let (from, to) = (place(range, one.from), place(range, one.to));
                    rect class=(match one.word { "running" => "running", "waiting" => "waiting", _ => "unmeasured" })
                        x={ (format!("{from:.3}")) "%" } y="0" width={ (format!("{:.3}", (to - from).max(0.3))) "%" } height="16" {}
                }
            } }
        }
    }
}

/// Its lines and its events, as the address narrows them.
fn written(visit: &Visit, range: &Range, pod: &PodState) -> LogPage {
    let query = LogQuery {
        text: visit.asked("q").to_owned(),
        level: level(visit.asked("level")),
        source: format!("{}/{}/", pod.namespace, pod.name),
        pods: PodQuery {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            container: String::new(),
        },
        from: range.from,
        to: range.to,
        lines_max: LINES,
        ..LogQuery::default()
    };
    let mut page = (visit.rooms.logs)(&query);
    page.lines.sort_by_key(|line| line.time);
    page
}

fn level(word: &str) -> Option<Level> {
    match word {
        "warn" => Some(Level::Warn),
        "error" => Some(Level::Error),
        _ => None,
    }
}

fn is_event(line: &LogRecord) -> bool {
    line.source.ends_with("/events")
}

fn events_lane(visit: &Visit, range: &Range, found: &LogPage) -> Markup {
    let events: Vec<&LogRecord> = found.lines.iter().filter(|line| is_event(line)).collect();
    html! {
        @if !events.is_empty() {
            div.lane {
                p.gutter { b { "Events" } span { (events.len()) } }
                div.drawn { svg.band role="img" aria-label={ (words::count(events.len(), "event")) } width="100%" height="16" {
                    @for event in events {
                        circle class=(if event.level >= Level::Warn { "warn" } else { "plain" })
                            cx={ (format!("{:.2}", place(range, event.time))) "%" } cy="8" r="4" {
                            title { (visit.wall.second(event.time)) " " (words::clean(&event.text)) }
                        }
                    }
                } }
            }
        }
    }
}

fn said(visit: &Visit, range: &Range, found: &LogPage) -> Markup {
    let asked = visit.asked("q");
    let is_narrow = !asked.is_empty() || level(visit.asked("level")).is_some();
    let body = match (found.lines.is_empty(), is_narrow) {
        (true, true) => empty(&format!(
            "Nothing matches {}. Fewer words or another level may find it.",
            range.spoken(&visit.wall)
        )),
        (true, false) => empty(&format!(
            "No line and no event of it {}.",
            range.spoken(&visit.wall)
        )),
        (false, _) => html! {
            div.panel.cut {
                (lines::list(&visit.wall, found.lines.iter(), asked, &Links::None))
            }
        },
    };
    let remark = html! { (lines::how_many(&visit.wall, found, found.lines.len())) };
    let form = html! {
        form.search.of-pod action=(visit.path) {
            @for name in ["from", "to", "at"] {
                @if !visit.asked(name).is_empty() { input type="hidden" name=(name) value=(visit.asked(name)); }
            }
            label.grow { "Words" input type="search" name="q" value=(asked) autocomplete="off" spellcheck="false"; }
            label { "Level"
                select name="level" {
                    @for (value, word) in [("", "all"), ("warn", "warnings and worse"), ("error", "errors")] {
                        option value=(value) selected[visit.asked("level") == value] { (word) }
                    }
                }
            }
            button.button type="submit" { "Show" }
        }
    };
    section(
        "lines",
        "Lines and events",
        &remark,
        &html! {},
        &html! { (form) (body) (lines::unheard(&found.nodes)) },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(seconds: i64) -> Range {
        Range::last(
            Duration::from_secs(seconds.unsigned_abs()),
            Timestamp(seconds * 1000),
        )
    }

    #[test]
    fn a_container_runs_until_a_sample_says_otherwise_and_a_gap_is_not_a_state() {
        let samples = [(0, 1.0), (30, 1.0), (60, 0.0), (90, 1.0), (400, 1.0)];
        let samples = samples
            .into_iter()
            .map(|(at, value)| (Timestamp(at * 1000), value));
        let (runs, gaps) = stretches("running", samples, &range(420));
        let seconds = |all: &[Stretch]| -> Vec<(i64, i64)> {
            all.iter()
                .map(|one| (one.from.millis() / 1000, one.to.millis() / 1000))
                .collect()
        };
        assert_eq!(seconds(&runs), [(0, 60), (90, 90), (400, 420)]);
        assert_eq!(seconds(&gaps), [(90, 400)]);
    }

    #[test]
    fn the_sentence_says_the_worst_that_is_true() {
        let mut pod = PodState {
            name: "web-0".to_owned(),
            phase: "Running".to_owned(),
            is_ready: true,
            ..PodState::default()
        };
        assert_eq!(sentence(&pod), "web-0 is running and ready");
        pod.waiting = vec![("app".to_owned(), "CrashLoopBackOff".to_owned())];
        assert_eq!(sentence(&pod), "web-0 is waiting: CrashLoopBackOff");
        pod.ended = vec![("app".to_owned(), "OOMKilled".to_owned(), Some(137))];
        assert_eq!(
            sentence(&pod),
            "web-0 is waiting (CrashLoopBackOff) after an OOM kill"
        );
    }
}
