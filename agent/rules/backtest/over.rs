//! History and what the rules have given, as one. What history has under the same names was given by the rules as they
//! were then, and is left out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use model::labels::METRIC_NAME;
use model::select::{Last, Mixed};
use model::{
    Labels, MatchOp, Matcher, Metadata, Select, SelectError, Selection, Series, TimeRange, Timestamp,
};
use parking_lot::{Mutex, RwLock};
use promql::script::Memory;

use super::outputs::{Output, Outputs};

/// Selectors whose place is remembered; when there are more, all are forgotten.
const PLACES_MAX: usize = 1024;

pub(super) struct Over {
    history: RwLock<Arc<dyn Select>>,
    own: Arc<Memory>,
    outputs: Arc<Outputs>,
    /// Nothing later is there yet.
    now: AtomicI64,
    /// By matchers: rules ask the same again and again.
    places: Mutex<HashMap<Vec<Matcher>, Place>>,
}

/// Where a selector finds something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    History,
    Own,
    Both,
}

impl Over {
    pub(super) fn new(own: Arc<Memory>, outputs: Arc<Outputs>) -> Self {
        let nothing: Arc<dyn Select> = Memory::shared();
        Self {
            history: RwLock::new(nothing),
            own,
            outputs,
            now: AtomicI64::new(i64::MAX),
            places: Mutex::default(),
        }
    }

    pub(super) fn set_history(&self, history: Arc<dyn Select>) {
        *self.history.write() = history;
    }

    pub(super) fn set_now(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::Relaxed);
    }

    fn history(&self) -> Arc<dyn Select> {
        Arc::clone(&self.history.read())
    }

    /// Whether only rules give what a selector reads.
    pub(super) fn is_own(&self, matchers: &[Matcher]) -> bool {
        self.place(matchers) == Place::Own
    }

    fn place(&self, matchers: &[Matcher]) -> Place {
        if let Some(known) = self.places.lock().get(matchers) {
            return *known;
        }
        let meant = self.outputs.meant(matchers);
        let is_named = matchers
            .iter()
            .any(|matcher| *matcher.name == *METRIC_NAME && matcher.op == MatchOp::Equal);
        // Some other alert's ALERTS may be in history.
        let place = if meant.is_empty() {
            Place::History
        } else if is_named && meant.iter().all(|output| matches!(output, Output::Series(_))) {
            Place::Own
        } else {
            Place::Both
        };
        let mut places = self.places.lock();
        if places.len() >= PLACES_MAX {
            places.clear();
        }
        places.insert(matchers.to_vec(), place);
        place
    }

    fn until_now(&self, range: TimeRange) -> TimeRange {
        let now = Timestamp(self.now.load(Ordering::Relaxed));
        TimeRange {
            until: range.until.min(now).max(range.after),
            ..range
        }
    }
}

impl Select for Over {
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Series>, SelectError> {
        let range = self.until_now(range);
        let place = self.place(matchers);
        let mut found = match place {
            Place::Own => Vec::new(),
            Place::History | Place::Both => self.history().select(matchers, range, samples_max)?,
        };
        if place == Place::History {
            return Ok(found);
        }
        found.retain(|series| !self.outputs.hold(&series.labels));
        let held: usize = found.iter().map(|series| series.values.len()).sum();
        let own = self
            .own
            .select(matchers, range, samples_max.saturating_sub(held))
            .map_err(|error| match error {
                SelectError::TooMany { .. } => SelectError::TooMany { limit: samples_max },
                other => other,
            })?;
        found.extend(own);
        found.sort_by(|one, other| one.labels.cmp(&other.labels));
        Ok(found)
    }

    fn selection(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Selection, SelectError> {
        if self.place(matchers) == Place::History {
            let range = self.until_now(range);
            return self.history().selection(matchers, range, samples_max);
        }
        self.select(matchers, range, samples_max).map(Selection::from)
    }

    fn mixed(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Mixed>, SelectError> {
        let mut found = self
            .history()
            .mixed(matchers, self.until_now(range), samples_max)?;
        found.retain(|mixed| !self.outputs.hold(&mixed.labels));
        Ok(found)
    }

    fn has_histograms(&self, matchers: &[Matcher], range: TimeRange) -> Result<bool, SelectError> {
        self.history().has_histograms(matchers, self.until_now(range))
    }

    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        let range = self.until_now(range);
        let mut found = self.history().labels(matchers, range)?;
        found.retain(|labels| !self.outputs.hold(labels));
        found.extend(self.own.labels(matchers, range)?);
        found.sort();
        Ok(found)
    }

    fn metadata(&self) -> Vec<Metadata> {
        self.history().metadata()
    }

    fn last(&self, page: Option<&str>) -> Vec<Last> {
        self.history().last(page)
    }
}
