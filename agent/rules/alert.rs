//! The state machine of one rule's alerts. No I/O, no clock: time is passed in.
//!
//! As in Prometheus: a new alert is pending, fires once it has been true for `for`, and is resolved when it
//! is no longer true (and `keep_firing_for` has passed). What Prometheus does not do: an alert of which
//! nothing is known is left exactly as it is. And with `datapoints` an alert is pending while it was found in any of
//! the last `n` evaluations, and fires while it was in at least `m` of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{Labels, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::points::{Datapoints, Points};

/// How long a resolved alert is kept and said again, so that losing one message is harmless.
pub(crate) const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// True, not yet for long enough.
    Pending,
    Firing,
    /// Was firing; kept so that its end can be told.
    Resolved,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alert {
    /// `alertname` among them.
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    #[serde(serialize_with = "write_value", deserialize_with = "read_value")]
    pub(crate) value: f64,
    /// Labels of the sample it came from, to know again who sends it.
    pub(crate) source: Labels,
    pub(crate) state: State,
    pub(crate) active_at: Timestamp,
    /// Of this firing, or of the one before while pending again.
    pub(crate) fired_at: Option<Timestamp>,
    /// End of the last firing; stays while pending again, until that end has been told.
    pub(crate) resolved_at: Option<Timestamp>,
    pub(crate) keep_firing_since: Option<Timestamp>,
    pub(crate) last_sent_at: Option<Timestamp>,
    /// Last evaluation that found it true, or that counts among its datapoints.
    pub(crate) seen_at: Timestamp,
    /// None: its rule counted none when it was last evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) points: Option<Points>,
    /// When it was taken up, after a restart or from the other replica; `None` once an evaluation has found or
    /// missed it since.
    #[serde(skip)]
    pub(crate) restored: Option<Timestamp>,
    /// Left as it was by the last evaluation, because nothing is known of it.
    #[serde(skip)]
    pub(crate) unknown: bool,
    /// When it was last written to the journal; `None` when that no longer says the same.
    #[serde(skip)]
    pub(crate) written_at: Option<Timestamp>,
}

/// One element of the rule's answer with its labels and annotations expanded.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) annotations: Labels,
    pub(crate) value: f64,
    pub(crate) source: Labels,
}

/// When alerts of a rule fire, and when they end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) hold: Duration,
    pub(crate) keep_firing: Duration,
    /// Instead of `hold`.
    pub(crate) datapoints: Option<Datapoints>,
}

/// All alerts of one rule, by their labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) alerts: BTreeMap<Labels, Alert>,
    /// Gone since the journal was last written.
    pub(crate) removed: BTreeSet<Labels>,
}

impl Alert {
    pub(crate) fn new(labels: Labels, found: Found, at: Timestamp) -> Self {
        Self {
            labels,
            annotations: found.annotations,
            value: found.value,
            source: found.source,
            state: State::Pending,
            active_at: at,
            fired_at: None,
            resolved_at: None,
            keep_firing_since: None,
            last_sent_at: None,
            seen_at: at,
            points: None,
            restored: None,
            unknown: false,
            written_at: None,
        }
    }

    /// Pending or firing.
    pub(crate) fn is_active(&self) -> bool {
        self.state != State::Resolved
    }

    /// Whether what is told of it is a finding of this replica. An end was one when it came.
    pub(crate) fn is_known(&self) -> bool {
        self.state != State::Firing || (self.restored.is_none() && !self.unknown)
    }

    /// Whether its state is to be told at `at`: at once when it has just fired or resolved, then again and
    /// again. A pending alert is told only while it still has an earlier end to tell.
    pub(crate) fn is_due(&self, at: Timestamp, resend_delay: Duration) -> bool {
        if self.state == State::Pending && self.resolved_at.is_none() {
            return false;
        }
        match self.last_sent_at {
            None => true,
            Some(sent) => {
                self.resolved_at.is_some_and(|resolved| resolved > sent) || sent + resend_delay < at
            }
        }
    }

    /// Ends now, because its rule is gone.
    pub(crate) fn resolve(&mut self, at: Timestamp) {
        self.know();
        self.state = State::Resolved;
        self.resolved_at = Some(at);
        self.keep_firing_since = None;
        self.written_at = None;
    }

    pub(crate) fn is_forgotten(&self, at: Timestamp) -> bool {
        self.resolved_at
            .is_some_and(|resolved| at.since(resolved) > RESOLVED_RETENTION)
    }

    /// It was pending when somebody last looked, and that is too long ago to go on from there.
    pub(crate) fn is_outdated(&self, at: Timestamp, outage_tolerance: Duration) -> bool {
        self.state == State::Pending && at.since(self.seen_at) > outage_tolerance
    }

    /// Nothing is known of it now. Whoever was told that it fires is told so at once.
    fn doubt(&mut self) {
        let known = self.is_known();
        self.unknown = true;
        self.tell_again_if(known && !self.is_known());
    }

