//! Packs records as gzip (RFC 1952), knowing what they look like: most of a record is what the one before it of the
//! same file was, and its text repeats whole words.
//!
//! Whatever it is given, unpacked it is the same bytes: what a record should look like is only where to look first.

mod bits;
mod codes;
mod find;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use crc32fast::Hasher;
use parking_lot::Mutex;

use bits::Bits;
use codes::{Codes, Counts};
use find::{Finder, common};

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
    pending: Pending,
    out: Out,
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

/// A copy that may still grow.
#[derive(Default)]
struct Pending {
    distance: usize,
    length: usize,
}

enum Out {
    /// Nothing is written before it is known which codes are good.
    Sample(Box<Sample>),
    Written(Written),
}

#[derive(Default)]
struct Sample {
    counts: Counts,
    tokens: Vec<Token>,
}

#[derive(Clone, Copy)]
enum Token {
    Literal(u8),
    Copy(u16, u16),
}

struct Written {
    codes: Arc<Codes>,
    bits: Bits,
}

/// What takes literals and copies.
trait Take {
    fn literals(&mut self, bytes: &[u8]);
    /// Of a length that one copy can have.
    fn copy(&mut self, length: usize, distance: usize);
}

impl<'a> Packer<'a> {
    pub(crate) fn new(book: &'a Book) -> Self {
        let page = book.page.lock().clone().filter(|page| page.uses < BODIES_A_CODE);
        let out = match &page {
            Some(page) => Out::Written(Written::new(Arc::clone(&page.codes), book.shelf.take())),
            None => Out::Sample(Box::default()),
        };
        let mut desk = book.desks.lock().pop().unwrap_or_default();
        desk.plain.clear();
        desk.plain.reserve(PIECE_BYTES + WINDOW_BYTES);
        desk.finder.forget();
        desk.before.clear();
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
            pending: Pending::default(),
            out,
        }
    }

    /// Where records are written, behind what is there.
    pub(crate) fn plain(&mut self) -> &mut Vec<u8> {
        &mut self.plain
    }

    /// Packs what has been written, and `end` behind it: a record of a file, and where its own text lies. All else is
    /// expected to be as in the record before.
    pub(crate) fn record(&mut self, file: u16, own: Range<usize>, end: Arc<str>) {
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
            is_same_end: before.is_some_and(|before| Arc::ptr_eq(&before.end, &end)),
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
            pending: &mut self.pending,
        };
        let before = Before {
            front: self.base + front as u64,
            behind: self.base + seams.own.end as u64,
            tail: self.base + tail as u64,
            end,
        };
        match &mut self.out {
            Out::Sample(out) => packing.record(&seams, &likes, &mut **out),
            Out::Written(out) => {
                out.bits.reserve(2 * (seams.end - front));
                packing.record(&seams, &likes, out);
            }
        }
        self.done = seams.end;
        if let Some(place) = self.before.get_mut(file) {
            *place = Some(before);
        }
        self.begin_writing(SAMPLE_BYTES);
        if self.plain.len() > PIECE_BYTES {
            self.let_go();
        }
    }

    /// The whole body.
    pub(crate) fn finish(mut self) -> Bytes {
        self.begin_writing(0);
        self.sum_up();
        let bytes = self.base - FIRST + self.plain.len() as u64;
        let Out::Written(mut out) = self.out else {
            return Bytes::new();
        };
        out.bits.reserve(2 * self.pending.length);
        self.pending.settle(&mut out);
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
        });
        Bytes::from_owner(Body {
            memory,
            used,
            shelf: Arc::clone(&self.book.shelf),
        })
    }

    /// Once there is enough to know the codes by.
    fn begin_writing(&mut self, bytes_min: usize) {
        let Out::Sample(sample) = &mut self.out else {
            return;
        };
        if self.plain.len() < bytes_min {
            return;
        }
        let sample = std::mem::take(&mut **sample);
        let codes = Arc::new(Codes::new(&sample.counts));
        let mut written = Written::new(codes, self.book.shelf.take());
        written.bits.reserve(4 * sample.tokens.len() + WINDOW_BYTES);
        for token in sample.tokens {
            match token {
                Token::Literal(byte) => written.literals(&[byte]),
                Token::Copy(length, distance) => written.copy(length.into(), distance.into()),
            }
        }
        self.out = Out::Written(written);
    }

    fn sum_up(&mut self) {
        self.sum.update(self.plain.get(self.summed..).unwrap_or_default());
        self.summed = self.plain.len();
    }

    /// Keeps the window alone.
    fn let_go(&mut self) {
        self.sum_up();
        let gone = self.plain.len().saturating_sub(WINDOW_BYTES);
        self.plain.drain(..gone);
        self.base += gone as u64;
        self.done = self.plain.len();
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

/// One record on its way to tokens.
struct Packing<'a> {
    plain: &'a [u8],
    /// The lower half of the first byte's place.
    base: u32,
    finder: &'a mut Finder,
    pending: &'a mut Pending,
}

