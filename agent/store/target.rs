//! One target's samples: takes columns, notices what ended, seals what is old enough.
//!
//! Each series' samples are strictly later one by one, in the order of rows and blocks; so a reader puts
//! together what it finds and never sorts, whatever order targets and times come in. Nothing here waits or
//! touches a disk: a commit holds the lock for a few nanoseconds a sample.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use model::column::{Kept, Rank};
use model::{Column, Labels, Round, STALE, SeriesRef, TargetDesc, TargetRef, Timestamp, is_stale};
use parking_lot::{Mutex, RwLock};

use crate::block::Block;
use crate::config::History;
use crate::families::Family;
use crate::histograms::HistogramRow;
use crate::index::Index;
use crate::parts::Parts;
use crate::read::View;
use crate::reference;
use crate::row::{Row, Shape};
use crate::sealing::window;
use crate::slots::Slots;
use crate::tail::Tail;

/// Rows from which a block is made: rows take several times what they do once they are packed.
pub(crate) const BLOCK_ROWS: usize = 20;
/// Rows from which small blocks become one: each takes something for itself.
const JOIN_ROWS: usize = 120;
/// Rows at which a commit seals by itself, should nobody have called `maintain` for so long.
const OPEN_ROWS_MAX: usize = 2048;
/// Series to look up in one go, so that nobody waits long for the index or the target.
pub(crate) const LOOKUP: usize = 1024;
/// Shapes remembered at a time, for sources that send their series in parts.
const SHAPES_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: TargetRef,
    pub(crate) name: Arc<str>,
    pub(crate) rank: Rank,
    /// Whether `target_series_max` is meant for it.
    pub(crate) is_limited: bool,
    pub(crate) state: Mutex<State>,
}

impl Target {
    pub(crate) fn new(id: TargetRef, desc: TargetDesc, history: History) -> Self {
        let name = desc.name.clone();
        Self {
            id,
            name,
            rank: desc.rank(),
            is_limited: desc.is_limited(),
            state: Mutex::new(State::new(id, desc, history)),
        }
    }

    /// What some of its series are, in the order asked; none where they are forgotten.
    pub(crate) fn look_up(
        &self,
        some: &[SeriesRef],
        index: &RwLock<Index>,
    ) -> Vec<Option<(SeriesRef, Labels, Arc<Family>)>> {
        let index = index.read();
        let state = self.state.lock();
        let one = |series: &SeriesRef| {
            let about = state.slots.about(*series)?;
            Some((*series, index.labels(about.entry)?, about.family.clone()))
        };
        some.iter().map(one).collect()
    }
}

#[derive(Debug)]
pub(crate) struct State {
    id: TargetRef,
    pub(crate) history: History,
    pub(crate) desc: TargetDesc,
    /// Somebody asked for this target in this process; otherwise it only comes from the log.
    pub(crate) registered: bool,
    pub(crate) retired: bool,
    /// The store no longer has it under its name.
    pub(crate) forgotten: bool,
    /// A column came in this process.
    pub(crate) heard: bool,
    pub(crate) slots: Slots,
    /// In the order of their commits.
    pub(crate) rows: VecDeque<Arc<Row>>,
    pub(crate) blocks: VecDeque<Arc<Block>>,
    /// In the order of their commits; none in most targets.
    pub(crate) histograms: VecDeque<Arc<HistogramRow>>,
    /// Later than these; readers hold it by its `Arc`, so that a change while one does is a change of a copy.
    pub(crate) tail: Arc<Tail>,
    /// What was in the last whole round.
    live: Option<Arc<Shape>>,
    last_whole: Option<Arc<Row>>,
    /// No series has a later sample.
    pub(crate) newest: Timestamp,
    stamp: u32,
    shapes: HashMap<u64, Arc<Shape>>,
    parts: Parts,
    hasher: DefaultHashBuilder,
}

