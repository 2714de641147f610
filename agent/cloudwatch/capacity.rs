//! What only the owner knows of a resource, as series beside those that AWS describes.

use model::Labels;
use model::labels::METRIC_NAME;
use regex::Regex;

use crate::config::{Capacity, anchored};
use crate::inventory::{Inventory, Place};

/// Of each resource with the labels that a capacity names, all of them.
pub(crate) fn series(capacities: &[Capacity], inventory: &Inventory, place: &Place) -> Vec<(Labels, f64)> {
    let mut found = Vec::new();
    for capacity in capacities {
        let labels = capacity.labels.iter();
        let tests: Vec<(&String, Regex)> = labels
            .filter_map(|(name, value)| Some((name, Regex::new(&anchored(value)).ok()?)))
            .collect();
        for resource in inventory.resources().filter(|resource| !resource.info.is_empty()) {
            let labels = resource.labels(place);
            let has = |name: &String, value: &Regex| {
                let mut labels = labels.iter();
                labels.any(|(known, said)| known == name && value.is_match(said))
            };
            if tests.is_empty() || !tests.iter().all(|(name, value)| has(name, value)) {
                continue;
            }
            let pairs = labels.iter().map(|(name, value)| (name.as_str(), &**value));
            let labels = Labels::from_pairs(pairs.chain([(METRIC_NAME, capacity.name.as_str())]));
            found.push((labels, capacity.value));
        }
    }
    found
}
