//! Which metrics somebody looks at: for a node that forwards only those (`remote.forward: used`).
//!
//! Somebody is a rule that is loaded, a shipped dashboard, or the list `remote.families`. What a target says of
//! itself (`up`, `scrape_*`) and what Skopos says (`skopos_*`) always goes along: whether a node is well is not asked
//! by name alone.

use std::collections::BTreeSet;

use model::labels::METRIC_NAME;
use model::{MatchOp, Matcher};
use regex::Regex;

use crate::shipped;

/// Metrics by name.
#[derive(Debug, Default)]
pub struct Used {
    names: BTreeSet<String>,
    patterns: Vec<Regex>,
    /// Somebody asks without a name: everything is used.
    everything: bool,
}

impl Used {
    /// Of these rules, the shipped dashboards and this list (names, or anchored regular expressions).
    #[must_use]
    pub fn gather(groups: &[rules::Group], families: &[String]) -> Self {
        let mut used = Self::default();
        used.rules(groups);
        used.dashboards();
        used.families(families);
        used
    }

    pub(crate) fn rules(&mut self, groups: &[rules::Group]) {
        for rule in groups.iter().flat_map(|group| &group.rules) {
            self.expression(rule.expr.written());
        }
    }

    pub(crate) fn dashboards(&mut self) {
        for expression in shipped::dashboard_expressions() {
            self.expression(&expression);
        }
    }

    pub(crate) fn families(&mut self, families: &[String]) {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
        for family in families {
            let op = if family.chars().all(is_plain) {
                MatchOp::Equal
            } else {
                MatchOp::Matches
            };
            self.matcher(&Matcher::new(METRIC_NAME, op, family));
        }
    }

    #[must_use]
    pub fn has(&self, metric: &str) -> bool {
        self.everything
            || metric == "up"
            || metric.starts_with("scrape_")
            || metric.starts_with("skopos_")
            || self.names.contains(metric)
            || self.patterns.iter().any(|pattern| pattern.is_match(metric))
    }

    /// Names that are asked for exactly, and patterns for names.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.names.len(), self.patterns.len())
    }

    /// Somebody asks without a name, so that nothing may be left out.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Names that are asked for exactly.
    pub(crate) fn into_names(self) -> BTreeSet<String> {
        self.names
    }

    pub(crate) fn expression(&mut self, text: &str) {
        // A dashboard's variable in a duration's place; in quotes it is a value and stays.
        let text = durations(text);
        match promql::parse(&text) {
            Ok(expr) => {
                for (matchers, _) in promql::selectors(&expr) {
                    self.selector(&matchers);
                }
            }
            Err(error) => tracing::debug!(%error, expr = text, "expression passed over"),
        }
    }

    fn selector(&mut self, matchers: &[Matcher]) {
        let named = |matcher: &&Matcher| &*matcher.name == METRIC_NAME;
        if !matchers.iter().any(|matcher| named(&matcher)) {
            self.everything = true;
        }
        for matcher in matchers.iter().filter(named) {
            self.matcher(matcher);
        }
    }

    fn matcher(&mut self, matcher: &Matcher) {
        match matcher.op {
            MatchOp::Equal => drop(self.names.insert(matcher.value.to_string())),
            MatchOp::Matches => match Regex::new(&format!("^(?:{})$", matcher.value)) {
                Ok(pattern) => self.patterns.push(pattern),
                Err(error) => tracing::debug!(%error, "pattern passed over"),
            },
            // What is excluded by name says nothing of the rest.
            MatchOp::NotEqual | MatchOp::NotMatches => self.everything = true,
        }
    }
}

/// With a duration in place of each variable that stands for one.
pub(crate) fn durations(text: &str) -> String {
    let mut text = text.to_owned();
    for name in [
        "$__rate_interval",
        "$__interval",
        "$__range",
        "${__rate_interval}",
        "${__interval}",
        "${__range}",
    ] {
        text = text.replace(name, "5m");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rules_dashboards_and_the_list_name_is_used_and_nothing_else() {
        let text = "groups: [{ name: a, rules: [{ record: x:y, expr: 'sum(rate(shop_orders_total[5m])) / on () sum({__name__=~\"shop_(a|b)\"})' }] }]";
        let groups = rules::load(&[("r.yaml".to_owned(), text.to_owned())]).unwrap();
        let used = Used::gather(&groups, &["jvm_.*".to_owned(), "shop_carts".to_owned()]);
        for name in [
            "shop_orders_total",
            "shop_a",
            "jvm_threads",
            "shop_carts",
            "up",
            "node_memory_MemTotal_bytes",
            "skopos_build_info",
        ] {
            assert!(used.has(name), "{name}");
        }
        for name in [
            "shop_orders",
            "shop_c",
            "ajvm_threads",
            "shop_carts_total",
            "node_softnet_dropped_total_x",
        ] {
            assert!(!used.has(name), "{name}");
        }
    }
}
