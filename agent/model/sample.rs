//! One value at one time, and what kind of thing it measures.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Histogram, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub time: Timestamp,
    pub value: f64,
}

/// What a sample of a series that has native histograms may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Value {
    /// How much reading it costs.
    #[must_use]
    pub fn samples(&self) -> usize {
        match self {
            Self::Float(_) => 1,
            Self::Histogram(histogram) => histogram.samples(),
        }
    }
}

/// The NaN that says "this series has ended here"; its bits are Prometheus' and must survive every copy.
pub const STALE: f64 = f64::from_bits(STALE_BITS);
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// A metric family's type, by the names of the exposition format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
    /// `untyped` in text format 0.0.4.
    #[default]
    Unknown,
}

impl Kind {
    /// The word of text format 0.0.4.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Unknown => "untyped",
        }
    }
}
