//! Native histograms as both versions of remote write have them.

use model::histogram::{Buckets, Reset};
use model::{Histogram, Timestamp};

use super::encode::{put_bytes, put_number, put_varint};

/// Of a series of 2.0.
const HISTOGRAMS: u8 = 3 << 3 | 2;

/// One histogram of a series: the whole field.
pub(crate) fn put_histogram(out: &mut Vec<u8>, time: Timestamp, histogram: &Histogram) {
    let mut message = Vec::new();
    let count = |out: &mut Vec<u8>, field: u8, count: f64| {
        if histogram.integers {
            // Also where it is zero: which kind it is follows from the count.
            out.push(field << 3);
            put_varint(out, count as u64);
        } else {
            put_double(out, field + 1, count);
        }
    };
    count(&mut message, 1, histogram.count);
    put_double(&mut message, 3, histogram.sum);
    put_number(&mut message, 4 << 3, zigzag(histogram.schema.into()));
    put_double(&mut message, 5, histogram.zero_threshold);
    count(&mut message, 6, histogram.zero_count);
    put_buckets(&mut message, 8, &histogram.negative, histogram.integers);
    put_buckets(&mut message, 11, &histogram.positive, histogram.integers);
    let reset = match histogram.reset {
        Reset::Unknown => 0,
        Reset::Yes => 1,
        Reset::No => 2,
        Reset::Gauge => 3,
    };
    put_number(&mut message, 14 << 3, reset);
    put_number(&mut message, 15 << 3, time.0.cast_unsigned());
    if !histogram.bounds.is_empty() {
        // The first field number whose tag takes two bytes.
        put_varint(&mut message, 16 << 3 | 2);
        put_packed(&mut message, &histogram.bounds);
    }
    put_bytes(out, HISTOGRAMS, &message);
}

/// Spans, and counts either as what each differs by from the one before or as they are, in three fields in a row.
fn put_buckets(out: &mut Vec<u8>, field: u8, buckets: &Buckets, integers: bool) {
    let mut inner = Vec::new();
    for span in &buckets.spans {
        inner.clear();
        put_number(&mut inner, 1 << 3, zigzag(span.offset.into()));
        put_number(&mut inner, 2 << 3, span.length.into());
        put_bytes(out, field << 3 | 2, &inner);
    }
    if buckets.counts.is_empty() {
        return;
    }
    if integers {
        inner.clear();
        let mut before = 0;
        for count in &buckets.counts {
            let count = *count as i64;
            put_varint(&mut inner, zigzag(count - before));
            before = count;
        }
        put_bytes(out, (field + 1) << 3 | 2, &inner);
    } else {
        out.push((field + 2) << 3 | 2);
        put_packed(out, &buckets.counts);
    }
}

fn put_packed(out: &mut Vec<u8>, numbers: &[f64]) {
    put_varint(out, numbers.len() as u64 * 8);
    for number in numbers {
        out.extend_from_slice(&number.to_bits().to_le_bytes());
    }
}

fn put_double(out: &mut Vec<u8>, field: u8, number: f64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&number.to_bits().to_le_bytes());
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode::histogram::Reader;
    use crate::wire::decode::written::{Native, Number};
    use crate::wire::decode::{Fields, Value};

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let mut gauge = Native::float(-5);
        (gauge.reset, gauge.sum) = (3, -0.0);
        let mut fine = Native::whole(i64::MAX);
        (fine.schema, fine.count, fine.reset) = (-4, Number::Whole(1 << 54), 2);
        for native in [
            Native::whole(1),
            Native::custom(1_790_000_000_000),
            Native::empty(0),
            gauge,
            fine,
        ] {
            let mut reader = Reader::default();
            let original = reader.read(&native.message()).unwrap();
            let histogram = original.histogram.clone().unwrap().unwrap();
            let mut out = Vec::new();
            put_histogram(&mut out, Timestamp(native.time), &histogram);
            let field = Fields::new(&out).step().unwrap().unwrap();
            let Value::Bytes(message) = field.value else {
                panic!("a message")
            };
            assert_eq!(field.number, 3);
            assert_eq!(reader.read(message).unwrap(), original);
        }
    }
}
