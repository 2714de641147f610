//! Text format 0.0.4 from the last values of targets.
//!
//! Each family has its `# TYPE` once and all of its series under it; families are sorted by name, series by
//! labels, buckets by their bound; a label set appears once. Promised to whoever parses it, promtool first.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use model::labels::{BUCKET, METRIC_NAME};
use model::select::{Latest, Metric};
use model::text::{float, is_legacy_label_name, is_legacy_metric_name};
use model::{Kind, Labels, Metadata, Timestamp};

const QUANTILE: &str = "quantile";
const INSTANCE: &str = "instance";
/// Length at which a piece of a page is long enough.
const PIECE_BYTES: usize = 64 << 10;

/// Series that a reader adds about its target, which the target's own page does not have.
const REPORTS: [&str; 8] = [
    "up",
    "scrape_body_size_bytes",
    "scrape_duration_seconds",
    "scrape_sample_limit",
    "scrape_samples_post_metric_relabeling",
    "scrape_samples_scraped",
    "scrape_series_added",
    "scrape_timeout_seconds",
];

/// A page, written a few families at a time.
pub(super) struct Pages {
    latest: Box<dyn Latest>,
    as_exporter: bool,
    metrics: Vec<Metric>,
    /// Metrics of each family that is still to be written, by its name; the first one describes it.
    families: VecDeque<(String, Vec<usize>)>,
    /// Names that are in more than one family, and what has been written of them: a label set appears once.
    torn: HashSet<String>,
    written: HashSet<Labels>,
}

impl Pages {
    /// With `as_exporter`, what the reader added is taken off again: `job`, `instance`, the reports.
    pub(super) fn new(latest: Box<dyn Latest>, as_exporter: bool) -> Self {
        let metrics = latest.metrics();
        let mut families: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (nth, metric) in metrics.iter().enumerate() {
            if as_exporter && REPORTS.contains(&&*metric.name) {
                continue;
            }
            let name = escaped(&metric.name, ":");
            let family = home(&name, &metric.metadata).0.into_owned();
            places
                .entry(name.into_owned())
                .or_default()
                .insert(family.clone());
            families.entry(family).or_default().push(nth);
        }
        let torn = places.into_iter().filter(|(_, families)| families.len() > 1);
        Self {
            latest,
            as_exporter,
            metrics,
            families: families.into_iter().collect(),
            torn: torn.map(|(name, _)| name).collect(),
            written: HashSet::new(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.families.is_empty()
    }

    /// Whole families, until it is long enough.
    pub(super) fn next(&mut self) -> String {
        let mut text = String::new();
        while text.len() < PIECE_BYTES
            && let Some((name, metrics)) = self.families.pop_front()
        {
            self.family(&name, &metrics, &mut text);
        }
        text
    }

    fn family(&mut self, name: &str, metrics: &[usize], text: &mut String) {
        let mut family: Option<Family<'_>> = None;
        let mut seen = HashSet::new();
        for (nth, metric) in metrics
            .iter()
            .filter_map(|nth| Some((*nth, self.metrics.get(*nth)?)))
        {
            let metadata = &metric.metadata;
            for (labels, value) in self.latest.series(nth) {
                let labels = shown(labels, self.as_exporter);
                let is_new = if self.torn.contains(labels.name()) {
                    self.written.insert(labels.clone())
                } else {
                    seen.insert(labels.clone())
                };
                if !is_new {
                    continue;
                }
                let part = part(&labels, metadata);
                let family = family.get_or_insert_with(|| Family {
                    kind: home(labels.name(), metadata).1,
                    help: &metadata.help,
                    rows: Vec::new(),
                });
                family.rows.push(Row::new(labels, part, value));
            }
        }
        if let Some(mut family) = family {
            family.rows.sort_by(Row::order);
            family.write(name, text);
        }
    }
}

/// The labels as they are written: names that the format cannot bear have `_` for what it refuses.
fn shown(labels: Labels, as_exporter: bool) -> Labels {
    let kept = if as_exporter {
        labels.retain(|name| !matches!(name, "job" | "instance"))
    } else {
        labels
    };
    let legacy =
        is_legacy_metric_name(kept.name()) && kept.iter().all(|(name, _)| is_legacy_label_name(name));
    if legacy {
        return kept;
    }
    Labels::from_pairs(kept.iter().map(|(name, value)| {
        if name == METRIC_NAME {
            (Cow::Borrowed(name), escaped(value, ":"))
        } else {
            (escaped(name, ""), Cow::Borrowed(value))
        }
    }))
}

fn escaped<'a>(name: &'a str, extra: &str) -> Cow<'a, str> {
    let fits = |at: usize, letter: char| {
        letter == '_'
            || extra.contains(letter)
            || letter.is_ascii_alphabetic()
            || (at > 0 && letter.is_ascii_digit())
    };
    if name.char_indices().all(|(at, letter)| fits(at, letter)) {
        return Cow::Borrowed(name);
    }
    let letters = name.char_indices();
    letters
        .map(|(at, letter)| if fits(at, letter) { letter } else { '_' })
        .collect()
}

