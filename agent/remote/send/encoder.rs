//! Rows of the store become blocks: a template for each list of series, made once, and its values each round.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashSet;
use model::{Describe, Fed, SeriesRef, TargetRef, is_stale};

use crate::queue::Block;
use crate::send::handle::Forward;
use crate::wire::encode_template::{Maker, Part, Template};

/// A list that was not sent for so long is forgotten.
const KEEP: Duration = Duration::from_secs(3600);
/// Most lists of one target that are remembered.
const LISTS_MAX: usize = 16;
/// Series asked for at once.
const ASK: usize = 1_000;

pub(crate) struct Encoder {
    known: BTreeMap<(TargetRef, u64), Known>,
    packer: Packer,
}

/// Room that is used again for each block.
struct Packer {
    snappy: snap::raw::Encoder,
    raw: Vec<u8>,
    packed: Vec<u8>,
}

struct Known {
    template: Template,
    series: Arc<[SeriesRef]>,
    /// Running time of its last use.
    used: Duration,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            packer: Packer {
                snappy: snap::raw::Encoder::new(),
                raw: Vec::new(),
                packed: Vec::new(),
            },
        }
    }

    /// Adds the blocks of a row to `blocks` and returns how many of its samples could not be encoded.
    pub(crate) fn encode(
        &mut self,
        fed: &Fed,
        describe: &dyn Describe,
        forward: Option<&Forward>,
        now: Duration,
        blocks: &mut Vec<Block>,
    ) -> u64 {
        let key = (fed.target, fed.shape);
        if let Some(known) = self.known.get_mut(&key) {
            known.used = now;
            return self.packer.pack(&known.template, fed, blocks);
        }
        let template = make(fed, describe, forward);
        let lost = self.packer.pack(&template, fed, blocks);
        // The end of series is said once.
        if !fed.values.iter().all(|value| is_stale(*value)) {
            self.make_room(fed);
            let series = Arc::clone(&fed.series);
            self.known.insert(
                key,
                Known {
                    template,
                    series,
                    used: now,
                },
            );
        }
        lost
    }

    /// What a new list takes the place of: any of its target that it holds most of, and the oldest of too many.
    fn make_room(&mut self, fed: &Fed) {
        let all = (fed.target, u64::MIN)..=(fed.target, u64::MAX);
        let mut others: Vec<(Duration, u64)> = Vec::new();
        let mut replaced = Vec::new();
        let mut fresh: HashSet<SeriesRef> = HashSet::new();
        for ((_, shape), known) in self.known.range(all) {
            if fresh.is_empty() {
                fresh.extend(fed.series.iter());
            }
            let both = known
                .series
                .iter()
                .filter(|series| fresh.contains(*series))
                .count();
            if both * 2 > known.series.len() {
                replaced.push(*shape);
            } else {
                others.push((known.used, *shape));
            }
        }
        others.sort_unstable();
        let surplus = (others.len() + 1).saturating_sub(LISTS_MAX);
        replaced.extend(others.iter().take(surplus).map(|(_, shape)| *shape));
        for shape in replaced {
            self.known.remove(&(fed.target, shape));
        }
    }

    pub(crate) fn forget_unused(&mut self, now: Duration) {
        self.known.retain(|_, known| known.used + KEEP > now);
    }

    /// Other series are wanted now.
    pub(crate) fn forget_all(&mut self) {
        self.known.clear();
    }

    /// Series that are remembered.
    pub(crate) fn series(&self) -> usize {
        self.known.values().map(|known| known.template.series()).sum()
    }

    /// What remembering them takes.
    pub(crate) fn bytes(&self) -> usize {
        self.known.values().map(|known| known.template.bytes()).sum()
    }

    #[cfg(test)]
    pub(crate) fn lists(&self) -> usize {
        self.known.len()
    }
}

fn make(fed: &Fed, describe: &dyn Describe, forward: Option<&Forward>) -> Template {
    let mut maker = Maker::default();
    for some in fed.series.chunks(ASK) {
        for desc in describe.describe(some) {
            maker.add(desc, |name| forward.is_none_or(|forward| forward(name)));
        }
    }
    maker.finish()
}

impl Packer {
    fn pack(&mut self, template: &Template, fed: &Fed, blocks: &mut Vec<Block>) -> u64 {
        let mut lost = template.forgotten as u64;
        for part in &template.parts {
            match self.part(part, fed) {
                Some(block) => blocks.push(block),
                None => lost += part.count as u64,
            }
        }
        lost
    }

    /// None only for a request of 4 GiB.
    fn part(&mut self, part: &Part, fed: &Fed) -> Option<Block> {
        self.raw.clear();
        part.fill(fed.time, &fed.values, &mut self.raw);
        self.packed.resize(snap::raw::max_compress_len(self.raw.len()), 0);
        let length = self.snappy.compress(&self.raw, &mut self.packed).ok()?;
        Some(Block {
            samples: u32::try_from(part.count).ok()?,
            oldest: fed.time,
            newest: fed.time,
            bytes: self.packed.get(..length)?.into(),
        })
    }
}
