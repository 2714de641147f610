//! Packs records as gzip (RFC 1952), knowing what they look like: most of a record is what the one before it of the
//! same file was, and its text repeats whole words.
//!
//! Whatever it is given, unpacked it is the same bytes: what a record should look like is only where to look first.

mod bits;
mod codes;
mod find;
mod seq;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use crc32fast::Hasher;
use parking_lot::Mutex;

use bits::Bits;
use codes::{Codes, Counts};
use find::{FOUND_MIN, Finder};
use seq::{Sequence, Sequences};

use crate::lanes::BLOCK;

/// Shortest and longest copy.
const COPY_MIN: usize = 3;
const COPY_MAX: usize = 258;
/// So far back a copy may begin.
const WINDOW_BYTES: usize = 32 << 10;
/// Place of the body's first byte: nothing is near place 0.
const FIRST: u64 = WINDOW_BYTES as u64 + 1;
/// So much is packed before what lies behind the window is let go.
const PIECE_BYTES: usize = 160 << 10;
/// Codes are made from the first so many bytes.
const SAMPLE_BYTES: usize = 96 << 10;
/// So much text is looked at before it is decided which copies are made of it.
const LOOK_BYTES: usize = 8 << 10;
/// In what is expected to be the same a shorter copy costs as much as it saves.
const SAME_MIN: usize = 4;
/// Bodies that are packed with the same codes.
const BODIES_A_CODE: u32 = 64;
/// Codes that pack so much worse than the first time are not those of such lines.
const WORSE: f64 = 1.1;
/// Method deflate, no name, no time, fastest, no system.
const FRONT: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// Memory that lies ready for the next bodies.
const DESKS: usize = 2;
const BODIES_KEPT: usize = 4;
const BODY_BYTES_KEPT: usize = 2 << 20;

/// What bodies pass on to each other: codes that fit what is packed at the moment, made anew once in a while and when they
/// no longer fit, and memory.
#[derive(Default)]
pub(crate) struct Book {
    page: Mutex<Option<Page>>,
    desks: Mutex<Vec<Desk>>,
    /// Where bodies were that have been sent.
    shelf: Arc<Shelf>,
}

#[derive(Default)]
struct Shelf(Mutex<Vec<Vec<u8>>>);

/// A packed body; when it is let go of, its memory goes back.
struct Body {
    memory: Vec<u8>,
    used: usize,
    shelf: Arc<Shelf>,
}

#[derive(Default)]
struct Desk {
    plain: Vec<u8>,
    finder: Finder,
    before: Vec<Option<Before>>,
    sequences: Sequences,
}

#[derive(Clone)]
struct Page {
    codes: Arc<Codes>,
    uses: u32,
    /// Packed by plain bytes, of the body they were made from.
    share: f64,
}

/// Packs one body.
pub(crate) struct Packer<'a> {
    book: &'a Book,
    page: Option<Page>,
    /// The window, and behind it what has been written since.
    plain: Vec<u8>,
    /// Bytes of `plain` that are packed, and that the sum covers.
    done: usize,
    summed: usize,
    /// Place of the first byte of `plain`.
    base: u64,
    sum: Hasher,
    finder: Finder,
    /// For each file the record before.
    before: Vec<Option<Before>>,
    sequences: Sequences,
    /// Where the first of them begins in `plain`.
    from: usize,
    /// `None` until it is known which codes are good.
    out: Option<Written>,
}

/// Places of the parts of a record that are like those of the next.
#[derive(Clone)]
struct Before {
    front: u64,
    /// Behind its own text.
    behind: u64,
    tail: u64,
    /// What stands there: held, so that another one is another piece of memory.
    end: Arc<str>,
}

struct Written {
    codes: Arc<Codes>,
    bits: Bits,
}

impl<'a> Packer<'a> {
    pub(crate) fn new(book: &'a Book) -> Self {
        let page = book.page.lock().clone().filter(|page| page.uses < BODIES_A_CODE);
        let out = page
            .as_ref()
            .map(|page| Written::new(Arc::clone(&page.codes), book.shelf.take()));
        let mut desk = book.desks.lock().pop().unwrap_or_default();
        desk.plain.clear();
        desk.plain.reserve(PIECE_BYTES + WINDOW_BYTES);
        desk.finder.forget();
        desk.before.clear();
        desk.sequences.clear();
        Self {
            book,
            page,
            plain: desk.plain,
            done: 0,
            summed: 0,
            base: FIRST,
            sum: Hasher::new(),
            finder: desk.finder,
            before: desk.before,
            sequences: desk.sequences,
            from: 0,
            out,
        }
    }

    /// Where records are written, behind what is there.
    pub(crate) fn plain(&mut self) -> &mut Vec<u8> {
        &mut self.plain
    }

