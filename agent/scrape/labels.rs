//! Whose label stands when a target and its body both have it, and how many labels may be.

use model::text::float;
use model::{Kind, Labels, LabelsBuilder};

use crate::text::Pairs;

const EXPORTED: &str = "exported_";

/// The labels of a sample: with `honor` the body's stand, without it the target's do and the body's are
/// renamed to `exported_…`. A label of the target that gives way stands only where the body has none.
pub(crate) fn joined(
    name: &str,
    pairs: &Pairs<'_>,
    target: &Labels,
    honor: bool,
    gives_way: Option<&str>,
) -> Labels {
    let mut labels = LabelsBuilder::default();
    labels.set(model::labels::METRIC_NAME, name);
    for (name, value) in pairs {
        labels.set(name, value);
    }
    if honor {
        honored(&mut labels, pairs, target);
    } else {
        exported(&mut labels, target, gives_way);
    }
    labels.build()
}

/// A label that the body gives empty is honoured, too: the target's does not fill it.
fn honored(labels: &mut LabelsBuilder, pairs: &Pairs<'_>, target: &Labels) {
    for (name, value) in target.iter() {
        if !pairs.iter().any(|(known, _)| known == name) {
            labels.set(name, value);
        }
    }
}

fn exported(labels: &mut LabelsBuilder, target: &Labels, gives_way: Option<&str>) {
    let mut displaced = Vec::new();
    for (name, value) in target.iter() {
        if let Some(old) = labels.get(name) {
            if gives_way == Some(name) {
                continue;
            }
            displaced.push((name, old.to_owned()));
        }
        labels.set(name, value);
    }
    // The shortest first, so that names that are exported themselves come out as in Prometheus.
    displaced.sort_by_key(|(name, _)| name.len());
    for (name, value) in displaced {
        let mut name = format!("{EXPORTED}{name}");
        while labels.get(&name).is_some() {
            name.insert_str(0, EXPORTED);
        }
        labels.set(&name, &value);
    }
}

/// Bounds of buckets and quantiles as OpenMetrics writes them, `1.0` for `1`, in whichever way they come: as Prometheus
/// does since its version 3, so that one question finds them all.
pub(crate) fn normalise(kind: Kind, pairs: &mut Pairs<'_>) {
    let bound = match kind {
        Kind::Histogram => model::labels::BUCKET,
        Kind::Summary => "quantile",
        Kind::Counter | Kind::Gauge | Kind::Unknown => return,
    };
    for (_, value) in pairs.iter_mut().filter(|(name, _)| name == bound) {
        if let Some(number) = float::parse(value) {
            let mut text = float::go(number);
            if number.is_finite() && !text.contains(['.', 'e']) {
                text.push_str(".0");
            }
            if text != **value {
                *value = text.into();
            }
        }
    }
}

/// The series under another name, out of the way of the target's report.
pub(crate) fn renamed(labels: &Labels) -> Labels {
    let mut renamed = labels.to_builder();
    renamed.set(
        model::labels::METRIC_NAME,
        &format!("{EXPORTED}{}", labels.name()),
    );
    renamed.build()
}

/// What a series of one target may have; zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) labels: usize,
    pub(crate) name_length: usize,
    pub(crate) value_length: usize,
}

impl Limits {
    /// A reason out of a closed set, and a sentence.
    pub(crate) fn check(&self, labels: &Labels) -> Result<(), (&'static str, String)> {
        if exceeds(labels.len(), self.labels) {
            let text = format!(
                "{} has {} labels, and label_limit is {}",
                labels.name(),
                labels.len(),
                self.labels
            );
            return Err(("label_limit", text));
        }
        for (name, value) in labels.iter() {
            if exceeds(name.len(), self.name_length) {
                let limit = self.name_length;
                let text = format!(
                    "a label name of {} is longer than label_name_length_limit {limit}",
                    labels.name()
                );
                return Err(("label_name_length_limit", text));
            }
            if exceeds(value.len(), self.value_length) {
                let limit = self.value_length;
                let text = format!(
                    "label {name} of {} is longer than label_value_length_limit {limit}",
                    labels.name()
                );
                return Err(("label_value_length_limit", text));
            }
        }
        Ok(())
    }
}

fn exceeds(count: usize, limit: usize) -> bool {
    limit > 0 && count > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(pairs: &[(&'static str, &'static str)], honor: bool) -> String {
        let target = Labels::from_pairs([
            ("job", "shop"),
            ("instance", "a:80"),
            ("exported_job", "target's"),
        ]);
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        joined("x", &pairs, &target, honor, None).to_string()
    }

    #[test]
    fn the_targets_labels_stand_and_the_bodys_are_exported() {
        assert_eq!(
            join(&[("instance", "b"), ("z", "1")], false),
            r#"x{exported_instance="b", exported_job="target's", instance="a:80", job="shop", z="1"}"#
        );
        assert_eq!(
            join(&[("job", "1"), ("exported_job", "2"), ("instance", "")], false),
            r#"x{exported_exported_exported_job="2", exported_exported_job="1", exported_job="target's", instance="a:80", job="shop"}"#
        );
    }

    #[test]
    fn honoured_labels_stand_even_when_empty() {
        assert_eq!(
            join(&[("instance", ""), ("job", "mine")], true),
            r#"x{exported_job="target's", job="mine"}"#
        );
    }

    #[test]
    fn limits_name_what_exceeds_them() {
        let labels = Labels::from_pairs([("__name__", "x"), ("long_name", "long value")]);
        let check = |labels_max, name_length, value_length| {
            let limits = Limits {
                labels: labels_max,
                name_length,
                value_length,
            };
            limits.check(&labels).map_err(|(reason, _)| reason)
        };
        assert_eq!(check(0, 0, 0), Ok(()));
        assert_eq!(check(2, 9, 10), Ok(()));
        assert_eq!(check(1, 0, 0), Err("label_limit"));
        assert_eq!(check(0, 8, 0), Err("label_name_length_limit"));
        assert_eq!(check(0, 0, 9), Err("label_value_length_limit"));
    }
}
