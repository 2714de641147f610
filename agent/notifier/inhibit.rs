//! Alerts that make others not worth telling: while a source fires, targets with the same values of some labels are
//! muted.

use std::collections::HashMap;

use model::{Labels, Matcher};

use crate::alert::Alert;
use crate::matching::Tests;

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Inhibition {
    source: Tests,
    target: Tests,
    /// Of these both have the same values; a label that is not there is empty.
    equal: Vec<String>,
}

/// What fires now and mutes others.
#[derive(Debug, Default)]
pub(crate) struct Inhibitions {
    rules: Vec<Inhibition>,
    /// For each rule, by the values of the equal labels.
    sources: Vec<HashMap<Vec<Box<str>>, Sources>>,
}

/// Fingerprints of what fires: any source, and one that is not a target as well.
#[derive(Clone, Copy, Debug, Default)]
struct Sources {
    any: u64,
    only: Option<u64>,
}

impl Inhibition {
    /// # Errors
    /// A regular expression does not compile.
    pub(crate) fn new(source: &[Matcher], target: &[Matcher], equal: Vec<String>) -> Result<Self, String> {
        Ok(Self {
            source: Tests::new(source)?,
            target: Tests::new(target)?,
            equal,
        })
    }

    fn values(&self, labels: &Labels) -> Vec<Box<str>> {
        self.equal.iter().map(|name| labels.value(name).into()).collect()
    }
}

impl Inhibitions {
    pub(crate) fn new(rules: Vec<Inhibition>) -> Self {
        Self {
            sources: vec![HashMap::new(); rules.len()],
            rules,
        }
    }

    /// Whether others may have to be looked at again when this one begins or ends.
    pub(crate) fn concern(&self, labels: &Labels) -> bool {
        self.rules.iter().any(|rule| rule.source.accept(labels))
    }

    /// Looks anew at what fires.
    pub(crate) fn look<'a>(&mut self, alerts: impl Iterator<Item = &'a Alert>) {
        self.sources.iter_mut().for_each(HashMap::clear);
        if self.rules.is_empty() {
            return;
        }
        for alert in alerts.filter(|alert| alert.firing()) {
            let rules = self.rules.iter().zip(&mut self.sources);
            for (rule, sources) in rules.filter(|(rule, _)| rule.source.accept(&alert.labels)) {
                let sources = sources.entry(rule.values(&alert.labels)).or_default();
                sources.any = alert.fingerprint;
                if !rule.target.accept(&alert.labels) {
                    sources.only = Some(alert.fingerprint);
                }
            }
        }
    }

    pub(crate) fn mute(&self, labels: &Labels) -> bool {
        self.muted_by(labels).next().is_some()
    }

    /// The alerts that mute one with these labels, one for each rule. An alert that is source and target alike is not
    /// muted by another one that is.
    pub(crate) fn muted_by(&self, labels: &Labels) -> impl Iterator<Item = u64> {
        let rules = self.rules.iter().zip(&self.sources);
        rules.filter_map(|(rule, sources)| {
            if !rule.target.accept(labels) {
                return None;
            }
            let Sources { any, only } = *sources.get(&rule.values(labels))?;
            only.or_else(|| (!rule.source.accept(labels)).then_some(any))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::{START, firing, secs};

    fn rules() -> Inhibitions {
        let page = [Matcher::equal("severity", "page")];
        let any = [Matcher::new("severity", model::MatchOp::Matches, "page|warn")];
        let rule = Inhibition::new(&page, &any, vec!["instance".to_owned(), "zone".to_owned()]);
        Inhibitions::new(vec![rule.unwrap()])
    }

    fn alert(instance: &str, severity: &str) -> Alert {
        let labels = Labels::from_pairs([("alertname", "X"), ("instance", instance), ("severity", severity)]);
        Alert {
            fingerprint: labels.fingerprint(),
            labels,
            ..Alert::new(firing("X", "1", START), START)
        }
    }

    #[test]
    fn a_source_mutes_targets_with_equal_labels_as_long_as_it_fires() {
        let mut rules = rules();
        let (target, elsewhere) = (alert("a", "warn"), alert("b", "warn"));
        let source = alert("a", "page");
        assert!(rules.concern(&source.labels) && !rules.concern(&target.labels));
        rules.look([&target, &elsewhere, &source].into_iter());
        assert!(rules.mute(&target.labels));
        assert!(!rules.mute(&elsewhere.labels));
        // Source and target itself: of two such alerts neither mutes the other.
        assert!(!rules.mute(&source.labels));
        let over = Alert {
            resolved_at: Some(START + secs(1)),
            ..source.clone()
        };
        rules.look([&target, &over].into_iter());
        assert!(!rules.mute(&target.labels));
    }
}