impl Packing<'_> {
    fn record(&mut self, seams: &Seams, likes: &Likes, out: &mut impl Take) {
        let own = seams.own.clone();
        self.like(seams.front..own.start, likes.front, out);
        self.text(own.clone(), out);
        self.like(own.end..seams.tail, likes.behind, out);
        match likes.tail.and_then(|like| distance(like, seams.tail)) {
            // The same memory, held since: there is nothing to compare.
            Some(distance) if likes.is_same_end && seams.end - seams.tail >= COPY_MIN => {
                self.pending.grow(seams.end - seams.tail, distance, out);
            }
            _ => self.like(seams.tail..seams.end, likes.tail, out),
        }
    }

    /// Byte by byte as from `like` on, where there is such a place.
    fn like(&mut self, range: Range<usize>, like: Option<usize>, out: &mut impl Take) {
        let Some(distance) = like.and_then(|like| distance(like, range.start)) else {
            self.text(range, out);
            return;
        };
        let Range { start: mut at, end } = range;
        // Bytes from here to `at` are others.
        let mut from = at;
        while at < end {
            let same = common(self.plain, at - distance, at, end - at);
            if same >= SAME_MIN || (from == at && same > 0 && self.pending.goes_on(distance)) {
                self.literals(from..at, out);
                self.pending.grow(same, distance, out);
                at += same;
                from = at;
            } else {
                at += same + 1;
            }
        }
        self.literals(from..end, out);
    }

    /// Words that have been there before, and what is between them.
    fn text(&mut self, range: Range<usize>, out: &mut impl Take) {
        let Range { start: mut at, end } = range;
        let mut from = at;
        while at < end {
            if let Some((length, distance)) = self.finder.find(self.plain, self.base, at, end) {
                self.literals(from..at, out);
                self.pending.grow(length, distance, out);
                at += length;
                from = at;
            }
            at = find::word(self.plain, at, end);
        }
        self.literals(from..end, out);
    }

    fn literals(&mut self, range: Range<usize>, out: &mut impl Take) {
        if range.is_empty() {
            return;
        }
        self.pending.settle(out);
        out.literals(self.plain.get(range).unwrap_or_default());
    }
}

impl Pending {
    fn goes_on(&self, distance: usize) -> bool {
        self.length > 0 && self.distance == distance
    }

    fn grow(&mut self, length: usize, distance: usize, out: &mut impl Take) {
        if !self.goes_on(distance) {
            self.settle(out);
            self.distance = distance;
        }
        self.length += length;
        // Enough stays behind that the rest is a copy as well.
        while self.length >= COPY_MAX + COPY_MIN {
            out.copy(COPY_MAX, distance);
            self.length -= COPY_MAX;
        }
    }

    fn settle(&mut self, out: &mut impl Take) {
        let length = std::mem::take(&mut self.length);
        if length == 0 {
            return;
        }
        if length <= COPY_MAX {
            out.copy(length, self.distance);
            return;
        }
        out.copy(length - COPY_MIN, self.distance);
        out.copy(COPY_MIN, self.distance);
    }
}

impl Written {
    fn new(codes: Arc<Codes>, memory: Vec<u8>) -> Self {
        let mut bits = Bits::new(memory);
        bits.bytes(&FRONT);
        codes.write_front(&mut bits);
        Self { codes, bits }
    }
}

impl Take for Written {
    fn literals(&mut self, bytes: &[u8]) {
        let (fours, rest) = bytes.as_chunks::<4>();
        for four in fours {
            for byte in four {
                let code = self.codes.literal(*byte);
                self.bits.put(u64::from(code.bits), code.count);
            }
            self.bits.flush();
        }
        for byte in rest {
            let code = self.codes.literal(*byte);
            self.bits.put(u64::from(code.bits), code.count);
        }
        self.bits.flush();
    }

    fn copy(&mut self, length: usize, distance: usize) {
        let (bits, count) = self.codes.copy(length, distance);
        self.bits.put(bits, count);
        self.bits.flush();
    }
}

impl Take for Sample {
    fn literals(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.counts.literal(*byte);
            self.tokens.push(Token::Literal(*byte));
        }
    }

    fn copy(&mut self, length: usize, distance: usize) {
        self.counts.copy(length, distance);
        // Neither is more than 32,768.
        self.tokens.push(Token::Copy(length as u16, distance as u16));
    }
}
