//! Series with native histograms, across blocks. First it is seen by their chunks which series have any, and only of
//! those samples are unpacked.

use model::{Matcher, Mixed, SelectError, TimeRange, Timestamp, Value};

use crate::chunk::{Chunk, Kind, decode};
use crate::error::Error;
use crate::matching::Ready;
use crate::merge::{Groups, MixedIn};
use crate::read::answer::Budget;
use crate::read::block::Block;
use crate::read::tombstones::covers;
use crate::read::whole::Whole;
use crate::xor::BadChunk;

/// A histogram may take so much memory for each of what it counts for.
const COUNT_BYTES: usize = 256;

pub(crate) fn read(
    blocks: &[&Block],
    matchers: &[Matcher],
    range: TimeRange,
    samples_max: usize,
) -> Result<Vec<Mixed>, SelectError> {
    let ready = Ready::all(matchers)?;
    if !blocks.iter().any(|block| block.has_histograms()) {
        return Ok(Vec::new());
    }
    let budget = Budget::new(samples_max);
    let streams: Result<Vec<_>, Error> = blocks.iter().map(|block| block.wholes(&ready, range)).collect();
    let mut all = Vec::new();
    for group in Groups::new(streams?) {
        let group = group?;
        let has_histograms = |chunk: &Chunk| chunk.kind() == Kind::Histograms;
        if !group.iter().flat_map(|whole| &whole.chunks).any(has_histograms) {
            continue;
        }
        let samples = unpack(&group, range, &budget)?;
        let Some(first) = group.into_iter().next() else {
            continue;
        };
        if samples
            .iter()
            .any(|(_, value)| matches!(value, Value::Histogram(_)))
        {
            all.push(Mixed {
                labels: first.labels,
                samples,
                staleness: None,
            });
        }
    }
    Ok(all)
}

/// All samples of one series in a range, of all blocks that have it.
pub(crate) fn unpack(
    group: &[Whole],
    range: TimeRange,
    budget: &Budget,
) -> Result<Vec<(Timestamp, Value)>, Error> {
    let mut all = MixedIn::default();
    for whole in group {
        for chunk in &whole.chunks {
            all.next_chunk();
            let decoded = decode(chunk.encoding, &chunk.data, |time, value| {
                if range.contains(time) && !covers(&whole.deleted, time) {
                    budget.take(weight(&value)).map_err(Stop::Error)?;
                    all.push(time, value);
                }
                Ok(())
            });
            decoded.map_err(|stop| match stop {
                Stop::BadChunk => whole.broken(),
                Stop::Error(error) => error,
            })?;
        }
    }
    Ok(all.in_order())
}

enum Stop {
    BadChunk,
    Error(Error),
}

impl From<BadChunk> for Stop {
    fn from(BadChunk: BadChunk) -> Self {
        Self::BadChunk
    }
}

/// What a sample counts for.
fn weight(value: &Value) -> usize {
    let Value::Histogram(histogram) = value else {
        return 1;
    };
    let sides = histogram.positive.counts.iter().chain(&histogram.negative.counts);
    let filled = sides
        .chain([&histogram.zero_count])
        .filter(|count| **count != 0.0);
    filled.count().max(1).max(histogram.bytes() / COUNT_BYTES)
}
