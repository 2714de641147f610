//! What the queue knows in memory: which frames there are, where each destination is, and what became of samples.
//!
//! No disk here, so that its lock is never held for longer than a look. Frames are numbered since the start of the
//! process. They lie, in this order, in sealed segments (on disk only), in the active segment (on disk, and in memory
//! for those who keep up) and in the tail (in memory only, until it can be written).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use model::Timestamp;

use crate::queue::segment::{Block, HEAD_BYTES, segment_head};

/// Size at which a segment is sealed.
const SEGMENT_BYTES: u64 = 1 << 20;
/// A small file takes a block of the disk all the same.
const FILE_BYTES_MIN: u64 = 4096;

/// Why samples were dropped; the closed set of labels.
pub(crate) mod reason {
    /// The queue on disk was full, and they were the oldest.
    pub(crate) const QUEUE_FULL: &str = "queue_full";
    /// The disk took nothing and the memory tail was full.
    pub(crate) const DISK: &str = "disk";
    /// A segment could not be read back.
    pub(crate) const DAMAGED: &str = "damaged";
    /// The receiver will never take them.
    pub(crate) const REJECTED: &str = "rejected";
    /// The receiver takes no request as long as that, though it holds a single series.
    pub(crate) const TOO_LARGE: &str = "too_large";
    /// The encoder was behind and the channel to it full.
    pub(crate) const BEHIND: &str = "behind";
    /// The store no longer knew what the series were.
    pub(crate) const FORGOTTEN: &str = "forgotten";
    /// They came after the end.
    pub(crate) const STOPPED: &str = "stopped";
}

/// Frames of one file.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// Number of its first frame.
    pub(crate) first: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) samples: u64,
    pub(crate) oldest: Timestamp,
}

impl Segment {
    pub(crate) fn new(number: u64, first: u64) -> Self {
        Self {
            number,
            first,
            frames: 0,
            bytes: HEAD_BYTES as u64,
            samples: 0,
            oldest: Timestamp::MAX,
        }
    }

    pub(crate) fn add(&mut self, bytes: u64, samples: u32, oldest: Timestamp) {
        self.frames += 1;
        self.bytes += bytes;
        self.samples += u64::from(samples);
        self.oldest = self.oldest.min(oldest);
    }

    fn end(&self) -> u64 {
        self.first + self.frames
    }

    fn disk_bytes(&self) -> u64 {
        self.bytes.max(FILE_BYTES_MIN)
    }
}

pub(crate) type Blocks = Arc<Vec<Arc<Block>>>;

/// A destination in the queue.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The frame it is to be sent next, or is being sent.
    pub(crate) next: u64,
    /// While it is in a sealed segment: bytes and samples of that which are behind it.
    pub(crate) offset: u64,
    pub(crate) passed: u64,
    /// The sealed segment it is in, read back.
    loaded: Option<(u64, Blocks)>,
    flying: Option<Flying>,
    /// Samples that are neither given nor dropped.
    pub(crate) waiting: u64,
    pub(crate) given: u64,
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

/// What is being sent, and not yet answered.
#[derive(Debug)]
struct Flying {
    samples: u64,
    /// The queue has no room for it any more; if this attempt fails it is dropped for this reason.
    lost: Option<&'static str>,
}

impl Place {
    pub(crate) fn at_start() -> Self {
        Self {
            offset: HEAD_BYTES as u64,
            ..Self::default()
        }
    }

    fn drop_samples(&mut self, samples: u64, reason: &'static str) {
        self.waiting = self.waiting.saturating_sub(samples);
        if samples > 0 {
            *self.dropped.entry(reason).or_default() += samples;
        }
    }

    /// Samples of a sealed segment that are behind it.
    fn passed_of(&self, segment: &Segment) -> u64 {
        if self.next > segment.first { self.passed } else { 0 }
    }

    /// Bytes of a sealed segment that are behind it.
    fn offset_of(&self, segment: &Segment) -> u64 {
        if self.next > segment.first {
            self.offset
        } else {
            HEAD_BYTES as u64
        }
    }

    /// To the beginning of a segment.
    fn enter(&mut self, first: u64) {
        self.next = first;
        self.offset = HEAD_BYTES as u64;
        self.passed = 0;
        self.loaded = None;
    }
}

