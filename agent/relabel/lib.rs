//! Prometheus' relabelling: rules that change the labels of a target or a series, or drop it.
//!
//! Each rule is compiled once. A label set that no rule changes is handed back as it came, without a copy.

mod config;
mod expand;
mod letters;
mod pattern;
mod rule;

use std::sync::Arc;

pub use config::{Action, Config};
use model::Labels;
use rule::{Rule, Work};

/// Rules in the order in which they apply. Two lists are equal when they say the same.
#[derive(Clone, Default)]
pub struct Rules(Arc<[(Config, Rule)]>);

/// What becomes of a label set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Kept(Labels),
    /// By the rule at this place.
    Dropped(usize),
}

impl Rules {
    /// Compiles what a configuration says.
    ///
    /// # Errors
    /// Everything that is wrong, each a sentence that begins with the rule's place: `[2].regex: …`.
    pub fn new(configs: &[Config]) -> Result<Self, Vec<String>> {
        let (mut rules, mut wrong) = (Vec::with_capacity(configs.len()), Vec::new());
        for (nth, config) in configs.iter().enumerate() {
            match Rule::new(config) {
                Ok(rule) => rules.push((config.clone(), rule)),
                Err(mistake) => wrong.push(format!("[{nth}]{mistake}")),
            }
        }
        match wrong.is_empty() {
            true => Ok(Self(rules.into())),
            false => Err(wrong),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn apply(&self, labels: &Labels) -> Verdict {
        let mut work = Work::new(labels);
        for (nth, (_, rule)) in self.0.iter().enumerate() {
            if !rule.apply(&mut work) {
                return Verdict::Dropped(nth);
            }
        }
        Verdict::Kept(work.done())
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        let words =
            |rules: &Self| -> Vec<Config> { rules.0.iter().map(|(config, _)| config.clone()).collect() };
        Arc::ptr_eq(&self.0, &other.0) || words(self) == words(other)
    }
}

impl Eq for Rules {}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(config, _)| config))
            .finish()
    }
}

#[cfg(test)]
mod tests;
