//! What rules tell the notifier.

use serde::{Deserialize, Serialize};

use crate::{Labels, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// True, but not yet for as long as the rule asks. Never sent; shown on the page.
    Pending,
    Firing,
    Resolved,
}

/// One alert as it stands. Sent on every change, each minute while firing and for 15 minutes after it
/// resolved, so that losing one is harmless.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// Fingerprint of `labels`.
    pub fingerprint: u64,
    /// `alertname` among them.
    pub labels: Labels,
    pub annotations: Labels,
    pub state: AlertState,
    /// When it began to be true.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// While firing, when to forget it if nothing more is heard; once resolved, when that was.
    pub ends_at: Timestamp,
    #[serde(with = "crate::text::float::json")]
    pub value: f64,
    /// Link to the expression.
    pub generator_url: String,
    /// Of the leader that evaluated it.
    pub epoch: u64,
    /// Whether an evaluation has found this out. Otherwise it is only kept up because nothing is known: its sender is
    /// silent, or it was taken over and not confirmed yet. Such a word neither fires nor resolves anything.
    #[serde(default = "yes")]
    pub known: bool,
}

fn yes() -> bool {
    true
}