/// Under which `# TYPE` series of this name stand, and of which type that is.
fn home<'a>(name: &str, metadata: &'a Metadata) -> (Cow<'a, str>, Kind) {
    let family = escaped(&metadata.family, ":");
    match (metadata.kind, name.strip_prefix(&*family)) {
        (_, Some("")) | (Kind::Histogram, Some("_bucket")) => (family, metadata.kind),
        (Kind::Histogram | Kind::Summary, Some("_sum" | "_count")) => (family, metadata.kind),
        // A series that does not bear its family's name would break the family's block: it has its own.
        (Kind::Counter, Some("_total")) => (Cow::Owned(name.to_owned()), Kind::Counter),
        _ => (Cow::Owned(name.to_owned()), Kind::Unknown),
    }
}

/// As what a series stands in its family.
fn part(labels: &Labels, metadata: &Metadata) -> Part {
    let family = escaped(&metadata.family, ":");
    match (metadata.kind, labels.name().strip_prefix(&*family)) {
        (Kind::Summary, Some("")) if labels.get(QUANTILE).is_some() => Part::Quantile,
        (Kind::Histogram, Some("_bucket")) => Part::Bucket,
        (Kind::Histogram | Kind::Summary, Some("_sum")) => Part::Sum,
        (Kind::Histogram | Kind::Summary, Some("_count")) => Part::Count,
        _ => Part::Plain,
    }
}

/// The first target's type and help stand.
struct Family<'a> {
    kind: Kind,
    help: &'a str,
    rows: Vec<Row>,
}

impl Family<'_> {
    fn write(&self, name: &str, text: &mut String) {
        if !self.help.is_empty() {
            text.push_str("# HELP ");
            text.push_str(name);
            text.push(' ');
            escape(text, self.help, false);
            text.push('\n');
        }
        for part in ["# TYPE ", name, " ", self.kind.text(), "\n"] {
            text.push_str(part);
        }
        for row in &self.rows {
            row.write(text);
        }
    }
}

/// In the order the parts of one histogram or summary are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Plain,
    Bucket,
    Quantile,
    Sum,
    Count,
}

struct Row {
    labels: Labels,
    /// What the parts of one histogram have in common.
    group: Labels,
    part: Part,
    /// Of a bucket or a quantile.
    bound: f64,
    value: f64,
}

impl Row {
    fn new(labels: Labels, part: Part, value: f64) -> Self {
        let bound = match part {
            Part::Bucket => Some(BUCKET),
            Part::Quantile => Some(QUANTILE),
            Part::Plain | Part::Sum | Part::Count => None,
        };
        let group = match part {
            // They all have the same name.
            Part::Plain => labels.clone(),
            _ => labels.retain(|name| name != METRIC_NAME && Some(name) != bound),
        };
        let bound = bound
            .and_then(|name| float::parse(labels.value(name)))
            .unwrap_or_default();
        Self {
            labels,
            group,
            part,
            bound,
            value,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        self.group
            .cmp(&other.group)
            .then(self.part.cmp(&other.part))
            .then(self.bound.total_cmp(&other.bound))
    }

    fn write(&self, text: &mut String) {
        sample(text, self.labels.iter(), self.value);
        text.push('\n');
    }
}

/// Labels and value, and what may follow on the line is still to come.
fn sample<'a>(text: &mut String, labels: impl Iterator<Item = (&'a str, &'a str)> + Clone, value: f64) {
    let is_name = |(name, _): &(&str, &str)| *name == METRIC_NAME;
    text.extend(labels.clone().find(is_name).map(|(_, name)| name));
    let mut before = '{';
    for (name, value) in labels.filter(|pair| !is_name(pair)) {
        text.push(before);
        text.push_str(name);
        text.push_str("=\"");
        escape(text, value, true);
        text.push('"');
        before = ',';
    }
    text.push_str(if before == ',' { "} " } else { " " });
    float::write_go(text, value);
}

