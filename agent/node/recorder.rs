//! A store for tests: it remembers what it was told and prints it as exposition text.

use std::collections::HashMap;

use model::column::Kept;
use model::text::float;
use model::{
    Column, Keep, KeepError, Labels, Round, SeriesDesc, SeriesRef, TargetDesc, TargetRef, Timestamp,
};
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct Recorder(Mutex<Inner>, tokio::sync::Notify);

#[derive(Default)]
struct Inner {
    targets: Vec<TargetDesc>,
    series: Vec<SeriesDesc>,
    by_labels: HashMap<Labels, u64>,
    columns: Vec<Column>,
    asked: usize,
    limit: Option<usize>,
    /// Refs below are forgotten.
    oldest: u64,
}

impl Recorder {
    /// As after a long silence: no ref is good any more.
    pub(crate) fn forget(&self) {
        let mut inner = self.0.lock();
        inner.oldest = inner.series.len() as u64;
        inner.by_labels.clear();
    }

    pub(crate) fn asked(&self) -> usize {
        self.0.lock().asked
    }

    pub(crate) fn limit(&self, series: usize) {
        self.0.lock().limit = Some(series);
    }

    pub(crate) async fn columns_of(&self, target: &str, count: usize) -> Vec<Column> {
        loop {
            let columns = self.now_of(target);
            if columns.len() >= count {
                return columns;
            }
            self.1.notified().await;
        }
    }

    pub(crate) fn now_of(&self, target: &str) -> Vec<Column> {
        let inner = self.0.lock();
        let is_it = |column: &&Column| {
            let desc = inner.targets.get(column.target.0 as usize);
            desc.is_some_and(|desc| &*desc.name == target)
        };
        inner.columns.iter().filter(is_it).cloned().collect()
    }

    /// Lines of the newest column, in the order of the round, without the labels that all have.
    pub(crate) fn lines(&self, target: &str) -> Vec<String> {
        let Some(column) = self.now_of(target).pop() else {
            return Vec::new();
        };
        let inner = self.0.lock();
        let line = |(series, value): (&SeriesRef, &f64)| {
            let desc = &inner.series[series.0 as usize];
            let labels = desc.labels.retain(|name| name != "job" && name != "instance");
            format!("{labels} {}", float::go(*value))
        };
        column.series.iter().zip(&column.values).map(line).collect()
    }

    pub(crate) fn kinds(&self) -> Vec<(String, &'static str)> {
        let inner = self.0.lock();
        let kind = |desc: &SeriesDesc| (desc.family.to_string(), desc.kind.text());
        inner.series.iter().map(kind).collect()
    }

    pub(crate) fn labels(&self) -> Vec<Labels> {
        self.0
            .lock()
            .series
            .iter()
            .map(|desc| desc.labels.clone())
            .collect()
    }
}

impl Keep for Recorder {
    fn target(&self, target: &TargetDesc) -> TargetRef {
        let targets = &mut self.0.lock().targets;
        let at = targets
            .iter()
            .position(|known| known.name == target.name)
            .unwrap_or_else(|| {
                targets.push(target.clone());
                targets.len() - 1
            });
        TargetRef(u32::try_from(at).unwrap())
    }

    fn series(&self, _: TargetRef, series: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        let mut inner = self.0.lock();
        inner.asked += 1;
        if let Some(known) = inner.by_labels.get(&series.labels) {
            return Ok(SeriesRef(*known));
        }
        let at = inner.series.len();
        if let Some(limit) = inner.limit.filter(|limit| at >= *limit) {
            return Err(KeepError::SeriesLimit { limit });
        }
        inner.series.push(series.clone());
        inner.by_labels.insert(series.labels.clone(), at as u64);
        Ok(SeriesRef(at as u64))
    }

    fn commit(&self, column: Column) -> Kept {
        assert_eq!(column.series.len(), column.values.len());
        assert_eq!(column.round, Round::Whole);
        let mut inner = self.0.lock();
        let is_unknown = |series: &&SeriesRef| series.0 < inner.oldest;
        let unknown = column.series.iter().filter(is_unknown).count();
        let kept = Kept {
            kept: column.series.len() - unknown,
            unknown,
            ..Kept::default()
        };
        inner.columns.push(column);
        drop(inner);
        self.1.notify_waiters();
        self.1.notify_one();
        kept
    }

    fn retire(&self, _: TargetRef, _: Timestamp) {}
}
