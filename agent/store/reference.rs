//! What is inside a [`SeriesRef`]: target, place in the target, and how often that place was given out.
//!
//! A place is used again once its series is forgotten; the generation keeps an old ref from reaching the new
//! series.

use model::{SeriesRef, TargetRef};

const SLOT_BITS: u32 = 22;
const GENERATION_BITS: u32 = 16;
/// Most series one target may have at a time.
pub(crate) const SLOTS_MAX: u32 = 1 << SLOT_BITS;
/// A place that was given out this often is not used again.
pub(crate) const GENERATION_MAX: u32 = (1 << GENERATION_BITS) - 1;
/// Ids of targets lie below.
pub(crate) const TARGETS_MAX: u32 = 1 << (u64::BITS - SLOT_BITS - GENERATION_BITS);

pub(crate) fn make(target: TargetRef, generation: u32, slot: u32) -> SeriesRef {
    let upper = u64::from(target.0) << GENERATION_BITS | u64::from(generation & GENERATION_MAX);
    SeriesRef(upper << SLOT_BITS | u64::from(slot & (SLOTS_MAX - 1)))
}

pub(crate) fn slot(reference: SeriesRef) -> usize {
    (reference.0 & u64::from(SLOTS_MAX - 1)) as usize
}

pub(crate) fn generation(reference: SeriesRef) -> u32 {
    (reference.0 >> SLOT_BITS) as u32 & GENERATION_MAX
}

pub(crate) fn target(reference: SeriesRef) -> TargetRef {
    TargetRef((reference.0 >> (SLOT_BITS + GENERATION_BITS)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        for (of, turn, place) in [
            (0, 0, 0),
            (TARGETS_MAX - 1, GENERATION_MAX, SLOTS_MAX - 1),
            (5, 1, 9),
        ] {
            let reference = make(TargetRef(of), turn, place);
            assert_eq!(target(reference), TargetRef(of));
            assert_eq!(generation(reference), turn);
            assert_eq!(slot(reference), place as usize);
        }
    }
}