/// Samples with their times, sorted by name, each name of no known type.
pub(crate) fn federated(samples: Vec<(Labels, Timestamp, f64)>) -> String {
    let mut samples: Vec<(Labels, Timestamp, f64)> = samples
        .into_iter()
        .filter(|(labels, ..)| !labels.name().is_empty())
        .map(|(labels, time, value)| (shown(labels, false), time, value))
        .collect();
    samples.sort_by(|(one, ..), (other, ..)| one.name().cmp(other.name()).then_with(|| one.cmp(other)));
    samples.dedup_by(|one, other| one.0 == other.0);
    let (mut text, mut family) = (String::new(), String::new());
    for (labels, time, value) in samples {
        if family != labels.name() {
            labels.name().clone_into(&mut family);
            text.push_str(&format!("# TYPE {family} untyped\n"));
        }
        // Without an instance, whoever reads this would put its own there.
        let none = labels.get(INSTANCE).is_none().then_some((INSTANCE, ""));
        sample(&mut text, labels.iter().chain(none), value);
        text.push_str(&format!(" {}\n", time.0));
    }
    text
}

fn escape(text: &mut String, value: &str, in_quotes: bool) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if in_quotes => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::STALE;
    use model::select::Last;

    use super::*;

    fn write(targets: Vec<Last>, as_exporter: bool) -> String {
        let mut pages = Pages::new(Box::new(targets), as_exporter);
        let mut text = String::new();
        while !pages.is_done() {
            text += &pages.next();
        }
        text
    }

    type Given<'a> = (&'a str, Kind, &'a str, &'a [(&'a str, &'a str)], f64);

    fn target(series: &[Given<'_>]) -> Last {
        let series = series.iter().map(|(family, kind, help, labels, value)| {
            let metadata = Metadata {
                family: Arc::from(*family),
                kind: *kind,
                help: Arc::from(*help),
                unit: Arc::from(""),
            };
            (Labels::from_pairs(labels.iter().copied()), metadata, *value)
        });
        Last {
            target: "t".into(),
            page: Some("t"),
            time: Timestamp(0),
            series: series.collect(),
        }
    }

    #[test]
    fn parts_of_a_histogram_stand_together_in_order() {
        let h = |name, labels: &'static [(&str, &str)], value| {
            let mut all = vec![("__name__", name)];
            all.extend(labels);
            ("h", Kind::Histogram, "A histogram.", all, value)
        };
        let series = [
            h("h_count", &[("x", "b")], 9.0),
            h("h_sum", &[("x", "a")], 0.5),
            h("h_bucket", &[("le", "+Inf"), ("x", "a")], 3.0),
            h("h_bucket", &[("le", "10"), ("x", "a")], 2.0),
            h("h_bucket", &[("le", "2"), ("x", "a")], 1.0),
            h("h_count", &[("x", "a")], 3.0),
            h("h_bucket", &[("le", "+Inf"), ("x", "b")], 9.0),
            h("h_sum", &[("x", "b")], f64::NAN),
        ];
        let series: Vec<Given<'_>> = series
            .iter()
            .map(|(f, k, h, l, v)| (*f, *k, *h, &l[..], *v))
            .collect();
        let text = "\
# HELP h A histogram.
# TYPE h histogram
h_bucket{le=\"2\",x=\"a\"} 1
h_bucket{le=\"10\",x=\"a\"} 2
h_bucket{le=\"+Inf\",x=\"a\"} 3
h_sum{x=\"a\"} 0.5
h_count{x=\"a\"} 3
h_bucket{le=\"+Inf\",x=\"b\"} 9
h_sum{x=\"b\"} NaN
h_count{x=\"b\"} 9
";
        assert_eq!(write(vec![target(&series)], true), text);
    }

    #[test]
    fn a_page_looks_like_its_exporters() {
        let at = ("instance", "vm:9464");
        let job = ("job", "node");
        let series: [Given<'_>; 5] = [
            (
                "node_b",
                Kind::Counter,
                "B \\ of\nall.",
                &[("__name__", "node_b"), ("device", "a\"\\\n"), at, job],
                1e6,
            ),
            (
                "node_a",
                Kind::Unknown,
                "",
                &[("__name__", "node_a"), at, job],
                0.000_001_5,
            ),
            ("up", Kind::Gauge, "", &[("__name__", "up"), at, job], 1.0),
            (
                "scrape_duration_seconds",
                Kind::Gauge,
                "",
                &[("__name__", "scrape_duration_seconds"), at, job],
                1.0,
            ),
            (
                "node_c",
                Kind::Gauge,
                "",
                &[("__name__", "node_c"), at, job],
                STALE,
            ),
        ];
        let page = "\
# TYPE node_a untyped
node_a 1.5e-06
# HELP node_b B \\\\ of\\nall.
# TYPE node_b counter
node_b{device=\"a\\\"\\\\\\n\"} 1e+06
";
        assert_eq!(write(vec![target(&series)], true), page);
        let all = write(vec![target(&series)], false);
        assert!(all.contains("up{instance=\"vm:9464\",job=\"node\"} 1\n"), "{all}");
        assert!(!all.contains("node_c"), "{all}");
    }

    #[test]
    fn the_first_target_names_the_type_and_a_series_appears_once() {
        let one = target(&[("x", Kind::Gauge, "One.", &[("__name__", "x"), ("job", "a")], 1.0)]);
        let other = target(&[
            (
                "x",
                Kind::Counter,
                "Other.",
                &[("__name__", "x"), ("job", "b")],
                2.0,
            ),
            (
                "x",
                Kind::Counter,
                "Other.",
                &[("__name__", "x"), ("job", "a")],
                3.0,
            ),
        ]);
        let text = "# HELP x One.\n# TYPE x gauge\nx{job=\"a\"} 1\nx{job=\"b\"} 2\n";
        assert_eq!(write(vec![one, other], false), text);
    }

    #[test]
    fn names_the_format_cannot_bear_are_escaped() {
        let text = write(
            vec![target(&[
                (
                    "http.time",
                    Kind::Histogram,
                    "T.",
                    &[("__name__", "http.time_bucket"), ("le", "+Inf"), ("a.b", "ä")],
                    1.0,
                ),
                ("5xx", Kind::Gauge, "", &[("__name__", "5xx")], 1.0),
                ("y", Kind::Counter, "Y.", &[("__name__", "y_total")], 1.0),
                ("z", Kind::Gauge, "Z.", &[("__name__", "other")], 1.0),
            ])],
            true,
        );
        let expected = "\
# TYPE _xx gauge
_xx 1
# HELP http_time T.
# TYPE http_time histogram
http_time_bucket{a_b=\"ä\",le=\"+Inf\"} 1
# HELP other Z.
# TYPE other untyped
other 1
# HELP y_total Y.
# TYPE y_total counter
y_total 1
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_long_page_in_pieces_has_every_family_whole_and_once() {
        let help = "h".repeat(1_000);
        let names: Vec<String> = (0..300).map(|nth| format!("m_{nth:03}")).collect();
        let labels: Vec<[(&str, &str); 2]> = names
            .iter()
            .flat_map(|name| ["b", "a"].map(|of| [("__name__", name.as_str()), ("of", of)]))
            .collect();
        let series: Vec<Given<'_>> = labels
            .iter()
            .map(|labels| (labels[0].1, Kind::Gauge, help.as_str(), &labels[..], 1.0))
            .collect();
        let mut pages = Pages::new(Box::new(vec![target(&series)]), false);
        let mut pieces = Vec::new();
        while !pages.is_done() {
            pieces.push(pages.next());
        }
        assert!(pieces.len() > 3, "{}", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() < PIECE_BYTES + 2_000));
        let wanted: String = names
            .iter()
            .map(|name| {
                format!(
                    "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{of=\"a\"}} 1\n{name}{{of=\"b\"}} 1\n"
                )
            })
            .collect();
        assert_eq!(pieces.concat(), wanted);
    }

    #[test]
    fn a_series_that_two_families_claim_appears_once() {
        let one = target(&[(
            "x",
            Kind::Histogram,
            "",
            &[("__name__", "x_sum"), ("a", "1")],
            1.0,
        )]);
        let other = target(&[
            (
                "x_sum",
                Kind::Gauge,
                "",
                &[("__name__", "x_sum"), ("a", "1")],
                2.0,
            ),
            (
                "x_sum",
                Kind::Gauge,
                "",
                &[("__name__", "x_sum"), ("a", "2")],
                3.0,
            ),
        ]);
        let text = "# TYPE x histogram\nx_sum{a=\"1\"} 1\n# TYPE x_sum gauge\nx_sum{a=\"2\"} 3\n";
        assert_eq!(write(vec![one, other], false), text);
    }
}