/// What there is for a destination.
#[derive(Debug)]
pub(crate) enum Take {
    Block(Arc<Block>),
    /// This segment has to be read first.
    Read(u64),
    Nothing,
}

/// One write that is due.
pub(crate) struct Write {
    pub(crate) segment: u64,
    pub(crate) is_new: bool,
    /// How long the file is before it.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    frames: usize,
}

/// What a destination still has before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) samples: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest: Option<Timestamp>,
}

pub(crate) struct Index {
    sealed: VecDeque<Segment>,
    active: Option<Segment>,
    active_frames: Vec<Arc<Block>>,
    tail: VecDeque<Arc<Block>>,
    tail_first: u64,
    tail_bytes: u64,
    next_number: u64,
    pub(crate) places: Vec<Place>,
    /// Files that nobody needs any more.
    pub(crate) spent: BTreeSet<u64>,
    /// Written, but not yet safe from a power failure.
    dirty: BTreeSet<u64>,
    bytes_max: u64,
    tail_bytes_max: u64,
    segment_bytes: u64,
    pub(crate) taken: u64,
    pub(crate) forgotten: u64,
}

impl Index {
    pub(crate) fn new(
        sealed: VecDeque<Segment>,
        places: Vec<Place>,
        next_number: u64,
        bytes_max: u64,
        tail_bytes_max: u64,
    ) -> Self {
        let tail_first = sealed.back().map_or(0, Segment::end);
        let mut index = Self {
            sealed,
            active: None,
            active_frames: Vec::new(),
            tail: VecDeque::new(),
            tail_first,
            tail_bytes: 0,
            next_number,
            places,
            spent: BTreeSet::new(),
            dirty: BTreeSet::new(),
            bytes_max,
            tail_bytes_max,
            // What goes when the queue is full is a small part of it.
            segment_bytes: SEGMENT_BYTES.min(bytes_max / 8),
            taken: 0,
            forgotten: 0,
        };
        for nth in 0..index.places.len() {
            let waiting = index.count(nth);
            if let Some(place) = index.places.get_mut(nth) {
                place.waiting = waiting;
            }
            index.taken += waiting;
        }
        index.forget_passed();
        index
    }

    /// Number of the frame after the newest.
    pub(crate) fn end(&self) -> u64 {
        self.tail_first + self.tail.len() as u64
    }

    /// Takes in new blocks, and makes room.
    pub(crate) fn push(&mut self, blocks: impl IntoIterator<Item = Block>, forgotten: u64) {
        let destinations = self.places.len() as u64;
        self.taken += forgotten * destinations;
        self.forgotten += forgotten * destinations;
        for block in blocks {
            let samples = u64::from(block.samples);
            self.taken += samples * destinations;
            for place in &mut self.places {
                place.waiting += samples;
            }
            self.tail_bytes += block.frame_bytes();
            self.tail.push_back(Arc::new(block));
        }
    }

    /// Keeps the tail to its size; for when it cannot be written.
    pub(crate) fn bound_tail(&mut self) {
        self.trim_tail();
        while self.tail_bytes > self.tail_bytes_max && self.tail.len() > 1 {
            let frame = self.tail_first;
            let Some(block) = self.pop_tail() else { return };
            for place in &mut self.places {
                if place.next > frame {
                    continue;
                }
                let is_next = place.next == frame;
                place.next += u64::from(is_next);
                match place
                    .flying
                    .as_mut()
                    .filter(|flying| is_next && flying.lost.is_none())
                {
                    Some(flying) => flying.lost = Some(reason::DISK),
                    None => place.drop_samples(u64::from(block.samples), reason::DISK),
                }
            }
        }
    }

    /// Lets go of what everybody has passed before it was written.
    fn trim_tail(&mut self) {
        let least = self.places.iter().map(|place| place.next).min();
        while least.is_some_and(|least| least > self.tail_first) && self.pop_tail().is_some() {}
    }

    fn pop_tail(&mut self) -> Option<Arc<Block>> {
        let block = self.tail.pop_front()?;
        self.tail_bytes -= block.frame_bytes();
        self.tail_first += 1;
        Some(block)
    }