/// What a commit leaves for the log, in this order.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) kept: Kept,
    pub(crate) points: Points,
    /// Provisional points that became samples.
    pub(crate) settled: Vec<Arc<Row>>,
    /// Stale markers; before the round, so that a log that ends between them has none too few.
    pub(crate) ended: Vec<Arc<Row>>,
    pub(crate) row: Option<Arc<Row>>,
    /// Provisional points said now.
    pub(crate) said: Option<Arc<Row>>,
    pub(crate) histograms: Option<Arc<HistogramRow>>,
}

/// What became of provisional points.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Points {
    /// Kept now; some of them in place of others.
    pub(crate) said: usize,
    /// They are samples now.
    pub(crate) settled: usize,
    /// Of these, stale markers that ended a series.
    pub(crate) ended: usize,
    /// Another point or a sample came for their time.
    pub(crate) replaced: usize,
    /// Samples came into the gap that they claimed.
    pub(crate) filled: usize,
    /// Their target went.
    pub(crate) retired: usize,
    /// Past the retention.
    pub(crate) expired: usize,
}

/// What became of one column's series.
struct Sorted {
    kept: Kept,
    /// Known series, each once: what is in the round.
    present: Vec<SeriesRef>,
    /// Of these, the ones whose sample is later than their last.
    refs: Vec<SeriesRef>,
    values: Vec<f64>,
}

