//! What is known beside the rules themselves: intervals, retention, series that were seen, and what the rules record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::labels::METRIC_NAME;
use model::{Kind, Labels, MatchOp, Matcher};
use promql::{Filter, Span};

use super::derive::derive;
use super::range::Range;
use super::read::{Group, Rule, Sources};
use super::shape::{Label, Shape, Why};

/// How far [`Live::series`] looks back.
pub const SERIES_WINDOW: Duration = Duration::from_secs(3600);
/// How far [`Live::names`] looks back.
pub const NAMES_WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);
/// Series of one metric that are looked at.
pub const SERIES_MAX: usize = 10_000;

/// What whoever runs the rules knows. By default nothing.
#[derive(Clone, Debug)]
pub struct World {
    pub scrape: Intervals,
    /// For groups without an `interval`.
    pub evaluation_interval: Duration,
    /// How long samples are kept, and who says so.
    pub retention: Option<(Duration, String)>,
    /// Labels that are added to all alerts, and who says so.
    pub external_labels: Option<(Labels, String)>,
    /// What was seen; or why nothing was looked at, as the end of a sentence.
    pub live: Result<Live, String>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            scrape: Intervals::default(),
            evaluation_interval: Duration::from_secs(15),
            retention: None,
            external_labels: None,
            live: Err("neither --url nor --data-dir is given".to_owned()),
        }
    }
}

/// How often targets are scraped.
#[derive(Clone, Debug)]
pub struct Intervals {
    /// Where the job is not known: of several the shortest, which accuses nobody falsely.
    pub default: Duration,
    pub jobs: BTreeMap<String, Duration>,
    /// Who says so: `--interval`.
    pub source: String,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            default: Duration::from_secs(15),
            jobs: BTreeMap::new(),
            source: "assumed; say another with --interval".to_owned(),
        }
    }
}

/// Series that were seen.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Where: a URL or a folder.
    pub source: String,
    /// All metrics within [`NAMES_WINDOW`].
    pub names: BTreeSet<String>,
    /// Label sets within [`SERIES_WINDOW`] of the metrics that the rules name; a metric of which nothing is known is
    /// left out.
    pub series: BTreeMap<String, Sighting>,
    /// By family: `x` for `x_bucket`.
    pub types: BTreeMap<String, Kind>,
}

/// Label sets of one metric.
#[derive(Clone, Debug, Default)]
pub struct Sighting {
    pub labels: Vec<Labels>,
    /// Those are all.
    pub complete: bool,
}

impl Live {
    /// The type of a metric, which is also known by its family.
    #[must_use]
    pub fn kind(&self, metric: &str) -> Option<Kind> {
        if let Some(kind) = self.types.get(metric) {
            return Some(*kind);
        }
        let endings = ["_bucket", "_sum", "_count", "_total", "_created"];
        let families = endings.iter().filter_map(|ending| metric.strip_suffix(ending));
        let found = families.filter_map(|family| self.types.get(family)).next();
        match found {
            // What a histogram or summary counts is a counter.
            Some(Kind::Histogram | Kind::Summary) if metric.ends_with("_created") => Some(Kind::Gauge),
            Some(Kind::Histogram | Kind::Summary) => Some(Kind::Counter),
            other => other.copied(),
        }
    }

    /// Those of a metric that match, as far as they were looked at.
    pub(super) fn matching(&self, metric: &str, matchers: &[Matcher]) -> Option<(Vec<&Labels>, bool)> {
        let sighting = self.series.get(metric)?;
        let own = matchers.iter().filter(|matcher| *matcher.name != *METRIC_NAME);
        let filters: Vec<Filter> = own.filter_map(|matcher| Filter::new(matcher).ok()).collect();
        let accepted = |labels: &&Labels| filters.iter().all(|filter| filter.accepts(labels));
        Some((
            sighting.labels.iter().filter(accepted).collect(),
            sighting.complete,
        ))
    }
}

/// What metrics are known to look like.
pub(super) struct Metrics<'a> {
    pub(super) world: &'a World,
    recording: BTreeMap<&'a str, Vec<Recording<'a>>>,
    recorded: BTreeMap<&'a str, Vec<Shape>>,
}

/// A rule that records, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Recording<'a> {
    pub(super) group: &'a Group,
    /// Which rule of its group.
    pub(super) nth: usize,
    pub(super) rule: &'a Rule,
}

impl<'a> Metrics<'a> {
    /// Derives what the rules record, those first that others read.
    pub(super) fn new(world: &'a World, sources: &'a Sources) -> Self {
        let mut recording: BTreeMap<&str, Vec<Recording<'_>>> = BTreeMap::new();
        for group in sources.files.iter().flat_map(|file| &file.groups) {
            for (nth, rule) in group.rules.iter().enumerate().filter(|(_, rule)| !rule.is_alert) {
                let one = Recording { group, nth, rule };
                recording.entry(&rule.name).or_default().push(one);
            }
        }
        let order = in_order(&recording);
        let mut metrics = Self {
            world,
            recording,
            recorded: BTreeMap::new(),
        };
        for name in order {
            let recording = metrics.recording(name).iter();
            let shapes = recording.flat_map(|one| shapes_of(one.rule, &metrics)).collect();
            metrics.recorded.insert(name, shapes);
        }
        metrics
    }

