//! What a plan comes to before anything is bought: dollars of a month, how far a budget stretches it, and what nothing answers.
//!
//! It reckons with list prices and a whole month that has just begun; a running process reckons with what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::CloudWatch;
use crate::budget::{Rates, stretch};
use crate::inventory::{Place, State};
use crate::plan::need::By;
use crate::plan::{Class, Plan, price};

/// A month, by class in the order of [`Class::ALL`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Dollars in 30 days, as planned.
    pub monthly: [f64; 3],
    /// How many times longer than planned each waits; infinite: it is not asked for.
    pub stretch: [f64; 3],
}

impl Outlook {
    /// Of all places together.
    #[must_use]
    pub fn of(plans: &[(Place, Arc<Plan>)], budget: Option<f64>) -> Self {
        let mut rates = Rates::default();
        for (_, plan) in plans {
            let more = Rates::of(plan, |planned| planned.interval);
            rates.fast += more.fast;
            rates.slow += more.slow;
            rates.pages += more.pages;
        }
        let monthly = [rates.fast, rates.slow, rates.pages].map(|rate| rate * price::MONTH.as_secs_f64());
        let stretch = match budget {
            Some(budget) => {
                let by = stretch(&rates, budget, price::MONTH);
                Class::ALL.map(|class| by.of(class))
            }
            None => [1.0; 3],
        };
        Self { monthly, stretch }
    }

    #[must_use]
    pub fn total(&self) -> f64 {
        self.monthly.iter().sum()
    }

    /// What it comes to with each class stretched.
    #[must_use]
    pub fn stretched(&self) -> f64 {
        self.monthly
            .iter()
            .zip(self.stretch)
            .map(|(monthly, stretch)| monthly / stretch)
            .sum()
    }
}

/// A name that somebody reads and nothing answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmet {
    pub name: Arc<str>,
    pub why: String,
    pub by: Vec<By>,
}

impl CloudWatch {
    /// Names that rules or dashboards read and that no place answers, neither with a metric nor with what is known of its
    /// resources.
    #[must_use]
    pub fn unmet(&self) -> Vec<Unmet> {
        let watches = self.0.watches.lock();
        let (mut free, mut there) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
        let mut unmet: Option<BTreeSet<usize>> = None;
        let mut needs = Arc::default();
        for watch in &*watches {
            let inventory = watch.inventory();
            let mut facts = inventory.series(&watch.place, &[]);
            facts.extend(crate::inventory::quotas::series(&inventory, &watch.place));
            free.extend(facts.into_iter().map(|(labels, _)| labels.name().to_owned()));
            for resource in inventory.resources().filter(|known| known.state == State::Live) {
                *there.entry(resource.kind.to_owned()).or_default() += 1;
            }
            let plan = watch.plan();
            let here: BTreeSet<usize> = plan.unmet.iter().copied().collect();
            unmet = Some(match unmet {
                Some(before) => &before & &here,
                None => here,
            });
            needs = Arc::clone(&plan.needs);
        }
        let mut by_name: BTreeMap<Arc<str>, BTreeSet<By>> = BTreeMap::new();
        for need in unmet.into_iter().flatten().filter_map(|number| needs.get(number)) {
            if !free.contains(&*need.name) {
                let by = by_name.entry(Arc::clone(&need.name)).or_default();
                by.insert(need.by.clone());
            }
        }
        let unmet = by_name.into_iter().map(|(name, by)| Unmet {
            why: self.why(&name, &there),
            name,
            by: by.into_iter().collect(),
        });
        unmet.collect()
    }

    fn why(&self, name: &str, there: &BTreeMap<String, usize>) -> String {
        let found = self.0.common.catalogue.find(name);
        let kinds: BTreeSet<&str> = found.iter().map(|found| &*found.entry.resource).collect();
        if kinds.is_empty() {
            return "no metric of the catalogue, and nothing that is there is known to have it".to_owned();
        }
        let several =
            |count: usize, kind: &str| format!("none of the {count} resources of the kind {kind} has it");
        let reasons = kinds.iter().map(|kind| match there.get(*kind) {
            None if *kind == "listed" => "CloudWatch lists no series of it".to_owned(),
            None => format!("there is no {kind}"),
            Some(count) => several(*count, kind),
        });
        reasons.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_without_a_limit_is_not_stretched() {
        let outlook = Outlook::of(&[], None);
        assert_eq!((outlook.total(), outlook.stretch), (0.0, [1.0; 3]));
    }
}