impl State {
    fn new(id: TargetRef, desc: TargetDesc, history: History) -> Self {
        Self {
            id,
            history,
            desc,
            registered: false,
            retired: false,
            forgotten: false,
            heard: false,
            slots: Slots::default(),
            rows: VecDeque::new(),
            blocks: VecDeque::new(),
            histograms: VecDeque::new(),
            tail: Arc::default(),
            live: None,
            last_whole: None,
            newest: Timestamp::MIN,
            stamp: 0,
            shapes: HashMap::new(),
            parts: Parts::default(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(crate) fn commit(&mut self, mut column: Column) -> Written {
        let length = column.series.len().max(column.values.len());
        if self.retired {
            return Written {
                kept: Kept {
                    unknown: length,
                    ..Kept::default()
                },
                ..Written::default()
            };
        }
        let paired = column.series.len().min(column.values.len());
        column.series.truncate(paired);
        column.values.truncate(paired);
        let mut written = if column.round == Round::Provisional {
            self.commit_provisional(column)
        } else {
            self.heard = true;
            match self.repeats(&column) {
                Some(shape) => self.commit_repeat(column, shape),
                None => self.commit_sorted(column),
            }
        };
        written.kept.unknown += length - paired;
        if self.rows.len() >= OPEN_ROWS_MAX {
            self.seal_now();
        }
        written
    }

    /// The usual case: a later round, or part, of the same series in the same order.
    fn repeats(&mut self, column: &Column) -> Option<Arc<Shape>> {
        let later = column.time > self.newest;
        if column.round == Round::Whole {
            let live = self
                .live
                .as_ref()
                .filter(|live| later && *live.refs == *column.series);
            return live.cloned();
        }
        let shape = self.parts.find(&column.series)?;
        (later || self.slots.all_before(&shape, column.time)).then_some(shape)
    }

    fn commit_repeat(&mut self, column: Column, shape: Arc<Shape>) -> Written {
        let (settled, points) = self.make_way(&shape.refs, &[], column.time);
        let added = self.slots.advance(&shape, column.time, &column.values);
        self.newest = self.newest.max(column.time);
        let kept = Kept {
            kept: column.values.len(),
            added,
            ..Kept::default()
        };
        let row = Row {
            time: column.time,
            live: (column.round == Round::Whole).then(|| shape.clone()),
            shape,
            values: column.values.into(),
        };
        Written {
            kept,
            points,
            settled,
            row: Some(self.push(row)),
            ..Written::default()
        }
    }

    fn commit_sorted(&mut self, column: Column) -> Written {
        let last_whole = self.last_whole.as_ref().map_or(Timestamp::MIN, |row| row.time);
        let whole = column.round == Round::Whole;
        if whole && column.time <= last_whole {
            return Written {
                kept: self.refused(&column),
                ..Written::default()
            };
        }
        let time = column.time;
        let sorted = self.sort(column);
        let mut kept = sorted.kept;
        if !whole && sorted.refs.is_empty() {
            return Written {
                kept,
                ..Written::default()
            };
        }
        let mut missing = if whole { self.missing(time) } else { Vec::new() };
        let (settled, points) = self.make_way(&sorted.refs, &missing, time);
        // A provisional marker may have been their end.
        missing.retain(|series| self.lives(*series));
        kept.ended = missing.len();
        let ended = self.end(missing, time);
        let shape = self.shape(&sorted.refs);
        kept.added = self.slots.advance(&shape, time, &sorted.values);
        if !sorted.refs.is_empty() {
            self.newest = self.newest.max(time);
        }
        let all = sorted.present.len() == sorted.refs.len();
        if !whole && all {
            self.parts.remember(&shape);
        }
        let live = whole.then(|| {
            if all {
                shape.clone()
            } else {
                self.shape(&sorted.present)
            }
        });
        let row = self.push(Row {
            time,
            shape,
            live,
            values: sorted.values.into(),
        });
        Written {
            kept,
            points,
            settled,
            ended: ended.into_iter().collect(),
            row: Some(row),
            ..Written::default()
        }
    }

    /// A whole round that is not later than the last: nothing of it is kept.
    fn refused(&self, column: &Column) -> Kept {
        let mut kept = Kept::default();
        for (series, value) in column.series.iter().zip(&column.values) {
            if self.holds(*series) {
                self.count_late(*series, column.time, *value, &mut kept);
            } else {
                kept.unknown += 1;
            }
        }
        kept
    }

    pub(crate) fn next_stamp(&mut self) {
        self.stamp = self.stamp.checked_add(1).unwrap_or_else(|| {
            self.slots.clear_stamps();
            1
        });
    }

    /// Known, and the first of its series in the column that this stamp belongs to; otherwise counted.
    pub(crate) fn is_first(&mut self, series: SeriesRef, kept: &mut Kept) -> bool {
        if !self.holds(series) {
            kept.unknown += 1;
            return false;
        }
        // Of two values for one series in one column the first stands.
        let first = self.slots.stamp(series, self.stamp);
        kept.duplicate += usize::from(!first);
        first
    }

    /// Counts what is not later than the newest sample of its series.
    pub(crate) fn count_late(&self, series: SeriesRef, time: Timestamp, value: f64, kept: &mut Kept) {
        let (last_time, last_value) = self.slots.last(series);
        if last_time == time && last_value.to_bits() == value.to_bits() {
            kept.duplicate += 1;
        } else {
            kept.out_of_order += 1;
        }
    }

    fn sort(&mut self, column: Column) -> Sorted {
        self.next_stamp();
        let mut sorted = Sorted {
            kept: Kept::default(),
            present: Vec::with_capacity(column.series.len()),
            refs: Vec::with_capacity(column.series.len()),
            values: Vec::with_capacity(column.series.len()),
        };
        for (series, value) in column.series.into_iter().zip(column.values) {
            if !self.is_first(series, &mut sorted.kept) {
                continue;
            }
            sorted.present.push(series);
            if column.time > self.slots.last(series).0 {
                sorted.refs.push(series);
                sorted.values.push(value);
            } else {
                self.count_late(series, column.time, value, &mut sorted.kept);
            }
        }
        sorted.kept.kept = sorted.refs.len();
        sorted
    }

    fn holds(&self, series: SeriesRef) -> bool {
        reference::target(series) == self.id && self.slots.holds(series)
    }

    /// What was in the last whole round, does not bear the stamp of this one, and so is to end.
    fn missing(&self, time: Timestamp) -> Vec<SeriesRef> {
        let live = self.live.iter().flat_map(|live| live.refs.iter().copied());
        live.filter(|series| !self.slots.bears(*series, self.stamp))
            .filter(|series| self.lives(*series) && self.slots.last(*series).0 < time)
            .collect()
    }

    pub(crate) fn lives(&self, series: SeriesRef) -> bool {
        self.slots.holds(series) && !is_stale(self.slots.last(series).1)
    }

    fn end(&mut self, series: Vec<SeriesRef>, time: Timestamp) -> Option<Arc<Row>> {
        if series.is_empty() {
            return None;
        }
        let values: Arc<[f64]> = vec![STALE; series.len()].into();
        let shape = self.shape(&series);
        self.slots.advance(&shape, time, &values);
        self.newest = self.newest.max(time);
        Some(self.push(Row {
            time,
            shape,
            live: None,
            values,
        }))
    }

    /// All of its series end: at `time`, or a millisecond after its newest sample where that is later.
    pub(crate) fn retire(&mut self, time: Timestamp) -> Written {
        let (settled, points) = self.decide_all(time);
        let living: Vec<SeriesRef> = self
            .slots
            .iter(self.id)
            .map(|(series, _)| series)
            .filter(|series| self.lives(*series))
            .collect();
        let (now, later): (Vec<_>, Vec<_>) = living
            .into_iter()
            .partition(|series| self.slots.last(*series).0 < time);
        let after = Timestamp(self.newest.0.saturating_add(1));
        let kept = Kept {
            ended: now.len() + later.len(),
            ..Kept::default()
        };
        let ended = [self.end(now, time), self.end(later, after)];
        self.forget_round();
        self.retired = true;
        Written {
            kept,
            points,
            settled,
            ended: ended.into_iter().flatten().collect(),
            ..Written::default()
        }
    }

    /// From the log: what was written then, without noticing anything new. Tells how many samples were new.
    pub(crate) fn restore(&mut self, mut column: Column, live: Option<&[SeriesRef]>) -> usize {
        let all = live.is_none_or(|live| *live == *column.series);
        column.round = live.map_or(Round::Part, |_| Round::Whole);
        self.clear_way(&column.series, column.time);
        let known = if all { self.repeats(&column) } else { None };
        let kept = match known {
            Some(shape) => self.commit_repeat(column, shape).kept.kept,
            None => self.restore_sorted(column, live),
        };
        if self.rows.len() >= BLOCK_ROWS {
            self.seal_now();
        }
        kept
    }

    fn restore_sorted(&mut self, column: Column, live: Option<&[SeriesRef]>) -> usize {
        let time = column.time;
        let sorted = self.sort(column);
        let live = live.map(|live| self.shape(live));
        let kept = sorted.kept.kept;
        if kept > 0 || live.is_some() {
            let shape = self.shape(&sorted.refs);
            self.slots.advance(&shape, time, &sorted.values);
            if kept > 0 {
                self.newest = self.newest.max(time);
            }
            if live.is_none() {
                self.parts.remember(&shape);
            }
            self.push(Row {
                time,
                shape,
                live,
                values: sorted.values.into(),
            });
        }
        kept
    }

    /// From the log: the target had been retired then.
    pub(crate) fn restore_retired(&mut self) {
        self.tail = Arc::default();
        self.forget_round();
        self.retired = true;
    }

    fn forget_round(&mut self) {
        self.live = None;
        self.last_whole = None;
    }

    pub(crate) fn push(&mut self, row: Row) -> Arc<Row> {
        let row = Arc::new(row);
        if let Some(live) = &row.live {
            self.live = Some(live.clone());
            self.last_whole = Some(row.clone());
        }
        if self.history == History::Full && !row.values.is_empty() {
            self.rows.push_back(row.clone());
        }
        row
    }

    pub(crate) fn shape(&mut self, refs: &[SeriesRef]) -> Arc<Shape> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if let Some(live) = self.live.as_ref().filter(|live| *live.refs == *refs) {
            return live.clone();
        }
        let hash = self.hasher.hash_one(refs);
        if let Some(known) = self.shapes.get(&hash).filter(|known| *known.refs == *refs) {
            return known.clone();
        }
        if self.shapes.len() >= SHAPES_MAX {
            self.shapes.clear();
        }
        let shape = Arc::new(Shape::new(NEXT.fetch_add(1, Ordering::Relaxed), refs.into()));
        self.shapes.insert(hash, shape.clone());
        shape
    }

    fn seal_now(&mut self) {
        while !self.rows.is_empty() {
            let length = self.first_window().len();
            let rows: Vec<Arc<Row>> = self.rows.drain(..length).collect();
            self.blocks.extend(Block::seal(&rows).map(Arc::new));
        }
        self.rows = VecDeque::new();
    }

    /// The oldest rows, as far as they are of one window: no block lies across the end of one.
    pub(crate) fn first_window(&self) -> impl ExactSizeIterator<Item = &Arc<Row>> {
        let first = self.rows.front().map(|row| window(row.time));
        let other = self
            .rows
            .iter()
            .position(|row| first.is_none_or(|window| !window.contains(row.time)));
        self.rows.range(..other.unwrap_or(self.rows.len()))
    }

    /// Lets go of what a view holds.
    pub(crate) fn let_go(&mut self, view: &View) {
        let rows: HashSet<*const Row> = view.rows.iter().map(Arc::as_ptr).collect();
        let blocks: HashSet<*const Block> = view.blocks.iter().map(Arc::as_ptr).collect();
        self.rows.retain(|row| !rows.contains(&Arc::as_ptr(row)));
        self.blocks.retain(|block| !blocks.contains(&Arc::as_ptr(block)));
        let histograms: HashSet<*const HistogramRow> = view.histograms.iter().map(Arc::as_ptr).collect();
        self.histograms
            .retain(|row| !histograms.contains(&Arc::as_ptr(row)));
    }

    /// Puts a block in place of the oldest rows it was made of, unless they changed meanwhile.
    pub(crate) fn replace(&mut self, rows: &[Arc<Row>], block: Option<Block>) {
        let same =
            self.rows.len() >= rows.len() && self.rows.iter().zip(rows).all(|(a, b)| Arc::ptr_eq(a, b));
        if same {
            self.rows.drain(..rows.len());
            self.rows.shrink_to(BLOCK_ROWS);
            self.blocks.extend(block.map(Arc::new));
        }
    }

    /// The oldest small blocks that are enough to become one, or all there are of a window that is over.
    pub(crate) fn to_join(&self) -> Vec<Arc<Block>> {
        let is_small = |block: &Arc<Block>| block.rows() < JOIN_ROWS;
        let small = self
            .blocks
            .iter()
            .rev()
            .take_while(|block| is_small(block))
            .count();
        let mut blocks = self.blocks.range(self.blocks.len() - small..).peekable();
        while let Some(first) = blocks.peek() {
            let own = window(first.first);
            let (mut found, mut rows) = (Vec::new(), 0);
            while let Some(block) = blocks.next_if(|block| rows < JOIN_ROWS && own.contains(block.first)) {
                rows += block.rows();
                found.push(block.clone());
            }
            let is_over = blocks.peek().is_some_and(|next| !own.contains(next.first));
            if found.len() > 1 && (rows >= JOIN_ROWS || is_over) {
                return found;
            }
        }
        Vec::new()
    }

    /// Puts a block in place of those it was made of, unless some went meanwhile.
    pub(crate) fn replace_blocks(&mut self, parts: &[Arc<Block>], joined: Option<Block>) {
        let is_first = |block: &Arc<Block>| parts.first().is_some_and(|first| Arc::ptr_eq(block, first));
        let Some(at) = self.blocks.iter().position(is_first) else {
            return;
        };
        let there = self.blocks.iter().skip(at).zip(parts);
        let same = there.filter(|(block, part)| Arc::ptr_eq(block, part)).count() == parts.len();
        if let Some(joined) = joined.filter(|_| same) {
            self.blocks.drain(at..at + parts.len());
            self.blocks.insert(at, Arc::new(joined));
        }
    }

    /// Whether there is more than the newest rows.
    pub(crate) fn can_evict(&self) -> bool {
        !self.blocks.is_empty() || self.histograms.len() >= BLOCK_ROWS
    }

    /// Lets go of the oldest block, or of as many rows of histograms where those are older; tells the bytes.
    pub(crate) fn evict(&mut self) -> usize {
        let (block, row) = (self.blocks.front(), self.histograms.front());
        let is_block = row.is_none_or(|row| block.is_some_and(|block| block.first <= row.time));
        if is_block || self.histograms.len() < BLOCK_ROWS {
            return self.blocks.pop_front().map_or(0, |block| block.bytes());
        }
        self.histograms.drain(..BLOCK_ROWS).map(|row| row.bytes()).sum()
    }

    /// Lets go of what ended before `cutoff`.
    pub(crate) fn expire(&mut self, cutoff: Timestamp) -> Points {
        self.blocks.retain(|block| block.last >= cutoff);
        self.rows.retain(|row| row.time >= cutoff);
        self.histograms.retain(|row| row.time >= cutoff);
        self.parts.turn();
        let current = self.live.as_ref().map(|live| live.id);
        self.shapes
            .retain(|_, shape| Arc::strong_count(shape) > 1 || Some(shape.id) == current);
        Points {
            expired: self.take_before(cutoff).len(),
            ..Points::default()
        }
    }

    /// Series whose newest sample, or first mention, is before `cutoff`, and of which nothing is in memory, provisional
    /// points neither: something late may have come since `cutoff` was found.
    pub(crate) fn idle(&self, cutoff: Timestamp) -> impl Iterator<Item = (SeriesRef, u32)> {
        let held = match self.history {
            History::Full => self.oldest().unwrap_or(Timestamp::MAX),
            History::None => Timestamp::MAX,
        };
        self.slots
            .iter(self.id)
            .filter(move |(series, about)| {
                let last = self.slots.last(*series).0;
                last < held && last.max(about.born.time()) < cutoff
            })
            .filter(|(series, _)| !self.tail.holds(*series))
            .map(|(series, about)| (series, about.entry))
    }

    /// Forgets a series; its entry in the index goes with it.
    pub(crate) fn forget(&mut self, series: SeriesRef) {
        self.slots.remove(series);
    }

    /// After series were forgotten: the last round no longer counts on them.
    pub(crate) fn forget_shapes(&mut self) {
        let holds = |shape: &Shape| shape.refs.iter().all(|series| self.slots.holds(*series));
        self.shapes.retain(|_, shape| holds(shape));
        self.parts.retain(holds);
        let Some(live) = self.live.clone() else { return };
        if live.refs.iter().all(|series| self.slots.holds(*series)) {
            return;
        }
        let left: Vec<SeriesRef> = live
            .refs
            .iter()
            .copied()
            .filter(|series| self.slots.holds(*series))
            .collect();
        self.live = Some(self.shape(&left));
    }

    /// Time of its oldest sample; of its last values where no history is kept.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        let blocks = self.blocks.iter().map(|block| block.first);
        let rows = self.rows.iter().map(|row| row.time);
        let histograms = self.histograms.iter().map(|row| row.time);
        match self.history {
            History::Full => blocks.chain(rows).chain(histograms).min(),
            History::None => self.slots.oldest(self.id),
        }
    }

    /// The newest whole round, if the target has been heard in this process and is still there.
    pub(crate) fn shown(&self) -> Option<&Arc<Row>> {
        self.last_whole.as_ref().filter(|_| self.heard && !self.retired)
    }

    /// Bytes that its samples take.
    pub(crate) fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.bytes()).sum();
        let histograms: usize = self.histograms.iter().map(|row| row.bytes()).sum();
        blocks + histograms + self.row_bytes() + self.shape_bytes() + self.tail.bytes()
    }

    fn row_bytes(&self) -> usize {
        self.rows
            .iter()
            .map(|row| row.values.len() * 8 + size_of::<Row>())
            .sum()
    }

    /// Of its rows' shapes, taken together where they follow each other.
    fn shape_bytes(&self) -> usize {
        let mut previous = None;
        let changed = |row: &&Arc<Row>| previous.replace(row.shape.id) != Some(row.shape.id);
        self.rows
            .iter()
            .filter(changed)
            .map(|row| row.shape.heap_bytes())
            .sum()
    }
}