    /// The next write, if the tail has anything that somebody still needs.
    pub(crate) fn plan_write(&mut self) -> Option<Write> {
        self.trim_tail();
        let first = self.tail.front()?;
        let fits = |active: &Segment| {
            active.end() == self.tail_first && active.bytes + first.frame_bytes() <= self.segment_bytes
        };
        if !self.active.as_ref().is_some_and(fits) {
            self.seal();
        }
        let (segment, is_new, mut size) = match &self.active {
            Some(active) => (active.number, false, active.bytes),
            None => (self.next_number, true, HEAD_BYTES as u64),
        };
        let mut bytes = if is_new { segment_head() } else { Vec::new() };
        let offset = if is_new { 0 } else { size };
        let mut frames = 0;
        for block in &self.tail {
            if frames > 0 && size + block.frame_bytes() > self.segment_bytes {
                break;
            }
            size += block.frame_bytes();
            frames += 1;
            block.put(&mut bytes);
        }
        Some(Write {
            segment,
            is_new,
            offset,
            bytes,
            frames,
        })
    }

    pub(crate) fn written(&mut self, write: &Write) {
        if write.is_new {
            self.active = Some(Segment::new(write.segment, self.tail_first));
            self.active_frames.clear();
            self.next_number = write.segment + 1;
        }
        for _ in 0..write.frames {
            let Some(block) = self.pop_tail() else { break };
            if let Some(active) = &mut self.active {
                active.add(block.frame_bytes(), block.samples, block.oldest);
            }
            self.active_frames.push(block);
        }
        self.dirty.insert(write.segment);
        while self.disk_bytes() > self.bytes_max && self.drop_oldest() {}
    }

    /// The write failed and its part could not be taken back: nothing more is added to that file.
    pub(crate) fn abandon(&mut self, write: &Write) {
        if write.is_new {
            self.next_number = write.segment + 1;
            self.spent.insert(write.segment);
        } else {
            self.seal();
        }
    }

    fn seal(&mut self) {
        let Some(segment) = self.active.take() else {
            return;
        };
        let frames: Blocks = Arc::new(std::mem::take(&mut self.active_frames));
        for place in &mut self.places {
            if !(segment.first..segment.end()).contains(&place.next) {
                continue;
            }
            let behind = frames.iter().take((place.next - segment.first) as usize);
            place.offset = HEAD_BYTES as u64;
            place.passed = 0;
            for block in behind {
                place.offset += block.frame_bytes();
                place.passed += u64::from(block.samples);
            }
            // Whoever was keeping up goes on from memory.
            place.loaded = Some((segment.number, Arc::clone(&frames)));
        }
        self.sealed.push_back(segment);
        self.forget_passed();
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        let all = self.sealed.iter().chain(&self.active);
        all.map(Segment::disk_bytes).sum()
    }

    /// The oldest segment goes, sent or not.
    fn drop_oldest(&mut self) -> bool {
        if self.sealed.is_empty() {
            self.seal();
        }
        let Some(segment) = self.sealed.pop_front() else {
            return false;
        };
        self.spent.insert(segment.number);
        for place in &mut self.places {
            if place.next >= segment.end() {
                continue;
            }
            let mut left = segment.samples.saturating_sub(place.passed_of(&segment));
            // What is on its way may still arrive; unless it is from an even older segment it is one of these.
            if let Some(flying) = place.flying.as_mut().filter(|flying| flying.lost.is_none()) {
                left = left.saturating_sub(flying.samples);
                flying.lost = Some(reason::QUEUE_FULL);
            }
            place.drop_samples(left, reason::QUEUE_FULL);
            place.enter(segment.end());
        }
        true
    }

    /// Sealed segments that everybody has passed need no room.
    pub(crate) fn forget_passed(&mut self) {
        let least = self.places.iter().map(|place| place.next).min();
        while let Some(oldest) = self.sealed.front() {
            if least.is_some_and(|least| least < oldest.end()) {
                break;
            }
            self.spent.insert(oldest.number);
            self.sealed.pop_front();
        }
    }

