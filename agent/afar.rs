//! Brings the last lines of a pod from the node that has it to the page and to incidents.
//!
//! Asked on threads that may wait. Nobody waits longer than he said; what did not arrive is told by name.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use logs::{Gathered, Nodes};
use model::view::{Asked, LogBucket, LogPage, LogQuery};
use model::{Level, LogRecord, TailQuery, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Views that wait for nodes at the same time; the next ones are told that they have to.
const AT_ONCE: usize = 8;
/// A view is drawn after this, whoever has answered.
pub(crate) const VIEW_PATIENCE: Duration = Duration::from_secs(2);
/// How much longer the answer of the other runtime is waited for.
const GRACE: Duration = Duration::from_millis(250);
const BUCKETS: u32 = 60;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Afar {
    nodes: Arc<Nodes>,
    /// Connections belong to the runtime that opened them.
    main: Handle,
    places: Arc<Semaphore>,
}

impl Afar {
    pub(crate) fn new(nodes: Nodes, main: Handle) -> Self {
        Self {
            nodes: Arc::new(nodes),
            main,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.nodes.count()
    }

    pub(crate) fn nodes(&self) -> Arc<Nodes> {
        Arc::clone(&self.nodes)
    }

    /// The last lines of a pod, from the node of this name if there is one, else from whichever has it. Blocks for
    /// `patience` at most.
    pub(crate) fn ask(&self, query: TailQuery, node: Option<&str>, patience: Duration) -> Gathered {
        let nobody = |why: &str| Gathered {
            unheard: vec![model::Unheard {
                node: "the nodes".into(),
                why: why.to_owned(),
            }],
            ..Gathered::default()
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return nobody("too many others wait for them at this moment");
        };
        let (nodes, node) = (Arc::clone(&self.nodes), node.map(str::to_owned));
        let (answer, answered) = sync_channel(1);
        self.main.spawn(async move {
            let _place = place;
            let gathered = nodes.tail(&query, node.as_deref(), patience).await;
            // Whoever asked may have gone.
            _ = answer.send(gathered);
        });
        let answered = answered.recv_timeout(patience + GRACE);
        answered.unwrap_or_else(|_| nobody("this process is too busy to ask them"))
    }

    /// Adds to a page what nodes have, where it is about pods that can be named.
    pub(crate) fn add(&self, query: &LogQuery, page: LogPage) -> LogPage {
        let pods = &query.pods;
        let is_pod = !pods.namespace.is_empty() && !pods.pod.is_empty() && query.source.is_empty();
        if !is_pod || !query.pattern.is_empty() || self.nodes.count() == 0 {
            return page;
        }
        let asked = TailQuery {
            namespace: pods.namespace.clone(),
            pod: format!("{}*", pods.pod),
            container: pods.container.clone(),
            text: query.text.clone(),
            level: query.level,
            from: query.from,
            to: query.to,
            lines: query.lines_max,
        };
        merged(page, query, self.ask(asked, None, VIEW_PATIENCE))
    }
}

/// What is kept here and what nodes have told, as one page.
fn merged(mut page: LogPage, query: &LogQuery, found: Gathered) -> LogPage {
    let is_known = |line: &LogRecord| {
        let mut own = page.lines.iter();
        own.any(|own| own.identity() == line.identity())
    };
    let new: Vec<LogRecord> = found.lines.into_iter().filter(|line| !is_known(line)).collect();
    if page.histogram.is_empty() {
        page.histogram = buckets(query.from, query.to);
    }
    for line in &new {
        let after = page.histogram.partition_point(|bucket| bucket.start <= line.time);
        let Some(bucket) = after.checked_sub(1).and_then(|nth| page.histogram.get_mut(nth)) else {
            continue;
        };
        bucket.lines += 1;
        bucket.grave += u64::from(line.level >= Level::Warn);
        bucket.errors += u64::from(line.level >= Level::Error);
    }
    page.matched += new.len() as u64;
    page.lines.extend(new);
    page.lines.sort_by_key(|line| line.time);
    let skipped = page.lines.len().saturating_sub(query.lines_max);
    page.lines.drain(..skipped);
    page.cut |= found.cut || skipped > 0;
    if found.cut && page.looked_from.is_none() {
        page.looked_from = page.lines.first().map(|line| line.time);
    }
    page.nodes = Asked {
        heard: found.heard,
        unheard: found.unheard,
        known: found.known,
    };
    page
}

fn buckets(from: Timestamp, to: Timestamp) -> Vec<LogBucket> {
    let width = (to.since(from) / BUCKETS).max(Duration::from_millis(1));
    let starts = (0..BUCKETS).map(|nth| from + width * nth);
    let buckets = starts.map(|start| LogBucket {
        start,
        ..LogBucket::default()
    });
    buckets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: i64, level: Level) -> LogRecord {
        LogRecord {
            time: Timestamp(second * 1_000),
            level,
            source: "shop/cart-1/app".into(),
            stream: "".into(),
            text: "x".to_owned(),
            file: "/f".into(),
            offset_bytes: second.unsigned_abs(),
        }
    }

    #[test]
    fn lines_of_nodes_are_merged_counted_and_never_twice() {
        let query = LogQuery {
            from: Timestamp(0),
            to: Timestamp(60_000),
            lines_max: 3,
            ..LogQuery::default()
        };
        let page = LogPage {
            lines: vec![line(2, Level::Info)],
            matched: 1,
            ..LogPage::default()
        };
        let found = Gathered {
            lines: [1, 2, 3, 4].map(|second| line(second, Level::Error)).to_vec(),
            heard: 2,
            known: true,
            ..Gathered::default()
        };
        let page = merged(page, &query, found);
        let seconds: Vec<i64> = page.lines.iter().map(|line| line.time.0 / 1_000).collect();
        assert_eq!((seconds, page.matched, page.cut), (vec![2, 3, 4], 4, true));
        let errors: Vec<u64> = page
            .histogram
            .iter()
            .take(6)
            .map(|bucket| bucket.errors)
            .collect();
        assert_eq!((page.histogram.len(), errors), (60, vec![0, 1, 0, 1, 1, 0]));
        assert_eq!((page.nodes.heard, page.nodes.known), (2, true));
    }
}
