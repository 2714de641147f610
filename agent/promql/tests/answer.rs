//! An answer, theirs or ours, in the shape in which the two are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use model::text::float;
use model::{Labels, Timestamp};
use promql::{Outcome, QueryError, Value};

/// Values by their times, in milliseconds.
pub(crate) type Points = Vec<(i64, f64)>;

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Error(String),
    Series {
        series: BTreeMap<Labels, Points>,
        /// Warnings and infos, where they are told.
        notes: Option<Vec<String>>,
    },
}

impl Answer {
    /// Ours. A scalar is a series without labels, as with promtool and in a range; a single time needs no saying.
    pub(crate) fn ours(outcome: Result<Outcome, QueryError>, with_notes: bool) -> Self {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return Self::Error(error.to_string()),
        };
        let mut series = BTreeMap::<Labels, Points>::new();
        let mut put = |labels: &Labels, time: Timestamp, value: f64| {
            series.entry(labels.clone()).or_default().push((time.0, value));
        };
        match &outcome.value {
            Value::Scalar { value, .. } => put(&Labels::empty(), Timestamp(0), *value),
            Value::Vector(points) => points
                .iter()
                .for_each(|point| put(&point.labels, Timestamp(0), point.value)),
            Value::Matrix(all) => {
                for one in all {
                    one.points
                        .iter()
                        .for_each(|point| put(&one.labels, point.time, point.value));
                }
            }
            Value::String { .. } => return Self::Error("a string".to_owned()),
        }
        let notes = with_notes.then(|| [outcome.warnings, outcome.infos].concat());
        Self::Series { series, notes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Series { series, .. } if series.is_empty())
    }

    /// Without metric names, as long as that leaves every series its own.
    pub(crate) fn without_names(&self) -> Option<Self> {
        let Self::Series { series, notes } = self else {
            return None;
        };
        let nameless: BTreeMap<Labels, Points> = series
            .iter()
            .map(|(labels, points)| (labels.without_name(), points.clone()))
            .collect();
        (nameless.len() == series.len()).then(|| Self::Series {
            series: nameless,
            notes: notes.clone(),
        })
    }

    /// What differs, in a few words, or none.
    pub(crate) fn differs(&self, theirs: &Self) -> Option<String> {
        match (self, theirs) {
            (Self::Error(_), Self::Error(_)) => None,
            (Self::Error(error), _) => Some(format!("we fail: {error}")),
            (_, Self::Error(error)) => Some(format!("they fail: {error}")),
            (
                Self::Series { series, notes },
                Self::Series {
                    series: wanted,
                    notes: told,
                },
            ) => different_series(series, wanted)
                .or_else(|| different_notes(notes.as_deref()?, told.as_deref()?)),
        }
    }

    /// As the expectations of a script; of a range from `start`, every `step` milliseconds.
    pub(crate) fn script(&self, start: i64, end: i64, step: i64) -> String {
        let Self::Series { series, notes } = self else {
            return "  expect fail\n".to_owned();
        };
        let mut text = String::new();
        for note in notes.iter().flatten() {
            let kind = if note.starts_with("PromQL info") {
                "info"
            } else {
                "warn"
            };
            _ = writeln!(text, "  expect {kind} msg: {note}");
        }
        for (labels, points) in series {
            _ = write!(text, "  {labels}");
            let times = (start..=end).step_by(usize::try_from(step.max(1)).unwrap_or(1));
            for time in times {
                let value = points.iter().find(|(at, _)| *at == time);
                let value = value.map_or("_".to_owned(), |(_, value)| float::go(*value));
                _ = write!(text, " {value}");
            }
            text.push('\n');
        }
        text
    }
}

fn different_series(ours: &BTreeMap<Labels, Points>, theirs: &BTreeMap<Labels, Points>) -> Option<String> {
    for (labels, points) in ours {
        let Some(wanted) = theirs.get(labels) else {
            return Some(format!("only we have {labels} {points:?}"));
        };
        let same = points.len() == wanted.len()
            && points
                .iter()
                .zip(wanted)
                .all(|(one, two)| one.0 == two.0 && almost_equal(one.1, two.1));
        if !same {
            let first = points
                .iter()
                .zip(wanted)
                .find(|(one, two)| one.0 != two.0 || !almost_equal(one.1, two.1));
            return Some(format!(
                "{labels}: {} points, theirs {}; the first that differs, ours and theirs: {first:?}",
                points.len(),
                wanted.len()
            ));
        }
    }
    let (labels, points) = theirs.iter().find(|(labels, _)| !ours.contains_key(labels))?;
    Some(format!("only they have {labels} {points:?}"))
}

/// They tell ten of each kind and how many more there are.
fn different_notes(ours: &[String], theirs: &[String]) -> Option<String> {
    let told = |notes: &[String]| -> BTreeSet<String> {
        let notes = notes.iter().filter(|note| !note.ends_with("omitted"));
        notes.cloned().collect()
    };
    let cut = theirs.iter().any(|note| note.ends_with("omitted"));
    let (ours, theirs) = (told(ours), told(theirs));
    let without = |notes: &BTreeSet<String>| -> BTreeSet<String> {
        let sentence = |note: &String| {
            note.rsplit_once(" (")
                .map_or(note.clone(), |(text, _)| text.to_owned())
        };
        notes.iter().map(sentence).collect()
    };
    let (short, told) = (without(&ours), without(&theirs));
    if let Some(missing) = told.difference(&short).next() {
        return Some(format!("only they say: {missing}; we say {ours:?}"));
    }
    if let Some(extra) = short.difference(&told).next().filter(|_| !cut) {
        return Some(format!("only we say: {extra}; they say {theirs:?}"));
    }
    if let Some(elsewhere) = theirs.difference(&ours).next() {
        return Some(format!("another place: {elsewhere}; we say {ours:?}"));
    }
    let more = ours.difference(&theirs).next().filter(|_| !cut)?;
    Some(format!("one more place: {more}; they say {theirs:?}"))
}

/// As Prometheus' tests compare: NaN equals NaN, and differences are relative.
fn almost_equal(one: f64, two: f64) -> bool {
    const TOLERANCE: f64 = 1e-6;
    if (one.is_nan() && two.is_nan()) || one == two {
        return true;
    }
    let (sum, difference) = (one.abs() + two.abs(), (one - two).abs());
    if one == 0.0 || two == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}
