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

use crc32fast::Hasher;
use parking_lot::Mutex;

use bits::Bits;
use codes::{Codes, Counts};
use find::{Finder, same};

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

/// What bodies pass on to each other: codes that fit what is packed at the moment, made anew once in a while and when they
/// no longer fit, and memory.
#[derive(Default)]
pub(crate) struct Book {
    page: Mutex<Option<Page>>,
    desks: Mutex<Vec<Desk>>,
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
#[derive(Clone, Copy)]
struct Before {
    front: u64,
    end: u64,
}

/// A copy that may still grow.
#[derive(Default)]
struct Pending {
    distance: usize,
    length: usize,
}

enum Out {
    /// Nothing is written before it is known which codes are good.
    Sample(Sample),
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
    pub(crate) fn new(book: &'a Book, bytes_expected: usize) -> Self {
        let page = book.page.lock().clone().filter(|page| page.uses < BODIES_A_CODE);
        let out = match &page {
            Some(page) => Out::Written(Written::new(Arc::clone(&page.codes), bytes_expected)),
            None => Out::Sample(Sample::default()),
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

    /// Packs what has been written: a record of a file, and where its text lies in it. What is before and behind the
    /// text is expected to be as in the record before.
    pub(crate) fn record(&mut self, file: u16, text: Range<usize>) {
        let end = self.plain.len();
        let front = self.done.min(end);
        let text = text.start.clamp(front, end)..text.end.clamp(front, end);
        let file = usize::from(file);
        if self.before.len() <= file {
            self.before.resize(file + 1, None);
        }
        let before = self.before.get(file).copied().flatten();
        let like = |place: u64| usize::try_from(place.checked_sub(self.base)?).ok();
        let front_like = before.and_then(|before| like(before.front));
        let tail_bytes = end - text.end;
        let tail_like = before.and_then(|before| like(before.end)?.checked_sub(tail_bytes));
        let mut packing = Packing {
            plain: &self.plain,
            base: self.base as u32,
            finder: &mut self.finder,
            pending: &mut self.pending,
        };
        match &mut self.out {
            Out::Sample(out) => {
                packing.record([front, text.start, text.end, end], (front_like, tail_like), out)
            }
            Out::Written(out) => {
                out.bits.reserve(2 * (end - front));
                packing.record([front, text.start, text.end, end], (front_like, tail_like), out);
            }
        }
        if let Some(before) = self.before.get_mut(file) {
            *before = Some(Before {
                front: self.base + front as u64,
                end: self.base + end as u64,
            });
        }
        self.done = end;
        self.begin_writing(SAMPLE_BYTES);
        if self.plain.len() > PIECE_BYTES {
            self.let_go();
        }
    }

    /// The whole body.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let end = self.plain.len();
        self.record(0, end..end);
        self.begin_writing(0);
        self.sum_up();
        let bytes = self.base - FIRST + self.plain.len() as u64;
        let Out::Written(mut out) = self.out else {
            return Vec::new();
        };
        out.bits.reserve(2 * self.pending.length);
        self.pending.settle(&mut out);
        out.codes.write_end(&mut out.bits);
        let mut packed = out.bits.finish();
        packed.extend_from_slice(&self.sum.finalize().to_le_bytes());
        // As the format wants it: the lower half.
        packed.extend_from_slice(&(bytes as u32).to_le_bytes());
        let share = packed.len() as f64 / bytes.max(1) as f64;
        self.book.keep(self.page, &out.codes, share);
        self.book.give_back(Desk {
            plain: self.plain,
            finder: self.finder,
            before: self.before,
        });
        packed
    }

    /// Once there is enough to know the codes by.
    fn begin_writing(&mut self, bytes_min: usize) {
        let Out::Sample(sample) = &mut self.out else {
            return;
        };
        if self.plain.len() < bytes_min {
            return;
        }
        let sample = std::mem::take(sample);
        let mut written = Written::new(Arc::new(Codes::new(&sample.counts)), 0);
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

/// One record on its way to tokens.
struct Packing<'a> {
    plain: &'a [u8],
    /// The lower half of the first byte's place.
    base: u32,
    finder: &'a mut Finder,
    pending: &'a mut Pending,
}

impl Packing<'_> {
    fn record(&mut self, seams: [usize; 4], likes: (Option<usize>, Option<usize>), out: &mut impl Take) {
        let [front, text, tail, end] = seams;
        self.like(front..text, likes.0, out);
        self.text(text..tail, out);
        self.like(tail..end, likes.1, out);
    }

    /// Byte by byte as from `like` on, where there is such a place.
    fn like(&mut self, range: Range<usize>, like: Option<usize>, out: &mut impl Take) {
        let distance = like.and_then(|like| range.start.checked_sub(like));
        let Some(distance) = distance.filter(|distance| (1..=WINDOW_BYTES).contains(distance)) else {
            self.text(range, out);
            return;
        };
        let Range { start: mut at, end } = range;
        // Bytes from here to `at` are others.
        let mut from = at;
        while at < end {
            let same = same(self.plain, at - distance, at, end - at);
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
    fn new(codes: Arc<Codes>, bytes_expected: usize) -> Self {
        let mut front = Vec::with_capacity(bytes_expected);
        front.extend_from_slice(&FRONT);
        let mut bits = Bits::new(front);
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
