//! Moves what is old enough from memory into blocks on disk, a window of two hours at a time.
//!
//! A window is sealed an hour after its end. What comes even later for it, from a sender that was away, stays in memory
//! and in the log, and is sealed as another block of the same window; the two become one when blocks are compacted.
//! Samples go from memory only once their block is safe, and then just those that are in it: readers find each in one
//! of the two, or for a moment in both.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use blocks::{Blocks, Limits, SPAN, Span};
use hashbrown::HashMap;
use model::time::millis;
use model::{Clock, TargetRef, TimeRange, Timestamp};
use parking_lot::Mutex;

use crate::config::Config;
use crate::joined::{Readers, joined};
use crate::read::View;
use crate::selection::Selections;
use crate::store::{OpenError, Store};
use crate::target::Target;

/// How long after its end a window is sealed: whoever sends late has mostly done so by then.
const PATIENCE: Duration = Duration::from_hours(1);
/// Between two seals of windows that have a block already.
const LATE_PAUSE: Duration = Duration::from_mins(10);
/// After a window could not be written: a disk that is full is not filled again every minute.
const REST: Duration = Duration::from_mins(10);

/// The blocks on disk behind the memory.
pub(crate) struct Sealing {
    pub(crate) blocks: Blocks,
    progress: Mutex<Progress>,
    /// None where the folder is only looked at.
    _lock: Option<File>,
}

#[derive(Clone, Copy)]
struct Progress {
    /// Windows that end by then have been sealed.
    sealed: Timestamp,
    /// When a window was last sealed again, by the clock that never jumps.
    late_at: Duration,
    /// After a failure: not before, by the same clock.
    rest_until: Duration,
}

/// What one call of [`Store::seal`] did, for whoever calls to say.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The window that was written, and its samples.
    pub window: Option<(Span, u64)>,
    /// Why one was not written; its samples are still in memory and in the log.
    pub failed: Option<blocks::Error>,
    /// What was done to the blocks there were.
    pub tended: blocks::Done,
}

impl Sealing {
    pub(crate) fn open(
        folder: &Path,
        lock: File,
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let limits = Limits {
            retention: config.retention.time,
            bytes_max: (config.retention.size > 0).then_some(config.retention.size),
        };
        let blocks = Blocks::open(folder, limits, clock.clone()).map_err(OpenError::Blocks)?;
        Ok(Self::of(blocks, Some(lock), &*clock))
    }

    pub(crate) fn of(blocks: Blocks, lock: Option<File>, clock: &dyn Clock) -> Self {
        let progress = Progress {
            sealed: blocks.span().map_or(Timestamp::MIN, |span| span.end),
            late_at: clock.running(),
            rest_until: Duration::ZERO,
        };
        Self {
            blocks,
            progress: Mutex::new(progress),
            _lock: lock,
        }
    }

    pub(crate) fn sealed(&self) -> Timestamp {
        self.progress.lock().sealed
    }
}

impl Store {
    /// Writes a window that is over as a block on disk, lets go of it in memory and in the log, and tends the blocks
    /// there are: one window and one compaction a call. Call it about once a minute, from one thread that may be busy
    /// for as long as that takes. Where there are no blocks it does nothing. A window that could not be written stays
    /// in memory and in the log, and is tried again after ten minutes.
    pub fn seal(&self) -> Sealed {
        let mut done = Sealed::default();
        let Some(sealing) = &self.sealing else { return done };
        if let Some(span) = self.due(sealing) {
            match self.seal_window(sealing, span) {
                Ok(samples) => {
                    self.accounts.sealing.windows.inc();
                    done.window = Some((span, samples));
                }
                Err(error) => {
                    self.accounts.sealing.failures.inc();
                    sealing.progress.lock().rest_until = self.clock.running() + REST;
                    done.failed = Some(error);
                }
            }
        }
        done.tended = sealing.blocks.maintain();
        let newest = sealing.blocks.span().map_or(Timestamp::MAX, |span| span.end);
        let cutoff = self.clock.now().min(newest) - self.config.retention.time;
        self.accounts.sealing.let_go(&done.tended.dropped, cutoff);
        self.accounts.sealing.show(&sealing.blocks.counts());
        done
    }

    /// The oldest window in memory, if its time has come.
    fn due(&self, sealing: &Sealing) -> Option<Span> {
        let span = window(self.head_oldest()?);
        if span.end > self.clock.now() - PATIENCE {
            return None;
        }
        let (progress, running) = (*sealing.progress.lock(), self.clock.running());
        if running < progress.rest_until {
            return None;
        }
        let waits = running.saturating_sub(progress.late_at) < LATE_PAUSE;
        let is_late = span.end <= progress.sealed;
        (!is_late || !waits).then_some(span)
    }

    /// Returns how many samples went to the disk.
    fn seal_window(&self, sealing: &Sealing, span: Span) -> Result<u64, blocks::Error> {
        let range = TimeRange {
            after: Timestamp(span.start.0 - 1),
            until: Timestamp(span.end.0 - 1),
        };
        let targets: HashMap<TargetRef, Arc<Target>> = self
            .all_targets()
            .into_iter()
            .map(|target| (target.id, target))
            .collect();
        let views: HashMap<TargetRef, View> = targets
            .iter()
            .map(|(id, target)| (*id, View::samples(target, range)))
            .collect();
        let mut readers = Readers::new(&views);
        let picks = Selections::all(&self.index).flatten();
        let all = joined(picks, &mut readers);
        let written = sealing.blocks.write(span, all)?;
        drop(readers);
        for (id, target) in &targets {
            if let Some(view) = views.get(id) {
                target.state.lock().let_go(view);
            }
        }
        let mut progress = sealing.progress.lock();
        if span.end > progress.sealed {
            progress.sealed = span.end;
        } else {
            progress.late_at = self.clock.running();
        }
        Ok(written.map_or(0, |meta| meta.stats.num_samples))
    }

    /// Time of the oldest sample in memory.
    pub(crate) fn head_oldest(&self) -> Option<Timestamp> {
        let targets = self.all_targets();
        let oldest = targets.iter().filter_map(|target| target.state.lock().oldest());
        oldest.min()
    }

    /// What is older than this need not be in memory, nor in the log.
    pub(crate) fn cutoff(&self) -> Timestamp {
        let kept = self.clock.now() - self.config.memory();
        let Some(sealing) = &self.sealing else { return kept };
        // Something late may still wait to be sealed, or to be decided.
        let targets = self.all_targets();
        let waiting = targets.iter().filter_map(|target| {
            let state = target.state.lock();
            state.oldest().into_iter().chain(state.tail.first()).min()
        });
        let sealed = sealing.sealed();
        kept.max(waiting.min().map_or(sealed, |oldest| oldest.min(sealed)))
    }
}

/// The window that a time lies in.
pub(crate) fn window(time: Timestamp) -> Span {
    let start = time.0.div_euclid(millis(SPAN)) * millis(SPAN);
    Span {
        start: Timestamp(start),
        end: Timestamp(start.saturating_add(millis(SPAN))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_two_hours_from_1970_on() {
        let span = |hours: i64| (hours * 3_600_000, (hours + 2) * 3_600_000);
        for (time, wanted) in [
            (0, span(0)),
            (7_199_999, span(0)),
            (7_200_000, span(2)),
            (-1, span(-2)),
        ] {
            let Span { start, end } = window(Timestamp(time));
            assert_eq!((start.0, end.0), wanted, "{time}");
        }
    }
}
