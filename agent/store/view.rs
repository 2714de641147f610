//! What the page shows of the store.

use model::KeepError;
use model::view::{Block, Kept};

use crate::store::Store;

impl Store {
    /// As it is now; reads counters and what is known of blocks, no samples.
    #[must_use]
    pub fn view(&self) -> Kept {
        let all = self.blocks();
        let counts = all.map(blocks::Blocks::counts).unwrap_or_default();
        let blocks = all.map(blocks::Blocks::all).unwrap_or_default();
        let targets = self.all_targets();
        let refused =
            |reason: &'static str| (reason, self.accounts.refused.with_label_values(&[reason]).get());
        Kept {
            series: self.series_count() as u64,
            samples_bytes: targets
                .iter()
                .map(|target| target.state.lock().bytes() as u64)
                .sum(),
            oldest: self.oldest(),
            log_bytes: self.accounts.wal.bytes.get() as u64,
            exemplars: self.exemplars.len() as u64,
            has_blocks: all.is_some(),
            blocks: blocks.iter().map(|block| shown(block)).collect(),
            broken: counts.aside + counts.unreadable,
            retention: self.config.retention.time,
            retention_bytes: self.config.retention.size,
            refused: KeepError::REASONS.map(refused).to_vec(),
            budget_bytes: self.guard.budget(),
            guard_level: self.guard.level(),
        }
    }
}

fn shown(block: &blocks::Block) -> Block {
    let meta = block.meta();
    Block {
        name: meta.ulid.to_string(),
        start: meta.min_time,
        end: meta.max_time,
        bytes: block.bytes(),
        series: meta.stats.num_series,
        samples: meta.stats.num_samples,
        level: meta.compaction.level,
    }
}
