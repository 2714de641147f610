//! Text format 0.0.4 from the last values of targets.
//!
//! Each family has its `# TYPE` once and all of its series under it; families are sorted by name, series by
//! labels, buckets by their bound; a label set appears once. Promised to whoever parses it, promtool first.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use model::labels::{BUCKET, METRIC_NAME};
use model::select::Last;
use model::text::{float, is_legacy_label_name, is_legacy_metric_name};
use model::{Kind, Labels, Metadata, is_stale};

const QUANTILE: &str = "quantile";

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

/// With `as_exporter`, what the reader added is taken off again: `job`, `instance`, the reports.
pub(super) fn write(targets: &[Last], as_exporter: bool) -> String {
    let mut seen = HashSet::new();
    let mut families: BTreeMap<Cow<'_, str>, Family<'_>> = BTreeMap::new();
    for (labels, metadata, value) in targets.iter().flat_map(|target| &target.series) {
        let report = as_exporter && REPORTS.contains(&labels.name());
        if report || is_stale(*value) {
            continue;
        }
        let labels = shown(labels, as_exporter);
        if !seen.insert(labels.clone()) {
            continue;
        }
        let (name, kind, part) = place(&labels, metadata);
        let family = families.entry(name).or_insert_with(|| Family {
            kind,
            help: &metadata.help,
            rows: Vec::new(),
        });
        family.rows.push(Row::new(labels, part, *value));
    }
    let mut text = String::new();
    for (name, mut family) in families {
        family.rows.sort_by(Row::order);
        family.write(&name, &mut text);
    }
    text
}

/// The labels as they are written: names that the format cannot bear have `_` for what it refuses.
fn shown(labels: &Labels, as_exporter: bool) -> Labels {
    let kept = if as_exporter {
        labels.retain(|name| !matches!(name, "job" | "instance"))
    } else {
        labels.clone()
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

/// Under which `# TYPE` a series stands, and as what.
fn place<'a>(labels: &Labels, metadata: &'a Metadata) -> (Cow<'a, str>, Kind, Part) {
    let family = escaped(&metadata.family, ":");
    let suffix = labels.name().strip_prefix(&*family);
    let part = match (metadata.kind, suffix) {
        (Kind::Summary, Some("")) if labels.get(QUANTILE).is_some() => Part::Quantile,
        (_, Some("")) => Part::Plain,
        (Kind::Histogram, Some("_bucket")) => Part::Bucket,
        (Kind::Histogram | Kind::Summary, Some("_sum")) => Part::Sum,
        (Kind::Histogram | Kind::Summary, Some("_count")) => Part::Count,
        // A series that does not bear its family's name would break the family's block: it has its own.
        (Kind::Counter, Some("_total")) => {
            return (Cow::Owned(labels.name().to_owned()), Kind::Counter, Part::Plain);
        }
        _ => return (Cow::Owned(labels.name().to_owned()), Kind::Unknown, Part::Plain),
    };
    (family, metadata.kind, part)
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
        let group = labels.retain(|name| name != METRIC_NAME && Some(name) != bound);
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
        text.push_str(self.labels.name());
        let mut before = '{';
        for (name, value) in self.labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
            text.push(before);
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value, true);
            text.push('"');
            before = ',';
        }
        text.push_str(if before == ',' { "} " } else { " " });
        float::write_go(text, self.value);
        text.push('\n');
    }
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

    use model::{STALE, Timestamp};

    use super::*;

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
        assert_eq!(write(&[target(&series)], true), text);
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
        assert_eq!(write(&[target(&series)], true), page);
        let all = write(&[target(&series)], false);
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
        assert_eq!(write(&[one, other], false), text);
    }

    #[test]
    fn names_the_format_cannot_bear_are_escaped() {
        let text = write(
            &[target(&[
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
}
