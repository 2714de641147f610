//! Protobuf, written by hand: the few shapes that remote write has, without a copy and without a generator.

use model::{Kind, Timestamp};

/// Field numbers with their wire types, as single bytes: `number << 3 | type`; 2 is length-delimited.
pub(crate) mod tag {
    /// `io.prometheus.write.v2.Request`.
    pub(crate) const SYMBOLS: u8 = 4 << 3 | 2;
    pub(crate) const SERIES: u8 = 5 << 3 | 2;
    /// `io.prometheus.write.v2.TimeSeries`.
    pub(crate) const LABEL_REFS: u8 = 1 << 3 | 2;
    pub(crate) const METADATA: u8 = 5 << 3 | 2;
    /// Of a series, in both versions.
    pub(crate) const SAMPLES: u8 = 2 << 3 | 2;
    /// `Sample`, in both versions.
    pub(crate) const VALUE: u8 = 1 << 3 | 1;
    pub(crate) const TIME: u8 = 2 << 3;
    /// `io.prometheus.write.v2.Metadata`.
    pub(crate) const TYPE: u8 = 1 << 3;
    pub(crate) const HELP_REF: u8 = 3 << 3;
    pub(crate) const UNIT_REF: u8 = 4 << 3;
}

/// The numbers are the same in both versions.
pub(crate) fn type_number(kind: Kind) -> u8 {
    match kind {
        Kind::Unknown => 0,
        Kind::Counter => 1,
        Kind::Gauge => 2,
        Kind::Histogram => 3,
        Kind::Summary => 5,
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn varint_bytes(number: u64) -> usize {
    // Seven bits a byte, and zero takes one.
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

/// A length-delimited field.
pub(crate) fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field of the wire type varint; zero is what its absence means.
pub(crate) fn put_number(out: &mut Vec<u8>, tag: u8, number: u64) {
    if number != 0 {
        out.push(tag);
        put_varint(out, number);
    }
}

/// All of the samples field of a series but the value: made once for the samples of one time.
pub(crate) struct SampleField {
    head: [u8; 3],
    tail: [u8; 11],
    tail_bytes: usize,
}

const VALUE_BYTES: usize = 8;

impl SampleField {
    /// Time and value are written even where they are zero, so that fields of one time are of one length.
    pub(crate) fn at(time: Timestamp) -> Self {
        let mut tail = [0; 11];
        tail[0] = tag::TIME;
        let mut tail_bytes = 1;
        // Negative numbers are written as their two's complement: ten bytes.
        let mut rest = time.0 as u64;
        for byte in &mut tail[1..] {
            tail_bytes += 1;
            *byte = rest as u8 & 0x7f;
            rest >>= 7;
            if rest == 0 {
                break;
            }
            *byte |= 0x80;
        }
        let content = 1 + VALUE_BYTES + tail_bytes;
        Self {
            head: [tag::SAMPLES, content as u8, tag::VALUE],
            tail,
            tail_bytes,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.head.len() + VALUE_BYTES + self.tail_bytes
    }

    /// The value keeps its bits: a stale marker is a NaN like no other.
    pub(crate) fn put(&self, out: &mut Vec<u8>, value: f64) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
        out.extend_from_slice(self.tail.get(..self.tail_bytes).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_is_as_long_as_it_says() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(out.len(), varint_bytes(number), "{number}");
        }
        let mut out = Vec::new();
        put_varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }

    #[test]
    fn a_sample_field_is_what_protobuf_says_it_is() {
        let mut out = Vec::new();
        let field = SampleField::at(Timestamp(300));
        field.put(&mut out, 1.0);
        assert_eq!(
            out,
            [0x12, 12, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 0x02]
        );
        assert_eq!(out.len(), field.bytes());
        for (time, bytes) in [(0, 13), (1_790_000_000_000, 18), (-1, 22), (i64::MAX, 21)] {
            assert_eq!(SampleField::at(Timestamp(time)).bytes(), bytes, "{time}");
        }
    }
}
