//! What rules would have done: goes through the past with the room's own evaluation and state machine, and says how often,
//! when and for how long each alert would have fired.
//!
//! It is what a Skopos with these rules, and nothing silent and nobody restarting, would have done over the same samples:
//! groups in their slots, what they record there for those that read it, `for`, `keep_firing_for`, `limit`,
//! `query_offset`. What can be asked for many slots at once is (see `plan.rs`); the answers are the same.
//!
//! Memory is bounded: by [`Settings::samples_max`] for what one question reads and gives at a time, and once more for what
//! rules give and others read; by the number of alerts that are active; by a number of episodes for each alerting rule.

mod edit;
mod gaps;
mod given;
mod outputs;
mod over;
mod past;
mod plan;
mod reads;
mod remote;
mod report;
mod run;
mod steps;
#[cfg(test)]
pub(crate) mod tests;
mod then;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

pub use edit::{Which, edited};
pub use past::{Kept, Past, PastError};
pub use reads::{Read, reads};
pub use remote::Remote;
pub use report::{Alert, Episode, Failure, Report};
pub use steps::Steps;

use crate::config::Options;
use crate::group::Group;

/// What is gone through, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Slots after this, up to `until`.
    pub from: Timestamp,
    pub until: Timestamp,
    /// Evaluated before `from`, so that what began earlier is known; none: as much as the rules need, and a day at most.
    pub warm_up: Option<Duration>,
    /// What the whole agent would say.
    pub options: Options,
    /// Of the engine; `samples_max` bounds also what rules give and others read.
    pub engine: promql::Options,
    /// Ask at every slot, also what could be asked for many at once. The outcome is the same.
    pub one_by_one: bool,
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// None of the rules is an alert that is wanted.
    NoAlerts,
    /// Nothing was kept in all that time.
    NoHistory,
    /// More than may be held; a sentence.
    TooMuch(String),
    /// Of a single moment, what has to be known for all else; a sentence of whoever was asked.
    Unanswered(String),
    /// The past cannot be asked; a sentence.
    Away(String),
}

/// Goes through the past with those alerts whose name `is_wanted`, and with what they need. `progress` is told now and
/// then up to when everything is done.
///
/// # Errors
/// See [`Wrong`].
pub async fn run(
    groups: &[Group],
    past: Arc<dyn Past>,
    settings: &Settings,
    is_wanted: impl Fn(&str) -> bool,
    progress: &mut dyn FnMut(Timestamp),
) -> Result<Report, Wrong> {
    let groups = plan::pruned(groups, is_wanted);
    if groups.iter().all(|group| group.rules.is_empty()) {
        return Err(Wrong::NoAlerts);
    }
    run::Run::new(&groups, past, settings)?.through(progress).await
}