    /// An evaluation knows again how it is.
    fn know(&mut self) {
        let known = self.is_known();
        self.restored = None;
        self.unknown = false;
        self.tell_again_if(!known);
    }

    fn tell_again_if(&mut self, changed: bool) {
        if changed {
            self.last_sent_at = None;
            self.written_at = None;
        }
    }

    fn see(&mut self, found: Found, at: Timestamp, times: Times) {
        self.value = found.value;
        self.annotations = found.annotations;
        self.source = found.source;
        self.seen_at = at;
        self.know();
        if let Some(datapoints) = times.datapoints {
            self.count(true, datapoints, at, times);
            return;
        }
        self.points = None;
        if self.state == State::Resolved {
            self.state = State::Pending;
            self.active_at = at;
            self.written_at = None;
        }
        if self.keep_firing_since.take().is_some() {
            self.written_at = None;
        }
        if self.state == State::Firing && at.since(self.active_at) < times.hold {
            // A reload made `for` longer: not true for long enough, so what was told is taken back.
            self.state = State::Pending;
            self.resolved_at = Some(at);
            self.written_at = None;
        }
        if self.state == State::Pending && at.since(self.active_at) >= times.hold {
            self.fire(at);
        }
        self.forget_end(at);
    }

    fn fire(&mut self, at: Timestamp) {
        self.state = State::Firing;
        self.fired_at = Some(at);
        self.resolved_at = None;
        self.last_sent_at = None;
        self.written_at = None;
    }

    /// A pending alert's earlier end has been told for long enough.
    fn forget_end(&mut self, at: Timestamp) {
        if self.state == State::Pending && self.is_forgotten(at) {
            self.resolved_at = None;
            self.fired_at = None;
            self.written_at = None;
        }
    }

    /// One evaluation more among its datapoints. Returns whether it is to be forgotten.
    fn count(&mut self, found: bool, datapoints: Datapoints, at: Timestamp, times: Times) -> bool {
        let before = self.points.unwrap_or_else(|| match self.state {
            // It fires by the rule as it was: a reload is no recovery.
            State::Firing => datapoints.full(),
            State::Pending | State::Resolved => Points::default(),
        });
        let points = datapoints.next(before, found);
        if self.points != Some(points) {
            self.points = Some(points);
            self.written_at = None;
        }
        self.seen_at = at;
        let met = datapoints.are_met(points);
        let state = self.state;
        match state {
            State::Firing if met => {
                if self.keep_firing_since.take().is_some() {
                    self.written_at = None;
                }
            }
            State::Firing if self.keeps_firing(at, times) => {}
            State::Firing => self.resolve(at),
            State::Resolved | State::Pending => {
                if before.is_empty() {
                    self.active_at = at;
                }
                if met {
                    self.fire(at);
                }
            }
        }
        if self.state == State::Firing {
            return false;
        }
        let state = if points.is_empty() {
            State::Resolved
        } else {
            State::Pending
        };
        if self.state != state {
            self.state = state;
            self.written_at = None;
        }
        self.forget_end(at);
        points.is_empty() && (self.resolved_at.is_none() || self.is_forgotten(at))
    }

    /// Whether its condition has ended and `keep_firing_for` has not passed since.
    fn keeps_firing(&mut self, at: Timestamp, times: Times) -> bool {
        if times.keep_firing.is_zero() {
            return false;
        }
        let since = *self.keep_firing_since.get_or_insert_with(|| {
            self.written_at = None;
            at
        });
        at.since(since) < times.keep_firing
    }

    /// Returns whether it is to be forgotten.
    fn miss(&mut self, at: Timestamp, times: Times) -> bool {
        self.know();
        if let Some(datapoints) = times.datapoints {
            return self.count(false, datapoints, at, times);
        }
        self.points = None;
        let state = self.state;
        match state {
            State::Resolved => return self.is_forgotten(at),
            State::Pending if self.resolved_at.is_none() || self.is_forgotten(at) => return true,
            // Its earlier end is still being told.
            State::Pending => self.state = State::Resolved,
            State::Firing if self.keeps_firing(at, times) => return false,
            State::Firing => self.resolve(at),
        }
        self.written_at = None;
        false
    }
}

impl Table {
    /// One evaluation. `found` is everything that is true now; an alert that is missing there and in
    /// `unknown` is left alone, because nothing is known of it.
    pub(crate) fn step(
        &mut self,
        at: Timestamp,
        times: Times,
        mut found: BTreeMap<Labels, Found>,
        unknown: &BTreeSet<Labels>,
    ) {
        let removed = &mut self.removed;
        self.alerts.retain(|labels, alert| {
            let forgotten = match found.remove(labels) {
                Some(found) => {
                    alert.see(found, at, times);
                    false
                }
                None if alert.is_active() && unknown.contains(labels) => {
                    alert.doubt();
                    false
                }
                None => alert.miss(at, times),
            };
            if forgotten {
                removed.insert(labels.clone());
            }
            !forgotten
        });
        for (labels, found) in found {
            let mut alert = Alert::new(labels.clone(), found.clone(), at);
            alert.see(found, at, times);
            self.removed.remove(&labels);
            self.alerts.insert(labels, alert);
        }
    }

