//! What is in force: whom to tell of what, and when; made of our own configuration or of Alertmanager's file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{ALL_LABELS, Config};
use crate::inhibit::Inhibition;
use crate::receiver::Receiver;
use crate::route::{Route, Tree};

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// One for each way to tell somebody.
    pub(crate) receivers: Vec<Arc<Receiver>>,
    /// The receivers that routes know, also those that tell nobody, with their labels.
    pub(crate) teams: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) tree: Tree,
    pub(crate) inhibitions: Vec<Inhibition>,
    /// How long an alert fires that somebody posts without saying when it ends.
    pub(crate) resolve_timeout: Duration,
}

/// Alertmanager's.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The receiver of the one route that our own configuration has.
const EVERYBODY: &str = "default";

/// Each has its name among its labels.
pub(crate) fn named(team: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("name".to_owned(), team.to_owned())])
}

impl Plan {
    pub(crate) fn of(config: &Config) -> Self {
        if let Some(file) = &config.file {
            return file.plan.clone();
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
        Self {
            receivers: Receiver::all(config, EVERYBODY),
            teams: BTreeMap::from([(EVERYBODY.to_owned(), named(EVERYBODY))]),
            tree: Tree::new(route),
            inhibitions: Vec::new(),
            resolve_timeout: RESOLVE_TIMEOUT,
        }
    }
}
