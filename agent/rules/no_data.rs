//! `on_missing: alert`: what a rule would read and does not come is an alert of the rule itself.
//!
//! One for each sender that nobody hears, or target that does not answer, and that gave something the rule reads; it has
//! the rule's name, labels and times, the labels that name who is silent, and `reason="no_data"`. Those beyond
//! [`TOLD_MAX`] have one for all of them.

use std::collections::{BTreeMap, BTreeSet};

use model::labels::{ALERT_NAME, METRIC_NAME};
use model::presence::NODE;
use model::{Labels, Point, Timestamp};

use crate::alert::Found;
use crate::down::Down;
use crate::evaluate::{Evaluation, expand};
use crate::expand::Expander;
use crate::group::Alerting;
use crate::heard::{Doubts, LOOKBACK};

/// Name of the sample from which such an alert seems to come.
pub(crate) const NO_DATA: &str = "skopos:no_data";
/// Silent ones that are told of one by one.
const TOLD_MAX: usize = 5;
/// Says of an alert that it is one of these.
const REASON: (&str, &str) = ("reason", "no_data");
/// Annotations that say what is wrong; here something else is.
const SAYING: [&str; 4] = ["summary", "description", "message", "title"];

impl Evaluation<'_> {
    /// What is true now of what the rule reads.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn no_data(
        &self,
        alerting: &Alerting,
        doubts: &mut Doubts<'_>,
        down: &mut Down<'_>,
    ) -> Result<BTreeMap<Labels, Found>, String> {
        let told: BTreeSet<Labels> = {
            let state = self.state.lock();
            let active = state.no_data.active();
            active.map(|alert| alert.source.without_name()).collect()
        };
        let silent = down.silent(doubts, &told).await?;
        let mut chosen: Vec<&Labels> = silent.iter().filter(|who| told.contains(*who)).collect();
        chosen.extend(silent.iter().filter(|who| !told.contains(*who)));
        let others = chosen.split_off(chosen.len().min(TOLD_MAX));
        let mut found = BTreeMap::new();
        for who in chosen {
            found.extend([self.about(alerting, who, &name_of(who)).await]);
        }
        if !others.is_empty() {
            let names: Vec<String> = others.iter().map(|who| name_of(who)).collect();
            let names = format!("{} more ({})", names.len(), names.join(", "));
            found.extend([self.about(alerting, &Labels::empty(), &names).await]);
        }
        Ok(found)
    }

    async fn about(&self, alerting: &Alerting, who: &Labels, name: &str) -> (Labels, Found) {
        let world = self.world;
        let mut expander = Expander::new(&*world.near.ask, &world.options, self.at);
        let mut source = who.to_builder();
        source.set(METRIC_NAME, NO_DATA);
        let point = Point {
            labels: source.build(),
            value: 0.0,
        };
        let mut labels = who.to_builder();
        for (name, value) in expand(&mut expander, &alerting.labels, &point).await {
            labels.set(&name, &value);
        }
        labels.set(ALERT_NAME, &self.rule.name).set(REASON.0, REASON.1);
        let links = alerting.annotations.iter();
        let links = links.filter(|(name, _)| !SAYING.contains(&&**name));
        let links: Vec<_> = links.cloned().collect();
        let mut annotations: Vec<(String, String)> = expand(&mut expander, &links, &point)
            .await
            .into_iter()
            .map(|(name, value)| (name.to_string(), value))
            .collect();
        let rule = &self.rule.name;
        let summary = format!("{rule} gets no data from {name}");
        let description = format!(
            "What {rule} would judge by does not come from {name}, so that nobody knows whether it is true \
             (on_missing: alert)."
        );
        annotations.extend([
            ("summary".to_owned(), summary),
            ("description".to_owned(), description),
        ]);
        let found = Found {
            annotations: Labels::from_pairs(annotations),
            value: point.value,
            source: point.labels,
        };
        (labels.build(), found)
    }

    /// Taken up from before a restart, or from the other replica, and nobody could know yet.
    pub(crate) fn no_data_unknown(&self, found: &BTreeMap<Labels, Found>) -> BTreeSet<Labels> {
        let state = self.state.lock();
        let is_young = |restored: Timestamp| self.at.since(restored) < LOOKBACK;
        let young = state.no_data.active();
        let young = young.filter(|alert| alert.restored.is_some_and(is_young));
        young
            .map(|alert| alert.labels.clone())
            .filter(|labels| !found.contains_key(labels))
            .collect()
    }
}

/// In words.
fn name_of(who: &Labels) -> String {
    match (who.get("instance"), who.get("job"), who.get(NODE)) {
        (Some(instance), Some(job), _) => format!("{instance} ({job})"),
        (Some(instance), None, _) => instance.to_owned(),
        (None, _, node) => node.unwrap_or_default().to_owned(),
    }
}
