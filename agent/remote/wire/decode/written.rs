//! Requests as others write them, put together plainly, for tests.

pub(crate) mod histogram;

use std::collections::BTreeMap;

pub(crate) use histogram::{Native, Number, Side};

/// Labels, samples of (time, value), and what is said about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) samples: Vec<(i64, f64)>,
    /// Number of the type, help, unit.
    pub(crate) metadata: Option<(u64, &'static str, &'static str)>,
    pub(crate) histograms: Vec<Native>,
    /// Trace, time and value.
    pub(crate) exemplars: Vec<(String, i64, f64)>,
}

impl Written {
    /// `name{a="b"}` without quotes: `name a=b c=d`.
    pub(crate) fn new(labels: &str, samples: &[(i64, f64)]) -> Self {
        let mut words = labels.split(' ');
        let name = ("__name__".to_owned(), words.next().unwrap().to_owned());
        let pairs = words.map(|word| word.split_once('=').unwrap());
        let mut labels: Vec<_> = std::iter::once(name)
            .chain(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        labels.sort();
        Self {
            labels,
            samples: samples.to_vec(),
            ..Self::default()
        }
    }
}

pub(crate) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value, out);
}

pub(crate) fn bytes(field: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn sample(time: i64, value: f64) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend(value.to_bits().to_le_bytes());
    number(2, time.cast_unsigned(), &mut out);
    out
}

fn exemplar_tail(time: i64, value: f64, out: &mut Vec<u8>) {
    out.push(2 << 3 | 1);
    out.extend(value.to_bits().to_le_bytes());
    number(3, time.cast_unsigned(), out);
}

pub(crate) fn one(series: &[Written]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in series {
        let mut message = Vec::new();
        for (name, value) in &one.labels {
            let mut label = Vec::new();
            bytes(1, name.as_bytes(), &mut label);
            bytes(2, value.as_bytes(), &mut label);
            bytes(1, &label, &mut message);
        }
        for (time, value) in &one.samples {
            bytes(2, &sample(*time, *value), &mut message);
        }
        for (trace, time, value) in &one.exemplars {
            let (mut label, mut exemplar) = (Vec::new(), Vec::new());
            bytes(1, b"trace_id", &mut label);
            bytes(2, trace.as_bytes(), &mut label);
            bytes(1, &label, &mut exemplar);
            exemplar_tail(*time, *value, &mut exemplar);
            bytes(3, &exemplar, &mut message);
        }
        for histogram in &one.histograms {
            bytes(4, &histogram.message(), &mut message);
        }
        bytes(1, &message, &mut out);
    }
    out
}

pub(crate) fn metadata_one(family: &str, kind: u64, help: &str, out: &mut Vec<u8>) {
    let mut message = Vec::new();
    number(1, kind, &mut message);
    bytes(2, family.as_bytes(), &mut message);
    bytes(4, help.as_bytes(), &mut message);
    bytes(3, &message, out);
}

pub(crate) fn two(series: &[Written]) -> Vec<u8> {
    let mut symbols = vec![String::new()];
    let mut known = BTreeMap::from([(String::new(), 0_u64)]);
    let mut symbol = |text: &str| {
        *known.entry(text.to_owned()).or_insert_with(|| {
            symbols.push(text.to_owned());
            symbols.len() as u64 - 1
        })
    };
    let mut messages = Vec::new();
    for one in series {
        let (mut message, mut refs) = (Vec::new(), Vec::new());
        for (name, value) in &one.labels {
            varint(symbol(name), &mut refs);
            varint(symbol(value), &mut refs);
        }
        bytes(1, &refs, &mut message);
        for (time, value) in &one.samples {
            bytes(2, &sample(*time, *value), &mut message);
        }
        for histogram in &one.histograms {
            bytes(3, &histogram.message(), &mut message);
        }
        for (trace, time, value) in &one.exemplars {
            let (mut refs, mut exemplar) = (Vec::new(), Vec::new());
            varint(symbol("trace_id"), &mut refs);
            varint(symbol(trace), &mut refs);
            bytes(1, &refs, &mut exemplar);
            exemplar_tail(*time, *value, &mut exemplar);
            bytes(4, &exemplar, &mut message);
        }
        if let Some((kind, help, unit)) = one.metadata {
            let mut metadata = Vec::new();
            number(1, kind, &mut metadata);
            number(3, symbol(help), &mut metadata);
            number(4, symbol(unit), &mut metadata);
            bytes(5, &metadata, &mut message);
        }
        messages.push(message);
    }
    let mut out = Vec::new();
    for symbol in &symbols {
        bytes(4, symbol.as_bytes(), &mut out);
    }
    for message in &messages {
        bytes(5, message, &mut out);
    }
    out
}

pub(crate) fn packed(request: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(request).unwrap()
}
