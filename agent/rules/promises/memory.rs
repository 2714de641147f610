//! A store in memory: samples by series, and whole rounds that end what they do not have.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::column::Kept;
use model::select::Last;
use model::{
    Column, Keep, KeepError, Labels, MatchOp, Matcher, Metadata, Round, STALE, Select, SelectError, Series,
    SeriesDesc, SeriesRef, TargetDesc, TargetRef, TimeRange, Timestamp, is_stale,
};
use parking_lot::Mutex;

/// Samples by series. A whole round ends what it does not have.
#[derive(Default)]
pub(super) struct Memory(Mutex<Samples>);

#[derive(Default)]
struct Samples {
    series: BTreeMap<Labels, Vec<(Timestamp, f64)>>,
    targets: Vec<TargetDesc>,
    refs: Vec<Labels>,
    last: HashMap<TargetRef, BTreeSet<Labels>>,
}

impl Memory {
    /// Returns whether it was kept: an older sample than the last is not.
    pub(super) fn push(&self, labels: &Labels, at: Timestamp, value: f64) -> bool {
        let mut inner = self.0.lock();
        let samples = inner.series.entry(labels.clone()).or_default();
        let in_order = samples.last().is_none_or(|(last, _)| *last < at);
        if in_order {
            samples.push((at, value));
        }
        in_order
    }

    /// As a new process would find it.
    pub(super) fn forget_refs(&self) {
        let mut inner = self.0.lock();
        let series = std::mem::take(&mut inner.series);
        *inner = Samples {
            series,
            ..Samples::default()
        };
    }

    fn end(&self, labels: &Labels, at: Timestamp) {
        let newest = self
            .0
            .lock()
            .series
            .get(labels)
            .and_then(|samples| samples.last().copied());
        if !newest.is_some_and(|(_, value)| is_stale(value)) {
            self.push(labels, at, STALE);
        }
    }
}

impl Keep for Memory {
    fn target(&self, target: &TargetDesc) -> TargetRef {
        let targets = &mut self.0.lock().targets;
        let at = targets
            .iter()
            .position(|known| known.name == target.name)
            .unwrap_or(targets.len());
        if at == targets.len() {
            targets.push(target.clone());
        }
        TargetRef(at as u32)
    }

    fn series(&self, _: TargetRef, series: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        let refs = &mut self.0.lock().refs;
        let at = refs
            .iter()
            .position(|known| *known == series.labels)
            .unwrap_or(refs.len());
        if at == refs.len() {
            refs.push(series.labels.clone());
        }
        Ok(SeriesRef(at as u64))
    }

    fn commit(&self, column: Column) -> Kept {
        assert_eq!(column.round, Round::Whole);
        let labels: Vec<Labels> = {
            let inner = self.0.lock();
            column
                .series
                .iter()
                .map(|series| inner.refs[series.0 as usize].clone())
                .collect()
        };
        let mut kept = Kept::default();
        for (labels, value) in labels.iter().zip(&column.values) {
            let pushed = self.push(labels, column.time, *value);
            kept.kept += usize::from(pushed);
            kept.out_of_order += usize::from(!pushed);
        }
        let now: BTreeSet<Labels> = labels.into_iter().collect();
        let before = self
            .0
            .lock()
            .last
            .insert(column.target, now.clone())
            .unwrap_or_default();
        before
            .difference(&now)
            .for_each(|labels| self.end(labels, column.time));
        kept
    }

    fn retire(&self, target: TargetRef, time: Timestamp) {
        let before = self.0.lock().last.remove(&target).unwrap_or_default();
        before.iter().for_each(|labels| self.end(labels, time));
    }
}

impl Select for Memory {
    fn select(&self, matchers: &[Matcher], range: TimeRange, _: usize) -> Result<Vec<Series>, SelectError> {
        let inner = self.0.lock();
        let matches = |labels: &Labels| {
            matchers.iter().all(|matcher| match matcher.op {
                MatchOp::Equal => labels.value(&matcher.name) == &*matcher.value,
                MatchOp::NotEqual => labels.value(&matcher.name) != &*matcher.value,
                _ => panic!("no regular expressions here"),
            })
        };
        let found = inner
            .series
            .iter()
            .filter(|(labels, _)| matches(labels))
            .map(|(labels, samples)| {
                let inside: Vec<_> = samples.iter().filter(|(at, _)| range.contains(*at)).collect();
                Series {
                    labels: labels.clone(),
                    times: inside.iter().map(|(at, _)| *at).collect(),
                    values: inside.iter().map(|(_, value)| *value).collect(),
                    staleness: None,
                }
            });
        Ok(found.filter(|series| !series.times.is_empty()).collect())
    }

    fn labels(&self, _: &[Matcher], _: TimeRange) -> Result<Vec<Labels>, SelectError> {
        Ok(Vec::new())
    }

    fn metadata(&self) -> Vec<Metadata> {
        Vec::new()
    }

    fn last(&self, _: Option<&str>) -> Vec<Last> {
        Vec::new()
    }
}
