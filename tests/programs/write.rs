//! Remote write 1.0, written plainly and apart from the product's own encoder: how a Prometheus gets what ours gets by its
//! own hand.

use model::{Labels, Timestamp};

/// One series of a request and its samples.
pub struct Written<'a> {
    pub labels: &'a Labels,
    pub samples: Vec<(Timestamp, f64)>,
}

/// A request's body.
///
/// # Panics
/// It is too long for snappy.
#[must_use]
pub fn body(all: &[Written<'_>]) -> Vec<u8> {
    let (mut request, mut one, mut inner) = (Vec::new(), Vec::new(), Vec::new());
    for series in all {
        one.clear();
        for (name, value) in series.labels.iter() {
            inner.clear();
            field(&mut inner, 1, name.as_bytes());
            field(&mut inner, 2, value.as_bytes());
            field(&mut one, 1, &inner);
        }
        for (time, value) in &series.samples {
            inner.clear();
            inner.push(1 << 3 | 1);
            inner.extend(value.to_le_bytes());
            inner.push(2 << 3);
            varint(&mut inner, time.0.cast_unsigned());
            field(&mut one, 2, &inner);
        }
        field(&mut request, 1, &one);
    }
    snap::raw::Encoder::new()
        .compress_vec(&request)
        .expect("snappy takes any bytes")
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}