    /// Nothing is known here of what is active: only the other replica judges it.
    pub(crate) fn doubt(&mut self) {
        let active = self.alerts.values_mut().filter(|alert| alert.is_active());
        active.for_each(Alert::doubt);
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().filter(|alert| alert.is_active())
    }
}

/// JSON has no infinities and no NaN.
fn write_value<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&model::text::float::go(*value))
}

fn read_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    model::text::float::parse(&text).ok_or_else(|| serde::de::Error::custom("not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// One alert, stepped minute by minute; `1` is true, `0` is not, `?` is not known.
    fn run(times: Times, script: &str) -> String {
        let labels = Labels::from_pairs([("alertname", "A")]);
        let mut table = Table::default();
        let mut states = String::new();
        for (minute, now) in script.bytes().enumerate() {
            let at = Timestamp::default() + MINUTE * u32::try_from(minute).unwrap();
            let one = Found {
                annotations: Labels::empty(),
                value: 1.0,
                source: Labels::empty(),
            };
            let found = if now == b'1' {
                BTreeMap::from([(labels.clone(), one)])
            } else {
                BTreeMap::new()
            };
            let unknown = if now == b'?' {
                BTreeSet::from([labels.clone()])
            } else {
                BTreeSet::new()
            };
            table.step(at, times, found, &unknown);
            states.push(match table.alerts.get(&labels).map(|alert| alert.state) {
                None => '.',
                Some(State::Pending) => 'p',
                Some(State::Firing) => 'F',
                Some(State::Resolved) => 'r',
            });
        }
        states
    }

    fn times(hold_minutes: u32, keep_minutes: u32) -> Times {
        Times {
            hold: MINUTE * hold_minutes,
            keep_firing: MINUTE * keep_minutes,
            datapoints: None,
        }
    }

    #[test]
    fn an_alert_fires_after_its_for_and_not_before() {
        assert_eq!(run(times(3, 0), "0111110"), ".pppFFr");
        assert_eq!(run(times(0, 0), "0100"), ".Frr");
    }

    #[test]
    fn a_gap_while_pending_begins_anew_and_while_firing_resolves() {
        assert_eq!(run(times(2, 0), "110111"), "pp.ppF");
        assert_eq!(run(times(1, 0), "1101"), "pFrp");
        assert_eq!(run(times(0, 0), "101"), "FrF");
    }

    #[test]
    fn what_is_not_known_changes_nothing() {
        assert_eq!(run(times(2, 0), "1??11"), "pppFF");
        assert_eq!(run(times(0, 0), "1???0"), "FFFFr");
    }

    #[test]
    fn an_alert_keeps_firing_for_its_time() {
        assert_eq!(run(times(0, 3), "10000"), "FFFFr");
        // The condition returned: the time begins anew.
        assert_eq!(run(times(0, 3), "1001000"), "FFFFFFF");
    }

    #[test]
    fn a_resolved_alert_is_kept_for_fifteen_minutes() {
        assert_eq!(run(times(0, 0), "100000000000000000000"), "Frrrrrrrrrrrrrrrr....");
    }

    #[test]
    fn a_pending_alert_gives_way_to_the_end_that_is_still_told() {
        // Resolved at minute 2, pending at 3, gone at 4: the end of the first firing is still to be told.
        assert_eq!(run(times(1, 0), "1101000"), "pFrprrr");
    }

    #[test]
    fn a_longer_for_takes_a_firing_alert_back() {
        let labels = Labels::from_pairs([("alertname", "A")]);
        let mut table = Table::default();
        let found = || {
            let one = Found {
                annotations: Labels::empty(),
                value: 1.0,
                source: Labels::empty(),
            };
            BTreeMap::from([(labels.clone(), one)])
        };
        table.step(Timestamp(0), times(0, 0), found(), &BTreeSet::new());
        table.alerts.get_mut(&labels).unwrap().last_sent_at = Some(Timestamp(0));
        table.step(Timestamp(60_000), times(5, 0), found(), &BTreeSet::new());
        let alert = &table.alerts[&labels];
        assert_eq!(
            (alert.state, alert.resolved_at),
            (State::Pending, Some(Timestamp(60_000)))
        );
        assert!(alert.is_due(Timestamp(60_000), MINUTE));
        table.step(Timestamp(300_000), times(5, 0), found(), &BTreeSet::new());
        assert_eq!(table.alerts[&labels].state, State::Firing);
    }

    #[test]
    fn values_that_json_lacks_survive_it() {
        for value in [f64::NAN, f64::INFINITY, 1.5] {
            let found = Found {
                annotations: Labels::empty(),
                value,
                source: Labels::empty(),
            };
            let alert = Alert::new(Labels::empty(), found, Timestamp(1));
            let text = serde_json::to_string(&alert).unwrap();
            let back: Alert = serde_json::from_str(&text).unwrap();
            assert_eq!(back.value.to_bits(), value.to_bits(), "{text}");
        }
    }
}
