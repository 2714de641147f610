//! What the hall asks for every minute: seal, let go, forget. Each call does a bounded piece of work.

use std::sync::Arc;

use model::column::Kept;
use model::{SeriesRef, Timestamp};

use crate::block::Block;
use crate::store::Store;
use crate::target::{BLOCK_ROWS, Target};
use crate::wal::Cutoff;

/// Series forgotten in one call, and samples sealed.
const FORGET_MAX: usize = 20_000;
const SEAL_MAX: usize = 16 << 20;

impl Store {
    /// Call it about once a minute, from any one thread that may work for a few milliseconds.
    pub fn maintain(&self) {
        // First: what is committed from now on, however late it is, may not be in what `cutoff` has seen.
        let pushed = self.wal.as_ref().map_or(0, |wal| wal.queue.pushed());
        let (kept, cutoff) = (self.clock.now() - self.config.memory(), self.cutoff());
        let targets = self.all_targets();
        let (mut to_forget, mut to_seal) = (FORGET_MAX, SEAL_MAX);
        for target in &targets {
            let points = target.state.lock().expire(kept);
            self.accounts.took(&Kept::default(), &points);
            if to_seal > 0 {
                to_seal = to_seal.saturating_sub(seal(target));
            }
            if to_forget > 0 {
                to_forget = to_forget.saturating_sub(self.forget_series(target, cutoff, to_forget));
            }
        }
        self.forget_targets(&targets);
        self.families.lock().forget_unused();
        self.index.read().let_go();
        self.evict(&targets);
        if let Some(wal) = &self.wal {
            wal.queue.set_cutoff(Cutoff { time: cutoff, pushed });
        }
        self.show();
    }

    /// Forgets series without samples since `cutoff`, of the target and of the index; tells how many.
    fn forget_series(&self, target: &Target, cutoff: Timestamp, most: usize) -> usize {
        let any = target.state.lock().idle(cutoff).next().is_some();
        if !any {
            return 0;
        }
        // In the order of the locks, and looked at again: it may have come back.
        let mut index = self.index.write();
        let mut state = target.state.lock();
        let idle: Vec<(SeriesRef, u32)> = state.idle(cutoff).take(most).collect();
        for (series, _) in &idle {
            state.forget(*series);
        }
        state.forget_shapes();
        drop(state);
        let entries: Vec<u32> = idle.iter().map(|(_, entry)| *entry).collect();
        index.remove(&entries);
        self.accounts.removed.inc_by(idle.len() as u64);
        idle.len()
    }

    /// A target goes once it has no series and nobody counts on it.
    fn forget_targets(&self, targets: &[Arc<Target>]) {
        for target in targets {
            let unused = |target: &Target| {
                let state = target.state.lock();
                (state.retired || !state.registered) && state.slots.is_empty()
            };
            if !unused(target) {
                continue;
            }
            let mut known = self.targets.write();
            let mut state = target.state.lock();
            if (state.retired || !state.registered) && state.slots.is_empty() {
                state.forgotten = true;
                known.by_id.remove(&target.id);
                known.by_name.remove(&target.name);
            }
        }
    }

    /// While samples take too much memory: the oldest block of the target that takes most goes.
    fn evict(&self, targets: &[Arc<Target>]) {
        let mut sizes: Vec<(usize, &Arc<Target>)> = targets
            .iter()
            .map(|target| (target.state.lock().bytes(), target))
            .collect();
        let mut total: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
        while total > self.config.memory_bytes_max {
            let with_blocks = sizes
                .iter_mut()
                .filter(|(_, target)| target.state.lock().can_evict());
            let Some((bytes, target)) = with_blocks.max_by_key(|(bytes, _)| *bytes) else {
                break;
            };
            let freed = target.state.lock().evict();
            *bytes = bytes.saturating_sub(freed);
            total = total.saturating_sub(freed);
            self.accounts.evicted_blocks.inc();
        }
        self.accounts.memory_bytes.set(total as f64);
    }

    /// Brings the gauges up to date.
    pub(crate) fn show(&self) {
        self.accounts.series.set(self.series_count() as f64);
        if let Some(oldest) = self.oldest() {
            self.accounts.oldest.set(oldest.seconds());
        }
        self.accounts.targets.set(self.targets.read().by_id.len() as f64);
    }
}

/// Makes a block of a target's rows once there are enough; tells how many samples went in. The packing holds
/// no lock: commits go on meanwhile.
fn seal(target: &Target) -> usize {
    let rows: Vec<_> = {
        let state = target.state.lock();
        let window = state.first_window();
        let is_over = window.len() < state.rows.len();
        if state.rows.len() < BLOCK_ROWS && !is_over {
            return 0;
        }
        window.cloned().collect()
    };
    let block = Block::seal(&rows);
    target.state.lock().replace(&rows, block);
    rows.iter().map(|row| row.values.len()).sum::<usize>() + join(target)
}

/// Makes one block of several small ones; tells how many samples went in.
fn join(target: &Target) -> usize {
    let parts = target.state.lock().to_join();
    if parts.is_empty() {
        return 0;
    }
    let joined = Block::join(&parts);
    target.state.lock().replace_blocks(&parts, joined);
    parts.iter().map(|part| part.series() * part.rows()).sum()
}

#[cfg(test)]
mod tests;
