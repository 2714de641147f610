//! Which of two words on an alert is the newer: what was heard here, or what is kept in the journal.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;

use crate::alert::Alert;

/// An alert that is said to fire and was said to have ended fires again only if that was said so long after its
/// end: clocks of two replicas differ, and rules speak of what fires once a minute.
const RESENT: Duration = Duration::from_secs(60);

/// What a word on an alert says, apart from when it was said.
pub(super) fn state(alert: &Alert) -> (Timestamp, Option<Timestamp>) {
    (alert.starts_at, alert.resolved_at)
}

/// What is true of each alert: of what was heard here and what is kept in the journal the newer.
pub(super) fn reconcile(heard: BTreeMap<u64, Alert>, kept: Vec<Alert>) -> Vec<Alert> {
    let mut alerts: BTreeMap<u64, Alert> = kept.into_iter().map(|alert| (alert.fingerprint, alert)).collect();
    for (fingerprint, heard) in heard {
        // Only known from the journal, or the journal's owner was done with it.
        let Some(heard_at) = heard.heard_at else {
            continue;
        };
        let newest = match alerts.remove(&fingerprint) {
            None if heard.is_shared => continue,
            None => heard,
            Some(kept) => match (heard.resolved_at, kept.resolved_at) {
                // It has ended since, and fires again.
                (None, None) if heard.starts_at > kept.starts_at && heard.opened > kept.opened => heard,
                (None, None) => Alert {
                    starts_at: kept.starts_at.min(heard.starts_at),
                    opened: kept.opened.min(heard.opened),
                    epoch: kept.epoch.max(heard.epoch),
                    ..heard
                },
                (None, Some(ended)) if heard_at > ended + RESENT => heard,
                (Some(ended), None) if ended >= kept.starts_at => heard,
                _ => kept,
            },
        };
        alerts.insert(fingerprint, newest);
    }
    alerts.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::{START, firing, minutes, resolved, secs};

    fn heard(event: model::AlertEvent, at: Timestamp) -> Alert {
        Alert::new(event, at)
    }

    fn kept(event: model::AlertEvent) -> Alert {
        Alert {
            heard_at: None,
            ..Alert::new(event, START)
        }
    }

    /// Whether it fires, once both have been heard; none if it is over and done with.
    fn truth(heard: Option<Alert>, kept: Option<Alert>) -> Option<bool> {
        let heard = heard
            .map(|alert| (alert.fingerprint, alert))
            .into_iter()
            .collect();
        let alerts = reconcile(heard, kept.into_iter().collect());
        assert!(alerts.len() < 2);
        alerts.first().map(Alert::firing)
    }

    #[test]
    fn of_two_words_on_an_alert_the_newer_counts() {
        let fires = || firing("Down", "a", START);
        let ended = |at: u64| resolved("Down", "a", START, START + secs(at));
        let at = |seconds: u64| START + secs(seconds);
        assert_eq!(truth(None, Some(kept(fires()))), Some(true), "only kept");
        assert_eq!(truth(Some(heard(fires(), at(5))), None), Some(true), "only heard");
        assert_eq!(
            truth(Some(heard(ended(90), at(90))), Some(kept(fires()))),
            Some(false)
        );
        // The end that the other one heard of, and we did not.
        assert_eq!(
            truth(Some(heard(fires(), at(80))), Some(kept(ended(90)))),
            Some(false)
        );
        // Said to fire again and again long after that end.
        assert_eq!(
            truth(Some(heard(fires(), at(200))), Some(kept(ended(90)))),
            Some(true)
        );
        // An end of an earlier time that it fired.
        let again = firing("Down", "a", START + minutes(9));
        assert_eq!(
            truth(Some(heard(ended(90), at(90))), Some(kept(again))),
            Some(true)
        );
    }

    #[test]
    fn what_its_owner_was_done_with_does_not_come_back() {
        let fires = firing("Down", "a", START);
        let old = kept(fires.clone());
        assert_eq!(truth(Some(old), None), None);
        let gone = Alert {
            is_shared: true,
            ..heard(fires, START + secs(5))
        };
        assert_eq!(truth(Some(gone), None), None);
    }
}
