//! Groups of rules, checked and ready to be evaluated.

use std::sync::Arc;
use std::time::Duration;

use model::Labels;
use serde::Deserialize;
use template::Template;

use crate::alert::Times;
use crate::expr::Expr;
use crate::points::Datapoints;

/// Rules that are evaluated one after another at the same time.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub name: Arc<str>,
    /// As the person named it.
    pub file: Arc<str>,
    /// None: the agent's `evaluation_interval`.
    pub interval: Option<Duration>,
    /// None: the agent's `rule_query_offset`.
    pub query_offset: Option<Duration>,
    /// Most alerts or series one rule may give; 0 is no limit.
    pub limit: usize,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// `alertname`, or the recorded metric.
    pub name: Arc<str>,
    pub expr: Expr,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Record {
        labels: Labels,
        /// Those that are written with an empty value: a series that has one loses it.
        without: Vec<Arc<str>>,
    },
    Alert(Alerting),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerting {
    /// `for`
    pub hold: Duration,
    pub keep_firing: Duration,
    /// Instead of `hold`.
    pub datapoints: Option<Datapoints>,
    /// The rule's own, or its group's; None: neither says.
    pub on_missing: Option<OnMissing>,
    /// The group's and the rule's own, sorted.
    pub labels: Vec<(Arc<str>, Text)>,
    pub annotations: Vec<(Arc<str>, Text)>,
}

/// What becomes of an alert that its expression no longer gives, while what it would be judged by does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// It ends, as in Prometheus.
    Resolve,
    /// It stays as it is.
    Keep,
    /// It stays as it is, and what does not come is an alert of the rule, too.
    Alert,
}

/// A template, known by its text.
#[derive(Clone, Debug)]
pub struct Text(pub(crate) Template);

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.0.source() == other.0.source()
    }
}

impl Alerting {
    pub(crate) fn times(&self) -> Times {
        Times {
            hold: self.hold,
            keep_firing: self.keep_firing,
            datapoints: self.datapoints,
        }
    }
}

impl OnMissing {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Keep => "keep",
            Self::Alert => "alert",
        }
    }
}

impl Group {
    /// `file;group`, as Prometheus labels a group's metrics.
    pub(crate) fn label(&self) -> String {
        format!("{};{}", self.file, self.name)
    }
}

impl Rule {
    /// Labels as written, templates unexpanded. Name and these are what makes two rules the same over a
    /// reload.
    pub(crate) fn labels_written(&self) -> Labels {
        match &self.kind {
            Kind::Record { labels, .. } => labels.clone(),
            Kind::Alert(alerting) => written(&alerting.labels),
        }
    }

    pub(crate) fn annotations_written(&self) -> Labels {
        match &self.kind {
            Kind::Record { .. } => Labels::empty(),
            Kind::Alert(alerting) => written(&alerting.annotations),
        }
    }

    pub(crate) fn alerting(&self) -> Option<&Alerting> {
        match &self.kind {
            Kind::Record { .. } => None,
            Kind::Alert(alerting) => Some(alerting),
        }
    }
}

fn written(texts: &[(Arc<str>, Text)]) -> Labels {
    Labels::from_pairs(texts.iter().map(|(name, text)| (name, text.0.source())))
}