    /// Packs what has been written, and `end` behind it: a record of a file, and where its own text lies. All else is
    /// expected to be as in the record before.
    pub(crate) fn record(&mut self, file: u16, own: Range<usize>, end: &Arc<str>) {
        let tail = self.plain.len();
        self.plain.extend_from_slice(end.as_bytes());
        let front = self.done.min(tail);
        let own = own.start.clamp(front, tail)..own.end.clamp(front, tail);
        let file = usize::from(file);
        if self.before.len() <= file {
            self.before.resize(file + 1, None);
        }
        let before = self.before.get(file).and_then(Option::as_ref);
        let like = |place: Option<u64>| usize::try_from(place?.checked_sub(self.base)?).ok();
        let likes = Likes {
            front: like(before.map(|before| before.front)),
            behind: like(before.map(|before| before.behind)),
            tail: like(before.map(|before| before.tail)),
            is_same_end: before.is_some_and(|before| Arc::ptr_eq(&before.end, end)),
        };
        let seams = Seams {
            front,
            own,
            tail,
            end: self.plain.len(),
        };
        let mut packing = Packing {
            plain: &self.plain,
            // Distances are all that is made of places, and those are small.
            base: self.base as u32,
            finder: &mut self.finder,
            sequences: &mut self.sequences,
        };
        packing.record(&seams, &likes);
        self.done = seams.end;
        if let Some(place) = self.before.get_mut(file) {
            let end = match place.take() {
                Some(before) if likes.is_same_end => before.end,
                _ => Arc::clone(end),
            };
            *place = Some(Before {
                front: self.base + front as u64,
                behind: self.base + seams.own.end as u64,
                tail: self.base + tail as u64,
                end,
            });
        }
        if self.out.is_some() || self.plain.len() >= SAMPLE_BYTES {
            self.write();
        }
        if self.plain.len() > PIECE_BYTES {
            self.let_go();
        }
    }

    /// The whole body.
    pub(crate) fn finish(mut self) -> Bytes {
        self.sequences.close();
        self.write();
        self.sum_up();
        let bytes = self.base - FIRST + self.plain.len() as u64;
        let Some(mut out) = self.out else {
            return Bytes::new();
        };
        out.codes.write_end(&mut out.bits);
        out.bits.bytes(&self.sum.finalize().to_le_bytes());
        // As the format wants it: the lower half.
        out.bits.bytes(&(bytes as u32).to_le_bytes());
        let (memory, used) = out.bits.finish();
        self.book
            .keep(self.page, &out.codes, used as f64 / bytes.max(1) as f64);
        self.book.give_back(Desk {
            plain: self.plain,
            finder: self.finder,
            before: self.before,
            sequences: self.sequences,
        });
        Bytes::from_owner(Body {
            memory,
            used,
            shelf: Arc::clone(&self.book.shelf),
        })
    }

    /// Writes what grows no more. Codes that are not known yet are made of all that is there.
    fn write(&mut self) {
        if self.out.is_none() {
            self.sequences.close();
        }
        let sequences = self.sequences.closed();
        let out = self.out.get_or_insert_with(|| {
            let codes = Codes::new(&Counts::of(&self.plain, sequences));
            Written::new(Arc::new(codes), self.book.shelf.take())
        });
        let plain = self.plain.get(self.from..).unwrap_or_default();
        self.from += out.write(plain, sequences);
        self.sequences.forget_closed();
    }

    fn sum_up(&mut self) {
        self.sum.update(self.plain.get(self.summed..).unwrap_or_default());
        self.summed = self.plain.len();
    }

    /// Keeps the window alone.
    fn let_go(&mut self) {
        self.sequences.close();
        self.write();
        self.sum_up();
        let gone = self.plain.len().saturating_sub(WINDOW_BYTES);
        self.plain.drain(..gone);
        self.base += gone as u64;
        self.done = self.plain.len();
        self.from = self.plain.len();
        self.summed = self.plain.len();
        // One huge record need not be kept room for.
        self.plain.shrink_to(2 * PIECE_BYTES);
    }
}

impl Book {
    fn keep(&self, page: Option<Page>, codes: &Arc<Codes>, share: f64) {
        let page = match page {
            Some(page) if share > page.share * WORSE => None,
            Some(page) => Some(Page {
                uses: page.uses + 1,
                ..page
            }),
            None => Some(Page {
                codes: Arc::clone(codes),
                uses: 0,
                share,
            }),
        };
        *self.page.lock() = page;
    }

    fn give_back(&self, desk: Desk) {
        let mut desks = self.desks.lock();
        if desks.len() < DESKS && desk.plain.capacity() <= 2 * PIECE_BYTES {
            desks.push(desk);
        }
    }
}

impl Shelf {
    fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.used).unwrap_or_default()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut shelf = self.shelf.0.lock();
        if shelf.len() < BODIES_KEPT && self.memory.len() <= BODY_BYTES_KEPT {
            shelf.push(std::mem::take(&mut self.memory));
        }
    }
}

/// Where the parts of a record begin.
struct Seams {
    front: usize,
    own: Range<usize>,
    tail: usize,
    end: usize,
}

/// Where they stand in the record before.
struct Likes {
    front: Option<usize>,
    behind: Option<usize>,
    tail: Option<usize>,
    is_same_end: bool,
}

/// How far back a copy for `at` begins, where it may.
fn distance(like: usize, at: usize) -> Option<usize> {
    let distance = at.checked_sub(like)?;
    (1..=WINDOW_BYTES).contains(&distance).then_some(distance)
}

