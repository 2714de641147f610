//! Whether what a histogram has counted began anew.

use model::histogram::{Buckets, CUSTOM, Histogram, Reset};

/// None where that cannot be said, as between layouts that have not the same buckets. What does not count up is none.
pub(crate) fn is_reset(before: &Histogram, after: &Histogram) -> Option<bool> {
    if after.reset == Reset::Yes {
        return Some(true);
    }
    if before.reset == Reset::Gauge || after.reset == Reset::Gauge {
        return None;
    }
    if after.count < before.count {
        return Some(true);
    }
    if before.schema != after.schema || before.zero_threshold != after.zero_threshold {
        return None;
    }
    let bounds_differ = after.schema == CUSTOM && before.bounds != after.bounds;
    let fewer = after.zero_count < before.zero_count
        || is_fewer(&before.positive, &after.positive)
        || is_fewer(&before.negative, &after.negative);
    Some(bounds_differ || fewer)
}

/// Whether any bucket holds less than it did.
fn is_fewer(before: &Buckets, after: &Buckets) -> bool {
    let mut after = after.indexed().peekable();
    before.indexed().any(|(index, count)| {
        while after.next_if(|(other, _)| *other < index).is_some() {}
        match after.next_if(|(other, _)| *other == index) {
            Some((_, now)) => now < count,
            None => count != 0.0,
        }
    })
}
