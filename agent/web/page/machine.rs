//! *This machine*: its processors, memory, disks and network, as the room `node` reads them.

use std::time::Duration;

use maud::{Markup, html};
use model::{Matcher, TimeRange, Timestamp, labels, text};

use super::frame::{empty, section};
use super::graph::{self, Graph, Line};
use super::unit::Unit;
use super::visit::Visit;
use super::when::Range;
use super::{asking, words};

/// Ticks with every reading of the machine.
const READING: &str = "node_time_seconds";
/// Its value is when the machine was last read.
const READINGS: &str = "timestamp(node_time_seconds)";
/// Made by containers and bridges; what goes through them goes through a real one too.
const NOT_WIRES: &str = r#"device!~"lo|veth.*|docker.*|br-.*|virbr.*|cni.*|flannel.*|cali.*|tun.*|tap.*""#;
/// Layers over disks that are counted themselves.
const NOT_DISKS: &str = r#"device!~"dm-.*|md.*|loop.*|zram.*|ram.*""#;

pub(super) fn draw(visit: &Visit, range: &Range) -> Markup {
    let readings = readings(visit);
    let body = if readings.is_empty() {
        empty("The machine has not been read yet. What keeps it from being read is said under What is read.")
    } else {
        html! {
            div.panel.four {
                @for graph in graphs(visit, range) { (graph::figure(visit, range, &graph)) }
            }
        }
    };
    let remark = html! { (visit.own.machine) };
    section(
        "machine",
        "This machine",
        &remark,
        &html! { (how_fresh(visit, &readings)) },
        &body,
    )
}

fn graphs(visit: &Visit, range: &Range) -> [Graph; 4] {
    let rate = |counter: &str| graph::rate(range, counter);
    let gibibytes = asking::number(visit, "node_memory_MemTotal_bytes / 2^30", visit.now, None);
    let of = gibibytes.map_or_else(
        || "GiB".to_owned(),
        |all| format!("GiB of {}", words::plain(all.round())),
    );
    let graph = |title: &str, unit: &str, kind, most, lines| Graph {
        title: title.to_owned(),
        unit: unit.to_owned(),
        kind,
        lines,
        most,
        // A machine at rest writes and sends a little always.
        least: Some(1.0),
        threshold: None,
        chosen: None,
        readings: Some(READINGS),
    };
    let written = format!("node_disk_written_bytes_total{{{NOT_DISKS}}}");
    let read = format!("node_disk_read_bytes_total{{{NOT_DISKS}}}");
    let received = format!("node_network_receive_bytes_total{{{NOT_WIRES}}}");
    let sent = format!("node_network_transmit_bytes_total{{{NOT_WIRES}}}");
    [
        graph(
            "CPU",
            "% busy",
            Unit::Percent,
            Some(100.0),
            vec![Line {
                label: "busy",
                expr: format!(
                    "100 * (1 - avg({}))",
                    rate(r#"node_cpu_seconds_total{mode="idle"}"#)
                ),
            }],
        ),
        graph(
            "Memory",
            &of,
            Unit::Plain,
            gibibytes,
            vec![Line {
                label: "used",
                expr: "(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes) / 2^30".to_owned(),
            }],
        ),
        graph(
            "Disk",
            "MiB/s",
            Unit::Plain,
            None,
            vec![
                Line {
                    label: "written",
                    expr: format!("sum({}) / 2^20", rate(&written)),
                },
                Line {
                    label: "read",
                    expr: format!("sum({}) / 2^20", rate(&read)),
                },
            ],
        ),
        graph(
            "Network",
            "Mbit/s",
            Unit::Plain,
            None,
            vec![
                Line {
                    label: "in",
                    expr: format!("sum({}) * 8 / 1e6", rate(&received)),
                },
                Line {
                    label: "out",
                    expr: format!("sum({}) * 8 / 1e6", rate(&sent)),
                },
            ],
        ),
    ]
}

/// When the machine was read in the last minutes, as far as this process has.
fn readings(visit: &Visit) -> Vec<Timestamp> {
    const LOOK_BACK: Duration = Duration::from_secs(600);
    const SAMPLES_MAX: usize = 10_000;
    let matchers = [Matcher::equal(labels::METRIC_NAME, READING)];
    let range = TimeRange {
        after: (visit.now - LOOK_BACK).max(visit.own.started - Duration::from_secs(1)),
        until: visit.now,
    };
    let series = visit
        .rooms
        .select
        .select(&matchers, range, SAMPLES_MAX)
        .unwrap_or_default();
    let mut times: Vec<Timestamp> = series
        .iter()
        .flat_map(|series| series.times.iter().zip(series.values.iter()))
        .filter(|(_, value)| !model::is_stale(**value))
        .map(|(time, _)| *time)
        .collect();
    times.sort_unstable();
    times
}

/// `7 readings so far, the next in 12 s`.
fn how_fresh(visit: &Visit, readings: &[Timestamp]) -> String {
    let Some(last) = readings.last() else {
        return String::new();
    };
    let interval = every(visit);
    let age = visit.now.since(*last);
    if age > interval * 2 {
        return format!("not read for {}", text::duration::spoken(age));
    }
    if visit.uptime() < Duration::from_secs(600) {
        let next = text::duration::spoken((interval.saturating_sub(age)).max(Duration::from_secs(1)));
        return format!(
            "{} so far, the next in {next}",
            words::count(readings.len(), "reading")
        );
    }
    format!(
        "read every {}, last {}",
        text::duration::spoken(interval),
        visit.wall.ago(*last)
    )
}

/// How often the machine is read.
pub(super) fn every(visit: &Visit) -> Duration {
    let node = visit.targets.iter().find(|target| target.job == "node");
    let asked = node
        .map(|node| node.interval)
        .filter(|interval| !interval.is_zero());
    asked.unwrap_or(Duration::from_secs(15))
}
