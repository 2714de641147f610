//! What is known of the series that a part of an expression gives: which labels they have, whether there are always
//! some, and which numbers they can be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::{MatchOp, Matcher};
use promql::{Matching, Span};

use super::matchers::apart;
use super::range::Range;

/// Why a label cannot be there, as the end of a sentence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Why {
    pub(super) text: Arc<str>,
    /// Nothing in the rules says so, only the series that were seen.
    pub(super) seen: bool,
}

impl Why {
    pub(super) fn written(text: impl Into<Arc<str>>) -> Self {
        Self {
            text: text.into(),
            seen: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Label {
    Never(Why),
    Maybe,
    /// On every series, with any value.
    Always,
    /// On every series, with a value that this matches.
    Like(Arc<Matcher>),
    /// On every series, with this value.
    Is(Arc<str>),
}

impl Label {
    pub(super) fn is_there(&self) -> bool {
        matches!(self, Self::Always | Self::Like(_) | Self::Is(_))
    }

    /// What its values match, as far as that is known.
    fn matcher(&self, name: &str) -> Option<Matcher> {
        match self {
            Self::Is(value) => Some(Matcher::equal(name, value)),
            Self::Like(matcher) => Some(Matcher::new(name, MatchOp::Matches, &matcher.value)),
            _ => None,
        }
    }

    /// Two labels of this name never have the same value.
    pub(super) fn is_apart(&self, other: &Self, name: &str) -> bool {
        match (self.matcher(name), other.matcher(name)) {
            (Some(one), Some(two)) => apart(&one, &two),
            _ => false,
        }
    }
}

/// Series that come about in one way; what stands around an `or` comes about in several.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    labels: BTreeMap<Arc<str>, Label>,
    /// Why there are no other labels than these; `None` when there may be any.
    closed: Option<Why>,
    /// The part of the expression that gives them.
    pub(super) span: Span,
    /// There is something only while something is the case.
    pub(super) condition: bool,
    /// There is always something, whatever the samples say.
    pub(super) always: bool,
    /// A comparison that says 0 or 1, and leaves nothing out.
    pub(super) is_bool: bool,
    /// Where series are picked by their value, so that their labels change with it.
    pub(super) picked: Option<(Span, &'static str)>,
    /// It is an aggregation, or a number made of one.
    pub(super) aggregated: bool,
    pub(super) range: Range,
}

impl Shape {
    /// Any series.
    pub(super) fn open(span: Span) -> Self {
        Self {
            labels: BTreeMap::new(),
            closed: None,
            span,
            condition: false,
            always: false,
            is_bool: false,
            picked: None,
            aggregated: false,
            range: Range::ANY,
        }
    }

    /// One number without labels, which is always there.
    pub(super) fn number(span: Span, range: Range) -> Self {
        Self {
            closed: Some(Why::written("a number has no labels")),
            always: true,
            range,
            ..Self::open(span)
        }
    }

    pub(super) fn label(&self, name: &str) -> Label {
        match (self.labels.get(name), &self.closed) {
            (Some(label), _) => label.clone(),
            (None, Some(why)) => Label::Never(why.clone()),
            (None, None) => Label::Maybe,
        }
    }

    pub(super) fn never(&self, name: &str) -> Option<Why> {
        match self.label(name) {
            Label::Never(why) => Some(why),
            _ => None,
        }
    }

    pub(super) fn set(&mut self, name: &str, label: Label) {
        self.labels.insert(name.into(), label);
    }

    pub(super) fn remove(&mut self, names: &[String], why: &Why) {
        for name in names {
            self.set(name, Label::Never(why.clone()));
        }
    }

    /// Of the labels these are left, as far as they are there.
    pub(super) fn keep(&mut self, names: &[String], why: Why) {
        let kept = names.iter().map(|name| (name.as_str().into(), self.label(name)));
        self.labels = kept.collect();
        self.closed = Some(why);
    }

    /// Only labels that are known by now, and these, can be there.
    pub(super) fn close<'n>(&mut self, names: impl IntoIterator<Item = &'n str>, why: Why) {
        for name in names {
            let label = self.label(name);
            self.set(name, label);
        }
        self.closed.get_or_insert(why);
    }

    /// Any label may have come to it.
    pub(super) fn open_up(&mut self) {
        self.closed = None;
        self.labels.retain(|_, label| !matches!(label, Label::Never(_)));
    }

    /// Nothing can tell two series of it apart.
    pub(super) fn is_single(&self) -> bool {
        let mut labels = self.labels.values();
        self.closed.is_some() && labels.all(|label| matches!(label, Label::Never(_) | Label::Is(_)))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.labels.keys().map(|name| &**name)
    }

    /// Labels that both of a pair have alike, by the label of either.
    fn both(&mut self, other: &Self, ignored: &[String]) {
        let names: BTreeSet<Arc<str>> = self.labels.keys().chain(other.labels.keys()).cloned().collect();
        for name in names {
            if *name == *METRIC_NAME || ignored.iter().any(|ignored| **ignored == *name) {
                continue;
            }
            let label = alike(self.label(&name), other.label(&name));
            self.labels.insert(name, label);
        }
        if let (None, Some(why)) = (&self.closed, &other.closed) {
            // What is ignored stays as it is, known or not.
            for name in ignored {
                let label = self.label(name);
                self.set(name, label);
            }
            self.closed = Some(why.clone());
        }
    }

    /// Labels after matching with `other`, for all operators but the sets'.
    pub(super) fn matched(&mut self, other: &Self, matching: &Matching, many: bool, words: &str) {
        if matching.on {
            for name in &matching.labels {
                let label = alike(self.label(name), other.label(name));
                self.set(name, label);
            }
            if !many {
                self.keep(
                    &matching.labels,
                    Why::written(format!("`{words}` leaves no others")),
                );
            }
        } else {
            self.both(other, &matching.labels);
            if !many {
                self.remove(
                    &matching.labels,
                    &Why::written(format!("`{words}` takes it away")),
                );
            }
        }
        if many {
            for name in &matching.include {
                self.set(name, other.label(name));
            }
        }
    }
}

/// A label that is the same on both sides.
fn alike(one: Label, two: Label) -> Label {
    match (one, two) {
        (Label::Never(why), _) | (_, Label::Never(why)) => Label::Never(why),
        (Label::Is(value), _) | (_, Label::Is(value)) => Label::Is(value),
        (Label::Like(matcher), _) | (_, Label::Like(matcher)) => Label::Like(matcher),
        (Label::Always, _) | (_, Label::Always) => Label::Always,
        (Label::Maybe, Label::Maybe) => Label::Maybe,
    }
}

/// A label of either.
fn either(one: Label, two: Label) -> Label {
    match (one, two) {
        (Label::Is(one), Label::Is(two)) if one == two => Label::Is(one),
        (Label::Like(one), Label::Like(two)) if one == two => Label::Like(one),
        (one, two) if one.is_there() && two.is_there() => Label::Always,
        (Label::Never(one), Label::Never(two)) => Label::Never(if one.seen { two } else { one }),
        _ => Label::Maybe,
    }
}

/// All of them as one; `None` of none.
pub(super) fn merged(shapes: &[Shape], span: Span) -> Option<Shape> {
    let (first, rest) = shapes.split_first()?;
    let mut all = Shape {
        span,
        ..first.clone()
    };
    for shape in rest {
        let names: BTreeSet<Arc<str>> = all.labels.keys().chain(shape.labels.keys()).cloned().collect();
        let labels = names.into_iter().map(|name| {
            let label = either(all.label(&name), shape.label(&name));
            (name, label)
        });
        all.labels = labels.collect();
        all.closed = match (all.closed.take(), &shape.closed) {
            (Some(one), Some(two)) => Some(if one.seen { two.clone() } else { one }),
            _ => None,
        };
        all.condition &= shape.condition;
        all.always |= shape.always;
        all.is_bool &= shape.is_bool;
        all.picked = all.picked.or(shape.picked);
        all.aggregated &= shape.aggregated;
        all.range = all.range.or(shape.range);
    }
    Some(all)
}

/// Why a series of one side never finds its like on the other.
pub(super) struct Clash {
    pub(super) label: String,
    /// A sentence without its full stop.
    pub(super) text: String,
    pub(super) seen: bool,
}

pub(super) fn clash(left: &Shape, right: &Shape, matching: &Matching) -> Option<Clash> {
    let names: Vec<String> = if matching.on {
        matching.labels.clone()
    } else {
        let names: BTreeSet<&str> = left.names().chain(right.names()).collect();
        let ignored = |name: &&str| *name == METRIC_NAME || matching.labels.iter().any(|label| label == name);
        names
            .into_iter()
            .filter(|name| !ignored(name))
            .map(str::to_owned)
            .collect()
    };
    names.into_iter().find_map(|name| {
        let there = |label: &Label| match matching.on {
            // Whoever names a label means it to be there.
            true => true,
            false => label.is_there(),
        };
        let (text, seen) = match (left.label(&name), right.label(&name)) {
            (Label::Never(_), Label::Never(_)) => return None,
            (Label::Never(why), label) if there(&label) => (
                format!("the left side has no label {name}: {}", why.text),
                why.seen,
            ),
            (label, Label::Never(why)) if there(&label) => (
                format!("the right side has no label {name}: {}", why.text),
                why.seen,
            ),
            (one, two) if one.is_apart(&two, &name) => {
                let [one, two] = [one, two].map(|label| label.matcher(&name));
                let [one, two] = [one, two].map(|one| one.map(|one| one.to_string()).unwrap_or_default());
                (format!("the left side has {one} and the right side {two}"), false)
            }
            _ => return None,
        };
        Some(Clash {
            label: name,
            text,
            seen,
        })
    })
}