    /// The rules that record a metric.
    pub(super) fn recording(&self, name: &str) -> &[Recording<'a>] {
        self.recording.get(name).map_or(&[], Vec::as_slice)
    }

    /// The ways in which the rules record a metric.
    pub(super) fn recorded(&self, name: &str) -> Option<&[Shape]> {
        self.recorded.get(name).map(Vec::as_slice)
    }

    /// What a metric that is not recorded looks like.
    pub(super) fn shape(&self, name: Option<&str>, matchers: &[Matcher], span: Span) -> Shape {
        let mut shape = Shape::open(span);
        let Some(name) = name else {
            return shape;
        };
        match name {
            "ALERTS" | "ALERTS_FOR_STATE" => {
                shape.condition = true;
                shape.set("alertname", Label::Always);
                if name == "ALERTS" {
                    shape.set("alertstate", Label::Always);
                    shape.range = Range::constant(1.0);
                }
                return shape;
            }
            "up" => shape.range = Range::of(0.0, 1.0),
            _ => {}
        }
        if !matchers.iter().any(|matcher| *matcher.name == *"alertname") {
            let why = Why::written("of series only ALERTS has it, and alerts get it behind their rule");
            shape.set("alertname", Label::Never(why));
        }
        if let Ok(live) = &self.world.live {
            seen(&mut shape, live, name, matchers);
        }
        shape
    }
}

/// What all series that were seen have in common.
fn seen(shape: &mut Shape, live: &Live, name: &str, matchers: &[Matcher]) {
    let Some((series, true)) = live.matching(name, matchers) else {
        return;
    };
    if series.is_empty() {
        return;
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in series.iter().flat_map(|labels| labels.iter()) {
        *names.entry(name).or_default() += 1;
    }
    for (label, count) in &names {
        let everywhere = *count == series.len();
        shape.set(label, if everywhere { Label::Always } else { Label::Maybe });
    }
    let why = Why {
        text: format!("no series of {name} has it at {}", live.source).into(),
        seen: true,
    };
    shape.close(names.into_keys(), why);
}

/// What one rule records.
fn shapes_of(rule: &Rule, metrics: &Metrics<'_>) -> Vec<Shape> {
    let mut shapes = derive(&rule.text, &rule.expr, metrics).shapes;
    for shape in &mut shapes {
        shape.is_bool = false;
        // A picture that somebody else records may flap there; what reads it is told by its own labels.
        shape.picked = None;
        shape.aggregated = true;
        for (name, value) in &rule.labels {
            let label = match value.as_str() {
                "" => Label::Never(Why::written("its rule takes it away")),
                value => Label::Is(Arc::from(value)),
            };
            shape.set(name, label);
        }
    }
    shapes
}

/// Names of what is recorded, each behind all that it reads; those that read each other in a circle at the end.
fn in_order<'a>(rules: &BTreeMap<&'a str, Vec<Recording<'a>>>) -> Vec<&'a str> {
    let mut waits: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, recording) in rules {
        let read: BTreeSet<&str> = recording
            .iter()
            .flat_map(|one| one.rule.metrics.iter())
            .filter_map(|metric| rules.get_key_value(metric.as_str()).map(|(known, _)| *known))
            .filter(|read| read != name)
            .collect();
        waits.insert(name, read);
    }
    let mut readers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, read) in &waits {
        for metric in read {
            readers.entry(metric).or_default().push(name);
        }
    }
    let mut order: Vec<&str> = Vec::new();
    let mut ready: Vec<&str> = waits
        .iter()
        .filter(|(_, read)| read.is_empty())
        .map(|(name, _)| *name)
        .collect();
    while let Some(name) = ready.pop() {
        order.push(name);
        for reader in readers.get(name).into_iter().flatten() {
            let Some(read) = waits.get_mut(reader) else {
                continue;
            };
            read.remove(name);
            if read.is_empty() {
                ready.push(reader);
            }
        }
    }
    let known: BTreeSet<&str> = order.iter().copied().collect();
    let circle = rules.keys().filter(|name| !known.contains(*name));
    order.extend(circle.copied().collect::<Vec<_>>());
    order
        .into_iter()
        .filter_map(|name| rules.get_key_value(name).map(|(known, _)| *known))
        .collect()
}

/// The name that a selector says in whole.
pub(super) fn metric(matchers: &[Matcher]) -> Option<&str> {
    let mut names = matchers
        .iter()
        .filter(|matcher| *matcher.name == *METRIC_NAME && matcher.op == MatchOp::Equal);
    names.next().map(|matcher| &*matcher.value)
}