/// One record on its way to sequences.
struct Packing<'a> {
    plain: &'a [u8],
    /// The lower half of the first byte's place.
    base: u32,
    finder: &'a mut Finder,
    sequences: &'a mut Sequences,
}

impl Packing<'_> {
    fn record(&mut self, seams: &Seams, likes: &Likes) {
        let own = seams.own.clone();
        self.like(seams.front..own.start, likes.front);
        self.text(own.clone());
        self.like(own.end..seams.tail, likes.behind);
        match likes.tail.and_then(|like| distance(like, seams.tail)) {
            // The same memory, held since: there is nothing to compare.
            Some(distance) if likes.is_same_end && seams.end - seams.tail >= COPY_MIN => {
                self.sequences.copy(0, seams.end - seams.tail, distance);
            }
            _ => self.like(seams.tail..seams.end, likes.tail),
        }
    }

    /// Byte by byte as from `like` on, where there is such a place.
    fn like(&mut self, range: Range<usize>, like: Option<usize>) {
        let Some(distance) = like.and_then(|like| distance(like, range.start)) else {
            self.text(range);
            return;
        };
        let Range { start: mut at, end } = range;
        // Bytes from here to `at` are others.
        let mut from = at;
        while at < end {
            let same = find::same(self.plain, at - distance, at, end - at);
            let mut length = (end - at).min(BLOCK);
            let mut kept = long_runs(same);
            if from == at && self.sequences.goes_on(distance) {
                kept |= same & !same.wrapping_add(1);
            }
            // A short run at the end may be a long one with what comes behind.
            let short = same.leading_ones() as usize;
            if at + length < end && short < SAME_MIN {
                length -= short;
            }
            while kept != 0 {
                let before = kept.trailing_zeros() as usize;
                let run = (kept >> before).trailing_ones() as usize;
                self.sequences.copy(at + before - from, run, distance);
                from = at + before + run;
                // One more than the highest bit of the run.
                kept &= kept.wrapping_add(1 << before);
            }
            at += length;
        }
        self.sequences.literals(end - from);
    }

    /// Words that have been there before, and what is between them.
    fn text(&mut self, range: Range<usize>) {
        let Range { start: mut from, end } = range.clone();
        for piece in range.step_by(LOOK_BYTES) {
            let piece = piece..end.min(piece + LOOK_BYTES);
            self.finder.look(self.plain, self.base, piece);
            for found in self.finder.found() {
                // In the middle of a longer one.
                if found.at() < from {
                    continue;
                }
                let length = found.length(self.plain, end);
                if length >= FOUND_MIN {
                    self.sequences.copy(found.at() - from, length, found.distance());
                    from = found.at() + length;
                }
            }
        }
        self.sequences.literals(end - from);
    }
}

impl Written {
    fn new(codes: Arc<Codes>, memory: Vec<u8>) -> Self {
        let mut bits = Bits::new(memory);
        bits.bytes(&FRONT);
        codes.write_front(&mut bits);
        Self { codes, bits }
    }

    /// Writes sequences that `plain` begins with; returns how many of its bytes they are.
    fn write(&mut self, plain: &[u8], sequences: &[Sequence]) -> usize {
        let (codes, mut at) = (&*self.codes, 0);
        let bytes: u32 = sequences.iter().map(|one| one.literals + one.length).sum();
        // A literal takes less than two bytes, a copy of three or more less than six.
        let mut pen = self.bits.pen(2 * bytes as usize);
        for sequence in sequences {
            let mut left = sequence.literals as usize;
            let mut last = loop {
                // What stands behind is not written, and quicker to have than to leave out.
                let four = plain.get(at..).and_then(<[u8]>::first_chunk).copied();
                let four = four.unwrap_or_else(|| padded(plain.get(at..).unwrap_or_default()));
                let count = left.min(4);
                let word = codes.literals(four, count);
                at += count;
                left -= count;
                if left == 0 {
                    break word;
                }
                pen.write(word);
            };
            let distance = sequence.distance as usize;
            let mut length = sequence.length as usize;
            while let Some(first) = seq::first_of(length) {
                pen.write(last);
                last = codes.copy(first, distance);
                length -= first;
            }
            if length > 0 {
                let copy = codes.copy(length, distance);
                if let Some(both) = last.with(copy) {
                    last = both;
                } else {
                    pen.write(last);
                    last = copy;
                }
            }
            pen.write(last);
            at += sequence.length as usize;
        }
        let place = pen.down();
        self.bits.go_on(place);
        at
    }
}

/// Of the bits that are set those with enough of them in a row.
fn long_runs(bits: u64) -> u64 {
    const { assert!(SAME_MIN == 4) };
    let begins = bits & bits >> 1 & bits >> 2 & bits >> 3;
    begins | begins << 1 | begins << 2 | begins << 3
}

fn padded(bytes: &[u8]) -> [u8; 4] {
    let mut padded = [0; 4];
    for (place, byte) in padded.iter_mut().zip(bytes) {
        *place = *byte;
    }
    padded
}
