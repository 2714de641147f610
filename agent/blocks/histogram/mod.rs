//! Native histograms of one series packed field by field, each as the change since the sample before.
//!
//! The format is Prometheus' chunks of histograms and of float histograms: prometheus/prometheus
//! tsdb/docs/format/chunks.md and tsdb/chunkenc. All samples of a chunk have one layout, which stands in front: schema,
//! zero threshold, spans, bounds. Whole counts are written as differences of differences, the buckets among them as
//! the difference from the bucket before; floats by the bits that differ, as in XOR chunks.

mod decode;
mod encode;
mod layout;
mod resets;

pub(crate) use self::decode::Decoder;
pub(crate) use self::encode::Encoder;
pub(crate) use self::layout::check;
pub(crate) use self::resets::is_reset;

/// What the chunks file calls the encoding of whole counts, and of floats.
pub(crate) const INTEGERS: u8 = 2;
pub(crate) const FLOATS: u8 = 3;

/// What a chunk takes in memory at most once it is read: a layout is written once and repeated in every sample, so that a
/// few bytes can stand for many.
const HELD_BYTES_MAX: usize = 64 << 20;

/// The first two bits behind the number of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Unknown = 0b00,
    /// No count has become less since the chunk before.
    NotReset = 0b01,
    Reset = 0b10,
    /// Counts that go both ways.
    Gauge = 0b11,
}

#[cfg(test)]
mod tests;
