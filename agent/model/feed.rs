//! What the store hands on: every sample it keeps and every stale marker it writes, in order.

use std::sync::Arc;

use crate::{SeriesDesc, SeriesRef, TargetRef, Timestamp};

/// One target's samples at one time.
#[derive(Clone, Debug)]
pub struct Fed {
    pub target: TargetRef,
    /// The target's own, as its source gave it: `scrape/shop/localhost:8080`.
    pub name: Arc<str>,
    pub time: Timestamp,
    /// The same number is the same list of series, for as long as the process lives; so that what is known of a
    /// list can be remembered by it.
    pub shape: u64,
    pub series: Arc<[SeriesRef]>,
    pub values: Arc<[f64]>,
}

/// Whoever wants them. Called while the target is locked: returns at once, and never asks the store anything.
pub trait Feed: Send + Sync {
    fn fed(&self, fed: Fed);
}

/// What series are, asked outside of [`Feed::fed`].
pub trait Describe: Send + Sync {
    /// In the order asked; none where the store has forgotten it.
    fn describe(&self, series: &[SeriesRef]) -> Vec<Option<SeriesDesc>>;
}
