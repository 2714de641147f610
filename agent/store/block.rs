//! Sealed rows of one target, turned from rows to columns and packed.
//!
//! A block holds a few time columns; every series that was written at just these times shares one. Nothing in
//! it ever changes, so that readers keep it by an `Arc` and no lock. This is the seam behind which denser
//! chunks and blocks on disk belong: a block answers `column` and its bounds, nothing else.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use model::{SeriesRef, Timestamp};

use crate::packed::Packed;
use crate::reference;
use crate::row::{Row, Shaped};

#[derive(Debug)]
pub(crate) struct Block {
    /// Time of the oldest and the newest sample in it.
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    times: Box<[Arc<[Timestamp]>]>,
    /// Sorted; those of the rows themselves where these were all alike.
    refs: Arc<[SeriesRef]>,
    columns: Box<[Packed]>,
    /// Which times each series has; empty where all have the first.
    groups: Box<[u32]>,
    /// All packed values, one series after the other.
    packed: Box<[u8]>,
}

/// One series in a block.
pub(crate) struct Column<'a> {
    block: &'a Block,
    /// Two columns of a block with the same number have the same times.
    pub(crate) group: u32,
    pub(crate) times: &'a Arc<[Timestamp]>,
    values: Packed,
}

impl Column<'_> {
    /// Adds the values of a range of its times to `out`.
    pub(crate) fn read(&self, range: Range<usize>, out: &mut Vec<f64>) {
        self.values.read(&self.block.packed, range, out);
    }
}

impl Block {
    /// None when the rows hold nothing.
    pub(crate) fn seal(rows: &[Arc<Row>]) -> Option<Self> {
        let first = rows.iter().map(|row| row.time).min()?;
        let last = rows.iter().map(|row| row.time).max()?;
        let shaped = Shaped::new(rows.iter());
        let refs = all_refs(shaped.shapes.iter().map(|shape| &shape.refs));
        let mut packing = Packing::default();
        let mut positions = Vec::new();
        for series in refs.iter() {
            shaped.positions(*series, &mut positions);
            packing
                .key
                .extend(positions.iter().map(|position| u32::from(position.is_some())));
            shaped.values(&positions, &mut packing.values);
            packing.end(|| shaped.samples(&positions).map(|(time, _)| time).collect());
        }
        Some(packing.done((first, last), refs))
    }

    /// Several as one, where each one's samples are later than those of the one before.
    pub(crate) fn join(blocks: &[Arc<Self>]) -> Option<Self> {
        let first = blocks.iter().map(|block| block.first).min()?;
        let last = blocks.iter().map(|block| block.last).max()?;
        let refs = all_refs(blocks.iter().map(|block| &block.refs));
        let mut packing = Packing::default();
        for series in refs.iter() {
            let columns = || blocks.iter().map(|block| block.column(*series));
            for column in columns() {
                packing
                    .key
                    .push(column.as_ref().map_or(u32::MAX, |column| column.group));
                if let Some(column) = column {
                    column.read(0..column.times.len(), &mut packing.values);
                }
            }
            packing.end(|| {
                let times = columns()
                    .flatten()
                    .flat_map(|column| column.times.iter().copied());
                times.collect()
            });
        }
        Some(packing.done((first, last), refs))
    }

    /// How many times there are for most of its series.
    pub(crate) fn rows(&self) -> usize {
        self.times
            .iter()
            .map(|times| times.len())
            .max()
            .unwrap_or_default()
    }

    pub(crate) fn column(&self, series: SeriesRef) -> Option<Column<'_>> {
        let guess = reference::slot(series);
        let at = match self.refs.get(guess) {
            Some(found) if *found == series => guess,
            _ => self.refs.binary_search(&series).ok()?,
        };
        let group = self.groups.get(at).copied().unwrap_or_default();
        Some(Column {
            group,
            times: self.times.get(group as usize)?,
            block: self,
            values: *self.columns.get(at)?,
        })
    }

    /// How many series it holds.
    pub(crate) fn series(&self) -> usize {
        self.refs.len()
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let times: usize = self.times.iter().map(|times| 16 + times.len() * 8).sum();
        times + self.packed.len() + self.refs.len() * (8 + size_of::<Packed>()) + self.groups.len() * 4
    }
}

/// A block while its series come, one after the other.
#[derive(Default)]
struct Packing {
    times: Vec<Arc<[Timestamp]>>,
    /// What decides about a series' times, and their number.
    groups: HashMap<Box<[u32]>, u32>,
    columns: Vec<Packed>,
    of_series: Vec<u32>,
    packed: Vec<u8>,
    scratch: Vec<f64>,
    /// Of the series that comes.
    key: Vec<u32>,
    values: Vec<f64>,
}

