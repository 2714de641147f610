//! The thread that writes the log.
//!
//! Rows are written as they come and made safe once per sync interval. They stay in `pending` until they are
//! safe; when the disk fails they are written again, all of them, to a new segment once it works. What does
//! not fit meanwhile is lost for the log, oldest first, and counted; memory has it all the same.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::disk::Disk;
use super::queue::{Cutoff, Entry, Queue, VALUES_MAX, Work};
use super::segment::{Closed, Left, Segment};
use crate::accounts::WalAccounts;
use crate::index::Index;

const SEGMENT_BYTES: u64 = 16 << 20;
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// Where the log is and how it is kept.
pub(crate) struct Settings {
    pub(crate) disk: Arc<dyn Disk>,
    /// Knows labels.
    pub(crate) index: Arc<RwLock<Index>>,
    pub(crate) folder: PathBuf,
    pub(crate) accounts: WalAccounts,
    pub(crate) sync_interval: Duration,
    pub(crate) bytes_max: u64,
    /// A segment that spans more time than this gives way to the next.
    pub(crate) span: Duration,
}

pub(crate) struct Writer {
    queue: Arc<Queue>,
    settings: Settings,
    /// Oldest first.
    closed: VecDeque<Closed>,
    next_number: u64,
    state: State,
}

#[derive(Default)]
struct State {
    open: Option<Segment>,
    /// Not yet safe; the first `written` of them are in the open segment.
    pending: VecDeque<Entry>,
    pending_weight: usize,
    written: usize,
    /// When the first of what is written must be safe.
    sync_at: Option<Instant>,
    failing: Option<Failing>,
    /// Entries ever taken from the queue.
    taken: u64,
}

struct Failing {
    retry_at: Instant,
    pause: Duration,
    reason: &'static str,
    lost: u64,
    /// It was tried again and has not failed since.
    tried: bool,
}

/// Tells waiters that nobody serves them any more.
struct Ended(Arc<Queue>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended();
    }
}

impl Writer {
    pub(crate) fn new(
        queue: Arc<Queue>,
        settings: Settings,
        closed: VecDeque<Closed>,
        next_number: u64,
    ) -> Self {
        let this = Self {
            queue,
            settings,
            closed,
            next_number,
            state: State::default(),
        };
        this.show_size();
        this
    }

