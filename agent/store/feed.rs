//! Hands on what is kept, and says what its series are.

use std::sync::Arc;

use model::{Describe, Fed, Feed, Labels, Metadata, SeriesDesc, SeriesRef};

use crate::reference;
use crate::row::Row;
use crate::store::Store;
use crate::target::{LOOKUP, Target};

impl Store {
    /// From now on every sample that is kept, and every stale marker that the store writes, is handed over as well.
    /// What was read back from the log is not. The first who asks gets it; false for anybody else.
    pub fn feed_to(&self, feed: Arc<dyn Feed>) -> bool {
        self.feed.set(feed).is_ok()
    }

    pub(crate) fn feed(&self, target: &Target, row: &Row) {
        let Some(feed) = self.feed.get().filter(|_| !row.values.is_empty()) else {
            return;
        };
        feed.fed(Fed {
            target: target.id,
            time: row.time,
            shape: row.shape.id,
            series: row.shape.refs.clone(),
            values: row.values.clone(),
        });
    }
}

impl Describe for Store {
    fn describe(&self, series: &[SeriesRef]) -> Vec<Option<SeriesDesc>> {
        let mut all = Vec::with_capacity(series.len());
        for of_one in series.chunk_by(|a, b| reference::target(*a) == reference::target(*b)) {
            let target = of_one
                .first()
                .and_then(|first| self.target_of(reference::target(*first)));
            let Some(target) = target else {
                all.extend(of_one.iter().map(|_| None));
                continue;
            };
            for some in of_one.chunks(LOOKUP) {
                let found = target.look_up(some, &self.index).into_iter();
                all.extend(found.map(|one| one.map(|(_, labels, family)| desc(labels, &family.metadata))));
            }
        }
        all
    }
}

fn desc(labels: Labels, metadata: &Metadata) -> SeriesDesc {
    SeriesDesc {
        labels,
        kind: metadata.kind,
        family: metadata.family.clone(),
        help: metadata.help.clone(),
        unit: metadata.unit.clone(),
    }
}