impl Packing {
    /// Takes the series whose key and values are there.
    fn end(&mut self, times: impl FnOnce() -> Arc<[Timestamp]>) {
        let group = match self.groups.get(self.key.as_slice()) {
            Some(group) => *group,
            None => {
                let group = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
                self.times.push(times());
                self.groups.insert(self.key.as_slice().into(), group);
                group
            }
        };
        self.of_series.push(group);
        self.columns
            .push(Packed::pack(&self.values, &mut self.packed, &mut self.scratch));
        self.key.clear();
        self.values.clear();
    }

    fn done(mut self, (first, last): (Timestamp, Timestamp), refs: Arc<[SeriesRef]>) -> Block {
        if self.times.len() == 1 {
            self.of_series = Vec::new();
        }
        Block {
            first,
            last,
            times: self.times.into(),
            refs,
            columns: self.columns.into(),
            groups: self.of_series.into(),
            packed: self.packed.into(),
        }
    }
}

/// Every series of some lists, sorted.
fn all_refs<'a>(lists: impl Iterator<Item = &'a Arc<[SeriesRef]>> + Clone) -> Arc<[SeriesRef]> {
    let mut others = lists.clone();
    if let Some(first) = others.next()
        && first.is_sorted_by(|one, two| one < two)
        && others.all(|other| Arc::ptr_eq(other, first) || other == first)
    {
        return first.clone();
    }
    let mut refs: Vec<SeriesRef> = lists.flat_map(|list| list.iter().copied()).collect();
    refs.sort_unstable();
    refs.dedup();
    refs.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Shape;
    use model::TargetRef;

    fn refs(slots: &[u32]) -> Arc<[SeriesRef]> {
        slots
            .iter()
            .map(|slot| reference::make(TargetRef(0), 0, *slot))
            .collect()
    }

    #[test]
    fn series_written_together_share_their_times() {
        let (both, one) = (
            Arc::new(Shape::new(1, refs(&[0, 1]))),
            Arc::new(Shape::new(2, refs(&[2]))),
        );
        let row = |time, shape: &Arc<Shape>, values: &[f64]| {
            Arc::new(Row {
                time: Timestamp(time),
                shape: shape.clone(),
                live: None,
                values: values.into(),
            })
        };
        let block = Block::seal(&[
            row(10, &both, &[1.0, 2.0]),
            row(7, &one, &[9.0]),
            row(20, &both, &[3.0, 4.0]),
        ])
        .expect("rows");
        assert_eq!((block.first, block.last), (Timestamp(7), Timestamp(20)));
        let [a, b, c] = [0, 1, 2].map(|slot| {
            block
                .column(reference::make(TargetRef(0), 0, slot))
                .expect("sealed")
        });
        assert!(Arc::ptr_eq(a.times, b.times));
        assert_eq!(&**a.times, [Timestamp(10), Timestamp(20)]);
        assert_eq!(&**c.times, [Timestamp(7)]);
        let mut values = Vec::new();
        b.read(0..2, &mut values);
        assert_eq!(values, [2.0, 4.0]);
        assert!(block.column(reference::make(TargetRef(0), 1, 0)).is_none());
    }

    #[test]
    fn joined_blocks_are_the_block_of_all_their_rows() {
        let shapes = [
            Arc::new(Shape::new(1, refs(&[0, 1, 2]))),
            Arc::new(Shape::new(2, refs(&[1, 3]))),
        ];
        let rows: Vec<Arc<Row>> = (0..40_i64)
            .map(|nth| {
                let shape = &shapes[usize::from(nth % 3 == 0)];
                let value = |series: usize| (nth * 7 % 5) as f64 * 0.1 + series as f64;
                Arc::new(Row {
                    time: Timestamp(nth * 10),
                    shape: shape.clone(),
                    live: None,
                    values: (0..shape.refs.len()).map(value).collect(),
                })
            })
            .collect();
        let parts: Vec<Arc<Block>> = rows
            .chunks(7)
            .map(|rows| Arc::new(Block::seal(rows).expect("rows")))
            .collect();
        let (joined, whole) = (
            Block::join(&parts).expect("parts"),
            Block::seal(&rows).expect("rows"),
        );
        assert_eq!((joined.first, joined.last), (whole.first, whole.last));
        assert_eq!((joined.series(), joined.rows()), (4, whole.rows()));
        for series in refs(&[0, 1, 2, 3]).iter() {
            let [one, other] = [&joined, &whole].map(|block| {
                let column = block.column(*series).expect("there");
                let mut values = Vec::new();
                column.read(0..column.times.len(), &mut values);
                (column.times.to_vec(), values)
            });
            assert_eq!(one, other);
        }
        assert!(joined.bytes() < parts.iter().map(|part| part.bytes()).sum());
    }
}