    /// What is next for a destination; it stays there until [`Self::passed`].
    pub(crate) fn take(&mut self, nth: usize) -> Take {
        loop {
            let Some(next) = self.places.get(nth).map(|place| place.next) else {
                return Take::Nothing;
            };
            let found = match self.segment_of(next) {
                Some(segment) => segment.clone(),
                None => return self.take_from_memory(nth, next),
            };
            let mut known = self.places.iter().filter_map(|place| place.loaded.as_ref());
            let known = known.find(|(number, _)| *number == found.number).cloned();
            let Some(place) = self.places.get_mut(nth) else {
                return Take::Nothing;
            };
            if next <= found.first {
                place.enter(found.first);
            }
            let Some((number, blocks)) = known else {
                return Take::Read(found.number);
            };
            let block = blocks.get((place.next - found.first) as usize).cloned();
            place.loaded = Some((number, blocks));
            match block {
                Some(block) => return fly(place, block),
                None => {
                    // The file has changed since it was written; nothing tells what was in the rest of it.
                    let left = found.samples.saturating_sub(place.passed);
                    place.drop_samples(left, reason::DAMAGED);
                    place.enter(found.end());
                    self.forget_passed();
                }
            }
        }
    }

    /// The sealed segment that holds a frame, or the next after it.
    fn segment_of(&self, frame: u64) -> Option<&Segment> {
        let at = self.sealed.partition_point(|segment| segment.end() <= frame);
        self.sealed.get(at)
    }

    fn take_from_memory(&mut self, nth: usize, next: u64) -> Take {
        let first = match &self.active {
            Some(active) if active.end() > next => active.first,
            _ => self.tail_first,
        };
        let next = next.max(first);
        let block = match &self.active {
            Some(active) if active.end() > next => self.active_frames.get((next - active.first) as usize),
            _ => self.tail.get((next - self.tail_first) as usize),
        };
        let block = block.cloned();
        match (self.places.get_mut(nth), block) {
            (Some(place), Some(block)) => {
                place.next = next;
                fly(place, block)
            }
            _ => Take::Nothing,
        }
    }

    /// A segment that was asked for by [`Take::Read`]; empty when it cannot be read.
    pub(crate) fn loaded(&mut self, nth: usize, number: u64, mut blocks: Vec<Arc<Block>>) {
        let next = self.places.get(nth).map_or(u64::MAX, |place| place.next);
        let Some(segment) = self.segment_of(next).filter(|segment| segment.number == number) else {
            return;
        };
        // Behind what was counted there may be a write that failed.
        blocks.truncate(segment.frames as usize);
        if let Some(place) = self.places.get_mut(nth) {
            place.loaded = Some((number, Arc::new(blocks)));
        }
    }

    /// Whether another attempt makes sense. If there is no room any more for what is being sent it is dropped.
    pub(crate) fn is_wanted(&mut self, nth: usize) -> bool {
        let Some(place) = self.places.get_mut(nth) else {
            return false;
        };
        match &place.flying {
            Some(Flying {
                samples,
                lost: Some(reason),
            }) => {
                let (samples, reason) = (*samples, *reason);
                place.flying = None;
                place.drop_samples(samples, reason);
                false
            }
            flying => flying.is_some(),
        }
    }

    /// What was being sent is answered for good: so many samples given, so many too large, the others rejected.
    pub(crate) fn passed(&mut self, nth: usize, given: u64, too_large: u64) {
        let Some(place) = self.places.get_mut(nth) else {
            return;
        };
        let Some(flying) = place.flying.take() else {
            return;
        };
        let given = given.min(flying.samples);
        place.waiting = place.waiting.saturating_sub(given);
        place.given += given;
        let too_large = too_large.min(flying.samples - given);
        place.drop_samples(too_large, reason::TOO_LARGE);
        place.drop_samples(flying.samples - given - too_large, reason::REJECTED);
        if flying.lost.is_some() {
            return;
        }
        let frame = place.next;
        place.next += 1;
        let at = self.sealed.partition_point(|segment| segment.end() <= frame);
        let Some(segment) = self.sealed.get(at) else {
            return;
        };
        let Some((_, blocks)) = &place.loaded else { return };
        if let Some(block) = blocks.get((frame - segment.first) as usize) {
            place.offset += block.frame_bytes();
            place.passed += u64::from(block.samples);
        }
        if place.next >= segment.end() {
            let end = segment.end();
            place.enter(end);
            self.forget_passed();
        }
    }

