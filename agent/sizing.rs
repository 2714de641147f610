//! What `remote.forward` costs, reckoned before anything runs: which metrics are used, and bytes for each destination.
//!
//! The machine reckoned with is the one of the node room's fixtures, the bytes are those measured on a running node;
//! what a node really sends is in its own metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use model::text::duration::short;

use crate::check::number;
use crate::config::Config;
use crate::used::Used;

/// All series of one machine, by node_exporter's names.
const MACHINE: &str = include_str!("node/fixtures/expected.txt");
/// Series that a node has of itself and of its two targets: `skopos_*`, `up`, `scrape_*`. They are always sent.
const OWN_SERIES: usize = 170;
/// On the wire by remote write 2.0, packed: names, labels and help go along in each request. A node with nothing but its
/// machine took 28.8 (`skopos_remote_sent_bytes_total` by `skopos_remote_sent_samples_total`), and 28.4 with `used`.
const SAMPLE_BYTES: f64 = 29.0;

/// Lines for people, none where nothing is sent.
pub(crate) fn lines(config: &Config) -> Vec<String> {
    let document = &config.document;
    if document.remote_write.is_empty() {
        return Vec::new();
    }
    let families = &document.remote.families;
    let used = Used::gather(&config.groups, families);
    let interval = document.node.interval;
    let (all, kept) = if document.node.enabled {
        machine(&used)
    } else {
        (0, 0)
    };
    let (all, kept) = (all + OWN_SERIES, kept + OWN_SERIES);
    let targets = document.global.scrape_interval;
    vec![
        asked(config, &used),
        format!(
            "a node of {} and {all} series every {}: all {}, used {} ({kept} series), to each of {}",
            number(processors(), "processor"),
            short(interval),
            rate(all, interval),
            rate(kept, interval),
            number(document.remote_write.len(), "destination"),
        ),
        format!(
            "1000 series of targets every {}: {} (all at {SAMPLE_BYTES} bytes a sample; what it really is: \
             skopos_remote_sent_bytes_total)",
            short(targets),
            rate(1000, targets),
        ),
    ]
}

/// Who asks for how many metrics by name.
fn asked(config: &Config, used: &Used) -> String {
    if used.is_everything() {
        let of = config.groups.iter().find(|group| {
            let mut own = Used::default();
            own.rules(std::slice::from_ref(*group));
            own.is_everything()
        });
        let of = of.map_or("a dashboard".to_owned(), |group| {
            format!("rule group {:?}", group.name)
        });
        return format!("forward used: all, since {of} asks for series without a name");
    }
    let of = |gather: &dyn Fn(&mut Used)| {
        let mut own = Used::default();
        gather(&mut own);
        names(&own)
    };
    format!(
        "forward used: {}; rules ask for {}, shipped dashboards for {}, remote.families for {}",
        names(used),
        of(&|own| own.rules(&config.groups)),
        of(&Used::dashboards),
        of(&|own| own.families(&config.document.remote.families)),
    )
}

fn names(used: &Used) -> String {
    match used.count() {
        (names, 0) => number(names, "metric"),
        (0, patterns) => number(patterns, "pattern"),
        (names, patterns) => format!("{} and {}", number(names, "metric"), number(patterns, "pattern")),
    }
}

/// Series of the machine: all, and those in use.
fn machine(used: &Used) -> (usize, usize) {
    let mut series: BTreeMap<&str, usize> = BTreeMap::new();
    for line in MACHINE.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        *series.entry(name).or_default() += 1;
    }
    let kept = series.iter().filter(|(name, _)| used.has(name));
    (series.values().sum(), kept.map(|(_, count)| count).sum())
}

fn processors() -> usize {
    MACHINE
        .lines()
        .filter(|line| line.starts_with("node_cpu_seconds_total") && line.contains("\"idle\""))
        .count()
}

fn rate(series: usize, interval: Duration) -> String {
    let bytes = series as f64 * SAMPLE_BYTES / interval.as_secs_f64().max(0.001);
    if bytes < 1000.0 {
        format!("{bytes:.0} B/s")
    } else {
        format!("{:.1} kB/s", bytes / 1000.0)
    }
}
