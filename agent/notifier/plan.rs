//! What is in force: whom to tell of what, and when; made of our own configuration or of Alertmanager's file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::view::{Routing, Storm};
use model::{Labels, Timestamp};

use crate::alertmanager;
use crate::board::Storming;
use crate::config::{ALL_LABELS, Config};
use crate::group::Key;
use crate::inhibit::Inhibition;
use crate::receiver::Receiver;
use crate::route::{Route, Tree};
use crate::storm;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// One for each way to tell somebody.
    pub(crate) receivers: Vec<Arc<Receiver>>,
    /// The receivers that routes know, also those that tell nobody, with their labels.
    pub(crate) teams: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) tree: Tree,
    pub(crate) inhibitions: Vec<Inhibition>,
    /// Who is told of what another receiver did not take for so long, or refused.
    pub(crate) fallback: Option<Fallback>,
    /// The configuration in Alertmanager's words, without its secrets.
    pub(crate) original: Arc<str>,
    /// How long an alert fires that somebody posts without saying when it ends.
    pub(crate) resolve_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fallback {
    pub(crate) team: Arc<str>,
    pub(crate) after: Duration,
}

/// Alertmanager's.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The receiver of the one route that our own configuration has, and whom no route leads to.
pub(crate) const EVERYBODY: &str = "default";
pub(crate) const FALLBACK: &str = "fallback";

/// Each has its name among its labels.
pub(crate) fn named(team: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("name".to_owned(), team.to_owned())])
}

impl Plan {
    /// Where alerts go; and one with these labels, if they are given.
    pub(crate) fn routing(&self, labels: Option<&Labels>, now: Timestamp, storms: &[Storming]) -> Routing {
        let titles = |team: &str| {
            let receivers = self.receivers.iter();
            let of_team = receivers.filter(|receiver| *receiver.team == *team);
            of_team.map(|receiver| receiver.title()).collect()
        };
        let told_in = |group: &Key| {
            let storms = storms.iter().filter(|storm| storm.groups.contains(group));
            storms.map(|storm| storm.receiver.clone()).collect()
        };
        let (routes, ways) = self.tree.show(labels, titles, told_in, now);
        let storms = storms.iter().map(|storm| Storm {
            receiver: storm.receiver.clone(),
            began: storm.began,
            is_open: storm.is_open,
            groups: storm.groups.len(),
        });
        Routing {
            routes,
            ways,
            fallback: self.fallback.as_ref().map(|fallback| fallback.team.to_string()),
            storms: storms.collect(),
        }
    }

    pub(crate) fn is_fallback(&self, receiver: &Receiver) -> bool {
        let fallback = self.fallback.as_ref();
        fallback.is_some_and(|fallback| fallback.team == receiver.team)
    }

    pub(crate) fn of(config: &Config) -> Self {
        if let Some(file) = &config.file {
            let team = config.fallback.as_deref();
            let fallback = team.map(|team| Fallback {
                team: team.into(),
                after: config.fallback_after,
            });
            // Alertmanager knows no storms, so a file's receivers do only if somebody asks for it.
            let storms = config.storm_groups.unwrap_or(0);
            return Self {
                fallback,
                receivers: with_storms(&file.plan.receivers, storms),
                ..file.plan.clone()
            };
        }
        let all = config.group_by.iter().any(|name| name == ALL_LABELS);
        let route = Route {
            key: "".into(),
            receiver: EVERYBODY.into(),
            group_by: (!all).then(|| config.group_by.clone()),
            timing: config.timing(),
            mute: Vec::new(),
            active: Vec::new(),
        };
        let mut teams = BTreeMap::from([(EVERYBODY.to_owned(), named(EVERYBODY))]);
        let mut receivers = Receiver::all(config, EVERYBODY);
        let mut fallback = None;
        if let Some(name) = &config.fallback {
            let last = receivers.iter_mut().filter(|receiver| *receiver.name == **name);
            last.for_each(|receiver| *receiver = Arc::new(receiver.of_team(FALLBACK)));
            teams.insert(FALLBACK.to_owned(), named(FALLBACK));
            fallback = Some(Fallback {
                team: FALLBACK.into(),
                after: config.fallback_after,
            });
        }
        Self {
            receivers: with_storms(&receivers, config.storm_groups.unwrap_or(storm::GROUPS)),
            teams,
            fallback,
            original: alertmanager::of_config(config).into(),
            tree: Tree::new(route),
            inhibitions: Vec::new(),
            resolve_timeout: RESOLVE_TIMEOUT,
        }
    }
}

fn with_storms(receivers: &[Arc<Receiver>], groups: usize) -> Vec<Arc<Receiver>> {
    let receivers = receivers.iter();
    receivers
        .map(|receiver| Arc::new(receiver.with_storms(groups)))
        .collect()
}