    pub(crate) fn run(mut self) {
        let _ended = Ended(self.queue.clone());
        loop {
            let Work {
                entries,
                cutoff,
                sync,
                stop,
            } = self.queue.next(self.deadline());
            let taken = entries.len() as u64;
            self.take(entries);
            if self.may_try(sync.is_some() || stop) {
                if let Some(failing) = &mut self.state.failing {
                    failing.tried = true;
                }
                self.write();
            }
            self.queue.wrote(taken);
            if sync.is_some() || stop || self.must_sync() {
                self.sync();
            }
            if let Some(cutoff) = cutoff {
                self.remove_older(cutoff);
            }
            self.show_size();
            if let Some(ticket) = sync {
                self.queue.synced(
                    ticket,
                    self.state.pending.is_empty() && self.state.failing.is_none(),
                );
            }
            if stop {
                return;
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.state
            .sync_at
            .or(self.state.failing.as_ref().map(|failing| failing.retry_at))
    }

    /// Whether what is written has waited long enough, is much, or is to show that the disk works again.
    fn must_sync(&self) -> bool {
        let State {
            sync_at,
            failing,
            pending_weight,
            ..
        } = &self.state;
        let due = sync_at.is_some_and(|at| at <= Instant::now());
        due || *pending_weight > VALUES_MAX || failing.as_ref().is_some_and(|failing| failing.tried)
    }

    fn may_try(&self, now: bool) -> bool {
        now || self
            .state
            .failing
            .as_ref()
            .is_none_or(|failing| failing.retry_at <= Instant::now())
    }

    fn take(&mut self, entries: Vec<Entry>) {
        self.state.taken += entries.len() as u64;
        self.state.pending_weight += entries.iter().map(Entry::weight).sum::<usize>();
        self.state.pending.extend(entries);
        let Some(failing) = &mut self.state.failing else {
            return;
        };
        while self.state.pending_weight > VALUES_MAX {
            let Some(oldest) = self.state.pending.pop_front() else {
                break;
            };
            let weight = oldest.weight();
            self.state.pending_weight -= weight;
            failing.lost += weight as u64;
            self.settings
                .accounts
                .dropped
                .with_label_values(&[failing.reason])
                .inc_by(weight as u64);
        }
    }

    fn write(&mut self) {
        while let Some(entry) = self.state.pending.get(self.state.written).cloned() {
            if let Err(error) = self.write_one(&entry) {
                return self.fail(&error);
            }
        }
        let flushed = self.state.open.as_mut().map_or(Ok(()), Segment::flush);
        if let Err(error) = flushed {
            self.fail(&error);
        }
    }

    fn write_one(&mut self, entry: &Entry) -> io::Result<()> {
        if self.is_full(entry) {
            self.sync_open()?;
            self.close_open();
        }
        let waiting = self.state.pending.len() - self.state.written;
        let number = self.state.taken - waiting as u64 + 1;
        let segment = match &mut self.state.open {
            Some(segment) => segment,
            none => {
                let segment = Segment::create(&*self.settings.disk, &self.settings.folder, self.next_number)?;
                self.next_number += 1;
                none.insert(segment)
            }
        };
        if !segment.write(entry, number, &self.settings.index)? {
            self.settings
                .accounts
                .dropped
                .with_label_values(&["too_long"])
                .inc_by(entry.weight() as u64);
        }
        self.state.written += 1;
        if self.state.sync_at.is_none() {
            self.state.sync_at = Some(Instant::now() + self.settings.sync_interval);
        }
        Ok(())
    }

    fn is_full(&self, entry: &Entry) -> bool {
        let Some(open) = &self.state.open else {
            return false;
        };
        // Definitions are said again in each segment; they must not be most of it.
        let most = self.settings.bytes_max / 4;
        let long = open.bytes() >= SEGMENT_BYTES.max(open.defined_bytes.saturating_mul(4)).min(most);
        let Some(time) = entry.time() else { return long };
        // Not from its oldest row: one source that is late would end a segment with each of its rounds.
        let spans = |first| first < time && time.since(first) > self.settings.span;
        long || open.first.is_some_and(spans)
    }

    fn sync(&mut self) {
        match self.sync_open() {
            Ok(()) if self.state.pending.is_empty() => self.heal(),
            Ok(()) => {}
            Err(error) => self.fail(&error),
        }
    }

    /// What is written is safe when this returns, and no longer pending.
    fn sync_open(&mut self) -> io::Result<()> {
        if let Some(open) = self.state.open.as_mut().filter(|_| self.state.written > 0) {
            let started = Instant::now();
            open.sync()?;
            self.settings
                .accounts
                .sync_seconds
                .observe(started.elapsed().as_secs_f64());
        }
        for entry in self.state.pending.drain(..self.state.written) {
            self.state.pending_weight -= entry.weight();
        }
        self.state.pending.shrink_to(1024);
        self.state.written = 0;
        self.state.sync_at = None;
        Ok(())
    }

    fn close_open(&mut self) {
        self.closed.extend(self.state.open.take().map(Segment::close));
        while self.size() > self.settings.bytes_max && !self.closed.is_empty() {
            self.remove_oldest("size");
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.settings.accounts.failures.inc();
        let abandoned = self.state.open.take();
        match abandoned.map(|open| open.abandon(&*self.settings.disk)) {
            Some(Left::Safe(closed)) => self.closed.push_back(closed),
            // A number that is missing tells the next start that something is lost.
            Some(Left::Nothing) => self.next_number -= 1,
            Some(Left::Scrap) | None => {}
        }
        self.state.written = 0;
        self.state.sync_at = None;
        let reason = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk_full",
            _ => "disk_error",
        };
        let before = self.state.failing.take();
        if before.is_none() {
            tracing::warn!(%error, folder = %self.settings.folder.display(),
                "the write-ahead log cannot be written; samples are kept in memory, and writing is tried again");
        }
        let pause = before
            .as_ref()
            .map_or(RETRY_FIRST, |failing| (failing.pause * 2).min(RETRY_MOST));
        let lost = before.map_or(0, |failing| failing.lost);
        self.state.failing = Some(Failing {
            retry_at: Instant::now() + pause,
            pause,
            reason,
            lost,
            tried: false,
        });
    }

    fn heal(&mut self) {
        if let Some(failing) = self.state.failing.take() {
            tracing::info!(lost = failing.lost, "the write-ahead log is written again");
        }
    }

    fn remove_older(&mut self, cutoff: Cutoff) {
        while self.closed.front().is_some_and(|oldest| oldest.is_past(cutoff)) {
            self.remove_oldest("age");
        }
        let is_past = |open: &Segment| open.is_past(cutoff);
        if self.state.open.as_ref().is_some_and(is_past) && self.state.pending.is_empty() {
            self.close_open();
            self.remove_older(cutoff);
        }
    }

    fn remove_oldest(&mut self, reason: &'static str) {
        let Some(oldest) = self.closed.pop_front() else {
            return;
        };
        match self.settings.disk.remove(&oldest.path) {
            Ok(()) => self
                .settings
                .accounts
                .removed_segments
                .with_label_values(&[reason])
                .inc(),
            // It is found again at the next start.
            Err(error) => tracing::warn!(%error, path = %oldest.path.display(), "an old log segment stays"),
        }
    }

    fn size(&self) -> u64 {
        let open = self.state.open.as_ref().map_or(0, Segment::bytes);
        self.closed.iter().map(|closed| closed.bytes).sum::<u64>() + open
    }

    fn show_size(&self) {
        self.settings.accounts.bytes.set(self.size() as f64);
        let open = usize::from(self.state.open.is_some());
        self.settings
            .accounts
            .segments
            .set((self.closed.len() + open) as f64);
    }
}
