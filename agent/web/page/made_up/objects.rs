//! A made-up cluster: a shop with a program that is killed at its limit again and again.

use std::sync::Arc;
use std::time::Duration;

use model::{Change, ChangeKind, Timestamp};

use super::House;
use crate::Objects;

impl House {
    /// Only the story of the pair has a cluster.
    pub(super) fn objects(&self) -> Option<Objects> {
        let now = self.now();
        self.paired().then(|| Objects {
            changes: Some(Arc::new(move |since| changes(now, since))),
        })
    }
}

fn changes(now: Timestamp, since: Timestamp) -> Vec<Change> {
    let change = |ago: u64, kind, object, namespace: &str, name: &str, text: &str| Change {
        time: now - Duration::from_secs(60 * ago),
        kind,
        object,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let mut all = vec![
        change(
            612,
            ChangeKind::Config,
            "ConfigMap",
            "search",
            "synonyms",
            "content changed",
        ),
        change(
            39,
            ChangeKind::Deploy,
            "Deployment",
            "shop",
            "catalog",
            "image shop/catalog:5.3.1 → 5.3.2",
        ),
        change(27, ChangeKind::Node, "Node", "", "ip-10-0-44-19", "removed"),
        change(
            14,
            ChangeKind::Deploy,
            "Deployment",
            "payments",
            "payments-api",
            "image shop/payments-api:2.14.0 → 2.15.0, memory limit 768Mi → 512Mi",
        ),
        change(
            3,
            ChangeKind::Autoscale,
            "HorizontalPodAutoscaler",
            "shop",
            "checkout",
            "wants 8 → 10 pods",
        ),
    ];
    all.retain(|change| change.time >= since);
    all
}

/// A cluster in which everything is called so.
pub(crate) fn evil(word: &'static str, now: Timestamp) -> Objects {
    let change = Change {
        time: now,
        kind: ChangeKind::Deploy,
        object: "Deployment",
        namespace: word.to_owned(),
        name: word.to_owned(),
        text: word.to_owned(),
    };
    Objects {
        changes: Some(Arc::new(move |_| vec![change.clone()])),
    }
}
