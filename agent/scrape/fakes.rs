//! A peer that answers by script, and a store that remembers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::column::Kept;
use model::outside::{Client, ClientError, Request, Response};
use model::text::float;
use model::{
    BoxFuture, Column, Exemplar, Keep, KeepError, Labels, NoExemplar, Round, SeriesDesc, SeriesRef,
    TargetDesc, TargetRef, Timestamp,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Clone)]
pub(crate) enum Reply {
    Answer {
        after: Duration,
        kind: Option<String>,
        body: String,
    },
    Status(u16),
    Error(ClientError),
    Never,
}

impl Reply {
    pub(crate) fn text(body: &str) -> Self {
        Self::slow(Duration::ZERO, body)
    }

    pub(crate) fn slow(after: Duration, body: &str) -> Self {
        Self::Answer {
            after,
            kind: Some("text/plain; version=0.0.4; charset=utf-8".to_owned()),
            body: body.to_owned(),
        }
    }

    pub(crate) fn typed(kind: Option<&str>, body: &str) -> Self {
        Self::Answer {
            after: Duration::ZERO,
            kind: kind.map(str::to_owned),
            body: body.to_owned(),
        }
    }
}

/// Each URL gets the replies in their order, and the last one for ever.
pub(crate) struct Peer {
    script: Vec<Reply>,
    left: Mutex<HashMap<String, VecDeque<Reply>>>,
    requests: Mutex<Vec<Request>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Peer {
    pub(crate) fn new(script: &[Reply]) -> Arc<Self> {
        Arc::new(Self {
            script: script.to_vec(),
            left: Mutex::default(),
            requests: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    pub(crate) fn authorizations(&self) -> Vec<String> {
        let requests = self.requests.lock();
        let headers = requests.iter().flat_map(|request| &request.headers);
        headers
            .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
            .map(|(_, value)| value.clone())
            .collect()
    }

    fn next(&self, url: &str) -> Reply {
        let mut left = self.left.lock();
        let replies = left
            .entry(url.to_owned())
            .or_insert_with(|| self.script.clone().into());
        if replies.len() > 1 {
            replies.pop_front()
        } else {
            replies.front().cloned()
        }
        .unwrap()
    }
}

/// Counts itself while it lives, also when its request is given up.
struct Under<'a>(&'a AtomicUsize);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Client for Peer {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        Box::pin(async move {
            let now = 1 + self.now.fetch_add(1, Ordering::Relaxed);
            let _under = Under(&self.now);
            self.most.fetch_max(now, Ordering::Relaxed);
            let reply = self.next(&request.url);
            self.requests.lock().push(request);
            let answer = |status, kind: Option<String>, body: String| Response {
                status,
                headers: kind
                    .map(|kind| ("content-type".to_owned(), kind))
                    .into_iter()
                    .collect(),
                body: body.into_bytes(),
            };
            match reply {
                Reply::Answer { after, kind, body } => {
                    tokio::time::sleep(after).await;
                    Ok(answer(200, kind, body))
                }
                Reply::Status(status) => Ok(answer(status, None, String::new())),
                Reply::Error(error) => Err(error),
                Reply::Never => std::future::pending().await,
            }
        })
    }
}

#[derive(Default)]
pub(crate) struct Recorder {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    targets: Vec<TargetDesc>,
    series: Vec<SeriesDesc>,
    by_labels: HashMap<Labels, u64>,
    columns: Vec<Column>,
    retired: Vec<TargetRef>,
    exemplars: Vec<(Labels, Exemplar)>,
    asked: usize,
    limit: Option<usize>,
    /// Refs below are forgotten.
    oldest: u64,
}

impl Inner {
    fn name(&self, target: TargetRef) -> &str {
        &self.targets[target.0 as usize].name
    }

    fn lines(&self, column: &Column) -> Vec<String> {
        let line = |(series, value): (&SeriesRef, &f64)| {
            format!("{} {}", self.series[series.0 as usize].labels, float::go(*value))
        };
        column.series.iter().zip(&column.values).map(line).collect()
    }
}

impl Recorder {
    pub(crate) fn asked(&self) -> usize {
        self.inner.lock().asked
    }

    /// As after a long silence: no ref is good any more.
    pub(crate) fn forget(&self) {
        let mut inner = self.inner.lock();
        inner.oldest = inner.series.len() as u64;
        inner.by_labels.clear();
    }

    pub(crate) fn limit(&self, series: usize) {
        self.inner.lock().limit = Some(series);
    }

    pub(crate) fn columns(&self, target: &str) -> Vec<Column> {
        let inner = self.inner.lock();
        let columns = inner
            .columns
            .iter()
            .filter(|column| inner.name(column.target) == target);
        columns.cloned().collect()
    }

    fn wholes(&self, target: &str) -> Vec<Column> {
        let is_whole = |column: &Column| column.round == Round::Whole;
        self.columns(target).into_iter().filter(is_whole).collect()
    }

    /// Waits for the nth whole column.
    pub(crate) async fn whole(&self, target: &str, nth: usize) -> Column {
        loop {
            if let Some(column) = self.wholes(target).get(nth) {
                // The target's own state is settled right after the commit.
                tokio::task::yield_now().await;
                return column.clone();
            }
            self.changed.notified().await;
        }
    }

    pub(crate) fn lines(&self, target: &str, nth: usize) -> Vec<String> {
        let column = self.wholes(target)[nth].clone();
        let lines = self.inner.lock().lines(&column);
        lines
            .into_iter()
            .filter(|line| !line.starts_with("scrape_duration_seconds"))
            .collect()
    }

    pub(crate) fn parts(&self, target: &str) -> Vec<(i64, Vec<String>)> {
        let columns = self.columns(target);
        let inner = self.inner.lock();
        let parts = columns.iter().filter(|column| column.round == Round::Part);
        parts.map(|column| (column.time.0, inner.lines(column))).collect()
    }

    pub(crate) fn retired(&self) -> Vec<String> {
        let inner = self.inner.lock();
        inner
            .retired
            .iter()
            .map(|target| inner.name(*target).to_owned())
            .collect()
    }

    pub(crate) fn exemplars(&self) -> Vec<(Labels, Exemplar)> {
        self.inner.lock().exemplars.clone()
    }

    /// All series as they were described last.
    pub(crate) fn told(&self) -> Vec<SeriesDesc> {
        self.inner.lock().series.clone()
    }

    pub(crate) fn described(&self, name: &str) -> (&'static str, String) {
        let inner = self.inner.lock();
        let desc = inner
            .series
            .iter()
            .find(|desc| desc.labels.name() == name)
            .unwrap();
        (desc.kind.text(), desc.help.to_string())
    }

    pub(crate) fn family(&self, name: &str) -> (String, &'static str) {
        let inner = self.inner.lock();
        let desc = inner
            .series
            .iter()
            .find(|desc| desc.labels.name() == name)
            .unwrap();
        (desc.family.to_string(), desc.kind.text())
    }
}

impl Keep for Recorder {
    fn target(&self, target: &TargetDesc) -> TargetRef {
        let targets = &mut self.inner.lock().targets;
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
        let mut inner = self.inner.lock();
        inner.asked += 1;
        if let Some(known) = inner.by_labels.get(&series.labels).copied() {
            inner.series[known as usize] = series.clone();
            return Ok(SeriesRef(known));
        }
        let at = inner.series.len();
        if let Some(limit) = inner.limit.filter(|limit| at >= *limit) {
            return Err(KeepError::SeriesLimit { limit });
        }
        inner.series.push(series.clone());
        inner.by_labels.insert(series.labels.clone(), at as u64);
        Ok(SeriesRef(at as u64))
    }

    fn exemplar(&self, series: SeriesRef, exemplar: Exemplar) -> Result<(), NoExemplar> {
        let mut inner = self.inner.lock();
        let labels = inner.series[series.0 as usize].labels.clone();
        inner.exemplars.push((labels, exemplar));
        Ok(())
    }

    fn commit(&self, column: Column) -> Kept {
        assert_eq!(column.series.len(), column.values.len());
        let mut unique = column.series.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), column.series.len(), "a column has each series once");
        let mut inner = self.inner.lock();
        let is_unknown = |series: &&SeriesRef| series.0 < inner.oldest;
        let unknown = column.series.iter().filter(is_unknown).count();
        let kept = Kept {
            kept: column.series.len() - unknown,
            unknown,
            ..Kept::default()
        };
        inner.columns.push(column);
        drop(inner);
        self.changed.notify_waiters();
        self.changed.notify_one();
        kept
    }

    fn retire(&self, target: TargetRef, _: Timestamp) {
        self.inner.lock().retired.push(target);
    }
}