    /// Written segments that hold something unsent and are not safe yet. They count as safe from now on; whoever
    /// cannot sync one says so by [`Self::unsafe_still`].
    pub(crate) fn take_dirty(&mut self) -> Vec<u64> {
        let least = self
            .places
            .iter()
            .map(|place| place.next)
            .min()
            .unwrap_or(u64::MAX);
        let needed = |number: &u64| {
            let mut all = self.sealed.iter().chain(&self.active);
            all.any(|segment| segment.number == *number && least < segment.end())
        };
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().filter(needed).collect()
    }

    pub(crate) fn unsafe_still(&mut self, number: u64) {
        self.dirty.insert(number);
    }

    /// Where a destination is, in words of the disk.
    pub(crate) fn cursor(&self, nth: usize) -> (u64, u64) {
        let Some(place) = self.places.get(nth) else {
            return (0, 0);
        };
        if let Some(segment) = self.segment_of(place.next) {
            return (segment.number, place.offset_of(segment));
        }
        match &self.active {
            Some(active) => {
                let behind = place.next.saturating_sub(active.first) as usize;
                let behind = self.active_frames.iter().take(behind);
                let bytes: u64 = behind.map(|block| block.frame_bytes()).sum();
                (active.number, HEAD_BYTES as u64 + bytes)
            }
            None => (self.next_number, 0),
        }
    }

    pub(crate) fn waiting(&self, nth: usize) -> Waiting {
        let Some(place) = self.places.get(nth) else {
            return Waiting {
                samples: 0,
                bytes: 0,
                oldest: None,
            };
        };
        let (mut bytes, mut oldest) = (0, Timestamp::MAX);
        for segment in self.sealed.iter().filter(|segment| segment.end() > place.next) {
            bytes += segment.bytes - place.offset_of(segment);
            let loaded = place
                .loaded
                .as_ref()
                .filter(|(number, _)| *number == segment.number);
            let next =
                loaded.and_then(|(_, blocks)| blocks.get(place.next.saturating_sub(segment.first) as usize));
            oldest = oldest.min(next.map_or(segment.oldest, |block| block.oldest));
        }
        let active_first = self.active.as_ref().map_or(0, |active| active.first);
        let active = self.active_frames.iter().zip(active_first..);
        let tail = self.tail.iter().zip(self.tail_first..);
        for (block, _) in active.chain(tail).filter(|(_, frame)| *frame >= place.next) {
            bytes += block.frame_bytes();
            oldest = oldest.min(block.oldest);
        }
        Waiting {
            samples: place.waiting,
            bytes,
            oldest: (oldest != Timestamp::MAX).then_some(oldest),
        }
    }

    /// How much of what it may take on disk it takes, from 0 to 1.
    pub(crate) fn fill(&self) -> f64 {
        self.disk_bytes() as f64 / self.bytes_max as f64
    }

    /// Samples that are in memory only.
    #[cfg(test)]
    pub(crate) fn tail_samples(&self) -> u64 {
        self.tail.iter().map(|block| u64::from(block.samples)).sum()
    }

    /// Samples that are being sent and for which there is no room any more.
    #[cfg(test)]
    pub(crate) fn last_chance_samples(&self, nth: usize) -> u64 {
        let flying = self.places[nth].flying.as_ref();
        flying
            .filter(|flying| flying.lost.is_some())
            .map_or(0, |flying| flying.samples)
    }

    /// Samples before a destination, counted anew from the frames.
    pub(crate) fn count(&self, nth: usize) -> u64 {
        let Some(place) = self.places.get(nth) else {
            return 0;
        };
        let sealed = self.sealed.iter().filter(|segment| segment.end() > place.next);
        let sealed = sealed.map(|segment| segment.samples.saturating_sub(place.passed_of(segment)));
        let active_first = self.active.as_ref().map_or(0, |active| active.first);
        let active = self.active_frames.iter().zip(active_first..);
        let tail = self.tail.iter().zip(self.tail_first..);
        let memory = active.chain(tail).filter(|(_, frame)| *frame >= place.next);
        let lost = place.flying.as_ref().filter(|flying| flying.lost.is_some());
        sealed.sum::<u64>()
            + memory.map(|(block, _)| u64::from(block.samples)).sum::<u64>()
            + lost.map_or(0, |flying| flying.samples)
    }
}

fn fly(place: &mut Place, block: Arc<Block>) -> Take {
    place.flying = Some(Flying {
        samples: u64::from(block.samples),
        lost: None,
    });
    Take::Block(block)
}
