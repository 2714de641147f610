//! M of N: an alert fires while its expression gave it in at least `m` of the last `n` evaluations, as CloudWatch counts
//! datapoints to alarm.
//!
//! An evaluation that failed, was missed, or knows nothing of the alert is none of the `n`.

use serde::{Deserialize, Serialize};

/// Most evaluations that can be looked back over.
pub(crate) const MOST: u32 = u64::BITS;

/// The key `datapoints` of an alerting rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datapoints {
    /// So many of them are enough.
    pub m: u32,
    /// Evaluations that are looked back over.
    pub n: u32,
}

/// In which of the last evaluations an alert was found; the newest is the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Points(u64);

impl Datapoints {
    /// # Errors
    /// What is wrong with them, in a sentence.
    pub(crate) fn new(m: u32, n: u32) -> Result<Self, String> {
        if m == 0 || n < m || n > MOST {
            return Err(format!(
                "datapoints need 1 <= m <= n <= {MOST}, and here m is {m} and n is {n}"
            ));
        }
        Ok(Self { m, n })
    }

    fn mask(self) -> u64 {
        u64::MAX >> (MOST - self.n)
    }

    /// As if it had been found in each of them.
    pub(crate) fn full(self) -> Points {
        Points(self.mask())
    }

    /// One evaluation more, and one less at the other end.
    pub(crate) fn next(self, points: Points, found: bool) -> Points {
        Points(((points.0 << 1) | u64::from(found)) & self.mask())
    }

    pub(crate) fn are_met(self, points: Points) -> bool {
        points.0.count_ones() >= self.m
    }
}

impl Points {
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}
