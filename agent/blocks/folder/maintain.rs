//! What the hall asks for now and then: let go what is too old or too much, put together what belongs together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::compact::compact;
use crate::error::Error;
use crate::folder::{Blocks, Care};
use crate::meta::Meta;
use crate::plan::{self, Sketch};
use crate::read::block::Block;
use crate::ulid::Ulid;

/// After a failure of the disk: a compaction that does not fit is not tried every minute.
const REST: Duration = Duration::from_mins(10);

/// What one call of [`Blocks::maintain`] did.
#[derive(Debug, Default)]
pub struct Done {
    /// Let go by the retention, oldest first.
    pub dropped: Vec<Meta>,
    pub compacted: Option<Compacted>,
    /// Why a compaction did not come about; all blocks are as they were.
    pub failed: Option<Error>,
}

#[derive(Debug)]
pub struct Compacted {
    /// None when all samples had been deleted.
    pub made: Option<Meta>,
    pub parents: Vec<Ulid>,
}

impl Blocks {
    /// Lets go what the [`crate::Limits`] no longer allow, and makes one block of some when a plan says so: one
    /// compaction a call at most. That reads and writes all of their bytes, so that it belongs on a thread that may
    /// be busy for seconds to minutes; call it about once a minute. A second call while the first is at work does
    /// nothing.
    ///
    /// Blocks that were made one go once the new one is safe. A compaction that fails changes nothing; blocks it
    /// cannot read, or cannot make one (chunks of unknown encodings that overlap), are left as they are until the next start,
    /// and after a failure of the disk it is not tried again for ten minutes.
    pub fn maintain(&self) -> Done {
        let Some(mut care) = self.care.try_lock() else {
            return Done::default();
        };
        self.tend_aside();
        let mut done = Done {
            dropped: self.expire(),
            ..Done::default()
        };
        if self.clock.now() < care.rest_until {
            return done;
        }
        match self.compact_some(&care) {
            Ok(compacted) => done.compacted = compacted,
            Err((blocks, error)) => {
                self.tally.compactions_failed.fetch_add(1, Ordering::Relaxed);
                if error.stays() {
                    care.failed.extend(blocks);
                } else {
                    care.rest_until = self.clock.now() + REST;
                }
                done.failed = Some(error);
            }
        }
        done
    }

    fn expire(&self) -> Vec<Meta> {
        let all = self.all();
        let sketches: Vec<Sketch> = all.iter().map(|block| sketch(block, false)).collect();
        let gone = plan::expired(
            &sketches,
            self.clock.now(),
            self.limits.retention,
            self.limits.bytes_max,
        );
        let gone: Vec<Meta> = gone
            .iter()
            .filter_map(|at| Some(all.get(*at)?.meta.clone()))
            .collect();
        let ulids: Vec<Ulid> = gone.iter().map(|meta| meta.ulid).collect();
        self.remove(&ulids);
        self.tally.dropped.fetch_add(gone.len() as u64, Ordering::Relaxed);
        gone
    }

    fn compact_some(&self, care: &Care) -> Result<Option<Compacted>, (Vec<Ulid>, Error)> {
        let all = self.all();
        let failed = |block: &Block| care.failed.contains(&block.meta.ulid) || block.meta.compaction.failed;
        let sketches: Vec<Sketch> = all.iter().map(|block| sketch(block, failed(block))).collect();
        let planned = plan::next(&sketches, &plan::lengths(self.limits.retention));
        let blocks: Vec<Arc<Block>> = planned.iter().filter_map(|at| all.get(*at).cloned()).collect();
        if blocks.is_empty() {
            return Ok(None);
        }
        let parents: Vec<Ulid> = blocks.iter().map(|block| block.meta.ulid).collect();
        let made = compact(&self.folder, self.new_ulid(), &blocks);
        let made = made.and_then(|made| made.map(|(folder, _)| Block::open(&folder)).transpose());
        let made = match made {
            Ok(made) => made,
            Err(error) => return Err((parents, error)),
        };
        let meta = made.as_ref().map(|block| block.meta.clone());
        match made {
            Some(block) => self.adopt(block),
            None => self.remove(&parents),
        }
        self.tally.compacted.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Compacted { made: meta, parents }))
    }
}

fn sketch(block: &Block, failed: bool) -> Sketch {
    Sketch {
        span: block.meta.span(),
        bytes: block.bytes(),
        series: block.meta.stats.num_series,
        tombstones: block.meta.stats.num_tombstones,
        failed,
    }
}
