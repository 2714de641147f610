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

pub(crate) struct Store {
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
    /// Series that got two values for one time.
    clashes: Vec<Labels>,
}

impl Store {
    /// Over a memory whose samples of before go.
    pub(crate) fn new(memory: &Arc<Memory>) -> Self {
        memory.clear();
        Self {
            memory: Arc::clone(memory),
            given: Mutex::default(),
        }
    }

    /// Series that got a second value for one time since the last call: as input and from a rule, or from two rules.
    /// The first value stands.
    pub(super) fn take_clashes(&self) -> Vec<Labels> {
        std::mem::take(&mut self.given.lock().clashes)
    }

    fn append(&self, labels: &Labels, sample: Sample) -> Result<(), Sample> {
        match self.memory.append(labels, sample) {
            Err(last) if last.time == sample.time && last.value.to_bits() == sample.value.to_bits() => Ok(()),
            appended => appended,
        }
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
        let Given {
            series: all,
            rounds,
            clashes,
            ..
        } = &mut *self.given.lock();
        let mut kept = Kept::default();
        let time = column.time;
        let labels = |series: &SeriesRef| all.get(usize::try_from(series.0).ok()?);
        for (series, value) in column.series.iter().zip(&column.values) {
            let Some(labels) = labels(series) else {
                kept.unknown += 1;
                continue;
            };
            match self.append(labels, Sample { time, value: *value }) {
                Ok(()) => kept.kept += 1,
                Err(_) => {
                    kept.duplicate += 1;
                    clashes.push(labels.clone());
                }
            }
        }
        if column.round == Round::Whole {
            let now: BTreeSet<SeriesRef> = column.series.into_iter().collect();
            let before = rounds.insert(column.target, now.clone()).unwrap_or_default();
            // What somebody else gives at this time has not ended.
            for labels in before.difference(&now).filter_map(labels) {
                let ended = self.append(labels, Sample { time, value: STALE });
                kept.ended += usize::from(ended.is_ok());
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
