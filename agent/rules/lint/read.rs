//! Rule files as they are looked at: each rule with its expression's tree and the places of its parts.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Complaint;
use promql::{Expr, Span};
use yaml::{Spanned, complain_at};

use super::known::metric;
use super::quiet::Quiet;
use crate::file::{self, File, first_document};
use crate::{load, place, slo};

/// Rule files that were read.
#[derive(Debug, Default)]
pub struct Sources {
    pub(super) files: Vec<Source>,
}

#[derive(Debug)]
pub(super) struct Source {
    /// As the person gave it.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) groups: Vec<Group>,
    pub(super) quiet: Quiet,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) written: file::Group,
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) written: file::Rule,
    /// Of its first key.
    pub(super) line: usize,
    /// `alertname`, or the recorded metric.
    pub(super) name: String,
    pub(super) is_alert: bool,
    pub(super) text: String,
    pub(super) expr: Expr,
    /// That its selectors name.
    pub(super) metrics: BTreeSet<String>,
    /// The group's and its own.
    pub(super) labels: Vec<(String, String)>,
}

/// Where something stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Sources {
    /// Reads rule files: name as the person gave it, and text. Files with mistakes are left out; what is wrong with
    /// them comes beside.
    pub fn read<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)]) -> (Self, Vec<Complaint>) {
        let mut sources = Self::default();
        let mut complaints = Vec::new();
        for (name, text) in files {
            let (name, text) = (name.as_ref(), text.as_ref());
            match load(&[(name, text)]) {
                Ok(_) => match Source::read(name, text) {
                    Ok(read) => sources.files.extend(read),
                    Err(complaint) => complaints.push(complaint),
                },
                Err(found) => complaints.extend(found),
            }
        }
        (sources, complaints)
    }

    /// Metrics that the expressions name, for whoever looks which series there are.
    #[must_use]
    pub fn metrics(&self) -> BTreeSet<&str> {
        let rules = self.rules();
        rules
            .flat_map(|rule| rule.metrics.iter().map(String::as_str))
            .collect()
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let groups = self.files.iter().flat_map(|file| &file.groups);
        groups.flat_map(|group| &group.rules)
    }
}

impl Source {
    /// A file, and beside it what its objectives come to: that is known, and nothing is said of it.
    fn read(name: &str, text: &str) -> Result<Vec<Self>, Complaint> {
        let (document, _) = first_document(text);
        let file: File = yaml::read(name, document)?;
        let has_slos = !file.slos.is_empty();
        let mut all = vec![Self::of_groups(name, text, file)];
        if let Some(rendered) = has_slos.then(|| slo::render(name, text).ok()).flatten() {
            let mut source = Self::of_groups(name, &rendered, yaml::read(name, &rendered)?);
            source.quiet = Quiet::of_everything();
            all.push(source);
        }
        Ok(all)
    }

    fn of_groups(name: &str, text: &str, file: File) -> Self {
        let mut source = Self {
            name: name.to_owned(),
            text: text.to_owned(),
            groups: Vec::new(),
            quiet: Quiet::default(),
        };
        for group in file.groups {
            let line = source.at(&group).line;
            let mut written = group.value;
            let rules = std::mem::take(&mut written.rules);
            let rules = rules
                .into_iter()
                .filter_map(|rule| source.rule(rule, &written))
                .collect();
            let name = written.name.as_ref().map(|name| name.value.clone());
            source.groups.push(Group {
                name: name.unwrap_or_default(),
                line,
                rules,
                written,
            });
        }
        source.quiet = Quiet::of(&source);
        source
    }

    fn rule(&self, rule: Spanned<file::Rule>, group: &file::Group) -> Option<Rule> {
        let line = self.at(&rule).line;
        let written = rule.value;
        let name = written.alert.as_ref().or(written.record.as_ref())?.value.clone();
        let text = written.expr.as_ref()?.value.clone();
        let expr = promql::parse(&text).ok()?;
        let read = promql::selectors(&expr);
        let metrics = read.iter().filter_map(|(matchers, _)| metric(matchers));
        let metrics = metrics.map(str::to_owned).collect();
        let pair =
            |(name, value): &(Spanned<String>, Spanned<String>)| (name.value.clone(), value.value.clone());
        let mut labels: Vec<(String, String)> = group.labels.0.iter().map(pair).collect();
        for (name, value) in written.labels.0.iter().map(pair) {
            labels.retain(|(known, _)| *known != name);
            labels.push((name, value));
        }
        labels.sort();
        Some(Rule {
            line,
            name,
            is_alert: written.alert.is_some(),
            text,
            expr,
            metrics,
            labels,
            written,
        })
    }

    pub(super) fn at<T>(&self, value: &Spanned<T>) -> Place {
        let Complaint { line, column, .. } = complain_at(&self.name, &self.text, value, "");
        Place { line, column }
    }

    /// A place inside a text: line and column, both from 1.
    pub(super) fn inside(&self, value: &Spanned<String>, inside: (usize, usize)) -> Place {
        let start = self.at(value);
        let (line, column) = place::in_file(&self.text, (start.line, start.column), &value.value, inside);
        Place { line, column }
    }
}

impl Group {
    pub(super) fn interval(&self, default: Duration) -> Duration {
        let own = self.written.interval.as_ref().map(|interval| interval.value.0);
        own.filter(|interval| !interval.is_zero()).unwrap_or(default)
    }
}

impl Rule {
    /// How long it is true at least before the alert fires, with so much between two evaluations.
    pub(super) fn hold(&self, interval: Duration) -> Duration {
        let hold = self.written.hold.as_ref().map(|hold| hold.value.0);
        let counted = self.written.datapoints.as_ref();
        let counted = counted.map(|points| interval.saturating_mul(points.value.m.saturating_sub(1)));
        hold.or(counted).unwrap_or_default()
    }

    /// Where its name stands.
    pub(super) fn named(&self) -> Option<&Spanned<String>> {
        self.written.alert.as_ref().or(self.written.record.as_ref())
    }

    pub(super) fn place(&self, source: &Source, span: Span) -> Place {
        match &self.written.expr {
            Some(written) => source.inside(written, span.place(&self.text)),
            None => Place {
                line: self.line,
                column: 1,
            },
        }
    }
}
