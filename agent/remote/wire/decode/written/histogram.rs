//! Native histograms as a Prometheus writes them, field by field.

use super::{bytes, number, varint};

/// What the message says, whatever that is.
#[derive(Clone, Debug)]
pub(crate) struct Native {
    pub(crate) time: i64,
    pub(crate) count: Number,
    pub(crate) sum: f64,
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: Number,
    pub(crate) negative: Side,
    pub(crate) positive: Side,
    pub(crate) reset: u64,
    pub(crate) bounds: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Whole(u64),
    Float(f64),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    pub(crate) spans: Vec<(i32, u32)>,
    pub(crate) deltas: Vec<i64>,
    pub(crate) counts: Vec<f64>,
}

impl Native {
    /// Nothing was observed yet.
    pub(crate) fn empty(time: i64) -> Self {
        Self {
            time,
            count: Number::Whole(0),
            sum: 0.0,
            schema: 3,
            zero_threshold: 1e-128,
            zero_count: Number::Whole(0),
            negative: Side::default(),
            positive: Side::default(),
            reset: 0,
            bounds: Vec::new(),
        }
    }

    /// 2 around zero, then 3, 0 and 4 above it and 3 below, as whole numbers.
    pub(crate) fn whole(time: i64) -> Self {
        Self {
            count: Number::Whole(12),
            sum: 20.5,
            schema: 0,
            zero_threshold: 0.001,
            zero_count: Number::Whole(2),
            positive: Side {
                spans: vec![(0, 2), (1, 1)],
                deltas: vec![3, -3, 4],
                ..Side::default()
            },
            negative: Side {
                spans: vec![(-1, 1)],
                deltas: vec![3],
                ..Side::default()
            },
            ..Self::empty(time)
        }
    }

    /// The same with half as much everywhere.
    pub(crate) fn float(time: i64) -> Self {
        let whole = Self::whole(time);
        Self {
            count: Number::Float(6.0),
            zero_count: Number::Float(1.0),
            positive: Side {
                deltas: Vec::new(),
                counts: vec![1.5, 0.0, 2.0],
                ..whole.positive
            },
            negative: Side {
                deltas: Vec::new(),
                counts: vec![1.5],
                ..whole.negative
            },
            ..whole
        }
    }

    /// Of a classic histogram with the bounds 0.1 and 1.
    pub(crate) fn custom(time: i64) -> Self {
        Self {
            count: Number::Whole(6),
            sum: 9.5,
            schema: -53,
            zero_threshold: 0.0,
            positive: Side {
                spans: vec![(0, 3)],
                deltas: vec![1, 1, 1],
                ..Side::default()
            },
            bounds: vec![0.1, 1.0],
            ..Self::empty(time)
        }
    }

    pub(crate) fn end(time: i64) -> Self {
        Self {
            sum: f64::from_bits(0x7ff0_0000_0000_0002),
            ..Self::empty(time)
        }
    }

    /// Zeroes are left out where they may be, lists are packed.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.count.put(1, &mut out);
        put_double(3, self.sum, &mut out);
        if self.schema != 0 {
            number(4, zigzag(self.schema.into()), &mut out);
        }
        put_double(5, self.zero_threshold, &mut out);
        self.zero_count.put(6, &mut out);
        self.negative.put(8, &mut out);
        self.positive.put(11, &mut out);
        if self.reset != 0 {
            number(14, self.reset, &mut out);
        }
        if self.time != 0 {
            number(15, self.time.cast_unsigned(), &mut out);
        }
        put_doubles(16, &self.bounds, &mut out);
        out
    }
}

impl Number {
    /// With one field for whole numbers and the next for others.
    fn put(self, field: u64, out: &mut Vec<u8>) {
        match self {
            Self::Whole(whole) => number(field, whole, out),
            Self::Float(float) => double(field + 1, float, out),
        }
    }
}

impl Side {
    /// In three fields that follow each other.
    fn put(&self, field: u64, out: &mut Vec<u8>) {
        for (offset, length) in &self.spans {
            let mut span = Vec::new();
            if *offset != 0 {
                number(1, zigzag((*offset).into()), &mut span);
            }
            number(2, (*length).into(), &mut span);
            bytes(field, &span, out);
        }
        let mut deltas = Vec::new();
        for delta in &self.deltas {
            varint(zigzag(*delta), &mut deltas);
        }
        if !deltas.is_empty() {
            bytes(field + 1, &deltas, out);
        }
        put_doubles(field + 2, &self.counts, out);
    }
}

pub(crate) fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

pub(crate) fn double(field: u64, value: f64, out: &mut Vec<u8>) {
    varint(field << 3 | 1, out);
    out.extend(value.to_bits().to_le_bytes());
}

fn put_double(field: u64, value: f64, out: &mut Vec<u8>) {
    if value != 0.0 {
        double(field, value, out);
    }
}

fn put_doubles(field: u64, values: &[f64], out: &mut Vec<u8>) {
    let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    if !packed.is_empty() {
        bytes(field, &packed, out);
    }
}
