//! Native histograms across all blocks.

use model::{Matcher, Mixed, SelectError, TimeRange};

use crate::folder::Blocks;
use crate::read::block::Block;
use crate::read::mixed;

impl Blocks {
    /// As [`model::Select::mixed`], across all blocks. Of what several blocks say of one time a histogram goes before a
    /// float, a float before a stale marker, and among the same what is in the block that begins first. A histogram that
    /// takes more memory than its buckets should counts for more of `samples_max`.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub fn mixed(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Mixed>, SelectError> {
        let blocks = self.meeting(range);
        let blocks: Vec<&Block> = blocks.iter().map(|block| &**block).collect();
        mixed::read(&blocks, matchers, range, samples_max)
    }

    /// False when no block holds a native histogram, as their `meta.json` say. Those of Prometheus up to 3.5 do not say
    /// it, and such a block may.
    #[must_use]
    pub fn has_histograms(&self) -> bool {
        self.all.read().iter().any(|block| block.has_histograms())
    }
}
