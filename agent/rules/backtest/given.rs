//! Takes what the rules give, and keeps what other rules read of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::column::Kept;
use model::{Column, Keep, KeepError, SeriesDesc, SeriesRef, TargetDesc, TargetRef, Timestamp};
use promql::script::Memory;

use super::outputs::Output;
use crate::unit::Store;

/// The series that nobody reads.
const UNREAD: SeriesRef = SeriesRef(u64::MAX);

pub(super) struct Given {
    store: Store,
    read: BTreeSet<Output>,
}

impl Given {
    pub(super) fn new(memory: &Arc<Memory>, read: BTreeSet<Output>) -> Self {
        Self {
            store: Store::new(memory),
            read,
        }
    }
}

impl Keep for Given {
    fn target(&self, target: &TargetDesc) -> TargetRef {
        self.store.target(target)
    }

    fn series(&self, target: TargetRef, series: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        if self.read.contains(&Output::of(&series.labels)) {
            self.store.series(target, series)
        } else {
            Ok(UNREAD)
        }
    }

    fn commit(&self, mut column: Column) -> Kept {
        let unread = column.series.iter().filter(|series| **series == UNREAD).count();
        if unread > 0 {
            let pairs = column.series.iter().zip(&column.values);
            let read = pairs.filter(|(series, _)| **series != UNREAD);
            (column.series, column.values) = read.map(|(series, value)| (*series, *value)).unzip();
        }
        let kept = self.store.commit(column);
        Kept {
            kept: kept.kept + unread,
            ..kept
        }
    }

    fn retire(&self, target: TargetRef, time: Timestamp) {
        self.store.retire(target, time);
    }
}
