//! What waits to be written: rows of all targets, in the order of their commits.
//!
//! Bounded by samples. The rows are shared with memory, so that what waits costs next to nothing. A commit
//! that finds it full waits a moment before it takes any lock; if that does not help, its row is missing in
//! the log, and counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Timestamp;
use parking_lot::{Condvar, Mutex};

use crate::histograms::HistogramRow;
use crate::row::Row;
use crate::target::Target;

/// Samples that may wait.
pub(crate) const VALUES_MAX: usize = 1 << 20;
/// Longest wait of a commit.
const ROOM_WAIT: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) target: Arc<Target>,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Row(Arc<Row>),
    /// Provisional points.
    Said(Arc<Row>),
    Histograms(Arc<HistogramRow>),
    Retired,
}

/// What the log need not keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutoff {
    /// Older samples are in blocks, or past the retention,
    pub(crate) time: Timestamp,
    /// as long as they are of the first so many entries ever pushed.
    pub(crate) pushed: u64,
}

impl Entry {
    /// Samples in it, and of histograms what takes as much memory; at least one, so that every entry counts.
    pub(crate) fn weight(&self) -> usize {
        match &self.what {
            What::Row(row) | What::Said(row) => row.values.len().max(1),
            What::Histograms(row) => (row.bytes() / 8).max(1),
            What::Retired => 1,
        }
    }

    /// None where it has no samples.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        match &self.what {
            What::Row(row) | What::Said(row) => Some(row.time),
            What::Histograms(row) => Some(row.time),
            What::Retired => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The writer waits here.
    work: Condvar,
    /// Commits wait here.
    room: Condvar,
    /// Whoever asked for a sync waits here.
    done: Condvar,
}

#[derive(Debug)]
struct State {
    entries: Vec<Entry>,
    weight: usize,
    /// Since the writer last asked.
    cutoff: Option<Cutoff>,
    stop: bool,
    syncs_asked: u64,
    syncs_done: u64,
    /// Entries ever pushed, and of these, those that the writer has written as far as the disk took them.
    pushed: u64,
    written: u64,
    /// Whether the last sync left everything on the disk.
    safe: bool,
    /// The writer is gone.
    ended: bool,
}

/// What the writer is to do next.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) entries: Vec<Entry>,
    pub(crate) cutoff: Option<Cutoff>,
    /// Somebody waits for this sync.
    pub(crate) sync: Option<u64>,
    pub(crate) stop: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let state = State {
            entries: Vec::new(),
            weight: 0,
            cutoff: None,
            stop: false,
            syncs_asked: 0,
            syncs_done: 0,
            pushed: 0,
            written: 0,
            safe: true,
            ended: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            room: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// Waits a moment if there is no room for so many samples.
    pub(crate) fn await_room(&self, weight: usize) {
        let mut state = self.state.lock();
        if state.has_room(weight) {
            return;
        }
        let full = |state: &mut State| !state.has_room(weight) && !state.stop && !state.ended;
        self.room.wait_while_for(&mut state, full, ROOM_WAIT);
    }

    /// # Errors
    /// Why the log will not have it, as a reason to count.
    pub(crate) fn push(&self, entry: Entry) -> Result<(), &'static str> {
        let mut state = self.state.lock();
        if state.stop || state.ended {
            return Err("closed");
        }
        if !state.has_room(entry.weight()) {
            return Err("queue_full");
        }
        state.weight += entry.weight();
        state.pushed += 1;
        state.entries.push(entry);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    pub(crate) fn set_cutoff(&self, cutoff: Cutoff) {
        self.state.lock().cutoff = Some(cutoff);
        self.work.notify_one();
    }

    /// Entries ever pushed.
    pub(crate) fn pushed(&self) -> u64 {
        self.state.lock().pushed
    }

    /// Samples that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().weight
    }

    /// Returns once all that was pushed before is with the system, so that only a power failure can lose it; or once
    /// the disk has refused it.
    pub(crate) fn written(&self) {
        let mut state = self.state.lock();
        let wanted = state.pushed;
        self.done
            .wait_while(&mut state, |state| state.written < wanted && !state.ended);
    }

    /// For the writer: so many entries more have been written, or refused by the disk.
    pub(crate) fn wrote(&self, entries: u64) {
        if entries > 0 {
            self.state.lock().written += entries;
            self.done.notify_all();
        }
    }

    /// Returns once all that was pushed before is on the disk, or cannot be: then false.
    pub(crate) fn sync(&self) -> bool {
        let mut state = self.state.lock();
        state.syncs_asked += 1;
        let ticket = state.syncs_asked;
        self.work.notify_one();
        self.done
            .wait_while(&mut state, |state| state.syncs_done < ticket && !state.ended);
        state.safe && state.syncs_done >= ticket
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.work.notify_one();
        self.room.notify_all();
    }

    /// For the writer: waits for work, at most until `deadline`.
    pub(crate) fn next(&self, deadline: Option<Instant>) -> Work {
        let mut state = self.state.lock();
        let idle = |state: &mut State| {
            state.entries.is_empty()
                && !state.stop
                && state.cutoff.is_none()
                && state.syncs_asked == state.syncs_done
        };
        match deadline {
            Some(deadline) => _ = self.work.wait_while_until(&mut state, idle, deadline),
            None => self.work.wait_while(&mut state, idle),
        }
        state.weight = 0;
        let work = Work {
            entries: std::mem::take(&mut state.entries),
            cutoff: state.cutoff.take(),
            sync: (state.syncs_asked > state.syncs_done).then_some(state.syncs_asked),
            stop: state.stop,
        };
        drop(state);
        self.room.notify_all();
        work
    }

    /// For the writer: all that was asked up to this ticket is done.
    pub(crate) fn synced(&self, ticket: u64, safe: bool) {
        let mut state = self.state.lock();
        state.syncs_done = ticket;
        state.safe = safe;
        drop(state);
        self.done.notify_all();
    }

    /// For the writer, when it goes, however it goes.
    pub(crate) fn ended(&self) {
        self.state.lock().ended = true;
        self.done.notify_all();
        self.room.notify_all();
    }
}

impl State {
    fn has_room(&self, weight: usize) -> bool {
        self.entries.is_empty() || self.weight + weight <= VALUES_MAX
    }
}
