//! What is in force: whom to tell of what, and when; made of our own configuration or of Alertmanager's file.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{ALL_LABELS, Config};
use crate::inhibit::Inhibition;
use crate::receiver::Receiver;
use crate::route::{Route, Timing, Tree};

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// One for each way to tell somebody.
    pub(crate) receivers: Vec<Arc<Receiver>>,
    /// Of the receivers that routes know, also those that tell nobody.
    pub(crate) names: Vec<String>,
    pub(crate) tree: Tree,
    pub(crate) inhibitions: Vec<Inhibition>,
    /// How long an alert fires that somebody posts without saying when it ends.
    pub(crate) resolve_timeout: Duration,
}

/// Alertmanager's.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The receiver of the one route that our own configuration has.
const EVERYBODY: &str = "default";

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
            timing: Timing {
                group_wait: config.group_wait,
                group_interval: config.group_interval,
                repeat_interval: config.repeat_interval,
                resolve_wait: config.resolve_wait,
            },
            mute: Vec::new(),
            active: Vec::new(),
        };
        Self {
            receivers: Receiver::all(config, EVERYBODY),
            names: vec![EVERYBODY.to_owned()],
            tree: Tree::new(route),
            inhibitions: Vec::new(),
            resolve_timeout: RESOLVE_TIMEOUT,
        }
    }
}
