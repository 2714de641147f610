//! Rule files into groups. Every mistake is found, not the first only, and each has its place in the file.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::{Complaint, Labels};
use template::Template;
use yaml::{Spanned, complain_at};

use crate::expr::Expr;
use crate::file::{self, File, Pairs, first_document};
use crate::group::{Alerting, Group, Kind, Rule, Text};
use crate::points::Datapoints;
use crate::{place, slo};

/// Reads rule files: name as the person gave it, and text.
///
/// # Errors
/// All mistakes of all files. With any, none of the files may be used.
pub fn load<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)]) -> Result<Vec<Group>, Vec<Complaint>> {
    let mut groups = Vec::new();
    let mut complaints = Vec::new();
    let mut slos = slo::Names::new();
    for (name, text) in files {
        let mut reader = Reader {
            file: name.as_ref(),
            text: text.as_ref(),
            complaints: Vec::new(),
        };
        groups.extend(reader.file(&mut slos));
        complaints.append(&mut reader.complaints);
    }
    if complaints.is_empty() {
        Ok(groups)
    } else {
        Err(complaints)
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    complaints: Vec<Complaint>,
}

impl Reader<'_> {
    fn complain<T>(&mut self, place: &Spanned<T>, message: impl Into<String>) {
        self.add(complain_at(self.file, self.text, place, message));
    }

    /// A group's label is read once for each rule; its mistake is said once.
    fn add(&mut self, complaint: Complaint) {
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    fn file(&mut self, slos: &mut slo::Names) -> Vec<Group> {
        let (document, more) = first_document(self.text);
        if more {
            tracing::warn!(
                file = self.file,
                "only the first document of the rule file is read"
            );
        }
        let file: File = match yaml::read(self.file, document) {
            Ok(file) => file,
            Err(complaint) => {
                self.complaints.push(complaint);
                return Vec::new();
            }
        };
        let mut names = HashSet::new();
        let groups = file.groups.iter().map(|group| self.group(group, &mut names));
        let mut groups: Vec<Group> = groups.collect::<Vec<_>>().into_iter().flatten().collect();
        match slo::groups(self.file, self.text, &file.slos, slos) {
            Ok(made) => groups.extend(made.iter().filter_map(|group| self.made(group, &mut names))),
            Err(complaints) => complaints.into_iter().for_each(|complaint| self.add(complaint)),
        }
        groups
    }

    /// A group of an objective. What it is made of was read already.
    fn made(&mut self, group: &slo::Group, names: &mut HashSet<String>) -> Option<Group> {
        if !names.insert(group.name.clone()) {
            let message = format!(
                "a group {:?} is already in this file, and an objective makes one",
                group.name
            );
            self.add(Complaint::about(self.file, message));
            return None;
        }
        let rules = group.rules.iter().map(|rule| self.made_rule(rule));
        let rules: Vec<_> = rules.collect();
        Some(Group {
            name: group.name.as_str().into(),
            file: self.file.into(),
            interval: Some(group.interval),
            query_offset: None,
            limit: 0,
            rules: rules.into_iter().flatten().collect(),
        })
    }

    fn made_rule(&mut self, rule: &slo::Rule) -> Option<Rule> {
        let expr = match Expr::read(&rule.expr) {
            Ok(expr) => expr,
            Err(mistake) => {
                self.add(mistake.complaint(self.file, 0, 0));
                return None;
            }
        };
        let mut texts = |pairs: &[(String, String)]| {
            let parse = |(name, value): &(String, String)| match Template::parse(name, value) {
                Ok(template) => Some((Arc::from(name.as_str()), Text(template))),
                Err(mistake) => {
                    self.add(Complaint::about(self.file, mistake.message));
                    None
                }
            };
            let texts: BTreeMap<Arc<str>, Text> = pairs.iter().filter_map(parse).collect();
            texts.into_iter().collect()
        };
        let kind = match rule.is_alert {
            true => Kind::Alert(Alerting {
                labels: texts(&rule.labels),
                annotations: texts(&rule.annotations),
                ..Alerting::default()
            }),
            false => Kind::Record {
                labels: Labels::from_pairs(rule.labels.iter().map(|(name, value)| (name, value))),
                without: Vec::new(),
            },
        };
        Some(Rule {
            name: rule.name.as_str().into(),
            expr,
            kind,
        })
    }

    fn group(&mut self, group: &Spanned<file::Group>, names: &mut HashSet<String>) -> Option<Group> {
        let name = match &group.value.name {
            Some(name) if !name.value.is_empty() => {
                if !names.insert(name.value.clone()) {
                    self.complain(name, format!("a group {:?} is already in this file", name.value));
                }
                Some(name.value.as_str())
            }
            Some(name) => {
                self.complain(name, "the group's name is empty");
                None
            }
            None => {
                self.complain(group, "the group has no name");
                None
            }
        };
        self.names(&group.value.labels, "label");
        let rules: Vec<_> = group
            .value
            .rules
            .iter()
            .map(|rule| self.rule(rule, &group.value))
            .collect();
        Some(Group {
            name: name?.into(),
            file: self.file.into(),
            // An interval of zero is none, as in Prometheus.
            interval: group
                .value
                .interval
                .as_ref()
                .map(|span| span.value.0)
                .filter(|span| !span.is_zero()),
            query_offset: group.value.query_offset.map(|span| span.0),
            limit: usize::try_from(group.value.limit).unwrap_or(0),
            rules: rules.into_iter().flatten().collect(),
        })
    }

    fn rule(&mut self, spanned: &Spanned<file::Rule>, group: &file::Group) -> Option<Rule> {
        let (rule, group_labels) = (&spanned.value, &group.labels);
        let expr = self.expr(spanned);
        self.names(&rule.labels, "label");
        self.names(&rule.annotations, "annotation");
        let (record, alert) = (said(rule.record.as_ref()), said(rule.alert.as_ref()));
        let name = match (record, alert) {
            (Some(record), None) => self.record_name(record, rule),
            (None, Some(alert)) => Some(alert.value.as_str()),
            (Some(_), Some(alert)) => {
                self.complain(alert, "a rule is either a record or an alert, this one is both");
                None
            }
            (None, None) => {
                match (&rule.record, &rule.alert) {
                    (_, Some(empty)) => self.complain(empty, "the alert's name is empty"),
                    (Some(empty), None) => self.complain(empty, "the recorded metric's name is empty"),
                    (None, None) => self.complain(spanned, "a rule needs the key record or alert"),
                }
                None
            }
        };
        let kind = if record.is_some() {
            let pairs = group_labels.0.iter().chain(&rule.labels.0);
            let pairs = pairs.map(|(name, value)| (name.value.as_str(), value.value.as_str()));
            let pairs: BTreeMap<&str, &str> = pairs.collect();
            let empty = pairs.iter().filter(|(_, value)| value.is_empty());
            Kind::Record {
                without: empty.map(|(name, _)| Arc::from(*name)).collect(),
                labels: Labels::from_pairs(pairs),
            }
        } else {
            Kind::Alert(Alerting {
                hold: rule.hold.as_ref().map(|span| span.value.0).unwrap_or_default(),
                keep_firing: rule
                    .keep_firing_for
                    .as_ref()
                    .map(|span| span.value.0)
                    .unwrap_or_default(),
                datapoints: self.datapoints(rule),
                on_missing: rule.on_missing.or(group.on_missing),
                labels: self.texts(&[group_labels, &rule.labels]),
                annotations: self.texts(&[&rule.annotations]),
            })
        };
        Some(Rule {
            name: name?.into(),
            expr: expr?,
            kind,
        })
    }

    fn datapoints(&mut self, rule: &file::Rule) -> Option<Datapoints> {
        let written = rule.datapoints.as_ref()?;
        if rule.hold.is_some() {
            let message = "an alert has either for or datapoints, this one has both";
            self.complain(written, message);
        }
        match Datapoints::new(written.value.m, written.value.n) {
            Ok(datapoints) => Some(datapoints),
            Err(message) => {
                self.complain(written, message);
                None
            }
        }
    }

    fn record_name<'r>(&mut self, record: &'r Spanned<String>, rule: &file::Rule) -> Option<&'r str> {
        let before = self.complaints.len();
        if record.value.contains(['{', '}']) {
            let message = format!(
                "{:?} is no metric name; labels belong under the key labels",
                record.value
            );
            self.complain(record, message);
        }
        let alerts_only = [
            ("for", is_some_time(rule.hold.as_ref())),
            ("keep_firing_for", is_some_time(rule.keep_firing_for.as_ref())),
            ("datapoints", rule.datapoints.is_some()),
            ("on_missing", rule.on_missing.is_some()),
            ("annotations", !rule.annotations.0.is_empty()),
        ];
        for (key, given) in alerts_only {
            if given {
                self.complain(record, format!("a recording rule has no {key}"));
            }
        }
        (self.complaints.len() == before).then_some(&record.value)
    }

    fn expr(&mut self, rule: &Spanned<file::Rule>) -> Option<Expr> {
        let text = match &rule.value.expr {
            Some(text) if !text.value.trim().is_empty() => text,
            Some(text) => {
                self.complain(text, "the expression is empty");
                return None;
            }
            None => {
                self.complain(rule, "the rule has no expr");
                return None;
            }
        };
        match Expr::read(&text.value) {
            Ok(expr) => Some(expr),
            Err(mistake) => {
                let inside = (mistake.line, mistake.column);
                self.complain_inside(text, inside, mistake.message, mistake.suggestion);
                None
            }
        }
    }

    /// A complaint about a place within a value.
    fn complain_inside(
        &mut self,
        value: &Spanned<String>,
        inside: (usize, usize),
        message: String,
        suggestion: Option<String>,
    ) {
        let start = complain_at(self.file, self.text, value, "");
        let (line, column) = place::in_file(self.text, (start.line, start.column), &value.value, inside);
        let complaint = Complaint::at(self.file, self.text, line, column, message);
        self.add(Complaint {
            suggestion,
            ..complaint
        });
    }

    fn names(&mut self, pairs: &Pairs, what: &str) {
        for (name, _) in &pairs.0 {
            if name.value.is_empty() || (what == "label" && name.value == METRIC_NAME) {
                self.complain(
                    name,
                    format!("{:?} cannot be the name of a {what} here", name.value),
                );
            }
        }
    }

    /// Templates by name; of one name the last stands.
    fn texts(&mut self, pairs: &[&Pairs]) -> Vec<(Arc<str>, Text)> {
        let mut texts = BTreeMap::new();
        for (name, value) in pairs.iter().flat_map(|pairs| &pairs.0) {
            match Template::parse(&name.value, &value.value) {
                Ok(template) => {
                    texts.insert(Arc::from(name.value.as_str()), Text(template));
                }
                Err(mistake) => {
                    let inside = (mistake.line, mistake.column);
                    self.complain_inside(value, inside, mistake.message, mistake.suggestion);
                }
            }
        }
        texts.into_iter().collect()
    }
}

/// An empty name is none.
fn said(name: Option<&Spanned<String>>) -> Option<&Spanned<String>> {
    name.filter(|name| !name.value.is_empty())
}

/// Whether it is there and not zero, which is none.
fn is_some_time(span: Option<&Spanned<file::Span>>) -> bool {
    span.is_some_and(|span| !span.value.0.is_zero())
}
