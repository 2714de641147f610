//! The store of one test group: input series, and what rules give, in one memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::column::Kept;
use model::{
    Column, Keep, KeepError, Labels, Round, STALE, Sample, SeriesDesc, SeriesRef, TargetDesc, TargetRef,
    Timestamp,
};
use parking_lot::Mutex;
use promql::script::Memory;

pub(super) struct Store {
    pub(super) memory: Arc<Memory>,
    given: Mutex<Given>,
}

/// What was given out, and what each target had in its last round.
#[derive(Default)]
struct Given {
    targets: Vec<Arc<str>>,
    series: Vec<Labels>,
    refs: HashMap<Labels, SeriesRef>,
    rounds: HashMap<TargetRef, BTreeSet<SeriesRef>>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            memory: Memory::shared(),
            given: Mutex::default(),
        }
    }

    /// Whether it was kept: of a series that is there twice, as input and from a rule, the first sample of a time stands.
    fn append(&self, given: &Given, series: SeriesRef, time: Timestamp, value: f64) -> bool {
        let labels = usize::try_from(series.0)
            .ok()
            .and_then(|nth| given.series.get(nth));
        labels.is_some_and(|labels| self.memory.append(labels, Sample { time, value }))
    }
}

impl Keep for Store {
    fn target(&self, target: &TargetDesc) -> TargetRef {
        let targets = &mut self.given.lock().targets;
        let known = targets.iter().position(|name| *name == target.name);
        let nth = known.unwrap_or_else(|| {
            targets.push(Arc::clone(&target.name));
            targets.len() - 1
        });
        TargetRef(u32::try_from(nth).unwrap_or(u32::MAX))
    }

    fn series(&self, _: TargetRef, series: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        let given = &mut *self.given.lock();
        let next = SeriesRef(given.series.len() as u64);
        let known = *given.refs.entry(series.labels.clone()).or_insert(next);
        if known == next {
            given.series.push(series.labels.clone());
        }
        Ok(known)
    }

    fn commit(&self, column: Column) -> Kept {
        let given = &mut *self.given.lock();
        let mut kept = Kept::default();
        for (series, value) in column.series.iter().zip(&column.values) {
            if self.append(given, *series, column.time, *value) {
                kept.kept += 1;
            } else {
                kept.duplicate += 1;
            }
        }
        if column.round == Round::Whole {
            let now: BTreeSet<SeriesRef> = column.series.into_iter().collect();
            let before = given
                .rounds
                .insert(column.target, now.clone())
                .unwrap_or_default();
            for ended in before.difference(&now) {
                kept.ended += usize::from(self.append(given, *ended, column.time, STALE));
            }
        }
        kept
    }

    fn retire(&self, target: TargetRef, time: Timestamp) {
        self.commit(Column {
            target,
            time,
            round: Round::Whole,
            series: Vec::new(),
            values: Vec::new(),
        });
    }
}
