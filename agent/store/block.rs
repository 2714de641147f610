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
        let refs = all_refs(&shaped);
        let mut times: Vec<Arc<[Timestamp]>> = Vec::new();
        // Which shapes a series is in decides its times.
        let mut groups: HashMap<Box<[bool]>, u32> = HashMap::new();
        let (mut columns, mut packed) = (Vec::with_capacity(refs.len()), Vec::new());
        let mut of_series = Vec::new();
        let mut scratch = Vec::new();
        let (mut positions, mut presence, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for series in refs.iter() {
            shaped.positions(*series, &mut positions);
            presence.clear();
            presence.extend(positions.iter().map(Option::is_some));
            let group = groups.get(presence.as_slice()).copied().unwrap_or_else(|| {
                let group = u32::try_from(times.len()).unwrap_or(u32::MAX);
                times.push(shaped.samples(&positions).map(|(time, _)| time).collect());
                groups.insert(presence.as_slice().into(), group);
                group
            });
            values.clear();
            values.extend(shaped.samples(&positions).map(|(_, value)| value));
            columns.push(Packed::pack(&values, &mut packed, &mut scratch));
            of_series.push(group);
        }
        if times.len() == 1 {
            of_series = Vec::new();
        }
        Some(Self {
            first,
            last,
            times: times.into(),
            refs,
            columns: columns.into(),
            groups: of_series.into(),
            packed: packed.into(),
        })
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

/// Every series of some rows, sorted.
fn all_refs(shaped: &Shaped<'_>) -> Arc<[SeriesRef]> {
    if let [shape] = shaped.shapes.as_slice()
        && shape.refs.is_sorted_by(|one, two| one < two)
    {
        return shape.refs.clone();
    }
    let mut refs: Vec<SeriesRef> = shaped
        .shapes
        .iter()
        .flat_map(|shape| shape.refs.iter().copied())
        .collect();
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
}
