//! What an agent is given to read.

use std::collections::HashSet;

use super::TARGETS_MAX;
use super::pool::{ids, is_ours};
use super::wire::{self, POD, Settings};
use crate::config::Global;
use crate::plan::{Plan, Section, each_once};

/// A list of targets that another process has found for this node.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub(crate) plans: Vec<Plan>,
    /// Of those that cannot be read, why: they stay where they are.
    pub left_out: Vec<String>,
}

impl Given {
    /// What was seen of targets that were given before is not forgotten.
    ///
    /// # Errors
    /// It is no list.
    pub fn read(list: &[u8], node: &str, before: &Self) -> Result<Self, String> {
        let mut given = Self::default();
        let mut sections: Vec<(Settings, Result<Section, String>)> = Vec::new();
        for target in wire::read(list)?.into_iter().take(TARGETS_MAX) {
            let plan = target.and_then(|(labels, settings)| {
                let known = sections.iter().position(|(known, _)| *known == settings);
                let place = known.unwrap_or(sections.len());
                if known.is_none() {
                    let config = settings.section();
                    let section = Section::new(settings.job_name.clone(), &config, &Global::default());
                    sections.push((settings, section.map_err(|wrong| wrong.join("; "))));
                }
                let (settings, section) = sections.get(place).ok_or("it has no section")?;
                let section = section.as_ref().map_err(Clone::clone)?;
                section.given(labels, node, settings.is_node_added)
            });
            match plan {
                Ok(plan) => given.plans.push(plan),
                Err(why) => given.left_out.push(why),
            }
        }
        given.plans = each_once(std::mem::take(&mut given.plans));
        for plan in &mut given.plans {
            let known = before.plans.iter().find(|known| known.name == plan.name);
            if let Some(known) = known.filter(|known| known.rules.home == plan.rules.home) {
                plan.rules.home.clone_from(&known.rules.home);
            }
        }
        Ok(given)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// What of it is read here, as it is told to whoever gave it.
    #[must_use]
    pub fn held(&self) -> HashSet<u64> {
        ids(&self.plans)
    }

    /// Lets go of those whose pod is no more, by the UIDs of pods. Returns how many.
    pub fn leave(&mut self, is_gone: impl Fn(&str) -> bool) -> usize {
        let before = self.plans.len();
        self.plans.retain(|plan| {
            let pod = plan.discovered.value(POD);
            pod.is_empty() || !is_gone(pod)
        });
        before - self.plans.len()
    }

    /// How many have turned out to be none of ours: one of their series names another node.
    #[must_use]
    pub fn foreign(&self) -> usize {
        self.plans.iter().filter(|plan| !is_ours(plan)).count()
    }
}
