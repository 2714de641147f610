//! One request for a view: the house as it stood at one moment, and what the address asked for.

use std::time::Duration;

use http::Uri;
use jiff::tz::TimeZone;
use model::view::{Alert, ConfigState, Own, Pair, Rule, RuleGroup, Sender, Target, Telling};
use model::{AlertState, Timestamp};

use super::when::{Range, Wall};
use crate::Rooms;

/// All parts of a view are drawn from one of these, so that they cannot contradict each other.
pub(super) struct Visit {
    pub(super) rooms: Rooms,
    pub(super) now: Timestamp,
    pub(super) wall: Wall,
    pub(super) own: Own,
    pub(super) rules: Vec<RuleGroup>,
    pub(super) telling: Telling,
    pub(super) config: ConfigState,
    pub(super) targets: Vec<Target>,
    pub(super) pair: Option<Pair>,
    pub(super) senders: Vec<Sender>,
    pub(super) path: String,
    query: Vec<(String, String)>,
}

/// An alert with the rule that made it.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) group: &'a RuleGroup,
    pub(super) rule: &'a Rule,
    pub(super) alert: &'a Alert,
}

impl Standing<'_> {
    /// When its present state began.
    pub(super) fn since(&self) -> Timestamp {
        match self.alert.state {
            AlertState::Firing => self.alert.fired_at.unwrap_or(self.alert.active_at),
            AlertState::Pending => self.alert.active_at,
            AlertState::Resolved => self.alert.resolved_at.unwrap_or(self.alert.active_at),
        }
    }
}

impl Visit {
    pub(super) fn new(rooms: Rooms, uri: &Uri) -> Self {
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let now = rooms.clock.now();
        let wall = Wall {
            now,
            zone: TimeZone::system(),
        };
        Self {
            now,
            wall,
            own: (rooms.own)(),
            rules: (rooms.rules)(),
            telling: (rooms.telling)(),
            config: (rooms.config)(),
            targets: (rooms.targets)(),
            pair: (rooms.pair)(),
            senders: (rooms.senders)(),
            path: uri.path().to_owned(),
            query: query.map(|query| query.0).unwrap_or_default(),
            rooms,
        }
    }

    /// A value of the query, or the empty string.
    pub(super) fn asked(&self, name: &str) -> &str {
        let pair = self.query.iter().find(|(known, _)| known == name);
        pair.map_or("", |(_, value)| value.as_str())
    }

    /// All of the query, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.query.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What was asked besides the time, to be kept in links that change only that.
    pub(super) fn asked_besides_time(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self
            .query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(|(name, value)| !matches!(*name, "from" | "to") && !value.is_empty())
    }

    pub(super) fn range(&self, default: Duration) -> Range {
        Range::read(
            self.asked("from"),
            self.asked("to"),
            default,
            self.now,
            &self.wall.zone,
        )
    }

    /// A young process shows its first minute large instead of an empty hour.
    pub(super) fn window(&self) -> Duration {
        match self.uptime().as_secs() {
            0..=119 => Duration::from_secs(60),
            120..=600 => Duration::from_secs(300),
            601..=1800 => Duration::from_secs(900),
            _ => Duration::from_secs(3600),
        }
    }

    pub(super) fn uptime(&self) -> Duration {
        self.now.since(self.own.started)
    }

    /// Alerts in one state, the oldest first.
    pub(super) fn standing(&self, state: AlertState) -> Vec<Standing<'_>> {
        let mut standing: Vec<_> = self
            .all_rules()
            .flat_map(|(group, rule)| {
                rule.alerts
                    .iter()
                    .map(move |alert| Standing { group, rule, alert })
            })
            .filter(|standing| standing.alert.state == state)
            .collect();
        standing.sort_by_key(Standing::since);
        standing
    }

    pub(super) fn all_rules(&self) -> impl Iterator<Item = (&RuleGroup, &Rule)> {
        self.rules
            .iter()
            .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    }

    pub(super) fn alert_rules(&self) -> impl Iterator<Item = (&RuleGroup, &Rule)> {
        self.all_rules().filter(|(_, rule)| rule.alerting)
    }

    /// Whether anybody besides the page and the log hears of an alert.
    pub(super) fn somebody_is_told(&self) -> bool {
        !self.telling.receivers.is_empty()
    }

    /// The machine's name; never empty.
    pub(super) fn name(&self) -> &str {
        if self.own.name.is_empty() {
            "this machine"
        } else {
            &self.own.name
        }
    }
}
