//! Requests of 2.0 that one sender has sent before: the same symbols, and the same series in the same order.
//!
//! A list is known by the hash of its symbols, and each of its series is compared byte by byte. A hash can be
//! forged only by the sender itself, and then misleads nobody but it. Symbols that come once make no list:
//! senders that put each request together anew would only fill the memory.

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_128;

/// What the lists of one sender may take.
const BYTES_MAX: usize = 16 << 20;
const LISTS_MAX: usize = 4_096;
/// Hashes of symbols remembered to see which come again.
const SEEN_MAX: usize = 512;
/// How far ahead a series is looked for that is not the expected one.
const AHEAD: usize = 8;
/// First byte of a series in a request.
const SERIES_TAG: u8 = 5 << 3 | 2;

#[derive(Default)]
pub(crate) struct Lists {
    slots: Vec<Option<List>>,
    by_hash: HashMap<u128, usize>,
    seen: Vec<u128>,
    seen_at: usize,
    bytes: usize,
    /// The list used last, whose follower is expected.
    last: usize,
}

pub(crate) struct List {
    hash: u128,
    symbols_bytes: usize,
    texts: Vec<u8>,
    items: Vec<Item>,
    used: u32,
    /// The list that followed this one.
    next: usize,
}

#[derive(Clone, Copy)]
struct Item {
    /// Where its labels, and after them what is said of it, end in the texts.
    labels_end: u32,
    end: u32,
    place: u32,
}

/// Where in a list a request is.
#[derive(Clone, Copy, Default)]
pub(crate) struct At {
    item: usize,
    text: usize,
}

/// A request's symbols.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    pub(crate) hash: u128,
    pub(crate) bytes: usize,
}

impl Section {
    pub(crate) fn new(request: &[u8], bytes: usize) -> Self {
        Self {
            hash: xxh3_128(request.get(..bytes).unwrap_or_default()),
            bytes,
        }
    }
}

impl Lists {
    /// The list that came after the last one before, if the request begins with its symbols: then nobody needs to
    /// walk over them.
    pub(crate) fn expected(&mut self, request: &[u8]) -> Option<(usize, List)> {
        let next = self.slots.get(self.last)?.as_ref()?.next;
        let list = self.slots.get(next)?.as_ref()?;
        let begins = request.get(list.symbols_bytes) == Some(&SERIES_TAG)
            && Section::new(request, list.symbols_bytes).hash == list.hash;
        begins.then_some(next).and_then(|next| self.take(next))
    }

    pub(crate) fn find(&mut self, section: &Section) -> Option<(usize, List)> {
        let at = *self.by_hash.get(&section.hash)?;
        let found = self
            .slots
            .get(at)?
            .as_ref()
            .is_some_and(|list| list.symbols_bytes == section.bytes);
        found.then_some(at).and_then(|at| self.take(at))
    }

    /// A list is out while its request is read; [`Self::put_back`] ends that.
    fn take(&mut self, at: usize) -> Option<(usize, List)> {
        if let Some(Some(last)) = self.slots.get_mut(self.last) {
            last.next = at;
        }
        self.last = at;
        Some((at, self.slots.get_mut(at)?.take()?))
    }

    pub(crate) fn put_back(&mut self, at: usize, mut list: List, now: u32) {
        list.used = now;
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(list);
        }
    }

    /// Whether these symbols have come before; they are remembered.
    pub(crate) fn seen(&mut self, section: &Section) -> bool {
        if self.seen.contains(&section.hash) {
            return true;
        }
        if self.seen.len() < SEEN_MAX {
            self.seen.push(section.hash);
        } else if let Some(oldest) = self.seen.get_mut(self.seen_at) {
            *oldest = section.hash;
            self.seen_at = (self.seen_at + 1) % SEEN_MAX;
        }
        false
    }

    /// Remembers a list, in place of the one with the same symbols; the longest unused give way.
    pub(crate) fn keep(&mut self, mut list: List, now: u32) {
        list.used = now;
        list.texts.shrink_to_fit();
        list.items.shrink_to_fit();
        let bytes = list.bytes();
        if let Some(at) = self.by_hash.get(&list.hash).copied() {
            self.remove(at);
        }
        if bytes > BYTES_MAX {
            return;
        }
        while self.bytes + bytes > BYTES_MAX || self.by_hash.len() >= LISTS_MAX {
            let living = self.slots.iter().enumerate();
            let used = living.filter_map(|(at, list)| Some((list.as_ref()?.used, at)));
            let Some((_, oldest)) = used.min() else { break };
            self.remove(oldest);
        }
        let at = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.bytes += bytes;
        self.by_hash.insert(list.hash, at);
        list.next = at;
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(list);
        }
        if let Some(Some(last)) = self.slots.get_mut(self.last) {
            last.next = at;
        }
        self.last = at;
    }

    /// Lets go of those not used since `cutoff`, and of those that name a place that is no longer good.
    pub(crate) fn sweep(&mut self, cutoff: u32, good: impl Fn(u32) -> bool) {
        for at in 0..self.slots.len() {
            let Some(Some(list)) = self.slots.get(at) else {
                continue;
            };
            if list.used < cutoff || !list.items.iter().all(|item| good(item.place)) {
                self.remove(at);
            }
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(list) = self.slots.get_mut(at).and_then(Option::take) {
            self.bytes -= list.bytes();
            self.by_hash.remove(&list.hash);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl List {
    pub(crate) fn new(section: &Section) -> Self {
        Self {
            hash: section.hash,
            symbols_bytes: section.bytes,
            texts: Vec::new(),
            items: Vec::new(),
            used: 0,
            next: 0,
        }
    }

    pub(crate) fn section(&self) -> Section {
        Section {
            hash: self.hash,
            bytes: self.symbols_bytes,
        }
    }

    pub(crate) fn push(&mut self, labels: &[u8], metadata: &[u8], place: u32) {
        self.texts.extend_from_slice(labels);
        let labels_end = self.texts.len();
        self.texts.extend_from_slice(metadata);
        // A request is shorter than 4 GiB, and so are its parts.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.items.push(Item {
            labels_end: offset(labels_end),
            end: offset(self.texts.len()),
            place,
        });
    }

    /// The place of a series that is the expected one, or comes soon after it.
    #[inline]
    pub(crate) fn expect(&self, at: &mut At, labels: &[u8], metadata: &[u8]) -> Option<u32> {
        self.compare(at, labels, metadata)
            .or_else(|| self.look_ahead(at, labels, metadata))
    }

    #[inline]
    fn compare(&self, at: &mut At, labels: &[u8], metadata: &[u8]) -> Option<u32> {
        let item = self.items.get(at.item)?;
        let (middle, end) = (item.labels_end as usize, item.end as usize);
        let same = self.texts.get(at.text..middle)? == labels && self.texts.get(middle..end)? == metadata;
        if !same {
            return None;
        }
        *at = At {
            item: at.item + 1,
            text: end,
        };
        Some(item.place)
    }

    #[cold]
    fn look_ahead(&self, at: &mut At, labels: &[u8], metadata: &[u8]) -> Option<u32> {
        let mut ahead = *at;
        for _ in 0..AHEAD {
            let item = self.items.get(ahead.item)?;
            ahead = At {
                item: ahead.item + 1,
                text: item.end as usize,
            };
            if let Some(place) = self.compare(&mut ahead, labels, metadata) {
                *at = ahead;
                return Some(place);
            }
        }
        None
    }

    fn bytes(&self) -> usize {
        self.texts.len() + self.items.len() * size_of::<Item>() + size_of::<Self>()
    }
}
